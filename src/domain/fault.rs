//! One vocabulary for what went wrong, shared by everything that can reach a caller.

/// What a failure means to whoever must react to it. gRPC codes are derived from this in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never succeed as written.
    Invalid,
    NotFound,
    /// The state forbids it.
    Conflict,
    /// The same request id stands for something else.
    Reused,
    /// It asks for what is not kept any more.
    OutOfRange,
    /// A bound was reached: come back after a while.
    Exhausted,
    /// Nobody said who asks, or nobody we know.
    Unidentified,
    Denied,
    /// Nothing happened; trying again is safe.
    Unavailable,
    /// It may or may not have happened; repeat with the same request id.
    Doubtful,
    /// Our own mistake.
    Bug,
}

/// Why a request was not served: the reason of ErrorInfo and, in lower case, the metric label.
/// Stable, machine-readable, never translated: clients switch on it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $label:literal, $kind:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As ErrorInfo carries it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// As a metric label carries it.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

reasons! {
    PoolEmpty = "POOL_EMPTY", "pool_empty", Exhausted;
    /// Empty, and ARGOS has no room for more: waiting does not help.
    CapReached = "CAP_REACHED", "cap_reached", Exhausted;
    MailboxFull = "MAILBOX_FULL", "mailbox_full", Exhausted;
    WaitingFull = "WAITING_FULL", "waiting_full", Exhausted;
    CallerQuota = "CALLER_QUOTA", "caller_quota", Exhausted;
    InvalidRequest = "INVALID_REQUEST", "invalid_request", Invalid;
    RequestIdReused = "REQUEST_ID_REUSED", "request_id_reused", Reused;
    ProjectNotFound = "PROJECT_NOT_FOUND", "project_not_found", NotFound;
    LeaseNotFound = "LEASE_NOT_FOUND", "lease_not_found", NotFound;
    LeaseStarted = "LEASE_STARTED", "lease_started", Conflict;
    LeaseClosed = "LEASE_CLOSED", "lease_closed", Conflict;
    /// Nothing was listed yet that could be deleted.
    NotListed = "NOT_LISTED", "not_listed", Conflict;
    LeaseReplaced = "LEASE_REPLACED", "lease_replaced", Conflict;
    /// What changed since that resume token is not known any more: list anew.
    ResumeTooOld = "RESUME_TOO_OLD", "resume_too_old", OutOfRange;
    Starting = "STARTING", "starting", Unavailable;
    Draining = "DRAINING", "draining", Unavailable;
    Paused = "PAUSED", "paused", Unavailable;
    ArgosDown = "ARGOS_DOWN", "argos_down", Unavailable;
    /// Empty, and ARGOS refuses our key: the caller is innocent.
    ArgosKeyRefused = "ARGOS_KEY_REFUSED", "argos_key_refused", Conflict;
    ArgosAddressRefused = "ARGOS_ADDRESS_REFUSED", "argos_address_refused", Conflict;
    LedgerUnavailable = "LEDGER_UNAVAILABLE", "ledger_unavailable", Unavailable;
    /// A promise was found broken: hand-outs stopped.
    Halted = "HALTED", "halted", Unavailable;
    CommitDoubtful = "COMMIT_DOUBTFUL", "commit_doubtful", Doubtful;
    IdentityMissing = "IDENTITY_MISSING", "identity_missing", Unidentified;
    IdentityUnknown = "IDENTITY_UNKNOWN", "identity_unknown", Unidentified;
    NotAllowed = "NOT_ALLOWED", "not_allowed", Denied;
    Internal = "INTERNAL", "internal", Bug;
}
