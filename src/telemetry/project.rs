//! The counters of the pools: one more fold over what was committed.

use std::{sync::Arc, time::Duration};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use tokio::time::Instant;

use super::{
    chronicle::{CallRecord, Chronicle},
    metrics::{REQUEST_BUCKETS, counters, histograms, seconds},
};
use crate::{
    domain::{
        ids::ProjectName,
        invariant::{Breach, Promise},
        pool::{Answer, Event, News, Reconciliation},
        token::{Decision, Ending, Holder},
    },
    port::Observer,
};

/// A commit takes microseconds in memory and up to seconds on a sick disk.
const COMMIT_BUCKETS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    5.0,
];
const GROUP_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 256.0];
/// A lease lasts seconds to hours.
const LEASE_BUCKETS: &[f64] =
    &[1.0, 10.0, 30.0, 60.0, 180.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0];
/// ARGOS answers in seconds.
const ARGOS_BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

const ORDER_RESULTS: [&str; 5] = ["settled", "refused", "doubtful", "given_up", "dropped"];
const LISTING_RESULTS: [&str; 5] = ["whole", "missing", "braked", "void", "dry_run"];
const ANSWERS: [&str; 3] = ["ours", "stranger", "nothing"];
const OPERATIONS: [&str; 8] = [
    "register",
    "delete",
    "count",
    "find",
    "list",
    "find_submission",
    "list_submissions",
    "settings",
];
const CALL_RESULTS: [&str; 12] = [
    "settled",
    "not_sent",
    "key_refused",
    "address_refused",
    "transfer_refused",
    "throttled",
    "request_refused",
    "too_many",
    "cap_reached",
    "unanswered",
    "failed",
    "unclear",
];

/// The counters of all pools.
pub(super) struct PoolCounters {
    chronicle: Arc<Chronicle>,
    pub(super) leases_created: IntCounterVec,
    leases_presumed: IntCounterVec,
    leases_closed: IntCounterVec,
    decisions: IntCounterVec,
    late_facts: IntCounterVec,
    refill_batches: IntCounterVec,
    tokens_minted: IntCounterVec,
    tokens_deleted: IntCounterVec,
    tokens_vanished: IntCounterVec,
    listings: IntCounterVec,
    outcome_answers: IntCounterVec,
    leases_started: IntCounterVec,
    lease_seconds: HistogramVec,
    audit_breaches: IntCounterVec,
    commits_failed: IntCounterVec,
    pub(super) commit_seconds: HistogramVec,
    commit_group_size: HistogramVec,
    lease_wait_seconds: HistogramVec,
    pub(super) argos_requests: IntCounterVec,
    argos_request_seconds: HistogramVec,
}

impl PoolCounters {
    pub(super) fn new(registry: &Registry, chronicle: Arc<Chronicle>) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            counters(registry, &format!("argospool_{name}"), help, labels)
        };
        let histograms = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            histograms(registry, &format!("argospool_{name}"), help, buckets, labels)
        };
        Self {
            chronicle,
            leases_created: counters(
                "leases_created_total",
                "Leases that were given to callers, replays not counted.",
                &["project"],
            ),
            leases_presumed: counters(
                "leases_presumed_total",
                "Tokens taken out of use because somebody may have shown them.",
                &["project"],
            ),
            leases_closed: counters(
                "leases_closed_total",
                "Leases that closed, by the reason.",
                &["project", "ending"],
            ),
            decisions: counters(
                "decisions_total",
                "Decisions of ARGOS that were recorded, those after the end of a lease included.",
                &["project", "decision"],
            ),
            late_facts: counters(
                "late_facts_total",
                "News about leases that had closed before.",
                &["project"],
            ),
            refill_batches: counters(
                "refill_batches_total",
                "Attempts to register an order at ARGOS, by what came of them.",
                &["project", "result"],
            ),
            tokens_minted: counters(
                "tokens_minted_total",
                "Token ids that were drawn and written down.",
                &["project"],
            ),
            tokens_deleted: counters(
                "tokens_deleted_total",
                "Tokens that ARGOS deleted for us.",
                &["project"],
            ),
            tokens_vanished: counters(
                "tokens_vanished_total",
                "Tokens that ARGOS no longer lists, by where they stood.",
                &["project", "stage"],
            ),
            listings: counters(
                "listings_total",
                "Listings of all ids at ARGOS, by what came of them.",
                &["project", "result"],
            ),
            outcome_answers: counters(
                "outcome_answers_total",
                "Questions about single submissions, by whose they were.",
                &["project", "result"],
            ),
            leases_started: counters(
                "leases_started_total",
                "Leases of which a first sign of use came while they were open.",
                &["project"],
            ),
            lease_seconds: histograms(
                "lease_seconds",
                "Time from the issue of a lease to its end.",
                LEASE_BUCKETS,
                &["project", "ending"],
            ),
            commits_failed: counters(
                "commits_failed_total",
                "Groups of changes that did not become durable, or of which nobody knows; the ledger was read again.",
                &["project"],
            ),
            audit_breaches: counters(
                "audit_breaches_total",
                "Promises that were found broken.",
                &["project", "promise"],
            ),
            commit_seconds: histograms(
                "commit_seconds",
                "Time until a group of changes was durable.",
                COMMIT_BUCKETS,
                &["project"],
            ),
            commit_group_size: histograms(
                "commit_group_size",
                "Answers that waited for one durable write.",
                GROUP_BUCKETS,
                &["project"],
            ),
            lease_wait_seconds: histograms(
                "lease_wait_seconds",
                "Time that callers stood in the queue of an empty pool, served or not.",
                REQUEST_BUCKETS,
                &["project"],
            ),
            argos_requests: counters(
                "argos_requests_total",
                "Calls to ARGOS that ended, by what came of them.",
                &["project", "operation", "result"],
            ),
            argos_request_seconds: histograms(
                "argos_request_seconds",
                "Time that calls to ARGOS took.",
                ARGOS_BUCKETS,
                &["project", "operation"],
            ),
        }
    }

    /// One project's part. Every series exists from here on, at zero.
    pub(super) fn of(&self, project: &ProjectName) -> ProjectMetrics {
        let name = project.as_str();
        for operation in OPERATIONS {
            self.argos_request_seconds.with_label_values(&[name, operation]);
            for result in CALL_RESULTS {
                self.argos_requests.with_label_values(&[name, operation, result]);
            }
        }
        let labelled = |family: &IntCounterVec, values: &[&str]| {
            for value in values {
                family.with_label_values(&[name, value]);
            }
            family.clone()
        };
        ProjectMetrics {
            project: project.clone(),
            chronicle: self.chronicle.clone(),
            leases_created: self.leases_created.with_label_values(&[name]),
            leases_presumed: self.leases_presumed.with_label_values(&[name]),
            leases_closed: labelled(&self.leases_closed, &Ending::ALL.map(Ending::as_str)),
            decisions: labelled(&self.decisions, &Decision::ALL.map(Decision::as_str)),
            late_facts: self.late_facts.with_label_values(&[name]),
            refill_batches: labelled(&self.refill_batches, &ORDER_RESULTS),
            tokens_minted: self.tokens_minted.with_label_values(&[name]),
            tokens_deleted: self.tokens_deleted.with_label_values(&[name]),
            tokens_vanished: labelled(&self.tokens_vanished, &["ready", "leased"]),
            listings: labelled(&self.listings, &LISTING_RESULTS),
            outcome_answers: labelled(&self.outcome_answers, &ANSWERS),
            leases_started: self.leases_started.with_label_values(&[name]),
            lease_seconds: {
                for ending in Ending::ALL {
                    self.lease_seconds.with_label_values(&[name, ending.as_str()]);
                }
                self.lease_seconds.clone()
            },
            commits_failed: self.commits_failed.with_label_values(&[name]),
            audit_breaches: {
                let promises: Vec<_> = Promise::ALL.iter().map(|one| one.as_str()).collect();
                labelled(&self.audit_breaches, &promises)
            },
            commit_seconds: self.commit_seconds.with_label_values(&[name]),
            commit_group_size: self.commit_group_size.with_label_values(&[name]),
            lease_wait_seconds: self.lease_wait_seconds.with_label_values(&[name]),
            argos_requests: self.argos_requests.clone(),
            argos_request_seconds: self.argos_request_seconds.clone(),
        }
    }
}

/// What one project counts: hears its engine, and the client that calls ARGOS for it.
#[derive(Clone)]
pub struct ProjectMetrics {
    project: ProjectName,
    chronicle: Arc<Chronicle>,
    leases_created: IntCounter,
    leases_presumed: IntCounter,
    leases_closed: IntCounterVec,
    decisions: IntCounterVec,
    late_facts: IntCounter,
    refill_batches: IntCounterVec,
    tokens_minted: IntCounter,
    tokens_deleted: IntCounter,
    tokens_vanished: IntCounterVec,
    listings: IntCounterVec,
    outcome_answers: IntCounterVec,
    leases_started: IntCounter,
    lease_seconds: HistogramVec,
    commits_failed: IntCounter,
    audit_breaches: IntCounterVec,
    commit_seconds: Histogram,
    commit_group_size: Histogram,
    lease_wait_seconds: Histogram,
    argos_requests: IntCounterVec,
    argos_request_seconds: HistogramVec,
}

impl ProjectMetrics {
    /// One call to ARGOS ended. Both words come from closed lists of the client.
    pub fn called(&self, operation: &'static str, result: &'static str, took: Duration) {
        let name = self.project.as_str();
        self.argos_requests.with_label_values(&[name, operation, result]).inc();
        seconds(&self.argos_request_seconds.with_label_values(&[name, operation]), took);
        let call = CallRecord { ended: Instant::now(), operation, result, took };
        self.chronicle.called(&self.project, call);
    }

    fn count(&self, family: &IntCounterVec, value: &str) {
        family.with_label_values(&[self.project.as_str(), value]).inc();
    }

    fn heard(&self, event: &Event) {
        match event {
            Event::Minted { tokens, .. } => self.tokens_minted.inc_by(tokens.len() as u64),
            Event::OrderSettled { .. } => self.count(&self.refill_batches, "settled"),
            Event::OrderRefused { .. } => self.count(&self.refill_batches, "refused"),
            Event::OrderDoubted { .. } => self.count(&self.refill_batches, "doubtful"),
            Event::OrderGivenUp { .. } => self.count(&self.refill_batches, "given_up"),
            Event::OrderDropped { .. } => self.count(&self.refill_batches, "dropped"),
            Event::Leased { lease, .. } => match lease.holder {
                Holder::Caller { .. } => self.leases_created.inc(),
                Holder::Presumed => self.leases_presumed.inc(),
            },
            Event::Closed { line, .. } => {
                self.count(&self.leases_closed, line.ending.as_str());
                let labels = [self.project.as_str(), line.ending.as_str()];
                let took = line.closed.since(line.issued);
                seconds(&self.lease_seconds.with_label_values(&labels), took);
                if let Some(decided) = line.decided() {
                    self.count(&self.decisions, decided.decision.as_str());
                }
            }
            Event::LateFact { decided, .. } => {
                self.late_facts.inc();
                if let Some(decision) = decided {
                    self.count(&self.decisions, decision.as_str());
                }
            }
            Event::Deleted { sequences } => self.tokens_deleted.inc_by(sequences.len() as u64),
            Event::Vanished { .. } => self.count(&self.tokens_vanished, "ready"),
            Event::Told { news: News::FirstUse, .. } => self.leases_started.inc(),
            Event::Told { news: News::Vanished, .. } => self.count(&self.tokens_vanished, "leased"),
            Event::ListingEnded { conclusion } => {
                let Reconciliation { void, dry_run, braked, missing, .. } = conclusion.report;
                let result = if void {
                    "void"
                } else if dry_run {
                    "dry_run"
                } else if braked {
                    "braked"
                } else if missing > 0 {
                    "missing"
                } else {
                    "whole"
                };
                self.count(&self.listings, result);
            }
            Event::Answered { answer, .. } => {
                let answer = match answer {
                    Answer::Ours => "ours",
                    Answer::Stranger => "stranger",
                    Answer::Nothing => "nothing",
                };
                self.count(&self.outcome_answers, answer);
            }
            Event::Breached { breach: Breach { promise, .. } } => {
                self.count(&self.audit_breaches, promise.as_str());
            }
            Event::OrderReady { .. }
            | Event::Told { news: News::More, .. }
            | Event::Rescheduled { .. }
            | Event::Shown { .. }
            | Event::LinkDead { .. }
            | Event::ListingWanted { .. }
            | Event::ListingBegan { .. }
            | Event::Listed { .. }
            | Event::VanishedSettled { .. }
            | Event::HeldBack { .. }
            | Event::LossAccepted
            | Event::ForeignDoomed { .. }
            | Event::ForeignDeleted { .. }
            | Event::Asked { .. }
            | Event::SurveyBegan { .. }
            | Event::Surveyed { .. }
            | Event::Aged { .. }
            | Event::Discarded { .. }
            | Event::DeletionFailed { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Cleared
            | Event::Forgotten { .. }
            | Event::Counted { .. }
            | Event::CountWanted { .. }
            | Event::CapReached { .. }
            | Event::KeyChecked { .. }
            | Event::ExtraOrdered { .. } => (),
        }
    }
}

impl Observer for ProjectMetrics {
    fn committed(&self, events: &[Event]) {
        events.iter().for_each(|event| self.heard(event));
    }

    fn group(&self, commands: usize, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a group has a few hundred commands")]
        self.commit_group_size.observe(commands as f64);
        seconds(&self.commit_seconds, took);
    }

    fn commit_failed(&self) {
        self.commits_failed.inc();
    }

    fn waited(&self, callers: usize, waited: Duration) {
        for _ in 0..callers {
            seconds(&self.lease_wait_seconds, waited);
        }
    }
}
