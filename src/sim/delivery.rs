//! Carries webhooks to their receivers, a few tries each.
//!
//! A project has [`LANES`] lanes, each of which carries one webhook at a time. All that is about one
//! token goes by one lane and so arrives in the order in which it left; between two tokens there is no
//! order. A webhook that waits for its next try holds up its lane and no other.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use reqwest::{Client, header::CONTENT_TYPE, redirect};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{server::Shared, webhooks::Delivery};

/// A receiver has this long to answer (contract 3.1).
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The pause after the first try that failed, and after all others.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(250);
/// Enough for 2,000 webhooks a second at a receiver that takes 8 ms for each.
const LANES: usize = 16;
/// Webhooks of one lane that may wait; more are lost, and counted as failed. All lanes together hold
/// what 50,000 people cause at once, some 100 MB of bodies.
const WAITING_MAX: usize = 20_000;

/// The way out of the simulator.
pub(super) struct Postman {
    lanes: HashMap<String, Vec<Sender<(Delivery, Instant)>>>,
}

impl Postman {
    /// Prepares the lanes of each project; [`Round::start`] walks them.
    pub(super) fn new<'a>(pids: impl IntoIterator<Item = &'a str>) -> (Self, Round) {
        let mut lanes = HashMap::new();
        let mut letters = Vec::new();
        for pid in pids {
            let (out, waiting): (Vec<_>, Vec<_>) =
                (0..LANES).map(|_| mpsc::channel(WAITING_MAX)).unzip();
            lanes.insert(pid.to_owned(), out);
            letters.extend(waiting);
        }
        (Self { lanes }, Round { letters })
    }

    /// Queues a webhook; false when its lane is full or gone.
    pub(super) fn post(&self, delivery: Delivery) -> bool {
        let due = Instant::now() + delivery.delay;
        let mut hasher = DefaultHasher::new();
        delivery.lane.hash(&mut hasher);
        let place = hasher.finish() as usize % LANES;
        let lane = self.lanes.get(&delivery.pid).and_then(|lanes| lanes.get(place));
        lane.is_some_and(|lane| lane.try_send((delivery, due)).is_ok())
    }
}

/// The lanes before anybody walks them.
pub(super) struct Round {
    letters: Vec<Receiver<(Delivery, Instant)>>,
}

impl Round {
    /// Starts a task per lane; they end with `stop`, whatever still waits.
    pub(super) fn start(
        self,
        client: &Client,
        shared: &Arc<Shared>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        for mut waiting in self.letters {
            let (client, shared) = (client.clone(), Arc::clone(shared));
            let walk = async move {
                while let Some((delivery, due)) = waiting.recv().await {
                    tokio::time::sleep_until(due).await;
                    let pid = delivery.pid.clone();
                    let answers = deliver(&client, delivery).await;
                    shared.with(|world, _| world.delivered(&pid, &answers));
                }
            };
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(walk).await });
        }
    }
}

/// The client of webhooks. It speaks plain HTTP only and trusts no certificate: the receivers of a
/// simulator are on loopback.
pub(super) fn client() -> std::io::Result<Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(ANSWER_WITHIN)
        .build()
        .map_err(std::io::Error::other)
}

/// The status of each try; `None` where no answer came.
async fn deliver(client: &Client, delivery: Delivery) -> Vec<Option<u16>> {
    let Delivery { url, body, tries, .. } = delivery;
    let body = Bytes::from(body);
    let mut answers = Vec::with_capacity(1);
    loop {
        let request = client.post(&url).header(CONTENT_TYPE, "application/json");
        let status = match request.body(body.clone()).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                // Only a body that was read to its end gives its connection back.
                let _ = answer.bytes().await;
                Some(status)
            }
            Err(_) => None,
        };
        answers.push(status);
        if matches!(status, Some(200..=299)) || answers.len() >= tries as usize {
            return answers;
        }
        tokio::time::sleep(if answers.len() == 1 { PAUSE_FIRST } else { PAUSE }).await;
    }
}

#[cfg(test)]
mod tests;
