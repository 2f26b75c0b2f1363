//! The composition root: the one place where every part meets every other.
//!
//! [`World`] is the list of everything that comes from outside and is no setting; `serve` fills it with
//! the system's clock and randomness, tests with their own. [`start`] builds bottom-up: sockets are
//! bound first, so that a port in use is known before a ledger is touched, and served at once, so that
//! probes are answered while the ledgers open.

mod addresses;
pub mod clock;
mod edges;
pub mod entropy;
mod keys;
mod ledger;
mod notify;
mod policy;
mod preflight;
pub mod preview;
mod project;
mod storage;
mod volume;

use std::{io, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use addresses::{Addresses, BindError};
pub use keys::Keys;
pub use ledger::{
    Audit, Books, Breach, Imported, Inventory, Remembered, Standing, audit, export, import,
};
pub use policy::Unfit;
pub use preflight::offline as preflight;

use self::{
    addresses::Listeners,
    edges::Edges,
    preflight::Checkups,
    project::Opened,
    storage::Storage,
    volume::{ADVICE, Volume},
};
use crate::{
    api,
    argos::UnusableOptions,
    config::{self, LogFormat, Settings},
    domain::entropy::Entropy,
    engine::Pools,
    port::{Checkup, Clock, LedgerError, Purpose, Supplier},
    task::{Roster, Task},
    telemetry::{self, Flush, Metrics, TraceOptions, Traces, UnusableTraces},
};

/// What this binary is, for `status`, metrics and the first line of the log.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// ARGOS answers the first call of a start within a second, as a rule.
const TIME_TO_AGREE: Duration = Duration::from_secs(3);
/// How often a start asks whether its first call may leave.
const ADMIT_INTERVAL: Duration = Duration::from_millis(20);

/// Everything the daemon takes from outside that is no setting.
pub struct World {
    pub clock: Arc<dyn Clock>,
    /// A source of randomness for each part that needs one.
    pub entropy: fn() -> Box<dyn Entropy>,
}

impl World {
    pub fn system() -> Self {
        Self {
            clock: Arc::new(clock::SystemClock::start()),
            entropy: || Box::new(entropy::SystemEntropy),
        }
    }
}

/// Why the daemon did not start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("make the data directory {0}")]
    DataDir(String, #[source] io::Error),
    #[error(transparent)]
    Bind(BindError),
    #[error(transparent)]
    Access(api::InvalidAccess),
    #[error(transparent)]
    Unfit(Unfit),
    #[error("project {project}: make a client for ARGOS")]
    Argos { project: String, source: UnusableOptions },
    #[error("open the ledger of project {project}")]
    Ledger { project: String, source: LedgerError },
    #[error(
        "ledger.storage is persistent, but data_dir {0} is on an emptyDir, which is deleted with its pod: its tokens would stay \
         at ARGOS and take room for good; {ADVICE}"
    )]
    DiesWithPod(String),
    #[error("open the data directory")]
    Storage(#[source] LedgerError),
    /// The configuration keeps no ledger that outlives the daemon.
    #[error("ledger.kind is memory: there is nothing on a disk")]
    InMemory,
    /// Of several projects none was named, or one that there is not.
    #[error("name one of the projects: {0}")]
    NoProject(String),
    #[error("write addresses.json")]
    Addresses(#[source] io::Error),
    #[error("{0}")]
    Task(String),
    #[error("{0} tasks did not end in time and were cut off")]
    CutOff(usize),
}

/// Why there is neither a log nor a trace.
#[derive(Debug, thiserror::Error)]
pub enum Mute {
    #[error(transparent)]
    Log(#[from] telemetry::InvalidFilter),
    #[error(transparent)]
    Traces(#[from] UnusableTraces),
}

/// Opens the log, and starts the export of traces where there is one; once per process. What comes back is
/// for the end of it.
pub fn start_log(settings: &Settings) -> Result<Option<Flush>, Mute> {
    let config::Log { level, format } = &settings.log;
    let format = match format {
        LogFormat::Auto => telemetry::Format::Auto,
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    let config::Telemetry { otlp_endpoint, otlp_headers, otlp_timeout, sampling_ratio } =
        settings.telemetry.clone();
    let export = |endpoint| {
        Traces::start(TraceOptions {
            endpoint,
            headers: otlp_headers.as_ref().map(|source| source.secret.clone()),
            headers_again: Box::new(move || otlp_headers.as_ref()?.read_again().ok().flatten()),
            timeout: otlp_timeout,
            sampling_ratio,
            version: VERSION,
        })
    };
    let (traces, flush) = otlp_endpoint.map(export).transpose()?.unzip();
    telemetry::start_log(level, format, traces)?;
    Ok(flush)
}

/// A daemon that serves.
pub struct Daemon {
    addresses: Addresses,
    settings: Settings,
    pools: Arc<Pools>,
    keys: Keys,
    roster: Roster,
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
}

/// Builds everything and opens the ledgers. Nothing is handed out of a project before its ledger is
/// open and checked.
pub async fn start(settings: Settings, world: World) -> Result<Daemon, Failure> {
    addresses::make_private(&settings.data_dir)
        .map_err(|error| Failure::DataDir(settings.data_dir.display().to_string(), error))?;
    let projects = policy::projects(&settings).map_err(Failure::Unfit)?;
    let volume = lasting_volume(&settings)?;
    let listeners = Listeners::bind(&settings).await.map_err(Failure::Bind)?;
    let addresses = listeners.addresses(&settings).map_err(Failure::Addresses)?;
    let pools = Arc::new(Pools::new(projects.iter().map(|project| project.name.clone())));
    let metrics = Metrics::new(VERSION, option_env!("GIT_SHA").unwrap_or("unknown"));
    metrics.watch_clock(world.clock.clone());
    let names = projects.iter().map(|project| project.name.clone());
    let checkups = Arc::new(Checkups::new(names));
    let checkup: Arc<dyn Checkup> = checkups.clone();
    let mut roster = Roster::default();
    let edges = Edges {
        settings: &settings,
        projects: &projects,
        pools: &pools,
        metrics: &metrics,
        clock: &world.clock,
        entropy: world.entropy,
        checkup: &checkup,
    };
    edges.start(listeners, &mut roster).map_err(Failure::Access)?;

    let opening = settings.clone();
    let storage = tokio::task::spawn_blocking(move || Storage::open(&opening)).await;
    let storage = storage.map_err(|_| Failure::Task("opening the ledger panicked".to_owned()))?;
    let storage = Arc::new(storage.map_err(Failure::Storage)?);
    // The directory is ours from here on, and nobody else's addresses are overwritten.
    addresses.write(&settings.data_dir).map_err(Failure::Addresses)?;

    // Before anything is measured by it, because the first record may turn it back.
    let last_commit = storage.last_commit(projects.iter().map(|project| &project.name)).await;
    world.clock.continue_from(last_commit.map_err(Failure::Storage)?);

    let mut keys = Keys::default();
    let mut handles = Vec::new();
    let mut argos: Option<Arc<dyn Supplier>> = None;
    for project in projects {
        let name = project.name.clone();
        let Opened { engine, argos: client, keys: project_keys, examiner } =
            project::open(project, &storage, &world, &metrics, &volume).await?;
        keys.add(name, client.clone(), project_keys);
        argos.get_or_insert(client);
        handles.push(examiner.handle.clone());
        checkups.opened(examiner);
        roster.start(Task::Engine, |stop| async move {
            engine.run(stop).await.map_err(|error| error.chain())
        });
    }
    if let Some(argos) = argos {
        agree_on_time(world.clock.clone(), argos).await;
    }
    handles.into_iter().for_each(|handle| pools.opened(handle));
    let unix_socket = addresses.unix_socket.as_ref().map(|path| path.display());
    tracing::info!(
        version = VERSION,
        grpc = addresses.grpc.map(tracing::field::display),
        unix_socket = unix_socket.map(tracing::field::display),
        http = %addresses.http,
        "serving"
    );
    notify::ready();
    Ok(Daemon { addresses, settings, pools, keys, roster, storage, clock: world.clock })
}

/// A ledger that certainly dies with its pod is refused; of one that may, the log tells.
fn lasting_volume(settings: &Settings) -> Result<Volume, Failure> {
    let volume = Volume::of(settings);
    match &volume {
        Volume::EmptyDir => {
            return Err(Failure::DiesWithPod(settings.data_dir.display().to_string()));
        }
        Volume::Doubtful(kind) => {
            tracing::warn!(kind, advice = ADVICE, "the ledger may die with its container");
        }
        Volume::Lasting(_) | Volume::NotNeeded => (),
    }
    Ok(volume)
}

/// A lease that is given before a step of time ends too early by as much. After a long downtime ARGOS
/// is therefore asked what time it is while nobody is served yet: its answer to any call tells. Whoever
/// has waited for a minute waits a moment more, and hand-outs begin after it in any case (T1).
async fn agree_on_time(clock: Arc<dyn Clock>, argos: Arc<dyn Supplier>) {
    let began = Instant::now();
    // A task of its own, because a call that was admitted is heard to its end.
    let asked = tokio::spawn({
        let clock = clock.clone();
        async move {
            while clock.in_doubt() && began.elapsed() < TIME_TO_AGREE {
                // The largest share of the budget: the others are empty for seconds after a start.
                if argos.admit(Purpose::Refill).is_ok() {
                    let _ = argos.count().await;
                    return;
                }
                tokio::time::sleep(ADMIT_INTERVAL).await;
            }
        }
    });
    let _ = tokio::time::timeout(TIME_TO_AGREE, asked).await;
    if clock.in_doubt() {
        tracing::warn!("ARGOS did not say what time it is; pool time goes on from the last commit");
    }
}

impl Daemon {
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub fn pools(&self) -> Arc<Pools> {
        self.pools.clone()
    }

    /// To read the API keys again.
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Serves until told to stop, or until a part that nothing works without has ended. Finishes what
    /// was decided, within the grace (S2).
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Failure> {
        let pools = self.pools.clone();
        // Also while it stops: what takes long then has a limit of its own.
        let life = tokio::spawn(notify::give_signs_of_life(pools, self.clock));
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            why = self.roster.first_to_end() => {
                tracing::error!(why, "a part of the daemon has ended");
                Err(Failure::Task(why))
            }
        };
        if ended.is_ok() {
            let cut_off = Instant::now() + self.settings.stop_grace;
            self.pools.open().for_each(|pool| pool.ends_by(cut_off));
        }
        self.pools.begin_stop();
        notify::stopping();
        let cut_off = self.roster.stop(self.settings.stop_grace).await;
        // While the directory is ours: a successor that waits for it writes its own.
        Addresses::forget(&self.settings.data_dir);
        let storage = self.storage;
        // Whatever was handed in is on the disk when this returns.
        let _ = tokio::task::spawn_blocking(move || storage.close()).await;
        life.abort();
        tracing::info!(cut_off, "stopped");
        match cut_off {
            0 => ended,
            cut_off => ended.and(Err(Failure::CutOff(cut_off))),
        }
    }
}
