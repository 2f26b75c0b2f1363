//! The work the state calls for, and the moment it next changes by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{KeyCheck, Pool};
use crate::domain::{
    ids::{OrderId, Revision, Sequence, SubmissionId, TokenId},
    limits::{PURGE_LINGER, TOKENS_PER_CALL_MAX},
    order::OrderState,
    paging::{Cursor, Days},
    pause::Activity,
    time::Timestamp,
    token::{Doom, Stage},
};

/// From this many failed deletions on a token is suspected of being why …
const SUSPECT_AFTER: u32 = 3;
/// … and is deleted in ever smaller company, so that it stops no other for long: a quarter with
/// every further failure. A call each at once would cost as much as hundreds of full ones.
const COMPANY_SHIFT: u32 = 2;

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Register {
        order: OrderId,
    },
    Delete {
        sequences: Vec<Sequence>,
    },
    Count,
    /// Look one Ready token up, to see that key and pid belong together.
    Find {
        sequence: Sequence,
    },
    /// Look through one page of the submissions of these days.
    Survey {
        days: Days,
        cursor: Option<Cursor>,
    },
    /// List one page of all ids.
    List {
        cursor: Option<Cursor>,
    },
    /// Delete ids of others, because an operator said so.
    DeleteForeign {
        tokens: Vec<TokenId>,
    },
    /// Look one submission up.
    Ask {
        submission: SubmissionId,
    },
}

/// Calls that have left and not come back. They outlive the pool they were asked of: at most one
/// attempt per order is ever in flight, and registration and deletion of an id never overlap.
#[derive(Clone, Debug, Default)]
pub struct UnderWay {
    pub orders: BTreeSet<OrderId>,
    pub deletions: BTreeSet<Sequence>,
    pub deletion_calls: u32,
    pub finding: bool,
    pub surveying: bool,
    pub listing: bool,
    pub deleting_foreign: bool,
    /// Submissions that ARGOS is asked about, with the last commit before the question left.
    pub asking: BTreeMap<SubmissionId, Revision>,
    counting: Option<Overlap>,
}

/// Whether a call of ours was out at any time during a count, which then says nothing of others' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overlap(bool);

impl UnderWay {
    pub fn calls(&self) -> u32 {
        u32::try_from(self.orders.len()).unwrap_or(u32::MAX)
            + self.deletion_calls
            + u32::from(self.counting.is_some())
            + u32::from(self.finding)
            + u32::from(self.surveying)
            + u32::from(self.listing)
            + u32::from(self.deleting_foreign)
            + u32::try_from(self.asking.len()).unwrap_or(u32::MAX)
    }

    pub fn begin_count(&mut self) {
        self.counting = Some(Overlap(!self.quiet()));
    }

    /// A registration or deletion leaves.
    pub fn overlaps_count(&mut self) {
        if let Some(overlap) = &mut self.counting {
            *overlap = Overlap(true);
        }
    }

    /// The count came back. True if a call of ours overlapped it.
    pub fn end_count(&mut self) -> bool {
        self.counting.take().is_none_or(|Overlap(overlapped)| overlapped)
    }

    /// Whether a count that begins at this moment is alone.
    pub fn quiet(&self) -> bool {
        self.orders.is_empty() && self.deletion_calls == 0 && !self.deleting_foreign
    }
}

/// How long a count waits for a moment without calls of ours before it is made anyway.
const COUNT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Pool {
    /// Calls to make at this moment, the most urgent first. `batch` is how many ids one call may
    /// carry.
    pub fn outstanding(&self, now: Timestamp, under_way: &UnderWay, batch: u32) -> Vec<Effect> {
        self.outstanding_of(None, now, under_way, batch)
    }

    /// The same; where `only` names tokens, nothing is registered or deleted but these, and nothing is
    /// looked up but what tells of key and room. An order is named by its first token.
    pub fn outstanding_of(
        &self,
        only: Option<&BTreeSet<Sequence>>,
        now: Timestamp,
        under_way: &UnderWay,
        batch: u32,
    ) -> Vec<Effect> {
        let wanted = |sequence: Sequence| only.is_none_or(|only| only.contains(&sequence));
        let mut effects = Vec::new();
        // Neither changes anything over there, so they wait for nothing else.
        if only.is_none() {
            self.inquiries(now, under_way, &mut effects);
        }
        if let KeyCheck::Open { missing } = self.key_check
            && !under_way.finding
            && let Some(sequence) = self.key_witness(missing)
        {
            effects.push(Effect::Find { sequence });
        }
        if let Some(since) = self.count_wanted
            && under_way.counting.is_none()
        {
            // Alone if possible: a count that a call of ours overlaps says nothing of others' ids. It
            // holds up nothing for longer than it waits, because its share of the calls may be used up.
            let patient = now.since(since) < COUNT_PATIENCE;
            if under_way.quiet() || !patient {
                effects.push(Effect::Count);
            }
            if under_way.quiet() && patient {
                return effects;
            }
        }
        if under_way.counting.is_some() && under_way.quiet() {
            return effects;
        }
        if self.may(Activity::Refill) && !self.at_cap(now) {
            self.registrations(wanted, now, under_way, &mut effects);
        }
        if self.key_check != KeyCheck::Failed && !self.paused(Activity::Purge) {
            let tokens = self.unwanted(batch.min(TOKENS_PER_CALL_MAX));
            if !tokens.is_empty() && !under_way.deleting_foreign && only.is_none() {
                effects.push(Effect::DeleteForeign { tokens });
            }
            let batch = batch.min(TOKENS_PER_CALL_MAX);
            self.deletions(wanted, now, under_way, (batch, true), &mut effects);
        }
        effects
    }

    /// Open orders that may not be sent any more, because with everything that may hold a slot and the
    /// foreign ids last counted they would pass the cap less the reserve (C1). They fitted when they
    /// were written down: others' ids grew since, or the cap was lowered.
    pub fn misfits(&self, under_way: &UnderWay) -> Vec<OrderId> {
        let waiting = || {
            self.orders.values().filter_map(|order| match order.state {
                OrderState::Open { doubt, .. } if !under_way.orders.contains(&order.id) => {
                    // Without doubt nobody can have heard of its ids.
                    let unheard =
                        if doubt.is_none() { self.ids_of_order(order.id).len() } else { 0 };
                    Some((order.id, u32::try_from(unheard).unwrap_or(u32::MAX)))
                }
                OrderState::Open { .. } | OrderState::Settled { .. } => None,
            })
        };
        let slots = self.policy.cap.saturating_sub(self.policy.reserve);
        let slots = slots.saturating_sub(self.foreign());
        let unheard: u32 = waiting().map(|(_, unheard)| unheard).sum();
        let mut taken = self.census().held().saturating_sub(unheard);
        waiting()
            .filter(|(_, unheard)| {
                let fits = taken + unheard <= slots;
                taken += if fits { *unheard } else { 0 };
                !fits
            })
            .map(|(order, _)| order)
            .collect()
    }

    /// The ids an order may be registered with: exactly its own, and only those that nobody can have
    /// seen (B1, B3).
    pub fn ids_of_order(&self, order: OrderId) -> Vec<TokenId> {
        let Some(order) = self.orders.get(&order) else { return Vec::new() };
        self.tokens
            .range(order.range())
            .filter(|(_, token)| matches!(token.stage, Stage::Minted { .. }))
            .map(|(_, token)| token.id.clone())
            .collect()
    }

    /// The ids of these tokens, as far as they are known.
    pub fn ids(&self, sequences: &[Sequence]) -> Vec<TokenId> {
        sequences
            .iter()
            .filter_map(|at| self.tokens.get(at))
            .map(|token| token.id.clone())
            .collect()
    }

    /// The next moment at which something is due although nobody came. What is due and cannot be done
    /// at `now`, because a call is under way or held back, is not named: its end is news of its own.
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        if self.sweep_due(now) {
            return Some(now);
        }
        let lease = self.due.first().map(|(at, _)| *at);
        let aged = self.policy.unused_age_max.and_then(|age| {
            let oldest = self.ready.first().and_then(|sequence| self.tokens.get(sequence))?;
            Some(oldest.minted.plus(age))
        });
        let doomed = self.doomed.range((now, Sequence::ZERO)..).next().map(|(at, _)| *at);
        let linger = self.doomed.first().map(|(at, _)| at.plus(PURGE_LINGER));
        let orders = self.orders.values().map(|order| match order.state {
            OrderState::Open { not_before, .. } => not_before,
            OrderState::Settled { ripe } => ripe,
        });
        let cap = self.cap_reached.map(|reached| reached.until);
        let count = self.count_wanted.map(|since| since.plus(COUNT_PATIENCE));
        let inquiry = self.outcomes.next(&self.policy);
        [lease, aged, doomed, linger, cap, count, inquiry, self.listing_due()]
            .into_iter()
            .flatten()
            .chain(orders)
            .filter(|at| *at > now)
            .min()
    }

    fn registrations(
        &self,
        wanted: impl Fn(Sequence) -> bool,
        now: Timestamp,
        under_way: &UnderWay,
        effects: &mut Vec<Effect>,
    ) {
        // After "full" one order at a time feels its way.
        let calls =
            if self.cap_reached.is_some() { 1 } else { self.policy.refill.calls_in_flight() };
        let doubtful = |id: &OrderId| {
            matches!(
                self.orders.get(id).map(|order| &order.state),
                Some(OrderState::Open { doubt: Some(_), .. })
            )
        };
        let mut free = (calls as usize).saturating_sub(under_way.orders.len());
        let mut repeats = (calls as usize / 2)
            .max(1)
            .saturating_sub(under_way.orders.iter().filter(|id| doubtful(id)).count());
        let misfits = self.misfits(under_way);
        for order in self.orders.values() {
            let OrderState::Open { not_before, doubt } = &order.state else { continue };
            if free == 0 {
                break;
            }
            if now < *not_before
                || under_way.orders.contains(&order.id)
                || misfits.contains(&order.id)
                || !wanted(order.id.0)
            {
                continue;
            }
            if doubt.is_some() {
                if repeats == 0 {
                    continue;
                }
                repeats -= 1;
            }
            free -= 1;
            effects.push(Effect::Register { order: order.id });
        }
    }

    fn inquiries(&self, now: Timestamp, under_way: &UnderWay, effects: &mut Vec<Effect>) {
        if let Some((days, cursor)) = self.outcomes.survey_page()
            && !under_way.surveying
        {
            effects.push(Effect::Survey { days, cursor: cursor.cloned() });
        }
        if let Some(cursor) = self.listing_page()
            && !under_way.listing
        {
            effects.push(Effect::List { cursor: cursor.cloned() });
        }
        let calls = self.policy.refill.calls_in_flight() as usize;
        let free = calls.saturating_sub(under_way.asking.len());
        let questions = self.outcomes.open_questions(now);
        let questions = questions.filter(|submission| !under_way.asking.contains_key(*submission));
        let asked = questions.take(free).cloned();
        effects.extend(asked.map(|submission| Effect::Ask { submission }));
    }

    /// `batch` is how many ids one call may carry, and whether one that is not full waits a little.
    pub(super) fn deletions(
        &self,
        wanted: impl Fn(Sequence) -> bool,
        now: Timestamp,
        under_way: &UnderWay,
        (batch, linger): (u32, bool),
        effects: &mut Vec<Effect>,
    ) {
        if self.doomed.first().is_none_or(|(due, _)| now < *due) {
            return;
        }
        let mut calls =
            self.policy.refill.calls_in_flight().saturating_sub(under_way.deletion_calls);
        // Whoever waits for a link to be dead is served first, and what else is due fills the call.
        let first = self.urgent.range(..=(now, Sequence::MAX));
        let rest = self.doomed.range(..=(now, Sequence::MAX));
        let rest = rest.filter(|at| !self.urgent.contains(at));
        let mut sequences = Vec::new();
        let mut suspects: BTreeMap<u32, Vec<Sequence>> = BTreeMap::new();
        let mut patient = linger;
        for (due, sequence) in first.chain(rest) {
            if calls == 0 {
                return;
            }
            if under_way.deletions.contains(sequence) || !wanted(*sequence) {
                continue;
            }
            let Some(token) = self.tokens.get(sequence) else { continue };
            let Stage::Doomed(Doom { attempts, urgent, .. }) = &token.stage else { continue };
            if *attempts >= SUSPECT_AFTER {
                let company = suspects.entry(*attempts).or_default();
                company.push(*sequence);
                if company.len() >= company_max(*attempts, batch) {
                    calls -= 1;
                    effects.push(Effect::Delete { sequences: std::mem::take(company) });
                }
                continue;
            }
            patient &= !urgent && now.since(*due) < PURGE_LINGER;
            sequences.push(*sequence);
            if sequences.len() >= batch as usize {
                calls -= 1;
                effects.push(Effect::Delete { sequences: std::mem::take(&mut sequences) });
                patient = linger;
            }
        }
        // R2: a call that is not full waits a little for company.
        if !sequences.is_empty() && !patient && calls > 0 {
            calls -= 1;
            effects.push(Effect::Delete { sequences });
        }
        // Suspects have waited long enough.
        let left = suspects.into_values().filter(|company| !company.is_empty());
        let left = left.take(calls as usize);
        effects.extend(left.map(|sequences| Effect::Delete { sequences }));
    }
}

/// How many tokens that failed so often go with one call.
fn company_max(attempts: u32, batch: u32) -> usize {
    let shift = COMPANY_SHIFT * (attempts + 1).saturating_sub(SUSPECT_AFTER);
    batch.checked_shr(shift).unwrap_or(0).max(1) as usize
}
