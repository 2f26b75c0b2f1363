//! What the counters and histograms of the metrics have come to, for a reader that does not speak the language of
//! Prometheus. Nothing is counted here: it is read where it was counted.

use prometheus::{Histogram, IntCounterVec, core::Collector as _};

use super::{Metrics, project::PoolCounters};
use crate::domain::ids::ProjectName;

/// A histogram of durations since the process started.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    /// Upper bounds in seconds, the lowest first, and how many took that long or less.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were, whatever they took.
    pub count: u64,
}

/// How often requests for leases were answered in one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseAnswers {
    /// Both as in the labels of `argospool_lease_requests_total`.
    pub code: String,
    pub reason: String,
    /// More than 0.
    pub count: u64,
}

/// What one project's part has come to since the process started.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectTally {
    /// In the order of their labels.
    pub answers: Vec<LeaseAnswers>,
    /// Leases given to callers, replays not counted.
    pub created_leases: u64,
    /// Calls to ARGOS that ended.
    pub argos_calls: u64,
    /// Time until a group of changes was durable.
    pub commits: Latencies,
}

impl Metrics {
    /// How long the calls of one gRPC method took, of all projects together.
    pub fn latencies(&self, service: &str, method: &str) -> Latencies {
        Latencies::of(&self.grpc_seconds.with_label_values(&[service, method]))
    }

    /// What one project's counters say.
    pub fn tally(&self, project: &ProjectName) -> ProjectTally {
        let answers = labelled(&self.lease_requests, project).filter(|(_, count)| *count > 0).map(
            |(labels, count)| {
                let label = |name: &str| {
                    let found = labels.iter().find(|(label, _)| label == name);
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                LeaseAnswers { code: label("code"), reason: label("reason"), count }
            },
        );
        let mut answers: Vec<_> = answers.collect();
        answers.sort();
        self.pools.tally(project, answers)
    }
}

impl PoolCounters {
    fn tally(&self, project: &ProjectName, answers: Vec<LeaseAnswers>) -> ProjectTally {
        ProjectTally {
            answers,
            created_leases: self.leases_created.with_label_values(&[project.as_str()]).get(),
            argos_calls: labelled(&self.argos_requests, project).map(|(_, count)| count).sum(),
            commits: Latencies::of(&self.commit_seconds.with_label_values(&[project.as_str()])),
        }
    }
}

impl Latencies {
    fn of(histogram: &Histogram) -> Self {
        let families = histogram.collect();
        let metric = families.first().and_then(|family| family.get_metric().first());
        let histogram = metric.map(|metric| metric.get_histogram());
        Self {
            buckets: histogram.map_or_else(Vec::new, |histogram| {
                let buckets = histogram.get_bucket().iter();
                buckets.map(|it| (it.upper_bound(), it.cumulative_count())).collect()
            }),
            count: histogram.map_or(0, |histogram| histogram.get_sample_count()),
        }
    }
}

/// The series of one project: their labels by name, and their counts.
fn labelled(
    family: &IntCounterVec,
    project: &ProjectName,
) -> impl Iterator<Item = (Vec<(String, String)>, u64)> {
    let series = family.collect().into_iter().flat_map(|mut family| family.take_metric());
    series.filter_map(|metric| {
        let labels = metric.get_label().iter();
        let labels: Vec<_> =
            labels.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect();
        let ours =
            labels.iter().any(|(name, value)| name == "project" && value == project.as_str());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        ours.then(|| (labels, metric.get_counter().get_value() as u64))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tally_says_what_was_counted_of_its_project_and_of_no_other() {
        let metrics = Metrics::new("1", "r");
        let [default, other] = ["default", "other"].map(|name| ProjectName::parse(name).unwrap());
        metrics.expect_lease_requests([&default, &other].into_iter(), &[("OK", "none")]);
        for (project, code, reason) in [
            (&default, "OK", "none"),
            (&default, "OK", "none"),
            (&default, "ResourceExhausted", "pool_empty"),
            (&other, "Unavailable", "paused"),
        ] {
            metrics.lease_request(Some(project), code, reason);
        }
        let told = metrics.tally(&default).answers;
        let told: Vec<_> = told.iter().map(|it| (it.reason.as_str(), it.count)).collect();
        assert_eq!(told, [("none", 2), ("pool_empty", 1)]);
        assert_eq!(metrics.tally(&other).answers.len(), 1);
    }

    #[test]
    fn latencies_are_the_buckets_that_prometheus_is_told() {
        let metrics = Metrics::new("1", "r");
        let method = metrics.method("s", "m", &["OK"]);
        for millis in [1, 2, 700] {
            method.handled("OK", Duration::from_millis(millis));
        }
        let told = metrics.latencies("s", "m");
        let below = |bound: f64| told.buckets.iter().find(|(at, _)| *at == bound).unwrap().1;
        assert_eq!(
            (below(0.001), below(0.0025), below(0.5), below(1.0), told.count),
            (1, 2, 2, 3, 3)
        );
    }
}
