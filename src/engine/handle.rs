//! The door to an engine. Nobody else sees its mailbox.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Bell, Engine, Rejection, Status, Vitals,
    mailbox::{Call, Note},
    steps::Steps,
    watch::Audience,
};
use crate::{
    domain::{
        fault::Reason,
        ids::{Owner, ProjectName, Sequence, TokenId},
        invariant::Breach,
        order::Order,
        pause::Activity,
        pool::{
            Command, Granted, Heard, ListingWanted, Policy, Reconciliation, Replacement, Reply,
            Unwanted, Wanted,
        },
        seal::{RequestKey, Seal},
        submission::Report,
        token::{ClosedLease, Ending, Lease, Request, Stage, Token},
    },
    port::{Clock, LedgerError, Reader},
};

/// Leases that one commit revokes.
const REVOKED_AT_ONCE: usize = 256;

/// A lease as it stood at some commit.
#[derive(Clone, Debug)]
pub enum LeaseView {
    Open { sequence: Sequence, token: TokenId, lease: Arc<Lease> },
    Closed(Box<ClosedLease>),
}

impl LeaseView {
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Open { sequence, .. } => *sequence,
            Self::Closed(line) => line.sequence,
        }
    }
}

/// How a lease is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    Sequence(Sequence),
    Request(RequestKey),
}

/// Part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Sequence>,
}

/// Talks to one project's engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) project: ProjectName,
    pub(super) seal: Arc<Seal>,
    pub(super) policy: Arc<Policy>,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) audience: Audience,
    pub(super) clock: Arc<dyn Clock>,
    /// How the pool stood when it last said so.
    pub(super) told: Arc<Mutex<Option<Status>>>,
}

impl Handle {
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// The process was told to stop and is cut off at this moment: what the stop does has to be done by then.
    pub fn ends_by(&self, cut_off: Instant) {
        let _ = self.vitals.cut_off.set(cut_off);
    }

    /// Leases, all or none, in the order of the wishes. Waits for tokens for at most `wait`.
    pub async fn lease(
        &self,
        wanted: Vec<Wanted>,
        wait: Duration,
    ) -> Result<Vec<LeaseView>, Rejection> {
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        let reply = self.call(Command::Lease { wanted }, until).await?;
        let Reply::Leases(granted) = reply else { return Err(bug()) };
        let mut views = Vec::with_capacity(granted.len());
        for one in granted {
            views.push(self.view(one).await?);
        }
        Ok(views)
    }

    /// Gives a lease back that was never shown. `owner` is `None` for an admin.
    pub async fn release(
        &self,
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
    ) -> Result<LeaseView, Rejection> {
        match self.call(Command::Release { sequence, owner, request }, None).await? {
            Reply::Closed(line) => Ok(LeaseView::Closed(line)),
            Reply::Past(sequence) => self.past(sequence).await,
            Reply::Done | Reply::Leases(_) | Reply::Fact(_) | Reply::Minted(_) => Err(bug()),
        }
    }

    /// Has the link of a lease deleted before all others. A lease that has closed stays closed as it
    /// is; its link dies sooner. `owner` is `None` for an admin.
    pub async fn revoke(
        &self,
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
    ) -> Result<LeaseView, Rejection> {
        let command = Command::Revoke { sequence, owner: owner.clone(), request };
        match self.word(command).await {
            Ok(Reply::Closed(line)) => Ok(LeaseView::Closed(line)),
            Ok(Reply::Past(sequence)) => self.past(sequence).await,
            Ok(Reply::Done | Reply::Leases(_) | Reply::Fact(_) | Reply::Minted(_)) => Err(bug()),
            Err(rejection) if rejection.reason == Reason::LeaseNotFound => {
                let line = self.closed_for(sequence, owner.as_ref()).await?;
                let line = line.ok_or(rejection)?;
                self.order(Command::Hasten { sequence }).await?;
                Ok(LeaseView::Closed(line))
            }
            Err(rejection) => Err(rejection),
        }
    }

    /// Revokes these leases on an admin's word, as far as they are open still. Returns how many of
    /// them are revoked.
    pub async fn revoke_all(&self, sequences: Vec<Sequence>) -> Result<usize, Rejection> {
        let mut revoked = 0;
        for some in sequences.chunks(REVOKED_AT_ONCE) {
            self.order(Command::RevokeAll { sequences: some.to_vec() }).await?;
            let lines = self.reader.lines_of(some.to_vec()).await;
            let lines = lines.map_err(|error| unreadable(&error))?;
            revoked += lines.iter().filter(|line| line.ending == Ending::Revoked).count();
        }
        Ok(revoked)
    }

    /// Gives another token for the same wish and revokes the first, in one step. Returns the new
    /// lease and the one it stands for. `owner` is `None` for an admin.
    pub async fn replace(
        &self,
        sequence: Sequence,
        owner: Option<Owner>,
        request: Option<Request>,
        replacement: Replacement,
        wait: Duration,
    ) -> Result<(LeaseView, LeaseView), Rejection> {
        let until = (!wait.is_zero()).then(|| Instant::now() + wait);
        let command = Command::Replace { sequence, owner: owner.clone(), request, replacement };
        let granted = match self.call(command, until).await {
            Ok(Reply::Leases(mut granted)) => granted.pop().ok_or_else(bug)?,
            Ok(
                Reply::Done | Reply::Closed(_) | Reply::Past(_) | Reply::Fact(_) | Reply::Minted(_),
            ) => {
                return Err(bug());
            }
            Err(rejection) if rejection.reason == Reason::LeaseNotFound => {
                return Err(match self.closed_for(sequence, owner.as_ref()).await? {
                    Some(line) => self.not_replaced(&line),
                    None => rejection,
                });
            }
            Err(rejection) => return Err(rejection),
        };
        let next = self.view(granted).await?;
        let replaced = match &next {
            LeaseView::Open { lease, .. } => lease.replaces,
            LeaseView::Closed(line) => line.replaces,
        };
        let replaced = self.past(replaced.ok_or_else(bug)?).await?;
        Ok((next, replaced))
    }

    fn not_replaced(&self, line: &ClosedLease) -> Rejection {
        match line.replaced_by {
            Some(next) => Rejection::new(
                Reason::LeaseReplaced,
                format!("the lease was replaced by {}", self.seal.lease_id(next)),
            ),
            None => Rejection::new(Reason::LeaseClosed, "the lease has closed already"),
        }
    }

    /// The line of a closed lease that this owner had; `None` is an admin.
    async fn closed_for(
        &self,
        sequence: Sequence,
        owner: Option<&Owner>,
    ) -> Result<Option<Box<ClosedLease>>, Rejection> {
        let line = self.reader.line(sequence).await.map_err(|error| unreadable(&error))?;
        let own = |line: &ClosedLease| {
            owner.is_none_or(|owner| line.grant.as_ref().is_some_and(|it| it.owner == *owner))
        };
        Ok(line.filter(own).map(Box::new))
    }

    /// One lease, open or closed.
    pub async fn find(&self, which: Which) -> Result<Option<LeaseView>, Rejection> {
        let (open, closed) = self
            .inspect(move |engine| match which {
                Which::Sequence(sequence) => (engine.open_lease(sequence), vec![sequence]),
                Which::Request(key) => {
                    let open = engine.pool.requested(key);
                    let open = open.and_then(|sequence| engine.open_lease(sequence));
                    (open, engine.pool.recalled(key).collect())
                }
            })
            .await?;
        if open.is_some() {
            return Ok(open);
        }
        for sequence in closed {
            let line = self.reader.line(sequence).await.map_err(|error| unreadable(&error))?;
            let wanted = |line: &ClosedLease| match which {
                Which::Sequence(_) => true,
                Which::Request(key) => line.asked(key).is_some(),
            };
            if let Some(line) = line.filter(wanted) {
                return Ok(Some(LeaseView::Closed(Box::new(line))));
            }
        }
        Ok(None)
    }

    /// Leases from `from` upwards in sequence order, open and closed, at most `limit` looked at.
    pub async fn leases(&self, from: Sequence, limit: usize) -> Result<Page<LeaseView>, Rejection> {
        let mut open = self
            .inspect(move |engine| {
                let sequences = engine.pool.leased_from(from);
                let open = sequences.filter_map(|sequence| engine.open_lease(sequence));
                open.take(limit + 1).collect::<Vec<_>>()
            })
            .await?;
        // Read after the open ones: a lease that closes in between appears closed, and not twice.
        let lines = self.reader.lines(from, limit + 1).await.map_err(|error| unreadable(&error))?;
        let closed: std::collections::BTreeSet<_> =
            lines.iter().map(|line| line.sequence).collect();
        open.retain(|view| !closed.contains(&view.sequence()));
        let mut items = open;
        items.extend(lines.into_iter().map(|line| LeaseView::Closed(Box::new(line))));
        items.sort_by_key(LeaseView::sequence);
        let next = items.get(limit).map(LeaseView::sequence);
        items.truncate(limit);
        Ok(Page { items, next })
    }

    /// Everything that holds a slot, from `from` upwards, at most `limit` that `keep` wants.
    pub async fn tokens(
        &self,
        from: Sequence,
        limit: usize,
        keep: impl Fn(&Token) -> bool + Send + 'static,
    ) -> Result<Page<Token>, Rejection> {
        self.inspect(move |engine| {
            let mut kept = engine.pool.tokens_from(from).filter(|token| keep(token));
            let items: Vec<_> = kept.by_ref().take(limit).cloned().collect();
            Page { items, next: kept.next().map(|token| token.sequence) }
        })
        .await
    }

    /// Something ARGOS told. What is about a token or a submission we know is durable when this
    /// returns (W1).
    pub async fn report(&self, report: Report) -> Result<Heard, Rejection> {
        let (answer, wait) = oneshot::channel();
        self.note(Note::Report { report, answer }).await?;
        match wait.await.map_err(|_| Rejection::lost())?? {
            Reply::Fact(heard) => Ok(heard),
            Reply::Done
            | Reply::Leases(_)
            | Reply::Closed(_)
            | Reply::Past(_)
            | Reply::Minted(_) => Err(bug()),
        }
    }

    pub async fn pause(
        &self,
        activities: Vec<Activity>,
        reason: String,
        by: String,
    ) -> Result<(), Rejection> {
        self.order(Command::Pause { activities, reason, by }).await
    }

    pub async fn resume(&self, activities: Vec<Activity>) -> Result<(), Rejection> {
        self.order(Command::Resume { activities }).await
    }

    /// Orders one token beyond the plan, to see how it fares, and says which it is.
    pub async fn begin_trial(&self) -> Result<Sequence, Rejection> {
        let (answer, wait) = oneshot::channel();
        self.note(Note::BeginTrial { answer }).await?;
        match wait.await.map_err(|_| Rejection::lost())?? {
            Reply::Minted(sequence) => Ok(sequence),
            Reply::Done | Reply::Leases(_) | Reply::Closed(_) | Reply::Past(_) | Reply::Fact(_) => {
                Err(bug())
            }
        }
    }

    /// One token, and the order that it waits for.
    pub async fn token(
        &self,
        sequence: Sequence,
    ) -> Result<Option<(Token, Option<Order>)>, Rejection> {
        self.inspect(move |engine| {
            let token = engine.pool.token(sequence)?.clone();
            let order = match token.stage {
                Stage::Minted { order } => engine.pool.order(order).cloned(),
                Stage::Ready { .. } | Stage::Leased(_) | Stage::Doomed(_) => None,
            };
            Some((token, order))
        })
        .await
    }

    /// Takes the token of a trial out of use if it is Ready, or forgets it if nobody can have heard of
    /// it. What became of it otherwise stands.
    pub async fn end_trial(&self, sequence: Sequence) -> Result<(), Rejection> {
        let (answer, wait) = oneshot::channel();
        self.note(Note::EndTrial { sequence, answer }).await?;
        wait.await.map_err(|_| Rejection::lost())?.map(|_| ())
    }

    /// Looks at the stock at once, and orders `extra` tokens beyond the target.
    pub async fn refill(&self, extra: u32) -> Result<(), Rejection> {
        self.order(Command::Extra { tokens: extra }).await
    }

    /// Lists all ids at ARGOS, twice unless nothing is missing the first time; a dry run looks once and
    /// changes nothing.
    pub async fn reconcile(&self, dry_run: bool) -> Result<(), Rejection> {
        self.order(Command::WantListing { wanted: ListingWanted { dry_run } }).await
    }

    /// Deletes of what the last listing found at ARGOS and is not ours what is meant.
    pub async fn delete_foreign(&self, which: Unwanted) -> Result<(), Rejection> {
        self.order(Command::DoomForeign { which }).await
    }

    /// A person looked at what vanished: it may be doomed, however much it is.
    pub async fn accept_loss(&self) -> Result<(), Rejection> {
        self.order(Command::AcceptLoss).await
    }

    /// Whether a listing is under way or due, and what came of the last one.
    pub async fn reconciliation(&self) -> Result<(bool, Option<Reconciliation>), Rejection> {
        self.inspect(|engine| (engine.pool.reconciling(), engine.pool.reconciliation().cloned()))
            .await
    }

    /// Checks every promise that can be checked from the records. A broken one stops hand-outs.
    /// Returns the breaches, those that stand since they were seen included, and how many tokens were
    /// checked.
    pub async fn audit(&self) -> Result<(Vec<Breach>, u32), Rejection> {
        let look = |engine: &Engine| {
            (engine.pool.audit(), engine.pool.breaches().to_vec(), engine.pool.census().held())
        };
        let (mut breaches, standing, held) = self.inspect(look).await?;
        if !breaches.is_empty() {
            self.order(Command::Breached { breaches: breaches.clone() }).await?;
        }
        // What was seen as it happened may have left no record.
        for breach in standing {
            if !breaches.contains(&breach) {
                breaches.push(breach);
            }
        }
        Ok((breaches, held))
    }

    /// Reminds the engine. A bell that finds no room is not missed: the engine is at work.
    pub fn ring(&self, bell: Bell) {
        let _ = self.notes.try_send(Note::Bell(bell));
    }

    async fn view(&self, granted: Granted) -> Result<LeaseView, Rejection> {
        match granted {
            Granted::Open { sequence, token, lease } => {
                Ok(LeaseView::Open { sequence, token, lease })
            }
            Granted::Past(sequence) => self.past(sequence).await,
        }
    }

    pub(super) async fn past(&self, sequence: Sequence) -> Result<LeaseView, Rejection> {
        let line = self.reader.line(sequence).await.map_err(|error| unreadable(&error))?;
        let line = line.ok_or_else(|| {
            Rejection::new(Reason::LeaseNotFound, "the lease is past the retention of the history")
        })?;
        Ok(LeaseView::Closed(Box::new(line)))
    }

    async fn call(&self, command: Command, until: Option<Instant>) -> Result<Reply, Rejection> {
        let (answer, wait) = oneshot::channel();
        let call = Call { command, until, answer, steps: Steps::begin() };
        self.calls.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Rejection::new(Reason::MailboxFull, "more requests than can be queued are waiting")
                    .retry_after(Duration::from_millis(100))
            }
            mpsc::error::TrySendError::Closed(_) => Rejection::draining(),
        })?;
        // Dropped without an answer: the engine died after it may have decided.
        wait.await.map_err(|_| Rejection::lost())?
    }

    async fn order(&self, command: Command) -> Result<(), Rejection> {
        self.word(command).await.map(|_| ())
    }

    /// What no flood of callers holds up: an admin's order, or a revocation.
    async fn word(&self, command: Command) -> Result<Reply, Rejection> {
        let (answer, wait) = oneshot::channel();
        self.note(Note::Order { command, answer }).await?;
        wait.await.map_err(|_| Rejection::lost())?
    }

    pub(super) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let (answer, wait) = oneshot::channel();
        let look = move |engine: &Engine| {
            let _ = answer.send(look(engine));
        };
        self.note(Note::Inspect(Box::new(look))).await?;
        wait.await.map_err(|_| Rejection::unavailable())
    }

    async fn note(&self, note: Note) -> Result<(), Rejection> {
        self.notes.send(note).await.map_err(|_| Rejection::draining())
    }
}

fn bug() -> Rejection {
    Rejection::new(Reason::Internal, "internal error")
}

pub(super) fn unreadable(error: &LedgerError) -> Rejection {
    tracing::error!(error = error as &dyn std::error::Error, "history could not be read");
    Rejection::unavailable()
}
