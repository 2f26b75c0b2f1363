//! What tests inside of a pool start from.

use std::time::Duration;

use super::{Policy, Pool, ReconcilePolicy, Restored};
use crate::domain::{
    ids::{Revision, Sequence, TokenPrefix},
    refill,
    seal::{LedgerIdentity, Seal},
    time::Timestamp,
    token::{Doom, DoomCause, Stage, Token},
};

/// A pool whose one token is on its way out, as after a release.
pub(super) fn with_a_doomed_token() -> Pool {
    let second = Duration::from_secs(1);
    let reconcile = ReconcilePolicy { listing_gap: second, brake_ratio: 0.5, brake_min: 1 };
    let policy = Policy {
        refill: refill::Policy::try_new(1, 0, 1, 1).unwrap(),
        prefix: TokenPrefix::parse("ap-").unwrap(),
        ephemeral: false,
        cap: 10,
        reserve: 0,
        settle_delay: second,
        late_copy_delay: second,
        unused_age_max: None,
        entry_window: second,
        session_max: second,
        decided_grace: second,
        lapsed_grace: second,
        revoked_grace: second,
        overdue_after: None,
        reconcile,
        delete_tries_max: 1,
        cap_pause: second,
        ttl_max: second,
        request_id_memory: second,
    };
    let identity = LedgerIdentity { id: 1, tag: [1; 4], id_key: [2; 16], digest_key: [3; 32] };
    let (seal, now) = (Seal::new(&identity), Timestamp::ZERO);
    let token = Token {
        sequence: Sequence::ZERO,
        id: seal.token_id(&policy.prefix, Sequence::ZERO, [0; 5]),
        minted: now,
        revision: Revision::default(),
        stage: Stage::Doomed(Doom::new(DoomCause::LeaseClosed, now, now)),
    };
    let next = Sequence::new(1);
    let restored = Restored { next, granted: next, tokens: vec![token], ..Restored::default() };
    Pool::open(policy, seal, restored, now)
}
