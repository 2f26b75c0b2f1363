//! One process of the daemon: engine, ARGOS client and receiver of webhooks, over what outlives it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use argospool::{
    app::clock::{SystemClock, outlasting},
    argos::{Argos, ArgosOptions, Surroundings, Transfer, transfer},
    domain::{
        entropy::Entropy,
        envelope::Keyring,
        ids::ProjectName,
        pool::{Policy, ReconcilePolicy},
        refill,
        secret::Secret,
    },
    engine::{Engine, Parts, Pools},
    http::{ReceiverParts, Receiving, webhooks},
    port::{Clock, LedgerError},
    sim::Chance,
    store::memory::Memory,
    telemetry::Metrics,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    disk::Disk,
    network::{LATE_COPY_MS, SETTLE_MS, Wire},
    outside::{KEY, Live, PID, Shared},
    script::Setting,
};
use crate::world::{Nobody, policy, settings};

pub const CALLS_PER_SECOND: u32 = 5;
pub const CALLS_BURST: u32 = 20;
/// The last part of the path of webhooks.
pub const SECRET: &str = "a-secret-of-the-test";

/// A process that runs, or that has ended by itself.
pub struct Process {
    pub running: JoinHandle<Result<(), LedgerError>>,
    pub stop: CancellationToken,
    pub fuse: Arc<Fuse>,
}

impl Process {
    /// Starts one. It dies with its runtime.
    pub fn start(outside: &Shared, memory: &Memory, number: u64) -> Self {
        let (stop, fuse) = (CancellationToken::new(), Arc::new(Fuse::default()));
        let life = live(outside.clone(), memory.twin(), stop.clone(), number);
        let running = tokio::spawn(Mortal { life: Box::pin(life), fuse: fuse.clone() });
        Self { running, stop, fuse }
    }
}

/// What a process dies by: so many polls of its engine from now on.
#[derive(Default)]
pub struct Fuse {
    /// Zero: it does not burn.
    left: AtomicI64,
    pub burnt: Notify,
}

impl Fuse {
    pub fn light(&self, polls: u16) {
        self.left.store(i64::from(polls) + 1, Ordering::Relaxed);
    }

    pub fn put_out(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    /// Whether the life that hangs on it is over.
    fn burn(&self) -> bool {
        match self.left.load(Ordering::Relaxed) {
            0 => false,
            1 => {
                self.burnt.notify_one();
                true
            }
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }
}

/// A life that ends at an await, wherever its fuse has burnt down.
struct Mortal<F> {
    life: Pin<Box<F>>,
    fuse: Arc<Fuse>,
}

impl<F: Future> Future for Mortal<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.fuse.burn() {
            return Poll::Pending;
        }
        self.life.as_mut().poll(context)
    }
}

async fn live(
    outside: Shared,
    memory: Memory,
    stop: CancellationToken,
    number: u64,
) -> Result<(), LedgerError> {
    let (setting, time, last_commit) = {
        let mut outside = outside.lock();
        if outside.books.commits == 0 {
            outside.off_at_birth = outside.off_at_birth.max(outside.time.skew());
        }
        (outside.setting, outside.time.clone(), outside.books.at)
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::reading(move || time.reading()));
    // As at a start of the daemon: before anything else looks at the time.
    clock.continue_from(last_commit);
    let project = ProjectName::parse("default").unwrap();
    let (engine, handle) = Engine::open(Parts {
        project: project.clone(),
        pid: PID.to_owned(),
        policy: policy_of(setting),
        settings: settings(),
        ledger: Box::new(Disk::new(memory, outside.clone())),
        supplier: Arc::new(argos(&outside, &clock, setting.seed ^ number)),
        clock: clock.clone(),
        entropy: Box::new(Drawn(Chance::new(setting.seed.wrapping_add(number << 32)))),
        observer: Arc::new(Nobody),
    })
    .await?;
    let pools = Arc::new(Pools::new([project.clone()]));
    pools.opened(handle.clone());
    let receiver = webhooks(ReceiverParts {
        pools,
        metrics: metrics(),
        clock,
        receiving: vec![Receiving {
            project,
            secret: Secret::new(SECRET.to_owned()),
            envelopes: envelopes(),
        }],
        allowed: Arc::new(|_| true),
        trusted_proxies: Arc::new(|_| false),
        body_max: 1 << 20,
        answer_timeout: Duration::from_secs(1),
    });
    outside.lock().live = Some(Live { handle, receiver });
    engine.run(stop).await
}

fn policy_of(setting: Setting) -> Policy {
    let Setting { target, low_water, batch, calls_in_flight, .. } = setting;
    let age = Duration::from_secs(setting.unused_age_seconds.into());
    Policy {
        refill: refill::Policy::try_new(target, low_water, batch, calls_in_flight).unwrap(),
        cap: setting.cap,
        reserve: setting.reserve,
        settle_delay: outlasting(Duration::from_millis(SETTLE_MS)),
        late_copy_delay: outlasting(Duration::from_millis(LATE_COPY_MS)),
        unused_age_max: (!age.is_zero()).then_some(age),
        overdue_after: Some(Duration::from_secs(600)),
        reconcile: ReconcilePolicy { brake_min: 2, ..policy(1, 0).reconcile },
        ..policy(1, 0)
    }
}

fn argos(outside: &Shared, clock: &Arc<dyn Clock>, seed: u64) -> Argos {
    let options = ArgosOptions {
        api_url: String::new(),
        key: Secret::new(KEY.to_owned()),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(30),
        calls_per_second: f64::from(CALLS_PER_SECOND),
        calls_burst: CALLS_BURST,
        calls_per_day: 100_000,
        purge_share: 0.2,
        reconcile_share: 0.05,
        outcome_share: 0.1,
        backoff_min: Duration::from_millis(500),
        backoff_max: Duration::from_secs(60),
        circuit_failures: 5,
        circuit_open: Duration::from_secs(30),
        transfer: Transfer::default(),
    };
    let surroundings = Surroundings {
        project: ProjectName::parse("default").unwrap(),
        clock: clock.clone(),
        entropy: Box::new(Drawn(Chance::new(seed))),
        keys: Arc::new(|| None),
        envelopes: envelopes(),
        observer: Arc::new(Nobody),
    };
    Argos::over(Box::new(Wire(outside.clone())), options, surroundings).unwrap()
}

fn envelopes() -> argospool::port::Current<Keyring> {
    static KEYRING: OnceLock<Arc<Keyring>> = OnceLock::new();
    let make = || Arc::new(Keyring::new(transfer::CIPHER, &Secret::new(KEY.to_owned()), []));
    Arc::new(move || KEYRING.get_or_init(make).clone())
}

/// One for all runs: nobody looks at it, and it is slow to make.
fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    METRICS.get_or_init(|| Metrics::new("simulated", "")).clone()
}

/// Randomness from a seed.
struct Drawn(Chance);

impl Entropy for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) {
        for some in bytes.chunks_mut(8) {
            some.copy_from_slice(&self.0.draw().to_le_bytes()[..some.len()]);
        }
    }
}
