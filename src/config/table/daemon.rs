//! Keys of the daemon as a whole.

use super::{GIB, KIB, MIB, RETENTION_MAX, hours, millis, minutes, seconds};
use crate::config::{
    keys::{Table, own},
    kind::Kind,
};

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
                "off, error, warn, info, debug or trace; module=level behind commas; libraries stay at info",
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
        path: "telemetry",
        about: "Traces, sent to a collector as OTLP over HTTP; no secret is in them.",
        keys: &[
            own(
                "otlp_endpoint",
                Kind::Endpoint,
                "",
                "e.g. http://127.0.0.1:4318; spans go to /v1/traces below it; \"\" is off",
            ),
            own("otlp_headers", Kind::Secret, "", "headers for the collector, as in the file"),
            own(
                "otlp_headers_file",
                Kind::SecretFile,
                "",
                "file with headers for the collector: name=value behind commas, percent-encoded",
            ),
            own(
                "otlp_timeout",
                Kind::Duration(millis(100), minutes(1)),
                "10s",
                "how long the collector may take for a batch; what it does not take is dropped",
            ),
            own(
                "sampling_ratio",
                Kind::Number(0.0, 1.0),
                "1.0",
                "of the traces that begin here; a traceparent of the caller decides for itself",
            ),
        ],
    },
    Table {
        path: "ledger",
        about: "What is kept on disk.",
        keys: &[
            own("kind", Kind::Choice(&["sled", "memory"]), "sled", "memory is lost at exit"),
            own(
                "storage",
                Kind::Choice(&["persistent", "ephemeral"]),
                "persistent",
                "ephemeral is a volume that dies with its pod: SIGTERM deletes Ready tokens, and ids tell the hour",
            ),
            own(
                "witness_dir",
                Kind::PathOrNone,
                "",
                "what tells a restored ledger; best on another volume; \"\" is in data_dir",
            ),
            own("cache", Kind::Size(MIB, 64 * GIB), "8MiB", "page cache of the database"),
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
];
