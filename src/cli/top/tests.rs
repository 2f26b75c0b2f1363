use super::*;
use crate::cli::{
    proto::{
        ArgosCall, GetChronicleResponse, Latencies, LatencyBucket, LeaseAnswers, ProjectChronicle,
        StockSample,
    },
    status::tests::{daemon, healthy, in_trouble},
    tests::{plain_screen, run_with},
};

/// A moment so many seconds after the view was opened.
pub(super) fn moment(seconds: i64) -> Moment {
    Moment { at: seconds * 1_000, wall: plain_screen().now }
}

fn millis(millis: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 })
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// As many within 2 ms as within nothing, and one in fifty within 20 ms.
fn latencies(count: u64) -> Latencies {
    let buckets = [(0.001, 0), (0.002, count * 49 / 50), (0.02, count)].into_iter();
    let bucket = |(upper_bound_seconds, count)| LatencyBucket { upper_bound_seconds, count };
    Latencies { buckets: buckets.map(bucket).collect(), count }
}

/// What happened to a project that gave so many leases.
fn chronicle(project: &str, leases: u64) -> ProjectChronicle {
    let call = |ago, operation: &str, result: &str, took| ArgosCall {
        age: seconds(ago),
        operation: operation.into(),
        result: result.into(),
        took: millis(took),
    };
    let sample = |ago, leasable_tokens| StockSample {
        age: seconds(ago),
        leasable_tokens,
        ..StockSample::default()
    };
    let answers = |code: &str, reason: &str, count| LeaseAnswers {
        code: code.into(),
        reason: reason.into(),
        count,
    };
    ProjectChronicle {
        project: project.into(),
        samples: (0..12)
            .rev()
            .map(|it| sample(it * 30, 5_000 - u32::try_from(it).unwrap() * 400))
            .collect(),
        calls: vec![
            call(3, "register", "settled", 84),
            call(9, "register", "unanswered", 999),
            call(70, "delete", "settled", 120),
            call(71, "list_submissions", "settled", 91),
            call(90, "count", "settled", 12),
            call(100, "count", "settled", 12),
        ],
        answers: vec![
            answers("OK", "none", leases),
            answers("ResourceExhausted", "pool_empty", leases / 40),
            answers("Unavailable", "paused", leases / 100),
        ],
        created_leases: leases,
        argos_calls: leases / 50,
        commits: Some(latencies(leases)),
    }
}

/// What a daemon answers that gave so many leases of each of these projects.
pub(super) fn answer(projects: Vec<ProjectStatus>, leases: u64) -> Answer {
    let names: Vec<_> = projects.iter().map(|status| status.project.clone()).collect();
    let lines = ["Leasing works: 4812 tokens can be leased.", "ARGOS_DOWN: as told above."];
    Answer {
        status: daemon(projects),
        why: Some((names[0].clone(), lines.map(str::to_owned).to_vec())),
        chronicle: Some(GetChronicleResponse {
            create_lease: Some(latencies(leases)),
            projects: names.iter().map(|name| chronicle(name, leases)).collect(),
        }),
    }
}

/// A project with a demand, that is well.
pub(super) fn well(project: &str) -> ProjectStatus {
    ProjectStatus {
        demand_tokens_per_second: 12.3,
        usual_demand_tokens_per_second: 10.0,
        ..healthy(project)
    }
}

pub(super) fn troubled(project: &str) -> ProjectStatus {
    in_trouble(project)
}

/// A view that was told twice, ten seconds apart, of a hundred leases.
pub(super) fn told(projects: &[ProjectStatus]) -> View {
    let mut view = View::default();
    view.hear(0, Ok(answer(projects.to_vec(), 1_000)));
    view.hear(10_000, Ok(answer(projects.to_vec(), 1_100)));
    view
}

#[tokio::test]
async fn without_a_terminal_top_says_what_to_use_instead_and_asks_nobody() {
    for line in ["top", "top --output json"] {
        let ran = run_with(line, &Environment::new()).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Usage, ""), "{line}");
        for part in ["terminal", "status --watch", "status --output json"] {
            assert!(ran.stderr.contains(part), "{line}: {}", ran.stderr);
        }
    }
}
