//! What happened lately, read where it is kept for the status page and for Prometheus.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Extensions, metadata::MetadataMap};

use super::{
    convert::duration,
    desk::Desk,
    proto,
    status::Failure,
    validate::{self, Faults},
};
use crate::{domain::ids::ProjectName, telemetry};

/// The method whose latency is told, as the proto spells it.
const LEASING: (&str, &str) = ("argospool.v1.TokenPoolService", "CreateLease");

/// Answers also while the daemon starts and stops, and asks no engine: that is when people ask.
pub(super) fn get(
    desk: &Desk,
    (metadata, extensions): (&MetadataMap, &Extensions),
    request: proto::GetChronicleRequest,
) -> Result<proto::GetChronicleResponse, Failure> {
    let caller = desk.identify(extensions, metadata)?;
    caller.must_be_admin()?;
    let mut faults = Faults::default();
    let window = validate::duration(request.window, "window", &mut faults);
    faults.check()?;
    if !request.project.is_empty() {
        desk.project(&caller, &request.project)?;
    }
    let now = Instant::now();
    let asked = |project: &&ProjectName| {
        let named = request.project.is_empty() || project.as_str() == request.project;
        named && caller.uses(project)
    };
    let projects = desk.pools.projects().filter(asked);
    Ok(proto::GetChronicleResponse {
        create_lease: Some(latencies(desk.metrics.latencies(LEASING.0, LEASING.1))),
        projects: projects.map(|project| chronicle(desk, project, window, now)).collect(),
    })
}

fn chronicle(
    desk: &Desk,
    project: &ProjectName,
    window: Option<Duration>,
    now: Instant,
) -> proto::ProjectChronicle {
    let (kept, tally) = (desk.metrics.chronicle(), desk.metrics.tally(project));
    let age = |at: Instant| now.saturating_duration_since(at);
    let wanted =
        |sample: &telemetry::Sample| window.is_none_or(|window| age(sample.taken) <= window);
    let samples =
        kept.samples(project).into_iter().filter(wanted).map(|sample| proto::StockSample {
            age: Some(duration(age(sample.taken))),
            leasable_tokens: sample.leasable,
            leased_tokens: sample.leased,
            demand_tokens_per_second: sample.demand,
        });
    let calls = kept.calls(project).into_iter().map(|call| proto::ArgosCall {
        age: Some(duration(age(call.ended))),
        operation: call.operation.to_owned(),
        result: call.result.to_owned(),
        took: Some(duration(call.took)),
    });
    let answers = tally.answers.into_iter().map(|answers| {
        let telemetry::LeaseAnswers { code, reason, count } = answers;
        proto::LeaseAnswers { code, reason, count }
    });
    proto::ProjectChronicle {
        project: project.as_str().to_owned(),
        samples: samples.collect(),
        calls: calls.collect(),
        answers: answers.collect(),
        created_leases: tally.created_leases,
        argos_calls: tally.argos_calls,
        commits: Some(latencies(tally.commits)),
    }
}

fn latencies(told: telemetry::Latencies) -> proto::Latencies {
    let buckets = told
        .buckets
        .into_iter()
        .map(|(upper_bound_seconds, count)| proto::LatencyBucket { upper_bound_seconds, count });
    proto::Latencies { buckets: buckets.collect(), count: told.count }
}
