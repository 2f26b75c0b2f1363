//! The service that watches and steers the pools. Needs the role admin; never carries a secret.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    chronicle, convert,
    desk::{Desk, Visit},
    level, preflight, problems,
    proto::{self, admin_service_server::AdminService},
    reconcile, revocation,
    status::Failure,
    token_pool::lease_not_found,
    validate::{self, Faults},
};
use crate::{
    domain::{fault::Reason, limits::POOL_CAP, pause::Activity},
    engine::{self, Handle, Rejection, Which},
};

/// Bytes of the reason of a pause.
const REASON_BYTES_MAX: usize = 256;
/// How long a status waits for one project before it says how the project stood when it last answered.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Admin(pub Arc<Desk>);

impl Admin {
    async fn serve<Req, Res>(
        &self,
        request: Request<Req>,
        project: impl Fn(&Req) -> &str,
        answer: impl AsyncFn(&Visit<'_>, Req) -> Result<Res, Failure>,
    ) -> Result<Response<Res>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let result = match self.0.admin_visit(&extensions, &metadata, project(&request)) {
            Ok(visit) => visit.noted(answer(&visit, request).await),
            Err(failure) => Err(failure),
        };
        result.map(Response::new).map_err(Failure::into_status)
    }

    /// Answers also while the daemon starts and stops: that is when people ask.
    async fn status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<proto::GetStatusResponse, Failure> {
        let (metadata, extensions, request) = request.into_parts();
        let desk = &self.0;
        let caller = desk.identify(&extensions, &metadata)?;
        caller.must_be_admin()?;
        if !request.project.is_empty() {
            desk.project(&caller, &request.project)?;
        }
        let mut projects = Vec::new();
        let mut ledger_bytes = 0;
        for project in desk.pools.projects() {
            let asked = request.project.is_empty() || project.as_str() == request.project;
            if !asked || !caller.uses(project) {
                continue;
            }
            let Some(handle) = desk.pools.open().find(|handle| handle.project() == project) else {
                projects.push(problems::dark(project, Reason::Starting));
                continue;
            };
            match handle.look(PATIENCE).await {
                Ok(status) => {
                    // One database holds the ledgers of all projects.
                    ledger_bytes = ledger_bytes.max(status.usage.bytes);
                    projects.push(project_status(handle, &status));
                }
                Err(rejection) => projects.push(problems::dark(project, rejection.reason)),
            }
        }
        Ok(proto::GetStatusResponse {
            version: desk.version.clone(),
            start_time: Some(convert::timestamp(desk.started)),
            projects,
            ledger_bytes,
            ready: desk.pools.complete() && !desk.pools.stopping(),
            draining: desk.pools.stopping(),
        })
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        self.status(request).await.map(Response::new).map_err(Failure::into_status)
    }

    async fn get_chronicle(
        &self,
        request: Request<proto::GetChronicleRequest>,
    ) -> Result<Response<proto::GetChronicleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let result = chronicle::get(&self.0, (&metadata, &extensions), request);
        result.map(Response::new).map_err(Failure::into_status)
    }

    async fn list_tokens(
        &self,
        request: Request<proto::ListTokensRequest>,
    ) -> Result<Response<proto::ListTokensResponse>, Status> {
        self.serve(request, |request| &request.project, list_tokens).await
    }

    async fn refill(
        &self,
        request: Request<proto::RefillRequest>,
    ) -> Result<Response<proto::RefillResponse>, Status> {
        self.serve(request, |request| &request.project, refill).await
    }

    async fn pause(
        &self,
        request: Request<proto::PauseRequest>,
    ) -> Result<Response<proto::PauseResponse>, Status> {
        self.serve(request, |request| &request.project, pause).await
    }

    async fn resume(
        &self,
        request: Request<proto::ResumeRequest>,
    ) -> Result<Response<proto::ResumeResponse>, Status> {
        self.serve(request, |request| &request.project, resume).await
    }

    async fn audit(
        &self,
        request: Request<proto::AuditRequest>,
    ) -> Result<Response<proto::AuditResponse>, Status> {
        self.serve(request, |request| &request.project, audit).await
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        self.serve(request, |request| &request.project, explain).await
    }

    async fn reconcile(
        &self,
        request: Request<proto::ReconcileRequest>,
    ) -> Result<Response<proto::ReconcileResponse>, Status> {
        self.serve(request, |request| &request.project, reconcile::reconcile).await
    }

    async fn preflight(
        &self,
        request: Request<proto::PreflightRequest>,
    ) -> Result<Response<proto::PreflightResponse>, Status> {
        self.serve(request, |request| &request.project, preflight::preflight).await
    }

    async fn revoke_leases(
        &self,
        request: Request<proto::RevokeLeasesRequest>,
    ) -> Result<Response<proto::RevokeLeasesResponse>, Status> {
        self.serve(request, |request| &request.project, revocation::revoke_many).await
    }

    async fn set_log_level(
        &self,
        request: Request<proto::SetLogLevelRequest>,
    ) -> Result<Response<proto::SetLogLevelResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let result = level::set(&self.0, (&metadata, &extensions), request);
        result.map(Response::new).map_err(Failure::into_status)
    }
}

async fn list_tokens(
    visit: &Visit<'_>,
    request: proto::ListTokensRequest,
) -> Result<proto::ListTokensResponse, Failure> {
    let seal = visit.handle.seal();
    let mut faults = Faults::default();
    let (from, size) = validate::page(request.page_size, &request.page_token, seal, &mut faults);
    let older_than = validate::duration(request.older_than, "older_than", &mut faults);
    for (number, stage) in request.stages.iter().enumerate() {
        if *stage == 0 || proto::TokenStage::try_from(*stage).is_err() {
            faults.add(format!("stages[{number}]"), "must be a named value");
        }
    }
    faults.check()?;
    let stages: BTreeSet<i32> = request.stages.into_iter().collect();
    let before = match older_than {
        Some(age) => Some(visit.handle.status().await?.now.minus(age)),
        None => None,
    };
    let page = visit
        .handle
        .tokens(from, size, move |token| {
            (stages.is_empty() || stages.contains(&convert::stage(&token.stage).into()))
                && before.is_none_or(|before| convert::stage_time(token) < before)
        })
        .await?;
    Ok(proto::ListTokensResponse {
        tokens: page.items.iter().map(|token| convert::token(seal, token)).collect(),
        next_page_token: validate::page_token(seal, page.next),
    })
}

async fn refill(
    visit: &Visit<'_>,
    request: proto::RefillRequest,
) -> Result<proto::RefillResponse, Failure> {
    let mut faults = Faults::default();
    if request.extra_tokens > POOL_CAP {
        faults.add("extra_tokens", format!("must be at most {POOL_CAP}"));
    }
    faults.check()?;
    visit.handle.refill(request.extra_tokens).await?;
    let status = visit.handle.status().await?;
    Ok(proto::RefillResponse { plan: Some(convert::plan(&status.plan, status.next_review)) })
}

async fn pause(
    visit: &Visit<'_>,
    request: proto::PauseRequest,
) -> Result<proto::PauseResponse, Failure> {
    let mut faults = Faults::default();
    let activities = activities(&request.activities, &[Activity::Leasing], &mut faults);
    if request.reason.len() > REASON_BYTES_MAX || request.reason.chars().any(char::is_control) {
        let rule = format!("must have at most {REASON_BYTES_MAX} bytes, none of them control");
        faults.add("reason", rule);
    }
    faults.check()?;
    let by = visit.caller.owner().as_str().to_owned();
    visit.handle.pause(activities, request.reason, by).await?;
    Ok(proto::PauseResponse { status: Some(status_of(visit.handle).await?) })
}

async fn resume(
    visit: &Visit<'_>,
    request: proto::ResumeRequest,
) -> Result<proto::ResumeResponse, Failure> {
    let mut faults = Faults::default();
    let activities = activities(&request.activities, &Activity::ALL, &mut faults);
    faults.check()?;
    visit.handle.resume(activities).await?;
    Ok(proto::ResumeResponse { status: Some(status_of(visit.handle).await?) })
}

async fn audit(visit: &Visit<'_>, _: proto::AuditRequest) -> Result<proto::AuditResponse, Failure> {
    let began = Instant::now();
    let (breaches, tokens_checked) = visit.handle.audit().await?;
    let breaches = breaches.into_iter().map(|breach| proto::Breach {
        promise: breach.promise.as_str().to_owned(),
        evidence: breach.evidence,
    });
    Ok(proto::AuditResponse {
        breaches: breaches.collect(),
        tokens_checked,
        took: Some(convert::duration(began.elapsed())),
    })
}

async fn explain(
    visit: &Visit<'_>,
    request: proto::ExplainRequest,
) -> Result<proto::ExplainResponse, Failure> {
    let proto::ExplainRequest { lease_id, reason, .. } = request;
    let mut faults = Faults::default();
    let known = Reason::ALL.iter().find(|known| known.as_str() == reason);
    if !reason.is_empty() && known.is_none() {
        faults.add("reason", "must be a reason of ErrorInfo, such as POOL_EMPTY");
    }
    if !reason.is_empty() && !lease_id.is_empty() {
        faults.add("reason", "must be empty when a lease is named");
    }
    let sequence = match lease_id.is_empty() {
        true => None,
        false => validate::lease_id(&lease_id, visit.handle.seal(), &mut faults),
    };
    faults.check()?;
    let status = visit.handle.look(PATIENCE).await?;
    let mut lines = match (sequence, lease_id.is_empty()) {
        (None, true) => Vec::new(),
        (None, false) => return Err(lease_not_found()),
        (Some(sequence), _) => {
            let found = visit.handle.find(Which::Sequence(sequence)).await?;
            engine::explain_lease(&found.ok_or_else(lease_not_found)?, status.now)
        }
    };
    if let Some(known) = known {
        lines.push(format!("{}: {}", known.as_str(), engine::meaning(*known)));
    }
    if sequence.is_none() {
        // What is the matter comes first; all that follows is how it stands beside.
        let problems = status.problems().into_iter();
        lines.extend(problems.map(|problem| {
            format!("{}: {} See {}.", problem.reason, problem.summary, problem.runbook())
        }));
        lines.extend(status.explain());
    }
    let plan = Some(convert::plan(&status.plan, status.next_review));
    Ok(proto::ExplainResponse { lines, plan })
}

async fn status_of(handle: &Handle) -> Result<proto::ProjectStatus, Rejection> {
    Ok(project_status(handle, &handle.status().await?))
}

fn project_status(handle: &Handle, status: &crate::engine::Status) -> proto::ProjectStatus {
    proto::ProjectStatus { problems: problems::of(status), ..convert::project(handle, status) }
}

fn activities(asked: &[i32], otherwise: &[Activity], faults: &mut Faults) -> Vec<Activity> {
    if asked.is_empty() {
        return otherwise.to_vec();
    }
    let mut activities = Vec::with_capacity(Activity::ALL.len());
    for (number, value) in asked.iter().enumerate() {
        let activity = match proto::Activity::try_from(*value) {
            Ok(proto::Activity::Leasing) => Activity::Leasing,
            Ok(proto::Activity::Refill) => Activity::Refill,
            Ok(proto::Activity::Purge) => Activity::Purge,
            Ok(proto::Activity::Unspecified) | Err(_) => {
                faults.add(format!("activities[{number}]"), "must be a named value");
                continue;
            }
        };
        if !activities.contains(&activity) {
            activities.push(activity);
        }
    }
    activities
}
