//! Judges commands. Reads only; what it returns is folded in by [`Pool::apply`].

mod facts;
mod leases;
mod orders;
mod revocations;
mod trial;

use std::{sync::Arc, time::Duration};

use super::{Command, Count, Event, KeyCheck, ListingWanted, Pool, Refusal, Reply};
use crate::domain::{
    ids::{OrderId, Sequence},
    invariant::Breach,
    limits::SWEEP_MAX,
    order::{Attempt, OrderState},
    pause::{Activity, Pause},
    time::Timestamp,
    token::{ClosedLease, Doom, DoomCause, Stage, Token},
};

/// Tokens are held back when at least one in this many may be missing.
const HELD_BACK_PART: u32 = 100;

/// What a command comes to: events to apply, and the answer to hold until they are durable.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub events: Vec<Event>,
    pub reply: Reply,
}

impl Verdict {
    fn done(events: Vec<Event>) -> Self {
        Self { events, reply: Reply::Done }
    }
}

impl Pool {
    /// Judges a command against the state as it is, uncommitted changes included.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Verdict, Refusal> {
        self.decide_with(command, &[], now)
    }

    /// The same, with the lines of history that [`Pool::in_question`] asked for. A line that is not
    /// there has gone from history.
    pub fn decide_with(
        &self,
        command: &Command,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        match command {
            Command::Lease { wanted } => self.leasing(wanted, lines, now),
            Command::Release { sequence, owner, request } => {
                self.release(*sequence, owner.as_ref(), *request, lines, now)
            }
            Command::Revoke { sequence, owner, request } => {
                self.revoke(*sequence, owner.as_ref(), *request, lines, now)
            }
            Command::RevokeAll { sequences } => Ok(Verdict::done(self.revoke_all(sequences, now))),
            Command::Hasten { sequence } => Ok(Verdict::done(self.hasten(*sequence, now))),
            Command::Replace { sequence, owner, request, replacement } => {
                self.replace(*sequence, owner.as_ref(), *request, replacement, lines, now)
            }
            Command::Fact { sequence, fact, line } => {
                Ok(self.fact(*sequence, fact, line.as_deref(), now))
            }
            Command::Mint { salts } => Ok(Verdict::done(vec![self.mint(salts, now)])),
            Command::Trial { salt, hindrance } => self.trial(*salt, *hindrance, now),
            Command::Ripen { order } => Ok(Verdict::done(self.ripen(*order, now))),
            Command::Discard { sequence } => Ok(Verdict::done(self.discard(*sequence, now))),
            Command::Clear { sent } => Ok(Verdict::done(self.clear(sent, now))),
            Command::Attempted { order, attempt } => {
                Ok(Verdict::done(self.attempted(*order, *attempt, now)))
            }
            Command::Withdraw { orders } => {
                // As if ARGOS took no call of that size.
                let withdrawn = |order: &OrderId| self.attempted(*order, Attempt::TooMany, now);
                Ok(Verdict::done(orders.iter().flat_map(withdrawn).collect()))
            }
            Command::Ask { submission } => {
                let submission = submission.clone();
                Ok(Verdict::done(vec![Event::Asked { submission, at: now }]))
            }
            Command::Answered { submission, answer } => {
                let (submission, answer) = (submission.clone(), *answer);
                Ok(Verdict::done(vec![Event::Answered { submission, answer, at: now }]))
            }
            Command::Surveyed { next } => {
                Ok(Verdict::done(vec![Event::Surveyed { next: next.clone() }]))
            }
            Command::Deleted { sequences, done: true, lines } => {
                let deleted = Event::Deleted { sequences: sequences.clone() };
                let dead = lines.iter().filter_map(|line| link_dead(line, now));
                let doubted = sequences.iter().any(|sequence| self.doubts_doomed(*sequence));
                // What was taken for foreign may have been these.
                let again = (doubted && self.foreign > 0).then_some(Event::CountWanted { at: now });
                Ok(Verdict::done([deleted].into_iter().chain(dead).chain(again).collect()))
            }
            Command::Deleted { sequences, done: false, .. } => {
                let sequences = sequences.clone();
                let failed = Event::DeletionFailed { sequences, at: now, blamed: true };
                Ok(Verdict::done(vec![failed]))
            }
            Command::DeletionLost { sequences } => {
                let sequences = sequences.clone();
                let failed = Event::DeletionFailed { sequences, at: now, blamed: false };
                Ok(Verdict::done(vec![failed]))
            }
            Command::Counted { tokens, overlapped } => {
                Ok(Verdict::done(self.counted(*tokens, *overlapped, now)))
            }
            Command::Listed { tokens, unreadable, next } => {
                Ok(Verdict::done(self.listed(tokens, *unreadable, next.as_ref(), now)))
            }
            Command::WantListing { wanted } => {
                Ok(Verdict::done(vec![Event::ListingWanted { at: now, wanted: *wanted }]))
            }
            Command::AcceptLoss => Ok(Verdict::done(vec![Event::LossAccepted])),
            Command::DoomForeign { which } => {
                Ok(Verdict::done(vec![Event::ForeignDoomed { which: *which }]))
            }
            Command::ForeignDeleted { tokens, done } => {
                let (tokens, done) = (tokens.clone(), *done);
                Ok(Verdict::done(vec![Event::ForeignDeleted { tokens, done }]))
            }
            Command::KeyChecked { sequence, found } => {
                Ok(Verdict::done(self.key_checked(*sequence, *found)))
            }
            Command::KeyReplaced => {
                let check = KeyCheck::Open { missing: 0 };
                Ok(Verdict::done(vec![Event::KeyChecked { check }, Event::CountWanted { at: now }]))
            }
            Command::WantCount => Ok(Verdict::done(vec![Event::CountWanted { at: now }])),
            Command::Forget => {
                let before = now.minus(self.policy.request_id_memory);
                Ok(Verdict::done(vec![Event::Forgotten { before }]))
            }
            Command::Extra { tokens } => {
                Ok(Verdict::done(vec![Event::ExtraOrdered { tokens: *tokens }]))
            }
            Command::Pause { activities, reason, by } => {
                Ok(Verdict::done(self.pausing(activities, reason, by, now)))
            }
            Command::Resume { activities } => Ok(Verdict::done(self.resuming(activities))),
            Command::Suspect { below } => Ok(Verdict::done(self.suspect(*below, now))),
            Command::Breached { breaches } => {
                let breached = |breach: &Breach| Event::Breached { breach: breach.clone() };
                Ok(Verdict::done(breaches.iter().map(breached).collect()))
            }
            Command::Sweep => Ok(Verdict::done(self.sweep(now))),
        }
    }

    /// A count is compared only if it was alone. Fewer than there should be asks for a listing at once,
    /// and when that cannot be used-up leases alone, what may be missing is held back.
    fn counted(&self, tokens: Option<u32>, overlapped: bool, now: Timestamp) -> Vec<Event> {
        let count = tokens.map(|reported| Count {
            reported,
            at: now,
            drift: (!overlapped).then(|| i64::from(reported) - i64::from(self.certain())),
        });
        let mut events = vec![Event::Counted { count }];
        // With the key of another project everything would be missing.
        let checked = self.key_check == KeyCheck::Passed;
        if let Some(Count { reported, drift: Some(_), .. }) = count.filter(|_| checked) {
            let (least, unused) = self.least();
            let ours = reported.saturating_sub(self.foreign_listed());
            let fall = least.saturating_sub(ours);
            if fall > 0 && self.may_list_again(now) {
                events.push(Event::ListingWanted { at: now, wanted: ListingWanted::default() });
            }
            // Leases may have been used up without a word.
            let proven = fall.saturating_sub(unused);
            if proven > 0 && proven >= self.census().leasable() / HELD_BACK_PART {
                let sequences = self.older_than_last_good_count();
                events.push(Event::HeldBack { sequences });
            }
        }
        events
    }

    fn key_checked(&self, sequence: Sequence, found: Option<bool>) -> Vec<Event> {
        let still_ready = self.is_ready(sequence);
        match found {
            // A token that was leased meanwhile may be gone for good reasons.
            Some(found) if found || still_ready => {
                vec![Event::KeyChecked {
                    check: self.key_check.after(found, self.key_missing_max()),
                }]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn pausing(
        &self,
        activities: &[Activity],
        reason: &str,
        by: &str,
        now: Timestamp,
    ) -> Vec<Event> {
        let pause = Pause { reason: reason.to_owned(), by: by.to_owned(), since: now };
        let new = activities.iter().filter(|activity| !self.paused(**activity));
        new.map(|activity| Event::Paused { activity: *activity, pause: pause.clone() }).collect()
    }

    fn resuming(&self, activities: &[Activity]) -> Vec<Event> {
        let mut events: Vec<_> = activities
            .iter()
            .filter(|activity| self.paused(**activity))
            .map(|activity| Event::Resumed { activity: *activity })
            .collect();
        if activities.contains(&Activity::Leasing) && (self.halted() || !self.breaches.is_empty()) {
            events.push(Event::Cleared);
        }
        events
    }

    fn suspect(&self, below: Sequence, now: Timestamp) -> Vec<Event> {
        let lease = Arc::new(self.presumed(now));
        let exposed =
            |token: &&Token| matches!(token.stage, Stage::Minted { .. } | Stage::Ready { .. });
        let leased =
            |token: &Token| Event::Leased { sequence: token.sequence, lease: lease.clone() };
        let tokens = self.tokens.range(..below).map(|(_, token)| token);
        let mut events: Vec<_> = tokens.filter(exposed).take(SWEEP_MAX).map(leased).collect();
        if events.len() < SWEEP_MAX {
            // What was on its way became ready later, and was shown: nothing is left to register.
            let over = self.orders.values().filter(|order| order.range().end <= below);
            events.extend(over.map(|order| Event::OrderDropped { order: order.id }));
        }
        events
    }

    /// What is due at `now`, at most [`SWEEP_MAX`] events; the rest is due still.
    fn sweep(&self, now: Timestamp) -> Vec<Event> {
        let ripe = self.orders.values().filter_map(|order| match order.state {
            OrderState::Settled { ripe } if ripe <= now => {
                Some(Event::OrderReady { order: order.id, at: now })
            }
            OrderState::Settled { .. } | OrderState::Open { .. } => None,
        });
        let ended = self
            .due
            .range(..=(now, Sequence::MAX))
            .filter_map(|(_, sequence)| Some((*sequence, self.lease(*sequence)?.1)))
            .map(|(sequence, lease)| self.ended(sequence, lease, now));
        let aged = self
            .ready
            .iter()
            .filter_map(|sequence| self.tokens.get(sequence))
            .take_while(|token| !self.outlives(token, now, Duration::ZERO))
            .map(|token| Event::Aged {
                sequence: token.sequence,
                doom: Doom::new(DoomCause::Aged, now, now),
            });
        let listing = self.listing_due().is_some_and(|at| at <= now);
        let listing = listing.then(|| self.listing_begins(now));
        let due = self.outcomes.survey_due(&self.policy).is_some_and(|at| at <= now);
        let survey = due.then(|| Event::SurveyBegan { days: self.survey_days(now), at: now });
        ripe.take(1)
            .chain(survey)
            .chain(listing)
            .chain(self.vanishing(now))
            .chain(ended)
            .chain(aged)
            .take(SWEEP_MAX)
            .collect()
    }

    /// Whether a sweep would find anything.
    pub fn sweep_due(&self, now: Timestamp) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now)
            || self.outcomes.survey_due(&self.policy).is_some_and(|at| at <= now)
            || self.listing_due().is_some_and(|at| at <= now)
            || self.vanished_waits()
            || self
                .orders
                .values()
                .any(|order| matches!(order.state, OrderState::Settled { ripe } if ripe <= now))
            || self
                .ready
                .first()
                .and_then(|sequence| self.tokens.get(sequence))
                .is_some_and(|token| !self.outlives(token, now, Duration::ZERO))
    }
}

/// The line of a lease whose token is deleted, if its link was alive until then.
fn link_dead(line: &ClosedLease, now: Timestamp) -> Option<Event> {
    let alive = line.link_dead.is_none_or(|dead| dead > now);
    alive.then(|| Event::LinkDead { line: ClosedLease { link_dead: Some(now), ..line.clone() } })
}

/// How long a token waits after a failed deletion: ten seconds, doubling to ten minutes.
pub(super) fn deletion_backoff(attempts: u32) -> Duration {
    Duration::from_secs(10 << attempts.saturating_sub(1).min(6)).min(Duration::from_secs(600))
}
