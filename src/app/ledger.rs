//! The ledgers of a configuration without a daemon: audited, written to a backup, made of one.
//!
//! Each takes the lock of the data directory, so that a daemon which serves from it is told of and
//! none can start meanwhile.

mod audit;

use std::path::PathBuf;

pub use self::audit::{Audit, Books, Breach, Inventory, audit};
use super::{Failure, VERSION, World, policy, storage};
pub use crate::store::sled::offline::{Remembered, Standing};
use crate::{
    config::{self, LedgerKind},
    domain::{
        ids::{ProjectName, Sequence},
        token::Stage,
    },
    port::LedgerError,
    store::sled::{
        Settings,
        offline::{self, Closed, Look, Making, Offline},
    },
};

/// What came out of a backup.
pub struct Imported {
    /// When it was made, in milliseconds of the Unix epoch, and by which version.
    pub made: u64,
    pub version: String,
    pub ledgers: Vec<Inventory>,
}

/// Writes the ledgers of this configuration, or of the project that is named, into one file that only
/// its owner may read. A file that is there is kept unless `replace` says otherwise.
///
/// # Errors
///
/// When a ledger cannot be read whole, above all because a daemon serves from it, or the file not be
/// written.
pub async fn export(
    settings: config::Settings,
    world: World,
    named: String,
    to: PathBuf,
    replace: bool,
) -> Result<Vec<Inventory>, Failure> {
    beside(move || {
        let projects = named_projects(&settings, &named)?;
        if to.exists() && !replace {
            return Err(unusable(format!("{} is there already", to.display())));
        }
        let offline = Offline::open(volume(&settings)?).map_err(closed)?;
        let making = Making { at: world.clock.wall(), version: VERSION };
        let written = offline.export(&projects, &to, &making).map_err(Failure::Storage);
        // The file is on the disk or is not; the database was not written to.
        let _ = offline.close();
        Ok(inventories(&written?))
    })
    .await
}

/// Makes the ledgers of an empty data directory out of a backup, whose projects must all be
/// configured.
///
/// # Errors
///
/// When there is a ledger already, or the file is not a whole backup of these projects.
pub async fn import(settings: config::Settings, from: PathBuf) -> Result<Imported, Failure> {
    beside(move || {
        let projects = named_projects(&settings, "")?;
        let imported = offline::import(&volume(&settings)?, &from, &projects);
        let imported = imported.map_err(Failure::Storage)?;
        Ok(Imported {
            made: imported.made.as_millis(),
            version: imported.version,
            ledgers: inventories(&imported.ledgers),
        })
    })
    .await
}

/// Beside the runtime, because sled reads for as long as it takes.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Failure::Task("reading the ledger panicked".to_owned())))
}

fn volume(settings: &config::Settings) -> Result<Settings, Failure> {
    match settings.ledger.kind {
        LedgerKind::Sled => Ok(storage::volume(settings)),
        LedgerKind::Memory => Err(Failure::InMemory),
    }
}

/// The projects of the configuration with their pids; only the one that is named, if one is.
fn named_projects(
    settings: &config::Settings,
    named: &str,
) -> Result<Vec<(ProjectName, String)>, Failure> {
    let all = policy::projects(settings).map_err(Failure::Unfit)?;
    let names: Vec<_> = all.iter().map(|project| project.name.to_string()).collect();
    let wanted = all.into_iter().filter(|it| named.is_empty() || it.name.as_str() == named);
    let wanted: Vec<_> = wanted.map(|project| (project.name, project.settings.pid)).collect();
    if wanted.is_empty() {
        return Err(Failure::NoProject(names.join(", ")));
    }
    Ok(wanted)
}

fn inventories(looks: &[(ProjectName, Look)]) -> Vec<Inventory> {
    looks.iter().map(|(name, look)| Inventory::of(name, look)).collect()
}

fn closed(closed: Closed) -> Failure {
    unusable(closed.to_string())
}

fn unusable(sentence: String) -> Failure {
    Failure::Storage(LedgerError::Unusable(sentence))
}

/// Tokens below a suspicion that the next opening takes out of use.
fn taken_out(look: &Look) -> usize {
    let below = look.opened.suspect_below.unwrap_or(Sequence::ZERO);
    let exposed = |stage: &Stage| matches!(stage, Stage::Minted { .. } | Stage::Ready { .. });
    let tokens = look.opened.tokens.iter();
    tokens.filter(|token| token.sequence < below && exposed(&token.stage)).count()
}
