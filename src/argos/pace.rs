//! How often ARGOS may be called, and when not at all (R2). A pure state machine: time and randomness
//! arrive as arguments, and every admitted call is expected to be heard of again.
//!
//! Four things hold a call back, and all of them must agree before one leaves:
//!
//! - the [`budget`]: so many calls a second and a day, with a share kept for every purpose;
//! - a pause that ARGOS asked for (`Retry-After`), which success of another call does not shorten;
//! - back-off after failures in a row, with full jitter, so that many daemons do not come back at once;
//! - the circuit: after [`PacePolicy::circuit_failures`] failures in a row, or when ARGOS refuses our
//!   key or address, nothing leaves for [`PacePolicy::circuit_open`], and then one call to try.
//!
//! A body that ARGOS cannot open is treated like a refused key, with one difference: questions carry no
//! body and go well all the same, so only a call with a body ends that state ([`Impression::Answered`]).
//!
//! Being throttled is no failure of ARGOS: it backs off and lowers the rate, and leaves the circuit
//! alone. An answer that turns down the request itself proves that ARGOS answers. What to do about
//! that request is decided elsewhere.

pub mod budget;

use std::time::Duration;

pub use budget::Allowance;

use self::budget::Budget;
use crate::{
    domain::{entropy::Entropy, time::Timestamp},
    port::{Condition, Doubtful, DoubtfulCause, Hold, Outcome, Purpose, Refused, RefusedCause},
};

/// Bounds on calling.
#[derive(Clone, Copy, Debug)]
pub struct PacePolicy {
    pub allowance: Allowance,
    /// The first back-off is drawn from zero to this; it doubles with every failure in a row …
    pub backoff_min: Duration,
    /// … up to this.
    pub backoff_max: Duration,
    /// Failures in a row that open the circuit.
    pub circuit_failures: u32,
    /// How long an open circuit lets nothing through.
    pub circuit_open: Duration,
}

/// What one call taught us about the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impression {
    /// It did what was asked, or turned down this one request for a reason of its own.
    Well,
    /// It answered a question, which has no body that it would have had to open.
    Answered,
    Throttled,
    Failed,
    KeyRefused,
    AddressRefused,
    /// It cannot open what we send.
    TransferRefused,
    /// It answered, and what it said cannot be read: other calls need not wait for that.
    Nothing,
}

impl Impression {
    pub fn of<T>(outcome: &Outcome<T>) -> Self {
        match outcome {
            Outcome::Settled(_) => Self::Well,
            Outcome::Refused(Refused { cause, .. }) => match cause {
                RefusedCause::Request | RefusedCause::TooMany => Self::Well,
                RefusedCause::NotSent => Self::Failed,
                RefusedCause::Key => Self::KeyRefused,
                RefusedCause::Address => Self::AddressRefused,
                RefusedCause::Transfer => Self::TransferRefused,
                RefusedCause::Throttled => Self::Throttled,
            },
            Outcome::Doubtful(Doubtful { cause, .. }) => match cause {
                DoubtfulCause::CapReached => Self::Well,
                DoubtfulCause::Unanswered | DoubtfulCause::Failed | DoubtfulCause::Unclear => {
                    Self::Failed
                }
            },
        }
    }
}

/// When an outcome asks to be left alone for a while.
pub fn pause_of<T>(outcome: &Outcome<T>) -> Option<Duration> {
    match outcome {
        Outcome::Settled(_) => None,
        Outcome::Refused(refused) => refused.retry_after,
        Outcome::Doubtful(doubtful) => doubtful.retry_after,
    }
}

/// A pair of clocks read at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Pool time, which everything is measured in.
    pub now: Timestamp,
    /// Wall time, which only tells the day of the daily budget.
    pub wall: Timestamp,
}

/// ```text
///          circuit_failures in a row, or key, address or transfer refused
/// Closed ─────────────────────────────────────────────────────▶ Open ◀─────────┐
///    ▲                                                           │ circuit_open │ it failed
///    └────────────── it went well ──────────── Trying ◀──────────┴─ one call ───┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed,
    /// Nothing leaves before `until`; the first call after it is the one that tries.
    Open {
        until: Timestamp,
    },
    /// One call is on its way. If nothing is heard of it by `until`, another one tries.
    Trying {
        until: Timestamp,
    },
}

/// The state of calling.
#[derive(Debug)]
pub struct Pace {
    policy: PacePolicy,
    budget: Budget,
    circuit: Circuit,
    condition: Condition,
    /// Failures in a row: what the circuit counts.
    failures: u32,
    /// Calls in a row that failed or were throttled: what back-off grows with.
    setbacks: u32,
    /// Back-off: lifted by the next call that goes well.
    backoff_until: Timestamp,
    /// A pause that ARGOS asked for: lifted by time alone.
    pause_until: Timestamp,
}

impl Pace {
    /// Begins with an empty bucket: a crash loop must not add up to a budget (R2).
    pub fn new(policy: PacePolicy, at: Moment) -> Self {
        Self {
            policy,
            budget: Budget::new(policy.allowance, at),
            circuit: Circuit::Closed,
            condition: Condition::Up,
            failures: 0,
            setbacks: 0,
            backoff_until: Timestamp::ZERO,
            pause_until: Timestamp::ZERO,
        }
    }

    /// Lets one call leave, or says how long it is not worth asking again.
    pub fn admit(&mut self, purpose: Purpose, at: Moment) -> Result<(), Hold> {
        let opens = self.opens();
        if at.now < opens {
            return Err(Hold { retry_after: opens.since(at.now) });
        }
        self.budget.spend(purpose, at)?;
        match self.circuit {
            Circuit::Closed => {}
            Circuit::Open { .. } | Circuit::Trying { .. } => {
                let until = at.now.plus(self.policy.circuit_open);
                self.circuit = Circuit::Trying { until };
            }
        }
        Ok(())
    }

    /// Hears how an admitted call ended, and the pause that its answer asked for.
    pub fn hear(
        &mut self,
        impression: Impression,
        pause: Option<Duration>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) {
        if let Some(pause) = pause {
            self.pause_until = self.pause_until.max(now.plus(pause));
        }
        let open = Circuit::Open { until: now.plus(self.policy.circuit_open) };
        match impression {
            Impression::Well | Impression::Answered => {
                self.failures = 0;
                self.setbacks = 0;
                self.backoff_until = now;
                self.budget.raise();
                if impression == Impression::Answered
                    && self.condition == Condition::TransferRefused
                {
                    // Whether it opens what we send is not said: the next call may try at once.
                    self.end_trying(now);
                } else {
                    self.circuit = Circuit::Closed;
                    self.condition = Condition::Up;
                }
            }
            Impression::Throttled => {
                self.back_off(now, entropy);
                self.budget.lower();
                self.condition = Condition::Throttled;
                // It answers: the next call may try again, when the back-off allows.
                self.end_trying(now);
            }
            Impression::Failed => {
                self.failures = self.failures.saturating_add(1);
                let down = self.failures >= self.policy.circuit_failures;
                self.condition = if down { Condition::Down } else { Condition::Failing };
                match self.circuit {
                    // An open circuit is pause enough; back-off covers the time before.
                    Circuit::Closed if !down => self.back_off(now, entropy),
                    Circuit::Closed | Circuit::Trying { .. } => self.circuit = open,
                    // A call from before it opened tells nothing new.
                    Circuit::Open { .. } => {}
                }
            }
            Impression::KeyRefused => {
                self.condition = Condition::KeyRefused;
                self.circuit = open;
            }
            Impression::AddressRefused => {
                self.condition = Condition::AddressRefused;
                self.circuit = open;
            }
            Impression::TransferRefused => {
                self.condition = Condition::TransferRefused;
                self.circuit = open;
            }
            Impression::Nothing => {}
        }
    }

    /// Another key is in use: whether it is refused too is worth one call at once. What is sealed is
    /// sealed with it, so it may be what ARGOS could not open.
    pub fn key_replaced(&mut self, now: Timestamp) {
        if matches!(self.condition, Condition::KeyRefused | Condition::TransferRefused) {
            self.circuit = Circuit::Open { until: now };
        }
    }

    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// When calls that are held back by more than the budget may be tried again.
    pub fn next_attempt(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.opens()).filter(|opens| *opens > now)
    }

    /// Calls that a day may have.
    pub fn budget(&self) -> u32 {
        self.budget.daily()
    }

    /// Calls left today.
    pub fn budget_remaining(&self, at: Moment) -> u32 {
        self.budget.remaining(at)
    }

    /// Calls left today that this purpose may make; the rest is kept for the others.
    pub fn budget_for(&self, purpose: Purpose, at: Moment) -> u32 {
        self.budget.left_for(purpose, at)
    }

    /// When everything but the budget lets a call through.
    fn opens(&self) -> Timestamp {
        let circuit = match self.circuit {
            Circuit::Closed => Timestamp::ZERO,
            Circuit::Open { until } | Circuit::Trying { until } => until,
        };
        circuit.max(self.backoff_until).max(self.pause_until)
    }

    /// The call that tried said nothing of what it tried for: another one may.
    fn end_trying(&mut self, now: Timestamp) {
        if let Circuit::Trying { .. } = self.circuit {
            self.circuit = Circuit::Open { until: now };
        }
    }

    /// Full jitter: anything from zero to the bound, which doubles with every setback in a row.
    fn back_off(&mut self, now: Timestamp, entropy: &mut dyn Entropy) {
        let doublings = self.setbacks.min(31);
        self.setbacks = self.setbacks.saturating_add(1);
        let bound = self.policy.backoff_min.saturating_mul(1 << doublings);
        let bound = bound.min(self.policy.backoff_max);
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        let part = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        self.backoff_until = self.backoff_until.max(now.plus(bound.mul_f64(part)));
    }
}

#[cfg(test)]
mod tests;
