//! What ARGOS lists against what we hold: asked for, confirmed, and told.

use super::{
    convert,
    desk::Visit,
    proto::{self, ReconcileRequest, ReconcileResponse},
    status::Failure,
    validate::{self, Faults},
};
use crate::{
    domain::{
        birth::Birth,
        fault::Reason,
        pool::{Reconciliation, SuspectedCause, Unwanted},
    },
    engine::Rejection,
};

pub(super) async fn reconcile(
    visit: &Visit<'_>,
    request: ReconcileRequest,
) -> Result<ReconcileResponse, Failure> {
    let which = check(visit, &request)?;
    let ReconcileRequest { dry_run, delete_foreign, including_ours, accept_loss, .. } = request;
    let (running, last) = visit.handle.reconciliation().await?;
    if request.read_only {
        return Ok(response(running, last));
    }
    if (delete_foreign || accept_loss) && last.as_ref().is_none_or(|report| report.void) {
        let message = "nothing was listed yet; reconcile first, and look at the report";
        return Err(Rejection::new(Reason::NotListed, message).into());
    }
    let by = visit.caller.owner().as_str();
    let project = visit.handle.project();
    if accept_loss {
        tracing::warn!(%project, by, "what vanished is deleted by an operator's word");
        visit.handle.accept_loss().await?;
    }
    if delete_foreign {
        let born_before = request.born_before.map(|time| time.to_string());
        tracing::warn!(%project, by, including_ours, born_before, "foreign tokens are deleted by an operator's word");
        visit.handle.delete_foreign(which).await?;
    }
    if !accept_loss && !delete_foreign {
        visit.handle.reconcile(dry_run).await?;
    }
    let (running, last) = visit.handle.reconciliation().await?;
    Ok(response(running, last))
}

/// Which foreign ids are meant, if any are.
fn check(visit: &Visit<'_>, request: &ReconcileRequest) -> Result<Unwanted, Failure> {
    let mut faults = Faults::default();
    let born_before = validate::timestamp(request.born_before, "born_before", &mut faults);
    let acts = request.delete_foreign || request.accept_loss;
    if acts && request.confirm != visit.handle.project().as_str() {
        faults.add("confirm", "must be the name of the project");
    }
    if request.including_ours && !request.delete_foreign {
        faults.add("including_ours", "must come with delete_foreign");
    }
    if born_before.is_some() && !request.including_ours {
        faults.add("born_before", "must come with including_ours");
    }
    if born_before.is_some_and(|time| time > visit.rules.links.clock.now()) {
        faults.add("born_before", "must not be in the future");
    }
    if request.dry_run && acts {
        faults.add("dry_run", "must not come with delete_foreign or accept_loss");
    }
    if request.read_only && (acts || request.dry_run) {
        faults.add("read_only", "must stand alone");
    }
    faults.check()?;
    Ok(match born_before {
        Some(time) => Unwanted::BornBefore(time),
        None if request.including_ours => Unwanted::All,
        None => Unwanted::Strangers,
    })
}

fn response(running: bool, last: Option<Reconciliation>) -> ReconcileResponse {
    ReconcileResponse { running, last_report: last.map(report) }
}

fn report(report: Reconciliation) -> proto::ReconcileReport {
    proto::ReconcileReport {
        reported_tokens: report.listed,
        held_tokens: report.held,
        foreign_tokens: report.foreign,
        vanished_ready_tokens: report.vanished_ready,
        vanished_leased_tokens: report.vanished_leased,
        braked: report.braked,
        suspected_cause: report.cause.map(SuspectedCause::as_str).unwrap_or_default().to_owned(),
        report_time: Some(convert::timestamp(report.at)),
        missing_tokens: report.missing,
        foreign_like_ours_tokens: report.foreign_like_ours,
        foreign_hints: report.foreign_hints,
        void: report.void,
        dry_run: report.dry_run,
        foreign_births: report.foreign_births.into_iter().map(birth).collect(),
    }
}

fn birth((birth, tokens): (Birth, u32)) -> proto::ForeignBirth {
    proto::ForeignBirth { hour_time: Some(convert::timestamp(birth.begins())), tokens }
}
