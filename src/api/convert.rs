//! From our words to those on the wire. The only place that puts a token id or a URL into an answer.

use std::time::Duration;

use super::proto;
use crate::{
    domain::{
        ids::{Owner, Sequence},
        pause::{Activity, Pause},
        pool::Census,
        refill::Plan,
        seal::Seal,
        submission::Submissions,
        time::Timestamp,
        token::{ClosedLease, Decision, DoomCause, Ending, Grant, Holder, Lease, Stage, Token},
    },
    engine::{Handle, LeaseView, Status},
    port::Condition,
};

/// Whether an answer carries the token and the URL of an open lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    Shown,
    Hidden,
}

/// Who owns a lease; nobody owns one that was presumed.
pub(super) fn owner(view: &LeaseView) -> Option<&Owner> {
    let grant = match view {
        LeaseView::Open { lease, .. } => match &lease.holder {
            Holder::Caller { grant, .. } => Some(grant),
            Holder::Presumed => None,
        },
        LeaseView::Closed(line) => line.grant.as_ref(),
    };
    grant.map(|grant| &grant.owner)
}

pub(super) fn lease(handle: &Handle, view: &LeaseView, secrets: Secrets) -> proto::Lease {
    let lease_id = handle.seal().lease_id(view.sequence()).as_str().to_owned();
    let project = handle.project().as_str().to_owned();
    let blank = proto::Lease { lease_id, project, ..proto::Lease::default() };
    match view {
        LeaseView::Open { token, lease, .. } => {
            let open = open_lease(handle.seal(), lease, blank);
            match (&lease.holder, secrets) {
                (Holder::Caller { url, .. }, Secrets::Shown) => proto::Lease {
                    token_id: token.expose().to_owned(),
                    url: url.to_string(),
                    ..open
                },
                (Holder::Caller { .. }, Secrets::Hidden) | (Holder::Presumed, _) => open,
            }
        }
        LeaseView::Closed(line) => closed_lease(handle.seal(), line, blank),
    }
}

fn open_lease(seal: &Seal, lease: &Lease, blank: proto::Lease) -> proto::Lease {
    let grant = match &lease.holder {
        Holder::Caller { grant, .. } => Some(grant),
        Holder::Presumed => None,
    };
    let started = lease.started.as_ref();
    let state = match started {
        Some(_) => proto::LeaseState::Started,
        None => proto::LeaseState::Issued,
    };
    let decided = lease.submissions.decided();
    proto::Lease {
        state: state.into(),
        decision: decision(decided.map(|decided| decided.decision)).into(),
        submission_id: submission(&lease.submissions),
        create_time: Some(timestamp(lease.issued)),
        expire_time: Some(timestamp(lease.deadline)),
        first_use_time: started.map(|started| timestamp(started.at)),
        decision_time: decided.map(|decided| timestamp(decided.at)),
        link_dead_time: lease.link_dead().map(timestamp),
        replaces_lease_id: lease_id(seal, lease.replaces),
        ..granted(grant, blank)
    }
}

fn closed_lease(seal: &Seal, line: &ClosedLease, blank: proto::Lease) -> proto::Lease {
    let decided = line.decided();
    proto::Lease {
        state: proto::LeaseState::Closed.into(),
        ending: ending(line.ending).into(),
        decision: decision(decided.map(|decided| decided.decision)).into(),
        submission_id: submission(&line.submissions),
        create_time: Some(timestamp(line.issued)),
        expire_time: Some(timestamp(line.deadline)),
        first_use_time: line.started.map(|started| timestamp(started.at)),
        close_time: Some(timestamp(line.closed)),
        decision_time: decided.map(|decided| timestamp(decided.at)),
        link_dead_time: line.link_dead.map(timestamp),
        replaced_by_lease_id: lease_id(seal, line.replaced_by),
        replaces_lease_id: lease_id(seal, line.replaces),
        ..granted(line.grant.as_ref(), blank)
    }
}

fn granted(grant: Option<&Grant>, blank: proto::Lease) -> proto::Lease {
    let Some(grant) = grant else { return proto::Lease { presumed: true, ..blank } };
    proto::Lease {
        owner: grant.owner.as_str().to_owned(),
        request_id: grant.request.map(|request| request.id.to_string()).unwrap_or_default(),
        labels: grant.labels.clone(),
        ..blank
    }
}

/// The name of another lease, where there is one.
pub(super) fn lease_id(seal: &Seal, sequence: Option<Sequence>) -> String {
    sequence.map(|sequence| seal.lease_id(sequence).as_str().to_owned()).unwrap_or_default()
}

fn submission(submissions: &Submissions) -> String {
    submissions.shown().map(|submission| submission.as_str().to_owned()).unwrap_or_default()
}

pub(super) fn ending(ending: Ending) -> proto::LeaseEnding {
    match ending {
        Ending::Decided => proto::LeaseEnding::Decided,
        Ending::Expired => proto::LeaseEnding::Expired,
        Ending::Lapsed => proto::LeaseEnding::Lapsed,
        Ending::Released => proto::LeaseEnding::Released,
        Ending::Revoked => proto::LeaseEnding::Revoked,
        Ending::Replaced => proto::LeaseEnding::Replaced,
    }
}

pub(super) fn decision(decision: Option<Decision>) -> proto::Decision {
    match decision {
        None => proto::Decision::Unspecified,
        Some(Decision::Pending) => proto::Decision::Pending,
        Some(Decision::Approved) => proto::Decision::Approved,
        Some(Decision::Rejected) => proto::Decision::Rejected,
    }
}

pub(super) fn stage(stage: &Stage) -> proto::TokenStage {
    match stage {
        Stage::Minted { .. } => proto::TokenStage::Minted,
        Stage::Ready { .. } => proto::TokenStage::Ready,
        Stage::Leased(_) => proto::TokenStage::Leased,
        Stage::Doomed(_) => proto::TokenStage::Doomed,
    }
}

/// Since when a token stands where it stands.
pub(super) fn stage_time(token: &Token) -> Timestamp {
    match &token.stage {
        Stage::Minted { .. } => token.minted,
        Stage::Ready { since } => *since,
        Stage::Leased(lease) => lease.issued,
        Stage::Doomed(doom) => doom.since,
    }
}

/// A token for an admin: named by its number, so that nothing of the id is given away.
pub(super) fn token(seal: &Seal, token: &Token) -> proto::Token {
    let lease_id = || seal.lease_id(token.sequence).as_str().to_owned();
    let blank = proto::Token {
        token_ref: format!("t{}", token.sequence.get()),
        stage: stage(&token.stage).into(),
        stage_time: Some(timestamp(stage_time(token))),
        mint_time: Some(timestamp(token.minted)),
        ..proto::Token::default()
    };
    match &token.stage {
        Stage::Minted { order } => proto::Token { order_id: order.to_string(), ..blank },
        Stage::Ready { .. } => blank,
        Stage::Leased(_) => proto::Token { lease_id: lease_id(), ..blank },
        Stage::Doomed(doom) => proto::Token {
            lease_id: if doom.cause == DoomCause::LeaseClosed { lease_id() } else { String::new() },
            doom_cause: doom_cause(doom.cause).into(),
            delete_attempts: doom.attempts,
            ..blank
        },
    }
}

fn doom_cause(cause: DoomCause) -> proto::DoomCause {
    match cause {
        DoomCause::Cancelled => proto::DoomCause::Cancelled,
        DoomCause::Aged => proto::DoomCause::Aged,
        DoomCause::LeaseClosed => proto::DoomCause::LeaseClosed,
        DoomCause::Vanished => proto::DoomCause::Vanished,
        DoomCause::Discarded => proto::DoomCause::Discarded,
    }
}

/// How a project stands, without its problems.
pub(super) fn project(handle: &Handle, status: &Status) -> proto::ProjectStatus {
    proto::ProjectStatus {
        project: handle.project().as_str().to_owned(),
        counts: Some(counts(status.census)),
        leasable_tokens: status.leasable,
        target_tokens: status.target,
        low_water_tokens: status.low_water,
        cap_tokens: status.cap,
        reserve_tokens: status.reserve,
        held_tokens: status.census.held(),
        foreign_tokens: status.foreign,
        waiting_callers: u32::try_from(status.waiting_callers).unwrap_or(u32::MAX),
        time_to_empty: status.time_to_empty.map(duration),
        outage_cover: status.outage_cover.map(duration),
        argos: Some(argos(status)),
        pauses: status.pauses.iter().map(|(at, pause)| active_pause(*at, pause)).collect(),
        plan: Some(plan(&status.plan, status.next_review)),
        can_lease: status.leasable > 0,
        problems: Vec::new(),
        demand_tokens_per_second: status.demand,
        usual_demand_tokens_per_second: status.usual_demand,
        as_of_time: status.unanswered.map(|unanswered| timestamp(unanswered.since)),
    }
}

fn counts(census: Census) -> proto::TokenCounts {
    let Census { minted, ready, held_back: _, leased, doomed } = census;
    proto::TokenCounts { minted, ready, drawn: 0, leased, doomed }
}

fn argos(status: &Status) -> proto::ArgosStatus {
    proto::ArgosStatus {
        condition: condition(status).into(),
        last_success_time: status.supplier.last_success.map(timestamp),
        next_attempt_time: status.supplier.next_attempt.map(timestamp),
        calls_in_flight: status.calls_in_flight,
        doubtful_orders: status.doubtful_orders,
        oldest_doubtful: status.oldest_doubt.map(|since| duration(status.now.since(since))),
        budget_remaining: status.supplier.budget_remaining,
        reported_tokens: status.count.map(|count| count.reported).unwrap_or_default(),
        reported_time: status.count.map(|count| timestamp(count.at)),
        simulated: status.supplier.simulated,
        budget_calls: status.supplier.budget,
    }
}

fn condition(status: &Status) -> proto::ArgosCondition {
    match status.supplier.condition {
        Condition::Up | Condition::Failing if status.at_cap => proto::ArgosCondition::CapReached,
        Condition::Up => proto::ArgosCondition::Up,
        Condition::Failing => proto::ArgosCondition::Failing,
        Condition::Down => proto::ArgosCondition::Down,
        Condition::KeyRefused => proto::ArgosCondition::KeyRefused,
        Condition::AddressRefused => proto::ArgosCondition::AddressRefused,
        Condition::TransferRefused => proto::ArgosCondition::TransferRefused,
        Condition::Throttled => proto::ArgosCondition::Throttled,
    }
}

fn active_pause(activity: Activity, pause: &Pause) -> proto::ActivePause {
    let activity = match activity {
        Activity::Leasing => proto::Activity::Leasing,
        Activity::Refill => proto::Activity::Refill,
        Activity::Purge => proto::Activity::Purge,
    };
    proto::ActivePause {
        activity: activity.into(),
        reason: pause.reason.clone(),
        paused_by: pause.by.clone(),
        pause_time: Some(timestamp(pause.since)),
    }
}

pub(super) fn plan(plan: &Plan, next_review: Option<Timestamp>) -> proto::RefillPlan {
    proto::RefillPlan {
        need_tokens: plan.need,
        order_tokens: plan.orders * plan.batch,
        rest_reason: plan.rest.map(|rest| rest.as_str().to_owned()).unwrap_or_default(),
        next_review_time: next_review.map(timestamp),
    }
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    prost_types::Timestamp {
        seconds: i64::try_from(millis / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1_000).unwrap_or_default() * 1_000_000,
    }
}

pub(super) fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}
