//! Every compiled bound of the daemon, and the relations between them that must hold.
//!
//! Configuration may stay below these and never above.

use std::time::Duration;

/// ARGOS holds no more ids than this for one project (contract 1.1).
pub const POOL_CAP: u32 = 100_000;
/// ARGOS accepts no more ids than this in one registration or deletion (contract 1.1).
pub const TOKENS_PER_CALL_MAX: u32 = 500;
/// Bytes of a token id that ARGOS accepts (contract 1.2).
pub const TOKEN_ID_BYTES_MIN: usize = 8;
pub const TOKEN_ID_BYTES_MAX: usize = 64;
/// Bytes of the configured prefix of our own token ids.
pub const TOKEN_PREFIX_MAX: usize = 32;
/// Symbols of the sealed part of an id: one block of 128 bits in base 62.
pub const SEALED_SYMBOLS: usize = 22;
/// Symbols of the hour of birth that stands before it in the ids of an ephemeral ledger.
pub const BIRTH_SYMBOLS: usize = 4;
/// Bytes of a mark of ours in a link: `mark-` and a sealed part.
pub const MARK_BYTES: usize = 5 + SEALED_SYMBOLS;

/// Commands that may share one durable write.
pub const COMMIT_GROUP_MAX: usize = 256;
/// Commands that wait for the engine before callers are told to come back.
pub const MAILBOX_MAX: usize = 1_024;
/// Records that one time-driven step may change, so that no group grows without bound.
pub const SWEEP_MAX: usize = 512;

/// Leases that one batch may ask for.
pub const BATCH_MAX: usize = 500;
/// Entries of one page of a listing: when nothing is asked for, and at most.
pub const PAGE_DEFAULT: usize = 100;
pub const PAGE_MAX: usize = 500;
/// The longest a lease may stay unused, whatever the configuration says: links sent by mail.
pub const LEASE_TTL_CEILING: Duration = Duration::from_hours(720);

/// Labels of one lease, and bytes of a key and of a value.
pub const LABELS_MAX: usize = 16;
pub const LABEL_KEY_MAX: usize = 63;
pub const LABEL_VALUE_MAX: usize = 63;
/// Bytes of one Liveform parameter before it is percent-encoded.
pub const PARAM_BYTES_MAX: usize = 256;
/// Bytes of an id that ARGOS gives to a submission.
pub const SUBMISSION_ID_MAX: usize = 128;
/// Submissions of one lease that are told apart.
pub const SUBMISSIONS_MAX: usize = 4;
/// Bytes of an owner's name, such as `token:kyc_web`.
pub const OWNER_BYTES_MAX: usize = 64;
/// Bytes of a URL, whatever the configuration says: what a QR code can carry.
pub const URL_BYTES_CEILING: usize = 2_953;

/// Bytes of a URL and of what is kept beside it to make it anew. It bounds links with an envelope, of
/// which a record keeps the content as well.
pub const LINK_BYTES_MAX: usize = 4_096;

/// How often an order is repeated, and for how long, before it is given up whole (B3).
pub const ORDER_ATTEMPTS_MAX: u32 = 8;
pub const ORDER_AGE_MAX: Duration = Duration::from_secs(600);
/// Due tokens are deleted in full batches, or after waiting this long for one to fill.
pub const PURGE_LINGER: Duration = Duration::from_secs(5);

/// A commit that takes longer than this answers its group "in doubt" …
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// … and one that takes longer than this means that the process should be replaced.
pub const COMMIT_STUCK: Duration = Duration::from_secs(60);
/// Below this free space nothing new is decided for callers: a full disk is met before the ledger
/// meets it.
pub const FREE_SPACE_FLOOR: u64 = 16 << 20;

const _: () = {
    assert!(TOKENS_PER_CALL_MAX > 0);
    assert!(POOL_CAP.is_multiple_of(TOKENS_PER_CALL_MAX));
    assert!(TOKEN_PREFIX_MAX + BIRTH_SYMBOLS + SEALED_SYMBOLS <= TOKEN_ID_BYTES_MAX);
    // A prefix of one symbol is enough for a valid id.
    assert!(1 + SEALED_SYMBOLS >= TOKEN_ID_BYTES_MIN);
    // A block of 128 bits fits: 62^22 > 2^128.
    assert!(SEALED_SYMBOLS == 22);
    // A group never starves the queue behind it.
    assert!(MAILBOX_MAX >= 2 * COMMIT_GROUP_MAX);
    // One batch of leases, and one order, fit a group of their own.
    assert!(BATCH_MAX <= SWEEP_MAX && TOKENS_PER_CALL_MAX as usize <= SWEEP_MAX);
    assert!(PAGE_DEFAULT <= PAGE_MAX);
    assert!(URL_BYTES_CEILING <= LINK_BYTES_MAX);
    assert!(COMMIT_TIMEOUT.as_secs() < COMMIT_STUCK.as_secs());
};
