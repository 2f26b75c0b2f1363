//! What ARGOS lists against what we hold: asked for, confirmed, and told.

use super::{
    convert,
    desk::Visit,
    proto::{self, ReconcileRequest, ReconcileResponse},
    status::Failure,
    validate::Faults,
};
use crate::{
    domain::{
        fault::Reason,
        pool::{Reconciliation, SuspectedCause},
    },
    engine::Rejection,
};

pub(super) async fn reconcile(
    visit: &Visit<'_>,
    request: ReconcileRequest,
) -> Result<ReconcileResponse, Failure> {
    check(visit, &request)?;
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
        tracing::warn!(%project, by, including_ours, "foreign tokens are deleted by an operator's word");
        visit.handle.delete_foreign(including_ours).await?;
    }
    if !accept_loss && !delete_foreign {
        visit.handle.reconcile(dry_run).await?;
    }
    let (running, last) = visit.handle.reconciliation().await?;
    Ok(response(running, last))
}

fn check(visit: &Visit<'_>, request: &ReconcileRequest) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let acts = request.delete_foreign || request.accept_loss;
    if acts && request.confirm != visit.handle.project().as_str() {
        faults.add("confirm", "must be the name of the project");
    }
    if request.including_ours && !request.delete_foreign {
        faults.add("including_ours", "must come with delete_foreign");
    }
    if request.dry_run && acts {
        faults.add("dry_run", "must not come with delete_foreign or accept_loss");
    }
    if request.read_only && (acts || request.dry_run) {
        faults.add("read_only", "must stand alone");
    }
    faults.check()
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
    }
}
