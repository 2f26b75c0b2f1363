//! `bench`: how many leases a second a daemon gives, and how long each of them takes.
//!
//! Two ways to call. In the closed loop every caller asks again as soon as it was answered, which shows
//! what a daemon can do at most. At a given rate calls begin when they are due, whether or not earlier ones
//! were answered, and are measured from the moment they were due: what waits behind a daemon that
//! stalls counts as slow too (coordinated omission).
//!
//! Every lease uses up a token, so a project that talks to ARGOS itself is refused unless that is wanted.

mod load;
mod report;

use std::time::Duration;

use clap::Args;

use self::{
    load::{Bounds, Load, Pace},
    report::Report,
};
use super::{
    Environment, Failure,
    proto::{CreateLeaseRequest, GetStatusRequest},
    remote::{Remote, RemoteArgs},
    screen::Screen,
    wish::WishArgs,
    words,
};

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    wish: WishArgs,
    /// How long the URLs may stay unused, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// Connections to the daemon
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: u16,
    /// Calls in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    in_flight: u16,
    /// Calls that begin each second, on all connections together; without it every caller asks again as
    /// soon as it was answered
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How long to call before anything is measured
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// Stop after so many calls that were measured, even if there is time left
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    calls: Option<u64>,
    /// Also take leases where ARGOS is not the simulator: each uses up a token
    #[arg(long)]
    burn_real_tokens: bool,
}

pub(super) async fn run(
    args: BenchArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let params = args.wish.read()?;
    let first = remote.connect(environment).await?;
    if !args.burn_real_tokens {
        refuse_real_tokens(&first).await?;
    }
    let blank = CreateLeaseRequest {
        project: first.project.clone(),
        ttl: args.ttl.map(words::to_proto),
        params: Some(params),
        template: args.wish.template.clone(),
        ..CreateLeaseRequest::default()
    };
    let mut connections = vec![first];
    for _ in 1..args.connections {
        connections.push(remote.connect(environment).await?);
    }
    let load = Load {
        blank,
        in_flight: args.in_flight,
        pace: args.rate.map_or(Pace::Closed, Pace::Open),
        bounds: Bounds { warm_up: args.warm_up, duration: args.duration, calls: args.calls },
    };
    let measured = load::run(connections, &load).await;
    if measured.leases() == 0
        && let Some(status) = measured.refusal
    {
        return Err(Failure::from(status));
    }
    let report = Report { args: &args, measured: &measured };
    screen.answer(|| report.json(), || report.text(screen))
}

/// A lease cannot be taken back from the person it is for, so nobody is to find out by accident.
async fn refuse_real_tokens(remote: &Remote) -> Result<(), Failure> {
    let message = GetStatusRequest { project: remote.project.clone() };
    let status = remote.admin().get_status(remote.request(message)).await?.into_inner();
    let argos: Vec<_> = status.projects.iter().filter_map(|it| it.argos.as_ref()).collect();
    if !argos.is_empty() && argos.iter().all(|argos| argos.simulated) {
        return Ok(());
    }
    // A full pool gives a daemon nothing to say to ARGOS for a while after its start.
    let unheard = argos.iter().all(|argos| argos.simulated || argos.last_success_time.is_none());
    let failure = if unheard {
        Failure::usage(
            "ARGOS has not answered since the daemon started, so nobody knows whether it is the \
             simulator, and every lease uses up a token",
        )
        .hint("its tokens are counted every few minutes (jobs.count): try again then")
    } else {
        Failure::usage(
            "the ARGOS of this project is not the simulator, and every lease uses up a token",
        )
    };
    Err(failure
        .hint("--burn-real-tokens takes them all the same")
        .hint("`argospool demo` shows a daemon beside the simulator"))
}
