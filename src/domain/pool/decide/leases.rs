//! Who is given what, and how a lease ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Verdict;
use crate::domain::{
    ids::{Owner, Revision, Sequence},
    limits::LINK_BYTES_MAX,
    liveform::{Draft, Occasion},
    pause::Activity,
    pool::{Command, Event, Granted, Pool, Refusal, Reply, Wanted},
    submission::Submissions,
    time::Timestamp,
    token::{ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage, Token},
};

impl Pool {
    /// The closed leases whose lines of history must be seen before a command is decided: its
    /// requests may be theirs (L3). They are asked for in the step that decides, so that no lease
    /// closes in between.
    pub fn in_question(&self, command: &Command) -> Vec<Sequence> {
        let recalled = |request: Request| {
            // What is open is known in full.
            let closed = self.requested(request.key).is_none();
            closed.then(|| self.recalled(request.key)).into_iter().flatten()
        };
        match command {
            Command::Lease { wanted } => {
                wanted.iter().filter_map(|wish| wish.grant.request).flat_map(recalled).collect()
            }
            Command::Release { request, .. }
            | Command::Revoke { request, .. }
            | Command::Replace { request, .. } => {
                request.iter().flat_map(|request| recalled(*request)).collect()
            }
            Command::Fact { .. }
            | Command::RevokeAll { .. }
            | Command::Hasten { .. }
            | Command::Listed { .. }
            | Command::WantListing { .. }
            | Command::AcceptLoss
            | Command::DoomForeign { .. }
            | Command::ForeignDeleted { .. }
            | Command::Ask { .. }
            | Command::Answered { .. }
            | Command::Surveyed { .. }
            | Command::Mint { .. }
            | Command::Trial { .. }
            | Command::Ripen { .. }
            | Command::Discard { .. }
            | Command::Clear { .. }
            | Command::Attempted { .. }
            | Command::Withdraw { .. }
            | Command::Deleted { .. }
            | Command::DeletionLost { .. }
            | Command::Counted { .. }
            | Command::KeyChecked { .. }
            | Command::KeyReplaced
            | Command::WantCount
            | Command::Forget
            | Command::Extra { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Suspect { .. }
            | Command::Breached { .. }
            | Command::Sweep => Vec::new(),
        }
    }

    pub(super) fn leasing(
        &self,
        wanted: &[Wanted],
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let mut stock = self.ready.iter().filter_map(|sequence| self.tokens.get(sequence));
        let mut events = Vec::new();
        let mut granted: Vec<Granted> = Vec::with_capacity(wanted.len());
        // Requests that this very command answers, and where.
        let mut answered = BTreeMap::new();
        for (at, wish) in wanted.iter().enumerate() {
            if let Some(known) = self.replay(wish.grant.request, lines, now)? {
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
            let draft = wish.draft.as_ref().ok_or(Refusal::NoDraft)?;
            // The lowest sequence that lives long enough; younger ones behind it may do.
            let token =
                stock.find(|token| self.outlives(token, now, wish.ttl)).ok_or(Refusal::Empty)?;
            let sequence = token.sequence;
            let grant = wish.grant.clone();
            let lease = Arc::new(self.lease_of(token, draft, grant, wish.ttl, now)?);
            granted.push(Granted::Open { sequence, token: token.id.clone(), lease: lease.clone() });
            events.push(Event::Leased { sequence, lease });
        }
        Ok(Verdict { events, reply: Reply::Leases(granted) })
    }

    pub(super) fn lease_of(
        &self,
        token: &Token,
        draft: &Draft,
        grant: Grant,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let deadline = now.plus(ttl);
        let occasion = Occasion { token: &token.id, issued: now, deadline };
        let link = draft.link(occasion, || self.seal.mark(token.sequence));
        // Whoever asked was told the length; a record that is too large would stop the ledger.
        if link.url.len() + link.sealed.len() > LINK_BYTES_MAX {
            return Err(Refusal::LinkTooLong);
        }
        Ok(Lease {
            issued: now,
            deadline,
            expires: None,
            started: None,
            submissions: Submissions::default(),
            vanished: None,
            replaces: None,
            correlated: link.marked,
            holder: Holder::Caller { grant, url: link.url, sealed: link.sealed },
        })
    }

    /// L3: what an earlier request with this id was given.
    pub(super) fn replay(
        &self,
        request: Option<Request>,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Option<Granted>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        let Some(sequence) = self.known(request, lines, now)? else { return Ok(None) };
        let open = self.tokens.get(&sequence).and_then(|token| match &token.stage {
            Stage::Leased(lease) => {
                Some(Granted::Open { sequence, token: token.id.clone(), lease: lease.clone() })
            }
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        });
        Ok(Some(open.unwrap_or(Granted::Past(sequence))))
    }

    /// The lease, open or closed, that was given to the same request (L3). One of two different
    /// wishes under one id is refused.
    pub(super) fn known(
        &self,
        request: Request,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Option<Sequence>, Refusal> {
        if let Some(sequence) = self.requested(request.key) {
            let lease = self.lease(sequence).and_then(|(_, lease)| lease.request());
            let same = lease.is_some_and(|open| open.digest == request.digest);
            return if same { Ok(Some(sequence)) } else { Err(Refusal::RequestIdReused) };
        }
        let remembered = now.minus(self.policy.request_id_memory);
        let mut gone = None;
        for sequence in self.recalled(request.key) {
            let Some(line) = lines.iter().find(|line| line.sequence == sequence) else {
                gone = gone.or(Some(sequence));
                continue;
            };
            match line.asked(request.key) {
                Some(_) if line.closed < remembered => (),
                Some(digest) if digest != request.digest => return Err(Refusal::RequestIdReused),
                Some(_) => return Ok(Some(sequence)),
                None => (),
            }
        }
        // History was cut shorter than the memory: whoever asks learns that, and gets no second token.
        Ok(gone)
    }

    pub(super) fn outlives(&self, token: &Token, now: Timestamp, ttl: Duration) -> bool {
        self.policy.unused_age_max.is_none_or(|age| now.plus(ttl) <= token.minted.plus(age))
    }

    /// L3: what an earlier request with this id closed.
    pub(super) fn closed_before(
        &self,
        request: Option<Request>,
        lines: &[ClosedLease],
        now: Timestamp,
    ) -> Result<Option<Verdict>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        let known = self.known(request, lines, now)?;
        let past = |at| Verdict { events: Vec::new(), reply: Reply::Past(at) };
        Ok(known.map(past))
    }

    pub(super) fn release(
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

    pub(super) fn may_hand_out(&self) -> Result<(), Refusal> {
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
