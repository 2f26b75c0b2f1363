//! From ledgers to a backup: whole and private, or not there at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Look, Offline, each_page};
use crate::{
    domain::{
        ids::{ProjectName, Revision},
        time::Timestamp,
    },
    port::{Group, LedgerError},
    store::{
        backup::Writer,
        record::{HeadRecord, LedgerRecord, Piece},
        sled::{directory, group::Parts, history::Fault, project::Project},
    },
};

/// What a backup says of its making.
pub struct Making<'a> {
    pub at: Timestamp,
    pub version: &'a str,
}

impl Offline {
    /// Writes the ledgers of these projects, each with its pid, into one file that only its owner may
    /// read. What stood there before is replaced at once or not at all. Returns what was written of
    /// each; projects without a ledger are left out.
    pub fn export(
        &self,
        projects: &[(ProjectName, String)],
        to: &Path,
        making: &Making<'_>,
    ) -> Result<Vec<(ProjectName, Look)>, LedgerError> {
        let partial = partial(to);
        let cannot = |error: io::Error| {
            LedgerError::Unusable(format!("cannot write the backup {}: {error}", to.display()))
        };
        let mut options = OpenOptions::new();
        // A predecessor that was killed may have left its file behind, with another mode even.
        let _ = fs::remove_file(&partial);
        let file = options.write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.map_err(cannot)?;
        let written = self.write(projects, file, making, &cannot).and_then(|written| {
            fs::rename(&partial, to).and_then(|()| directory::sync(parent(to))).map_err(cannot)?;
            Ok(written)
        });
        if written.is_err() {
            // The error says what counts; a file that stays is overwritten by the next one.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    fn write(
        &self,
        projects: &[(ProjectName, String)],
        file: File,
        making: &Making<'_>,
        cannot: &dyn Fn(io::Error) -> LedgerError,
    ) -> Result<Vec<(ProjectName, Look)>, LedgerError> {
        let out = BufWriter::new(file);
        let mut out = Writer::begin(out, making.at.as_millis(), making.version).map_err(cannot)?;
        let mut written = Vec::new();
        for (name, pid) in projects {
            // Requests of closed leases are in their lines.
            let never = Timestamp::from_millis(u64::MAX);
            let Some(look) = self.look(name, pid, never)? else { continue };
            let Some(project) = self.load(name)? else { continue };
            put(&mut out, &project, &look).map_err(|fault| {
                match fault.downcast::<io::Error>() {
                    Ok(error) => cannot(*error),
                    Err(fault) => self.damaged(name, &fault),
                }
            })?;
            written.push((name.clone(), look));
        }
        let out = out.end().map_err(cannot)?;
        let file = out.into_inner().map_err(|error| cannot(error.into_error()))?;
        file.sync_all().map_err(cannot)?;
        Ok(written)
    }
}

/// The head, then everything in groups that hold no more than a value of the ledger may.
fn put(out: &mut Writer<impl Write>, project: &Project, look: &Look) -> Result<(), Fault> {
    let head = HeadRecord { mark: Some(project.mark()), folded: 0, ..project.head.clone() };
    out.put(Piece::Ledger(LedgerRecord { project: project.name.to_string(), head: Some(head) }))?;
    let opened = &look.opened;
    let mark = || Group {
        revision: Revision(project.mark().revision),
        at: opened.committed_at,
        next: opened.next,
        granted: opened.granted,
        ..Group::default()
    };
    let live = Group { tokens: opened.tokens.clone(), orders: opened.orders.clone(), ..mark() };
    put_group(out, &live)?;
    each_page(project, |lines| put_group(out, &Group { lines, ..mark() }))
}

fn put_group(out: &mut Writer<impl Write>, group: &Group) -> Result<(), Fault> {
    for part in Parts::cut(group)?.records {
        out.put(Piece::Records(part))?;
    }
    Ok(())
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
