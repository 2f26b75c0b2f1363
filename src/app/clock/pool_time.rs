//! Pool time as a state machine: readings of clocks go in, pool time comes out (T1).
//!
//! Pool time runs on the boot-time clock, which counts suspend and cannot be set. Where it stands is
//! compared with the wall clock, and with what ARGOS's clock said within the last hour:
//!
//! ```text
//! wall clock within 60 s of pool time       Slew    towards it, slowly
//! further away, and ARGOS does not agree    Doubt   go on as it was
//! ahead, and ARGOS agrees with it           Step    to it, at once
//! back, and ARGOS agrees with it            Wait    at half speed until they meet
//! ```
//!
//! *Agrees* means that ARGOS and the wall clock are within 60 s of each other. Neither moves time alone,
//! however many projects hear from ARGOS. The price: while ARGOS cannot be asked after a long downtime,
//! pool time stays behind by that downtime. Leases then seem younger than they are and tokens are kept
//! longer; nothing goes too early.
//!
//! Before the first ledger has said how far time had come, pool time is a mere reading of the wall
//! clock. Nothing was recorded by it, so the first record may turn it back, and nothing else ever does.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// Clocks that are no further apart agree. What ARGOS says is whole seconds, and late by the way here.
const AGREEMENT: Duration = Duration::from_secs(60);
/// What ARGOS said longer ago is not used: the boot-time clock drifts, and does not run while a virtual
/// machine is paused. ARGOS is asked for its count twice an hour.
const TOLD_AGE_MAX: Duration = Duration::from_secs(3_600);
/// Small differences: one part in this many faster or slower, as NTP does it.
const SLEW: u32 = 2_000;
/// Pool time that is ahead of everybody loses one part in this many.
const SLOWING: u32 = 2;

/// Both clocks of a machine at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Since the machine started, suspend included.
    pub boot: Duration,
    /// Since the Unix epoch.
    pub wall: Duration,
}

/// So much pool time that `span` has passed for certain: it may run a little fast, and its moments are
/// whole milliseconds, one at either end.
pub fn outlasting(span: Duration) -> Duration {
    span + span / SLEW + Duration::from_millis(2)
}

/// Something a person should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The wall clock is too far away to be followed.
    Doubted { ahead: bool, by: Duration },
    /// Pool time took a step that is believed.
    Stepped { by: Duration },
    /// Pool time is ahead by this much, and waits for the others at half speed.
    Slowed { by: Duration },
    /// The wall clock and pool time are together again.
    Met,
}

/// What is done about the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Slew,
    Doubt,
    Step,
    Wait,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    by_argos: Duration,
    /// In boot time.
    heard: Duration,
}

#[derive(Debug)]
pub(super) struct PoolTime {
    /// Since the Unix epoch, in nanoseconds, so that many small advances lose nothing.
    now: Duration,
    /// The boot time at `now`.
    boot: Duration,
    told: Option<Told>,
    course: Course,
    /// A ledger was opened: what is recorded is measured by this time.
    begun: bool,
    steps: u64,
}

impl PoolTime {
    pub(super) fn start(at: Reading) -> Self {
        let course = Course::Slew;
        Self { now: at.wall, boot: at.boot, told: None, course, begun: false, steps: 0 }
    }

    /// As of the last advance.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::ZERO.plus(self.now)
    }

    /// How often time went further than time had passed, since it began.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// As of the last advance: nobody vouches for the wall clock, and nobody for pool time.
    pub(super) fn in_doubt(&self) -> bool {
        let vouched = self.argos().is_some_and(|argos| argos.abs_diff(self.now) <= AGREEMENT);
        self.course == Course::Doubt && !vouched
    }

    /// Goes on to this moment: by no less than half of what the boot-time clock went.
    pub(super) fn advance(&mut self, at: Reading) -> Option<Change> {
        let passed = at.boot.saturating_sub(self.boot);
        self.boot = self.boot.max(at.boot);
        self.now += passed;
        let ahead = self.now.saturating_sub(at.wall);
        let behind = at.wall.saturating_sub(self.now);
        let course = self.course(at.wall);
        let before = std::mem::replace(&mut self.course, course);
        match course {
            Course::Slew => {
                self.now += behind.min(passed / SLEW);
                self.now -= ahead.min(passed / SLEW);
            }
            Course::Doubt => {}
            Course::Step => {
                self.now = at.wall;
                self.steps += 1;
            }
            Course::Wait => self.now -= ahead.min(passed / SLOWING),
        }
        (course != before).then_some(match course {
            // A step has told already that they are together.
            Course::Slew if before == Course::Step => return None,
            Course::Slew => Change::Met,
            Course::Doubt => Change::Doubted { ahead: ahead.is_zero(), by: ahead.max(behind) },
            Course::Step => Change::Stepped { by: behind },
            Course::Wait => Change::Slowed { by: ahead },
        })
    }

    /// Goes on from a recorded time. The wall clock is as good where it is a little later; every
    /// other difference is a doubt, because how long nobody recorded anything is not known.
    pub(super) fn continue_from(&mut self, recorded: Timestamp, at: Reading) -> Option<Change> {
        let change = self.advance(at);
        let begun = std::mem::replace(&mut self.begun, true);
        let recorded = Duration::from_millis(recorded.as_millis());
        // Of several ledgers the one that came furthest counts, and a new one has nothing to say.
        if recorded.is_zero() || (begun && recorded <= self.now) {
            return change;
        }
        let is_short = at.wall >= recorded && at.wall - recorded <= AGREEMENT;
        self.now = if is_short { at.wall } else { recorded };
        self.steps += u64::from(begun);
        self.advance(at).or(change)
    }

    /// ARGOS's clock said this at this moment.
    pub(super) fn told(&mut self, by_argos: Timestamp, at: Reading) -> Option<Change> {
        let by_argos = Duration::from_millis(by_argos.as_millis());
        self.told = Some(Told { by_argos, heard: at.boot });
        self.advance(at)
    }

    /// What to do about this wall clock, now that pool time has come as far as boot time.
    fn course(&self, wall: Duration) -> Course {
        let agreed = self.argos().is_some_and(|argos| argos.abs_diff(wall) <= AGREEMENT);
        // Waiting ends where they meet, not where they are close.
        let waits = self.course == Course::Wait && agreed && wall < self.now;
        match (self.now.abs_diff(wall) <= AGREEMENT, agreed) {
            _ if waits => Course::Wait,
            (true, _) => Course::Slew,
            (false, false) => Course::Doubt,
            (false, true) if wall < self.now => Course::Wait,
            (false, true) => Course::Step,
        }
    }

    /// What ARGOS's clock shows at this moment, from what it said last.
    fn argos(&self) -> Option<Duration> {
        let Told { by_argos, heard } = self.told?;
        let since = self.boot.saturating_sub(heard);
        (since <= TOLD_AGE_MAX).then(|| by_argos.saturating_add(since))
    }
}

#[cfg(test)]
mod tests;
