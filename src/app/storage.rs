//! Where the ledgers of all projects live.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    config::{self, LedgerKind},
    domain::{ids::ProjectName, time::Timestamp},
    port::{Ledger, LedgerError},
    store::{
        memory::Memory,
        sled::{Settings, Volume},
    },
};

/// One data directory, or memory that is lost at exit.
pub(super) enum Storage {
    Sled(Volume),
    Memory(Mutex<BTreeMap<ProjectName, Memory>>),
}

impl Storage {
    /// Blocks while sled reads its file.
    pub(super) fn open(settings: &config::Settings) -> Result<Self, LedgerError> {
        match settings.ledger.kind {
            LedgerKind::Memory => Ok(Self::Memory(Mutex::default())),
            LedgerKind::Sled => Volume::open(volume(settings)).map(Self::Sled),
        }
    }

    pub(super) fn ledger(&self, project: &ProjectName) -> Box<dyn Ledger> {
        match self {
            Self::Sled(volume) => Box::new(volume.ledger(project)),
            Self::Memory(disks) => {
                let mut disks = disks.lock().unwrap_or_else(PoisonError::into_inner);
                Box::new(disks.entry(project.clone()).or_default().twin())
            }
        }
    }

    /// When any of these projects committed last.
    pub(super) async fn last_commit<'a>(
        &self,
        projects: impl Iterator<Item = &'a ProjectName>,
    ) -> Result<Timestamp, LedgerError> {
        match self {
            Self::Sled(volume) => volume.last_commit(projects).await,
            // It begins empty.
            Self::Memory(_) => Ok(Timestamp::ZERO),
        }
    }

    /// After this nothing is written any more. Blocks until what was handed in is on the disk.
    pub(super) fn close(&self) {
        match self {
            Self::Sled(volume) => volume.close(),
            Self::Memory(_) => (),
        }
    }
}

/// Where the ledgers of a configuration are, and how much they may take.
pub(super) fn volume(settings: &config::Settings) -> Settings {
    let at = Settings::at(&settings.data_dir);
    let witness_dir = settings.ledger.witness_dir.clone();
    Settings {
        witness_dir: witness_dir.unwrap_or_else(|| at.witness_dir.clone()),
        cache_bytes: settings.ledger.cache_bytes,
        ..at
    }
}
