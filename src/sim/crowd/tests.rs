use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::*;
use crate::sim::{
    control::Command, project::ProjectOptions, record::TokenState, sealed::Cipher, wire::ApiRequest,
};

const KEY: &str = "argos_test_demo";
const PID: &str = "pid_demo";

fn world(n: usize) -> World {
    let mut world = World::new(vec![ProjectOptions::default()], Duration::ZERO, 0);
    let ids: Vec<String> = (0..n).map(token).collect();
    for batch in ids.chunks(500) {
        let body = json!({ "tokenId": batch }).to_string().into_bytes();
        assert!(call(&mut world, "POST", "", body)["success"].as_bool().unwrap());
    }
    world
}

fn token(n: usize) -> String {
    format!("token-{n:06}")
}

fn link(n: usize) -> String {
    format!("http://127.0.0.1:8099/?pid={PID}&token={}&userid=u{n}&cf1=a%20b", token(n))
}

fn links(n: usize) -> Vec<String> {
    (0..n).map(link).collect()
}

fn call(world: &mut World, method: &str, query: &str, body: Vec<u8>) -> Value {
    let path = if body.is_empty() { "/v3/submission" } else { "/v3/submission/tokens" };
    let request = ApiRequest {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        key: Some(KEY.into()),
        body,
    };
    serde_json::from_str(&world.answer(0, &request).reply.unwrap().body).unwrap()
}

/// The one submission of the first link, as GET shows it.
fn shown(world: &mut World, report: &CrowdReport) -> Value {
    let id = report.people[0].submissions.last().unwrap();
    call(world, "GET", &format!("submission_id={id}"), Vec::new())["Items"][0].clone()
}

fn triggers(world: &mut World) -> Vec<String> {
    let state = world.state(0, None, 0).unwrap();
    let trigger = |body: &Value| body["webhook_trigger"].as_str().unwrap().to_owned();
    state["webhooks"].as_array().unwrap().iter().map(trigger).collect()
}

fn statuses(world: &mut World) -> Vec<Vec<Status>> {
    let (records, _) = world.record(0, None, 0, 1_000).unwrap();
    let of = |each: &crate::sim::TokenRecord| each.submissions.iter().map(|s| s.status).collect();
    records.iter().map(of).collect()
}

#[test]
fn each_plan_tells_what_a_person_who_did_it_would_have_caused() {
    let submits = |decision| Plan::Submits { decision };
    let retries = |times| Plan::Retries { times, decision: Decision::Approved };
    let cases: [(Plan, &[&str], &str); 12] = [
        (Plan::NeverOpens, &[], ""),
        (Plan::Opens, &[], ""),
        (Plan::WalksAway, &["created"], "incomplete"),
        (submits(Decision::Approved), &["created", "approved"], "approved"),
        (submits(Decision::Rejected), &["created", "rejected"], "rejected"),
        (submits(Decision::Pending), &["created", "submit"], "pending"),
        (submits(Decision::Delete), &["created", "delete"], ""),
        (retries(2), &["created", "retry", "retry", "approved"], "approved"),
        (retries(9), &["created", "retry", "retry", "rejected"], "rejected"),
        (Plan::Downgraded, &["created", "approved", "updated"], "rejected"),
        (Plan::TwoPeople, &["created", "created", "approved"], "approved"),
        (Plan::Deleted, &["created", "approved", "delete"], ""),
    ];
    for (plan, told, status) in cases {
        let mut world = world(1);
        let report = world.crowd(0, &links(1), plan);
        assert_eq!(triggers(&mut world), told, "{plan:?}");
        assert!(report.refused.is_empty());
        let started = told.iter().filter(|trigger| **trigger == "created").count();
        assert_eq!(report.people[0].submissions.len(), started, "{plan:?}");
        if started > 0 {
            let item = shown(&mut world, &report);
            assert_eq!(item["kyc"]["result"].as_str().unwrap_or_default(), status, "{plan:?}");
            let deleted = told.contains(&"delete");
            assert_eq!(item["comment"] == "Deleted Submission", deleted, "{plan:?}");
        }
        let first_use = world.record(0, None, 0, 1).unwrap().0[0].first_use;
        assert_eq!(first_use.is_some(), plan != Plan::NeverOpens, "{plan:?}");
    }
}

#[test]
fn a_third_failure_rejects_with_its_own_code() {
    let mut world = world(1);
    let plan = Plan::Retries { times: 3, decision: Decision::Approved };
    let report = world.crowd(0, &links(1), plan);
    let item = shown(&mut world, &report);
    assert_eq!(item["kyc"]["commentCode"], json!(["too_many_retry"]));
}

#[test]
fn what_is_pending_is_reviewed_in_a_later_call_even_after_its_token_is_gone() {
    let mut world = world(3);
    world.crowd(0, &links(2), Plan::Submits { decision: Decision::Pending });
    world.crowd(0, &[link(2)], Plan::Submits { decision: Decision::Approved });
    let gone = Command::Vanish { pid: None, oldest: 0, ids: vec![token(0)] };
    world.control(0, gone).unwrap();
    let report = world.crowd(0, &links(3), Plan::Reviewed { decision: Decision::Rejected });
    let judged: Vec<usize> = report.people.iter().map(|each| each.submissions.len()).collect();
    assert_eq!(judged, [1, 1, 0], "what is decided is no reviewer's");
    assert_eq!(
        statuses(&mut world),
        [[Status::Rejected], [Status::Rejected], [Status::Approved]].map(Vec::from)
    );
    assert_eq!(world.record(0, None, 0, 1).unwrap().0[0].state, TokenState::Vanished);
}

#[test]
fn an_administrator_changes_and_deletes_what_was_decided() {
    let mut world = world(1);
    let report = world.crowd(0, &links(1), Plan::Submits { decision: Decision::Rejected });
    world.crowd(0, &links(1), Plan::Edited { decision: Decision::Approved });
    assert_eq!(shown(&mut world, &report)["kyc"]["result"], "approved");
    world.crowd(0, &links(1), Plan::Edited { decision: Decision::Delete });
    assert_eq!(shown(&mut world, &report)["comment"], "Deleted Submission");
    assert_eq!(triggers(&mut world), ["created", "rejected", "updated", "delete"]);
    let again = world.crowd(0, &links(1), Plan::Edited { decision: Decision::Approved });
    assert!(again.people[0].submissions.is_empty());
}

#[test]
fn the_first_of_two_people_is_rejected_hours_after_the_second_was_approved() {
    let mut world = world(1);
    let rule = json!({"abandoned_after_ms": 6 * 60 * 60 * 1_000});
    world.control(0, Command::read("rules", rule.to_string().as_bytes()).unwrap()).unwrap();
    world.crowd(0, &links(1), Plan::TwoPeople);
    assert_eq!(statuses(&mut world), [[Status::Incomplete, Status::Approved]].map(Vec::from));
    world.control(0, Command::Clock { skip_ms: 6 * 60 * 60 * 1_000 }).unwrap();
    assert_eq!(statuses(&mut world), [[Status::Rejected, Status::Approved]].map(Vec::from));
    assert_eq!(triggers(&mut world).last().unwrap(), "rejected");
    assert_eq!(world.counters(PID).unwrap().tokens_opened_by_several, 1);
}

#[test]
fn a_link_is_read_as_a_browser_reads_it() {
    let mut world = world(2);
    let inside = json!({"token": token(1), "userid": "u 1"}).to_string();
    let text = Cipher::Ecb.seal(inside.as_bytes(), KEY);
    let encrypted = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let sealed = format!("https://form.example?pid={PID}&encrypted={encrypted}&lang=en#top");
    let bare = format!("http://127.0.0.1?pid={PID}&token={}", token(0));
    let links = [sealed, bare, "token-000000".into(), "http://h/elsewhere?pid=a".into()];
    let report = world.crowd(0, &links, Plan::Submits { decision: Decision::Approved });
    let refused: Vec<_> = report.people.iter().map(|each| each.refused).collect();
    assert_eq!(refused, [None, None, Some(NO_LINK), Some(NO_LINK)]);
    assert_eq!(shown(&mut world, &report)["userid"], "u 1");
}

#[test]
fn refusals_are_counted_by_cause_and_end_the_plan() {
    let mut world = world(2);
    world.crowd(0, &[link(0)], Plan::Submits { decision: Decision::Approved });
    world.crowd(0, &[link(1)], Plan::Opens);
    world.control(0, Command::Clock { skip_ms: 180_001 }).unwrap();
    let report = world.crowd(0, &links(3), Plan::Submits { decision: Decision::Approved });
    assert_eq!(report.refused, BTreeMap::from([("expired", 2), ("unknown", 1)]));
    assert!(report.people.iter().all(|each| each.submissions.is_empty()));
}

#[test]
fn a_plan_reads_as_it_is_documented() {
    let read = |fields: Value| Command::read("crowd", fields.to_string().as_bytes());
    let crowd = |plan| Ok(Command::Crowd(Crowd { links: vec![], plan }));
    let submits = Plan::Submits { decision: Decision::Approved };
    assert_eq!(read(json!({"links": [], "plan": "two_people"})), crowd(Plan::TwoPeople));
    let fields = json!({"links": [], "plan": {"submits": {"decision": "approved"}}});
    assert_eq!(read(fields), crowd(submits));
    assert!(read(json!({"links": [], "plan": "dances"})).is_err());
}
