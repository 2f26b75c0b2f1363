//! How many leases a caller may ask for in a minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{domain::fault::Reason, engine::Rejection};

const MINUTE: Duration = Duration::from_secs(60);

/// A bucket that holds a minute's worth and refills evenly. Asking counts, served or not.
#[derive(Debug)]
pub(super) struct Quota {
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: f64,
    at: Instant,
}

impl Quota {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { most, state: Mutex::new(State { left: f64::from(most), at: now }) }
    }

    pub(super) fn spend(&self, leases: u32, now: Instant) -> Result<(), Rejection> {
        let message = format!("the caller's quota is {} leases per minute", self.most);
        let refusal = Rejection::new(Reason::CallerQuota, message);
        if leases > self.most {
            // Waiting does not help.
            return Err(refusal);
        }
        let per_second = f64::from(self.most) / MINUTE.as_secs_f64();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + elapsed * per_second).min(f64::from(self.most));
        state.at = now;
        let lacking = f64::from(leases) - state.left;
        if lacking > 0.0 {
            return Err(refusal.retry_after(Duration::from_secs_f64(lacking / per_second)));
        }
        state.left -= f64::from(leases);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_refills_evenly_and_says_when_to_come_back() {
        let start = Instant::now();
        let quota = Quota::new(60, start);
        quota.spend(60, start).unwrap();
        let refused = quota.spend(2, start).unwrap_err();
        assert_eq!(refused.reason, Reason::CallerQuota);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(2)));
        quota.spend(2, start + Duration::from_secs(2)).unwrap();
        assert!(quota.spend(1, start + Duration::from_secs(2)).is_err());
    }

    #[test]
    fn a_quota_never_saves_more_than_a_minute() {
        let start = Instant::now();
        let quota = Quota::new(10, start);
        let later = start + Duration::from_secs(3_600);
        quota.spend(10, later).unwrap();
        assert!(quota.spend(1, later).is_err());
    }

    #[test]
    fn more_than_a_whole_quota_is_not_worth_repeating() {
        let start = Instant::now();
        assert_eq!(Quota::new(10, start).spend(11, start).unwrap_err().retry_after, None);
    }
}
