use serde_json::Value;

use super::*;
use crate::sim::{
    project::ProjectOptions,
    rules::{Expiration, RuleChange},
};

const TOKEN: &str = "token-0001";

fn project() -> Project {
    let mut project = Project::new(ProjectOptions { cap: 10, ..ProjectOptions::default() });
    project.register(0, [TOKEN, "token-0002"], false);
    project
}

fn start(project: &mut Project, now: Millis, visitor: &str) -> Result<String, Refusal> {
    project.start(now, TOKEN, visitor, Person::default(), format!("sub-{visitor}-{now}"))
}

fn triggers(project: &Project) -> Vec<String> {
    let name = |body: &String| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["webhook_trigger"].as_str().unwrap().to_owned()
    };
    project.outbox.shown().iter().map(name).collect()
}

#[test]
fn a_token_opens_for_three_minutes_after_first_use_and_no_longer() {
    let mut project = project();
    assert_eq!(project.enter(1_000_000, TOKEN, "ann"), Ok(()), "age alone closes nothing");
    assert_eq!(project.enter(1_000_000 + ENTRY, TOKEN, "ben"), Ok(()));
    assert_eq!(project.enter(1_000_001 + ENTRY, TOKEN, "cid"), Err(Refusal::TokenExpired));
    assert_eq!(project.enter(1_000_001 + ENTRY, "token-0002", "cid"), Ok(()));
    assert_eq!(project.counters().opens_refused["expired"], 1);
}

#[test]
fn every_cause_has_its_refusal() {
    let mut project = project();
    assert_eq!(project.enter(0, "", "ann"), Err(Refusal::TokenMissing));
    assert_eq!(project.enter(0, "token-other", "ann"), Err(Refusal::TokenUnknown));
    let submission = start(&mut project, 0, "ann").unwrap();
    let decided = [
        (Decision::Pending, Refusal::TokenPending),
        (Decision::Rejected, Refusal::TokenRejected),
        (Decision::Approved, Refusal::TokenApproved),
    ];
    for (decision, refusal) in decided {
        project.decide(1, &submission, decision, false).unwrap();
        assert_eq!(project.enter(2, TOKEN, "ann"), Err(refusal));
        assert_eq!(start(&mut project, 2, "ann"), Err(refusal), "also for who is inside");
    }
    assert_eq!(project.enter(ENTRY + 1, TOKEN, "ann"), Err(Refusal::TokenExpired), "time wins");
    project.delete(3, [TOKEN]);
    assert_eq!(project.enter(3, TOKEN, "ann"), Err(Refusal::TokenUnknown));
}

#[test]
fn who_is_inside_goes_on_after_the_door_has_closed() {
    let mut project = project();
    project.enter(0, TOKEN, "ann").unwrap();
    project.delete(1, [TOKEN]);
    let submission = start(&mut project, ENTRY + 1, "ann").unwrap();
    assert_eq!(start(&mut project, ENTRY + 2, "ann").as_ref(), Ok(&submission), "a double click");
    assert_eq!(start(&mut project, SESSION, "ann"), Err(Refusal::TokenUnknown));
    assert_eq!(project.decide(9, &submission, Decision::Approved, false), Some(Status::Approved));
}

#[test]
fn two_people_with_one_token_are_both_let_in_and_noticed() {
    let mut project = project();
    let ann = start(&mut project, 0, "ann").unwrap();
    let ben = start(&mut project, 1, "ben").unwrap();
    assert_ne!(ann, ben);
    assert_eq!(project.counters().tokens_opened_by_several, 1);
    assert_eq!(project.counters().submissions_started, 2);
}

#[test]
fn a_token_registered_again_is_armed_again() {
    let mut project = project();
    let submission = start(&mut project, 0, "ann").unwrap();
    project.decide(1, &submission, Decision::Approved, false);
    project.register(2, [TOKEN], false);
    assert_eq!(project.enter(ENTRY * 2, TOKEN, "ben"), Ok(()));
}

#[test]
fn each_decision_tells_itself_once() {
    let mut project = project();
    let submission = start(&mut project, 0, "ann").unwrap();
    let steps = [
        (Decision::Retry, false),
        (Decision::Pending, false),
        (Decision::Pending, false), // changes nothing, tells nothing
        (Decision::Retry, false),   // too late for another attempt
        (Decision::Approved, false),
        (Decision::Rejected, false), // an administrator takes it back
        (Decision::Delete, false),
    ];
    for (decision, by_admin) in steps {
        project.decide(1, &submission, decision, by_admin).unwrap();
    }
    assert_eq!(project.decide(2, &submission, Decision::Approved, false), None, "it is deleted");
    assert_eq!(triggers(&project), ["created", "retry", "submit", "approved", "updated", "delete"]);
}

#[test]
fn an_administrator_may_decide_by_updated_alone() {
    let mut project = project();
    let submission = start(&mut project, 0, "ann").unwrap();
    project.decide(1, &submission, Decision::Approved, true).unwrap();
    assert_eq!(triggers(&project), ["created", "updated"]);
    let body: Value = serde_json::from_str(&project.outbox.shown()[1]).unwrap();
    assert_eq!(body["data"]["kyc_result"], "approved");
    assert!(body.get("kyc_result").is_none());
}

#[test]
fn expiry_by_count_comes_with_the_decision() {
    let mut project = project();
    project.rules.expiration = Expiration::Count { delete: true };
    let submission = start(&mut project, 0, "ann").unwrap();
    project.decide(1_500, &submission, Decision::Approved, false);
    let body: Value = serde_json::from_str(&project.outbox.shown()[2]).unwrap();
    assert_eq!(body["expired_condition"], "count");
    assert_eq!(body["expired_at"], "1970-01-01T00:00:01.500Z");
    assert_eq!(body["token_id"], TOKEN);
    assert!(project.pool.get(TOKEN).is_none());
}

#[test]
fn expiry_by_time_is_told_ahead() {
    let mut project = project();
    project.rules.expiration = Expiration::Time { after_ms: 60_000, delete: false };
    project.enter(0, TOKEN, "ann").unwrap();
    project.enter(1, TOKEN, "ann").unwrap();
    assert_eq!(triggers(&project), ["token_expired"], "first use counts, and only that");
    let body: Value = serde_json::from_str(&project.outbox.shown()[0]).unwrap();
    assert_eq!(body["expected_expired_at"], "1970-01-01T00:01:00.000Z");
    project.advance(59_999);
    assert!(!project.pool.get(TOKEN).unwrap().expired);
    project.advance(60_000);
    assert_eq!(project.enter(60_000, TOKEN, "ann"), Err(Refusal::TokenExpired));
}

/// `{"token":"token-0001","userid":"u1","startValidUntil":"1970-01-01T00:05:00Z"}` under
/// `argos_test_demo`, sealed with OpenSSL.
const SEALED: &str = "EIPqnGarPTpOwfZGoqMq7EJXD3i17ZPa/EIjQ+wbjMZOZO2W5eHPEQnVYKnAtkfX4rhqW6LTQY8yswbGbFwDDnLsEnB2FvpMC11KJyUwp5c=";

#[test]
fn a_sealed_link_says_what_is_inside_until_its_own_deadline() {
    let mut project = project();
    let link = BTreeMap::from([("encrypted".to_owned(), SEALED.to_owned())]);
    let said = project.read_link(300_000, &link).unwrap();
    assert_eq!((said.get("token"), said.get("userid")), (Some(TOKEN), Some("u1")));
    assert_eq!(project.token_of(&link).as_deref(), Ok(TOKEN));
    assert_eq!(project.read_link(300_001, &link), Err(Refusal::StartTooLate));
    assert_eq!(
        project.token_of(&link).as_deref(),
        Ok(TOKEN),
        "whose link it was is known later, too"
    );
    let another = RuleChange { secret_key: Some("another".into()), ..RuleChange::default() };
    project.change_rules(0, another);
    assert_eq!(project.read_link(0, &link), Err(Refusal::ParametersUnreadable));
    let refused = &project.counters().opens_refused;
    assert_eq!((refused["start-too-late"], refused["parameters"]), (1, 1));
}
