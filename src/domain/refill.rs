//! How much to order, and when: the static policy.
//!
//! Full batches first, because every call costs the same and the budget is shared; a part of a batch
//! only when the stock would not last one lead time, for which the low water mark stands (R2).

use super::limits::{POOL_CAP, TOKENS_PER_CALL_MAX};

/// What the stock should be. It cannot be wrong once it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    target: u32,
    low_water: u32,
    /// Tokens of one full batch.
    batch: u32,
    /// Orders that may wait for an answer at the same time.
    calls_in_flight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    #[error("low_water_tokens ({low_water}) must be below target_tokens ({target})")]
    WaterMarks { low_water: u32, target: u32 },
    #[error("target_tokens ({target}) must be 1 to {POOL_CAP}")]
    Target { target: u32 },
    #[error("tokens_per_call ({batch}) must be 1 to {TOKENS_PER_CALL_MAX}")]
    Batch { batch: u32 },
    #[error("calls_in_flight must be at least 1")]
    NoCalls,
}

impl Policy {
    pub fn try_new(
        target: u32,
        low_water: u32,
        batch: u32,
        calls_in_flight: u32,
    ) -> Result<Self, InvalidPolicy> {
        if !(1..=POOL_CAP).contains(&target) {
            return Err(InvalidPolicy::Target { target });
        }
        if !(low_water < target) {
            return Err(InvalidPolicy::WaterMarks { low_water, target });
        }
        if !(1..=TOKENS_PER_CALL_MAX).contains(&batch) {
            return Err(InvalidPolicy::Batch { batch });
        }
        if calls_in_flight == 0 {
            return Err(InvalidPolicy::NoCalls);
        }
        Ok(Self { target, low_water, batch, calls_in_flight })
    }

    pub fn target(&self) -> u32 {
        self.target
    }

    pub fn low_water(&self) -> u32 {
        self.low_water
    }

    pub fn calls_in_flight(&self) -> u32 {
        self.calls_in_flight
    }

    /// Tokens whose registrations may overtake each other.
    pub fn tokens_in_flight(&self) -> u32 {
        self.batch.saturating_mul(self.calls_in_flight)
    }
}

/// What the plan is made from, gathered in one place.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    pub ready: u32,
    /// Tokens of open and of settled orders.
    pub on_their_way: u32,
    /// Everything that holds a slot for us.
    pub held: u32,
    /// Ids that ARGOS counts and we do not know.
    pub foreign: u32,
    /// The cap as last known, and the part of it that is never used.
    pub cap: u32,
    pub reserve: u32,
    /// Orders without doubt that wait for an answer, and doubtful ones.
    pub orders_open: u32,
    pub orders_doubtful: u32,
    /// Tokens an operator asked for beyond the target.
    pub extra: u32,
    /// ARGOS was full a while ago: one order at a time feels its way.
    pub probing: bool,
    /// Ids that one call may carry, where that is less than the policy says.
    pub batch_limit: u32,
    /// Something forbids ordering altogether.
    pub hindrance: Option<Hindrance>,
}

impl View {
    /// Slots that may still be filled (C1).
    pub fn room(&self) -> u32 {
        self.cap.saturating_sub(self.reserve).saturating_sub(self.foreign).saturating_sub(self.held)
    }
}

/// What to order, and why no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tokens the stock is short of.
    pub need: u32,
    /// Orders to place, each of `batch` tokens.
    pub orders: u32,
    pub batch: u32,
    /// Why the rest of the need is not ordered; `None` when there is no rest.
    pub rest: Option<Rest>,
}

/// Why nothing more is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Enough,
    /// Less than a full batch is missing, and the stock lasts.
    LessThanABatch,
    /// As many calls as allowed are waiting for an answer.
    CallsInFlight,
    AtCap,
    Hindered(Hindrance),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    Paused,
    Halted,
    DiskSpace,
    /// ARGOS has not been asked yet how many tokens it holds.
    NotCounted,
    /// ARGOS said that it is full; it is asked again after a pause.
    CapReached,
    Stopping,
}

impl Rest {
    pub const ALL: [Self; 10] = [
        Self::Enough,
        Self::LessThanABatch,
        Self::CallsInFlight,
        Self::AtCap,
        Self::Hindered(Hindrance::Paused),
        Self::Hindered(Hindrance::Halted),
        Self::Hindered(Hindrance::DiskSpace),
        Self::Hindered(Hindrance::NotCounted),
        Self::Hindered(Hindrance::CapReached),
        Self::Hindered(Hindrance::Stopping),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::LessThanABatch => "less_than_a_batch",
            Self::CallsInFlight => "calls_in_flight",
            Self::AtCap => "at_cap",
            Self::Hindered(Hindrance::Paused) => "paused",
            Self::Hindered(Hindrance::Halted) => "halted",
            Self::Hindered(Hindrance::DiskSpace) => "disk_space",
            Self::Hindered(Hindrance::NotCounted) => "not_counted",
            Self::Hindered(Hindrance::CapReached) => "cap_reached",
            Self::Hindered(Hindrance::Stopping) => "stopping",
        }
    }
}

pub fn plan(policy: &Policy, view: &View) -> Plan {
    let position = view.ready + view.on_their_way;
    let need = policy.target.saturating_sub(position).saturating_add(view.extra);
    let rest = |why| Plan { need, orders: 0, batch: 0, rest: Some(why) };
    if need == 0 {
        return rest(Rest::Enough);
    }
    if let Some(hindrance) = view.hindrance {
        return rest(Rest::Hindered(hindrance));
    }
    // Doubtful orders are repeated by at most half of the calls, so that four of them cannot starve
    // the pool.
    let repeats = view.orders_doubtful.min(policy.calls_in_flight / 2);
    let calls = if view.probing { 1 } else { policy.calls_in_flight };
    let calls = calls.saturating_sub(view.orders_open + repeats);
    let full = policy.batch.min(view.batch_limit.max(1));
    let room = view.room();
    let (wanted, possible) = (need / full, room / full);
    let orders = wanted.min(possible).min(calls);
    if orders > 0 {
        let why = if orders == wanted {
            (!need.is_multiple_of(full)).then_some(Rest::LessThanABatch)
        } else if orders == possible {
            Some(Rest::AtCap)
        } else {
            Some(Rest::CallsInFlight)
        };
        return Plan { need, orders, batch: full, rest: why };
    }
    if calls == 0 {
        return rest(Rest::CallsInFlight);
    }
    if room == 0 {
        return rest(Rest::AtCap);
    }
    // A pool smaller than two batches may never be short of a whole one.
    let small = policy.target < 2 * full && position < policy.target.div_ceil(2);
    if position < policy.low_water || small || view.extra > 0 {
        let batch = need.min(room).min(full);
        return Plan { need, orders: 1, batch, rest: (batch < need).then_some(Rest::AtCap) };
    }
    rest(if wanted > 0 { Rest::AtCap } else { Rest::LessThanABatch })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(ready: u32) -> View {
        View { ready, held: ready, cap: 100_000, batch_limit: 500, ..View::default() }
    }

    fn check(target: u32, low_water: u32, view: View, want: (u32, u32, Option<Rest>)) {
        let plan = plan(&Policy::try_new(target, low_water, 500, 4).unwrap(), &view);
        assert_eq!((plan.orders, plan.batch, plan.rest), want, "{view:?}");
    }

    #[test]
    fn full_batches_come_first() {
        check(5_000, 1_000, view(0), (4, 500, Some(Rest::CallsInFlight)));
        check(5_000, 1_000, view(4_499), (1, 500, Some(Rest::LessThanABatch)));
        check(5_000, 1_000, view(4_500), (1, 500, None));
        check(5_000, 1_000, view(4_501), (0, 0, Some(Rest::LessThanABatch)));
        check(5_000, 1_000, view(5_000), (0, 0, Some(Rest::Enough)));
    }

    #[test]
    fn a_part_of_a_batch_is_ordered_only_below_the_low_water_mark() {
        check(1_200, 1_000, view(999), (1, 201, None));
        check(1_200, 1_000, view(1_000), (0, 0, Some(Rest::LessThanABatch)));
    }

    #[test]
    fn a_pool_smaller_than_a_batch_fills_and_refills() {
        check(100, 20, view(0), (1, 100, None));
        check(100, 20, view(49), (1, 51, None));
        check(100, 20, view(50), (0, 0, Some(Rest::LessThanABatch)));
        check(600, 100, view(299), (1, 301, None));
        // Two batches are no small pool: the rest of the room waits for the low water mark.
        let little_room = View { foreign: 100_000 - 499 - 300, ..view(499) };
        check(1_000, 100, little_room, (0, 0, Some(Rest::AtCap)));
    }

    #[test]
    fn what_is_on_its_way_counts_as_stock() {
        let on_their_way = View { on_their_way: 4_600, held: 4_600, ..view(0) };
        check(5_000, 1_000, on_their_way, (0, 0, Some(Rest::LessThanABatch)));
    }

    #[test]
    fn no_plan_passes_the_cap_less_reserve_and_foreign_ids() {
        let mut short = View { reserve: 10_000, foreign: 89_000, ..view(0) };
        check(5_000, 1_000, short, (2, 500, Some(Rest::AtCap)));
        short.foreign = 89_700;
        check(5_000, 1_000, short, (1, 300, Some(Rest::AtCap)));
        short.foreign = 90_000;
        check(5_000, 1_000, short, (0, 0, Some(Rest::AtCap)));
        let mut full = View { reserve: 0, held: 99_700, ..view(2_000) };
        check(5_000, 1_000, full, (0, 0, Some(Rest::AtCap)));
        full.cap = 50_000;
        check(5_000, 1_000, full, (0, 0, Some(Rest::AtCap)));
    }

    #[test]
    fn doubtful_orders_leave_half_of_the_calls_to_new_ones() {
        let stuck = View { orders_doubtful: 4, on_their_way: 2_000, held: 2_000, ..view(0) };
        check(5_000, 1_000, stuck, (2, 500, Some(Rest::CallsInFlight)));
    }

    #[test]
    fn an_operator_may_order_beyond_the_target_by_less_than_a_batch() {
        check(5_000, 1_000, View { extra: 30, ..view(5_000) }, (1, 30, None));
        check(
            5_000,
            1_000,
            View { extra: 700, ..view(5_000) },
            (1, 500, Some(Rest::LessThanABatch)),
        );
    }

    #[test]
    fn a_policy_and_its_rests_tell_what_they_are() {
        let policy = Policy::try_new(5_000, 1_000, 500, 4).unwrap();
        assert_eq!((policy.target(), policy.low_water()), (5_000, 1_000));
        assert_eq!((policy.calls_in_flight(), policy.tokens_in_flight()), (4, 2_000));
        assert_eq!(Rest::LessThanABatch.as_str(), "less_than_a_batch");
        assert_eq!(Rest::Hindered(Hindrance::CapReached).as_str(), "cap_reached");
    }

    #[test]
    fn a_policy_that_cannot_work_does_not_exist() {
        assert!(Policy::try_new(100, 100, 500, 4).is_err());
        assert!(Policy::try_new(0, 0, 500, 4).is_err());
        assert!(Policy::try_new(100, 10, 501, 4).is_err());
        assert!(Policy::try_new(100, 10, 500, 0).is_err());
    }
}
