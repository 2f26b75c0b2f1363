//! From the merged layers to [`Settings`]: every field is read from the key of its name. What a kind
//! already guarantees is not checked again; what is missing and what a secret file says is.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    error::{ConfigError, Origin, Problem},
    kind::Value,
    merge::Effective,
    network::Network,
    secrets::{self, Place, SecretSource},
    settings::{
        Argos, Caller, CallerProof, CorrelationField, Grpc, Http, Jobs, Lease, Ledger, LedgerKind,
        LedgerStorage, Life, Liveform, Log, LogFormat, Project, ProjectWebhook, Reconcile, Refill,
        RefillMode, RequestShape, Role, Settings, Telemetry, Tokens, Transfer, Webhook,
    },
};
use crate::domain::{
    envelope::{Cipher, Encoding, Gcm, Layout, NonceLength},
    liveform::{self, Asked, Mode, Parameter, Pipeline},
    secret::Secret,
};

/// The settings, and everything that keeps them from being used; with an error in the list, what is
/// missing is filled with an empty value that nobody may rely on.
pub(super) fn extract(effective: &Effective, errors: &mut Vec<ConfigError>) -> Settings {
    let top = Scope { effective, above: String::new() };
    let callers = top.below("callers").each(|of| caller(of, errors));
    let projects = top.below("projects").each(|of| project(of, errors));
    Settings {
        data_dir: top.get("data_dir"),
        stop_grace: top.get("stop_grace"),
        grpc: grpc(&top.below("grpc")),
        http: Http { listen: top.get("http.listen") },
        webhook: webhook(&top.below("webhook")),
        log: Log { level: top.get("log.level"), format: top.get("log.format") },
        telemetry: telemetry(&top.below("telemetry"), errors),
        ledger: ledger(&top.below("ledger")),
        jobs: Jobs {
            floor: top.get("jobs.floor"),
            count: top.get("jobs.count"),
            listing: top.get("jobs.listing"),
            retention: top.get("jobs.retention"),
            audit: top.get("jobs.audit"),
        },
        callers,
        projects,
    }
}

fn grpc(of: &Scope<'_>) -> Grpc {
    Grpc {
        listen: of.get("listen"),
        unix_socket: of.get("unix_socket"),
        unix_socket_mode: of.get("unix_socket_mode"),
        insecure: of.get("insecure"),
        reflection: of.get("reflection"),
    }
}

fn webhook(of: &Scope<'_>) -> Webhook {
    Webhook {
        listen: of.get("listen"),
        allowed_sources: of.get("allowed_sources"),
        trusted_proxies: of.get("trusted_proxies"),
        body_max_bytes: of.get("body_max"),
        answer_timeout: of.get("answer_timeout"),
    }
}

fn telemetry(of: &Scope<'_>, errors: &mut Vec<ConfigError>) -> Telemetry {
    let endpoint: String = of.get("otlp_endpoint");
    let headers = of.secret("otlp_headers", Place::Headers, errors);
    Telemetry {
        otlp_endpoint: (!endpoint.is_empty()).then_some(endpoint),
        otlp_headers: headers,
        otlp_timeout: of.get("otlp_timeout"),
        sampling_ratio: of.get("sampling_ratio"),
    }
}

fn ledger(of: &Scope<'_>) -> Ledger {
    Ledger {
        kind: of.get("kind"),
        storage: of.get("storage"),
        witness_dir: of.get("witness_dir"),
        cache_bytes: of.get("cache"),
        retention: of.get("retention"),
        history_max_lines: of.get("history_max_lines"),
        request_id_memory: of.get("request_id_memory"),
        free_space_min_bytes: of.get("free_space_min"),
    }
}

fn caller(of: &Scope<'_>, errors: &mut Vec<ConfigError>) -> Caller {
    let token = of.secret("token", Place::Header, errors);
    let proof = match (token, of.get("uid")) {
        (Some(token), None) => CallerProof::BearerToken(token.secret),
        (None, Some(uid)) => CallerProof::Uid(uid),
        (None, None) => {
            of.missing("token_file", "set token_file or uid, or nobody can be this caller", errors);
            CallerProof::BearerToken(Secret::new(String::new()))
        }
        (Some(_), Some(uid)) => {
            of.missing("uid", "keep uid or token_file: leases belong to one identity", errors);
            CallerProof::Uid(uid)
        }
    };
    let leases_per_minute: u32 = of.get("leases_per_minute");
    Caller {
        proof,
        role: of.get("role"),
        projects: of.get("projects"),
        leases_per_minute: (leases_per_minute > 0).then_some(leases_per_minute),
    }
}

fn project(of: &Scope<'_>, errors: &mut Vec<ConfigError>) -> Project {
    let pid: String = of.get("pid");
    let is_default = of.above == "projects.default.";
    if pid.is_empty() {
        let how = if is_default { "required; set it or ARGOS_PROJECT_ID" } else { "required" };
        of.missing("pid", how, errors);
    }
    let api_key = of.secret("api_key", Place::Header, errors).unwrap_or_else(|| {
        let how = if is_default {
            "required; set it, ARGOS_API_KEY or ARGOS_API_KEY_FILE"
        } else {
            "required; set it or the variable of api_key"
        };
        of.missing("api_key_file", how, errors);
        SecretSource { secret: Secret::new(String::new()), file: None, place: Place::Header }
    });
    let secret = of.below("webhook").secret("secret", Place::PathSegment, errors);
    Project {
        pid,
        api_key,
        argos: argos(&of.below("argos")),
        tokens: tokens(&of.below("tokens")),
        refill: Refill {
            mode: of.get("refill.mode"),
            target_tokens: of.get("refill.target_tokens"),
            low_water_tokens: of.get("refill.low_water_tokens"),
        },
        lease: lease(&of.below("lease")),
        life: life(&of.below("life")),
        reconcile: Reconcile {
            listing_gap: of.get("reconcile.listing_gap"),
            brake_ratio: of.get("reconcile.brake_ratio"),
            brake_min_tokens: of.get("reconcile.brake_min_tokens"),
        },
        webhook: ProjectWebhook { secret: secret.map(|source| source.secret) },
        liveform: links(&of.below("liveform"), errors),
        transfer: Transfer {
            seal_requests: of.get("transfer.seal_requests"),
            request_shape: of.get("transfer.request_shape"),
        },
    }
}

fn argos(of: &Scope<'_>) -> Argos {
    Argos {
        api_url: of.get("api_url"),
        cap_tokens: of.get("cap_tokens"),
        reserve_tokens: of.get("reserve_tokens"),
        tokens_per_call: of.get("tokens_per_call"),
        connect_timeout: of.get("connect_timeout"),
        request_timeout: of.get("request_timeout"),
        calls_in_flight: of.get("calls_in_flight"),
        calls_per_second: of.get("calls_per_second"),
        calls_burst: of.get("calls_burst"),
        calls_per_day: of.get("calls_per_day"),
        purge_share: of.get("purge_share"),
        reconcile_share: of.get("reconcile_share"),
        outcome_share: of.get("outcome_share"),
        backoff_min: of.get("backoff_min"),
        backoff_max: of.get("backoff_max"),
        circuit_failures: of.get("circuit_failures"),
        circuit_open: of.get("circuit_open"),
        cap_pause: of.get("cap_pause"),
    }
}

fn tokens(of: &Scope<'_>) -> Tokens {
    let unused_age_max: Duration = of.get("unused_age_max");
    Tokens {
        prefix: of.get("prefix"),
        settle_delay: of.get("settle_delay"),
        late_copy_delay: of.get("late_copy_delay"),
        unused_age_max: (!unused_age_max.is_zero()).then_some(unused_age_max),
    }
}

fn lease(of: &Scope<'_>) -> Lease {
    Lease {
        ttl_default: of.get("ttl_default"),
        ttl_min: of.get("ttl_min"),
        ttl_max: of.get("ttl_max"),
        wait_default: of.get("wait_default"),
        wait_max: of.get("wait_max"),
        waiting_max_callers: of.get("waiting_max_callers"),
    }
}

fn life(of: &Scope<'_>) -> Life {
    let overdue_after: Duration = of.get("overdue_after");
    Life {
        entry_window: of.get("entry_window"),
        session_max: of.get("session_max"),
        decided_grace: of.get("decided_grace"),
        lapsed_grace: of.get("lapsed_grace"),
        revoked_grace: of.get("revoked_grace"),
        overdue_after: (!overdue_after.is_zero()).then_some(overdue_after),
        delete_tries_max: of.get("delete_tries_max"),
    }
}

fn links(of: &Scope<'_>, errors: &mut Vec<ConfigError>) -> Liveform {
    Liveform {
        base_url: of.get("base_url"),
        mode: of.get("mode"),
        cipher: cipher(of),
        pipeline: of.get("pipeline"),
        secret_key: of.secret("secret_key", Place::Cipher, errors),
        previous_keys: of.secrets("previous_key_files", Place::Cipher, errors),
        url_max_bytes: of.get("url_max_bytes"),
        correlation_field: of.get("correlation_field"),
        start_valid_until: of.get("start_valid_until"),
        extra_countries: of.get("extra_countries"),
        extra_id_types: of.get("extra_id_types"),
        defaults: of.below("defaults").parameters(),
        templates: of.below("templates").each(|of| of.parameters()),
    }
}

fn cipher(of: &Scope<'_>) -> Cipher {
    let gcm = Gcm {
        layout: of.get("gcm_layout"),
        nonce: if of.get::<u32>("gcm_nonce") == 16 {
            NonceLength::Sixteen
        } else {
            NonceLength::Twelve
        },
        encoding: of.get("gcm_encoding"),
    };
    if of.get::<String>("cipher") == "gcm" { Cipher::Gcm(gcm) } else { Cipher::Ecb }
}

/// A view of the layers from one table downwards.
struct Scope<'a> {
    effective: &'a Effective,
    /// The path of the table with its dot, or empty.
    above: String,
}

impl<'a> Scope<'a> {
    fn below(&self, name: &str) -> Scope<'a> {
        Scope { effective: self.effective, above: format!("{}{name}.", self.above) }
    }

    fn get<T: FromValue>(&self, name: &str) -> T {
        let entry = self.effective.entry(&format!("{}{name}", self.above));
        T::from_value(&entry.value).expect("the key table gives every key the kind of its field")
    }

    /// Something for every name that stands here.
    fn each<T>(&self, mut read: impl FnMut(&Scope<'a>) -> T) -> BTreeMap<String, T> {
        let names = self.effective.names(self.above.trim_end_matches('.'));
        names.into_iter().map(|name| (name.to_owned(), read(&self.below(name)))).collect()
    }

    /// Every key of this table that is set.
    fn parameters(&self) -> Asked {
        let entries = self.effective.entries();
        let here =
            entries.filter_map(|(path, entry)| Some((path.strip_prefix(&self.above)?, entry)));
        let mut asked = Asked::default();
        for (field, entry) in here {
            if let Some(parameter) = Parameter::of_field(field) {
                said(&entry.value).into_iter().for_each(|value| asked.set(parameter, value));
            }
        }
        asked
    }

    /// A secret and the file it came from; `None` when neither it nor a file is set.
    fn secret(
        &self,
        name: &str,
        place: Place,
        errors: &mut Vec<ConfigError>,
    ) -> Option<SecretSource> {
        let file_key = format!("{name}_file");
        let file: Option<PathBuf> = self.get(&file_key);
        let direct: Secret = self.get(name);
        let (key, found) = match &file {
            Some(path) => (file_key.as_str(), secrets::read(path)),
            None if direct.expose().is_empty() => return None,
            None => (name, Ok(direct)),
        };
        let secret = found.and_then(|secret| place.check(secret)).unwrap_or_else(|fault| {
            self.refuse(key, Problem::SecretFile(fault.to_string()), errors);
            // Something was set, so nothing is missing.
            Secret::new(String::new())
        });
        Some(SecretSource { secret, file, place })
    }

    /// The secrets of a list of files; which file is at fault is told by its place in the list.
    fn secrets(
        &self,
        name: &str,
        place: Place,
        errors: &mut Vec<ConfigError>,
    ) -> Vec<SecretSource> {
        let mut sources = Vec::new();
        for (at, path) in self.get::<Vec<PathBuf>>(name).into_iter().enumerate() {
            match secrets::read(&path).and_then(|secret| place.check(secret)) {
                Ok(secret) => sources.push(SecretSource { secret, file: Some(path), place }),
                Err(fault) => {
                    let fault = format!("number {} of the list: {fault}", at + 1);
                    self.refuse(name, Problem::SecretFile(fault), errors);
                }
            }
        }
        sources
    }

    /// Says that a key is missing, unless its value was already refused for another reason.
    fn missing(&self, name: &str, how: &str, errors: &mut Vec<ConfigError>) {
        if self.effective.is_sound(&format!("{}{name}", self.above)) {
            self.refuse(name, Problem::Rule(how.to_owned()), errors);
        }
    }

    fn refuse(&self, name: &str, problem: Problem, errors: &mut Vec<ConfigError>) {
        let key = format!("{}{name}", self.above);
        let origin: Origin = self.effective.origin(&key).clone();
        errors.push(ConfigError { key, origin, problem });
    }
}

/// What a parameter is set to; `None` where it is not.
fn said(value: &Value) -> Option<liveform::Value> {
    if let Value::Text(text) = value {
        Some(text.as_str().into())
    } else if let Value::Names(names) = value {
        Some(names.clone().into())
    } else {
        Option::<bool>::from_value(value)?.map(Into::into)
    }
}

/// A field's type, out of the value of a key.
trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $field:expr;)+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                if let $pattern = value { $field } else { None }
            }
        }
    )+};
}

from_value! {
    String: Value::Text(text) => Some(text.clone());
    PathBuf: Value::Path(path) => path.clone();
    Option<PathBuf>: Value::Path(path) => Some(path.clone());
    Vec<PathBuf>: Value::Paths(paths) => Some(paths.clone());
    Secret: Value::Secret(secret) => Some(secret.clone());
    Duration: Value::Duration(duration) => Some(*duration);
    u64: Value::Size(number) | Value::Count(number) => Some(*number);
    f64: Value::Number(number) => Some(*number);
    bool: Value::Flag(flag) => Some(*flag);
    Option<bool>: Value::FlagOrNone(flag) => Some(*flag);
    SocketAddr: Value::Address(address) => *address;
    Option<SocketAddr>: Value::Address(address) => Some(*address);
    Vec<Network>: Value::Networks(networks) => Some(networks.clone());
    Vec<String>: Value::Names(names) => Some(names.clone());
    Option<u32>: Value::UserId(id) => Some(*id);
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::FileMode(mode) = value {
            Some(*mode)
        } else {
            u64::from_value(value)?.try_into().ok()
        }
    }
}

macro_rules! from_choice {
    ($($type:ident { $($text:literal => $variant:ident),+ })+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match String::from_value(value)?.as_str() {
                    $($text => Some(Self::$variant),)+
                    _ => Option::None,
                }
            }
        }
    )+};
}

from_choice! {
    LogFormat { "auto" => Auto, "text" => Text, "json" => Json }
    LedgerKind { "sled" => Sled, "memory" => Memory }
    LedgerStorage { "persistent" => Persistent, "ephemeral" => Ephemeral }
    RefillMode { "static" => Static }
    CorrelationField {
        "userid" => Userid, "cf1" => Cf1, "cf2" => Cf2, "cf3" => Cf3, "" => None
    }
    Mode { "plain" => Plain, "mixed" => Mixed, "sealed" => Sealed }
    Layout {
        "nonce_ciphertext_tag" => NonceCiphertextTag,
        "nonce_tag_ciphertext" => NonceTagCiphertext,
        "ciphertext_tag_nonce" => CiphertextTagNonce
    }
    Encoding { "base64" => Base64, "hex" => Hex }
    Pipeline { "id_document" => IdDocument, "knowledge" => Knowledge }
    RequestShape { "raw" => Raw, "data" => Data }
    Role { "caller" => Caller, "admin" => Admin }
}
