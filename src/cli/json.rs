//! What `--output json` prints: the keys of the proto, every one of them in every answer.
//!
//! Times are RFC 3339 in UTC, durations seconds with their unit (`"1.500s"`), enums their names in
//! the proto; what is unset is null, and a count is always a number. Token ids and URLs are left out
//! of a lease; `lease` and `replace` put the URL in by themselves (P1).

use serde_json::{Value, json};

use super::{
    proto::{
        ActivePause, Activity, ArgosCondition, ArgosStatus, AuditResponse, Decision, DoomCause,
        ExplainResponse, GetStatusResponse, Lease, LeaseEnding, LeaseState, Problem, ProjectStatus,
        RefillPlan, Token, TokenStage,
    },
    words,
};

pub(super) fn status(response: &GetStatusResponse) -> Value {
    json!({
        "version": response.version,
        "start_time": time(response.start_time.as_ref()),
        "projects": each(&response.projects, project),
        "ledger_bytes": response.ledger_bytes,
        "ready": response.ready,
        "draining": response.draining,
    })
}

pub(super) fn project(status: &ProjectStatus) -> Value {
    let counts = status.counts.unwrap_or_default();
    json!({
        "project": status.project,
        "counts": {
            "minted": counts.minted,
            "ready": counts.ready,
            "drawn": counts.drawn,
            "leased": counts.leased,
            "doomed": counts.doomed,
        },
        "leasable_tokens": status.leasable_tokens,
        "target_tokens": status.target_tokens,
        "low_water_tokens": status.low_water_tokens,
        "cap_tokens": status.cap_tokens,
        "reserve_tokens": status.reserve_tokens,
        "held_tokens": status.held_tokens,
        "foreign_tokens": status.foreign_tokens,
        "waiting_callers": status.waiting_callers,
        "time_to_empty": duration(status.time_to_empty.as_ref()),
        "outage_cover": duration(status.outage_cover.as_ref()),
        "argos": status.argos.as_ref().map(argos),
        "pauses": each(&status.pauses, pause),
        "plan": status.plan.as_ref().map(plan),
        "can_lease": status.can_lease,
        "problems": each(&status.problems, problem),
        "demand_tokens_per_second": status.demand_tokens_per_second,
        "usual_demand_tokens_per_second": status.usual_demand_tokens_per_second,
        "as_of_time": time(status.as_of_time.as_ref()),
    })
}

fn argos(status: &ArgosStatus) -> Value {
    json!({
        "condition": name(status.condition, ArgosCondition::as_str_name),
        "last_success_time": time(status.last_success_time.as_ref()),
        "next_attempt_time": time(status.next_attempt_time.as_ref()),
        "calls_in_flight": status.calls_in_flight,
        "doubtful_orders": status.doubtful_orders,
        "oldest_doubtful": duration(status.oldest_doubtful.as_ref()),
        "budget_remaining": status.budget_remaining,
        "reported_tokens": status.reported_tokens,
        "reported_time": time(status.reported_time.as_ref()),
        "simulated": status.simulated,
        "budget_calls": status.budget_calls,
    })
}

fn pause(pause: &ActivePause) -> Value {
    json!({
        "activity": name(pause.activity, Activity::as_str_name),
        "reason": pause.reason,
        "paused_by": pause.paused_by,
        "pause_time": time(pause.pause_time.as_ref()),
    })
}

pub(super) fn plan(plan: &RefillPlan) -> Value {
    json!({
        "need_tokens": plan.need_tokens,
        "order_tokens": plan.order_tokens,
        "rest_reason": plan.rest_reason,
        "next_review_time": time(plan.next_review_time.as_ref()),
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "reason": problem.reason,
        "summary": problem.summary,
        "since_time": time(problem.since_time.as_ref()),
        "runbook": problem.runbook,
    })
}

/// Without `token_id` and `url`.
pub(super) fn lease(lease: &Lease) -> Value {
    json!({
        "lease_id": lease.lease_id,
        "project": lease.project,
        "request_id": lease.request_id,
        "owner": lease.owner,
        "labels": lease.labels,
        "state": name(lease.state, LeaseState::as_str_name),
        "ending": name(lease.ending, LeaseEnding::as_str_name),
        "decision": name(lease.decision, Decision::as_str_name),
        "presumed": lease.presumed,
        "submission_id": lease.submission_id,
        "create_time": time(lease.create_time.as_ref()),
        "expire_time": time(lease.expire_time.as_ref()),
        "first_use_time": time(lease.first_use_time.as_ref()),
        "close_time": time(lease.close_time.as_ref()),
        "decision_time": time(lease.decision_time.as_ref()),
        "link_dead_time": time(lease.link_dead_time.as_ref()),
        "replaced_by_lease_id": lease.replaced_by_lease_id,
        "replaces_lease_id": lease.replaces_lease_id,
    })
}

pub(super) fn token(token: &Token) -> Value {
    json!({
        "token_ref": token.token_ref,
        "stage": name(token.stage, TokenStage::as_str_name),
        "stage_time": time(token.stage_time.as_ref()),
        "mint_time": time(token.mint_time.as_ref()),
        "order_id": token.order_id,
        "lease_id": token.lease_id,
        "doom_cause": name(token.doom_cause, DoomCause::as_str_name),
        "delete_attempts": token.delete_attempts,
    })
}

pub(super) fn audit(response: &AuditResponse) -> Value {
    let breaches = each(
        &response.breaches,
        |breach| json!({ "promise": breach.promise, "evidence": breach.evidence }),
    );
    json!({
        "breaches": breaches,
        "tokens_checked": response.tokens_checked,
        "took": duration(response.took.as_ref()),
    })
}

pub(super) fn explanation(response: &ExplainResponse) -> Value {
    json!({ "lines": response.lines, "plan": response.plan.as_ref().map(plan) })
}

pub(super) fn each<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

pub(super) fn time(time: Option<&prost_types::Timestamp>) -> Value {
    words::time_of(time).map_or(Value::Null, |time| Value::String(time.to_string()))
}

pub(super) fn duration(duration: Option<&prost_types::Duration>) -> Value {
    let seconds = words::duration_of(duration)
        .map(|duration| format!("{}.{:03}s", duration.as_secs(), duration.subsec_millis()));
    seconds.map_or(Value::Null, Value::String)
}

/// The name in the proto; a value that this release has no name for stays a number.
fn name<E: TryFrom<i32>>(value: i32, name: fn(&E) -> &'static str) -> Value {
    E::try_from(value).map_or_else(|_| Value::from(value), |known| Value::from(name(&known)))
}
