//! Folds events in. Total: what was decided always applies, or the state is not ours and carrying on
//! would be the greater harm.

use std::mem;

use super::{Answer, CapReached, Changes, Conclusion, Count, Event, KeyCheck, Pool};
use crate::domain::{
    ids::{OrderId, Revision, Sequence},
    order::{Order, OrderState},
    pause::Activity,
    submission::Submissions,
    time::Timestamp,
    token::{ClosedLease, Doom, Holder, Stage, Token},
};

impl Pool {
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Minted { order, tokens } => self.minted(order, tokens),
            Event::OrderSettled { order, ripe } => {
                self.cap_reached = None;
                self.set_order_state(*order, OrderState::Settled { ripe: *ripe });
            }
            Event::OrderRefused { order, not_before } => {
                self.change_order(*order, |known| {
                    if let OrderState::Open { not_before: held, .. } = &mut known.state {
                        *held = *not_before;
                    }
                });
            }
            Event::OrderDoubted { order, doubt, not_before } => {
                let state = OrderState::Open { not_before: *not_before, doubt: Some(*doubt) };
                self.set_order_state(*order, state);
            }
            Event::OrderGivenUp { order, doom } => {
                self.finish_order(*order, &Stage::Doomed(*doom));
            }
            Event::OrderDropped { order } => self.drop_order(*order),
            Event::OrderReady { order, at } => {
                self.finish_order(*order, &Stage::Ready { since: *at });
            }
            Event::Leased { sequence, lease } => {
                self.granted = self.granted.max(sequence.plus(1));
                self.advance(*sequence, Stage::Leased(lease.clone()));
                self.outcomes.opened(*sequence, lease, &self.policy, lease.issued);
            }
            Event::Told { sequence, lease, .. } => {
                self.advance(*sequence, Stage::Leased(lease.clone()));
                self.outcomes.told(*sequence, self.names(&lease.submissions));
                if lease.vanished.is_some() {
                    self.listing.settled(*sequence);
                }
            }
            Event::Closed { line, doom } => {
                self.past.remember(line);
                self.advance(line.sequence, Stage::Doomed(*doom));
                self.write_line(line);
                let names = self.names(&line.submissions);
                self.outcomes.closed(line, names, &self.policy);
            }
            Event::LateFact { line, .. } => {
                self.write_line(line);
                let names = self.names(&line.submissions);
                self.outcomes.changed(line, names);
            }
            Event::LinkDead { line } => self.write_line(line),
            Event::Rescheduled { sequence, not_before, urgent } => {
                let Some(Token { stage: Stage::Doomed(doom), .. }) = self.tokens.get(sequence)
                else {
                    unreachable!("only a doomed token is rescheduled");
                };
                let doom = Doom { not_before: *not_before, urgent: *urgent, ..*doom };
                self.advance(*sequence, Stage::Doomed(doom));
            }
            Event::Shown { sequence } => {
                self.granted = self.granted.max(sequence.plus(1));
                // Written again, because how far was granted is committed with a record.
                let revision = self.pending_revision();
                if let Some(token) = self.tokens.get_mut(sequence) {
                    token.revision = revision;
                    self.changes.tokens.insert(*sequence);
                }
            }
            Event::Aged { sequence, doom } | Event::Discarded { sequence, doom } => {
                self.advance(*sequence, Stage::Doomed(*doom));
            }
            Event::Vanished { sequence, doom } => {
                self.advance(*sequence, Stage::Doomed(*doom));
                self.listing.settled(*sequence);
            }
            Event::DeletionFailed { sequences, at, blamed } => {
                for sequence in sequences {
                    self.put_off(*sequence, *at, *blamed);
                }
            }
            Event::Deleted { sequences } => {
                for sequence in sequences {
                    if let Some(token) = self.tokens.remove(sequence) {
                        self.unindex(*sequence, &token.stage);
                        self.changes.tokens.insert(*sequence);
                        self.listing.deleted(*sequence);
                    }
                }
            }
            Event::Paused { activity, pause } => {
                self.pauses.insert(*activity, pause.clone());
                self.changes.pauses.insert(*activity);
            }
            Event::Resumed { activity } => {
                self.pauses.remove(activity);
                self.changes.pauses.insert(*activity);
            }
            Event::Breached { breach } => {
                if !self.breaches.contains(breach) {
                    self.breaches.push(breach.clone());
                }
            }
            Event::Cleared => {
                self.breaches.clear();
                if self.key_check == KeyCheck::Failed {
                    self.key_check = KeyCheck::Passed;
                }
            }
            Event::Forgotten { before } => self.past.forget(*before),
            Event::Counted { count } => {
                self.count_wanted = None;
                self.count_tried = true;
                if let Some(Count { drift: Some(drift), reported, at }) = *count {
                    // A listing told them apart; a count alone knows only the difference.
                    let listed = self.foreign_listed().min(reported);
                    self.foreign = u32::try_from(drift.max(0)).unwrap_or(u32::MAX).max(listed);
                    if reported.saturating_sub(listed) >= self.least().0 {
                        self.last_good_count = Some(at);
                        self.let_go_unless_missing();
                    }
                }
                self.count = count.or(self.count);
            }
            Event::CountWanted { at } => {
                self.count_wanted.get_or_insert(*at);
            }
            Event::CapReached { until } => self.cap_reached = Some(CapReached { until: *until }),
            Event::KeyChecked { check } => {
                self.key_check = *check;
                if *check == (KeyCheck::Open { missing: 0 }) {
                    self.call_key_witnesses();
                }
            }
            Event::ExtraOrdered { tokens } => self.extra = self.extra.saturating_add(*tokens),
            Event::ListingWanted { at, wanted } => self.listing.want(*at, *wanted),
            Event::ListingBegan { unseen, at } => self.listing.begin(unseen.clone(), *at),
            Event::Listed { seen, foreign, unreadable, next } => {
                if self.key_is_proven_by(seen) {
                    self.key_check = KeyCheck::Passed;
                }
                self.listing.page(seen, foreign, *unreadable, next.as_ref());
                for sequence in seen {
                    self.let_go(*sequence);
                }
            }
            Event::ListingEnded { conclusion } => self.conclude(conclusion),
            Event::VanishedSettled { sequence } => self.listing.settled(*sequence),
            Event::HeldBack { sequences } => {
                for sequence in sequences {
                    self.hold_back(*sequence);
                }
            }
            Event::LossAccepted => self.listing.accept_loss(),
            Event::ForeignDoomed { which } => self.listing.doom_foreign(*which),
            Event::ForeignDeleted { tokens, done } => self.listing.foreign_deleted(tokens, *done),
            Event::Asked { submission, at } => self.outcomes.ask(submission.clone(), *at),
            Event::Answered { submission, answer: Answer::Nothing, at } => {
                self.outcomes.ask_again(submission, *at);
            }
            Event::Answered { submission, answer, .. } => {
                let name = self.seal.name(submission);
                self.outcomes.answered(submission, name, *answer == Answer::Stranger);
            }
            Event::SurveyBegan { days, at } => self.outcomes.begin_survey(*days, *at),
            Event::Surveyed { next } => {
                let mut outcomes = mem::take(&mut self.outcomes);
                outcomes.surveyed(next.clone(), |at| self.open_since(at), &self.policy);
                self.outcomes = outcomes;
            }
        }
    }

    /// Hands over what changed since the last call and counts it as one revision.
    pub fn take_changes(&mut self) -> Changes {
        let changes = mem::take(&mut self.changes);
        if !changes.is_empty() {
            self.revision = self.pending_revision();
        }
        changes
    }

    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    fn pending_revision(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    fn minted(&mut self, order: &Order, tokens: &[Token]) {
        let mut order = order.clone();
        order.revision = self.pending_revision();
        self.next = self.next.max(order.range().end);
        // What goes beyond the shortage is what was asked for beyond the target.
        let census = self.census();
        let position = census.leasable() + census.minted;
        let shortage = self.policy.refill.target().saturating_sub(position);
        self.extra = self.extra.saturating_sub(order.tokens.saturating_sub(shortage));
        self.changes.orders.insert(order.id);
        for token in tokens {
            let mut token = token.clone();
            token.revision = self.pending_revision();
            self.changes.tokens.insert(token.sequence);
            self.index(token.sequence, &token.stage);
            self.tokens.insert(token.sequence, token);
        }
        self.orders.insert(order.id, order);
    }

    fn set_order_state(&mut self, id: OrderId, state: OrderState) {
        self.change_order(id, |order| order.state = state);
    }

    fn change_order(&mut self, id: OrderId, change: impl FnOnce(&mut Order)) {
        let revision = self.pending_revision();
        let order = self.orders.get_mut(&id).expect("B2: an order that is answered is known");
        change(order);
        order.revision = revision;
        self.changes.orders.insert(id);
    }

    /// Takes an order out, and those of its tokens along that are still Minted: one that ARGOS told
    /// about before its time is presumed leased already.
    fn finish_order(&mut self, id: OrderId, stage: &Stage) {
        let order = self.orders.remove(&id).expect("B2: an order that ends is known");
        self.changes.orders.insert(id);
        let minted: Vec<Sequence> = self
            .tokens
            .range(order.range())
            .filter(|(_, token)| matches!(token.stage, Stage::Minted { .. }))
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in minted {
            self.advance(sequence, stage.clone());
        }
    }

    fn drop_order(&mut self, id: OrderId) {
        let order = self.orders.remove(&id).expect("B2: an order that is dropped is known");
        self.changes.orders.insert(id);
        let minted = |token: &Token| matches!(token.stage, Stage::Minted { .. });
        let range = self.tokens.range(order.range());
        let gone: Vec<_> = range.filter(|(_, token)| minted(token)).map(|(at, _)| *at).collect();
        for sequence in gone {
            self.tokens.remove(&sequence);
            self.minted -= 1;
            self.changes.tokens.insert(sequence);
        }
    }

    /// The one place where a token changes its stage.
    fn advance(&mut self, sequence: Sequence, next: Stage) {
        let revision = self.pending_revision();
        let token = self.tokens.get_mut(&sequence).expect("J2: a token that changes is known");
        let from = mem::replace(&mut token.stage, next.clone());
        token.revision = revision;
        match &next {
            Stage::Ready { .. } => assert!(
                matches!(from, Stage::Minted { .. }),
                "L2: a token became ready that was {}",
                name(&from)
            ),
            Stage::Leased(lease) => {
                let may = match (&from, &lease.holder) {
                    (Stage::Ready { .. }, _) | (Stage::Minted { .. }, Holder::Presumed) => true,
                    // A first sign of use changes the lease and nothing of who holds it.
                    (Stage::Leased(before), holder) => before.holder == *holder,
                    (Stage::Minted { .. } | Stage::Doomed(_), _) => false,
                };
                assert!(may, "L1: a token was leased that was {}", name(&from));
            }
            Stage::Minted { .. } => panic!("B1: a token became minted that was {}", name(&from)),
            Stage::Doomed(_) => (),
        }
        self.unindex(sequence, &from);
        self.index(sequence, &next);
        self.changes.tokens.insert(sequence);
    }

    /// Without blame it counts as tried once, because it may have happened, and however long an
    /// outage lasts, as no more: ARGOS is asked again soon after, and for all of them together.
    fn put_off(&mut self, sequence: Sequence, at: Timestamp, blamed: bool) {
        let Some(Token { stage: Stage::Doomed(doom), .. }) = self.tokens.get(&sequence) else {
            return;
        };
        let attempts = if blamed { doom.attempts + 1 } else { doom.attempts.max(1) };
        let not_before = at.plus(super::decide::deletion_backoff(attempts));
        self.advance(sequence, Stage::Doomed(Doom { attempts, not_before, ..*doom }));
    }

    fn write_line(&mut self, line: &ClosedLease) {
        let mut line = line.clone();
        line.revision = self.pending_revision();
        self.changes.lines.retain(|written| written.sequence != line.sequence);
        self.changes.lines.push(line);
    }

    /// Enters a token into every index.
    pub(super) fn index(&mut self, sequence: Sequence, stage: &Stage) {
        match stage {
            Stage::Minted { .. } => self.minted += 1,
            Stage::Ready { .. } => {
                self.ready.insert(sequence);
            }
            Stage::Leased(lease) => {
                self.leased += 1;
                self.due.insert((lease.ends(), sequence));
                if let Some(request) = lease.request() {
                    self.requests.insert(request.key, sequence);
                }
            }
            Stage::Doomed(doom) => {
                let at = self.deletable(doom);
                self.doomed.insert((at, sequence));
                if doom.urgent {
                    self.urgent.insert((at, sequence));
                }
            }
        }
    }

    fn unindex(&mut self, sequence: Sequence, stage: &Stage) {
        match stage {
            Stage::Minted { .. } => self.minted -= 1,
            Stage::Ready { .. } => {
                self.ready.remove(&sequence);
                self.held_back.remove(&sequence);
            }
            Stage::Leased(lease) => {
                self.leased -= 1;
                self.due.remove(&(lease.ends(), sequence));
                if let Some(request) = lease.request() {
                    self.requests.remove(&request.key);
                }
            }
            Stage::Doomed(doom) => {
                let at = self.deletable(doom);
                self.doomed.remove(&(at, sequence));
                self.urgent.remove(&(at, sequence));
            }
        }
    }

    /// A Ready token is not handed out until it is clear that it is there.
    pub(super) fn hold_back(&mut self, sequence: Sequence) {
        if self.ready.remove(&sequence) {
            self.held_back.insert(sequence);
        }
    }

    fn let_go(&mut self, sequence: Sequence) {
        if self.held_back.remove(&sequence) {
            self.ready.insert(sequence);
        }
    }

    /// ARGOS counts as many as there should be: nothing is held back but what a listing missed.
    fn let_go_unless_missing(&mut self) {
        let held_back: Vec<_> = self.held_back.iter().copied().collect();
        for sequence in held_back {
            if !self.listing.misses(sequence) {
                self.let_go(sequence);
            }
        }
    }

    fn conclude(&mut self, conclusion: &Conclusion) {
        self.listing.conclude(conclusion);
        if !conclusion.report.void {
            // C1: a count alone cannot tell foreign ids from vanished ones.
            self.foreign = self.foreign_listed();
        }
        if conclusion.report.void || conclusion.report.dry_run {
            return;
        }
        let missing: Vec<_> = self.listing.absent().collect();
        for sequence in missing {
            self.hold_back(sequence);
        }
        self.let_go_unless_missing();
    }

    /// The hashes under which submissions are found again.
    pub(super) fn names(&self, submissions: &Submissions) -> Vec<u64> {
        submissions.ids().map(|submission| self.seal.name(submission)).collect()
    }

    pub fn may(&self, activity: Activity) -> bool {
        !self.halted() && !self.paused(activity)
    }
}

fn name(stage: &Stage) -> &'static str {
    match stage {
        Stage::Minted { .. } => "minted",
        Stage::Ready { .. } => "ready",
        Stage::Leased(_) => "leased",
        Stage::Doomed(_) => "doomed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pool::stand::with_a_doomed_token;

    #[test]
    #[should_panic(expected = "L2: a token became ready that was doomed")]
    fn a_token_that_was_given_back_and_becomes_ready_ends_the_process() {
        with_a_doomed_token().advance(Sequence::ZERO, Stage::Ready { since: Timestamp::ZERO });
    }

    #[test]
    #[should_panic(expected = "B1: a token became minted that was doomed")]
    fn a_token_that_was_known_to_argos_and_becomes_minted_ends_the_process() {
        let order = OrderId(Sequence::ZERO);
        with_a_doomed_token().advance(Sequence::ZERO, Stage::Minted { order });
    }
}
