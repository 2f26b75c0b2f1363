//! Every key there is: its table, name, kind with range, default and meaning. Reading files, the
//! names of variables, suggestions, `config dump`, `config example` and the reference all come from
//! here, so a key cannot be known to one of them and not to the others.

mod daemon;
mod liveform;
mod project;

use std::time::Duration;

pub(super) use self::liveform::{DEFAULTS, TEMPLATES};
use super::keys::Table;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// History kept for longer belongs into a database of its own.
const RETENTION_MAX: Duration = hours(365 * 24);

/// All tables, in the order in which people read them.
pub(super) fn tables() -> impl Iterator<Item = &'static Table> + Clone {
    daemon::TABLES.iter().chain(project::TABLES).chain(liveform::TABLES)
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    seconds(60 * count)
}

const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}
