//! What stands beside a ledger and knows how far it came.
//!
//! sled can open an older past of itself without a word, and so can everybody who restores a backup.
//! A token that is Ready there may have been shown (L1). The witness is a small file outside sled:
//! which ledger, which start of the machine, the epoch, the last revision, the first sequence never
//! minted, and a bound on what was leased. The revision is written with every group and synced now and then; the
//! bound is synced *before* any lease passes it. Two slots are written in turn, so that one is whole.
//!
//! A directory that is copied back brings its witness along, which is then as old as the ledger. So a
//! witness knows when its own file was made: a copy was made later, and vouches for nothing.
//!
//! A suspicion is written down before it is told and stands until the first commit after it, which
//! must therefore hold all that is done about it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

use super::{Settings, Step, directory};
use crate::domain::{ids::ProjectName, time::Timestamp};

const MAGIC: &[u8; 8] = b"argowit1";
/// A sector each, so that a torn write spoils one slot only.
const SLOT_BYTES: u64 = 512;
const BODY: usize = 81;
const SEAL: usize = 8;
/// When the file was made, where the file system says: beside the rest and sealed together with it, so
/// that a version without it reads what it knows.
const BORN_AT: usize = 96;
const SLOT: usize = BORN_AT + 8 + SEAL;
/// Groups between two syncs, and the step by which `granted` runs ahead.
const SYNC_EVERY: u32 = 256;
const GRANTED_STEP: u64 = 256;
/// No ledger ever reaches it, so that every ledger is behind.
const REVISION_OF_DOUBT: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Testimony {
    pub ledger: u128,
    /// The start of the machine in which it was written.
    pub boot: u128,
    /// Of the opening that wrote it.
    pub epoch: u64,
    /// The last group that was acknowledged.
    pub revision: u64,
    pub next: u64,
    /// Nothing at or above this sequence was leased.
    pub granted: u64,
    /// The ledger was closed in order after that.
    pub clean: bool,
}

/// What a witness says about the ledger beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The ledger is the newest there was.
    Current,
    /// The witness has seen so many revisions more.
    Behind {
        revisions: u64,
    },
    /// An older past was met at an opening, and nothing was done about it yet.
    Doubted,
    /// The machine went down before the ledger was closed: the last commits may be missing.
    PowerLost,
    Missing,
    Illegible,
    /// It came with a copy of the directory.
    Copied,
    OfAnotherLedger,
}

/// What a witness says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Of the last commit; `None` when an older past was met since.
    pub revision: Option<u64>,
    /// The first sequence never minted.
    pub next: u64,
    /// Nothing at or above this sequence was leased.
    pub granted: u64,
}

/// What a witness file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Illegible,
    /// Written when it was another file.
    Copied,
    Testimony(Testimony),
}

/// How far the ledger itself says that it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub ledger: u128,
    pub boot: u128,
    pub epoch: u64,
    pub revision: u64,
    pub next: u64,
    pub granted: u64,
}

impl Found {
    /// Ready tokens below this may have been shown; `None`: the ledger is the newest there was.
    pub(super) fn suspect_below(&self, claim: &Claim) -> Option<u64> {
        match self {
            Self::Testimony(witness) if witness.ledger == claim.ledger => {
                let behind = claim.revision < witness.revision;
                let power_lost = !witness.clean && witness.boot != claim.boot;
                (behind || power_lost).then_some(witness.granted.max(claim.granted))
            }
            // Of another ledger, or no witness: nobody knows what was shown.
            Self::Testimony(_) | Self::Nothing | Self::Illegible | Self::Copied => Some(claim.next),
        }
    }

    /// The same for a person.
    pub(super) fn standing(&self, claim: &Claim) -> Standing {
        match self {
            Self::Nothing => Standing::Missing,
            Self::Illegible => Standing::Illegible,
            Self::Copied => Standing::Copied,
            Self::Testimony(witness) if witness.ledger != claim.ledger => Standing::OfAnotherLedger,
            Self::Testimony(witness) if witness.revision == REVISION_OF_DOUBT => Standing::Doubted,
            Self::Testimony(witness) if claim.revision < witness.revision => {
                Standing::Behind { revisions: witness.revision - claim.revision }
            }
            Self::Testimony(_) if self.suspect_below(claim).is_some() => Standing::PowerLost,
            Self::Testimony(_) => Standing::Current,
        }
    }

    /// What it says by itself, where there is no ledger to compare it with.
    pub(super) fn remembered(&self) -> Option<Remembered> {
        let Self::Testimony(Testimony { revision, next, granted, .. }) = *self else { return None };
        let revision = (revision != REVISION_OF_DOUBT).then_some(revision);
        Some(Remembered { revision, next, granted })
    }

    /// The first sequence never minted, as the witness remembers it.
    pub(super) fn next(&self, claim: &Claim) -> u64 {
        match self {
            Self::Testimony(witness) if witness.ledger == claim.ledger => {
                witness.next.max(claim.next)
            }
            Self::Testimony(_) | Self::Nothing | Self::Illegible | Self::Copied => claim.next,
        }
    }

    /// The epoch to begin: none that a lost past has had, because whoever watched that one may come
    /// back. Without a witness its epochs are unknown, but fewer than the milliseconds of any clock.
    pub(super) fn epoch(&self, claim: &Claim, moment: Timestamp) -> u64 {
        let past = match self {
            Self::Testimony(witness) if witness.ledger == claim.ledger => witness.epoch,
            Self::Testimony(_) | Self::Nothing | Self::Illegible | Self::Copied => {
                moment.as_millis()
            }
        };
        past.max(claim.epoch) + 1
    }
}

/// Where the witness of a project is.
pub(super) fn path(settings: &Settings, project: &ProjectName) -> PathBuf {
    settings.witness_dir.join(project.as_str())
}

pub(super) fn read(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let newest = slots(&file).into_iter().flatten().max_by_key(|slot| slot.count);
    let Some(Slot { testimony, born, .. }) = newest else { return Ok(Found::Illegible) };
    let copied = born.zip(birth(&file)).is_some_and(|(said, is)| said != is);
    Ok(if copied { Found::Copied } else { Found::Testimony(testimony) })
}

/// When a file was made, in nanoseconds; nobody can set it. `None` where the file system does not say.
fn birth(file: &File) -> Option<u64> {
    let made = file.metadata().ok()?.created().ok()?;
    u64::try_from(made.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok().filter(|born| *born > 0)
}

/// A witness that is being written.
pub(super) struct Witness {
    file: File,
    /// Writes so far; says which slot is next.
    count: u64,
    said: Testimony,
    born: Option<u64>,
    unsynced: u32,
}

impl Witness {
    /// Begins to testify for a ledger that was opened, durably. With a suspicion, that is written
    /// down first, and holds until the next [`Witness::note`].
    pub(super) fn begin(
        settings: &Settings,
        path: &Path,
        claim: &Claim,
        suspect_below: Option<u64>,
    ) -> io::Result<Self> {
        settings.pass(Step::Witness)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let count = slots(&file).into_iter().flatten().map(|slot| slot.count).max().unwrap_or(0);
        let said = Testimony {
            ledger: claim.ledger,
            boot: claim.boot,
            epoch: claim.epoch,
            revision: suspect_below.map_or(claim.revision, |_| REVISION_OF_DOUBT),
            next: claim.next,
            granted: suspect_below.unwrap_or(claim.granted).max(claim.granted),
            clean: false,
        };
        let born = birth(&file);
        let mut witness = Self { file, count, said, born, unsynced: 0 };
        witness.write()?;
        witness.sync()?;
        path.parent().map_or(Ok(()), directory::sync)?;
        Ok(witness)
    }

    /// Before a commit: nothing at or above the bound is leased until the bound is durable.
    pub(super) fn allow(&mut self, settings: &Settings, granted: u64) -> io::Result<()> {
        if granted <= self.said.granted {
            return Ok(());
        }
        settings.pass(Step::Witness)?;
        self.said.granted = (granted / GRANTED_STEP + 1) * GRANTED_STEP;
        self.write()?;
        self.sync()
    }

    /// After a commit that is durable, and before it is answered.
    pub(super) fn note(&mut self, revision: u64, next: u64) -> io::Result<()> {
        let doubted = self.said.revision == REVISION_OF_DOUBT;
        (self.said.revision, self.said.next) = (revision, next);
        self.write()?;
        self.unsynced += 1;
        if doubted || self.unsynced >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// After the database was closed in order.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.said.clean = true;
        self.write()?;
        self.sync()
    }

    fn write(&mut self) -> io::Result<()> {
        self.count += 1;
        let slot = encode(self.count, &self.said, self.born);
        self.file.write_all_at(&slot, (self.count % 2) * SLOT_BYTES)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        self.file.sync_data()
    }
}

struct Slot {
    count: u64,
    testimony: Testimony,
    born: Option<u64>,
}

fn slots(file: &File) -> [Option<Slot>; 2] {
    [0, SLOT_BYTES].map(|at| {
        let mut slot = [0; SLOT];
        // The second one may end early: what is missing says nothing.
        let read = file.read_at(&mut slot, at).ok()?;
        if read < BODY + SEAL { None } else { decode(&slot) }
    })
}

fn encode(count: u64, said: &Testimony, born: Option<u64>) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..16].copy_from_slice(&count.to_be_bytes());
    slot[16..32].copy_from_slice(&said.ledger.to_be_bytes());
    slot[32..48].copy_from_slice(&said.boot.to_be_bytes());
    slot[48..56].copy_from_slice(&said.epoch.to_be_bytes());
    slot[56..64].copy_from_slice(&said.revision.to_be_bytes());
    slot[64..72].copy_from_slice(&said.next.to_be_bytes());
    slot[72..80].copy_from_slice(&said.granted.to_be_bytes());
    slot[80] = u8::from(said.clean);
    seal(&mut slot, BODY);
    if let Some(born) = born {
        slot[BORN_AT..BORN_AT + 8].copy_from_slice(&born.to_be_bytes());
        seal(&mut slot, BORN_AT + 8);
    }
    slot
}

fn decode(slot: &[u8; SLOT]) -> Option<Slot> {
    let whole = slot[..8] == *MAGIC && sealed(slot, BODY);
    let number = |at: usize| slot[at..at + 8].try_into().map(u64::from_be_bytes).ok();
    let name = |at: usize| slot[at..at + 16].try_into().map(u128::from_be_bytes).ok();
    let testimony = Testimony {
        ledger: name(16)?,
        boot: name(32)?,
        epoch: number(48)?,
        revision: number(56)?,
        next: number(64)?,
        granted: number(72)?,
        clean: slot[80] != 0,
    };
    let born = if sealed(slot, BORN_AT + 8) { number(BORN_AT) } else { None };
    whole.then_some(Slot { count: number(8)?, testimony, born })
}

/// Puts the digest of everything before this place there.
fn seal(slot: &mut [u8; SLOT], at: usize) {
    let digest = Sha256::digest(&slot[..at]);
    slot[at..at + SEAL].copy_from_slice(&digest[..SEAL]);
}

fn sealed(slot: &[u8; SLOT], at: usize) -> bool {
    slot[at..at + SEAL] == Sha256::digest(&slot[..at])[..SEAL]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim =
        Claim { ledger: 1, boot: 1, epoch: 3, revision: 10, next: 500, granted: 100 };

    fn witness(dir: &Path, suspect_below: Option<u64>) -> (Settings, PathBuf, Witness) {
        let (settings, path) = (Settings::at(dir), dir.join("witness"));
        let witness = Witness::begin(&settings, &path, &CLAIM, suspect_below).unwrap();
        (settings, path, witness)
    }

    fn testimony() -> Testimony {
        Testimony {
            ledger: 1,
            boot: 1,
            epoch: 3,
            revision: 10,
            next: 500,
            granted: 256,
            clean: false,
        }
    }

    fn found(path: &Path) -> Testimony {
        let Found::Testimony(testimony) = read(path).unwrap() else { panic!("no testimony") };
        testimony
    }

    #[test]
    fn the_bound_is_written_before_it_is_passed_and_in_steps() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, path, mut witness) = witness(dir.path(), None);
        witness.allow(&settings, 100).unwrap();
        assert_eq!(found(&path).granted, 100);
        witness.allow(&settings, 101).unwrap();
        assert_eq!(found(&path).granted, 256, "L1");
        witness.allow(&settings, 256).unwrap();
        assert_eq!(found(&path).granted, 256, "one sync for many leases");
    }

    #[test]
    fn a_torn_write_leaves_the_testimony_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (_, path, mut witness) = witness(dir.path(), None);
        witness.note(11, 600).unwrap();
        witness.note(12, 700).unwrap();
        let newest = (witness.count % 2) * SLOT_BYTES;
        witness.file.write_all_at(b"torn", newest + 50).unwrap();
        assert_eq!(found(&path).revision, 11);
        witness.file.write_all_at(b"torn", (SLOT_BYTES - newest) + 50).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Illegible);
    }

    #[test]
    fn a_copy_of_a_witness_vouches_for_nothing_until_it_testifies_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, path, witness) = witness(dir.path(), None);
        assert!(
            birth(&witness.file).is_some(),
            "this file system does not say when files are made"
        );
        let (moved, copy) = (dir.path().join("moved"), dir.path().join("copy"));
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        assert_eq!(found(&moved).revision, 10, "the same file elsewhere");
        let copied = read(&copy).unwrap();
        assert_eq!(copied, Found::Copied, "L1");
        assert_eq!(copied.suspect_below(&CLAIM), Some(500), "nobody knows what was shown since");
        Witness::begin(&settings, &copy, &CLAIM, Some(500)).unwrap().note(10, 500).unwrap();
        assert_eq!(found(&copy).revision, 10);
    }

    /// Also where a file system does not say when files are made.
    #[test]
    fn a_witness_that_was_written_without_its_birth_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("witness"), dir.path().join("copy"));
        let slot = encode(7, &testimony(), None);
        std::fs::write(&path, &slot[..BODY + SEAL]).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        assert_eq!((found(&path), found(&copy)), (testimony(), testimony()));
        let older = encode(7, &testimony(), Some(5));
        assert_eq!(older[..BODY + SEAL], slot[..BODY + SEAL], "what a version without it reads");
    }

    #[test]
    fn a_ledger_is_suspected_when_it_is_behind_or_nobody_can_vouch_for_it() {
        let said = testimony();
        let suspect = |said: Testimony| Found::Testimony(said).suspect_below(&CLAIM);
        assert_eq!(suspect(said), None, "a killed process");
        assert_eq!(suspect(Testimony { revision: 9, ..said }), None, "killed before the note");
        assert_eq!(suspect(Testimony { revision: 11, ..said }), Some(256), "an older past");
        assert_eq!(suspect(Testimony { boot: 2, ..said }), Some(256), "power was lost");
        assert_eq!(suspect(Testimony { boot: 2, clean: true, ..said }), None, "an orderly end");
        assert_eq!(suspect(Testimony { ledger: 2, ..said }), Some(500), "of another ledger");
        let ahead = Found::Testimony(Testimony { next: 700, ..said });
        assert_eq!(ahead.next(&CLAIM), 700, "no sequence is minted twice");
        assert_eq!(Found::Nothing.suspect_below(&CLAIM), Some(500), "lost");
        assert_eq!(Found::Illegible.suspect_below(&CLAIM), Some(500), "illegible");
    }

    #[test]
    fn a_person_is_told_why_a_ledger_is_suspected() {
        let said = testimony();
        let standing = |said: Testimony| Found::Testimony(said).standing(&CLAIM);
        assert_eq!(standing(said), Standing::Current);
        assert_eq!(standing(Testimony { revision: 13, ..said }), Standing::Behind { revisions: 3 });
        assert_eq!(standing(Testimony { revision: u64::MAX, ..said }), Standing::Doubted);
        assert_eq!(standing(Testimony { boot: 2, ..said }), Standing::PowerLost);
        assert_eq!(standing(Testimony { boot: 2, clean: true, ..said }), Standing::Current);
        assert_eq!(standing(Testimony { ledger: 2, ..said }), Standing::OfAnotherLedger);
        assert_eq!(Found::Nothing.standing(&CLAIM), Standing::Missing);
        assert_eq!(Found::Illegible.standing(&CLAIM), Standing::Illegible);
        assert_eq!(Found::Copied.standing(&CLAIM), Standing::Copied);
    }

    #[test]
    fn no_epoch_of_a_lost_past_begins_again() {
        let moment = Timestamp::from_millis(1_700_000_000_000);
        let epoch = |found: Found| found.epoch(&CLAIM, moment);
        let said = testimony();
        assert_eq!(epoch(Found::Testimony(said)), 4);
        assert_eq!(epoch(Found::Testimony(Testimony { epoch: 9, ..said })), 10, "an older past");
        assert_eq!(epoch(Found::Testimony(Testimony { epoch: 2, ..said })), 4, "an older witness");
        let of_another = Found::Testimony(Testimony { ledger: 2, ..said });
        for nobody in [of_another, Found::Nothing, Found::Illegible, Found::Copied] {
            assert_eq!(epoch(nobody), 1_700_000_000_001);
        }
    }

    #[test]
    fn a_suspicion_stands_until_a_commit_and_an_orderly_end_does_not_clear_it() {
        let dir = tempfile::tempdir().unwrap();
        let (_, path, witness) = witness(dir.path(), Some(400));
        witness.close().unwrap();
        assert_eq!(read(&path).unwrap().suspect_below(&CLAIM), Some(400));
        let settings = Settings::at(dir.path());
        let mut witness = Witness::begin(&settings, &path, &CLAIM, Some(400)).unwrap();
        witness.note(10, 500).unwrap();
        assert_eq!(read(&path).unwrap().suspect_below(&CLAIM), None);
    }
}
