//! The ledger on sled 0.34, and what it takes to make that durable.
//!
//! One [`Volume`] per data directory: one database, one committer thread for all projects. What sled
//! does not promise is done here:
//!
//! - `flush` ends in `sync_file_range` on Linux, which survives a killed process and not a lost power
//!   supply, so the database file is synced once more through a descriptor of our own. `flush_async`
//!   can deadlock and is never called.
//! - A page above a quarter of a segment goes to a file under `blobs/` that nobody syncs, and one such
//!   file lost makes the database unopenable. A page holds up to 17 records; hence [`VALUE_MAX`], and
//!   groups that are cut into parts.
//! - A handle that failed once fails for ever, and the kernel reports a failed write-back only once.
//!   So one failure poisons the volume: the next `open` drops the database, writes every byte of its
//!   file over itself, syncs it, and reads everything again, in the same process.
//! - It panics on some damage and silently opens an older past on other: opening runs in a thread of
//!   its own, and a [`witness`] outside sled knows how far the ledger came.
//!
//! A commit is one packed record, by plain `insert`, because sled costs some 6 µs a record and three
//! times that in a batch. Groups are folded into blocks of neighbouring sequences behind the answers.
//! On open the blocks come first, then the groups in their order, and the newest wins.

mod committer;
mod database;
mod directory;
mod fold;
pub mod group;
mod history;
pub mod offline;
mod project;
mod sweep;
mod witness;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use self::{
    committer::{Commit, Committer, Job, Queue},
    directory::Lock,
    group::Parts,
    history::Shelf,
};
use crate::{
    domain::{
        ids::{ProjectName, Revision, Sequence},
        limits::{
            LABEL_KEY_MAX, LABEL_VALUE_MAX, LABELS_MAX, LINK_BYTES_MAX, OWNER_BYTES_MAX,
            SUBMISSION_ID_MAX, SUBMISSIONS_MAX, TOKEN_ID_BYTES_MAX,
        },
        time::Timestamp,
        token::ClosedLease,
    },
    port::{Group, Ledger, LedgerError, Opened, Opening, Pending, Reader, Resumable, Usage},
};

/// sled writes a segment at once, and keeps pages of up to a quarter of one out of `blobs/`.
const SEGMENT_BYTES: usize = 8 << 20;
/// No value of any tree is larger.
pub const VALUE_MAX: usize = 120_000;
/// No token, order or pause is larger.
const RECORD_MAX: usize = 7_480;
/// No line of history is larger: it has no URL.
const LINE_MAX: usize = 3_500;
/// Neighbouring sequences that share a value.
const TOKENS_PER_BLOCK: u64 = 16;
const LINES_PER_BLOCK: u64 = 8;

const _: () = {
    // A page holds up to 16 records and the one that makes it split.
    assert!(VALUE_MAX * 17 < SEGMENT_BYTES / 4);
    // Full blocks of the largest records fit, with their tags and lengths.
    assert!((RECORD_MAX + 8) * TOKENS_PER_BLOCK as usize <= VALUE_MAX);
    assert!((LINE_MAX + 8) * LINES_PER_BLOCK as usize <= VALUE_MAX);
    // What the domain can produce fits a record; `group` has a test that writes the largest ones.
    assert!(LARGEST_TOKEN <= RECORD_MAX && LARGEST_LINE <= LINE_MAX);
};

/// Bytes of a grant and of all that is told of submissions. What stands beside the texts is at most 8
/// for a label, 40 for a submission, and 400 for all other numbers and keys of a record.
const LARGEST_TEXTS: usize = OWNER_BYTES_MAX
    + LABELS_MAX * (LABEL_KEY_MAX + LABEL_VALUE_MAX + 8)
    + SUBMISSIONS_MAX * (SUBMISSION_ID_MAX + 40);
const LARGEST_LINE: usize = LARGEST_TEXTS + 400;
const LARGEST_TOKEN: usize = LARGEST_LINE + LINK_BYTES_MAX + TOKEN_ID_BYTES_MAX;

/// Where a volume lives, and how much it may take.
#[derive(Clone)]
pub struct Settings {
    /// Made with mode 0700, and refused when anybody else may read it.
    pub data_dir: PathBuf,
    /// Where the witness files are, best on another volume.
    pub witness_dir: PathBuf,
    /// Bytes that sled may cache.
    pub cache_bytes: u64,
    /// Which start of the machine this is; `None` asks the kernel.
    pub boot_id: Option<u128>,
    /// What goes wrong between us and the disk, for tests.
    pub hazard: Option<Arc<dyn Hazard>>,
}

impl Settings {
    /// The defaults for a data directory.
    pub fn at(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            witness_dir: data_dir.join("witness"),
            data_dir,
            cache_bytes: 8 << 20,
            boot_id: None,
            hazard: None,
        }
    }
}

/// A step towards the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Open,
    Space,
    Witness,
    Write,
    Flush,
    Sync,
}

/// Fails steps towards the disk. Disks do it without being asked.
pub trait Hazard: Send + Sync {
    fn before(&self, step: Step) -> io::Result<()>;
}

impl Settings {
    fn pass(&self, step: Step) -> io::Result<()> {
        self.hazard.as_ref().map_or(Ok(()), |hazard| hazard.before(step))
    }
}

/// One data directory, open. Clones share it; the last one that goes closes it.
#[derive(Clone)]
pub struct Volume(Arc<Running>);

impl Volume {
    /// Locks the directory and opens the database. Blocks for as long as sled reads; the error is a
    /// sentence with the operator's choices.
    pub fn open(settings: Settings) -> Result<Self, LedgerError> {
        let lock = directory::prepare(&settings).map_err(LedgerError::Unusable)?;
        offline::no_import_was_cut_off(&settings).map_err(LedgerError::Unusable)?;
        let queue = Arc::new(Queue::default());
        let committer = Committer::start(settings.clone(), Arc::clone(&queue))?;
        let running = Running {
            settings: Arc::new(settings),
            queue,
            shelves: Mutex::default(),
            committer: Mutex::new(Some((committer, lock))),
        };
        Ok(Self(Arc::new(running)))
    }

    /// A ledger of one project. Of two for the same project the one that opened last may commit.
    pub fn ledger(&self, project: &ProjectName) -> SledLedger {
        let mut shelves = self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = Arc::clone(shelves.entry(project.clone()).or_default());
        SledLedger { volume: self.clone(), project: project.clone(), shelf, epoch: None }
    }

    /// When any of these projects committed last; [`Timestamp::ZERO`] where none ever did. Asked before
    /// they are opened, because their leases are judged by one clock (T1).
    pub async fn last_commit<'a>(
        &self,
        projects: impl Iterator<Item = &'a ProjectName>,
    ) -> Result<Timestamp, LedgerError> {
        let mut last = Timestamp::ZERO;
        for project in projects {
            let ledger = self.ledger(project);
            let project = project.clone();
            last = last.max(ledger.ask(|answer| Job::Recall { project, answer }).await?);
        }
        Ok(last)
    }

    /// Waits for what was handed in, closes the database, and says so to the witnesses. Every call
    /// after it is refused. Blocks.
    pub fn close(&self) {
        self.0.close();
    }
}

struct Running {
    settings: Arc<Settings>,
    queue: Arc<Queue>,
    shelves: Mutex<BTreeMap<ProjectName, Arc<Shelf>>>,
    /// The thread, and the lock that outlives it.
    committer: Mutex<Option<(JoinHandle<()>, Lock)>>,
}

impl Running {
    fn close(&self) {
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.queue.close();
        if let Some((thread, lock)) = committer {
            // The thread catches its panics; one outside of that has closed the database as well.
            let _ = thread.join();
            directory::tighten(&self.settings.data_dir);
            drop(lock);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

/// The ledger of one project.
pub struct SledLedger {
    volume: Volume,
    project: ProjectName,
    shelf: Arc<Shelf>,
    /// Of the last `open`; gone while a commit is under way and after one that failed.
    epoch: Option<u64>,
}

impl SledLedger {
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Job,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        if !self.volume.0.queue.push(job(answer)) {
            return Err(refused("the ledger is closed"));
        }
        // The committer drops an answer only when it panicked with the job in its hands.
        answered.await.unwrap_or_else(|_| {
            Err(LedgerError::Unconfirmed("the committer gave the job up".into()))
        })
    }
}

impl Ledger for SledLedger {
    fn open(&mut self, opening: Opening) -> Pending<'_, Result<Opened, LedgerError>> {
        Box::pin(async move {
            self.epoch = None;
            let (project, shelf) = (self.project.clone(), Arc::clone(&self.shelf));
            let opened = self.ask(|answer| Job::Open { project, opening, shelf, answer }).await?;
            self.epoch = Some(opened.epoch);
            Ok(opened)
        })
    }

    fn commit(&mut self, group: Group) -> Pending<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let epoch = self.epoch.take().ok_or_else(|| refused("the ledger is not open"))?;
            // Encoded here, so that the committer, which serves everybody, only writes.
            let parts =
                Parts::cut(&group).map_err(|oversize| LedgerError::Refused(oversize.into()))?;
            let project = self.project.clone();
            self.ask(|answer| Job::Commit(Commit { project, epoch, parts, answer })).await?;
            self.epoch = Some(epoch);
            Ok(())
        })
    }

    fn retain(
        &mut self,
        before: Timestamp,
        lines_max: u64,
    ) -> Pending<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let epoch = self.epoch.ok_or_else(|| refused("the ledger is not open"))?;
            let project = self.project.clone();
            self.ask(|answer| Job::Retain { project, epoch, before, lines_max, answer }).await
        })
    }

    fn reader(&self) -> Arc<dyn Reader> {
        let settings = Arc::clone(&self.volume.0.settings);
        Arc::new(SledReader { shelf: Arc::clone(&self.shelf), settings })
    }
}

struct SledReader {
    shelf: Arc<Shelf>,
    settings: Arc<Settings>,
}

impl SledReader {
    /// sled may go to the disk, so every look-up runs beside the runtime.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shelf) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let shelf = Arc::clone(&self.shelf);
        tokio::task::spawn_blocking(move || look(&shelf))
            .await
            .map_err(|panic| LedgerError::Unreadable(panic.into()))?
    }
}

impl Reader for SledReader {
    fn line(&self, sequence: Sequence) -> Pending<'_, Result<Option<ClosedLease>, LedgerError>> {
        Box::pin(self.look(move |shelf| shelf.line(sequence)))
    }

    fn lines(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(self.look(move |shelf| shelf.lines(from, limit)))
    }

    fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(self.look(move |shelf| shelf.lines_of(sequences)))
    }

    fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Pending<'_, Result<Vec<ClosedLease>, LedgerError>> {
        Box::pin(self.look(move |shelf| shelf.lines_changed(after, from, limit)))
    }

    fn resumable(&self) -> Resumable {
        self.shelf.resumable()
    }

    fn usage(&self) -> Usage {
        directory::usage(&self.settings.data_dir)
    }
}

fn refused(reason: &'static str) -> LedgerError {
    LedgerError::Refused(reason.into())
}
