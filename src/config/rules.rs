//! Relations between settings, each with its reason. A range of one key stands in the key table.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    error::{ConfigError, Origin, Problem, Warning},
    merge::Effective,
    notation::{is_open, print_count, print_duration},
    settings::{CallerProof, LedgerKind, Project, Settings},
};
use crate::domain::liveform::{Mode, Violation};
use crate::domain::secret::Secret;

/// What a late copy of a call may still need after its time-out: contract 0 has it at the gateway for
/// some 29 s.
const LATE_COPY_SLACK: Duration = Duration::from_secs(30);

/// Holds the settings against every rule.
pub(super) fn check(
    settings: &Settings,
    effective: &Effective,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<Warning>,
) {
    let mut rules = Rules { effective, errors };
    rules.listening(settings);
    rules.callers(settings);
    rules.memory(settings);
    rules.traces(settings);
    if settings.projects.is_empty() {
        let how = "set ARGOS_PROJECT_ID and ARGOS_API_KEY, or write a table [projects.NAME]";
        rules.refuse("projects", Origin::Default, how.to_owned());
    }
    for (name, project) in &settings.projects {
        rules.calls(name, project);
        rules.stock(name, project);
        rules.times(name, project);
        rules.links(name, project);
        warnings.extend(idle_previous_key(name, project));
    }
    rules.distinct_projects(settings);
    if let Some(listen) = settings.grpc.listen.filter(|listen| !listen.ip().is_loopback())
        && settings.callers.is_empty()
        && settings.grpc.insecure
    {
        warnings.push(Warning::OpenToEverybody { listen });
    }
    if settings.ledger.kind == LedgerKind::Memory {
        warnings.push(Warning::ForgetfulLedger);
    }
}

struct Rules<'a> {
    effective: &'a Effective,
    errors: &'a mut Vec<ConfigError>,
}

impl Rules<'_> {
    fn listening(&mut self, settings: &Settings) {
        let grpc = &settings.grpc;
        self.demand(
            grpc.listen.is_some() || grpc.unix_socket.is_some(),
            &["grpc.listen", "grpc.unix_socket"],
            || "nobody could ask for a lease; set grpc.listen or grpc.unix_socket".to_owned(),
        );
        let open = grpc.listen.is_some_and(|listen| !listen.ip().is_loopback());
        self.demand(
            !open || grpc.insecure || !settings.callers.is_empty(),
            &["grpc.listen", "grpc.insecure"],
            || {
                "everybody on the network would be admin; configure [callers.NAME], listen on \
                 loopback, or set grpc.insecure = true behind something that authenticates"
                    .to_owned()
            },
        );
        let socket_open = grpc.unix_socket.is_some() && grpc.unix_socket_mode & 0o007 != 0;
        self.demand(!socket_open || !settings.callers.is_empty(), &["grpc.unix_socket_mode"], || {
            "every user of this machine would be admin; close the socket to others or configure \
             [callers.NAME]"
                .to_owned()
        });
        let listeners = [
            ("grpc.listen", grpc.listen),
            ("http.listen", Some(settings.http.listen)),
            ("webhook.listen", settings.webhook.listen),
        ];
        for (at, (key, address)) in listeners.iter().enumerate() {
            for (other_key, other) in &listeners[..at] {
                self.demand(!is_same(*address, *other), &[key, other_key], || {
                    format!("{key} and {other_key} cannot share one address")
                });
            }
        }
    }

    fn callers(&mut self, settings: &Settings) {
        let mut seen: Vec<(&str, &CallerProof)> = Vec::new();
        for (name, caller) in &settings.callers {
            let projects = format!("callers.{name}.projects");
            for project in &caller.projects {
                self.demand(settings.projects.contains_key(project), &[&projects], || {
                    format!("there is no project {project:?}")
                });
            }
            let proof = match caller.proof {
                CallerProof::BearerToken(_) => format!("callers.{name}.token_file"),
                CallerProof::Uid(_) => format!("callers.{name}.uid"),
            };
            let twin = seen.iter().find(|(_, other)| **other == caller.proof && !is_blank(other));
            self.demand(twin.is_none(), &[&proof], || {
                let other = twin.map_or("", |(other, _)| other);
                format!("callers.{other} shows the same; nobody could tell the two apart")
            });
            seen.push((name, &caller.proof));
        }
    }

    fn traces(&mut self, settings: &Settings) {
        let telemetry = &settings.telemetry;
        let open = telemetry.otlp_endpoint.as_deref().is_some_and(|url| is_open(url) == Ok(true));
        let keys = ["telemetry.otlp_headers_file", "telemetry.otlp_endpoint"];
        self.demand(!open || telemetry.otlp_headers.is_none(), &keys, || {
            "http:// sends the headers in the open; use https:// or a collector on loopback"
                .to_owned()
        });
    }

    /// How long things are remembered.
    fn memory(&mut self, settings: &Settings) {
        let ledger = &settings.ledger;
        self.at_most(
            ("ledger.request_id_memory", ledger.request_id_memory),
            ("ledger.retention", ledger.retention),
            "a repeated request finds its lease in the history",
        );
        for (name, project) in &settings.projects {
            let ttl_key = format!("projects.{name}.lease.ttl_max");
            let ttl_max = project.lease.ttl_max;
            self.demand(2 * ttl_max <= ledger.retention, &["ledger.retention", &ttl_key], || {
                format!(
                    "ledger.retention ({}) must be at least 2 x {ttl_key} ({}), or a request that is \
                     repeated late gets a second token",
                    print_duration(ledger.retention),
                    print_duration(ttl_max)
                )
            });
        }
    }

    fn calls(&mut self, name: &str, project: &Project) {
        let key = |key: &str| format!("projects.{name}.argos.{key}");
        let argos = &project.argos;
        self.at_most(
            (&key("connect_timeout"), argos.connect_timeout),
            (&key("request_timeout"), argos.request_timeout),
            "a request includes its connection",
        );
        self.at_most(
            (&key("backoff_min"), argos.backoff_min),
            (&key("backoff_max"), argos.backoff_max),
            "pauses grow from the one to the other",
        );
        let shares = argos.purge_share + argos.reconcile_share + argos.outcome_share;
        let keys = ["purge_share", "reconcile_share", "outcome_share"].map(key);
        self.demand(shares < 1.0, &[&keys[0], &keys[1], &keys[2]], || {
            format!("the shares make {shares} together; below 1 leaves calls for refill")
        });
    }

    fn stock(&mut self, name: &str, project: &Project) {
        let key = |key: &str| format!("projects.{name}.{key}");
        let (refill, argos) = (&project.refill, &project.argos);
        let (low_key, target_key) = (key("refill.low_water_tokens"), key("refill.target_tokens"));
        self.demand(
            refill.low_water_tokens < refill.target_tokens,
            &[&low_key, &target_key],
            || {
                format!(
                    "low_water_tokens ({}) must be below target_tokens ({})",
                    print_count(refill.low_water_tokens.into()),
                    print_count(refill.target_tokens.into())
                )
            },
        );
        let (reserve_key, cap_key) = (key("argos.reserve_tokens"), key("argos.cap_tokens"));
        let room = argos.cap_tokens.saturating_sub(argos.reserve_tokens);
        self.demand(refill.target_tokens <= room, &[&target_key, &reserve_key, &cap_key], || {
            format!(
                "target_tokens ({}) and reserve_tokens ({}) must fit into cap_tokens ({}) together",
                print_count(refill.target_tokens.into()),
                print_count(argos.reserve_tokens.into()),
                print_count(argos.cap_tokens.into())
            )
        });
    }

    fn times(&mut self, name: &str, project: &Project) {
        let key = |key: &str| format!("projects.{name}.{key}");
        let lease = &project.lease;
        let (ttl_min, ttl_default, ttl_max) =
            (key("lease.ttl_min"), key("lease.ttl_default"), key("lease.ttl_max"));
        let unset = "a caller that asks for no ttl gets the default";
        self.at_most((&ttl_min, lease.ttl_min), (&ttl_default, lease.ttl_default), unset);
        self.at_most((&ttl_default, lease.ttl_default), (&ttl_max, lease.ttl_max), unset);
        self.at_most(
            (&key("lease.wait_default"), lease.wait_default),
            (&key("lease.wait_max"), lease.wait_max),
            "a caller that asks for no wait gets the default",
        );
        self.at_most(
            (&key("life.entry_window"), project.life.entry_window),
            (&key("life.session_max"), project.life.session_max),
            "whoever enters last still needs time",
        );
        let (late_key, timeout_key) = (key("tokens.late_copy_delay"), key("argos.request_timeout"));
        let least = 2 * project.argos.request_timeout + LATE_COPY_SLACK;
        self.demand(project.tokens.late_copy_delay >= least, &[&late_key, &timeout_key], || {
            format!(
                "late_copy_delay ({}) must be at least 2 x request_timeout + 30s ({}), or a late copy \
                 of a call could arm a used token again",
                print_duration(project.tokens.late_copy_delay),
                print_duration(least)
            )
        });
        if let Some(age) = project.tokens.unused_age_max {
            self.demand(lease.ttl_max < age, &[&key("tokens.unused_age_max"), &ttl_max], || {
                format!(
                    "unused_age_max ({}) must be above lease.ttl_max ({}), or no token lives long \
                     enough for the longest lease",
                    print_duration(age),
                    print_duration(lease.ttl_max)
                )
            });
        }
    }

    /// Defaults and templates are held against the rules of links before anybody asks for one.
    fn links(&mut self, name: &str, project: &Project) {
        let key = |key: &str| format!("projects.{name}.liveform.{key}");
        let (until_key, mode_key) = (key("start_valid_until"), key("mode"));
        let liveform = &project.liveform;
        let seals = liveform.mode != Mode::Plain;
        self.demand(seals || !liveform.start_valid_until, &[&until_key, &mode_key], || {
            "start_valid_until = true needs mode mixed or sealed: in a plain link anybody could put \
             the deadline off, and ARGOS takes it in sealed form only"
                .to_owned()
        });
        for Violation { field, rule } in liveform.rules().check_presets() {
            // A list is one key, whichever item of it is meant.
            let (field, item) = field.split_once('[').unwrap_or((&field, ""));
            let item = item.strip_suffix(']').map_or(String::new(), |at| format!("item {at} "));
            self.demand(false, &[&key(field)], || format!("{item}{rule}"));
        }
    }

    /// Two pools under one pid would each count on the whole cap, and one webhook secret would lead to
    /// two projects.
    fn distinct_projects(&mut self, settings: &Settings) {
        let mut pids: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        let mut secrets: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, project) in &settings.projects {
            let pid = project.pid.as_str();
            if let Some(other) = pids.insert((project.argos.api_url.as_str(), pid), name) {
                self.demand(pid.is_empty(), &[&format!("projects.{name}.pid")], || {
                    format!("project {other} has the same pid; one pid has one pool")
                });
            }
            let Some(secret) = &project.webhook.secret else { continue };
            if let Some(other) = secrets.insert(secret.expose(), name) {
                let key = format!("projects.{name}.webhook.secret_file");
                self.demand(secret.expose().is_empty(), &[&key], || {
                    format!("project {other} has the same webhook secret, which is what tells them apart")
                });
            }
        }
    }

    fn at_most(&mut self, low: (&str, Duration), high: (&str, Duration), reason: &str) {
        self.demand(low.1 <= high.1, &[low.0, high.0], || {
            let (low_text, high_text) = (print_duration(low.1), print_duration(high.1));
            format!("{} ({low_text}) must not be above {} ({high_text}): {reason}", low.0, high.0)
        });
    }

    /// Reports a rule that does not hold at the first of its keys that somebody wrote; keeps quiet
    /// while the value of one of them is unknown.
    fn demand(&mut self, holds: bool, keys: &[&str], reason: impl FnOnce() -> String) {
        if holds || !keys.iter().all(|key| self.effective.is_sound(key)) {
            return;
        }
        let is_written = |key: &&&str| *self.effective.origin(key) != Origin::Default;
        if let Some(key) = keys.iter().find(is_written).or(keys.first()) {
            self.refuse(key, self.effective.origin(key).clone(), reason());
        }
    }

    fn refuse(&mut self, key: &str, origin: Origin, sentence: String) {
        self.errors.push(ConfigError {
            key: key.to_owned(),
            origin,
            problem: Problem::Rule(sentence),
        });
    }
}

/// Port 0 never clashes: the system picks another one each time.
fn is_same(left: Option<SocketAddr>, right: Option<SocketAddr>) -> bool {
    left.is_some_and(|address| address.port() != 0) && left == right
}

/// A key that changed has one text as the current one and another as the previous one; twice the same
/// is harmless, and probably a file that was not replaced.
fn idle_previous_key(name: &str, project: &Project) -> Option<Warning> {
    let liveform = &project.liveform;
    let in_use = [Some(&project.api_key), liveform.secret_key.as_ref()];
    let is_in_use = |secret: &Secret| in_use.iter().flatten().any(|used| used.secret == *secret);
    let is_idle = liveform.previous_keys.iter().any(|previous| is_in_use(&previous.secret));
    is_idle.then(|| Warning::PreviousKeyInUse {
        key: format!("projects.{name}.liveform.previous_key_files"),
    })
}

/// What stands in for a token that could not be read.
fn is_blank(proof: &CallerProof) -> bool {
    matches!(proof, CallerProof::BearerToken(token) if token.expose().is_empty())
}
