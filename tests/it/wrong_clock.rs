//! T1: the whole daemon, on a machine whose wall clock is wrong, beside an ARGOS whose clock is right.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use argospool::{
    app::{
        self, World,
        clock::{Reading, SystemClock},
        entropy::SystemEntropy,
    },
    config::{self, Sources},
    domain::time::Timestamp,
    engine::{Handle, Pools, Status},
    port::Clock,
    sim::{Simulator, SimulatorOptions},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::world::wish;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn truth() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A data directory, and the simulator that its tokens are at.
struct Site {
    dir: tempfile::TempDir,
    simulator: Simulator,
}

impl Site {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
        Self { dir: tempfile::tempdir().unwrap(), simulator }
    }

    /// Starts a daemon by a wall clock that says this of the truth.
    async fn serve(&self, wall: fn(Duration) -> Duration) -> Running {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let sources = Sources {
            environment: vec![
                ("ARGOS_PROJECT_ID".into(), "pid_demo".into()),
                ("ARGOS_API_KEY".into(), "argos_test_demo".into()),
            ],
            overrides: vec![
                set("data_dir", self.dir.path().join("data").to_str().unwrap()),
                set("grpc.listen", "127.0.0.1:0"),
                set("http.listen", "127.0.0.1:0"),
                set("ledger.free_space_min", "1MiB"),
                set("projects.default.argos.api_url", &self.simulator.api_url()),
                set("projects.default.liveform.base_url", &self.simulator.form_url()),
                set("projects.default.refill.target_tokens", "500"),
                set("projects.default.refill.low_water_tokens", "100"),
                set("projects.default.tokens.settle_delay", "50ms"),
            ],
            ..Sources::default()
        };
        let settings = config::load(&sources).unwrap().settings;
        let began = Instant::now();
        let read = move || Reading { boot: began.elapsed(), wall: wall(truth()) };
        let clock = Arc::new(SystemClock::reading(read));
        let world = World { clock: clock.clone(), entropy: || Box::new(SystemEntropy) };
        let daemon = app::start(settings, world).await.unwrap();
        let (pools, stop) = (daemon.pools(), CancellationToken::new());
        let running = tokio::spawn(daemon.run(stop.clone()));
        Running { clock, pools, stop, running }
    }
}

struct Running {
    clock: Arc<SystemClock>,
    pools: Arc<Pools>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), app::Failure>>,
}

impl Running {
    fn handle(&self) -> &Handle {
        self.pools.find("").unwrap()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) {
        let deadline = Instant::now() + MINUTE;
        loop {
            let status = self.handle().status().await.unwrap();
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}; last {status:?}");
            // bounded: the state is asked again and again, for a minute at most
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn lease(&self) {
        let wanted = vec![wish(self.handle(), "uid:1", None)];
        self.handle().lease(wanted, Duration::from_secs(10)).await.unwrap();
    }

    fn tells_the_truth(&self) -> bool {
        let truth = Timestamp::ZERO.plus(truth());
        self.clock.now().since(truth).max(truth.since(self.clock.now())) <= MINUTE
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_daemon_that_starts_with_its_wall_clock_a_day_ahead_ends_no_lease() {
    let site = Site::new().await;
    let first = site.serve(|truth| truth).await;
    first.until("it is filled", |status| status.census.ready == 500).await;
    first.lease().await;
    first.stop().await;

    let second = site.serve(|truth| truth + DAY).await;
    assert!(second.tells_the_truth(), "whoever is served is served by the right time");
    second.lease().await;
    let census = second.handle().status().await.unwrap().census;
    assert_eq!((census.leased, census.doomed), (2, 0));
    second.stop().await;
}

#[tokio::test]
async fn after_a_day_of_downtime_old_leases_end_and_those_given_from_the_start_do_not() {
    let site = Site::new().await;
    let first = site.serve(|truth| truth - DAY).await;
    first.until("it is filled", |status| status.census.ready == 500).await;
    first.lease().await;
    first.stop().await;

    let second = site.serve(|truth| truth).await;
    assert!(second.tells_the_truth(), "whoever is served is served by the right time");
    second.lease().await;
    second.until("the old lease lapses", |status| status.census.doomed == 1).await;
    assert_eq!(second.handle().status().await.unwrap().census.leased, 1);
    second.stop().await;
}
