//! The calls themselves: who calls when, until when, and what is noted of each.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::cli::{progress, proto::CreateLeaseRequest, refusal, remote::Remote};

/// Longest latency that is told apart, in microseconds; a call that takes longer counts as so long.
const LONGEST: u64 = 600_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;
/// How often progress is shown.
const EVERY: Duration = Duration::from_millis(500);

/// What is to be done to the daemon.
pub(super) struct Load {
    /// Each call is this with a request id of its own.
    pub blank: CreateLeaseRequest,
    /// Callers on each connection.
    pub in_flight: u16,
    pub pace: Pace,
    pub bounds: Bounds,
}

/// When the next call begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as the caller was answered.
    Closed,
    /// When it is due, at so many calls a second altogether, or when a caller is free after that.
    Open(u32),
}

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub warm_up: Duration,
    pub duration: Duration,
    /// Calls that count at most.
    pub calls: Option<u64>,
}

/// What was seen.
pub(super) struct Measured {
    /// Microseconds from when a call began, or was due, until its lease was there.
    pub latency: Histogram<u64>,
    /// Calls that brought no lease, by reason.
    pub failed: BTreeMap<String, u64>,
    /// What the first of them was told.
    pub refusal: Option<Status>,
    /// From the first call to the end of the last one.
    pub span: Duration,
}

impl Measured {
    fn new() -> Self {
        let latency =
            Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("bounds and digits that fit");
        Self { latency, failed: BTreeMap::new(), refusal: None, span: Duration::ZERO }
    }

    pub(super) fn leases(&self) -> u64 {
        self.latency.len()
    }

    /// Leases each second.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub(super) fn rate(&self) -> f64 {
        self.leases() as f64 / self.span.as_secs_f64().max(1e-9)
    }

    fn note(&mut self, result: Result<(), Status>, took: Duration) {
        match result {
            Ok(()) => {
                self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST))
            }
            Err(status) => {
                *self.failed.entry(refusal::reason(&status)).or_default() += 1;
                self.refusal.get_or_insert(status);
            }
        }
    }
}

/// What all callers share.
struct Shared {
    began: Instant,
    until: Instant,
    /// Calls so far: at a given rate each says when the next one is due.
    calls: AtomicU64,
    /// Calls that may still be made.
    left: AtomicU64,
    over: CancellationToken,
    seen: Mutex<Measured>,
}

/// Calls until a bound is met or somebody presses Ctrl-C, and tells what came of it. What is called to
/// warm up is over before the first call that counts begins.
pub(super) async fn run(connections: Vec<Remote>, load: &Load) -> Measured {
    let Bounds { warm_up, duration, calls } = load.bounds;
    let connections: Vec<_> = connections.into_iter().map(Arc::new).collect();
    let show = progress::measurement(millis(warm_up + duration));
    let warm = Arc::new(Shared::until(warm_up, u64::MAX));
    phase(&connections, load, &warm, || {
        show.set(millis(warm.began.elapsed()));
        show.say(format!("{} leases to warm up", warm.seen().leases()));
    })
    .await;
    let calls = if warm.over.is_cancelled() { 0 } else { calls.unwrap_or(u64::MAX) };
    let shared = Arc::new(Shared::until(duration, calls));
    phase(&connections, load, &shared, || {
        show.set(millis(warm_up + shared.began.elapsed()));
        show.say(format!("{} leases", shared.seen().leases()));
    })
    .await;
    show.finish();
    let span = shared.began.elapsed();
    let seen = mem::replace(&mut *shared.seen(), Measured::new());
    Measured { span, ..seen }
}

/// Lets all callers call until there is nothing left to call for.
async fn phase(connections: &[Arc<Remote>], load: &Load, shared: &Arc<Shared>, show: impl Fn()) {
    let mut callers = JoinSet::new();
    for remote in connections {
        for _ in 0..load.in_flight {
            let (remote, shared) = (remote.clone(), shared.clone());
            let caller = Caller { remote, blank: load.blank.clone(), pace: load.pace, shared };
            callers.spawn(caller.call());
        }
    }
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            joined = callers.join_next() => if joined.is_none() {
                return;
            },
            _ = ticks.tick() => show(),
            _ = tokio::signal::ctrl_c() => shared.over.cancel(),
        }
    }
}

/// One of those who call.
struct Caller {
    remote: Arc<Remote>,
    blank: CreateLeaseRequest,
    pace: Pace,
    shared: Arc<Shared>,
}

impl Caller {
    async fn call(self) {
        let mut pool = self.remote.pool();
        while let Some(from) = self.next().await {
            let request_id = Uuid::new_v4().to_string();
            let message = CreateLeaseRequest { request_id, ..self.blank.clone() };
            let result = pool.create_lease(self.remote.request(message)).await.map(drop);
            self.shared.seen().note(result, from.elapsed());
        }
    }

    /// From when the next call counts, once it may begin; `None`: there is none any more.
    async fn next(&self) -> Option<Instant> {
        let shared = &self.shared;
        if !shared.take() {
            return None;
        }
        let from = match self.pace {
            Pace::Closed => Instant::now(),
            Pace::Open(rate) => {
                let due = shared.due(rate);
                if due < shared.until && Instant::now() < due {
                    shared.over.run_until_cancelled(sleep_until(due)).await;
                    // A caller was free in time. How late the timer is, is nothing of the daemon's.
                    Instant::now()
                } else {
                    due
                }
            }
        };
        (from < shared.until && !shared.over.is_cancelled()).then_some(from)
    }
}

impl Shared {
    /// Begins now.
    fn until(span: Duration, calls: u64) -> Self {
        let began = Instant::now();
        Self {
            began,
            until: began + span,
            calls: AtomicU64::new(0),
            left: AtomicU64::new(calls),
            over: CancellationToken::new(),
            seen: Mutex::new(Measured::new()),
        }
    }

    /// Whether one more call may be made.
    fn take(&self) -> bool {
        let fewer = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }

    /// When the next call is due, at so many a second.
    fn due(&self, rate: u32) -> Instant {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "52 bits of calls are enough")]
        let after = call as f64 / f64::from(rate);
        self.began + Duration::from_secs_f64(after)
    }

    fn seen(&self) -> MutexGuard<'_, Measured> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
