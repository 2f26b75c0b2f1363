//! The one thread that writes: everything pending from all projects becomes one flush and one sync.
//!
//! It takes the list itself, so that whatever queued up while the last sync ran shares the next one.
//! Folding and sweeping happen between commits, in small steps. A panic inside sled is a failure like
//! another one: it poisons the volume, and the next `open` begins again from the file.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::{
    SEGMENT_BYTES, Settings, Step,
    database::{self, Database, choices},
    directory,
    group::Parts,
    history::{Fault, Shelf},
    project::Project,
    sweep::Sweep,
};
use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    port::{LedgerError, Opened, Opening},
};

/// Steps of folding and sweeping after a commit while the next one waits already.
const STEPS_BETWEEN_COMMITS: usize = 4;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What is asked of the committer.
pub(super) enum Job {
    Open {
        project: ProjectName,
        opening: Opening,
        shelf: Arc<Shelf>,
        answer: Answer<Opened>,
    },
    Recall {
        project: ProjectName,
        answer: Answer<Timestamp>,
    },
    Commit(Commit),
    Retain {
        project: ProjectName,
        epoch: u64,
        before: Timestamp,
        lines_max: u64,
        answer: Answer<u64>,
    },
}

pub(super) struct Commit {
    pub project: ProjectName,
    pub epoch: u64,
    pub parts: Parts,
    pub answer: Answer<()>,
}

/// Where jobs wait. Its length is bounded by its senders, who wait for their answers.
#[derive(Default)]
pub(super) struct Queue {
    intake: Mutex<Intake>,
    arrived: Condvar,
}

#[derive(Default)]
struct Intake {
    jobs: Vec<Job>,
    closed: bool,
}

impl Queue {
    /// Hands a job in; `false` after the volume was closed.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut intake = self.lock();
        if intake.closed {
            return false;
        }
        intake.jobs.push(job);
        drop(intake);
        self.arrived.notify_one();
        true
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Everything that is pending; `None` once it is closed and empty.
    fn take(&self, wait: bool) -> Option<Vec<Job>> {
        let mut intake = self.lock();
        while wait && intake.jobs.is_empty() && !intake.closed {
            intake = self.arrived.wait(intake).unwrap_or_else(PoisonError::into_inner);
        }
        if intake.jobs.is_empty() && intake.closed {
            return None;
        }
        Some(std::mem::take(&mut intake.jobs))
    }

    fn is_empty(&self) -> bool {
        let intake = self.lock();
        intake.jobs.is_empty() && !intake.closed
    }

    fn lock(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Committer {
    settings: Settings,
    queue: Arc<Queue>,
    boot: u128,
    /// `None` after it could not be opened again.
    database: Option<Database>,
    /// Something failed: nothing is written before the database was opened again.
    poisoned: bool,
    projects: BTreeMap<ProjectName, Project>,
    /// Of every project that was ever opened; readers have them.
    shelves: BTreeMap<ProjectName, Arc<Shelf>>,
    sweeps: VecDeque<Retention>,
}

/// A sweep of history, and who waits for it.
struct Retention {
    project: ProjectName,
    /// A line that is swept out of its block must not come back from a group.
    after: u64,
    sweep: Sweep,
    answer: Answer<u64>,
}

impl Committer {
    /// Starts the thread and waits until the database is open.
    pub(super) fn start(
        settings: Settings,
        queue: Arc<Queue>,
    ) -> Result<JoinHandle<()>, LedgerError> {
        let (tell, told) = mpsc::channel();
        let run = move || {
            let opened = Database::open(&settings);
            let (database, told) = match opened {
                Ok(database) => (Some(database), Ok(())),
                Err(sentence) => (None, Err(sentence)),
            };
            let serving = told.is_ok();
            // Nobody waits for it only when the process is going down.
            let _ = tell.send(told);
            if serving {
                let boot = settings.boot_id.unwrap_or_else(boot_id);
                let committer = Self {
                    settings,
                    queue,
                    boot,
                    database,
                    poisoned: false,
                    projects: BTreeMap::new(),
                    shelves: BTreeMap::new(),
                    sweeps: VecDeque::new(),
                };
                committer.run();
            }
        };
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(run)
            .map_err(|error| LedgerError::Unusable(error.to_string()))?;
        let gave_up = || Err("the committer gave up".to_owned());
        told.recv().unwrap_or_else(|_| gave_up()).map_err(LedgerError::Unusable)?;
        Ok(thread)
    }

    fn run(mut self) {
        while let Some(jobs) = self.queue.take(!self.has_chores()) {
            let mut commits = Vec::new();
            for job in jobs {
                match job {
                    Job::Commit(commit) => commits.push(commit),
                    Job::Open { project, opening, shelf, answer } => {
                        self.guarded(|committer| committer.commit(std::mem::take(&mut commits)));
                        self.open(project, &opening, shelf, answer);
                    }
                    Job::Recall { project, answer: answer_to } => {
                        let recalled =
                            panic::catch_unwind(AssertUnwindSafe(|| self.recall(&project)));
                        answer(answer_to, recalled.unwrap_or_else(|_| Err(self.gave_up())));
                    }
                    Job::Retain { project, epoch, before, lines_max, answer } => {
                        self.guarded(|committer| committer.commit(std::mem::take(&mut commits)));
                        self.retain(project, epoch, (before, lines_max), answer);
                    }
                }
            }
            self.guarded(|committer| committer.commit(commits));
            self.guarded(Self::chores);
        }
        self.close();
    }

    /// A panic drops the answers in hand, which their askers take for "not confirmed".
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if panic::catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.poison();
        }
    }

    fn commit(&mut self, commits: Vec<Commit>) {
        if commits.is_empty() {
            return;
        }
        let bytes = commits.iter().flat_map(|commit| &commit.parts.values).map(Vec::len).sum();
        let room = self.room(bytes);
        let mut admitted = Vec::with_capacity(commits.len());
        for commit in commits {
            let checked = match &room {
                Ok(()) => self.admit(&commit),
                Err(error) => Err(refused(io::Error::new(error.kind(), error.to_string()))),
            };
            match checked {
                Ok(()) => admitted.push(commit),
                Err(error) => answer(commit.answer, Err(error)),
            }
        }
        if admitted.is_empty() {
            return;
        }
        if let Err(error) = self.write(&mut admitted) {
            self.poison();
            for commit in admitted {
                let error = io::Error::new(error.kind(), error.to_string());
                answer(commit.answer, Err(LedgerError::Unconfirmed(error.into())));
            }
            return;
        }
        let mut confirmed = Vec::with_capacity(admitted.len());
        for mut commit in admitted {
            let Some(project) = self.projects.get_mut(&commit.project) else { continue };
            let told = project.confirm(&mut commit.parts).map_err(|error| {
                // The group is durable; the next owner begins with a witness that says so.
                project.disown();
                LedgerError::Unconfirmed(error.into())
            });
            answer(commit.answer, told);
            confirmed.push((commit.project, commit.parts));
        }
        for (name, parts) in confirmed {
            if let Some(project) = self.projects.get_mut(&name) {
                project.absorb(parts);
            }
        }
    }

    fn admit(&mut self, commit: &Commit) -> Result<(), LedgerError> {
        let project = self
            .projects
            .get_mut(&commit.project)
            .ok_or_else(|| refused(io::Error::other("the ledger is not open")))?;
        project.admit(commit.epoch)?;
        project.allow(&self.settings, commit.parts.mark.granted).map_err(refused)
    }

    fn write(&mut self, commits: &mut [Commit]) -> io::Result<()> {
        self.settings.pass(Step::Write)?;
        for commit in commits {
            if let Some(project) = self.projects.get_mut(&commit.project) {
                project.insert(&mut commit.parts)?;
            }
        }
        let database = self.database.as_ref().ok_or_else(|| io::Error::other("not open"))?;
        database.persist(&self.settings)
    }

    /// A full disk is met before sled meets it: it writes up to a segment at once, and never recovers
    /// from a write that failed.
    fn room(&self, bytes: usize) -> io::Result<()> {
        self.settings.pass(Step::Space)?;
        let wanted = (SEGMENT_BYTES + 2 * bytes) as u64;
        if directory::free_bytes(&self.settings.data_dir)? < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn open(
        &mut self,
        name: ProjectName,
        opening: &Opening,
        shelf: Arc<Shelf>,
        answer_to: Answer<Opened>,
    ) {
        let opened = panic::catch_unwind(AssertUnwindSafe(|| {
            self.recover()?;
            self.open_project(name, opening, shelf)
        }));
        let opened = opened.unwrap_or_else(|_| {
            self.poison();
            Err(self.gave_up())
        });
        if matches!(opened, Err(LedgerError::Unreadable(_))) {
            self.poison();
        }
        answer(answer_to, opened);
    }

    fn gave_up(&self) -> LedgerError {
        LedgerError::Unusable(choices(&self.settings, "sled gave up on its file"))
    }

    /// When a project that need not be open committed last.
    fn recall(&self, name: &ProjectName) -> Result<Timestamp, LedgerError> {
        let Some(database) = &self.database else {
            return Err(LedgerError::Unreadable("the database is closed".into()));
        };
        let project = Project::load(database, name, Arc::default())
            .map_err(|fault| LedgerError::Unusable(choices(&self.settings, &fault.to_string())))?;
        Ok(project.committed_at())
    }

    fn open_project(
        &mut self,
        name: ProjectName,
        opening: &Opening,
        shelf: Arc<Shelf>,
    ) -> Result<Opened, LedgerError> {
        let Some(database) = &self.database else {
            return Err(LedgerError::Unreadable("the database is closed".into()));
        };
        let damaged =
            |fault: Fault| LedgerError::Unusable(choices(&self.settings, &fault.to_string()));
        self.shelves.insert(name.clone(), Arc::clone(&shelf));
        let mut project = Project::load(database, &name, shelf).map_err(damaged)?;
        let opened = project.open(database, &self.settings, self.boot, opening);
        self.projects.insert(name, project);
        opened
    }

    /// Begins again from the file after a failure. Everybody must open again; readers go on.
    fn recover(&mut self) -> Result<(), LedgerError> {
        if !self.poisoned && self.database.is_some() {
            return Ok(());
        }
        self.projects.clear();
        self.shelves.values().for_each(|shelf| shelf.detach());
        // sled syncs its file when it is put down, and panics when that fails. It is over either way.
        let database = self.database.take();
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(database)));
        database::rewrite(&self.settings).map_err(|error| LedgerError::Unreadable(error.into()))?;
        let database = Database::open(&self.settings)
            .map_err(|sentence| LedgerError::Unreadable(sentence.into()))?;
        for (name, shelf) in &self.shelves {
            let project = Project::load(&database, name, Arc::clone(shelf)).map_err(|fault| {
                LedgerError::Unusable(choices(&self.settings, &fault.to_string()))
            })?;
            self.projects.insert(name.clone(), project);
        }
        self.database = Some(database);
        self.poisoned = false;
        Ok(())
    }

    fn retain(
        &mut self,
        name: ProjectName,
        epoch: u64,
        (before, lines_max): (Timestamp, u64),
        answer_to: Answer<u64>,
    ) {
        let admitted = match self.projects.get(&name) {
            Some(project) => project
                .admit(epoch)
                .map(|()| (project.last_group(), Sweep::begin(before, lines_max))),
            None => Err(refused(io::Error::other("the ledger is not open"))),
        };
        match admitted {
            Ok((after, sweep)) => {
                let retention = Retention { project: name, after, sweep, answer: answer_to };
                self.sweeps.push_back(retention);
            }
            Err(error) => answer(answer_to, Err(error)),
        }
    }

    fn has_chores(&self) -> bool {
        !self.poisoned
            && (!self.sweeps.is_empty() || self.projects.values().any(Project::wants_fold))
    }

    fn chores(&mut self) {
        // What waits is in memory and would be replayed at open: the more it is, the more is done, until
        // as much goes as comes.
        let waiting = self.projects.values().map(Project::folds_waiting).sum::<usize>();
        let most = STEPS_BETWEEN_COMMITS * (1 + waiting);
        let mut steps = 0;
        while self.has_chores() && (steps < most || self.queue.is_empty()) {
            if self.chore().is_err() {
                self.poison();
            }
            steps += 1;
        }
    }

    fn chore(&mut self) -> Result<(), Fault> {
        if let Some(project) = self.projects.values_mut().find(|project| project.wants_fold()) {
            return project.fold();
        }
        let Some(mut retention) = self.sweeps.pop_front() else { return Ok(()) };
        let Some(project) = self.projects.get_mut(&retention.project) else { return Ok(()) };
        if project.lags_behind(retention.after) {
            let folded = project.fold();
            self.sweeps.push_front(retention);
            return folded;
        }
        match project.sweep(&mut retention.sweep)? {
            Some(dropped) => answer(retention.answer, Ok(dropped)),
            None => self.sweeps.push_front(retention),
        }
        Ok(())
    }

    /// Nothing is written any more through this handle.
    fn poison(&mut self) {
        self.poisoned = true;
        // Dropped answers say "not confirmed".
        self.sweeps.clear();
        self.projects.values_mut().for_each(Project::disown);
    }

    fn close(mut self) {
        self.shelves.values().for_each(|shelf| shelf.detach());
        let projects = std::mem::take(&mut self.projects);
        let witnesses: Vec<_> = projects.into_values().filter_map(Project::into_witness).collect();
        let Some(database) = self.database.take() else { return };
        let closed = panic::catch_unwind(AssertUnwindSafe(|| database.close(&self.settings)));
        if self.poisoned || !matches!(closed, Ok(Ok(()))) {
            return;
        }
        for witness in witnesses {
            // A witness that does not hear of it takes the end for an unclean one: the safe side.
            let _ = witness.close();
        }
    }
}

fn refused(error: io::Error) -> LedgerError {
    LedgerError::Refused(error.into())
}

/// An asker who went away learns the outcome when it opens the ledger again.
fn answer<T>(answer: Answer<T>, outcome: Result<T, LedgerError>) {
    let _ = answer.send(outcome);
}

/// Which start of the machine this is; the same number for ever where the kernel does not say.
pub(super) fn boot_id() -> u128 {
    let text = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default()
}
