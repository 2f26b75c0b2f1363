//! What leases are narrowed to, as `list`, `revoke` and `watch` take it.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::{
    proto::{Decision, LeaseEnding, LeaseFilter, LeaseState},
    words,
};

/// By whom and when they were leased.
#[derive(Args)]
pub(super) struct OriginArgs {
    /// Only leases of this owner, such as uid:1000 or token:kyc_web
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) owner: String,
    /// Only leases with this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = words::pair)]
    labels: Vec<(String, String)>,
    /// Only leases created after this: a time (RFC 3339) or so long ago (2h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_after: Option<Moment>,
    /// Only leases created before this: a time (RFC 3339) or so long ago (2h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<Moment>,
    /// Only leases older than this, such as 1h
    #[arg(long, value_name = "DURATION", conflicts_with = "created_before",
        value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
}

/// How they stand.
#[derive(Args)]
pub(super) struct StandingArgs {
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
}

impl OriginArgs {
    /// Whether nothing is narrowed.
    pub(super) fn is_empty(&self) -> bool {
        let Self { owner, labels, created_after, created_before, older_than } = self;
        owner.is_empty()
            && labels.is_empty()
            && created_after.is_none()
            && created_before.is_none()
            && older_than.is_none()
    }

    pub(super) fn filter(self, now: Timestamp) -> LeaseFilter {
        let before = self.created_before.or(self.older_than.map(Moment::Ago));
        LeaseFilter {
            owner: self.owner,
            labels: self.labels.into_iter().collect(),
            created_after: self.created_after.map(|moment| moment.to_proto(now)),
            created_before: before.map(|moment| moment.to_proto(now)),
            ..LeaseFilter::default()
        }
    }
}

impl StandingArgs {
    pub(super) fn narrow(self, filter: LeaseFilter) -> LeaseFilter {
        LeaseFilter {
            states: self.states.into_iter().map(Into::into).collect(),
            endings: self.endings.into_iter().map(Into::into).collect(),
            decisions: self.decisions.into_iter().map(Into::into).collect(),
            ..filter
        }
    }
}

/// A time as it is written on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

pub(super) fn moment(text: &str) -> Result<Moment, &'static str> {
    if let Ok(time) = text.parse() {
        return Ok(Moment::At(time));
    }
    humantime::parse_duration(text)
        .map(Moment::Ago)
        .map_err(|_| "expected a time such as 2026-11-22T08:00:00Z or a duration such as 2h")
}

impl Moment {
    pub(super) fn to_proto(self, now: Timestamp) -> prost_types::Timestamp {
        let time = match self {
            Self::At(time) => time,
            // What is longer ago than the calendar reaches is as long ago as it reaches.
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
        };
        prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
    }
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
