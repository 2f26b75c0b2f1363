//! `revoke`: kills links, those that are named or all that have something in common.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::{
    Exit, Failure, json,
    narrowing::OriginArgs,
    proto::{Lease, LeaseState, RevokeLeaseRequest, RevokeLeasesRequest},
    remote::Remote,
    screen::{Screen, Tone},
    words,
};

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// Ids of leases
    #[arg(value_name = "LEASE")]
    leases: Vec<String>,
    #[command(flatten)]
    origin: OriginArgs,
    /// Revoke every open lease that is not narrowed away, of all owners
    #[arg(long, conflicts_with = "leases")]
    all: bool,
    /// Only count what would be revoked
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for every link to be dead for certain, such as 10s; 0s: not at all
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// Why, for the log of the daemon; nothing secret or personal
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

pub(super) async fn run(args: RevokeArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let named = !args.leases.is_empty();
    if named && (!args.origin.is_empty() || args.dry_run) {
        return Err(Failure::usage("name leases, or narrow them down; not both"));
    }
    if !named && !args.all && args.origin.is_empty() {
        return Err(Failure::usage("name leases, narrow them down, or say --all"));
    }
    if !named && args.wait.is_some() {
        return Err(Failure::usage("--wait is for leases that are named"));
    }
    if named {
        revoke_named(args, remote, screen).await
    } else {
        revoke_all(args, remote, screen).await
    }
}

/// Each for itself: one that cannot be revoked stops no other.
async fn revoke_named(args: RevokeArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let remote = remote.allowing(args.wait.unwrap_or_default());
    let mut pool = remote.pool();
    let (mut revoked, mut failed) = (Vec::new(), Vec::new());
    for lease_id in args.leases {
        let message = RevokeLeaseRequest {
            project: remote.project.clone(),
            lease_id: lease_id.clone(),
            wait: args.wait.map(words::to_proto),
            reason: args.reason.clone(),
            request_id: Uuid::new_v4().to_string(),
        };
        match pool.revoke_lease(remote.request(message)).await {
            Ok(answer) => revoked.push(answer.into_inner().lease.unwrap_or_default()),
            Err(status) => failed.push(Failure::from(status).fact("lease", lease_id)),
        }
    }
    screen.answer(
        || json!({ "leases": json::each(&revoked, json::lease) }),
        || revoked.iter().map(|lease| line(lease, screen)).collect(),
    )?;
    let Some(last) = failed.pop() else { return Ok(()) };
    for failure in &failed {
        screen.complain(failure);
    }
    // Repeating it is safe, with or without an id.
    Err(if last.exit() == Exit::Unreachable {
        last.hint("revoking again does no harm")
    } else {
        last
    })
}

async fn revoke_all(args: RevokeArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let mut filter = args.origin.filter(screen.now);
    if args.all {
        filter.states = vec![LeaseState::Issued.into(), LeaseState::Started.into()];
    }
    let message = RevokeLeasesRequest {
        project: remote.project.clone(),
        filter: Some(filter),
        dry_run: args.dry_run,
        reason: args.reason,
    };
    let answer = remote.admin().revoke_leases(remote.request(message)).await?.into_inner();
    let (matched, revoked) = (answer.matched_leases, answer.revoked_leases);
    screen.answer(
        || json!({ "matched_leases": matched, "revoked_leases": revoked, "dry_run": args.dry_run }),
        || {
            let matched = words::counted(matched as usize, "open lease");
            let text = if args.dry_run {
                format!("{matched} would be revoked")
            } else {
                format!("{} of {matched} revoked", words::count(revoked))
            };
            screen.paint(Tone::Plain, &text) + "\n"
        },
    )
}

fn line(lease: &Lease, screen: &Screen) -> String {
    let dead = words::time_of(lease.link_dead_time.as_ref());
    let (tone, link) = match dead {
        Some(dead) if dead <= screen.now => (Tone::Good, "its link is dead".to_owned()),
        Some(dead) => {
            let when = words::relative(dead, screen.now);
            (Tone::Caution, format!("its link dies {when} at the latest"))
        }
        None => (Tone::Caution, "its link is being deleted".to_owned()),
    };
    let ending = words::word(lease.ending, super::proto::LeaseEnding::as_str_name, "LEASE_ENDING_");
    screen.paint(tone, &format!("{}  {ending}, {link}", lease.lease_id)) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        proto::LeaseEnding,
        tests::{plain_screen, seconds_ago},
    };

    #[test]
    fn a_revoked_lease_tells_whether_its_link_is_dead_for_certain() {
        let screen = plain_screen();
        let line = |dead: Option<i64>| {
            let lease = Lease {
                lease_id: "l-1".into(),
                ending: LeaseEnding::Revoked as i32,
                link_dead_time: dead.map(seconds_ago),
                ..Lease::default()
            };
            super::line(&lease, &screen)
        };
        assert_eq!(line(Some(1)), "l-1  revoked, its link is dead\n");
        assert_eq!(line(Some(-120)), "l-1  revoked, its link dies in 2 min at the latest\n");
        assert_eq!(line(None), "l-1  revoked, its link is being deleted\n");
    }
}
