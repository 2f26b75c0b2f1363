//! The system's clock, made fit for leases.
//!
//! [`PoolTime`] decides; here the two clocks of the system are read, and changes are told.

mod pool_time;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use self::pool_time::{Change, PoolTime};
pub use self::pool_time::{Reading, outlasting};
use crate::{domain::time::Timestamp, port::Clock};

/// Pool time from the clocks of this machine (T1).
pub struct SystemClock {
    time: Mutex<PoolTime>,
    read: Box<dyn Fn() -> Reading + Send + Sync>,
}

impl SystemClock {
    pub fn start() -> Self {
        Self::reading(system)
    }

    /// With the clocks of another machine.
    pub fn reading(read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        Self { time: Mutex::new(PoolTime::start(read())), read: Box::new(read) }
    }

    /// Read under the lock, so that readings arrive in their order.
    fn with<T>(&self, look: impl FnOnce(&mut PoolTime, Reading) -> (T, Option<Change>)) -> T {
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, change) = look(&mut time, (self.read)());
        drop(time);
        if let Some(change) = change {
            tell(change);
        }
        result
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.with(|time, at| {
            let change = time.advance(at);
            (time.now(), change)
        })
    }

    fn continue_from(&self, at: Timestamp) {
        self.with(|time, reading| ((), time.continue_from(at, reading)));
    }

    fn told(&self, by_argos: Timestamp) {
        self.with(|time, at| ((), time.told(by_argos, at)));
    }

    fn in_doubt(&self) -> bool {
        self.with(|time, at| {
            let change = time.advance(at);
            (time.in_doubt(), change)
        })
    }

    fn steps(&self) -> u64 {
        self.with(|time, at| {
            let change = time.advance(at);
            (time.steps(), change)
        })
    }

    fn wall(&self) -> Timestamp {
        Timestamp::ZERO.plus((self.read)().wall)
    }
}

/// One line for every change of what is believed, and none for every look at it.
fn tell(change: Change) {
    match change {
        Change::Doubted { ahead, by } => tracing::warn!(
            direction = if ahead { "ahead" } else { "back" },
            seconds = by.as_secs(),
            "wall clock differs from pool time and is not followed until ARGOS agrees with it"
        ),
        Change::Stepped { by } => tracing::warn!(
            seconds = by.as_secs(),
            "wall clock is believed because ARGOS agrees with it; pool time stepped forward"
        ),
        Change::Slowed { by } => tracing::warn!(
            seconds = by.as_secs(),
            "wall clock is believed because ARGOS agrees with it; pool time is ahead and runs slower"
        ),
        Change::Met => tracing::info!("wall clock and pool time agree again"),
    }
}

fn system() -> Reading {
    let boot = clock_gettime(ClockId::Boottime);
    let boot = Duration::new(
        u64::try_from(boot.tv_sec).unwrap_or_default(),
        u32::try_from(boot.tv_nsec).unwrap_or_default(),
    );
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Reading { boot, wall }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T1.
    #[test]
    fn the_clock_of_this_machine_goes_on() {
        let clock = SystemClock::start();
        let began = clock.now();
        assert!(clock.wall().since(began) < Duration::from_secs(60));
        // A bounded number of readings, of which each takes some time.
        let moved = (0..10_000_000).any(|_| clock.now() > began);
        assert!(moved, "time stands still");
    }
}
