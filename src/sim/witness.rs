//! What the simulator saw, for tests to judge the daemon by.
//!
//! The witness counts facts at ARGOS's side of the wire and forgives nothing: a call whose answer was
//! lost is a call, an id that was ever used stays used although it was deleted or registered again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::Serialize;

use super::{faults::Operation, pool::Token, wire::Millis};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;

/// The counters of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub posts: u64,
    /// Ids in the bodies of all POSTs, whatever became of them.
    pub post_tokens: u64,
    pub deletes: u64,
    pub delete_tokens: u64,
    pub gets: u64,
    pub lists: u64,
    pub counts: u64,
    /// GET submissions.
    pub submissions: u64,
    pub settings: u64,
    /// Request bodies that Secure Data Transfer sealed and that opened.
    pub bodies_opened: u64,
    /// Request bodies that should have been sealed and did not open.
    pub bodies_unopened: u64,
    /// Answers that went out as `{"data":"…"}`.
    pub answers_sealed: u64,
    /// Per operation: `settled` (2xx), `refused` (4xx), `failed` (5xx), `lost` (no answer).
    pub outcomes: BTreeMap<Operation, BTreeMap<&'static str, u64>>,
    pub pool_size: u64,
    pub highest_pool_size: u64,
    /// POSTs that would have passed the cap.
    pub cap_overruns: u64,
    /// Ids registered while they were registered.
    pub overwrites_total: u64,
    /// Ids registered after they had been opened or submitted with, deleted in between or not.
    pub overwrites_of_used: u64,
    /// Ids registered after they had been deleted.
    pub overwrites_of_deleted: u64,
    /// Ids deleted that the control side had put there.
    pub deletes_of_foreign: u64,
    /// Ids deleted while somebody was inside with an undecided submission on them.
    pub deletes_in_session: u64,
    /// Calls in the busiest second and minute, by simulated time.
    pub calls_per_second_max: u64,
    pub calls_per_minute_max: u64,
    pub calls_in_flight: u64,
    pub calls_in_flight_max: u64,
    /// Times the Liveform was entered.
    pub opens: u64,
    /// Distinct ids with which it was entered.
    pub tokens_opened: u64,
    /// Ids with which two or more distinct visitors entered: a token shown twice (L1).
    pub tokens_opened_by_several: u64,
    /// Times the Liveform refused, by cause.
    pub opens_refused: BTreeMap<&'static str, u64>,
    /// What opened links said in vain, by parameter: a switch that switches nothing, what is plain in
    /// an encryption-only project, `encrypted` beside a plain `sid` or `action`; `other` is whatever
    /// ARGOS does not know.
    pub parameters_without_effect: BTreeMap<&'static str, u64>,
    pub submissions_started: u64,
    /// Also those made while there was no address.
    pub webhooks_made: u64,
    pub webhooks_sealed: u64,
    /// Not sent, as the settings say.
    pub webhooks_dropped: u64,
    /// Sent a second time, as the settings say.
    pub webhooks_duplicated: u64,
    /// Held back until later ones were through, as the rate says.
    pub webhooks_late: u64,
    /// Held back or on their way: neither delivered nor given up.
    pub webhooks_waiting: u64,
    /// Answered 2xx.
    pub webhooks_delivered: u64,
    /// Given up after the last try.
    pub webhooks_failed: u64,
    /// Tries by the class of their answer: `2xx` to `5xx`, or `none`.
    pub webhook_answers: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub(super) struct Witness {
    counters: Counters,
    recent: VecDeque<Millis>,
    visitors: BTreeMap<Arc<str>, BTreeSet<String>>,
    used: BTreeSet<Arc<str>>,
    deleted: BTreeSet<Arc<str>>,
}

impl Witness {
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// A call has arrived, with so many ids in its body.
    pub(super) fn arrived(&mut self, now: Millis, operation: Operation, ids: usize) {
        let counters = &mut self.counters;
        match operation {
            Operation::Post => {
                counters.posts += 1;
                counters.post_tokens += ids as u64;
            }
            Operation::Get => counters.gets += 1,
            Operation::List => counters.lists += 1,
            Operation::Count => counters.counts += 1,
            Operation::Delete => {
                counters.deletes += 1;
                counters.delete_tokens += ids as u64;
            }
            Operation::Submission => counters.submissions += 1,
            Operation::Settings => counters.settings += 1,
            Operation::Unknown => {}
        }
        counters.calls_in_flight += 1;
        counters.calls_in_flight_max = counters.calls_in_flight_max.max(counters.calls_in_flight);
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now - at >= MINUTE) {
            self.recent.pop_front();
        }
        let within_second = self.recent.iter().rev().take_while(|at| now - **at < SECOND).count();
        counters.calls_per_second_max = counters.calls_per_second_max.max(within_second as u64);
        counters.calls_per_minute_max = counters.calls_per_minute_max.max(self.recent.len() as u64);
    }

    /// The answer is out, or nobody waits for it any more.
    pub(super) fn departed(&mut self) {
        self.counters.calls_in_flight = self.counters.calls_in_flight.saturating_sub(1);
    }

    /// `status` is `None` when the answer was lost.
    pub(super) fn answered(&mut self, operation: Operation, status: Option<u16>) {
        let outcome = match status {
            None => "lost",
            Some(200..=299) => "settled",
            Some(500..) => "failed",
            Some(_) => "refused",
        };
        *self.counters.outcomes.entry(operation).or_default().entry(outcome).or_default() += 1;
    }

    /// An id is about to be registered; `before` is what the pool holds under it.
    pub(super) fn registers(&mut self, id: &str, before: Option<&Token>) {
        let counters = &mut self.counters;
        counters.overwrites_total += u64::from(before.is_some());
        counters.overwrites_of_used += u64::from(self.used.contains(id));
        counters.overwrites_of_deleted += u64::from(self.deleted.contains(id));
    }

    pub(super) fn removed(&mut self, id: &Arc<str>, token: &Token, in_session: bool) {
        self.deleted.insert(Arc::clone(id));
        self.counters.deletes_of_foreign += u64::from(token.foreign);
        self.counters.deletes_in_session += u64::from(in_session);
    }

    pub(super) fn pool_is(&mut self, size: usize) {
        self.counters.pool_size = size as u64;
        self.counters.highest_pool_size = self.counters.highest_pool_size.max(size as u64);
    }

    /// The Liveform let a visitor in.
    pub(super) fn opened(&mut self, id: &str, visitor: &str) {
        let id: Arc<str> = Arc::from(id);
        self.used.insert(Arc::clone(&id));
        let visitors = self.visitors.entry(id).or_default();
        self.counters.opens += 1;
        self.counters.tokens_opened += u64::from(visitors.is_empty());
        if visitors.insert(visitor.to_owned()) && visitors.len() == 2 {
            self.counters.tokens_opened_by_several += 1;
        }
    }

    pub(super) fn open_refused(&mut self, cause: &'static str) {
        *self.counters.opens_refused.entry(cause).or_default() += 1;
    }

    /// A link that was opened said this in vain.
    pub(super) fn said_in_vain(&mut self, parameter: &'static str) {
        *self.counters.parameters_without_effect.entry(parameter).or_default() += 1;
    }

    /// A delivery ended after these answers, the last of which counts; `None` is no answer, and none at
    /// all is a webhook that found no place to wait.
    pub(super) fn carried(&mut self, answers: &[Option<u16>]) {
        let class = |status: Option<u16>| match status {
            Some(200..=299) => "2xx",
            Some(300..=399) => "3xx",
            Some(400..=499) => "4xx",
            Some(_) => "5xx",
            None => "none",
        };
        for answer in answers {
            *self.counters.webhook_answers.entry(class(*answer)).or_default() += 1;
        }
        let arrived = answers.last().is_some_and(|answer| class(*answer) == "2xx");
        self.counters.webhooks_delivered += u64::from(arrived);
        self.counters.webhooks_failed += u64::from(!arrived);
    }

    /// How many distinct visitors entered with this id.
    pub(super) fn visitors(&self, id: &str) -> usize {
        self.visitors.get(id).map_or(0, BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_roll_and_remember_their_maximum() {
        let mut witness = Witness::default();
        for at in [0, 100, 999, 1_000, 1_050, 59_999, 60_000] {
            witness.arrived(at, Operation::Count, 0);
            witness.departed();
        }
        let counters = witness.counters();
        assert_eq!(counters.calls_per_second_max, 4, "100, 999, 1000, 1050");
        assert_eq!(counters.calls_per_minute_max, 6, "the first is a minute old at 60000");
        assert_eq!((counters.calls_in_flight, counters.calls_in_flight_max), (0, 1));
    }

    #[test]
    fn one_visitor_twice_is_not_two_visitors() {
        let mut witness = Witness::default();
        witness.opened("token-aa", "ann");
        witness.opened("token-aa", "ann");
        assert_eq!(witness.counters().tokens_opened_by_several, 0);
        witness.opened("token-aa", "ben");
        witness.opened("token-aa", "cid");
        assert_eq!(witness.counters().tokens_opened_by_several, 1);
        assert_eq!((witness.counters().opens, witness.counters().tokens_opened), (4, 1));
        assert_eq!(witness.visitors("token-aa"), 3);
    }
}
