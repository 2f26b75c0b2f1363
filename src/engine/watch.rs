//! What changes, for whoever wants to see it.
//!
//! After a commit is durable, the leases it changed are told to everybody who listens; while nobody
//! does, nothing is put together. A watcher listens first and then reads what changed since the
//! position it resumes from, page by page, as of one revision. What was changed again in the meantime
//! is left to what it hears, so a lease is never told older than it was told before, and the memory of
//! a watcher is bounded by one page however far behind it is.
//!
//! A watcher that does not keep up loses what it did not hear, never the knowledge that it did: its
//! position stays where it was, and reading on from there misses no lease. Steps in between may be
//! missed. When the engine has read its ledger again, nobody can say what was heard of the last
//! commit, so every watcher reads on from its position.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use super::{Engine, Handle, LeaseView, Rejection, handle::unreadable};
use crate::{
    domain::{
        ids::{Revision, Sequence},
        seal::Position,
        token::Stage,
    },
    port::Group,
};

/// Commits that a watcher may be behind before it misses some.
const COMMITS_MAX: usize = 1_024;
/// Leases that are read at a time.
const PAGE: usize = 500;
/// Tokens that the engine looks at for them before it turns to others.
const LOOKED_AT_MAX: usize = 5_000;

/// What one commit changed.
#[derive(Clone, Debug)]
pub(super) struct News {
    revision: Revision,
    leases: Arc<[LeaseView]>,
}

#[derive(Clone, Debug)]
pub(super) enum Bulletin {
    Changed(News),
    /// The ledger was read again.
    Reopened,
}

/// Tells the news of one engine, and is gone with it.
pub(super) struct Herald {
    bulletins: broadcast::Sender<Bulletin>,
    /// Of the last commit; what it changed was told before this was set.
    told: Arc<AtomicU64>,
}

impl Herald {
    pub(super) fn new(revision: Revision) -> Self {
        let (bulletins, _) = broadcast::channel(COMMITS_MAX);
        Self { bulletins, told: Arc::new(AtomicU64::new(revision.0)) }
    }

    /// What a group changes, if anybody wants to know. Whoever comes to listen after this reads the
    /// state after the commit.
    pub(super) fn prepare(&self, group: &Group) -> Option<News> {
        if self.bulletins.receiver_count() == 0 {
            return None;
        }
        let open = group.tokens.iter().filter_map(|token| match &token.stage {
            Stage::Leased(lease) => Some(LeaseView::Open {
                sequence: token.sequence,
                token: token.id.clone(),
                lease: lease.clone(),
            }),
            Stage::Minted { .. } | Stage::Ready { .. } | Stage::Doomed(_) => None,
        });
        let closed = group.lines.iter().map(|line| LeaseView::Closed(Box::new(line.clone())));
        let leases: Arc<[_]> = open.chain(closed).collect();
        (!leases.is_empty()).then_some(News { revision: group.revision, leases })
    }

    /// The commit is durable.
    pub(super) fn tell(&self, revision: Revision, news: Option<News>) {
        if let Some(news) = news {
            // Nobody listens any more: nobody misses it.
            let _ = self.bulletins.send(Bulletin::Changed(news));
        }
        self.told.store(revision.0, Ordering::Release);
    }

    pub(super) fn reopened(&self, revision: Revision) {
        let _ = self.bulletins.send(Bulletin::Reopened);
        self.told.store(revision.0, Ordering::Release);
    }

    pub(super) fn audience(&self) -> Audience {
        Audience { bulletins: self.bulletins.downgrade(), told: self.told.clone() }
    }
}

/// Where whoever wants to listen finds the herald, while there is one.
#[derive(Clone)]
pub(super) struct Audience {
    bulletins: broadcast::WeakSender<Bulletin>,
    told: Arc<AtomicU64>,
}

impl Audience {
    fn listen(&self) -> Result<broadcast::Receiver<Bulletin>, Rejection> {
        let herald = self.bulletins.upgrade().ok_or_else(Rejection::draining)?;
        Ok(herald.subscribe())
    }
}

/// What a watcher is told.
#[derive(Clone, Debug)]
pub enum Watched {
    Lease(LeaseView),
    /// Everything that changed before the watcher came, or after the position it resumed from, has
    /// been told.
    Synced,
    /// More changed than was taken. Nothing follows; resume from the position.
    Lagged,
}

/// Sees every lease that changes, of all owners.
pub struct Watcher {
    handle: Handle,
    bulletins: broadcast::Receiver<Bulletin>,
    /// Everything up to here has been told. `None`: not even all that was there at the beginning.
    position: Option<Position>,
    phase: Phase,
    /// Read or heard, and not told yet.
    pending: VecDeque<LeaseView>,
    /// Where the watcher stands when `pending` has been told.
    reached: Option<Position>,
    synced: bool,
    /// Nothing was heard since the last reading.
    unheard: bool,
}

/// What a watcher does when it has told all that it has.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Finds out up to where it must read.
    Asks,
    /// Reads what is open, and changed after `since`, if any, and up to `upto`.
    ReadsOpen {
        since: Option<Revision>,
        upto: Position,
        from: Sequence,
    },
    /// Reads history.
    ReadsLines {
        since: Revision,
        upto: Position,
        from: Sequence,
    },
    /// Has read everything.
    Arrives {
        upto: Position,
    },
    Listens,
}

impl Handle {
    /// Watches from now on, beginning with the leases that are open; or, from a position, with all
    /// that changed after it. Refused with `RESUME_TOO_OLD` where that is not known any more.
    pub async fn watch(&self, from: Option<Position>) -> Result<Watcher, Rejection> {
        let bulletins = self.audience.listen()?;
        if let Some(from) = from {
            self.must_reach(from, self.position().await?)?;
        }
        Ok(Watcher {
            handle: self.clone(),
            bulletins,
            position: from,
            phase: Phase::Asks,
            pending: VecDeque::new(),
            reached: None,
            synced: false,
            unheard: true,
        })
    }

    /// A lease that was closed, once nobody can enter its link any more, or as it stands after `wait`.
    pub async fn when_dead(
        &self,
        sequence: Sequence,
        wait: Duration,
    ) -> Result<LeaseView, Rejection> {
        let until = Instant::now() + wait;
        let mut bulletins = self.audience.listen()?;
        loop {
            let look =
                move |engine: &Engine| (engine.pool.token(sequence).is_none(), engine.clock.now());
            let (gone, now) = self.inspect(look).await?;
            let view = self.past(sequence).await?;
            let LeaseView::Closed(line) = &view else { return Ok(view) };
            let dies_in = line.link_dead.map(|dead| dead.since(now));
            if gone || dies_in.is_some_and(|span| span.is_zero()) || Instant::now() >= until {
                return Ok(view);
            }
            let dies = dies_in.map_or(until, |span| until.min(Instant::now() + span));
            // Whatever is heard of it, it is looked at again.
            let heard = async {
                while let Ok(Bulletin::Changed(news)) = bulletins.recv().await
                    && news.leases.iter().all(|view| view.sequence() != sequence)
                {}
            };
            let _ = tokio::time::timeout_at(dies, heard).await;
        }
    }

    /// Where somebody stands who has seen everything.
    async fn position(&self) -> Result<Position, Rejection> {
        self.inspect(Engine::position).await
    }

    /// Whether everything is still known that changed between a position and the present.
    fn must_reach(&self, position: Position, present: Position) -> Result<(), Rejection> {
        let oldest = self.reader.resumable();
        let known = position.epoch >= oldest.epoch && position.revision >= oldest.revision;
        let ours = position.epoch <= present.epoch && position.revision <= present.revision;
        if known && ours { Ok(()) } else { Err(Rejection::resume_too_old()) }
    }
}

impl Engine {
    fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.pool.revision() }
    }
}

impl Watcher {
    /// What comes next. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Result<Watched, Rejection> {
        loop {
            if let Some(view) = self.pending.pop_front() {
                if self.pending.is_empty() {
                    self.arrive();
                }
                return Ok(Watched::Lease(view));
            }
            self.arrive();
            match self.phase {
                Phase::Asks => self.ask().await?,
                Phase::ReadsOpen { since, upto, from } => {
                    self.read_open(since, upto, from).await?;
                }
                Phase::ReadsLines { since, upto, from } => {
                    self.read_lines(since, upto, from).await?;
                }
                Phase::Arrives { upto } => {
                    (self.position, self.phase) = (Some(upto), Phase::Listens);
                    self.unheard = true;
                    if !std::mem::replace(&mut self.synced, true) {
                        return Ok(Watched::Synced);
                    }
                }
                Phase::Listens => {
                    if let Some(lagged) = self.hear().await? {
                        return Ok(lagged);
                    }
                }
            }
        }
    }

    /// From where to resume when everything that was told so far has been handled. `None`: from the
    /// beginning.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The same, brought up to the present when nothing is left to be told: commits that change no
    /// lease are not told of.
    pub fn refreshed(&mut self) -> Option<Position> {
        let told = Revision(self.handle.audience.told.load(Ordering::Acquire));
        // In this order: what was told before that revision was set is in the queue, or was taken.
        let idle = matches!(self.phase, Phase::Listens)
            && self.pending.is_empty()
            && self.bulletins.is_empty();
        if let Some(position) = &mut self.position
            && idle
        {
            position.revision = position.revision.max(told);
        }
        self.position
    }

    fn arrive(&mut self) {
        if let Some(reached) = self.reached.take() {
            self.position = Some(reached);
        }
    }

    async fn ask(&mut self) -> Result<(), Rejection> {
        let upto = self.handle.position().await?;
        if let Some(position) = self.position {
            self.handle.must_reach(position, upto)?;
        }
        let since = self.position.map(|position| position.revision);
        self.phase = Phase::ReadsOpen { since, upto, from: Sequence::ZERO };
        Ok(())
    }

    async fn read_open(
        &mut self,
        since: Option<Revision>,
        upto: Position,
        from: Sequence,
    ) -> Result<(), Rejection> {
        let look = move |engine: &Engine| {
            let mut page = VecDeque::new();
            for (number, sequence) in engine.pool.leased_from(from).enumerate() {
                if number == LOOKED_AT_MAX || page.len() == PAGE {
                    return (page, Some(sequence));
                }
                let revision = engine.pool.token(sequence).map(|token| token.revision);
                // What changed after `upto` will be heard.
                if revision > since && revision <= Some(upto.revision) {
                    page.extend(engine.open_lease(sequence));
                }
            }
            (page, None)
        };
        let (page, next) = self.handle.inspect(look).await?;
        self.pending = page;
        self.phase = match (next, since) {
            (Some(from), _) => Phase::ReadsOpen { since, upto, from },
            (None, Some(since)) => Phase::ReadsLines { since, upto, from: Sequence::ZERO },
            (None, None) => Phase::Arrives { upto },
        };
        Ok(())
    }

    async fn read_lines(
        &mut self,
        since: Revision,
        upto: Position,
        from: Sequence,
    ) -> Result<(), Rejection> {
        let lines = self.handle.reader.lines_changed(since, from, PAGE).await;
        let mut lines = lines.map_err(|error| unreadable(&error))?;
        // Lines may have been dropped since the last look.
        self.handle.must_reach(Position { revision: since, ..upto }, upto)?;
        let last = lines.last().map(|line| line.sequence).filter(|_| lines.len() >= PAGE);
        lines.retain(|line| line.revision <= upto.revision);
        self.pending = lines.into_iter().map(|line| LeaseView::Closed(Box::new(line))).collect();
        self.phase = match last {
            Some(last) => Phase::ReadsLines { since, upto, from: last.plus(1) },
            None => Phase::Arrives { upto },
        };
        Ok(())
    }

    /// Waits for the next bulletin.
    async fn hear(&mut self) -> Result<Option<Watched>, Rejection> {
        let bulletin = self.bulletins.recv().await;
        let unheard = std::mem::replace(&mut self.unheard, false);
        match bulletin {
            Ok(Bulletin::Changed(news)) => {
                let Some(position) = self.position else { return Ok(None) };
                // What is older was read.
                if news.revision > position.revision {
                    self.pending = news.leases.iter().cloned().collect();
                    self.reached = Some(Position { revision: news.revision, ..position });
                }
            }
            Ok(Bulletin::Reopened) => self.phase = Phase::Asks,
            // It was missed while this watcher read, which has led it further: it reads on.
            Err(RecvError::Lagged(_)) if unheard => self.phase = Phase::Asks,
            Err(RecvError::Lagged(_)) => return Ok(Some(Watched::Lagged)),
            Err(RecvError::Closed) => return Err(Rejection::draining()),
        }
        Ok(None)
    }
}
