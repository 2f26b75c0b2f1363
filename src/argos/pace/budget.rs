//! So many calls a second and a day, and a share of both that belongs to every purpose.
//!
//! There is one bucket, which bounds all calls together, and of what is in it a part is *set aside*
//! for every purpose. What is set aside grows at the purpose's share of the rate, up to a bound of at
//! least one whole call. A call takes what is set aside for its own purpose, and beyond that whatever
//! is set aside for nobody. So a purpose that is silent is lent out beyond its bound, and one that
//! asks, however rarely, finds its share: no other purpose can have spent it.
//!
//! The day works the same way, with the part of each share that the rest of the day is worth.

use std::time::Duration;

use super::Moment;
use crate::{
    domain::time::Timestamp,
    port::{Hold, Purpose},
};

const DAY_MILLIS: u64 = 86_400_000;
/// Asking again is worth it after this at the latest: what is set aside is lent out as the day passes.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Being throttled halves the rate, not below this part of it; each call that goes well adds a step.
const RATE_FACTOR_MIN: f64 = 1.0 / 16.0;
const RATE_FACTOR_STEP: f64 = 1.0 / 32.0;

const PURPOSES: usize = 4;

/// How many calls there are to spend.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub calls_per_second: f64,
    /// What may be saved up. Below 4 nothing can be set aside for four purposes, and whoever asks
    /// first is served.
    pub calls_burst: u32,
    /// From 00:00 UTC to 00:00 UTC.
    pub calls_per_day: u32,
    /// The part that belongs to deletions, 0 to 1.
    pub purge_share: f64,
    /// The part that belongs to counts, look-ups and listings of tokens, 0 to 1.
    pub reconcile_share: f64,
    /// The part that belongs to questions about submissions, 0 to 1. Registrations have the rest.
    pub outcome_share: f64,
}

impl Allowance {
    fn shares(&self) -> [f64; PURPOSES] {
        let purge = self.purge_share.clamp(0.0, 1.0);
        let reconcile = self.reconcile_share.clamp(0.0, 1.0 - purge);
        let outcomes = self.outcome_share.clamp(0.0, 1.0 - purge - reconcile);
        let mut shares = [0.0; PURPOSES];
        shares[index(Purpose::Refill)] = 1.0 - purge - reconcile - outcomes;
        shares[index(Purpose::Outcomes)] = outcomes;
        shares[index(Purpose::Purge)] = purge;
        shares[index(Purpose::Reconcile)] = reconcile;
        shares
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    allowance: Allowance,
    shares: [f64; PURPOSES],
    /// Calls in the bucket. Never less than everything that is set aside.
    level: f64,
    set_aside: [f64; PURPOSES],
    filled: Timestamp,
    rate_factor: f64,
    /// Days since the epoch, as the wall clock told them last.
    day: u64,
    spent_today: [u32; PURPOSES],
}

impl Budget {
    pub(super) fn new(allowance: Allowance, at: Moment) -> Self {
        Self {
            allowance,
            shares: allowance.shares(),
            level: 0.0,
            set_aside: [0.0; PURPOSES],
            filled: at.now,
            rate_factor: 1.0,
            day: day(at.wall),
            spent_today: [0; PURPOSES],
        }
    }

    /// Spends one call, or says when there may be one.
    pub(super) fn spend(&mut self, purpose: Purpose, at: Moment) -> Result<(), Hold> {
        self.fill(at.now);
        self.turn_day(at.wall);
        let own = index(purpose);

        let missing = 1.0 - (self.level - others(&self.set_aside, own));
        if missing > 0.0 {
            return Err(Hold { retry_after: self.time_to_gain(missing) });
        }
        if self.today(own, at.wall) < 1.0 {
            let midnight = Duration::from_millis(DAY_MILLIS - at.wall.as_millis() % DAY_MILLIS);
            return Err(Hold { retry_after: midnight.min(HOLD_MAX) });
        }

        self.level -= 1.0;
        self.set_aside[own] = (self.set_aside[own] - 1.0).max(0.0);
        self.spent_today[own] = self.spent_today[own].saturating_add(1);
        Ok(())
    }

    pub(super) fn daily(&self) -> u32 {
        self.allowance.calls_per_day
    }

    pub(super) fn remaining(&self, at: Moment) -> u32 {
        self.allowance.calls_per_day.saturating_sub(sum(&self.spent_by(at.wall)))
    }

    /// Whole calls of today that a purpose may still make, as of now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "calls of a day")]
    pub(super) fn left_for(&self, purpose: Purpose, at: Moment) -> u32 {
        self.today(index(purpose), at.wall).max(0.0) as u32
    }

    pub(super) fn lower(&mut self) {
        self.rate_factor = (self.rate_factor / 2.0).max(RATE_FACTOR_MIN);
    }

    pub(super) fn raise(&mut self) {
        self.rate_factor = (self.rate_factor + RATE_FACTOR_STEP).min(1.0);
    }

    fn rate(&self) -> f64 {
        self.allowance.calls_per_second * self.rate_factor
    }

    /// What may be set aside for a purpose at most. All of it together is the burst, so that a full
    /// bucket holds nothing that nobody may take.
    fn set_aside_max(&self, purpose: usize) -> f64 {
        let spare = f64::from(self.allowance.calls_burst) - PURPOSES as f64;
        if spare < 0.0 { 0.0 } else { 1.0 + self.shares[purpose] * spare }
    }

    fn fill(&mut self, now: Timestamp) {
        let gained = self.rate() * now.since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.level = (self.level + gained).min(f64::from(self.allowance.calls_burst));
        for purpose in 0..PURPOSES {
            let grown = self.set_aside[purpose] + gained * self.shares[purpose];
            self.set_aside[purpose] = grown.min(self.set_aside_max(purpose));
        }
    }

    /// Never too late: as if all of the rate were ours. Asking again costs nothing.
    fn time_to_gain(&self, missing: f64) -> Duration {
        Duration::try_from_secs_f64(missing / self.rate())
            .unwrap_or(HOLD_MAX)
            .clamp(Duration::from_millis(1), HOLD_MAX)
    }

    /// A wall clock that steps back does not bring a budget with it.
    fn turn_day(&mut self, wall: Timestamp) {
        if day(wall) > self.day {
            self.spent_today = [0; PURPOSES];
        }
        self.day = day(wall);
    }

    /// What is left of the day for a purpose: all but what is kept for the others.
    fn today(&self, own: usize, wall: Timestamp) -> f64 {
        let calls = f64::from(self.allowance.calls_per_day);
        let spent = self.spent_by(wall);
        let passed = (wall.as_millis() % DAY_MILLIS) as f64 / DAY_MILLIS as f64;
        let mut set_aside = [0.0; PURPOSES];
        for (purpose, kept) in set_aside.iter_mut().enumerate() {
            let share = calls * self.shares[purpose];
            let unspent = share - f64::from(spent[purpose]);
            *kept = unspent.clamp(0.0, share * (1.0 - passed));
        }
        calls - f64::from(sum(&spent)) - others(&set_aside, own)
    }

    /// What was spent of the day that it is. Whoever looks does not turn the day: a wall clock that was ahead
    /// for one look would bring a budget with it.
    fn spent_by(&self, wall: Timestamp) -> [u32; PURPOSES] {
        if day(wall) > self.day { [0; PURPOSES] } else { self.spent_today }
    }
}

fn sum(calls: &[u32; PURPOSES]) -> u32 {
    calls.iter().fold(0, |sum, calls| sum.saturating_add(*calls))
}

fn others(set_aside: &[f64; PURPOSES], own: usize) -> f64 {
    let mut sum = 0.0;
    for (purpose, calls) in set_aside.iter().enumerate() {
        if purpose != own {
            sum += calls;
        }
    }
    sum
}

const fn index(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Refill => 0,
        Purpose::Purge => 1,
        Purpose::Reconcile => 2,
        Purpose::Outcomes => 3,
    }
}

fn day(wall: Timestamp) -> u64 {
    wall.as_millis() / DAY_MILLIS
}
