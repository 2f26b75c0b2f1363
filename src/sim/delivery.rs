//! Carries webhooks to their receivers: in order, one at a time per project, a few tries each.

use std::{collections::HashMap, sync::Arc, time::Duration};

use reqwest::{Client, header::CONTENT_TYPE, redirect};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{server::Shared, webhooks::Delivery};

/// A receiver has this long to answer (contract 3.1).
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pauses after a try that failed; after the last one comes one more try.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// Webhooks of one project that may wait; more are lost, and counted as failed.
const WAITING_MAX: usize = 10_000;

/// The way out of the simulator, one lane per project.
pub(super) struct Postman {
    lanes: HashMap<String, Sender<(Delivery, Instant)>>,
}

impl Postman {
    /// Prepares a lane per project; [`Round::start`] walks them.
    pub(super) fn new<'a>(pids: impl IntoIterator<Item = &'a str>) -> (Self, Round) {
        let mut lanes = HashMap::new();
        let mut letters = Vec::new();
        for pid in pids {
            let (lane, waiting) = mpsc::channel(WAITING_MAX);
            lanes.insert(pid.to_owned(), lane);
            letters.push(waiting);
        }
        (Self { lanes }, Round { letters })
    }

    /// Queues a webhook; false when its lane is full or gone.
    pub(super) fn post(&self, delivery: Delivery) -> bool {
        let due = Instant::now() + delivery.delay;
        let lane = self.lanes.get(&delivery.pid);
        lane.is_some_and(|lane| lane.try_send((delivery, due)).is_ok())
    }
}

/// The lanes before anybody walks them.
pub(super) struct Round {
    letters: Vec<Receiver<(Delivery, Instant)>>,
}

impl Round {
    /// Starts a task per project; they end with `stop`, whatever still waits.
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
                    let arrived = deliver(&client, &delivery).await;
                    shared.with(|world, _| world.delivered(&delivery.pid, arrived));
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

async fn deliver(client: &Client, delivery: &Delivery) -> bool {
    for pause in PAUSES.into_iter().map(Some).chain([None]) {
        let sent = client
            .post(&delivery.url)
            .header(CONTENT_TYPE, "application/json")
            .body(delivery.body.clone())
            .send()
            .await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            return true;
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    tracing::debug!(pid = delivery.pid, "a webhook was given up after its last try");
    false
}
