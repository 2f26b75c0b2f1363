//! Keys of one project at ARGOS.

use super::{RETENTION_MAX, hours, millis, minutes, seconds};
use crate::{
    config::{
        keys::{Table, own, shared},
        kind::Kind,
    },
    domain::limits::{LEASE_TTL_CEILING, POOL_CAP, TOKENS_PER_CALL_MAX},
};

pub(super) const TABLES: &[Table] = &[
    Table {
        path: "projects.*",
        about: "One project at ARGOS.",
        keys: &[
            own("pid", Kind::Text, "", "required, or ARGOS_PROJECT_ID for project default"),
            own("api_key", Kind::Secret, "", "API key of the project"),
            own(
                "api_key_file",
                Kind::SecretFile,
                "",
                "required, or ARGOS_API_KEY, ARGOS_API_KEY_FILE for project default",
            ),
        ],
    },
    Table {
        path: "projects.*.argos",
        about: "How ARGOS is called.",
        keys: &[
            shared(
                "api_url",
                Kind::Url,
                "https://rest-api.argosidentity.com/v3",
                "http:// only to loopback",
            ),
            shared(
                "cap_tokens",
                Kind::Count(1, POOL_CAP as u64),
                "100_000",
                "what ARGOS holds for one project at most",
            ),
            shared(
                "reserve_tokens",
                Kind::Count(0, POOL_CAP as u64),
                "10_000",
                "room below the cap that is never used",
            ),
            shared(
                "tokens_per_call",
                Kind::Count(1, TOKENS_PER_CALL_MAX as u64),
                "500",
                "tokens registered or deleted by one call",
            ),
            shared(
                "connect_timeout",
                Kind::Duration(millis(100), minutes(1)),
                "5s",
                "to open a connection",
            ),
            shared(
                "request_timeout",
                Kind::Duration(seconds(1), minutes(5)),
                "30s",
                "above the 29 s of ARGOS's gateway, so that its own answer is heard",
            ),
            shared("calls_in_flight", Kind::Count(1, 64), "4", "calls at the same time"),
            shared("calls_per_second", Kind::Number(0.1, 1_000.0), "5.0", "on average"),
            shared(
                "calls_burst",
                // Fewer leave nothing to set aside for each purpose.
                Kind::Count(4, 10_000),
                "20",
                "calls that may follow each other at once",
            ),
            shared(
                "calls_per_day",
                Kind::Count(1, 100_000_000),
                "100_000",
                "starts anew at 00:00 UTC",
            ),
            shared(
                "purge_share",
                Kind::Number(0.0, 1.0),
                "0.2",
                "part of the calls kept for deletion; others may borrow what it leaves",
            ),
            shared(
                "reconcile_share",
                Kind::Number(0.0, 1.0),
                "0.05",
                "part of the calls kept for counting and listing",
            ),
            shared(
                "outcome_share",
                Kind::Number(0.0, 1.0),
                "0.1",
                "part of the calls kept for asking what became of leases",
            ),
            shared(
                "backoff_min",
                Kind::Duration(millis(10), minutes(10)),
                "500ms",
                "first pause after a failed call",
            ),
            shared(
                "backoff_max",
                Kind::Duration(millis(10), hours(1)),
                "60s",
                "longest pause after failed calls",
            ),
            shared(
                "circuit_failures",
                Kind::Count(1, 1_000),
                "5",
                "failures in a row that open the circuit",
            ),
            shared(
                "circuit_open",
                Kind::Duration(seconds(1), hours(1)),
                "30s",
                "pause before the next probe",
            ),
            shared(
                "cap_pause",
                Kind::Duration(seconds(1), hours(24)),
                "120s",
                "no order after ARGOS said that it is full",
            ),
        ],
    },
    Table {
        path: "projects.*.tokens",
        about: "Token ids, and when a registered one may be trusted.",
        keys: &[
            shared(
                "prefix",
                Kind::TokenPrefix,
                "ap-",
                "tells our ids from others in ARGOS's lists",
            ),
            shared(
                "settle_delay",
                Kind::Duration(seconds(0), minutes(10)),
                "3s",
                "from the answer of ARGOS to the first hand-out",
            ),
            shared(
                "late_copy_delay",
                Kind::Duration(seconds(30), hours(24)),
                "120s",
                "wait for a late copy of an unanswered call; at least 2 x request_timeout + 30s",
            ),
            shared(
                "unused_age_max",
                Kind::Duration(seconds(0), RETENTION_MAX),
                "0s",
                "replace unused tokens at this age, below the expiry set in ARGOS's dashboard; 0s is never",
            ),
        ],
    },
    Table {
        path: "projects.*.refill",
        about: "How many tokens wait ready.",
        keys: &[
            shared("mode", Kind::Choice(&["static"]), "static", "fixed marks"),
            shared(
                "target_tokens",
                Kind::Count(1, POOL_CAP as u64),
                "5_000",
                "order up to this many",
            ),
            shared(
                "low_water_tokens",
                Kind::Count(0, POOL_CAP as u64),
                "1_000",
                "order at once when fewer are ready",
            ),
        ],
    },
    Table {
        path: "projects.*.lease",
        about: "What callers may ask for.",
        keys: &[
            shared(
                "ttl_default",
                Kind::Duration(seconds(1), LEASE_TTL_CEILING),
                "10m",
                "time to open the link, unless the caller says otherwise",
            ),
            shared(
                "ttl_min",
                Kind::Duration(seconds(1), LEASE_TTL_CEILING),
                "30s",
                "less is refused",
            ),
            shared(
                "ttl_max",
                Kind::Duration(seconds(1), LEASE_TTL_CEILING),
                "24h",
                "more is refused; raise it for links sent by mail",
            ),
            shared(
                "wait_default",
                Kind::Duration(seconds(0), minutes(5)),
                "5s",
                "wait for a token when none is ready",
            ),
            shared(
                "wait_max",
                Kind::Duration(seconds(0), minutes(5)),
                "30s",
                "no caller waits longer",
            ),
            shared(
                "waiting_max_callers",
                Kind::Count(0, 65_536),
                "1_024",
                "more are refused at once",
            ),
        ],
    },
    Table {
        path: "projects.*.life",
        about: "From the first use of a token to its deletion at ARGOS.",
        keys: &[
            shared(
                "entry_window",
                Kind::Duration(seconds(0), hours(1)),
                "3m",
                "from the first use until ARGOS admits nobody else",
            ),
            shared(
                "session_max",
                Kind::Duration(seconds(1), hours(24)),
                "30m",
                "from the first use until the lease expires without a decision",
            ),
            shared(
                "decided_grace",
                Kind::Duration(seconds(0), hours(24)),
                "2m",
                "from the decision to the deletion",
            ),
            shared(
                "lapsed_grace",
                Kind::Duration(seconds(0), hours(24)),
                "20m",
                "from a deadline without a sign of use to the deletion",
            ),
            shared(
                "revoked_grace",
                Kind::Duration(seconds(0), hours(24)),
                "0s",
                "from a revocation to the deletion",
            ),
            shared(
                "overdue_after",
                Kind::Duration(seconds(0), hours(24)),
                "10m",
                "then ARGOS is asked about a lease of which no webhook told; 0s is never",
            ),
            shared(
                "delete_tries_max",
                Kind::Count(1, 100),
                "6",
                "then the token is reported to people",
            ),
        ],
    },
    Table {
        path: "projects.*.reconcile",
        about: "How what ARGOS lists is compared with what we hold.",
        keys: &[
            shared(
                "listing_gap",
                Kind::Duration(seconds(1), hours(24)),
                "10m",
                "a token must be missing in two listings that are this far apart",
            ),
            shared(
                "brake_ratio",
                Kind::Number(0.0, 1.0),
                "0.05",
                "a larger part of the stock missing waits for a person",
            ),
            shared(
                "brake_min_tokens",
                Kind::Count(0, POOL_CAP as u64),
                "20",
                "so many may be missing whatever the part",
            ),
        ],
    },
    Table {
        path: "projects.*.webhook",
        about: "Webhooks of the project.",
        keys: &[
            own("secret", Kind::Secret, "", "last part of the address that ARGOS calls"),
            own(
                "secret_file",
                Kind::SecretFile,
                "",
                "file with the last part of /webhooks/argos/<secret>; \"\" takes no webhooks for this project",
            ),
        ],
    },
];
