use super::*;
use crate::sim::project::ProjectOptions;

const NOW: Millis = 1_768_473_045_123;

fn project(cap: usize) -> Project {
    Project::new(ProjectOptions { cap, ..ProjectOptions::default() })
}

fn ids(from: usize, n: usize) -> Vec<String> {
    (from..from + n).map(|n| format!("token-{n:06}")).collect()
}

fn call(
    project: &mut Project,
    method: &str,
    query: &str,
    body: &Value,
    fault: Option<&Fault>,
) -> (u16, Value) {
    let request = ApiRequest {
        method: method.into(),
        path: PATH.into(),
        query: query.into(),
        key: None,
        body: body.to_string().into_bytes(),
    };
    let reply = answer(project, NOW, operation(&request), &request, fault);
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn register(project: &mut Project, ids: &[String]) -> (u16, Value) {
    call(project, "POST", "", &json!({"tokenId": ids}), None)
}

fn error(project: &mut Project, method: &str, query: &str, body: &Value) -> String {
    let (status, body) = call(project, method, query, body, None);
    assert_eq!(status, 400, "{body}");
    body["errorCode"].as_str().unwrap().to_owned()
}

#[test]
fn the_100001st_token_is_refused_and_nothing_of_its_batch_is_stored() {
    let mut project = project(100_000);
    for batch in 0..199 {
        assert_eq!(register(&mut project, &ids(batch * 500, 500)).0, 200);
    }
    assert_eq!(register(&mut project, &ids(99_500, 499)).0, 200);
    let (status, body) = register(&mut project, &ids(99_999, 2));
    assert_eq!((status, &body["errorCode"]), (400, &json!("token_limit_exceeded")));
    assert_eq!(project.pool.len(), 99_999);
    let (_, body) = register(&mut project, &ids(99_999, 1));
    assert_eq!(body["summary"]["currentCount"], 100_000);
    let counters = project.counters();
    assert_eq!((counters.cap_overruns, counters.highest_pool_size), (1, 100_000));
    assert_eq!(register(&mut project, &ids(0, 500)).0, 200, "overwriting needs no room");
}

#[test]
fn an_overflow_may_store_what_fits() {
    let mut project = project(3);
    project.rules.overflow = Overflow::StorePart;
    let (status, body) = register(&mut project, &ids(0, 5));
    assert_eq!((status, &body["errorCode"]), (400, &json!("token_limit_exceeded")));
    assert_eq!(project.pool.len(), 3);
}

#[test]
fn every_malformed_request_has_its_code() {
    let project = &mut project(100_000);
    let tokens = |ids: Value| json!({ "tokenId": ids });
    let post = |body: Value| (body, "POST", "");
    let cases = [
        (post(json!("text")), "invalid_token_id"),
        (post(json!({})), "invalid_token_id"),
        (post(tokens(json!([]))), "invalid_token_id"),
        (post(tokens(json!("token-000001"))), "invalid_token_id"),
        (post(tokens(json!([7]))), "invalid_token_id_format"),
        (post(tokens(json!(["token 01"]))), "invalid_token_id_format"),
        (post(tokens(json!([".token01"]))), "invalid_token_id_format"),
        (post(tokens(json!(["token01-"]))), "invalid_token_id_format"),
        (post(tokens(json!(["token01"]))), "invalid_token_id_length"),
        (post(tokens(json!(["x".repeat(65)]))), "invalid_token_id_length"),
        (post(tokens(json!(ids(0, 501)))), "request_token_limit_exceeded"),
        ((tokens(json!(ids(0, 501))), "DELETE", ""), "request_token_limit_exceeded"),
        ((tokens(json!(["token-unknown"])), "DELETE", ""), "token_id_not_found"),
        ((json!({}), "DELETE", "count=5"), "invalid_query_parameters"),
        ((json!({}), "DELETE", "order=asc&count=5001"), "invalid_query_parameters"),
        ((json!({}), "DELETE", "order=sideways&count=5"), "invalid_order"),
        ((json!({}), "GET", "tokenId=token-unknown"), "token_not_found"),
        ((json!({}), "GET", "type=sum"), "invalid_query_parameters"),
        ((json!({}), "GET", "nextPageKeyId=token-000001"), "invalid_query_parameters"),
        ((json!({}), "PATCH", ""), "invalid_path"),
    ];
    for ((body, method, query), code) in cases {
        assert_eq!(error(project, method, query, &body), code, "{method} {query} {body}");
    }
    assert_eq!(project.pool.len(), 0);
    for id in ["token-01", &"x".repeat(64)] {
        assert_eq!(register(project, &[id.to_owned()]).0, 200);
    }
}

#[test]
fn a_body_that_is_no_json_or_too_large_is_refused() {
    let project = &mut project(10);
    let request = |body: &[u8]| ApiRequest {
        method: "POST".into(),
        path: PATH.into(),
        query: String::new(),
        key: None,
        body: body.to_vec(),
    };
    let reply = answer(project, NOW, Operation::Post, &request(b"{\"tokenId\":"), None);
    assert!(reply.body.contains("invalid_payload"), "{}", reply.body);
    project.rules.body_bytes = 8;
    assert_eq!(answer(project, NOW, Operation::Post, &request(b"123456789"), None).status, 413);
}

#[test]
fn a_single_token_looks_like_the_sample() {
    let project = &mut project(10);
    register(project, &ids(1, 1));
    let (status, body) = call(project, "GET", "tokenId=token-000001", &json!({}), None);
    let data = json!({"tokenId": "token-000001", "updateTime": "2026-01-15T10:30:45.123Z"});
    assert_eq!(status, 200);
    assert_eq!(body, json!({"success": true, "tokenId": "token-000001", "data": data}));
}

#[test]
fn a_listing_has_pages_of_10000_and_no_id_twice() {
    let project = &mut project(100_000);
    for batch in 0..41 {
        register(project, &ids(batch * 500, 500));
    }
    let (mut query, mut seen, mut pages) = (String::new(), BTreeSet::new(), Vec::new());
    for _ in 0..5 {
        let (_, body) = call(project, "GET", &query, &json!({}), None);
        let data = body["data"].as_array().unwrap();
        assert!(data.iter().all(|row| seen.insert(row["tokenId"].to_string())));
        pages.push(data.len());
        let Some(id) = body["nextPageKeyId"].as_str() else { break };
        let time = body["nextPageKeyTime"].as_str().unwrap();
        query = format!("nextPageKeyId={id}&nextPageKeyTime={time}");
    }
    assert_eq!(pages, [10_000, 10_000, 500]);
    assert_eq!(call(project, "GET", "type=count", &json!({}), None).1["count"], 20_500);
}

#[test]
fn a_looping_list_never_ends() {
    let project = &mut project(10);
    register(project, &ids(0, 2));
    let looping = Some(&Fault::LoopingList);
    let (_, first) = call(project, "GET", "", &json!({}), looping);
    let id = first["nextPageKeyId"].as_str().unwrap();
    let time = first["nextPageKeyTime"].as_str().unwrap();
    let query = format!("nextPageKeyId={id}&nextPageKeyTime={time}");
    assert_eq!(call(project, "GET", &query, &json!({}), looping).1, first);
}

#[test]
fn a_partial_batch_says_what_it_did_and_only_if_asked_which() {
    let project = &mut project(10);
    let body = json!({"tokenId": ids(0, 5)});
    let silent = Fault::Partial { processed: 3, details: false };
    let (status, answer) = call(project, "POST", "", &body, Some(&silent));
    assert_eq!((status, project.pool.len()), (200, 3));
    let summary = json!({"totalSubmitted": 5, "currentCount": 3, "processed": 3, "failed": 2});
    assert_eq!(answer["summary"], summary);
    assert!(answer.get("details").is_none());
    let open = Fault::Partial { processed: 2, details: true };
    let (_, answer) = call(project, "DELETE", "", &body, Some(&open));
    assert_eq!(answer["summary"]["failed"], 3);
    assert_eq!(answer["details"]["failed"], json!(ids(2, 3)));
    assert_eq!(project.pool.len(), 1);
}

#[test]
fn a_contradiction_changes_the_words_and_not_the_deed() {
    let project = &mut project(10);
    let lie =
        |members: Value| Fault::Contradiction { members: members.as_object().unwrap().clone() };
    let body = json!({"tokenId": ids(0, 4)});
    let (_, answer) = call(project, "POST", "", &body, Some(&lie(json!({"processed": 3}))));
    assert_eq!((&answer["summary"]["processed"], project.pool.len()), (&json!(3), 4));
    let (_, answer) = call(project, "GET", "type=count", &body, Some(&lie(json!({"count": 9}))));
    assert_eq!(answer["count"], 9);
}

#[test]
fn a_stale_answer_shows_the_pool_as_it_was() {
    let project = &mut project(10);
    register(project, &ids(0, 2));
    register(project, &ids(2, 1));
    call(project, "DELETE", "", &json!({"tokenId": ids(0, 1)}), None);
    let stale = |changes| Fault::Stale { ms: None, changes: Some(changes) };
    let mut count = |fault: Option<&Fault>| {
        call(project, "GET", "type=count", &json!({}), fault).1["count"].clone()
    };
    assert_eq!([count(None), count(Some(&stale(1))), count(Some(&stale(2)))], [2, 3, 2]);
    let (status, _) = call(project, "GET", "tokenId=token-000000", &json!({}), Some(&stale(1)));
    assert_eq!(status, 200, "deleted, but not yet there");
}

#[test]
fn deleting_in_order_takes_the_oldest_or_the_newest() {
    let project = &mut project(10);
    register(project, &ids(0, 5));
    let (_, body) = call(project, "DELETE", "order=asc&count=2", &json!({}), None);
    assert_eq!(body["summary"]["deleted"], 2);
    call(project, "DELETE", "order=desc&count=1", &json!({}), None);
    let left: Vec<String> = project.pool.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(left, ids(2, 2));
}

#[test]
fn overwrites_are_counted_by_what_the_id_had_been_through() {
    let project = &mut project(10);
    register(project, &ids(0, 3));
    project.enter(NOW, "token-000000", "ann").unwrap();
    register(project, &ids(0, 2));
    call(project, "DELETE", "", &json!({"tokenId": ids(0, 1)}), None);
    register(project, &ids(0, 1));
    let counters = project.counters();
    assert_eq!(counters.overwrites_total, 2, "the third registration found nothing to overwrite");
    assert_eq!(counters.overwrites_of_used, 2, "once while there, once after its deletion");
    assert_eq!(counters.overwrites_of_deleted, 1);
}
