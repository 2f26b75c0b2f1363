use super::*;
use crate::cli::{
    proto::{ActivePause, Problem, TokenCounts},
    tests::{plain_screen, seconds_ago},
};

pub(in crate::cli) fn minutes(minutes: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: minutes * 60, nanos: 0 })
}

pub(in crate::cli) fn healthy(project: &str) -> ProjectStatus {
    ProjectStatus {
        project: project.into(),
        counts: Some(TokenCounts { minted: 188, ready: 4_812, drawn: 0, leased: 22, doomed: 3 }),
        leasable_tokens: 4_812,
        target_tokens: 5_000,
        low_water_tokens: 1_000,
        cap_tokens: 100_000,
        reserve_tokens: 10_000,
        held_tokens: 5_025,
        time_to_empty: minutes(80),
        outage_cover: minutes(62),
        argos: Some(ArgosStatus {
            condition: ArgosCondition::Up as i32,
            last_success_time: Some(seconds_ago(2)),
            calls_in_flight: 1,
            budget_remaining: 99_120,
            budget_calls: 100_000,
            reported_tokens: 4_837,
            reported_time: Some(seconds_ago(185)),
            ..ArgosStatus::default()
        }),
        plan: Some(RefillPlan {
            need_tokens: 188,
            order_tokens: 188,
            next_review_time: Some(seconds_ago(-8)),
            ..RefillPlan::default()
        }),
        can_lease: true,
        ..ProjectStatus::default()
    }
}

pub(in crate::cli) fn in_trouble(project: &str) -> ProjectStatus {
    ProjectStatus {
        project: project.into(),
        target_tokens: 500,
        argos: Some(ArgosStatus {
            condition: ArgosCondition::AddressRefused as i32,
            next_attempt_time: Some(seconds_ago(-30)),
            doubtful_orders: 2,
            oldest_doubtful: minutes(3),
            ..ArgosStatus::default()
        }),
        pauses: vec![ActivePause {
            activity: Activity::Refill as i32,
            reason: "new address at ARGOS".into(),
            paused_by: "uid:1000".into(),
            pause_time: Some(seconds_ago(700)),
        }],
        plan: Some(RefillPlan {
            need_tokens: 500,
            rest_reason: "refill is paused".into(),
            ..RefillPlan::default()
        }),
        problems: vec![Problem {
            reason: "ARGOS_ADDRESS_REFUSED".into(),
            summary: "ARGOS refuses the address of this host".into(),
            since_time: Some(seconds_ago(900)),
            runbook: "deploy/runbooks/ArgospoolArgosRefusesUs.md".into(),
        }],
        ..ProjectStatus::default()
    }
}

pub(in crate::cli) fn daemon(projects: Vec<ProjectStatus>) -> GetStatusResponse {
    GetStatusResponse {
        version: "0.1.0".into(),
        start_time: Some(seconds_ago(3 * 3_600 + 60)),
        projects,
        ledger_bytes: 13_000_000,
        ready: true,
        draining: false,
    }
}

#[test]
fn one_project_that_is_well_is_a_strip_and_its_numbers() {
    assert_eq!(
        render(&daemon(vec![healthy("default")]), &plain_screen()),
        "\
argospool 0.1.0, started 3 h ago, ledger 12.3 MiB

PROJECT  CAN LEASE  LEASABLE        EMPTY IN  OUTAGE COVER  ARGOS  PLAN
default  yes        4,812 of 5,000  1h 20m    1h 2m         up     188 short, 188 on order

tokens    188 minted, 4,812 ready, 0 drawn, 22 leased, 3 doomed
at ARGOS  5,025 held, 0 foreign, cap 100,000 less 10,000 in reserve
callers   0 callers waiting; low water at 1,000 tokens
calls     last success 2 s ago, 1 in flight, 99,120 left today
reported  4,837 tokens, 3 min ago
review    in 8 s
"
    );
}

#[test]
fn of_many_projects_only_the_one_in_trouble_says_more_than_its_line() {
    assert_eq!(
        render(&daemon(vec![healthy("default"), in_trouble("kyc")]), &plain_screen()),
        "\
argospool 0.1.0, started 3 h ago, ledger 12.3 MiB

PROJECT  CAN LEASE  LEASABLE        EMPTY IN  OUTAGE COVER  ARGOS            PLAN
default  yes        4,812 of 5,000  1h 20m    1h 2m         up               188 short, 188 on order
kyc      NO         0 of 500        -         -             address refused  500 short, resting

kyc
  ! ARGOS_ADDRESS_REFUSED: ARGOS refuses the address of this host (since 15 min ago)
    deploy/runbooks/ArgospoolArgosRefusesUs.md
  refill paused by uid:1000, 11 min ago: new address at ARGOS
  refill rests: refill is paused
"
    );
}

#[test]
fn doubtful_orders_are_told_with_the_age_of_the_oldest() {
    let text = projects(&[in_trouble("kyc")], &plain_screen());
    assert!(text.contains("\ndoubtful  2 orders, the oldest for 3m\n"), "{text}");
    assert!(text.contains("\ncalls     last success -, next attempt in 30 s, "), "{text}");
}

#[test]
fn a_daemon_that_stops_or_is_not_ready_says_so_first() {
    let first_line = |ready, draining| {
        let status = GetStatusResponse { ready, draining, ..daemon(Vec::new()) };
        render(&status, &plain_screen()).lines().next().unwrap_or_default().to_owned()
    };
    assert!(first_line(false, false).ends_with(", not ready"));
    assert!(first_line(true, true).ends_with(", stopping"));
}

#[test]
fn json_has_the_keys_of_the_proto_and_null_for_what_is_unset() {
    let value = json::status(&daemon(vec![healthy("default"), in_trouble("kyc")]));
    assert_eq!(value["start_time"], "2027-01-15T04:59:00Z");
    assert_eq!(value["projects"][0]["time_to_empty"], "4800.000s");
    assert_eq!(value["projects"][0]["argos"]["condition"], "ARGOS_CONDITION_UP");
    assert_eq!(value["projects"][0]["argos"]["next_attempt_time"], serde_json::Value::Null);
    assert_eq!(value["projects"][1]["outage_cover"], serde_json::Value::Null);
    assert_eq!(value["projects"][1]["pauses"][0]["activity"], "ACTIVITY_REFILL");
    assert_eq!(value["projects"][1]["plan"]["rest_reason"], "refill is paused");
    assert_eq!(value["ledger_bytes"], 13_000_000);
}

#[test]
fn colour_marks_trouble_and_a_label_cannot_forge_it() {
    let screen = Screen { color: true, ..plain_screen() };
    let text = projects(&[in_trouble("kyc\x1b[32m")], &screen);
    assert!(text.contains("\x1b["), "{text:?}");
    assert!(text.contains("kyc\u{fffd}[32m") && !text.contains("kyc\x1b"), "{text:?}");
    assert!(!projects(&[in_trouble("kyc")], &plain_screen()).contains('\x1b'));
}
