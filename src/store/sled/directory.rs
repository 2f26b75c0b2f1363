//! The data directory: whose it is, who may read it, and what it takes of the disk.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use super::Settings;
use crate::port::Usage;

/// A predecessor that is still closing has this long.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Held while this process serves from a directory.
pub(super) struct Lock {
    _file: File,
}

/// Makes the directories where they are missing, checks who may read them, and locks the data
/// directory. The error is a sentence for the operator.
pub(super) fn prepare(settings: &Settings) -> Result<Lock, String> {
    for dir in [&settings.data_dir, &settings.witness_dir] {
        claim(dir).map_err(|error| sentence(dir, &error))?;
        if let Some(reason) = foreign(dir).map_err(|error| sentence(dir, &error))? {
            return Err(reason);
        }
        tighten(dir);
    }
    lock(&settings.data_dir)
}

/// Takes group and others off every file below. Errors are left to those who open the files.
pub(super) fn tighten(dir: &Path) {
    for path in below(dir) {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
            if metadata.mode() & 0o077 != 0 && !metadata.is_symlink() {
                let _ = fs::set_permissions(&path, Permissions::from_mode(mode));
            }
        }
    }
}

/// What the directory takes, and what its volume has left.
pub(super) fn usage(dir: &Path) -> Usage {
    let sizes = below(dir).into_iter().filter_map(|path| fs::symlink_metadata(path).ok());
    Usage {
        bytes: sizes.map(|metadata| metadata.blocks() * 512).sum(),
        free_bytes: free_bytes(dir).unwrap_or(0),
    }
}

/// Bytes that this process may still write on the volume of `path`.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let volume = rustix::fs::statvfs(path)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Makes the names of new files durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn claim(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
}

/// Why the directory cannot be trusted, if it cannot.
fn foreign(dir: &Path) -> io::Result<Option<String>> {
    let own = rustix::process::geteuid().as_raw();
    let metadata = fs::metadata(dir)?;
    if metadata.mode() & 0o077 != 0 {
        return Ok(Some(format!(
            "{} is open to other users (mode {:04o}): it holds tokens, so make it 0700 and ask who read it",
            dir.display(),
            metadata.mode() & 0o7777,
        )));
    }
    for path in std::iter::once(dir.to_path_buf()).chain(below(dir)) {
        let owner = fs::symlink_metadata(&path)?.uid();
        if owner != own {
            return Ok(Some(format!(
                "{} belongs to user {owner} and this process runs as {own}: one of the two is wrong",
                path.display(),
            )));
        }
    }
    Ok(None)
}

fn lock(dir: &Path) -> Result<Lock, String> {
    let path = dir.join("LOCK");
    let fault = |error: io::Error| sentence(&path, &error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(fault)?;
    let give_up = Instant::now() + LOCK_PATIENCE;
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= give_up {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(format!(
                "another argospool serves from {} (pid {})",
                dir.display(),
                pid.trim(),
            ));
        }
        thread::sleep(LOCK_INTERVAL);
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(fault)?;
    writeln!(file, "{}", std::process::id()).map_err(fault)?;
    Ok(Lock { _file: file })
}

/// Everything below a directory. What vanishes meanwhile is left out: sled replaces files.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

fn sentence(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be used as a ledger: {error}", path.display())
}
