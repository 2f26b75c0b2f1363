//! What must be done now and then although nobody rings.
//!
//! Bells come from a scheduler that is known to stop ringing after a stall. Each chore therefore has a
//! time after which the engine does it unasked.

use std::time::Duration;

use super::Bell;
use crate::domain::time::Timestamp;

const CHORES: [(Bell, Duration); 5] = [
    (Bell::Floor, Duration::from_secs(30)),
    (Bell::Count, Duration::from_secs(30 * 60)),
    (Bell::Listing, Duration::from_secs(30 * 3_600)),
    (Bell::Retention, Duration::from_secs(6 * 3_600)),
    (Bell::Audit, Duration::from_secs(6 * 3_600)),
];

/// When each chore was done last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chores {
    done: [Timestamp; CHORES.len()],
}

impl Chores {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { done: [now; CHORES.len()] }
    }

    pub(super) fn done(&mut self, bell: Bell, now: Timestamp) {
        for (done, (chore, _)) in self.done.iter_mut().zip(CHORES) {
            if chore == bell {
                *done = now;
            }
        }
    }

    /// Those that nobody asked for in time.
    pub(super) fn overdue(&self, now: Timestamp) -> impl Iterator<Item = Bell> + use<> {
        let done = self.done;
        CHORES
            .into_iter()
            .zip(done)
            .filter(move |((_, every), done)| now.since(*done) >= *every)
            .map(|((bell, _), _)| bell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_is_done_unasked_when_no_bell_rings() {
        let mut chores = Chores::new(Timestamp::ZERO);
        let hour = Timestamp::ZERO.plus(Duration::from_secs(3_600));
        assert_eq!(chores.overdue(hour).collect::<Vec<_>>(), [Bell::Floor, Bell::Count]);
        chores.done(Bell::Floor, hour);
        chores.done(Bell::Count, hour);
        assert_eq!(chores.overdue(hour).count(), 0);
    }

    #[test]
    fn each_chore_waits_for_its_bell_as_long_as_it_can_be_late() {
        let (minutes, hours) = (60_000, 3_600_000);
        for (bell, millis) in [
            (Bell::Floor, 30_000),
            (Bell::Count, 30 * minutes),
            (Bell::Listing, 30 * hours),
            (Bell::Retention, 6 * hours),
            (Bell::Audit, 6 * hours),
        ] {
            let chores = Chores::new(Timestamp::ZERO);
            let is_due = |at| chores.overdue(Timestamp::from_millis(at)).any(|due| due == bell);
            assert!(!is_due(millis - 1) && is_due(millis), "{bell:?}");
        }
    }
}
