//! A data directory that nobody serves from: looked at, written to a backup, made of one.
//!
//! Looking takes the lock of the directory, which keeps a daemon out, and leaves ledger and witness as
//! they are: no epoch begins, and a suspicion is neither told nor settled.

mod export;
mod import;

use std::{io, sync::Arc};

pub(super) use self::import::no_import_was_cut_off;
pub use self::{
    export::Making,
    import::{Imported, import},
};
pub use super::witness::{Remembered, Standing};
use super::{
    Settings,
    committer::boot_id,
    database::{Database, choices},
    directory::{self, Lock},
    history::Fault,
    project::{EMPTIED, Project},
    witness::{self, Found},
};
use crate::{
    domain::{
        ids::{ProjectName, Sequence},
        time::Timestamp,
        token::ClosedLease,
    },
    port::{LedgerError, Opened},
};

/// Lines of history that are read at once.
const LINES_AT_ONCE: usize = 512;
const HEAD_TREE: &str = "/head";

/// The ledgers of one data directory.
pub struct Offline {
    settings: Settings,
    database: Database,
    _lock: Lock,
}

/// One ledger, as the next daemon would find it.
pub struct Look {
    /// With the suspicion that an opening at this moment would tell.
    pub opened: Opened,
    pub lines: u64,
    pub witness: Standing,
}

/// Why a directory cannot be looked at. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// There is nothing, or it is not ours at this moment.
    #[error("{0}")]
    NotOurs(String),
    /// There is a database, and it does not open.
    #[error("{0}")]
    Damaged(String),
}

impl Offline {
    /// Locks the directory and opens what is there; nothing is made. Blocks.
    pub fn open(settings: Settings) -> Result<Self, Closed> {
        let there = |name: &str| settings.data_dir.join(name).is_dir();
        if !there("ledger") && !there(import::UNFINISHED) {
            let dir = settings.data_dir.display();
            return Err(Closed::NotOurs(format!("there is no ledger in {dir}")));
        }
        let lock = directory::prepare(&settings).map_err(Closed::NotOurs)?;
        no_import_was_cut_off(&settings).map_err(Closed::NotOurs)?;
        let database = Database::open(&settings).map_err(Closed::Damaged)?;
        Ok(Self { settings, database, _lock: lock })
    }

    /// Closes the database. Blocks.
    pub fn close(self) -> io::Result<()> {
        let closed = self.database.close(&self.settings);
        directory::tighten(&self.settings.data_dir);
        closed
    }

    /// Every project that has a ledger here.
    pub fn projects(&self) -> Vec<ProjectName> {
        let trees = self.database.tree_names();
        let name = |tree: &String| ProjectName::parse(tree.strip_suffix(HEAD_TREE)?).ok();
        let mut names: Vec<_> = trees.iter().filter_map(name).collect();
        names.sort_unstable();
        names
    }

    /// Reads everything that is kept for a project, as an opening with these would; `None` where there
    /// is nothing.
    pub fn look(
        &self,
        name: &ProjectName,
        pid: &str,
        remember_after: Timestamp,
    ) -> Result<Option<Look>, LedgerError> {
        let damaged = |fault: Fault| self.damaged(name, &fault);
        let found = witness::read(&witness::path(&self.settings, name))
            .map_err(|error| LedgerError::Unreadable(error.into()))?;
        let Some(project) = self.load(name)? else {
            if found != Found::Nothing {
                return Err(damaged(EMPTIED.into()));
            }
            return Ok(None);
        };
        project.check(&self.settings, pid)?;
        let identity = project.identity().map_err(|error| damaged(error.into()))?;
        let claim = project.claim(identity.id, self.settings.boot_id.unwrap_or_else(boot_id));
        let mut opened = project.read(remember_after, identity).map_err(damaged)?;
        opened.suspect_below = found.suspect_below(&claim).map(Sequence::new);
        let mut lines = 0;
        each_page(&project, |page| {
            lines += page.len() as u64;
            Ok(())
        })
        .map_err(damaged)?;
        Ok(Some(Look { opened, lines, witness: found.standing(&claim) }))
    }

    /// `None` where nothing is kept under this name; asking makes nothing.
    fn load(&self, name: &ProjectName) -> Result<Option<Project>, LedgerError> {
        if !self.projects().contains(name) {
            return Ok(None);
        }
        let project = Project::load(&self.database, name, Arc::default());
        project.map(Some).map_err(|fault| self.damaged(name, &fault))
    }

    fn damaged(&self, name: &ProjectName, fault: &Fault) -> LedgerError {
        LedgerError::Unusable(choices(&self.settings, &format!("project {name}: {fault}")))
    }
}

/// What the witness of a project remembers, whether or not there is a ledger beside it.
pub fn remembered(settings: &Settings, name: &ProjectName) -> Option<Remembered> {
    witness::read(&witness::path(settings, name)).ok()?.remembered()
}

/// All lines of history in sequence order, some at a time.
fn each_page(
    project: &Project,
    mut read: impl FnMut(Vec<ClosedLease>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut from = Sequence::ZERO;
    loop {
        let page = project.shelf.lines(from, LINES_AT_ONCE)?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.sequence.plus(1);
        read(page)?;
    }
}
