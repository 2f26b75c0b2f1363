//! From a backup to ledgers, in a directory that has none.
//!
//! The file is read to its end before anything is made of it. The database is built beside the place
//! where a daemon looks for it and takes that place, whole and synced, with one rename.
//!
//! A backup is an older past, and no witness is made: at the next open the one that is there vouches
//! for the ledger, and where there is none, everything that may have been shown goes out of use (L1).

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufReader, Seek},
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::Arc,
};

use prost::Message;

use super::{Look, Offline, Settings};
use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    port::LedgerError,
    store::{
        backup::Reader,
        record::{FORMAT_VERSION, GroupRecord, HeadRecord, LedgerRecord, Piece},
        sled::{database::Database, directory, group::Parts, history::Fault, project::Project},
    },
};

/// Where the database is built.
pub(super) const UNFINISHED: &str = "importing";

/// What was made of a backup.
pub struct Imported {
    /// When the backup was made, and by which version.
    pub made: Timestamp,
    pub version: String,
    /// Each ledger as the next daemon will find it.
    pub ledgers: Vec<(ProjectName, Look)>,
}

/// Refuses a directory whose ledger would be taken for an empty one.
pub(in crate::store::sled) fn no_import_was_cut_off(settings: &Settings) -> Result<(), String> {
    let dir = &settings.data_dir;
    if dir.join(UNFINISHED).is_dir() && !dir.join("ledger").is_dir() {
        return Err(format!(
            "an import into {} was cut off: do it again, or remove {UNFINISHED} there",
            dir.display(),
        ));
    }
    Ok(())
}

/// Makes the ledgers of a data directory out of a backup. Its projects must be among these, with these
/// pids. Blocks; the error is a sentence for the operator.
pub fn import(
    settings: &Settings,
    from: &Path,
    projects: &[(ProjectName, String)],
) -> Result<Imported, LedgerError> {
    let cannot = |reason: String| {
        LedgerError::Unusable(format!("{} cannot be imported: {reason}", from.display()))
    };
    let mut file = File::open(from).map_err(|error| cannot(error.to_string()))?;
    check(&file, projects).map_err(|fault| cannot(fault.to_string()))?;
    file.rewind().map_err(|error| cannot(error.to_string()))?;

    let _lock = directory::prepare(settings).map_err(LedgerError::Unusable)?;
    let place = settings.data_dir.join("ledger");
    if place.exists() {
        return Err(LedgerError::Unusable(format!(
            "{} has a ledger: move `ledger` away and leave the witness, which tells what was shown \
             since the backup was made",
            settings.data_dir.display(),
        )));
    }
    let unfinished = settings.data_dir.join(UNFINISHED);
    let built = remove(&unfinished)
        .and_then(|()| DirBuilder::new().mode(0o700).create(&unfinished))
        .and_then(|()| directory::sync(&settings.data_dir))
        .map_err(Fault::from)
        .and_then(|()| build(settings, file, projects));
    let imported = built.and_then(|imported| {
        fs::rename(unfinished.join("ledger"), &place)?;
        directory::sync(&settings.data_dir)?;
        Ok(imported)
    });
    // What fails to go is refused by `no_import_was_cut_off`, or lies beside a ledger that is whole.
    let _ = remove(&unfinished);
    imported.map_err(|fault| cannot(fault.to_string()))
}

/// Reads a backup to its end: whole, readable by this version, and of these projects.
fn check(file: &File, projects: &[(ProjectName, String)]) -> Result<(), Fault> {
    let (mut reader, _) = Reader::begin(BufReader::new(file))?;
    let mut found = Vec::new();
    while let Some(piece) = reader.next()? {
        match piece {
            Piece::Ledger(record) => {
                let (name, head) = named(record)?;
                if head.format > FORMAT_VERSION {
                    return Err(format!(
                        "its ledgers have format {} and this version reads up to {FORMAT_VERSION}: \
                         import it with the version that wrote it, or a newer one",
                        head.format,
                    )
                    .into());
                }
                let Some((_, pid)) = projects.iter().find(|(ours, _)| *ours == name) else {
                    return Err(format!("it holds project {name}, which is not configured").into());
                };
                if *pid != head.pid {
                    return Err(format!(
                        "its project {name} belongs to the ARGOS project {} and not to {pid}: its tokens \
                         would be dead links",
                        head.pid,
                    )
                    .into());
                }
                if found.contains(&name) {
                    return Err(format!("it holds project {name} twice").into());
                }
                found.push(name);
            }
            Piece::Records(_) if !found.is_empty() => (),
            Piece::Preface(_) | Piece::Records(_) | Piece::End(_) => return Err(MIXED_UP.into()),
        }
    }
    if found.is_empty() {
        return Err("it holds no ledger".into());
    }
    Ok(())
}

const MIXED_UP: &str = "its pieces are not in their order";

/// Builds the database, and reads back what a daemon would.
fn build(
    settings: &Settings,
    file: File,
    projects: &[(ProjectName, String)],
) -> Result<Imported, Fault> {
    let aside = Settings { data_dir: settings.data_dir.join(UNFINISHED), ..settings.clone() };
    let lock = directory::prepare(&aside)?;
    let database = Database::open(&aside)?;
    let offline = Offline { settings: aside, database, _lock: lock };
    let (reader, preface) = Reader::begin(BufReader::new(file))?;
    offline.fill(reader)?;
    let mut ledgers = Vec::new();
    let filled = offline.projects();
    for (name, pid) in projects.iter().filter(|(name, _)| filled.contains(name)) {
        let look = offline.look(name, pid, Timestamp::from_millis(u64::MAX))?;
        ledgers.extend(look.map(|look| (name.clone(), look)));
    }
    offline.close()?;
    Ok(Imported { made: Timestamp::from_millis(preface.made), version: preface.version, ledgers })
}

impl Offline {
    fn fill(&self, mut reader: Reader<impl io::Read>) -> Result<(), Fault> {
        let mut filling: Option<Project> = None;
        while let Some(piece) = reader.next()? {
            match (piece, &mut filling) {
                (Piece::Ledger(record), _) => {
                    let (name, head) = named(record)?;
                    let mut project = Project::load(&self.database, &name, Arc::default())?;
                    project.head = head;
                    project.put_head(0)?;
                    filling = Some(project);
                }
                (Piece::Records(part), Some(project)) => project.fill(part)?,
                (Piece::Preface(_) | Piece::Records(_) | Piece::End(_), _) => {
                    return Err(MIXED_UP.into());
                }
            }
        }
        Ok(())
    }
}

impl Project {
    /// Takes a part of a backup in, as a commit of its own.
    fn fill(&mut self, mut part: GroupRecord) -> Result<(), Fault> {
        part.parts = 1;
        let mark = part.mark.ok_or("a part lacks its mark")?;
        let values = vec![part.encode_to_vec()];
        let mut parts = Parts { number: 0, mark, values, records: vec![part] };
        self.insert(&mut parts)?;
        self.confirm(&mut parts)?;
        self.absorb(parts);
        while self.wants_fold() {
            self.fold()?;
        }
        Ok(())
    }
}

fn named(record: LedgerRecord) -> Result<(ProjectName, HeadRecord), Fault> {
    let head = record.head.ok_or(MIXED_UP)?;
    Ok((ProjectName::parse(&record.project)?, head))
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
