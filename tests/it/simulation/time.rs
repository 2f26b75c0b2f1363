//! The time of a run, and the clocks of the machine that the daemon runs on.
//!
//! Time goes on with tokio's paused clock while a process lives, and stands still between two of them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use argospool::app::clock::Reading;
use tokio::time::Instant;

/// The Unix time at which every run begins.
const BORN: Duration = Duration::from_secs(1_800_000_000);
/// The machine has been up for a while by then.
const UP: Duration = Duration::from_secs(1_000);

/// Shared by everybody in a run.
#[derive(Clone, Default)]
pub struct Time(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Since the run began, as of the start of tokio's clock, and that start.
    base: Mutex<(Duration, Option<Instant>)>,
    /// How far the wall clock is off, in seconds.
    skew: AtomicI64,
}

impl Time {
    /// A runtime with a clock of its own begins.
    pub fn resume(&self) {
        self.0.base.lock().unwrap().1 = Some(Instant::now());
    }

    /// The runtime ends.
    pub fn halt(&self) {
        let elapsed = self.elapsed();
        *self.0.base.lock().unwrap() = (elapsed, None);
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        let (base, start) = *self.0.base.lock().unwrap();
        base + start.map_or(Duration::ZERO, |start| start.elapsed())
    }

    /// Where tokio's clock stands at this time of the run.
    pub fn instant(&self, at: Duration) -> Instant {
        let (base, start) = *self.0.base.lock().unwrap();
        start.expect("a runtime is running") + at.saturating_sub(base)
    }

    /// What time it really is, in milliseconds since the epoch: the time of ARGOS.
    pub fn truth(&self) -> i64 {
        i64::try_from((BORN + self.elapsed()).as_millis()).unwrap()
    }

    pub fn set_skew(&self, seconds: i32) {
        self.0.skew.store(i64::from(seconds), Ordering::Relaxed);
    }

    /// How far the wall clock is off.
    pub fn skew(&self) -> Duration {
        Duration::from_secs(self.0.skew.load(Ordering::Relaxed).unsigned_abs())
    }

    /// What the clocks of the machine show.
    pub fn reading(&self) -> Reading {
        let elapsed = self.elapsed();
        let skew = self.0.skew.load(Ordering::Relaxed);
        let off = self.skew();
        let wall = BORN + elapsed;
        let wall = if skew < 0 { wall - off } else { wall + off };
        Reading { boot: UP + elapsed, wall }
    }
}
