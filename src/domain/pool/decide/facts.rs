//! What ARGOS told, and what that makes of a token.

use super::{Verdict, leases::closed};
use crate::domain::{
    ids::{OrderId, Sequence},
    invariant::{Breach, Promise},
    pool::{Event, Heard, News, Pool, Reply},
    submission::{Fact, FactKind},
    time::Timestamp,
    token::{ClosedLease, Doom, DoomCause, Ending, Lease, Stage, Started},
};

impl Pool {
    pub(super) fn fact(
        &self,
        sequence: Sequence,
        fact: &Fact,
        line: Option<&ClosedLease>,
        now: Timestamp,
    ) -> Verdict {
        let stage = self.tokens.get(&sequence).map(|token| &token.stage);
        let events = match (stage, line) {
            (Some(Stage::Leased(lease)), _) => self.fact_of_open(sequence, lease, fact, now),
            (Some(Stage::Minted { .. } | Stage::Ready { .. }), _) => {
                self.fact_before_lease(sequence, fact, now)
            }
            (stage @ (Some(Stage::Doomed(_)) | None), Some(line)) => {
                let doom = stage.and_then(|stage| match stage {
                    Stage::Doomed(doom) => Some(doom),
                    Stage::Minted { .. } | Stage::Ready { .. } | Stage::Leased(_) => None,
                });
                self.fact_of_closed(line, doom, fact)
            }
            (Some(Stage::Doomed(doom)), None) if doom.cause != DoomCause::LeaseClosed => {
                // Never leased, on its way out, and yet somebody uses it.
                if is_use(fact) {
                    vec![self.used_unleased(sequence), Event::Shown { sequence }]
                } else {
                    Vec::new()
                }
            }
            (Some(Stage::Doomed(_)) | None, None) => {
                return Verdict { events: Vec::new(), reply: Reply::Fact(Heard::TooLate) };
            }
        };
        let heard = if events.is_empty() { Heard::Known } else { Heard::News };
        Verdict { events, reply: Reply::Fact(heard) }
    }

    fn fact_of_open(
        &self,
        sequence: Sequence,
        lease: &Lease,
        fact: &Fact,
        now: Timestamp,
    ) -> Vec<Event> {
        let told = Lease {
            started: self.first_use(lease.started, fact, lease.issued),
            submissions: lease.submissions.with(fact),
            expires: earlier(lease.expires, expiry(fact)),
            ..lease.clone()
        };
        if told.submissions.decided().is_some() {
            let line = closed(sequence, &told, Ending::Decided, now);
            let doom = self.doom_of_lease(lease, self.policy.decided_grace, now);
            return vec![Event::Closed { line, doom }];
        }
        if told == *lease {
            return Vec::new();
        }
        let first_use = lease.started.is_none() && told.started.is_some();
        let news = if first_use { News::FirstUse } else { News::More };
        vec![Event::Told { sequence, lease: told.into(), news }]
    }

    /// ARGOS speaks of a token that we never handed out: it may have been shown, and by whom we cannot
    /// know (L1, L2). That it will expire is no sign of use and no breach: ARGOS may count from its
    /// registration.
    fn fact_before_lease(&self, sequence: Sequence, fact: &Fact, now: Timestamp) -> Vec<Event> {
        let lease = self.presumed(now);
        let leased = Event::Leased { sequence, lease: lease.clone().into() };
        let mut events = Vec::new();
        if is_use(fact) {
            events.push(self.used_unleased(sequence));
        }
        events.push(leased);
        // Nothing of its order may be left to register.
        let order = self.last_of_its_order(sequence);
        events.extend(order.map(|order| Event::OrderDropped { order }));
        events.extend(self.fact_of_open(sequence, &lease, fact, now));
        events
    }

    fn fact_of_closed(&self, line: &ClosedLease, doom: Option<&Doom>, fact: &Fact) -> Vec<Event> {
        let mut merged = line.clone();
        merged.started = self.first_use(line.started, fact, line.issued);
        merged.submissions = line.submissions.with(fact);
        merged.link_dead = earlier(line.link_dead, expiry(fact));
        if let Some(started) = merged.started {
            merged.link_dead = earlier(merged.link_dead, Some(started.entry_ends));
        }
        if merged == *line {
            return Vec::new();
        }
        let decision = |line: &ClosedLease| line.decided().map(|decided| decided.decision);
        let decided = decision(&merged).filter(|new| decision(line) != Some(*new));
        // Whoever is on the page after all is not cut off.
        let stays = merged.started.filter(|_| decision(&merged).is_none());
        let later = doom.zip(stays).filter(|(doom, _)| !doom.urgent).and_then(|(doom, started)| {
            let not_before = started.session_ends;
            let sequence = line.sequence;
            (doom.not_before < not_before).then_some(Event::Rescheduled {
                sequence,
                not_before,
                urgent: false,
            })
        });
        let late = Event::LateFact { line: merged, decided };
        [late].into_iter().chain(later).collect()
    }

    /// A sign of use never moves the first use to a later time, nor before the link was there, and the
    /// door never opens again.
    fn first_use(&self, known: Option<Started>, fact: &Fact, issued: Timestamp) -> Option<Started> {
        if !is_use(fact) {
            return known;
        }
        let told = fact.at.max(issued);
        let at = known.map_or(told, |known| known.at.min(told));
        let exhausted = (fact.kind == FactKind::Exhausted).then_some(told);
        let ends = [known.map(|known| known.entry_ends), exhausted];
        let entry_ends = at.plus(self.policy.entry_window);
        Some(Started {
            at,
            entry_ends: ends.into_iter().flatten().fold(entry_ends, Timestamp::min),
            session_ends: at.plus(self.policy.session_max),
        })
    }

    fn used_unleased(&self, sequence: Sequence) -> Event {
        let number = sequence.get();
        let evidence = format!("ARGOS reports the use of sequence {number}, which was not leased");
        Event::Breached { breach: Breach { promise: Promise::L1, evidence } }
    }

    /// The order in which this token is the only one that is still Minted.
    fn last_of_its_order(&self, sequence: Sequence) -> Option<OrderId> {
        let Stage::Minted { order } = self.tokens.get(&sequence)?.stage else { return None };
        (self.ids_of_order(order).len() == 1).then_some(order)
    }
}

/// Whether it shows that somebody used the token.
fn is_use(fact: &Fact) -> bool {
    match fact.kind {
        FactKind::Started | FactKind::Decided(_) | FactKind::Exhausted => true,
        FactKind::Expires(_) => false,
    }
}

fn expiry(fact: &Fact) -> Option<Timestamp> {
    match fact.kind {
        FactKind::Expires(at) => Some(at),
        FactKind::Started | FactKind::Decided(_) | FactKind::Exhausted => None,
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
