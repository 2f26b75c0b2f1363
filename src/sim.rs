//! A simulated ARGOS: the REST side, the Liveform, webhooks out, and a control side under `/_sim/`.
//!
//! `demo`, `argospool simulator` and the tests run the daemon against it. It is written from the
//! contract and knows no other module of this crate. Everything that decides is the synchronous
//! [`World`]; a [`Simulator`] is a world with sockets in front of it.
//!
//! Where the contract leaves a question open, the simulator does what hurts the daemon most if it
//! relies on luck: registering a used id arms it anew, and a token that two people hold lets both in.
//! It knows everything about sealing: `sealed` has the two ciphers, `keys` says which key seals what,
//! `links` reads what a link says, sealed or plain, and `transfer` is Secure Data Transfer.

mod control;
mod crowd;
mod delivery;
mod faults;
mod keys;
mod links;
mod liveform;
mod page;
mod pool;
mod project;
mod record;
mod refusal;
mod rules;
mod sealed;
mod server;
mod settings;
mod submissions;
mod token_api;
mod transfer;
mod visitor;
mod webhooks;
mod wire;
mod witness;
mod world;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use self::{
    control::{Command, ControlError, Visit},
    crowd::{Crowd, CrowdReport, Plan, Played},
    faults::{Effect, Fault, FaultBody, Operation, Script, Times},
    keys::Key,
    liveform::{Decision, ENTRY, SESSION},
    project::ProjectOptions,
    record::{SubmissionRecord, TokenRecord, TokenState},
    refusal::Refusal,
    rules::{
        Expiration, ExpiredShape, ListName, Overflow, Pipeline, RuleChange, SubmissionOrder,
        TimestampShape, TokenPlace, VolumeDeletion,
    },
    sealed::{Cipher, Encoding, Gcm, Layout, NonceBytes},
    submissions::{Person, Status},
    visitor::{Lost, Shown, Visitor},
    webhooks::{Chance, Delivery, Flavour, TokenKey, WebhookSettings},
    wire::{ApiRequest, Exchange, Millis, Reply},
    witness::Counters,
    world::World,
};
use self::{
    delivery::Postman,
    server::{Shared, router},
};

/// How long [`Simulator::stop`] waits for connections to end.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How to start a [`Simulator`].
#[derive(Clone)]
pub struct SimulatorOptions {
    /// Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// None at all means the one of [`ProjectOptions::default`].
    pub projects: Vec<ProjectOptions>,
    /// How long every REST answer takes, beside what is scripted.
    pub latency: Duration,
}

impl Default for SimulatorOptions {
    /// Any free port of loopback, one default project, no latency.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            projects: vec![ProjectOptions::default()],
            latency: Duration::ZERO,
        }
    }
}

/// A running simulator; dropping it stops it without waiting.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Simulator {
    /// Binds and serves on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(options: SimulatorOptions) -> io::Result<Self> {
        let SimulatorOptions { listen, mut projects, latency } = options;
        if projects.is_empty() {
            projects.push(ProjectOptions::default());
        }
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (postman, round) = Postman::new(projects.iter().map(|project| project.pid.as_str()));
        let born = (Timestamp::now().as_millisecond(), Instant::now());
        let world = World::new(projects, latency, born.0);
        let shared = Arc::new(Shared::new(world, postman, born, stop.clone()));
        round.start(&delivery::client()?, &shared, &stop, &tasks);
        let (clock, end) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move { end.run_until_cancelled(clock.tick()).await });
        let serve = axum::serve(listener, router(Arc::clone(&shared)))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        tasks.close();
        Ok(Self { address, shared, tasks, stop: stop.drop_guard() })
    }

    /// Where it listens; the port is the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base of the REST side, e.g. `http://127.0.0.1:8099/v3`.
    pub fn api_url(&self) -> String {
        format!("http://{}/v3", self.address)
    }

    /// Base of the Liveform.
    pub fn form_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the witness counted; `None` when there is no such project.
    pub fn counters(&self, pid: &str) -> Option<Counters> {
        self.shared.with(|world, _| world.counters(pid))
    }

    /// The same as `POST /_sim/<name>`.
    ///
    /// # Errors
    ///
    /// When the command names what is not there, or the Liveform refuses.
    pub fn control(&self, command: Command) -> Result<Value, ControlError> {
        self.shared.control(command)
    }

    /// The same as `POST /_sim/crowd`. It works on the thread of the caller until everybody is through;
    /// calls and webhooks of others go on meanwhile if the runtime has another thread.
    pub fn crowd(&self, crowd: &Crowd) -> CrowdReport {
        self.shared.crowd(crowd)
    }

    /// What became of every token that a caller registered, in the order of registration; `None` when
    /// there is no such project. It is read a thousand at a time, and what happens in between shows
    /// in the later ones.
    pub fn record(&self, pid: &str) -> Option<Vec<TokenRecord>> {
        let mut all = Vec::new();
        loop {
            let (page, total) = self.shared.with(|world, wall| {
                world.record(wall, Some(pid), all.len(), control::STATE_PAGE)
            })?;
            all.extend(page);
            if all.len() >= total {
                return Some(all);
            }
        }
    }

    /// The same as `GET /_sim/state?pid=…&offset=…`.
    ///
    /// # Errors
    ///
    /// When there is no such project.
    pub fn state(&self, pid: &str, offset: usize) -> Result<Value, ControlError> {
        self.shared.with(|world, wall| world.state(wall, Some(pid), offset))
    }

    /// Ends every connection, answered or not, and waits for that, but not for webhooks.
    pub async fn stop(self) {
        drop(self.stop);
        // A caller that does not read its answer is not waited for.
        let _ = tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await;
    }
}

#[cfg(test)]
mod tests;
