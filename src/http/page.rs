//! `/`: how the pools stand, for somebody with a browser and nothing else; `/status.json` is what it reads.
//!
//! One page without anything from elsewhere. It asks nobody who they are, like the metrics, and says no more than
//! they do: no token, lease, link or word of a caller.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::probes::look;
use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    engine::{Pools, Status},
    port::Clock,
    telemetry::Chronicle,
};

const PAGE: &str = include_str!("page.html");
/// Nothing from elsewhere, nothing sent elsewhere, and in no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; frame-ancestors 'none'";

/// What the page is made of.
pub struct Overview {
    pub pools: Arc<Pools>,
    pub chronicle: Arc<Chronicle>,
    pub clock: Arc<dyn Clock>,
    pub version: &'static str,
}

/// The page and what it reads.
pub fn page(overview: Overview) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/status.json", get(status))
        .with_state(Arc::new(overview))
}

async fn show() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

async fn status(State(overview): State<Arc<Overview>>) -> Response {
    let mut projects = Vec::new();
    for project in overview.pools.projects() {
        projects.push(overview.project(project, look(&overview.pools, project).await));
    }
    let body = json!({
        "version": overview.version,
        "now": overview.clock.wall().as_millis(),
        "stopping": overview.pools.stopping(),
        "projects": projects,
    });
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_TYPE, "application/json")];
    (headers, body.to_string()).into_response()
}

impl Overview {
    fn project(&self, project: &ProjectName, look: Result<Status, &str>) -> Value {
        let samples = self.chronicle.samples(project).into_iter();
        let samples: Vec<_> = samples
            .map(|sample| {
                json!([sample.at.as_millis(), sample.leasable, sample.leased, sample.demand])
            })
            .collect();
        let calls = self.chronicle.calls(project).into_iter();
        let calls: Vec<_> = calls
            .map(|call| {
                json!({
                    "seconds_ago": call.ended.elapsed().as_secs(),
                    "operation": call.operation,
                    "result": call.result,
                    "took_ms": call.took.as_secs_f64() * 1_000.0,
                })
            })
            .collect();
        let status = match look {
            Ok(status) => told(&status),
            Err(fault) => json!({ "fault": fault }),
        };
        json!({ "project": project.as_str(), "status": status, "samples": samples, "calls": calls })
    }
}

fn told(status: &Status) -> Value {
    let seconds = |span: Option<std::time::Duration>| span.map(|span| span.as_secs());
    let problems = status.problems().into_iter().map(|problem| {
        let since = problem.since.map(Timestamp::as_millis);
        let runbook = problem.runbook();
        json!({ "reason": problem.reason, "summary": problem.summary, "since": since, "runbook": runbook })
    });
    json!({
        "as_of": status.unanswered.map(|unanswered| unanswered.since.as_millis()),
        "leasable": status.leasable,
        "target": status.target,
        "low_water": status.low_water,
        "leased": status.census.leased,
        "minted": status.census.minted,
        "doomed": status.census.doomed,
        "held": status.census.held(),
        "foreign": status.foreign,
        "cap": status.cap,
        "waiting_callers": status.waiting_callers,
        "demand": status.demand,
        "time_to_empty_seconds": seconds(status.time_to_empty),
        "outage_cover_seconds": seconds(status.outage_cover),
        "argos_is_usable": status.supplier.condition.is_usable(),
        "budget": status.supplier.budget,
        "budget_remaining": status.supplier.budget_remaining,
        "explained": status.explain(),
        "problems": problems.collect::<Vec<_>>(),
    })
}
