//! Every key there is: its table, name, kind with range, default and meaning. Reading files, the
//! names of variables, suggestions, `config dump`, `config example` and the reference all come from
//! here, so a key cannot be known to one of them and not to the others.

use std::time::Duration;

use super::{
    keys::{Table, own, shared},
    kind::Kind,
};
use crate::domain::limits::{LEASE_TTL_CEILING, POOL_CAP, TOKENS_PER_CALL_MAX};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// History kept for longer belongs into a database of its own.
const RETENTION_MAX: Duration = hours(365 * 24);

pub(super) const TABLES: &[Table] = &[
    Table {
        path: "",
        about: "The daemon as a whole.",
        keys: &[
            own(
                "data_dir",
                Kind::Path,
                "./argospool-data",
                "the ledger and the chosen addresses, mode 0700; $STATE_DIRECTORY where systemd sets it",
            ),
            own(
                "stop_grace",
                Kind::Duration(seconds(1), hours(1)),
                "25s",
                "from SIGTERM to the exit; a second signal ends at once",
            ),
        ],
    },
    Table {
        path: "grpc",
        about: "Where callers ask for leases.",
        keys: &[
            own(
                "listen",
                Kind::AddressOrNone,
                "127.0.0.1:7070",
                "\"\" is no TCP; port 0 picks a free one",
            ),
            own("unix_socket", Kind::SocketPath, "", "the path of a unix socket; \"\" is none"),
            own("unix_socket_mode", Kind::FileMode, "0660", "who may open the socket"),
            own(
                "insecure",
                Kind::Flag,
                "false",
                "true allows a listen beyond loopback without [callers]",
            ),
            own(
                "reflection",
                Kind::Flag,
                "true",
                "tell tools such as grpcurl which methods there are",
            ),
        ],
    },
    Table {
        path: "http",
        about: "Metrics and probes: /metrics, /livez, /readyz.",
        keys: &[own(
            "listen",
            Kind::Address,
            "127.0.0.1:9464",
            "also takes webhooks unless webhook.listen is set",
        )],
    },
    Table {
        path: "webhook",
        about: "How webhooks of ARGOS are received.",
        keys: &[
            own("listen", Kind::AddressOrNone, "", "\"\" is on http.listen"),
            own(
                "allowed_sources",
                Kind::Networks,
                "52.78.194.237/32",
                "[] is any, behind a proxy that checks",
            ),
            own("trusted_proxies", Kind::Networks, "", "proxies whose X-Forwarded-For is believed"),
            own("body_max", Kind::Size(KIB, 16 * MIB), "1MiB", "a larger body is refused with 413"),
            own(
                "answer_timeout",
                Kind::Duration(millis(100), seconds(30)),
                "1s",
                "after it ARGOS is asked to send again",
            ),
        ],
    },
    Table {
        path: "log",
        about: "What is written to standard error.",
        keys: &[
            own(
                "level",
                Kind::LogFilter,
                "info",
                "off, error, warn, info, debug or trace; module=level behind commas",
            ),
            own(
                "format",
                Kind::Choice(&["auto", "text", "json"]),
                "auto",
                "auto is text on a terminal, else json",
            ),
        ],
    },
    Table {
        path: "ledger",
        about: "What is kept on disk.",
        keys: &[
            own("kind", Kind::Choice(&["sled", "memory"]), "sled", "memory is lost at exit"),
            own(
                "witness_dir",
                Kind::PathOrNone,
                "",
                "what tells a restored ledger; best on another volume; \"\" is in data_dir",
            ),
            own("cache", Kind::Size(MIB, 64 * GIB), "32MiB", "page cache of the database"),
            own(
                "retention",
                Kind::Duration(hours(24), RETENTION_MAX),
                "72h",
                "how long closed leases are remembered",
            ),
            own(
                "history_max_lines",
                Kind::Count(1_000, 1_000_000_000),
                "1_000_000",
                "the oldest closed leases go first, whichever comes sooner",
            ),
            own(
                "request_id_memory",
                Kind::Duration(minutes(1), RETENTION_MAX),
                "24h",
                "how long a repeated request finds its closed lease",
            ),
            own(
                "free_space_min",
                Kind::Size(0, 1_024 * GIB),
                "256MiB",
                "below it no refill, and an alarm; hand-outs go on",
            ),
        ],
    },
    Table {
        path: "jobs",
        about: "When to look again without being asked: six cron fields, seconds first, UTC.",
        keys: &[
            own("floor", Kind::Schedule, "*/10 * * * * *", "refill, sweep and purge"),
            own(
                "count",
                Kind::Schedule,
                "0 */5 * * * *",
                "compare our count with the one of ARGOS",
            ),
            own("listing", Kind::Schedule, "0 17 3 * * *", "list all ids at ARGOS, twice"),
            own("retention", Kind::Schedule, "0 7 * * * *", "forget old closed leases"),
            own("audit", Kind::Schedule, "0 37 * * * *", "check every promise against the ledger"),
        ],
    },
    Table {
        path: "callers.*",
        about: "Who may ask. While no caller is configured, everybody on loopback and on the socket is admin.",
        keys: &[
            own("token", Kind::Secret, "", "bearer token"),
            own("token_file", Kind::SecretFile, "", "file with the bearer token, or"),
            own(
                "uid",
                Kind::UserId,
                "",
                "number of the user on the unix socket, e.g. 1000; one of the two",
            ),
            own(
                "role",
                Kind::Choice(&["caller", "admin"]),
                "caller",
                "admin also sees and changes what belongs to others",
            ),
            own("projects", Kind::Names, "default", "the projects that the caller may use"),
            own("leases_per_minute", Kind::Count(0, 1_000_000), "0", "0 is no limit"),
        ],
    },
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
    Table {
        path: "projects.*.liveform",
        about: "The URLs that callers get.",
        keys: &[
            shared(
                "base_url",
                Kind::Url,
                "https://form.argosidentity.com",
                "http:// only to loopback",
            ),
            shared(
                "url_max_bytes",
                Kind::Count(256, 8_192),
                "2_048",
                "a longer URL is refused: its QR code would not be read",
            ),
            shared(
                "correlation_field",
                Kind::Choice(&["userid", "cf1", "cf2", "cf3", ""]),
                "userid",
                "carries a mark of ours where the caller leaves it empty, so that results find their lease; \"\" is none",
            ),
        ],
    },
];

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
