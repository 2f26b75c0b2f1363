//! `lease`: takes a token out of the pool, and prints its URL (P1).
//!
//! Every request has an id, chosen here when the caller brings none, and it is told whenever the
//! answer may have been lost: repeated with the same id, the daemon gives the same lease (L3).

use std::{fmt::Write as _, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Environment, Failure, json,
    proto::{BatchCreateLeasesRequest, CreateLeaseRequest, Lease, LiveformParams},
    remote::{Remote, RemoteArgs},
    screen::{Output, Screen, Tone},
    wish::WishArgs,
    words,
};

/// What one call may ask for, and the daemon gives.
const BATCH_MAX: u16 = 500;

#[derive(Args)]
pub(super) struct LeaseArgs {
    #[command(flatten)]
    wish: WishArgs,
    /// How long the URL may stay unused, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// How long to wait for a token while the pool is empty; 0s: not at all
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Label for your own use; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = words::pair)]
    labels: Vec<(String, String)>,
    /// UUID of the request, to ask again for a lease whose answer was lost; once per lease
    #[arg(long = "request-id", value_name = "UUID")]
    request_ids: Vec<Uuid>,
    /// How many tokens to lease, all or none
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(BATCH_MAX)))]
    count: Option<u16>,
    /// Print nothing but the URL, one per line
    #[arg(long)]
    url_only: bool,
}

pub(super) async fn run(
    args: LeaseArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    if args.url_only && screen.output == Output::Json {
        return Err(Failure::usage("--url-only and --output json cannot both be had"));
    }
    let request_ids = args.request_ids()?;
    let params = args.wish.read()?;
    let remote = remote.connect(environment).await?.allowing(args.wait.unwrap_or_default());
    let leases = match call(&args, &params, &request_ids, &remote).await {
        Ok(leases) => leases,
        Err(failure) if failure.is_doubtful() => {
            let ids: Vec<_> = request_ids.iter().map(|id| format!("--request-id {id}")).collect();
            return Err(failure.hint(format!("to get what it gave: {}", ids.join(" "))));
        }
        Err(failure) => return Err(failure),
    };
    if args.url_only {
        return screen.print(&urls(&leases));
    }
    if screen.output == Output::Json {
        return screen
            .print(&format!("{:#}\n", json!({ "leases": json::each(&leases, with_url) })));
    }
    show(&leases, screen)
}

/// Leases with their URLs: alone on stdout where a program reads it, with what is worth knowing
/// beside it.
pub(super) fn show(leases: &[Lease], screen: &Screen) -> Result<(), Failure> {
    if screen.terminal {
        return screen.print(&render(leases, screen));
    }
    screen.print(&urls(leases))?;
    screen.remark(&remarks(leases));
    Ok(())
}

pub(super) fn with_url(lease: &Lease) -> Value {
    let mut value = json::lease(lease);
    value["url"] = Value::from(lease.url.as_str());
    value
}

async fn call(
    args: &LeaseArgs,
    params: &LiveformParams,
    request_ids: &[Uuid],
    remote: &Remote,
) -> Result<Vec<Lease>, Failure> {
    let wait = args.wait.map(words::to_proto);
    if let [request_id] = request_ids {
        let message = CreateLeaseRequest { wait, ..args.message(params, remote, *request_id) };
        let answer = remote.pool().create_lease(remote.request(message)).await?.into_inner();
        return Ok(answer.lease.into_iter().collect());
    }
    let requests = request_ids.iter().map(|id| args.message(params, remote, *id)).collect();
    let message = BatchCreateLeasesRequest { project: remote.project.clone(), wait, requests };
    let answer = remote.pool().batch_create_leases(remote.request(message)).await?;
    Ok(answer.into_inner().leases)
}

impl LeaseArgs {
    /// One id per lease: the ones given, else fresh ones.
    fn request_ids(&self) -> Result<Vec<Uuid>, Failure> {
        let count = usize::from(self.count.unwrap_or(1));
        let given = self.request_ids.len();
        if given == 0 {
            return Ok((0..count).map(|_| Uuid::new_v4()).collect());
        }
        if given > usize::from(BATCH_MAX) || self.count.is_some() && given != count {
            return Err(Failure::usage(format!(
                "one --request-id per lease: {given} given, {count} to lease, at most {BATCH_MAX}"
            )));
        }
        Ok(self.request_ids.clone())
    }

    /// The request without its wait, which belongs to the whole call.
    fn message(
        &self,
        params: &LiveformParams,
        remote: &Remote,
        request_id: Uuid,
    ) -> CreateLeaseRequest {
        CreateLeaseRequest {
            project: remote.project.clone(),
            request_id: request_id.to_string(),
            ttl: self.ttl.map(words::to_proto),
            wait: None,
            params: Some(params.clone()),
            labels: self.labels.iter().cloned().collect(),
            template: self.wish.template.clone(),
        }
    }
}

/// What is worth knowing about leases whose URLs went down a pipe.
fn remarks(leases: &[Lease]) -> String {
    let line =
        |lease: &Lease| format!("lease {}, request id {}\n", lease.lease_id, lease.request_id);
    leases.iter().map(line).collect()
}

fn render(leases: &[Lease], screen: &Screen) -> String {
    let mut text = String::new();
    for lease in leases {
        let expires = words::when(lease.expire_time.as_ref(), screen.now);
        let facts = format!(
            "lease {}, request id {}, unused it closes {expires}",
            lease.lease_id, lease.request_id
        );
        // A closed lease is replayed without its URL.
        let url = if lease.url.is_empty() { "(closed: its URL is gone)" } else { &lease.url };
        let _ = writeln!(text, "{}", screen.paint(Tone::Plain, url));
        let _ = writeln!(text, "{}", screen.paint(Tone::Quiet, &facts));
    }
    text
}

fn urls(leases: &[Lease]) -> String {
    leases.iter().map(|lease| format!("{}\n", lease.url)).collect()
}

#[cfg(test)]
mod tests;
