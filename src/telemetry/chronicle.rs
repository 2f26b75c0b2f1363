//! What happened in the last hours, for the page that somebody opens first: in memory, bounded, and gone with the
//! process. Whoever wants more asks Prometheus.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    engine::{Pools, Status},
    port::Clock,
};

/// Six hours, a sample every half minute.
const SAMPLE_EVERY: Duration = Duration::from_secs(30);
const SAMPLES_MAX: usize = 720;
const CALLS_MAX: usize = 20;
/// How long an engine may take before a sample is left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the stock of a project stood at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Wall time, for a clock on a wall.
    pub at: Timestamp,
    /// The same moment, for its age.
    pub taken: Instant,
    pub leasable: u32,
    pub leased: u32,
    /// Tokens that callers asked for per second.
    pub demand: f64,
}

/// A call to ARGOS that ended.
#[derive(Clone, Copy, Debug)]
pub struct CallRecord {
    pub ended: Instant,
    pub operation: &'static str,
    pub result: &'static str,
    pub took: Duration,
}

/// The last samples and calls of every project.
#[derive(Default)]
pub struct Chronicle {
    records: Mutex<BTreeMap<ProjectName, Record>>,
}

#[derive(Clone, Default)]
struct Record {
    samples: VecDeque<Sample>,
    calls: VecDeque<CallRecord>,
}

impl Chronicle {
    /// Takes a sample of every pool at once and then every half minute, until told to stop.
    pub async fn keep(
        self: Arc<Self>,
        pools: Arc<Pools>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut ticks = interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sampling = async {
            loop {
                ticks.tick().await;
                for handle in pools.open() {
                    if let Ok(Ok(status)) = timeout(PATIENCE, handle.status()).await {
                        self.sampled(handle.project(), &status, clock.wall());
                    }
                }
            }
        };
        stop.run_until_cancelled(sampling).await;
    }

    fn sampled(&self, project: &ProjectName, status: &Status, at: Timestamp) {
        let sample = Sample {
            at,
            taken: Instant::now(),
            leasable: status.leasable,
            leased: status.census.leased,
            demand: status.demand,
        };
        push(&mut self.lock().entry(project.clone()).or_default().samples, sample, SAMPLES_MAX);
    }

    pub(super) fn called(&self, project: &ProjectName, call: CallRecord) {
        push(&mut self.lock().entry(project.clone()).or_default().calls, call, CALLS_MAX);
    }

    /// Oldest first.
    pub fn samples(&self, project: &ProjectName) -> Vec<Sample> {
        self.lock()
            .get(project)
            .map(|record| record.samples.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Newest first.
    pub fn calls(&self, project: &ProjectName) -> Vec<CallRecord> {
        let records = self.lock();
        records
            .get(project)
            .map(|record| record.calls.iter().rev().copied().collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectName, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(items: &mut VecDeque<T>, item: T, most: usize) {
    if items.len() == most {
        items.pop_front();
    }
    items.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_calls_is_bounded_and_the_newest_come_first() {
        let chronicle = Chronicle::default();
        let project = ProjectName::parse("default").unwrap();
        for number in 0..=CALLS_MAX as u64 {
            let took = Duration::from_millis(number);
            let call = CallRecord {
                ended: Instant::now(),
                operation: "register",
                result: "settled",
                took,
            };
            chronicle.called(&project, call);
        }
        let calls = chronicle.calls(&project);
        assert_eq!(
            (calls.len(), calls[0].took),
            (CALLS_MAX, Duration::from_millis(CALLS_MAX as u64))
        );
        assert!(calls.iter().all(|call| !call.took.is_zero()));
    }
}
