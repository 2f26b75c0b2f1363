//! Links that are to be dead before their time, and what takes their place.

use std::sync::Arc;

use super::{Verdict, leases::closed};
use crate::domain::{
    ids::{Owner, Sequence},
    liveform::{Draft, Params},
    pool::{Event, Granted, Pool, Refusal, Replacement, Reply},
    time::Timestamp,
    token::{ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage},
};

impl Pool {
    /// The link is to be dead as soon as possible, whoever is on the page.
    pub(super) fn revoke(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
        request: Option<Request>,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        if let Some(before) = self.closed_before(request, lines, now)? {
            return Ok(before);
        }
        let (_, lease) = self.lease(sequence).ok_or(Refusal::NotOpen)?;
        if !held_by(lease, owner) {
            return Err(Refusal::NotOpen);
        }
        let (mut line, doom) = self.revoked(sequence, lease, Ending::Revoked, now);
        line.closer = request;
        let reply = Reply::Closed(Box::new(line.clone()));
        Ok(Verdict { events: vec![Event::Closed { line, doom }], reply })
    }

    pub(super) fn revoke_all(&self, sequences: &[Sequence], now: Timestamp) -> Vec<Event> {
        let open = sequences.iter().filter_map(|sequence| Some((sequence, self.lease(*sequence)?)));
        let revoked = open.map(|(at, (_, lease))| self.revoked(*at, lease, Ending::Revoked, now));
        revoked.map(|(line, doom)| Event::Closed { line, doom }).collect()
    }

    fn revoked(
        &self,
        sequence: Sequence,
        lease: &Lease,
        ending: Ending,
        now: Timestamp,
    ) -> (ClosedLease, Doom) {
        let doom = self.doom_of_lease(lease, self.policy.revoked_grace, now);
        (closed(sequence, lease, ending, now), Doom { urgent: true, ..doom })
    }

    pub(super) fn hasten(&self, sequence: Sequence, now: Timestamp) -> Vec<Event> {
        match self.tokens.get(&sequence).map(|token| &token.stage) {
            Some(Stage::Doomed(doom)) if !doom.urgent => {
                // What waits for late copies waits for them still (B3).
                let soon = now.plus(self.policy.revoked_grace).min(doom.not_before);
                let free = doom.cause == DoomCause::LeaseClosed && doom.attempts == 0;
                let not_before = if free { soon } else { doom.not_before };
                vec![Event::Rescheduled { sequence, not_before, urgent: true }]
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The same wish with another token. With none to give nothing changes.
    pub(super) fn replace(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
        request: Option<Request>,
        replacement: &Replacement,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let held = self.lease(sequence).filter(|(_, lease)| held_by(lease, owner));
        if let Some(known) = self.replay(request, lines, now)? {
            return Ok(Verdict { events: Vec::new(), reply: Reply::Leases(vec![known]) });
        }
        let (_, lease) = held.ok_or(Refusal::NotOpen)?;
        let Holder::Caller { grant, url, sealed } = &lease.holder else {
            return Err(Refusal::NotOpen);
        };
        self.may_hand_out()?;
        let mut stock = self.ready.iter().filter_map(|sequence| self.tokens.get(sequence));
        let Replacement { ttl, blank } = replacement;
        let token = stock.find(|token| self.outlives(token, now, *ttl)).ok_or(Refusal::Empty)?;
        let mark = lease.correlated.then(|| self.seal.mark(sequence));
        let params = Params::of_link(url, sealed, mark.as_deref())
            .expect("what a lease keeps of its link was written by the link");
        let draft = Draft { params, ..blank.clone() };
        let grant = Grant { request, ..grant.clone() };
        let mut next = self.lease_of(token, &draft, grant, *ttl, now)?;
        next.replaces = Some(sequence);
        let next = Arc::new(next);
        let (mut line, doom) = self.revoked(sequence, lease, Ending::Replaced, now);
        line.replaced_by = Some(token.sequence);
        let granted = Granted::Open {
            sequence: token.sequence,
            token: token.id.clone(),
            lease: next.clone(),
        };
        let leased = Event::Leased { sequence: token.sequence, lease: next };
        Ok(Verdict {
            events: vec![leased, Event::Closed { line, doom }],
            reply: Reply::Leases(vec![granted]),
        })
    }
}

/// Whether this caller may close it; `None` is an admin.
fn held_by(lease: &Lease, owner: Option<&Owner>) -> bool {
    match (&lease.holder, owner) {
        (Holder::Caller { .. } | Holder::Presumed, None) => true,
        (Holder::Caller { grant, .. }, Some(owner)) => grant.owner == *owner,
        (Holder::Presumed, Some(_)) => false,
    }
}
