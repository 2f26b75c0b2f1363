//! What only a ledger on a disk can get wrong.

use std::{
    io,
    sync::{Arc, Mutex},
};

use argospool::{
    domain::ids::ProjectName,
    port::Ledger,
    store::sled::{Hazard, Settings, SledLedger, Step, Volume},
};

use super::{Place, sample::*};

/// A data directory and the process that serves from it.
pub(super) struct Directory {
    settings: Settings,
    hazards: Arc<Hazards>,
    volume: Option<Volume>,
    _dir: tempfile::TempDir,
}

impl Directory {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hazards = Arc::new(Hazards::default());
        let settings = Settings {
            hazard: Some(Arc::clone(&hazards) as Arc<dyn Hazard>),
            ..Settings::at(dir.path().join("data"))
        };
        let volume = Some(Volume::open(settings.clone()).unwrap());
        Self { settings, hazards, volume, _dir: dir }
    }

    fn volume(&self) -> &Volume {
        self.volume.as_ref().unwrap()
    }

    fn sled(&self) -> SledLedger {
        self.volume().ledger(&project("default"))
    }
}

impl Place for Directory {
    fn ledger(&self) -> Box<dyn Ledger> {
        Box::new(self.sled())
    }

    fn other_project(&self) -> Box<dyn Ledger> {
        Box::new(self.volume().ledger(&project("other")))
    }

    fn restart(&mut self) {
        self.volume().close();
        self.volume = None;
        self.volume = Some(Volume::open(self.settings.clone()).unwrap());
    }

    fn refuse_commit(&self) {
        self.hazards.fail_next(Step::Space);
    }

    fn lose_answer(&self) {
        self.hazards.fail_next(Step::Sync);
    }
}

/// Fails the next step of a kind, once per request.
#[derive(Default)]
struct Hazards(Mutex<Vec<Step>>);

impl Hazards {
    fn fail_next(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

impl Hazard for Hazards {
    fn before(&self, step: Step) -> io::Result<()> {
        let mut waiting = self.0.lock().unwrap();
        match waiting.iter().position(|waits| *waits == step) {
            Some(found) => {
                waiting.remove(found);
                Err(io::ErrorKind::StorageFull.into())
            }
            None => Ok(()),
        }
    }
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}
