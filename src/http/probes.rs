//! `/livez`, `/readyz` and `/metrics`.
//!
//! `/livez` fails only when a new process would help. `/readyz` says that the process can answer: an
//! empty pool or a broken promise must not cut off reads, releases and webhooks as well, so whether
//! it can lease is a question of its own, `/readyz?lease`, of every project or of one.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    domain::{fault::Reason, ids::ProjectName},
    engine::{Pools, Status},
    port::Clock,
    telemetry::Metrics,
};

/// How long an engine may take to answer before it does not turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the probes look at.
pub struct Probes {
    pub pools: Arc<Pools>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

/// The probes and the metrics.
pub fn probes(probes: Probes) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(probes))
}

#[derive(Deserialize)]
struct Question {
    /// Set: whether leasing works too. Not empty: of this project only.
    lease: Option<String>,
}

async fn livez(State(probes): State<Arc<Probes>>) -> Response {
    let now = probes.clock.now();
    let mut report = Report::default();
    for handle in probes.pools.open() {
        let stuck = handle.vitals().stuck_for(now);
        let fault = stuck
            .map(|span| format!("the ledger has not answered a commit for {} s", span.as_secs()));
        report.line(handle.project().as_str(), fault);
    }
    report.answer()
}

async fn readyz(State(probes): State<Arc<Probes>>, Query(question): Query<Question>) -> Response {
    let mut report = Report::default();
    let stopping = probes.pools.stopping();
    report.line("process", stopping.then(|| "stopping".to_owned()));
    let one = question.lease.as_deref().filter(|project| !project.is_empty());
    let mut known = one.is_none();
    for project in probes.pools.projects() {
        if one.is_some_and(|one| one != project.as_str()) {
            continue;
        }
        known = true;
        let fault = match look(&probes.pools, project).await {
            Err(fault) => Some(fault.to_owned()),
            Ok(status) if status.unanswered.is_some() => {
                Some("the engine does not answer".to_owned())
            }
            Ok(status) if question.lease.is_some() => cannot_lease(&status),
            Ok(_) => None,
        };
        report.line(project.as_str(), fault);
    }
    if !known {
        report.line("project", Some("no such project".to_owned()));
    }
    report.answer()
}

async fn metrics(State(probes): State<Arc<Probes>>) -> Response {
    let text = probes.metrics.render(&probes.pools, probes.clock.now()).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// How a project stands, or why that cannot be told.
pub(super) async fn look(pools: &Pools, project: &ProjectName) -> Result<Status, &'static str> {
    let handle = pools
        .open()
        .find(|handle| handle.project() == project)
        .ok_or("the ledger is being opened")?;
    handle.look(PATIENCE).await.map_err(|_| "the engine has stopped")
}

fn cannot_lease(status: &Status) -> Option<String> {
    if status.leasable > 0 {
        return None;
    }
    let reason = status.stopped.unwrap_or(Reason::PoolEmpty);
    Some(format!("cannot lease: {}", reason.label()))
}

/// One line for each check.
#[derive(Default)]
struct Report {
    text: String,
    failed: bool,
}

impl Report {
    fn line(&mut self, subject: &str, fault: Option<String>) {
        self.failed |= fault.is_some();
        let result = fault.as_deref().unwrap_or("ok");
        let _ = writeln!(self.text, "{subject}: {result}");
    }

    fn answer(self) -> Response {
        let code = if self.failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (code, self.text).into_response()
    }
}
