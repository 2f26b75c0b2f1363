//! The pool in numbers.

use super::Pool;
use crate::domain::{
    ids::Sequence,
    order::OrderState,
    refill::{self, Hindrance, Plan, View},
    time::Timestamp,
    token::{Doom, DoomCause, Holder, Stage},
};

/// How many tokens stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub minted: u32,
    pub ready: u32,
    /// Of the Ready ones: not handed out until it is clear that ARGOS has them still.
    pub held_back: u32,
    pub leased: u32,
    pub doomed: u32,
}

impl Census {
    /// Everything that holds a slot at ARGOS for us.
    pub const fn held(self) -> u32 {
        self.minted + self.ready + self.leased + self.doomed
    }

    /// Ready, and handed out when somebody asks.
    pub const fn leasable(self) -> u32 {
        self.ready - self.held_back
    }
}

/// How many ids ARGOS counted, and how many of them are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub reported: u32,
    pub at: Timestamp,
    /// What it counted beyond, or short of, what it holds of ours for certain. `None`: a call of
    /// ours overlapped the count, which then says nothing.
    pub drift: Option<i64>,
}

/// Whether key and pid belong together: one Ready token of ours is looked up at ARGOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheck {
    /// Not known yet; so many Ready tokens were not found.
    Open {
        missing: u32,
    },
    Passed,
    /// Hand-outs, refill and purge stop until a person decides.
    Failed,
}

/// Not found this often, one after another, before the key counts as another project's: a single
/// token may have been deleted by somebody.
const MISSING_MAX: u32 = 3;

impl KeyCheck {
    /// `most`: how many missing ones are enough.
    pub(super) fn after(self, found: bool, most: u32) -> Self {
        match self {
            Self::Open { .. } if found => Self::Passed,
            Self::Open { missing } if missing + 1 < most => Self::Open { missing: missing + 1 },
            Self::Open { .. } => Self::Failed,
            Self::Passed | Self::Failed => self,
        }
    }
}

impl Pool {
    pub fn census(&self) -> Census {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Census {
            minted: self.minted,
            ready: number(self.ready.len() + self.held_back.len()),
            held_back: number(self.held_back.len()),
            leased: self.leased,
            doomed: number(self.doomed.len()),
        }
    }

    /// Chooses among what is Ready at this moment: the oldest, the youngest and one between, because
    /// ARGOS itself deletes the oldest where that is switched on (contract 2).
    pub(super) fn call_key_witnesses(&mut self) {
        let shelf: Vec<_> = self.ready.union(&self.held_back).copied().collect();
        let chosen = [shelf.first(), shelf.last(), shelf.get(shelf.len() / 2)];
        self.key_witnesses = chosen.into_iter().flatten().copied().collect();
        self.key_witnesses.dedup();
    }

    /// The token to look up when so many were not found. Where those that were chosen are leased or
    /// never were, any one will do.
    pub(super) fn key_witness(&self, missing: u32) -> Option<Sequence> {
        let mut witnesses = self.key_witnesses.iter().copied().filter(|at| self.is_ready(*at));
        match witnesses.nth(missing as usize) {
            Some(witness) => Some(witness),
            None => self.ready.iter().nth(missing as usize).copied(),
        }
    }

    /// How many tokens must be missing before the key counts as another project's.
    pub(super) fn key_missing_max(&self) -> u32 {
        match u32::try_from(self.key_witnesses.len()) {
            Ok(0) | Err(_) => MISSING_MAX,
            Ok(witnesses) => witnesses,
        }
    }

    /// ARGOS lists one of them: the key belongs to the pid.
    pub(super) fn key_is_proven_by(&self, seen: &[Sequence]) -> bool {
        let open = matches!(self.key_check, KeyCheck::Open { .. });
        open && seen.iter().any(|sequence| self.key_witnesses.contains(sequence))
    }

    pub fn last_count(&self) -> Option<Count> {
        self.count
    }

    pub fn key_check(&self) -> KeyCheck {
        self.key_check
    }

    /// Ids that ARGOS counted and that are not ours.
    pub fn foreign(&self) -> u32 {
        self.foreign
    }

    /// Tokens of ours that ARGOS knows for certain, as far as anybody can know: not those whose
    /// registration or deletion is in doubt, and none that is presumed leased without a word of ARGOS
    /// about it, which a younger state of the ledger may have deleted or never registered. Too few are
    /// certain rather than too many: what is not counts as foreign, and takes room under the cap (C1).
    pub(super) fn certain(&self) -> u32 {
        let mut certain = self.census().held();
        for order in self.orders.values() {
            if matches!(order.state, OrderState::Open { .. }) {
                certain = certain.saturating_sub(order.tokens);
            }
        }
        let presumed = |sequence: &Sequence| {
            self.lease(*sequence).is_some_and(|(_, lease)| {
                lease.holder == Holder::Presumed
                    && lease.started.is_none()
                    && lease.expires.is_none()
            })
        };
        let presumed = self.due.iter().filter(|(_, sequence)| presumed(sequence)).count();
        let certain = certain.saturating_sub(u32::try_from(presumed).unwrap_or(u32::MAX));
        let certain = certain.saturating_sub(self.doomed_with(in_doubt));
        certain.saturating_sub(self.known_missing())
    }

    /// What ARGOS must hold of ours at least, and how much of that are open leases without a sign of
    /// use: used tokens it may forget by itself (contract 2).
    pub(super) fn least(&self) -> (u32, u32) {
        let unused = |sequence: &Sequence| {
            self.lease(*sequence).is_some_and(|(_, lease)| {
                lease.started.is_none()
                    && lease.expires.is_none()
                    && lease.vanished.is_none()
                    && lease.holder != Holder::Presumed
            })
        };
        let unused = self.due.iter().filter(|(_, sequence)| unused(sequence)).count();
        let unused = u32::try_from(unused).unwrap_or(u32::MAX);
        let missing = self.known_missing();
        ((self.census().ready + unused).saturating_sub(missing), unused)
    }

    /// Whether nobody knows if ARGOS holds this doomed token.
    pub(super) fn doubts_doomed(&self, sequence: Sequence) -> bool {
        let stage = self.tokens.get(&sequence).map(|token| &token.stage);
        matches!(stage, Some(Stage::Doomed(doom)) if in_doubt(doom))
    }

    /// Orders that are open without doubt, and doubtful ones.
    pub fn open_orders(&self) -> (u32, u32) {
        let mut counts = (0, 0);
        for order in self.orders.values() {
            match order.state {
                OrderState::Open { doubt: None, .. } => counts.0 += 1,
                OrderState::Open { doubt: Some(_), .. } => counts.1 += 1,
                OrderState::Settled { .. } => (),
            }
        }
        counts
    }

    /// Whether an order was answered and will be Ready by itself.
    pub fn settling(&self) -> bool {
        self.orders.values().any(|order| matches!(order.state, OrderState::Settled { .. }))
    }

    /// Since when the oldest doubt stands.
    pub fn oldest_doubt(&self) -> Option<Timestamp> {
        let doubts = self.orders.values().filter_map(|order| match order.state {
            OrderState::Open { doubt, .. } => doubt.map(|doubt| doubt.since),
            OrderState::Settled { .. } => None,
        });
        doubts.min()
    }

    /// Doomed tokens that could not be deleted so often that a person should look.
    pub fn stuck(&self) -> u32 {
        self.doomed_with(|doom| doom.attempts >= self.policy.delete_tries_max)
    }

    fn doomed_with(&self, wanted: impl Fn(&Doom) -> bool) -> u32 {
        let doomed = self.doomed.iter().filter_map(|(_, sequence)| self.tokens.get(sequence));
        let wanted = doomed.filter(|token| matches!(&token.stage, Stage::Doomed(it) if wanted(it)));
        u32::try_from(wanted.count()).unwrap_or(u32::MAX)
    }

    /// Tokens that a caller could be given at this moment; 0 whenever hand-outs are stopped.
    pub fn leasable(&self) -> u32 {
        if self.may(crate::domain::pause::Activity::Leasing) { self.census().leasable() } else { 0 }
    }

    /// Whether ARGOS said that it is full, and is not asked again yet.
    pub fn at_cap(&self, now: Timestamp) -> bool {
        self.cap_reached.is_some_and(|reached| now < reached.until)
    }

    /// What to order at this moment. `hindrance` is what the shell knows and the pool does not, and
    /// `batch_limit` how many ids one call may carry as far as ARGOS has taught us.
    pub fn plan(&self, now: Timestamp, hindrance: Option<Hindrance>, batch_limit: u32) -> Plan {
        refill::plan(&self.policy.refill, &self.view(now, hindrance, batch_limit))
    }

    /// What a plan is made from.
    pub(super) fn view(
        &self,
        now: Timestamp,
        hindrance: Option<Hindrance>,
        batch_limit: u32,
    ) -> View {
        let census = self.census();
        let (orders_open, orders_doubtful) = self.open_orders();
        let own = if self.halted() {
            Some(Hindrance::Halted)
        } else if self.paused(crate::domain::pause::Activity::Refill) {
            Some(Hindrance::Paused)
        } else if self.at_cap(now) {
            Some(Hindrance::CapReached)
        } else if !self.count_tried {
            Some(Hindrance::NotCounted)
        } else {
            None
        };
        View {
            ready: census.leasable(),
            on_their_way: census.minted,
            held: census.held(),
            foreign: self.foreign(),
            cap: self.policy.cap,
            reserve: self.policy.reserve,
            orders_open,
            orders_doubtful,
            extra: self.extra,
            // After "full" one batch at a time feels its way.
            probing: self.cap_reached.is_some(),
            batch_limit,
            hindrance: hindrance.or(own),
        }
    }
}

/// Its registration was never certain, or its deletion may have happened.
fn in_doubt(doom: &Doom) -> bool {
    match doom.cause {
        DoomCause::Cancelled | DoomCause::Vanished => true,
        DoomCause::Aged | DoomCause::LeaseClosed | DoomCause::Discarded => doom.attempts > 0,
    }
}
