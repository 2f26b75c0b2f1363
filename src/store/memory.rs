//! A ledger that forgets at exit, for trials and tests.
//!
//! It keeps every promise of the port but durability. The shared part plays the disk: it survives
//! when the ledger is dropped, and a [`Memory::twin`] opens it again, as a second process would. What
//! disks do to daemons happens on request, through [`Faults`]. No thread, no socket, no clock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    domain::{
        ids::{OrderId, Revision, Sequence},
        order::Order,
        pause::{Activity, Pause},
        pool::Unfinished,
        recall::Recall,
        seal::LedgerIdentity,
        time::Timestamp,
        token::{ClosedLease, Token},
    },
    port::{Group, Ledger, LedgerError, Opened, Opening, Pending, Reader, Resumable, Usage},
};

/// One owner's handle on a disk in memory.
#[derive(Default)]
pub struct Memory {
    disk: Arc<Disk>,
    /// The epoch of the last `open`; `None` before it and after an error.
    epoch: Option<u64>,
}

impl Memory {
    /// Another handle on the same disk. Once it has opened, this one can commit no more.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self { disk: Arc::clone(&self.disk), epoch: None }
    }

    /// What to do wrong from here on.
    pub fn faults(&self) -> Faults {
        Faults(Arc::clone(&self.disk))
    }

    async fn write(&mut self, group: Group) -> Result<(), LedgerError> {
        let epoch = self.epoch.take().ok_or_else(|| refused("the ledger must be opened first"))?;
        let fault = self.disk.lock().next_commits.pop_front();
        if matches!(fault, Some(CommitFault::Hang)) {
            self.disk.released.notified().await;
        }
        let mut platter = self.disk.lock();
        if platter.full {
            return Err(LedgerError::Refused(io::Error::from(io::ErrorKind::StorageFull).into()));
        }
        if matches!(fault, Some(CommitFault::Refuse)) {
            return Err(refused("a refusal was asked for"));
        }
        let image = platter.image.as_mut().ok_or_else(|| refused("the ledger was never opened"))?;
        // Nothing else can happen between the check and the write (J3).
        if image.epoch != epoch {
            return Err(LedgerError::Fenced);
        }
        image.apply(group);
        if matches!(fault, Some(CommitFault::LoseAnswer)) {
            return Err(LedgerError::Unconfirmed("a lost answer was asked for".into()));
        }
        self.epoch = Some(epoch);
        Ok(())
    }
}

impl Ledger for Memory {
    fn open(&mut self, opening: Opening) -> Pending<'_, Result<Opened, LedgerError>> {
        Box::pin(async move {
            let mut platter = self.disk.lock();
            if let Some(sentence) = platter.next_opens.pop_front() {
                return Err(LedgerError::Unusable(sentence));
            }
            let suspect_below = platter.suspect_below;
            let image = platter.image.get_or_insert_with(|| Image::new(&opening));
            if image.pid != opening.pid {
                return Err(LedgerError::Unusable(
                    "the ledger belongs to another ARGOS project: its tokens would be dead links"
                        .to_owned(),
                ));
            }
            image.epoch += 1;
            self.epoch = Some(image.epoch);
            if suspect_below.is_some() {
                image.resumable.epoch = image.epoch;
            }
            Ok(Opened { suspect_below, ..image.opened(opening.remember_after) })
        })
    }

    fn commit(&mut self, group: Group) -> Pending<'_, Result<(), LedgerError>> {
        Box::pin(self.write(group))
    }

    fn retain(
        &mut self,
        before: Timestamp,
        lines_max: u64,
    ) -> Pending<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut platter = self.disk.lock();
            let image = platter.image.as_mut().ok_or_else(|| refused("the ledger is not open"))?;
            if self.epoch != Some(image.epoch) {
                return Err(LedgerError::Fenced);
            }
            let mut gone: Vec<ClosedLease> = image
                .lines
                .extract_if(.., |_, line| line.closed < before)
                .map(|(_, line)| line)
                .collect();
            while image.lines.len() as u64 > lines_max {
                gone.extend(image.lines.pop_first().map(|(_, line)| line));
            }
            let newest = gone.iter().map(|line| line.revision).max().unwrap_or_default();
            image.resumable.revision = image.resumable.revision.max(newest);
            Ok(gone.len() as u64)
        })
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(MemoryReader(Arc::clone(&self.disk)))
    }
}

/// What a disk in memory does wrong, on request.
#[derive(Clone)]
pub struct Faults(Arc<Disk>);

impl Faults {
    /// One more commit to come is refused before it is written.
    pub fn refuse_commit(&self) {
        self.0.lock().next_commits.push_back(CommitFault::Refuse);
    }

    /// One more commit to come is written, and its answer lost.
    pub fn lose_answer(&self) {
        self.0.lock().next_commits.push_back(CommitFault::LoseAnswer);
    }

    /// One more commit to come waits, unwritten, for [`Faults::release`]. It never happens if its
    /// caller goes away meanwhile, and it is fenced if somebody else opens the ledger.
    pub fn hang_commit(&self) {
        self.0.lock().next_commits.push_back(CommitFault::Hang);
    }

    /// Lets a commit go on that hangs, or the next one that would.
    pub fn release(&self) {
        self.0.released.notify_one();
    }

    /// One more open to come fails with this sentence.
    pub fn fail_open(&self, sentence: &str) {
        self.0.lock().next_opens.push_back(sentence.to_owned());
    }

    /// A full disk refuses every commit until there is space again.
    pub fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// What every open to come says about the age of the ledger.
    pub fn set_suspect_below(&self, sequence: Option<Sequence>) {
        self.0.lock().suspect_below = sequence;
    }
}

#[derive(Clone, Copy)]
enum CommitFault {
    Refuse,
    LoseAnswer,
    Hang,
}

#[derive(Default)]
struct Disk {
    platter: Mutex<Platter>,
    released: Notify,
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Platter> {
        // A panic of another holder leaves whole groups behind: `apply` cannot fail half-way.
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Platter {
    image: Option<Image>,
    next_commits: VecDeque<CommitFault>,
    next_opens: VecDeque<String>,
    full: bool,
    suspect_below: Option<Sequence>,
}

struct Image {
    pid: String,
    identity: LedgerIdentity,
    epoch: u64,
    revision: Revision,
    at: Timestamp,
    next: Sequence,
    granted: Sequence,
    tokens: BTreeMap<Sequence, Token>,
    orders: BTreeMap<OrderId, Order>,
    pauses: BTreeMap<Activity, Pause>,
    lines: BTreeMap<Sequence, ClosedLease>,
    resumable: Resumable,
}

impl Image {
    fn new(opening: &Opening) -> Self {
        Self {
            pid: opening.pid.clone(),
            identity: opening.identity.clone(),
            epoch: 0,
            revision: Revision::default(),
            at: Timestamp::ZERO,
            next: Sequence::ZERO,
            granted: Sequence::ZERO,
            tokens: BTreeMap::new(),
            orders: BTreeMap::new(),
            pauses: BTreeMap::new(),
            lines: BTreeMap::new(),
            resumable: Resumable::default(),
        }
    }

    fn apply(&mut self, group: Group) {
        let Group { revision, at, next, granted, .. } = group;
        (self.revision, self.at, self.next, self.granted) = (revision, at, next, granted);
        self.tokens.extend(group.tokens.into_iter().map(|token| (token.sequence, token)));
        self.orders.extend(group.orders.into_iter().map(|order| (order.id, order)));
        self.pauses.extend(group.pauses);
        self.lines.extend(group.lines.into_iter().map(|line| (line.sequence, line)));
        for sequence in group.tokens_gone {
            self.tokens.remove(&sequence);
        }
        for order in group.orders_gone {
            self.orders.remove(&order);
        }
        for activity in group.pauses_gone {
            self.pauses.remove(&activity);
        }
    }

    fn opened(&self, remember_after: Timestamp) -> Opened {
        let mut past = Recall::default();
        let recent = self.lines.values().filter(|line| line.closed >= remember_after);
        recent.clone().for_each(|line| past.remember(line));
        Opened {
            identity: self.identity.clone(),
            epoch: self.epoch,
            revision: self.revision,
            next: self.next,
            granted: self.granted,
            committed_at: self.at,
            tokens: self.tokens.values().cloned().collect(),
            orders: self.orders.values().cloned().collect(),
            pauses: self.pauses.clone().into_iter().collect(),
            past,
            unfinished: recent.filter_map(Unfinished::of).collect(),
            suspect_below: None,
        }
    }
}

struct MemoryReader(Arc<Disk>);

impl Reader for MemoryReader {
    fn line(&self, sequence: Sequence) -> Pending<'_, Result<Option<ClosedLease>, LedgerError>> {
        Box::pin(async move {
            let platter = self.0.lock();
            Ok(platter.image.as_ref().and_then(|image| image.lines.get(&sequence).cloned()))
        })
    }

    fn lines(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(async move {
            let platter = self.0.lock();
            let Some(image) = &platter.image else { return Ok(Vec::new()) };
            Ok(image.lines.range(from..).take(limit).map(|(_, line)| line.clone()).collect())
        })
    }

    fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(async move {
            let platter = self.0.lock();
            let Some(image) = &platter.image else { return Ok(Vec::new()) };
            let sequences: BTreeSet<_> = sequences.into_iter().collect();
            Ok(sequences.iter().filter_map(|at| image.lines.get(at)).cloned().collect())
        })
    }

    fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(async move {
            let platter = self.0.lock();
            let Some(image) = &platter.image else { return Ok(Vec::new()) };
            let lines = image.lines.range(from..).map(|(_, line)| line);
            let changed = lines.filter(|line| line.revision > after);
            Ok(changed.take(limit).cloned().collect())
        })
    }

    fn resumable(&self) -> Resumable {
        self.0.lock().image.as_ref().map(|image| image.resumable).unwrap_or_default()
    }

    fn usage(&self) -> Usage {
        Usage { bytes: 0, free_bytes: if self.0.lock().full { 0 } else { u64::MAX } }
    }
}

fn refused(reason: &'static str) -> LedgerError {
    LedgerError::Refused(reason.into())
}
