//! What ARGOS told, and what that makes of a token.

use super::{Verdict, leases::closed};
use crate::domain::{
    ids::{OrderId, Sequence},
    invariant::{Breach, Promise},
    pool::{Event, Fact, FactKind, Pool, Reply},
    time::Timestamp,
    token::{ClosedLease, Decided, Ending, Holder, Lease, Stage, Started},
};

impl Pool {
    pub(super) fn fact(
        &self,
        sequence: Sequence,
        fact: &Fact,
        line: Option<&ClosedLease>,
        now: Timestamp,
    ) -> Verdict {
        let events = match self.tokens.get(&sequence).map(|token| &token.stage) {
            Some(Stage::Leased(lease)) => self.fact_of_open(sequence, lease, fact, now),
            Some(Stage::Minted { .. } | Stage::Ready { .. }) => {
                self.fact_before_lease(sequence, fact, now)
            }
            Some(Stage::Doomed(_)) | None => {
                line.and_then(|line| self.fact_of_closed(line, fact)).into_iter().collect()
            }
        };
        let reply = Reply::Fact { news: !events.is_empty() };
        Verdict { events, reply }
    }

    fn fact_of_open(
        &self,
        sequence: Sequence,
        lease: &Lease,
        fact: &Fact,
        now: Timestamp,
    ) -> Vec<Event> {
        let started = self.earliest(lease.started.as_ref(), fact);
        match fact.kind {
            FactKind::Started if lease.started.as_ref() == Some(&started) => Vec::new(),
            FactKind::Started => vec![Event::Started { sequence, started }],
            FactKind::Decided(decision) => {
                let mut line = closed(sequence, lease, Ending::Decided, now);
                line.started = Some(started);
                line.decided = Some(Decided { decision, at: fact.at });
                let doom = self.doom_of_lease(lease, self.policy.decided_grace, now);
                vec![Event::Closed { line, doom }]
            }
        }
    }

    /// Somebody uses a token that we never handed out: it may have been shown, and by whom we cannot
    /// know (L1, L2).
    fn fact_before_lease(&self, sequence: Sequence, fact: &Fact, now: Timestamp) -> Vec<Event> {
        let lease = Lease { started: Some(self.earliest(None, fact)), ..self.presumed(now) };
        let evidence =
            format!("ARGOS reports the use of sequence {}, which was not leased", sequence.get());
        let breach = Breach { promise: Promise::L1, evidence };
        let leased = Event::Leased { sequence, lease: lease.clone().into() };
        let mut events = vec![Event::Breached { breach }, leased];
        // Nothing of its order may be left to register.
        let order = self.last_of_its_order(sequence);
        events.extend(order.map(|order| Event::OrderDropped { order }));
        if let FactKind::Decided(_) = fact.kind {
            events.extend(self.fact_of_open(sequence, &lease, fact, now));
        }
        events
    }

    fn fact_of_closed(&self, line: &ClosedLease, fact: &Fact) -> Option<Event> {
        let mut merged = line.clone();
        merged.started = Some(self.earliest(line.started.as_ref(), fact));
        if let FactKind::Decided(decision) = fact.kind {
            merged.decided = Some(match line.decided {
                Some(known) if known.decision == decision => {
                    Decided { decision, at: known.at.min(fact.at) }
                }
                Some(known) if !decision.supersedes(known.decision) => known,
                Some(_) | None => Decided { decision, at: fact.at },
            });
        }
        let decision = |line: &ClosedLease| line.decided.map(|decided| decided.decision);
        let decided = decision(&merged).filter(|new| decision(line) != Some(*new));
        (merged != *line).then_some(Event::LateFact { line: merged, decided })
    }

    /// A sign of use never moves the first use to a later time.
    fn earliest(&self, known: Option<&Started>, fact: &Fact) -> Started {
        let at = known.map_or(fact.at, |known| known.at.min(fact.at));
        Started {
            at,
            entry_ends: at.plus(self.policy.entry_window),
            session_ends: at.plus(self.policy.session_max),
            submission: known
                .and_then(|known| known.submission.clone())
                .or_else(|| fact.submission.clone()),
        }
    }

    /// The order in which this token is the only one that is still Minted.
    fn last_of_its_order(&self, sequence: Sequence) -> Option<OrderId> {
        let Stage::Minted { order } = self.tokens.get(&sequence)?.stage else { return None };
        (self.ids_of_order(order).len() == 1).then_some(order)
    }

    pub(super) fn presumed(&self, now: Timestamp) -> Lease {
        let deadline = now.plus(self.policy.ttl_max);
        Lease { issued: now, deadline, started: None, holder: Holder::Presumed }
    }
}
