//! The sled database as a whole: opened with care, written durably, and recovered after a failure.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::SeekFrom;

use super::{SEGMENT_BYTES, Settings, Step, VALUE_MAX, directory};

/// sled opens a gigabyte in a second; whatever takes this long does not come back.
const OPEN_PATIENCE: Duration = Duration::from_secs(60);
/// A handle that was just dropped may hold sled's own lock for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// How sled 0.34 begins its refusal when somebody else holds its lock.
const LOCK_REFUSAL: &str = "could not acquire lock";

pub(super) struct Database {
    db: ::sled::Db,
    /// Ours, because sled gives no access to its own.
    file: File,
}

impl Database {
    /// Opens the database below the data directory, or makes it. The error is a sentence.
    pub(super) fn open(settings: &Settings) -> Result<Self, String> {
        let dir = home(settings);
        let config = ::sled::Config::new()
            .path(&dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(settings.cache_bytes);
        let opened = settings
            .pass(Step::Open)
            .map_err(|error| error.to_string())
            .and_then(|()| open_beside(config))
            .and_then(|db| {
                let file = settle(settings, &dir).map_err(|error| error.to_string())?;
                Ok(Self { db, file })
            });
        opened.map_err(|reason| choices(settings, &reason))
    }

    pub(super) fn tree(&self, name: &str) -> ::sled::Result<::sled::Tree> {
        self.db.open_tree(name)
    }

    pub(super) fn tree_names(&self) -> Vec<String> {
        let names = self.db.tree_names().into_iter();
        names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
    }

    /// Makes everything that was inserted durable, power loss included (J1).
    pub(super) fn persist(&self, settings: &Settings) -> io::Result<()> {
        settings.pass(Step::Flush)?;
        self.db.flush()?;
        settings.pass(Step::Sync)?;
        self.file.sync_data()
    }

    /// Waits for sled's own threads to be done.
    pub(super) fn close(self, settings: &Settings) -> io::Result<()> {
        let persisted = self.persist(settings);
        drop(self.db);
        persisted.and_then(|()| self.file.sync_all())
    }
}

/// Writes a value where no value may be large enough for a blob.
pub(super) fn put(tree: &::sled::Tree, key: &[u8], value: Vec<u8>) -> ::sled::Result<()> {
    assert!(value.len() <= VALUE_MAX, "a value of {} bytes would become a blob", value.len());
    tree.insert(key, value).map(|_| ())
}

/// Writes every byte of the database file over itself and syncs it.
///
/// After a failed write-back the kernel takes the pages for clean: a sync that follows reports success,
/// and what is read comes from memory and not from the disk. Writing the same bytes again makes them
/// dirty once more, so that the sync which follows means what it says. Only for a closed database.
pub(super) fn rewrite(settings: &Settings) -> io::Result<()> {
    let dir = home(settings);
    let mut chunk = vec![0; 1 << 20];
    for entry in std::fs::read_dir(&dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let file = OpenOptions::new().read(true).write(true).open(entry.path())?;
        let length = file.metadata()?.len();
        let mut at = 0;
        // Holes stay holes: on a full disk there is no room to fill them.
        while let Some((from, to)) = data_from(&file, at, length)? {
            at = from;
            while at < to {
                let wanted = chunk.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
                let chunk = &mut chunk[..wanted];
                file.read_exact_at(chunk, at)?;
                file.write_all_at(chunk, at)?;
                at += wanted as u64;
            }
        }
        settings.pass(Step::Sync)?;
        file.sync_all()?;
    }
    directory::sync(&dir)
}

/// The sentence for a database that does not open, with what a person can do about it.
pub(super) fn choices(settings: &Settings, reason: &str) -> String {
    format!(
        "the ledger in {} cannot be opened ({reason}): restore the directory from a backup (move \
         `ledger` away, leave the witness, `argospool ledger import`), export what can still be read \
         from a copy of it (`argospool ledger export`), or move it away with its witness and start \
         empty, which leaves every token at ARGOS foreign",
        settings.data_dir.display(),
    )
}

/// The next stretch of a file that is no hole.
fn data_from(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(from) => Ok(Some((from, rustix::fs::seek(file, SeekFrom::Hole(from))?.min(length)))),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens in a thread of its own, because sled panics on some damage and may not come back from other.
fn open_beside(config: ::sled::Config) -> Result<::sled::Db, String> {
    let (send, receive) = mpsc::channel();
    let open = move || {
        let opened = panic::catch_unwind(AssertUnwindSafe(|| open_patiently(&config)));
        let opened = opened.unwrap_or_else(|_| Err("sled gave up on its file".to_owned()));
        // Nobody listens any more when it took too long.
        let _ = send.send(opened);
    };
    thread::Builder::new()
        .name("ledger-open".to_owned())
        .spawn(open)
        .map_err(|error| error.to_string())?;
    receive
        .recv_timeout(OPEN_PATIENCE)
        .unwrap_or_else(|_| Err("sled did not come back from reading its file".to_owned()))
}

fn open_patiently(config: &::sled::Config) -> Result<::sled::Db, String> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(::sled::Error::Io(error))
                if error.to_string().contains(LOCK_REFUSAL) && Instant::now() < give_up =>
            {
                thread::sleep(LOCK_INTERVAL);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Makes the files of a new database durable by name, and private.
fn settle(settings: &Settings, dir: &Path) -> io::Result<File> {
    directory::tighten(&settings.data_dir);
    File::open(dir.join("conf"))?.sync_all()?;
    directory::sync(dir)?;
    directory::sync(&settings.data_dir)?;
    File::open(dir.join("db"))
}

fn home(settings: &Settings) -> PathBuf {
    settings.data_dir.join("ledger")
}
