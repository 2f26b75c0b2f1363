use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{Access, stand::Stand},
    domain::{
        ids::{ProjectName, Revision, Sequence},
        pause::Activity,
        pool::Event,
        submission::Submissions,
        time::Timestamp,
        token::{ClosedLease, Decision, Ending},
    },
    engine::Pools,
    port::{Clock, Observer as _},
    telemetry::Metrics,
};

/// One line of samples: name, label names, value.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<&'a str>,
    value: &'a str,
}

fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty());
        let labels = labels.map(|pair| pair.split_once("=\"").unwrap().0).collect();
        Sample { name, labels, value }
    })
}

/// Everything that a daemon with one project tells.
async fn everything() -> (Stand, String) {
    let stand = Stand::ready().await;
    stand.server(Access::default());
    stand.metrics.expect_bells(&["floor"], Timestamp::from_millis(1_500));
    stand.metrics.expect_webhooks(stand.pools.projects(), &[("created", "recorded")]);
    // The first count of ARGOS tells how many ids are there.
    stand.until("default", |status| status.count.is_some()).await;
    let text = stand.scraped().await;
    (stand, text)
}

#[tokio::test]
async fn every_metric_keeps_the_naming_rules() {
    let (_stand, text) = everything().await;
    let mut types = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                assert!(help.ends_with('.') && help.len() > 10, "{line}");
                helped.insert(name);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                types.insert(name, kind);
            }
            _ => (),
        }
    }
    for (name, kind) in &types {
        assert!(helped.contains(name), "{name} has no help");
        let known = ["argospool_", "grpc_server_", "process_"];
        assert!(known.iter().any(|prefix| name.starts_with(prefix)), "{name}");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let foreign_unit = ["_ms", "_millis", "_minutes", "_kb", "_mb", "_percent"];
        assert!(!foreign_unit.iter().any(|unit| name.contains(unit)), "{name}");
    }
    let labels = [
        "project",
        "code",
        "reason",
        "stage",
        "ending",
        "decision",
        "result",
        "operation",
        "condition",
        "problem",
        "activity",
        "promise",
        "trigger",
        "level",
        "bell",
        "le",
        "version",
        "revision",
        "grpc_service",
        "grpc_method",
        "grpc_code",
    ];
    for sample in samples(&text) {
        for label in sample.labels {
            assert!(labels.contains(&label), "{} has the label {label}", sample.name);
        }
        assert!(!sample.value.contains("inf"), "{} {}", sample.name, sample.value);
    }
}

#[tokio::test]
async fn the_promised_metrics_are_there_from_the_start() {
    let (_stand, text) = everything().await;
    let names: BTreeSet<_> = samples(&text).map(|sample| sample.name).collect();
    for name in [
        "tokens",
        "leasable_tokens",
        "target_tokens",
        "low_water_tokens",
        "cap_tokens",
        "reserve_tokens",
        "held_tokens",
        "foreign_tokens",
        "demand_tokens_per_second",
        "usual_demand_tokens_per_second",
        "time_to_empty_seconds",
        "outage_cover_seconds",
        "refill_resting",
        "problem",
        "status_age_seconds",
        "lease_seconds_bucket",
        "leases_created_total",
        "leases_closed_total",
        "decisions_total",
        "lease_requests_total",
        "handout_stopped",
        "late_facts_total",
        "lease_wait_seconds_bucket",
        "waiting_callers",
        "commit_seconds_bucket",
        "commit_group_size_bucket",
        "commits_failed_total",
        "commit_stalled_seconds",
        "refill_batches_total",
        "argos_requests_total",
        "argos_request_seconds_bucket",
        "argos_up",
        "argos_condition",
        "argos_budget_calls",
        "argos_budget_for_orders",
        "argos_budget_remaining",
        "oldest_doubtful_seconds",
        "doubtful_orders",
        "webhooks_total",
        "purge_backlog_tokens",
        "stuck_tokens",
        "audit_breaches_total",
        "reported_tokens",
        "paused",
        "ledger_bytes",
        "build_info",
        "scheduler_runs_total",
        "scheduler_last_run_timestamp_seconds",
        "watch_streams",
        "panics_total",
    ] {
        assert!(names.contains(format!("argospool_{name}").as_str()), "{name}\n{text}");
    }
    for name in ["process_start_time_seconds", "process_resident_memory_bytes"] {
        assert!(names.contains(name), "{name}");
    }
}

#[tokio::test]
async fn no_series_gives_a_token_away() {
    let (stand, text) = everything().await;
    let tokens = stand.handle("default").tokens(Sequence::ZERO, 1_000, |_| true).await.unwrap();
    assert!(!tokens.items.is_empty());
    for token in tokens.items {
        assert!(!text.contains(token.id.expose()));
    }
}

#[tokio::test]
async fn a_stock_that_nobody_asks_for_lasts_for_ever() {
    let (_stand, text) = everything().await;
    let line = "argospool_time_to_empty_seconds{project=\"default\"} +Inf";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[tokio::test]
async fn a_pool_that_is_not_open_has_no_stock_and_says_why() {
    let stand = Stand::closed(&["default"]);
    let text = stand.scraped().await;
    for line in [
        "argospool_leasable_tokens{project=\"default\"} 0",
        "argospool_handout_stopped{project=\"default\",reason=\"starting\"} 1",
        "argospool_handout_stopped{project=\"default\",reason=\"paused\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("argospool_tokens{"), "{text}");
}

#[tokio::test]
async fn a_paused_pool_has_tokens_and_none_to_lease() {
    let stand = Stand::ready().await;
    let leasing = vec![Activity::Leasing];
    stand.handle("default").pause(leasing, String::new(), "test".to_owned()).await.unwrap();
    let text = stand.scraped().await;
    for line in [
        "argospool_tokens{project=\"default\",stage=\"ready\"} 20",
        "argospool_leasable_tokens{project=\"default\"} 0",
        "argospool_handout_stopped{project=\"default\",reason=\"paused\"} 1",
        "argospool_paused{activity=\"leasing\",project=\"default\"} 1",
        "argospool_paused{activity=\"refill\",project=\"default\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn calls_to_argos_are_counted_as_their_client_tells() {
    let stand = Stand::ready().await;
    let project = stand.pools.projects().next().unwrap();
    let metrics = stand.metrics.project(project);
    metrics.called("register", "settled", std::time::Duration::from_millis(120));
    let text = stand.scraped().await;
    for line in [
        "argospool_argos_requests_total{operation=\"register\",project=\"default\",result=\"settled\"} 1",
        "argospool_argos_requests_total{operation=\"delete\",project=\"default\",result=\"unanswered\"} 0",
        "argospool_argos_request_seconds_count{operation=\"register\",project=\"default\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_commit_that_never_came_to_be_is_not_counted() {
    let stand = Stand::ready().await;
    let before = stand.scraped().await;
    let created = "argospool_leases_created_total{project=\"default\"} 0";
    assert!(before.lines().any(|line| line == created), "{before}");
    stand.disk("default").refuse_commit();
    let mut pool = crate::api::proto::token_pool_service_client::TokenPoolServiceClient::new(
        stand.serve(Access::default()).await,
    );
    pool.create_lease(crate::api::proto::CreateLeaseRequest::default()).await.unwrap_err();
    let after = stand.scraped().await;
    assert!(after.lines().any(|line| line == created), "{after}");
}

#[tokio::test]
async fn a_decision_counts_once_however_often_its_line_changes() {
    let name = ProjectName::parse("default").unwrap();
    let metrics = Metrics::new("1", "test");
    let line = ClosedLease {
        sequence: Sequence::new(1),
        revision: Revision::default(),
        issued: Timestamp::ZERO,
        deadline: Timestamp::ZERO,
        started: None,
        submissions: Submissions::default(),
        vanished: None,
        closed: Timestamp::ZERO,
        ending: Ending::Lapsed,
        link_dead: None,
        replaces: None,
        replaced_by: None,
        correlated: false,
        grant: None,
        closer: None,
    };
    let approved = Event::LateFact { line: line.clone(), decided: Some(Decision::Approved) };
    let opened_earlier = Event::LateFact { line, decided: None };
    metrics.project(&name).committed(&[approved, opened_earlier]);
    let text = metrics.render(&Pools::new([name]), Timestamp::ZERO).await;
    let counted = "argospool_decisions_total{decision=\"approved\",project=\"default\"} 1\n";
    assert!(text.contains(counted), "{text}");
    assert!(text.contains("argospool_late_facts_total{project=\"default\"} 2\n"), "{text}");
}

#[tokio::test]
async fn a_bell_that_never_rang_counts_from_the_start_of_the_process() {
    let (stand, text) = everything().await;
    let line = "argospool_scheduler_last_run_timestamp_seconds{bell=\"floor\"}";
    assert!(text.contains(&format!("{line} 1.5\n")), "{text}");
    stand.metrics.rang("floor", Timestamp::from_millis(9_000));
    assert!(stand.scraped().await.contains(&format!("{line} 9\n")));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_time_of_the_processor_moves_in_fractions_of_a_second() {
    let metrics = Metrics::new("1", "1");
    let spent = async || {
        let text = metrics.render(&Pools::new([]), Timestamp::ZERO).await;
        let (_, line) = text.split_once("\nprocess_cpu_seconds_total ").unwrap();
        line.split_once('\n').unwrap().0.parse::<f64>().unwrap()
    };
    let mut values = BTreeSet::new();
    while values.len() < 3 {
        values.insert(spent().await.to_bits());
    }
    let (first, last) = (values.first().unwrap(), values.last().unwrap());
    assert!(f64::from_bits(*last) - f64::from_bits(*first) < 1.0);
}

/// T1: what an operator must see while the wall clock is not believed.
#[tokio::test]
async fn the_skew_of_the_clock_is_wall_time_less_pool_time() {
    struct Skewed(u64, u64);

    impl Clock for Skewed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }

        fn continue_from(&self, _: Timestamp) {}

        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.1)
        }
    }

    for (clock, skew) in [(Skewed(5_000, 95_500), "90.5"), (Skewed(95_500, 5_000), "-90.5")] {
        let metrics = Metrics::new("1", "1");
        metrics.watch_clock(std::sync::Arc::new(clock));
        let text = metrics.render(&Pools::new([]), Timestamp::ZERO).await;
        assert!(text.contains(&format!("argospool_clock_skew_seconds {skew}\n")), "{text}");
    }
}

/// Everything that can be scraped, as `deploy/docs/metrics.md` lists it.
fn table(text: &str) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in samples(text) {
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.name.strip_suffix(end));
        for name in [Some(sample.name), family].into_iter().flatten() {
            labels
                .entry(name)
                .or_default()
                .extend(sample.labels.iter().filter(|label| **label != "le"));
        }
    }
    let mut helps = BTreeMap::new();
    let mut table = String::from(
        "# Metrics\n\nEverything at `/metrics` of the HTTP port, as the daemon itself tells it. Units stand in the names. \
         Gauges of a project are read from its\nengine at every scrape. While it does not answer they are what it told last, \
         and `argospool_status_age_seconds` says how old that is;\nthey are absent before its ledger is open. Counters of what \
         became of tokens and leases are a fold over committed events, so that they\ncannot disagree with the ledger.\n\n| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n",
    );
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                helps.insert(name, help);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let labels = labels.get(name).into_iter().flatten();
                let labels =
                    labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
                table.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", helps[name]));
            }
            _ => (),
        }
    }
    table
}

#[tokio::test]
async fn the_documented_metrics_are_those_that_are_scraped() {
    let (stand, _) = everything().await;
    stand.metrics.watch_clock(stand.clock.clone());
    let project = stand.pools.projects().next();
    stand.metrics.webhook(project, "created", "recorded", Timestamp::ZERO);
    let fresh = table(&stand.scraped().await);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/docs/metrics.md");
    if std::env::var_os("ARGOSPOOL_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, fresh, "run this test with ARGOSPOOL_WRITE_GOLDEN=1 to write it anew");
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_is_seen_although_its_engine_cannot_be_asked() {
    let stand = Stand::ready().await;
    stand.disk("default").hang_commit();
    let handle = stand.handle("default").clone();
    tokio::spawn(async move {
        handle.pause(vec![Activity::Refill], String::new(), "test".to_owned()).await
    });
    crate::api::stand::eventually(async || {
        !stand.handle("default").vitals().stalled_for(stand.clock.now()).is_zero()
    })
    .await;
    stand.clock.jump(std::time::Duration::from_secs(61));
    let text = stand.scraped().await;
    let stalled = "argospool_commit_stalled_seconds{project=\"default\"} 6";
    assert!(text.lines().any(|line| line.starts_with(stalled)), "{text}");
    for line in [
        "argospool_problem{problem=\"ledger_unavailable\",project=\"default\"} 1",
        "argospool_handout_stopped{project=\"default\",reason=\"ledger_unavailable\"} 1",
        "argospool_leasable_tokens{project=\"default\"} 0",
        // What it told last goes on being told, with its age.
        "argospool_tokens{project=\"default\",stage=\"ready\"} 20",
        "argospool_target_tokens{project=\"default\"} 20",
        "argospool_refill_resting{project=\"default\",reason=\"enough\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let age = "argospool_status_age_seconds{project=\"default\"} 6";
    assert!(text.lines().any(|line| line.starts_with(age)), "{text}");
    stand.disk("default").release();
    stand.until("default", |status| !status.pauses.is_empty()).await;
    let text = stand.scraped().await;
    let fresh = "argospool_status_age_seconds{project=\"default\"} 0";
    assert!(text.lines().any(|line| line == fresh), "{text}");
}

#[tokio::test]
async fn a_paused_refill_says_why_nothing_is_ordered_and_that_it_is_a_problem() {
    let stand = Stand::ready().await;
    let refill = vec![Activity::Refill];
    let before = stand.scraped().await;
    let full = "argospool_refill_resting{project=\"default\",reason=\"enough\"} 1";
    assert!(before.lines().any(|found| found == full), "{before}");
    stand.handle("default").pause(refill, String::new(), "test".to_owned()).await.unwrap();
    let mut pool = crate::api::proto::token_pool_service_client::TokenPoolServiceClient::new(
        stand.serve(Access::default()).await,
    );
    pool.create_lease(crate::api::proto::CreateLeaseRequest::default()).await.unwrap();
    let text = stand.scraped().await;
    for line in [
        "argospool_refill_resting{project=\"default\",reason=\"paused\"} 1",
        "argospool_refill_resting{project=\"default\",reason=\"enough\"} 0",
        "argospool_problem{problem=\"paused\",project=\"default\"} 1",
        "argospool_problem{problem=\"argos_down\",project=\"default\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
