//! Who is given what, and how a lease ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Verdict;
use crate::domain::{
    ids::{Owner, Revision, Sequence},
    liveform::{Form, Query},
    pause::Activity,
    pool::{Event, Granted, Pool, Refusal, Reply, Wanted},
    submission::Submissions,
    time::Timestamp,
    token::{ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage, Token},
};

impl Pool {
    pub(super) fn leasing(&self, wanted: &[Wanted], now: Timestamp) -> Result<Verdict, Refusal> {
        let mut stock = self.ready.iter().filter_map(|sequence| self.tokens.get(sequence));
        let mut events = Vec::new();
        let mut granted: Vec<Granted> = Vec::with_capacity(wanted.len());
        // Requests that this very command answers, and where.
        let mut answered = BTreeMap::new();
        for (at, wish) in wanted.iter().enumerate() {
            if let Some(known) = self.replay(wish.grant.request)? {
                granted.push(known);
                continue;
            }
            if wanted.len() > 1
                && let Some(request) = wish.grant.request
            {
                let (first, digest) = *answered.entry(request.key).or_insert((at, request.digest));
                if digest != request.digest {
                    return Err(Refusal::RequestIdReused);
                }
                if first < at {
                    granted.push(granted[first].clone());
                    continue;
                }
            }
            // A repeat is answered whatever has happened since; a new lease is not given then.
            self.may_hand_out()?;
            // The lowest sequence that lives long enough; younger ones behind it may do.
            let token =
                stock.find(|token| self.outlives(token, now, wish.ttl)).ok_or(Refusal::Empty)?;
            let sequence = token.sequence;
            let lease =
                Arc::new(self.lease_of(token, &wish.query, wish.grant.clone(), wish.ttl, now));
            granted.push(Granted::Open { sequence, token: token.id.clone(), lease: lease.clone() });
            events.push(Event::Leased { sequence, lease });
        }
        Ok(Verdict { events, reply: Reply::Leases(granted) })
    }

    fn lease_of(
        &self,
        token: &Token,
        query: &Query,
        grant: Grant,
        ttl: Duration,
        now: Timestamp,
    ) -> Lease {
        let mark = || self.seal.mark(token.sequence);
        let (url, correlated) = self.policy.form.url(&token.id, query, mark);
        Lease {
            issued: now,
            deadline: now.plus(ttl),
            expires: None,
            started: None,
            submissions: Submissions::default(),
            vanished: None,
            replaces: None,
            correlated,
            holder: Holder::Caller { grant, url },
        }
    }

    /// L3: what an earlier request with this id was given.
    fn replay(&self, request: Option<Request>) -> Result<Option<Granted>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        let Some(known) = self.requests.get(&request.key) else { return Ok(None) };
        if known.digest != request.digest {
            return Err(Refusal::RequestIdReused);
        }
        let open = self.tokens.get(&known.sequence).and_then(|token| match &token.stage {
            Stage::Leased(lease) => Some(Granted::Open {
                sequence: known.sequence,
                token: token.id.clone(),
                lease: lease.clone(),
            }),
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        });
        Ok(Some(open.unwrap_or(Granted::Past(known.sequence))))
    }

    /// L3: the lease that an earlier request with this id closed.
    fn earlier(&self, request: Option<Request>) -> Result<Option<Sequence>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        let Some(known) = self.requests.get(&request.key) else { return Ok(None) };
        if known.digest != request.digest {
            return Err(Refusal::RequestIdReused);
        }
        Ok(Some(known.sequence))
    }

    pub(super) fn outlives(&self, token: &Token, now: Timestamp, ttl: Duration) -> bool {
        self.policy.unused_age_max.is_none_or(|age| now.plus(ttl) <= token.minted.plus(age))
    }

    pub(super) fn release(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
        request: Option<Request>,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        if let Some(known) = self.earlier(request)? {
            return Ok(Verdict { events: Vec::new(), reply: Reply::Past(known) });
        }
        let (_, lease) = self.lease(sequence).ok_or(Refusal::NotOpen)?;
        let Holder::Caller { grant, .. } = &lease.holder else { return Err(Refusal::NotOpen) };
        if owner.is_some_and(|owner| *owner != grant.owner) {
            return Err(Refusal::NotOpen);
        }
        if lease.started.is_some() {
            return Err(Refusal::LeaseStarted);
        }
        let mut line = closed(sequence, lease, Ending::Released, now);
        line.closer = request;
        let doom = self.doom_of_lease(lease, Duration::ZERO, now);
        let reply = Reply::Closed(Box::new(line.clone()));
        Ok(Verdict { events: vec![Event::Closed { line, doom }], reply })
    }

    /// The link is to be dead as soon as possible, whoever is on the page.
    pub(super) fn revoke(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
        request: Option<Request>,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        if let Some(known) = self.earlier(request)? {
            return Ok(Verdict { events: Vec::new(), reply: Reply::Past(known) });
        }
        let (_, lease) = self.lease(sequence).ok_or(Refusal::NotOpen)?;
        if !held_by(lease, owner) {
            return Err(Refusal::NotOpen);
        }
        let Event::Closed { mut line, doom } = self.revoked(sequence, lease, Ending::Revoked, now)
        else {
            unreachable!("a revoked lease closes")
        };
        line.closer = request;
        let reply = Reply::Closed(Box::new(line.clone()));
        Ok(Verdict { events: vec![Event::Closed { line, doom }], reply })
    }

    pub(super) fn revoke_all(&self, sequences: &[Sequence], now: Timestamp) -> Vec<Event> {
        let open = sequences.iter().filter_map(|sequence| Some((sequence, self.lease(*sequence)?)));
        open.map(|(sequence, (_, lease))| self.revoked(*sequence, lease, Ending::Revoked, now))
            .collect()
    }

    fn revoked(&self, sequence: Sequence, lease: &Lease, ending: Ending, now: Timestamp) -> Event {
        let doom = self.doom_of_lease(lease, self.policy.revoked_grace, now);
        let line = closed(sequence, lease, ending, now);
        Event::Closed { line, doom: Doom { urgent: true, ..doom } }
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
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let (token, lease) = match self.lease(sequence) {
            Some((token, lease)) if held_by(lease, owner) => (Some(token), Some(lease)),
            Some(_) | None => (None, None),
        };
        if let Some(known) = self.replay(request)? {
            return Ok(Verdict { events: Vec::new(), reply: Reply::Leases(vec![known]) });
        }
        let (Some(old), Some(lease)) = (token, lease) else { return Err(Refusal::NotOpen) };
        let Holder::Caller { grant, url } = &lease.holder else { return Err(Refusal::NotOpen) };
        self.may_hand_out()?;
        let mut stock = self.ready.iter().filter_map(|sequence| self.tokens.get(sequence));
        let token = stock.find(|token| self.outlives(token, now, ttl)).ok_or(Refusal::Empty)?;
        let mark = lease.correlated.then(|| self.seal.mark(sequence));
        let query = Form::query_of(url, &old.id, mark.as_deref());
        let grant = Grant { request, ..grant.clone() };
        let mut next = self.lease_of(token, &query, grant, ttl, now);
        next.replaces = Some(sequence);
        let next = Arc::new(next);
        let Event::Closed { mut line, doom } = self.revoked(sequence, lease, Ending::Replaced, now)
        else {
            unreachable!("a replaced lease closes")
        };
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

    fn may_hand_out(&self) -> Result<(), Refusal> {
        if self.halted() {
            return Err(Refusal::Halted);
        }
        if self.paused(Activity::Leasing) { Err(Refusal::Paused) } else { Ok(()) }
    }

    pub(super) fn presumed(&self, now: Timestamp) -> Lease {
        Lease {
            issued: now,
            deadline: now.plus(self.policy.ttl_max),
            expires: None,
            started: None,
            submissions: Submissions::default(),
            vanished: None,
            replaces: None,
            correlated: false,
            holder: Holder::Presumed,
        }
    }

    pub(super) fn ended(&self, sequence: Sequence, lease: &Lease, now: Timestamp) -> Event {
        debug_assert!(lease.ends() <= now);
        let (ending, grace) = if lease.started.is_some() {
            (Ending::Expired, Duration::ZERO)
        } else {
            // ARGOS shows no sign before the first step: somebody may have opened it just now.
            (Ending::Lapsed, self.policy.lapsed_grace)
        };
        let doom = self.doom_of_lease(lease, grace, now);
        Event::Closed { line: closed(sequence, lease, ending, now), doom }
    }

    /// What becomes of the token of a lease that closes.
    pub(super) fn doom_of_lease(&self, lease: &Lease, grace: Duration, now: Timestamp) -> Doom {
        let (cause, grace) = match lease.holder {
            Holder::Caller { .. } => (DoomCause::LeaseClosed, grace),
            // It may have been Minted when its use was seen: its registration must have come to its
            // end, and no late copy of it may be on the way (B3).
            Holder::Presumed => (DoomCause::Cancelled, grace.max(2 * self.policy.late_copy_delay)),
        };
        Doom::new(cause, now, now.plus(grace))
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

pub(super) fn closed(
    sequence: Sequence,
    lease: &Lease,
    ending: Ending,
    now: Timestamp,
) -> ClosedLease {
    let grant = match &lease.holder {
        Holder::Caller { grant, .. } => Some(grant.clone()),
        Holder::Presumed => None,
    };
    ClosedLease {
        sequence,
        revision: Revision::default(),
        issued: lease.issued,
        deadline: lease.deadline,
        started: lease.started,
        submissions: lease.submissions.clone(),
        vanished: lease.vanished,
        closed: now,
        ending,
        link_dead: if ending == Ending::Decided {
            // ARGOS lets nobody in with a decided token (contract 2).
            Some(lease.link_dead().map_or(now, |dead| dead.min(now)))
        } else {
            lease.link_dead()
        },
        replaces: lease.replaces,
        replaced_by: None,
        correlated: lease.correlated,
        grant,
        closer: None,
    }
}
