//! Every bound of the daemon, and the relations between them that must hold.

use std::time::Duration;

/// ARGOS refuses to hold more ids than this for one project.
pub const POOL_CAP: u32 = 100_000;
/// ARGOS refuses a registration or a deletion of more ids than this.
pub const TOKENS_PER_CALL_MAX: u32 = 500;
/// No lease may be asked to stay open longer than this.
pub const LEASE_TTL_CEILING: Duration = Duration::from_secs(720 * 3_600);
/// Bytes of a token id before its sealed sequence number.
pub const TOKEN_PREFIX_MAX: usize = 32;
