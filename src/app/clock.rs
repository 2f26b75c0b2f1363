//! The system's clock, made fit for leases.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{domain::time::Timestamp, port::Clock};

/// A wall clock further away than this is not followed: it jumped.
const BELIEVED: Duration = Duration::from_secs(60);
/// While it is followed, pool time goes at most one part in this many faster or slower.
const SLEW: u64 = 2_000;

/// Pool time (T1): the boot-time clock, which counts suspend and cannot be set, from an anchor in wall
/// time. Small differences to the wall clock are slewed away; a jump is not followed.
#[derive(Debug)]
pub struct SystemClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Pool time at the boot time `boot`.
    anchor: Timestamp,
    boot: Duration,
}

impl SystemClock {
    pub fn start() -> Self {
        Self { state: Mutex::new(State { anchor: wall(), boot: boot_time() }) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let elapsed = boot_time().saturating_sub(state.boot);
        let now = state.anchor.plus(elapsed);
        if elapsed < Duration::from_secs(1) {
            return now;
        }
        *state = State { anchor: slewed(now, wall(), elapsed), boot: state.boot + elapsed };
        state.anchor
    }

    fn continue_from(&self, at: Timestamp) {
        let now = self.now();
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.anchor = state.anchor.plus(at.since(now));
    }
}

/// Pool time after `elapsed`, a little nearer to the wall clock, and never back.
fn slewed(now: Timestamp, wall: Timestamp, elapsed: Duration) -> Timestamp {
    let most = Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) / SLEW);
    let (ahead, behind) = (now.since(wall), wall.since(now));
    if ahead > BELIEVED || behind > BELIEVED {
        return now;
    }
    now.plus(behind.min(most)).minus(ahead.min(most))
}

fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    /// T1.
    #[test]
    fn a_small_difference_is_slewed_away_and_time_never_steps_back() {
        let second = Duration::from_secs(10);
        assert_eq!(slewed(NOON, NOON.plus(second), MINUTE), NOON.plus(Duration::from_millis(30)));
        let slower = slewed(NOON.plus(MINUTE), NOON.plus(MINUTE).minus(second), MINUTE);
        assert!(slower > NOON && slower < NOON.plus(MINUTE));
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_not_followed() {
        let day = Duration::from_secs(86_400);
        assert_eq!(slewed(NOON, NOON.plus(day), MINUTE), NOON);
        assert_eq!(slewed(NOON, NOON.minus(day), MINUTE), NOON);
    }

    #[test]
    fn after_a_restart_time_goes_on_from_where_it_was_recorded() {
        let clock = SystemClock::start();
        let recorded = clock.now().plus(Duration::from_secs(3_600));
        clock.continue_from(recorded);
        assert!(clock.now() >= recorded);
        clock.continue_from(NOON.minus(MINUTE));
        assert!(clock.now() >= recorded, "an older record turns nothing back");
    }
}
