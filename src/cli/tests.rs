//! What the tests of the subcommands share, and the command line as a whole.

use jiff::Timestamp;

use super::*;

/// A screen that nobody looks at, at a time that does not pass.
pub(super) fn plain_screen() -> Screen {
    Screen {
        output: Output::Table,
        terminal: false,
        color: false,
        width: None,
        now: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_800_000_000),
    }
}

/// A time before (or, negative, after) that of [`plain_screen`].
pub(super) fn seconds_ago(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: 1_800_000_000 - seconds, nanos: 0 }
}
