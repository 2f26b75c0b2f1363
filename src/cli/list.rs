//! `list`: leases, narrowed down, without their URLs.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{
    Failure, json, leases,
    pages::{self, PageArgs},
    proto::{Decision, LeaseEnding, LeaseFilter, LeaseState, ListLeasesRequest},
    remote::Remote,
    screen::{Output, Screen},
    words,
};

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only leases in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = words::choice(
        &["issued", "started", "closed"], "LEASE_STATE_", LeaseState::from_str_name))]
    states: Vec<LeaseState>,
    /// Only leases that ended so; may be repeated
    #[arg(long = "ending", value_name = "ENDING", value_parser = words::choice(
        &["decided", "expired", "lapsed", "released", "revoked", "replaced"],
        "LEASE_ENDING_", LeaseEnding::from_str_name))]
    endings: Vec<LeaseEnding>,
    /// Only leases that ARGOS decided so; may be repeated
    #[arg(long = "decision", value_name = "DECISION", value_parser = words::choice(
        &["pending", "approved", "rejected"], "DECISION_", Decision::from_str_name))]
    decisions: Vec<Decision>,
    /// Only leases of this owner, such as uid:1000 or token:kyc_web
    #[arg(long, default_value = "", hide_default_value = true)]
    owner: String,
    /// Only leases with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = words::pair)]
    labels: Vec<(String, String)>,
    /// Only leases created after this: a time (RFC 3339) or so long ago (2h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_after: Option<Moment>,
    /// Only leases created before this: a time (RFC 3339) or so long ago (2h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<Moment>,
    #[command(flatten)]
    pages: PageArgs,
}

/// A time as it is written on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Ago(Duration),
}

fn moment(text: &str) -> Result<Moment, &'static str> {
    if let Ok(time) = text.parse() {
        return Ok(Moment::At(time));
    }
    humantime::parse_duration(text)
        .map(Moment::Ago)
        .map_err(|_| "expected a time such as 2026-11-22T08:00:00Z or a duration such as 2h")
}

impl Moment {
    fn to_proto(self, now: Timestamp) -> prost_types::Timestamp {
        let time = match self {
            Self::At(time) => time,
            // What is longer ago than the calendar reaches is as long ago as it reaches.
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
        };
        prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
    }
}

pub(super) async fn run(args: ListArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let filter = LeaseFilter {
        states: args.states.iter().map(|state| *state as i32).collect(),
        endings: args.endings.iter().map(|ending| *ending as i32).collect(),
        decisions: args.decisions.iter().map(|decision| *decision as i32).collect(),
        owner: args.owner,
        labels: args.labels.into_iter().collect(),
        created_after: args.created_after.map(|moment| moment.to_proto(screen.now)),
        created_before: args.created_before.map(|moment| moment.to_proto(screen.now)),
    };
    let mut pool = remote.pool();
    let listing = pages::read(args.pages, async |page_size, page_token| {
        let message = ListLeasesRequest {
            project: remote.project.clone(),
            page_size,
            page_token,
            filter: Some(filter.clone()),
        };
        let page = pool.list_leases(remote.request(message)).await?.into_inner();
        Ok((page.leases, page.next_page_token))
    })
    .await?;
    screen.answer(
        || {
            let leases = json::each(&listing.items, json::lease);
            json!({ "leases": leases, "next_page_token": listing.next_page_token })
        },
        || leases::table(&listing.items, screen),
    )?;
    if screen.output == Output::Table {
        listing.remark("leases", screen);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        for (text, seconds_ago) in [("2h", 7_200), ("2026-11-22T07:59:00Z", 60)] {
            let proto = moment(text).unwrap().to_proto(now);
            assert_eq!(proto.seconds, now.as_second() - seconds_ago, "{text}");
        }
        assert!(moment("yesterday").is_err());
    }
}
