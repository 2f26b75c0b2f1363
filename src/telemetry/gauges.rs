//! How the pools stand, read from the engines at the moment somebody asks.
//!
//! The sheet is new for every reading, so a pool that is gone leaves no old number behind. Of one that does
//! not answer, as on a disk without a byte, the numbers are those it told last, and their age says so: an
//! alert that is about them stands, and a board does not go blank when it is needed most.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, Opts, Registry, proto::MetricFamily};
use tokio::task::JoinSet;

use super::metrics::register;
use crate::{
    domain::{fault::Reason, ids::ProjectName, pause::Activity, refill::Rest, time::Timestamp},
    engine::{Pools, Problem, Status},
    port::Condition,
};

/// How long an engine may take to answer before its last answer is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why hand-outs may be stopped whatever the stock.
const STOPPING_REASONS: [Reason; 5] =
    [Reason::Starting, Reason::Draining, Reason::Paused, Reason::Halted, Reason::LedgerUnavailable];

const CONDITIONS: [(Condition, &str); 7] = [
    (Condition::Up, "up"),
    (Condition::Failing, "failing"),
    (Condition::Down, "down"),
    (Condition::KeyRefused, "key_refused"),
    (Condition::AddressRefused, "address_refused"),
    (Condition::TransferRefused, "transfer_refused"),
    (Condition::Throttled, "throttled"),
];

/// Name, help, and value; a value that is not known is left out.
type OneNumber = (&'static str, &'static str, fn(&Status) -> Option<f64>);

const NUMBERS: &[OneNumber] = &[
    (
        "status_age_seconds",
        "How old the gauges of the project are, because its engine does not answer; 0 while it does.",
        |s| Some(s.unanswered.map_or(0.0, |it| s.now.since(it.since).as_secs_f64())),
    ),
    ("target_tokens", "Stock that refill aims at.", |s| Some(s.target.into())),
    ("low_water_tokens", "Below this stock parts of a batch are ordered.", |s| {
        Some(s.low_water.into())
    }),
    ("cap_tokens", "Tokens that ARGOS can hold for the project.", |s| Some(s.cap.into())),
    ("reserve_tokens", "Part of the cap that is never used by us.", |s| Some(s.reserve.into())),
    ("held_tokens", "Everything that holds a slot at ARGOS for us.", |s| {
        Some(s.census.held().into())
    }),
    ("foreign_tokens", "Ids that ARGOS counted and this ledger does not know.", |s| {
        Some(s.foreign.into())
    }),
    ("quarantined_tokens", "Ready tokens held back because ARGOS may have lost them.", |s| {
        Some(s.census.held_back.into())
    }),
    ("reconcile_brake", "Vanished tokens that wait for a person before they are deleted.", |s| {
        Some(s.braked.into())
    }),
    ("reconcile_last_timestamp_seconds", "When the last listing of all ids at ARGOS ended.", |s| {
        let at = s.reconciliation.as_ref().map(|report| report.at);
        at.map(Timestamp::as_secs_f64)
    }),
    ("unfinished_leases", "Closed leases about which ARGOS may have more to tell.", |s| {
        Some(s.unfinished.into())
    }),
    ("outcome_questions", "Submissions that ARGOS is to be asked about.", |s| {
        Some(s.questions.into())
    }),
    ("reported_tokens", "Ids that ARGOS counted last.", |s| {
        s.count.map(|count| count.reported.into())
    }),
    ("reconcile_drift_tokens", "What ARGOS counted less what it holds of ours for certain.", |s| {
        #[expect(clippy::cast_precision_loss, reason = "a difference of two pools")]
        s.count.and_then(|count| count.drift).map(|drift| drift as f64)
    }),
    ("refill_need_tokens", "Tokens that the stock is short of.", |s| Some(s.plan.need.into())),
    ("demand_tokens_per_second", "Tokens that callers asked for in the last half minute.", |s| {
        Some(s.demand)
    }),
    (
        "usual_demand_tokens_per_second",
        "Tokens that callers usually ask for: half an hour counts half; begins at 0 with the process.",
        |s| Some(s.usual_demand),
    ),
    ("time_to_empty_seconds", "How long the stock lasts at the present demand.", |s| {
        Some(or_for_ever(s.time_to_empty))
    }),
    ("outage_cover_seconds", "How long the stock would last if ARGOS were lost.", |s| {
        Some(or_for_ever(s.outage_cover))
    }),
    ("waiting_callers", "Callers in the queue of an empty pool.", |s| {
        Some(f64::from(u32::try_from(s.waiting_callers).unwrap_or(u32::MAX)))
    }),
    ("argos_up", "1 while calls to ARGOS are made and answered.", |s| {
        Some(f64::from(u8::from(s.supplier.condition.is_usable())))
    }),
    ("argos_last_success_timestamp_seconds", "When a call to ARGOS last settled.", |s| {
        s.supplier.last_success.map(Timestamp::as_secs_f64)
    }),
    ("argos_budget_remaining", "Calls to ARGOS that are left of the day's budget.", |s| {
        Some(s.supplier.budget_remaining.into())
    }),
    (
        "argos_budget_for_orders",
        "Calls left of the day's budget that may register tokens; the rest is kept for deletions and questions.",
        |s| Some(s.supplier.budget_for_orders.into()),
    ),
    ("argos_budget_calls", "Calls to ARGOS that a day may have.", |s| {
        Some(s.supplier.budget.into())
    }),
    ("argos_calls_in_flight", "Calls to ARGOS that wait for their answer.", |s| {
        Some(s.calls_in_flight.into())
    }),
    ("doubtful_orders", "Orders of which nobody knows whether they were registered.", |s| {
        Some(s.doubtful_orders.into())
    }),
    ("oldest_doubtful_seconds", "Age of the oldest doubt about an order; 0 without one.", |s| {
        Some(s.oldest_doubt.map_or(0.0, |since| s.now.since(since).as_secs_f64()))
    }),
    ("purge_backlog_tokens", "Tokens that wait for their deletion at ARGOS.", |s| {
        Some(s.census.doomed.into())
    }),
    (
        "stuck_tokens",
        "Tokens that ARGOS failed to delete so often that a person should look.",
        |s| Some(s.stuck.into()),
    ),
];

/// What a look at one project gave.
enum Look {
    Status(Box<Status>),
    /// It cannot be looked at, so it cannot lease either.
    Dark(Reason),
}

/// Looks at every project.
pub(super) async fn read(pools: &Pools, now: Timestamp) -> Vec<MetricFamily> {
    let mut looks: Vec<(ProjectName, Look)> = Vec::new();
    // Without the engines, which may be waiting for just that.
    let stalls: Vec<_> = pools
        .open()
        .map(|handle| (handle.project().clone(), handle.vitals().stalled_for(now)))
        .collect();
    let mut asked = JoinSet::new();
    for handle in pools.open() {
        let handle = handle.clone();
        asked.spawn(async move {
            let look = match handle.look(PATIENCE).await {
                Ok(status) => Look::Status(Box::new(status)),
                Err(rejection) => Look::Dark(rejection.reason),
            };
            (handle.project().clone(), look)
        });
    }
    while let Some(answer) = asked.join_next().await {
        looks.extend(answer);
    }
    for project in pools.projects() {
        if !looks.iter().any(|(known, _)| known == project) {
            looks.push((project.clone(), Look::Dark(Reason::Starting)));
        }
    }
    sheet(&looks, &stalls)
}

fn sheet(looks: &[(ProjectName, Look)], stalls: &[(ProjectName, Duration)]) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let family = |name: &str, help: &str, labels: &[&str]| {
        let options = Opts::new(format!("argospool_{name}"), help);
        register(&registry, GaugeVec::new(options, labels))
    };
    let leasable = family(
        "leasable_tokens",
        "Tokens that a caller could be given; 0 whenever CreateLease would be refused.",
        &["project"],
    );
    let stopped = family(
        "handout_stopped",
        "1 while hand-outs are stopped for the reason, whatever the stock.",
        &["project", "reason"],
    );
    let tokens = family("tokens", "Tokens by where they stand.", &["project", "stage"]);
    let condition =
        family("argos_condition", "1 for how ARGOS looks from here.", &["project", "condition"]);
    let paused = family(
        "paused",
        "1 while the activity rests by a person's order.",
        &["project", "activity"],
    );
    let resting = family(
        "refill_resting",
        "1 for the reason why nothing is ordered; 0 for all while something is.",
        &["project", "reason"],
    );
    let problem = family(
        "problem",
        "1 for what is not as it should be, under the reason that status tells.",
        &["project", "problem"],
    );
    let stalled = family(
        "commit_stalled_seconds",
        "For how long the ledger has not answered a commit; 0 while it answers.",
        &["project"],
    );
    let numbers: Vec<_> = NUMBERS
        .iter()
        .map(|(name, help, value)| (family(name, help, &["project"]), value))
        .collect();

    for (project, stall) in stalls {
        stalled.with_label_values(&[project.as_str()]).set(stall.as_secs_f64());
    }
    for (project, look) in looks {
        let name = project.as_str();
        let reason = match look {
            Look::Status(status) => status.stopped,
            Look::Dark(reason) => Some(*reason),
        };
        for known in STOPPING_REASONS {
            let value = f64::from(u8::from(reason == Some(known)));
            stopped.with_label_values(&[name, known.label()]).set(value);
        }
        let problems = match look {
            Look::Status(status) => status.problems(),
            Look::Dark(reason) => vec![Problem::dark(*reason)],
        };
        for (known, _) in Problem::KINDS {
            let is_open = problems.iter().any(|problem| problem.reason == known);
            let label = known.to_ascii_lowercase();
            problem.with_label_values(&[name, &label]).set(f64::from(u8::from(is_open)));
        }
        leasable.with_label_values(&[name]).set(0.0);
        let Look::Status(status) = look else { continue };
        leasable.with_label_values(&[name]).set(status.leasable.into());
        let census = status.census;
        for (stage, number) in [
            ("minted", census.minted),
            ("ready", census.ready),
            ("leased", census.leased),
            ("doomed", census.doomed),
        ] {
            tokens.with_label_values(&[name, stage]).set(number.into());
        }
        for (known, label) in CONDITIONS {
            let value = f64::from(u8::from(status.supplier.condition == known));
            condition.with_label_values(&[name, label]).set(value);
        }
        for known in Rest::ALL {
            let value = f64::from(u8::from(status.plan.rest == Some(known)));
            resting.with_label_values(&[name, known.as_str()]).set(value);
        }
        for activity in Activity::ALL {
            let rests = status.pauses.iter().any(|(known, _)| *known == activity);
            paused.with_label_values(&[name, activity.as_str()]).set(f64::from(u8::from(rests)));
        }
        for (family, value) in &numbers {
            if let Some(value) = value(status) {
                family.with_label_values(&[name]).set(value);
            }
        }
    }
    ledger(&registry, looks);
    registry.gather()
}

/// One database holds the ledgers of all projects, so these have no project.
fn ledger(registry: &Registry, looks: &[(ProjectName, Look)]) {
    let usages = || {
        looks.iter().filter_map(|(_, look)| match look {
            Look::Status(status) => Some(status.usage),
            Look::Dark(_) => None,
        })
    };
    let number = |name: &str, help: &str, value: Option<u64>| {
        let Some(value) = value else { return };
        let gauge = register(registry, Gauge::with_opts(Opts::new(name, help)));
        #[expect(clippy::cast_precision_loss, reason = "bytes of a disk need fewer than 53 bits")]
        gauge.set(value as f64);
    };
    number(
        "argospool_ledger_bytes",
        "Bytes that the ledger takes on its volume.",
        usages().map(|usage| usage.bytes).max(),
    );
    number(
        "argospool_ledger_free_bytes",
        "Bytes left on the volume of the ledger.",
        // A ledger in memory has no volume.
        usages().map(|usage| usage.free_bytes).filter(|free| *free < u64::MAX).min(),
    );
}

fn or_for_ever(span: Option<Duration>) -> f64 {
    span.map_or(f64::INFINITY, |span| span.as_secs_f64())
}
