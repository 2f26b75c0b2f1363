//! The registry, and what is counted at the edges.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

#[cfg(target_os = "linux")]
use super::process::ProcessMetrics;
use super::{
    chronicle::Chronicle,
    gauges, log,
    project::{PoolCounters, ProjectMetrics},
    skew::ClockSkew,
    trace,
};
use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    engine::Pools,
    port::Clock,
};

/// Stands in a project label where a request named no project that is configured. No project can be
/// called so.
const NO_PROJECT: &str = "-";

/// From half a millisecond to ten seconds, in seconds; an objective must be one of the edges.
pub(super) const REQUEST_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Every metric of the process that is not read from an engine. Cheap to share.
pub struct Metrics {
    registry: Registry,
    chronicle: Arc<Chronicle>,
    pub(super) lease_requests: IntCounterVec,
    grpc_started: IntCounterVec,
    grpc_handled: IntCounterVec,
    pub(super) grpc_seconds: HistogramVec,
    webhooks: IntCounterVec,
    webhook_last: GaugeVec,
    scheduler_runs: IntCounterVec,
    scheduler_last_run: GaugeVec,
    watch_streams: IntGauge,
    panics: IntCounter,
    pub(super) pools: PoolCounters,
}

impl Metrics {
    /// `revision` names the source that the binary was built from.
    pub fn new(version: &str, revision: &str) -> Arc<Self> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            Opts::new("argospool_build_info", "Always 1; the labels tell what runs."),
            &["version", "revision"],
        );
        let build = register(&registry, build);
        build.with_label_values(&[version, revision]).set(1);
        register(&registry, Ok(trace::spans_counted()));
        register(&registry, Ok(log::lines_counted()));
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(ProcessMetrics::new()))
            .expect("the process metrics have names of their own");
        let chronicle = Arc::<Chronicle>::default();
        Arc::new(Self {
            lease_requests: counters(
                &registry,
                "argospool_lease_requests_total",
                "Answers to CreateLease and BatchCreateLeases, by gRPC code and by reason.",
                &["project", "code", "reason"],
            ),
            grpc_started: counters(
                &registry,
                "grpc_server_started_total",
                "Calls that began.",
                &["grpc_service", "grpc_method"],
            ),
            grpc_handled: counters(
                &registry,
                "grpc_server_handled_total",
                "Calls that were answered, by gRPC code.",
                &["grpc_service", "grpc_method", "grpc_code"],
            ),
            grpc_seconds: histograms(
                &registry,
                "grpc_server_handling_seconds",
                "Time from the first byte of a call to the last byte of its answer.",
                REQUEST_BUCKETS,
                &["grpc_service", "grpc_method"],
            ),
            webhooks: counters(
                &registry,
                "argospool_webhooks_total",
                "Webhooks that arrived, by trigger and by what became of them.",
                &["project", "trigger", "result"],
            ),
            webhook_last: gauges_by(
                &registry,
                "argospool_webhook_last_timestamp_seconds",
                "When a webhook for the project last arrived, whatever became of it; absent before the first.",
                &["project"],
            ),
            scheduler_last_run: gauges_by(
                &registry,
                "argospool_scheduler_last_run_timestamp_seconds",
                "When the scheduler last rang, by bell; before the first time, when the process started.",
                &["bell"],
            ),
            watch_streams: register(
                &registry,
                IntGauge::new("argospool_watch_streams", "Streams of WatchLeases that are open."),
            ),
            scheduler_runs: counters(
                &registry,
                "argospool_scheduler_runs_total",
                "Times that the scheduler rang, by bell.",
                &["bell"],
            ),
            panics: register(
                &registry,
                IntCounter::new(
                    "argospool_panics_total",
                    "Requests that ended in a panic: each is a mistake of ours.",
                ),
            ),
            pools: PoolCounters::new(&registry, chronicle.clone()),
            chronicle,
            registry,
        })
    }

    /// What happened in the last hours.
    pub fn chronicle(&self) -> &Arc<Chronicle> {
        &self.chronicle
    }

    /// Shows from here on how far the wall clock is from pool time. Once per process.
    pub fn watch_clock(&self, clock: Arc<dyn Clock>) {
        register(&self.registry, ClockSkew::of(clock));
    }

    /// The part that belongs to one project, with every series there from the start.
    pub fn project(self: &Arc<Self>, project: &ProjectName) -> ProjectMetrics {
        self.pools.of(project)
    }

    /// Makes a series for each pair of gRPC code and reason that an answer can have.
    pub fn expect_lease_requests<'a>(
        &self,
        projects: impl Iterator<Item = &'a ProjectName>,
        answers: &[(&'static str, &'static str)],
    ) {
        let names = projects.map(ProjectName::as_str).chain([NO_PROJECT]);
        for project in names {
            for (code, reason) in answers {
                self.lease_requests.with_label_values(&[project, code, reason]);
            }
        }
    }

    /// One answer to a request for leases. `project` is `None` where no configured one was named.
    pub fn lease_request(&self, project: Option<&ProjectName>, code: &str, reason: &str) {
        let project = project.map_or(NO_PROJECT, ProjectName::as_str);
        self.lease_requests.with_label_values(&[project, code, reason]).inc();
    }

    /// The part that belongs to one gRPC method, with the series of these codes there from the start.
    pub fn method(&self, service: &str, method: &str, codes: &[&'static str]) -> MethodMetrics {
        let counter = |code| (code, self.grpc_handled.with_label_values(&[service, method, code]));
        MethodMetrics {
            started: self.grpc_started.with_label_values(&[service, method]),
            handled: codes.iter().copied().map(counter).collect(),
            seconds: self.grpc_seconds.with_label_values(&[service, method]),
        }
    }

    /// Makes a series for each pair of trigger and result that a webhook can have.
    pub fn expect_webhooks<'a>(
        &self,
        projects: impl Iterator<Item = &'a ProjectName>,
        pairs: &[(&'static str, &'static str)],
    ) {
        let names = projects.map(ProjectName::as_str).chain([NO_PROJECT]);
        for project in names {
            for (trigger, result) in pairs {
                self.webhooks.with_label_values(&[project, trigger, result]);
            }
        }
    }

    /// One webhook, at this wall time. `project` is `None` where the path gave none away.
    pub fn webhook(
        &self,
        project: Option<&ProjectName>,
        trigger: &str,
        result: &str,
        at: Timestamp,
    ) {
        if let Some(project) = project {
            self.webhook_last.with_label_values(&[project.as_str()]).set(at.as_secs_f64());
        }
        let project = project.map_or(NO_PROJECT, ProjectName::as_str);
        self.webhooks.with_label_values(&[project, trigger, result]).inc();
    }

    /// Makes the series of the scheduler's bells. Until one has rung it counts as rung at this wall time, so
    /// that an alert sees a scheduler that never begins, and not one that has been silent for decades.
    pub fn expect_bells(&self, bells: &[&'static str], started: Timestamp) {
        for bell in bells {
            self.scheduler_runs.with_label_values(&[bell]);
            self.scheduler_last_run.with_label_values(&[bell]).set(started.as_secs_f64());
        }
    }

    /// The scheduler rang this bell, at this wall time.
    pub fn rang(&self, bell: &'static str, at: Timestamp) {
        self.scheduler_last_run.with_label_values(&[bell]).set(at.as_secs_f64());
        self.scheduler_runs.with_label_values(&[bell]).inc();
    }

    /// A stream of `WatchLeases` was opened.
    pub fn watch_opened(&self) {
        self.watch_streams.inc();
    }

    /// A stream of `WatchLeases` ended.
    pub fn watch_closed(&self) {
        self.watch_streams.dec();
    }

    /// A request ended in a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Everything in the text format of Prometheus, at this pool time. Looks at every engine on the way.
    pub async fn render(&self, pools: &Pools, now: Timestamp) -> String {
        let mut families = self.registry.gather();
        families.extend(gauges::read(pools, now).await);
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let text = TextEncoder::new()
            .encode_to_string(&families)
            .expect("families that a registry gathered can be written");
        // The crate prints infinity as Rust does; the format spells it otherwise.
        text.replace(" inf\n", " +Inf\n")
    }
}

/// What one gRPC method counts.
pub struct MethodMetrics {
    started: IntCounter,
    /// By code.
    handled: BTreeMap<&'static str, IntCounter>,
    seconds: Histogram,
}

impl MethodMetrics {
    /// One call began.
    pub fn started(&self) {
        self.started.inc();
    }

    /// One call was answered to its end, with one of the codes that were named at first.
    pub fn handled(&self, code: &'static str, took: Duration) {
        if let Some(counter) = self.handled.get(code) {
            counter.inc();
        }
        seconds(&self.seconds, took);
    }
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges_by(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(registry, GaugeVec::new(Opts::new(name, help), labels))
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(options, labels))
}

/// Keeps a metric. Names and labels are constants of this module, each used once.
pub(super) fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> C {
    let metric = metric.expect("the name and the labels of a metric are valid");
    registry.register(Box::new(metric.clone())).expect("no name is used twice");
    metric
}

pub(super) fn seconds(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

#[cfg(test)]
mod tests;
