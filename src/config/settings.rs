//! The settings as the rest of the program sees them: plain types, every value within its range and
//! every relation between them checked. Field names are the names of the keys; what a key means
//! stands in the key table.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use super::{network::Network, secrets::SecretSource};
use crate::domain::{
    envelope::Cipher,
    liveform::{Asked, Mode, Parameter, Pipeline, Rules},
    secret::Secret,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub stop_grace: Duration,
    pub grpc: Grpc,
    pub http: Http,
    pub webhook: Webhook,
    pub log: Log,
    pub telemetry: Telemetry,
    pub ledger: Ledger,
    pub jobs: Jobs,
    /// By name. Empty: everybody on loopback and on the unix socket is admin.
    pub callers: BTreeMap<String, Caller>,
    /// By name; never empty.
    pub projects: BTreeMap<String, Project>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Grpc {
    pub listen: Option<SocketAddr>,
    pub unix_socket: Option<PathBuf>,
    pub unix_socket_mode: u32,
    pub insecure: bool,
    pub reflection: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    pub listen: SocketAddr,
}

/// The receiver of webhooks, shared by all projects.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// `None`: on `http.listen`.
    pub listen: Option<SocketAddr>,
    /// Empty: any source.
    pub allowed_sources: Vec<Network>,
    pub trusted_proxies: Vec<Network>,
    pub body_max_bytes: u64,
    pub answer_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Directives of the log filter, such as `info,argospool::engine=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// Traces, and where they go.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Without a slash at its end. `None`: nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// `name=value` behind commas, percent-encoded.
    pub otlp_headers: Option<SecretSource>,
    pub otlp_timeout: Duration,
    /// 0 to 1.
    pub sampling_ratio: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    pub kind: LedgerKind,
    pub storage: LedgerStorage,
    /// `None`: in the data directory.
    pub witness_dir: Option<PathBuf>,
    pub cache_bytes: u64,
    pub retention: Duration,
    pub history_max_lines: u64,
    pub request_id_memory: Duration,
    pub free_space_min_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    Sled,
    /// Lost at exit.
    Memory,
}

/// Whether the volume of the ledger outlives the place where the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerStorage {
    Persistent,
    /// It dies with its pod, and what the ledger alone knows with it.
    Ephemeral,
}

/// Cron expressions of six fields, seconds first, UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Jobs {
    pub floor: String,
    pub count: String,
    pub listing: String,
    pub retention: String,
    pub audit: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub proof: CallerProof,
    pub role: Role,
    /// Names of configured projects.
    pub projects: Vec<String>,
    /// `None`: no limit.
    pub leases_per_minute: Option<u32>,
}

/// What a caller shows to be believed.
#[derive(Clone, Debug, PartialEq)]
pub enum CallerProof {
    BearerToken(Secret),
    /// The user on the other end of the unix socket.
    Uid(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Caller,
    Admin,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    pub pid: String,
    pub api_key: SecretSource,
    pub argos: Argos,
    pub tokens: Tokens,
    pub refill: Refill,
    pub lease: Lease,
    pub life: Life,
    pub reconcile: Reconcile,
    pub webhook: ProjectWebhook,
    pub liveform: Liveform,
    pub transfer: Transfer,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Argos {
    /// Without a slash at its end.
    pub api_url: String,
    pub cap_tokens: u32,
    pub reserve_tokens: u32,
    pub tokens_per_call: u32,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub calls_in_flight: u32,
    pub calls_per_second: f64,
    pub calls_burst: u32,
    pub calls_per_day: u32,
    pub purge_share: f64,
    pub reconcile_share: f64,
    pub outcome_share: f64,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub circuit_failures: u32,
    pub circuit_open: Duration,
    pub cap_pause: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    pub prefix: String,
    pub settle_delay: Duration,
    pub late_copy_delay: Duration,
    /// `None`: unused tokens are kept at any age.
    pub unused_age_max: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refill {
    pub mode: RefillMode,
    pub target_tokens: u32,
    pub low_water_tokens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefillMode {
    /// The marks are the ones of the configuration.
    Static,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    pub ttl_default: Duration,
    pub ttl_min: Duration,
    pub ttl_max: Duration,
    pub wait_default: Duration,
    pub wait_max: Duration,
    pub waiting_max_callers: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub entry_window: Duration,
    pub session_max: Duration,
    pub decided_grace: Duration,
    pub lapsed_grace: Duration,
    pub revoked_grace: Duration,
    /// `None`: ARGOS is never asked what became of a lease.
    pub overdue_after: Option<Duration>,
    pub delete_tries_max: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Reconcile {
    pub listing_gap: Duration,
    pub brake_ratio: f64,
    pub brake_min_tokens: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProjectWebhook {
    /// The last part of `/webhooks/argos/<secret>`; `None`: no webhooks for this project.
    pub secret: Option<Secret>,
}

/// The Liveform parameter that carries a mark of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationField {
    Userid,
    Cf1,
    Cf2,
    Cf3,
    None,
}

impl CorrelationField {
    pub const fn parameter(self) -> Option<Parameter> {
        match self {
            Self::Userid => Some(Parameter::Userid),
            Self::Cf1 => Some(Parameter::Cf1),
            Self::Cf2 => Some(Parameter::Cf2),
            Self::Cf3 => Some(Parameter::Cf3),
            Self::None => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Liveform {
    /// Without a slash at its end.
    pub base_url: String,
    pub mode: Mode,
    pub cipher: Cipher,
    pub pipeline: Pipeline,
    /// `None`: the API key seals the links.
    pub secret_key: Option<SecretSource>,
    /// Keys that open what was sealed earlier, and seal nothing.
    pub previous_keys: Vec<SecretSource>,
    pub url_max_bytes: u32,
    pub correlation_field: CorrelationField,
    /// Whether the deadline of the lease is sealed into its link.
    pub start_valid_until: bool,
    /// Codes of three capital letters.
    pub extra_countries: Vec<String>,
    pub extra_id_types: Vec<String>,
    /// What every link says unless its template or its caller says otherwise.
    pub defaults: Asked,
    /// By name: what the links of leases say that name the template.
    pub templates: BTreeMap<String, Asked>,
}

impl Liveform {
    /// What the links of the project may say.
    pub fn rules(&self) -> Rules {
        Rules {
            mode: self.mode,
            pipeline: self.pipeline,
            extra_countries: self.extra_countries.clone(),
            extra_id_types: self.extra_id_types.clone(),
            defaults: self.defaults.clone(),
            templates: self.templates.clone(),
        }
    }
}

/// Secure Data Transfer: what ARGOS and we send each other, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What comes in is opened whether or not this is set.
    pub seal_requests: bool,
    pub request_shape: RequestShape,
}

/// Where the sealed text of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestShape {
    /// It is the body.
    Raw,
    /// In `{"data": "…"}`.
    Data,
}
