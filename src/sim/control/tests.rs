//! The world without sockets, moved by commands alone, as a simulation drives it.

use super::*;
use crate::sim::{
    faults::{Effect, Fault, FaultBody, Operation},
    project::ProjectOptions,
    wire::{ApiRequest, Reply},
};

const PID: &str = "pid_demo";

fn world() -> World {
    World::new(vec![ProjectOptions::default()], Duration::ZERO, 0)
}

fn run(world: &mut World, name: &str, fields: Value) -> Result<Value, ControlError> {
    world.control(0, Command::read(name, fields.to_string().as_bytes())?)
}

fn post(world: &mut World, wall: Millis, ids: &[&str]) -> Option<Reply> {
    let request = ApiRequest {
        method: "POST".into(),
        path: "/v3/submission/tokens".into(),
        query: String::new(),
        key: Some("argos_test_demo".into()),
        body: json!({"tokenId": ids}).to_string().into_bytes(),
    };
    let exchange = world.answer(wall, &request);
    world.depart(&exchange.pid.unwrap());
    exchange.reply
}

fn pool_size(world: &World) -> u64 {
    world.counters(PID).unwrap().pool_size
}

#[test]
fn a_skipped_clock_closes_a_token() {
    let mut world = world();
    post(&mut world, 0, &["token-0001"]);
    let link = json!({"token": "token-0001", "visitor": "ann"});
    run(&mut world, "liveform/open", link.clone()).unwrap();
    run(&mut world, "clock", json!({"skip_ms": 180_000})).unwrap();
    run(&mut world, "liveform/open", link.clone()).unwrap();
    run(&mut world, "clock", json!({"skip_ms": 1})).unwrap();
    let refused = run(&mut world, "liveform/open", link);
    assert_eq!(refused, Err(ControlError::Refused { cause: "expired" }));
    let years = json!({"skip_ms": u64::MAX});
    assert_eq!(run(&mut world, "clock", years), Err(ControlError::SkipTooFar));
}

#[test]
fn an_effect_may_come_before_the_lost_answer_after_it_or_never() {
    let mut world = world();
    for (n, effect) in [Effect::None, Effect::Done, Effect::LateMs(500)].into_iter().enumerate() {
        let script = Script::next(Operation::Post, Fault::LostAnswer { effect });
        world.control(0, Command::Faults(script)).unwrap();
        assert_eq!(post(&mut world, 0, &[&format!("token-000{n}")]), None);
    }
    assert_eq!(pool_size(&world), 1);
    world.advance(499);
    assert_eq!(pool_size(&world), 1);
    world.advance(500);
    assert_eq!(pool_size(&world), 2);
    let counters = world.counters(PID).unwrap();
    assert_eq!((counters.posts, counters.calls_in_flight), (3, 0), "a late copy is no call");
}

#[test]
fn a_late_copy_overwrites_what_was_used_meanwhile() {
    let mut world = world();
    let script = Script::next(Operation::Post, Fault::LostAnswer { effect: Effect::LateMs(10) });
    world.control(0, Command::Faults(script)).unwrap();
    post(&mut world, 0, &["token-0001"]);
    post(&mut world, 1, &["token-0001"]);
    run(&mut world, "liveform/open", json!({"token": "token-0001"})).unwrap();
    assert_eq!(world.counters(PID).unwrap().overwrites_of_used, 0);
    world.advance(10);
    assert_eq!(world.counters(PID).unwrap().overwrites_of_used, 1);
}

#[test]
fn made_up_answers_leave_the_pool_alone_unless_told() {
    let mut world = world();
    let status = |status, body| Fault::Status {
        status,
        body,
        error_code: None,
        retry_after_seconds: None,
        effect: Effect::None,
    };
    let faults = [
        (status(503, FaultBody::Html), 503),
        (status(504, FaultBody::Empty), 504),
        (status(200, FaultBody::Garbage), 200),
        (Fault::ForbiddenKey, 403),
        (Fault::ForbiddenAddress, 403),
        (Fault::NotSuccess { effect: Effect::None }, 200),
    ];
    for (fault, expected) in faults {
        world.control(0, Command::Faults(Script::next(Operation::Post, fault))).unwrap();
        assert_eq!(post(&mut world, 0, &["token-0001"]).unwrap().status, expected);
    }
    assert_eq!(pool_size(&world), 0);
    let fault = Fault::NotSuccess { effect: Effect::Done };
    world.control(0, Command::Faults(Script::next(Operation::Post, fault))).unwrap();
    assert!(post(&mut world, 0, &["token-0001"]).unwrap().body.contains("\"success\":false"));
    assert_eq!(pool_size(&world), 1);
}

#[test]
fn foreign_tokens_appear_and_the_oldest_vanish() {
    let mut world = world();
    post(&mut world, 0, &["token-0001"]);
    run(&mut world, "foreign", json!({"count": 2, "ids": ["other-writer-1"]})).unwrap();
    run(&mut world, "foreign", json!({"count": 1})).unwrap();
    assert_eq!(pool_size(&world), 5, "made-up names never repeat");
    let gone = run(&mut world, "vanish", json!({"oldest": 1, "ids": ["token-0001"]})).unwrap();
    assert_eq!(gone["pool_size"].as_u64().unwrap(), pool_size(&world));
    let counters = world.counters(PID).unwrap();
    assert_eq!((counters.deletes, counters.deletes_of_foreign), (0, 0), "nobody deleted");
}

#[test]
fn a_lowered_cap_refuses_the_next_token() {
    let mut world = world();
    post(&mut world, 0, &["token-0001", "token-0002"]);
    run(&mut world, "rules", json!({"cap": 1})).unwrap();
    assert_eq!(post(&mut world, 0, &["token-0003"]).unwrap().status, 400);
    assert_eq!(pool_size(&world), 2, "what is there stays");
}

#[test]
fn the_state_is_dumped_page_by_page() {
    let mut world = world();
    run(&mut world, "foreign", json!({"count": STATE_PAGE + 1})).unwrap();
    let first = world.state(0, None, 0).unwrap();
    assert_eq!(first["tokens"].as_array().unwrap().len(), STATE_PAGE);
    let rest = world.state(0, Some(PID), first["next_offset"].as_u64().unwrap() as usize).unwrap();
    assert_eq!(rest["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_offset"], Value::Null);
}

#[test]
fn a_mistyped_command_is_refused_and_not_half_obeyed() {
    let mut world = world();
    for (name, fields) in [
        ("rules", json!({"kap": 1})),
        ("faults", json!({"operation": "post", "fault": {"kind": "latency", "seconds": 1}})),
        ("webhooks", json!({"drop": "often"})),
        ("nonsense", json!({})),
    ] {
        let refused = run(&mut world, name, fields);
        assert!(matches!(refused, Err(ControlError::Malformed(_))), "{name}: {refused:?}");
    }
    let elsewhere = run(&mut world, "rules", json!({"pid": "pid_other"}));
    assert_eq!(elsewhere, Err(ControlError::ProjectUnknown));
}

#[test]
fn opening_a_link_tells_what_it_says_and_counts_what_it_says_in_vain() {
    let mut world = world();
    post(&mut world, 0, &["token-0001"]);
    let link = json!({"token": "token-0001", "userid": "u1", "ageLimit": "19", "visitor": "ann"});
    let says = run(&mut world, "liveform/open", link.clone()).unwrap()["says"].clone();
    assert_eq!(
        says,
        json!({"pid": {"value": PID, "sealed": false}, "token": {"value": "…0001", "sealed": false},
            "userid": {"value": "u1", "sealed": false}})
    );
    run(&mut world, "liveform/start", link).unwrap();
    let counted = &world.counters(PID).unwrap().parameters_without_effect;
    assert_eq!(counted.iter().collect::<Vec<_>>(), [(&"ageLimit", &1)], "once, when it is opened");
    let refused = run(&mut world, "liveform/open", json!({"mainColor": "red"}));
    let cause = "parameter-in-the-open";
    assert_eq!(refused, Err(ControlError::Refused { cause }));
    assert_eq!(world.counters(PID).unwrap().opens_refused[cause], 1);
}

#[test]
fn two_projects_share_nothing_but_the_clock() {
    let other = ProjectOptions {
        pid: "pid_other".into(),
        api_key: "other-key".into(),
        ..ProjectOptions::default()
    };
    let mut world = World::new(vec![ProjectOptions::default(), other], Duration::ZERO, 0);
    post(&mut world, 0, &["token-0001"]);
    let link = json!({"pid": "pid_other", "token": "token-0001"});
    let refused = run(&mut world, "liveform/open", link);
    assert_eq!(refused, Err(ControlError::Refused { cause: "unknown" }));
    assert_eq!(world.counters("pid_other").unwrap().pool_size, 0);
}

#[test]
fn a_listing_of_submissions_fails_and_repeats_itself_as_told() {
    let mut world = world();
    post(&mut world, 0, &["token-0001"]);
    for visitor in ["ann", "ben", "cid"] {
        let visit = json!({"token": "token-0001", "visitor": visitor});
        run(&mut world, "liveform/start", visit).unwrap();
    }
    let mut listed = |query: &str, fault: Value| {
        let script = json!({"operation": "submission", "fault": fault});
        run(&mut world, "faults", script).unwrap();
        let request = ApiRequest {
            method: "GET".into(),
            path: "/v3/submission".into(),
            query: query.into(),
            key: Some("argos_test_demo".into()),
            body: Vec::new(),
        };
        let exchange = world.answer(0, &request);
        (exchange.latency.as_millis(), exchange.reply.unwrap())
    };
    assert_eq!(listed("", json!({"kind": "status", "status": 502, "body": "html"})).1.status, 502);
    let garbage = listed("", json!({"kind": "status", "status": 200, "body": "garbage"})).1;
    assert!(serde_json::from_str::<Value>(&garbage.body).is_err());
    let (latency, first) = listed("count=2", json!({"kind": "latency", "ms": 40}));
    assert_eq!(latency, 40);
    let body: Value = serde_json::from_str(&first.body).unwrap();
    let key = &body["nextpageKey"];
    let (id, at) = (key["id"].as_str().unwrap(), key["created_at"].as_str().unwrap());
    let next = format!("count=2&nextpage_id={id}&nextpage_date={at}");
    assert_eq!(listed(&next, json!({"kind": "page_twice"})).1, first);
    let last = listed(&next, json!({"kind": "circular_list"})).1;
    assert!(last.body.contains("nextpageKey"), "the last page has a cursor");
}
