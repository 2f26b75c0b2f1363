//! What only a ledger on a disk can get wrong.

mod backup;
mod cost;
mod damage;
mod killed;

use std::{
    fs, io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use argospool::{
    domain::ids::{ProjectName, Revision, Sequence},
    port::{Group, Ledger, LedgerError, Opened},
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
            boot_id: Some(1),
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

    fn stop(&mut self) {
        self.volume().close();
        self.volume = None;
    }

    fn start(&mut self) {
        self.volume = Some(Volume::open(self.settings.clone()).unwrap());
    }

    fn data(&self) -> PathBuf {
        self.settings.data_dir.clone()
    }

    /// Runs something on the ledger of the project, in a process of its own.
    async fn opened(&mut self) -> Result<Opened, LedgerError> {
        self.volume = None;
        self.volume = Some(Volume::open(self.settings.clone())?);
        self.sled().open(opening()).await
    }

    /// As a power cut or `kill -9` leaves the directory behind, in another place.
    fn torn_away(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&self.data(), &dir.path().join("data"));
        forget_that_it_was_copied(&dir.path().join("data/witness/default"));
        let hazards = Arc::new(Hazards::default());
        let settings = Settings { boot_id: Some(1), ..Settings::at(dir.path().join("data")) };
        Self { settings, hazards, volume: None, _dir: dir }
    }
}

/// Takes the time at which its file was made out of a witness, as where file systems do not say it.
fn forget_that_it_was_copied(witness: &Path) {
    let file = fs::OpenOptions::new().write(true).open(witness).unwrap();
    for slot in [0, 512] {
        if slot + 96 < file.metadata().unwrap().len() {
            file.write_all_at(&[0; 16], slot + 96).unwrap();
        }
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
        self.stop();
        self.start();
    }

    fn refuse_commit(&self) {
        self.hazards.fail_next(Step::Space);
    }

    fn lose_answer(&self) {
        self.hazards.fail_next(Step::Sync);
    }
}

/// Fails the next step of a kind, once per request, and knows what was done.
#[derive(Default)]
struct Hazards {
    waiting: Mutex<Vec<Step>>,
    done: Mutex<Vec<Step>>,
}

impl Hazards {
    fn fail_next(&self, step: Step) {
        self.waiting.lock().unwrap().push(step);
    }

    /// The steps since this was asked last.
    fn done(&self) -> Vec<Step> {
        std::mem::take(&mut *self.done.lock().unwrap())
    }
}

impl Hazard for Hazards {
    fn before(&self, step: Step) -> io::Result<()> {
        self.done.lock().unwrap().push(step);
        let mut waiting = self.waiting.lock().unwrap();
        match waiting.iter().position(|waits| *waits == step) {
            Some(found) => {
                waiting.remove(found);
                Err(io::ErrorKind::StorageFull.into())
            }
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn after_a_failed_step_the_ledger_opens_again_in_the_same_process() {
    for step in [Step::Write, Step::Flush, Step::Sync] {
        let place = Directory::new();
        let mut ledger = place.sled();
        ledger.open(opening()).await.unwrap();
        let sure = Group { tokens: vec![ready(1), ready(2)], lines: vec![line(9, 9)], ..group(1) };
        ledger.commit(sure).await.unwrap();
        place.hazards.fail_next(step);
        let doubtful = Group { tokens: vec![leased(1)], ..group(2) };
        let failed = ledger.commit(doubtful).await;
        assert!(matches!(failed, Err(LedgerError::Unconfirmed(_))), "{step:?}: {failed:?}");
        let opened = ledger.open(opening()).await.unwrap();
        assert_eq!(opened.tokens.len(), 2, "{step:?}");
        assert_eq!(opened.tokens[1], ready(2), "{step:?}");
        assert_eq!(opened.suspect_below, None, "{step:?}");
        let revision = opened.revision.0 + 1;
        ledger.commit(Group { tokens: vec![ready(3)], ..group(revision) }).await.unwrap();
        assert_eq!(ledger.reader().line(Sequence::new(9)).await.unwrap(), Some(line(9, 9)));
        assert_eq!(ledger.open(opening()).await.unwrap().tokens.len(), 3, "{step:?}");
    }
}

#[tokio::test]
async fn after_a_failed_step_nobody_writes_until_the_ledger_is_opened_again() {
    let place = Directory::new();
    let (mut one, mut other) = (place.sled(), place.volume().ledger(&project("other")));
    one.open(opening()).await.unwrap();
    other.open(opening()).await.unwrap();
    place.hazards.fail_next(Step::Flush);
    one.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap_err();
    for ledger in [&mut one, &mut other] {
        let refused = ledger.commit(Group { tokens: vec![ready(2)], ..group(1) }).await;
        assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_failure_that_lasts_is_told_at_every_open_until_its_cause_is_gone() {
    let place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap();
    place.hazards.fail_next(Step::Sync);
    ledger.commit(Group { tokens: vec![ready(2)], ..group(2) }).await.unwrap_err();
    for step in [Step::Sync, Step::Open, Step::Witness] {
        place.hazards.fail_next(step);
        let failed = ledger.open(opening()).await;
        assert!(matches!(failed, Err(LedgerError::Unreadable(_))), "{step:?}: {failed:?}");
    }
    let opened = ledger.open(opening()).await.unwrap();
    assert!(opened.tokens.contains(&ready(1)));
    ledger.commit(Group { tokens: vec![ready(3)], ..group(3) }).await.unwrap();
}

#[tokio::test]
async fn a_failure_is_everybodys_and_readers_of_the_others_go_on() {
    let place = Directory::new();
    let (mut one, mut other) = (place.sled(), place.volume().ledger(&project("other")));
    one.open(opening()).await.unwrap();
    other.open(opening()).await.unwrap();
    other.commit(Group { lines: vec![line(1, 1)], ..group(1) }).await.unwrap();
    place.lose_answer();
    one.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap_err();
    let reader = other.reader();
    assert_eq!(reader.line(Sequence::new(1)).await.unwrap(), Some(line(1, 1)));
    one.open(opening()).await.unwrap();
    assert_eq!(reader.line(Sequence::new(1)).await.unwrap(), Some(line(1, 1)));
    let refused = other.commit(Group { tokens: vec![ready(1)], ..group(2) }).await;
    assert!(matches!(refused, Err(LedgerError::Refused(_))));
    assert_eq!(other.open(opening()).await.unwrap().revision, Revision(1));
    other.commit(Group { tokens: vec![ready(1)], ..group(2) }).await.unwrap();
}

#[tokio::test]
async fn nothing_is_leased_that_the_witness_could_not_be_told_of() {
    let place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    place.hazards.fail_next(Step::Witness);
    let granted = Sequence::new(300);
    let refused = ledger.commit(Group { tokens: vec![leased(1)], granted, ..group(1) }).await;
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "L1");
    assert_eq!(ledger.open(opening()).await.unwrap().tokens, []);
}

#[tokio::test]
async fn a_commit_whose_asker_gave_up_is_found_at_the_next_open() {
    let place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    // Polled once: the group is handed in, and nobody waits for the answer.
    let commit = ledger.commit(Group { tokens: vec![ready(1)], ..group(1) });
    let _ = tokio::time::timeout(std::time::Duration::ZERO, commit).await;
    assert_eq!(ledger.open(opening()).await.unwrap().tokens, [ready(1)]);
}

#[tokio::test]
async fn a_closed_volume_refuses_everything() {
    let place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { lines: vec![line(1, 1)], ..group(1) }).await.unwrap();
    ledger.retain(at(0), 0).await.unwrap();
    place.volume().close();
    let refused = ledger.commit(Group { tokens: vec![ready(1)], ..group(2) }).await;
    assert!(matches!(refused, Err(LedgerError::Refused(_))));
    assert!(ledger.reader().line(Sequence::ZERO).await.is_err());
    let resumable = ledger.reader().resumable();
    assert_eq!(resumable.revision, Revision(1), "whoever has read just before asks after it");
}

#[tokio::test]
async fn no_page_ever_becomes_a_file_under_blobs() {
    let mut place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    for revision in 1..=40 {
        let first = revision * 256 % 5_000;
        let tokens: Vec<_> = (first..first + 256).map(large_lease).collect();
        let lines = (first..first + 256).map(|number| large_line(number, revision)).collect();
        ledger.commit(Group { tokens, lines, ..group(revision) }).await.unwrap();
        assert_eq!(fs::read_dir(place.data().join("ledger/blobs")).unwrap().count(), 0);
    }
    drop(ledger);
    place.restart();
    let opened = place.sled().open(opening()).await.unwrap();
    assert!(opened.tokens.len() > 4_000);
    assert_eq!(fs::read_dir(place.data().join("ledger/blobs")).unwrap().count(), 0);
    let usage = place.sled().reader().usage();
    assert!(usage.bytes > 8 << 20 && usage.free_bytes > 0, "{usage:?}");
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// T1: all projects live by one clock, so the time is asked of all ledgers before one is opened.
#[tokio::test]
async fn the_last_commit_of_all_projects_is_known_before_they_are_opened() {
    let mut directory = Directory::new();
    let projects = [project("default"), project("never")];
    assert_eq!(directory.volume().last_commit(projects.iter()).await.unwrap(), at(0));
    let mut ledger = directory.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { at: at(77), tokens: vec![ready(1)], ..group(1) }).await.unwrap();
    drop(ledger);
    directory.stop();
    directory.start();
    assert_eq!(directory.volume().last_commit(projects.iter()).await.unwrap(), at(77));
    let opened = directory.sled().open(opening()).await.unwrap();
    assert_eq!((opened.tokens, opened.epoch), (vec![ready(1)], 2), "asking owns nothing");
}
