use proptest::prelude::*;

use super::*;
use crate::domain::token::Decision;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// 2026-01-12T02:23:13Z.
const TOLD: u64 = 1_768_184_593_000;
const SECRET: &str = "not-to-be-told";

fn reply(body: &str) -> Reply {
    Reply::parse(body.as_bytes()).unwrap()
}

fn id(text: &str) -> SubmissionId {
    SubmissionId::parse(text).unwrap()
}

fn list(body: &str) -> SubmissionList {
    reply(body).submissions(NOW).unwrap()
}

fn single(item: &str) -> Option<Option<Report>> {
    reply(&format!(r#"{{"Items":[{item}]}}"#)).submission(&id("sub-1"), NOW)
}

fn days(first: u64, last: u64) -> Days {
    Days { first: Timestamp::from_millis(first), last: Timestamp::from_millis(last) }
}

fn cursor() -> Cursor {
    Cursor { id: "sub-1".to_owned(), time: "2026-01-12-11-23-13-+0900".to_owned() }
}

#[test]
fn a_page_is_asked_for_with_a_day_to_spare_on_both_sides() {
    assert_eq!(
        submissions_query(days(TOLD, TOLD), None),
        "start_date=2026-01-11&end_date=2026-01-13&count=1000"
    );
    assert_eq!(
        submissions_query(days(TOLD, TOLD), Some(&cursor())),
        "start_date=2026-01-11&end_date=2026-01-13&count=1000\
         &nextpage_id=sub-1&nextpage_date=2026-01-12-11-23-13-%2B0900"
    );
    // Over the end of a year, and at both ends of time.
    let year = submissions_query(days(1_767_225_600_000 - 1, 1_767_225_600_000), None);
    assert_eq!(year, "start_date=2025-12-30&end_date=2026-01-02&count=1000");
    let ends = submissions_query(days(0, u64::MAX), None);
    assert_eq!(ends, "start_date=1969-12-31&end_date=9999-12-31&count=1000");
}

#[test]
fn one_submission_is_asked_for_by_its_id() {
    assert_eq!(submission_query(&id("sub-1")), "submission_id=sub-1");
    assert_eq!(submission_query(&id("a&b=c#/?+%")), "submission_id=a%26b%3Dc%23%2F%3F%2B%25");
}

#[test]
fn the_sample_of_the_contract_is_understood() {
    let page = list(
        r#"{"Items":[{"submission_id":"sub-1","email":"x@example.com","userid":"u1",
            "created_at":"2026-01-12-02-23-13-UTC","updated_at":"2026-01-12-03-00-00-UTC",
            "pending_at":"…","kyc_result_at":"…","reviewer":"system",
            "kyc":{"result":"rejected","comment":["…"],"commentCode":["too_many_retry"]},
            "data":{"cf1":"mark-0123456789abcdefghijkl"}}],
            "nextpageKey":{"id":"sub-1","created_at":"2026-01-12-11-23-13-+0900"}}"#,
    );
    let report = &page.reports[0];
    assert_eq!(report.token, None);
    assert_eq!(report.marks.0, [Box::from("mark-0123456789abcdefghijkl")]);
    assert_eq!(
        report.fact,
        Fact {
            kind: FactKind::Decided(Decision::Rejected),
            at: Timestamp::from_millis(TOLD),
            submission: Some(id("sub-1")),
            updated: Some(Timestamp::from_millis(1_768_186_800_000)),
            asked: false,
        }
    );
    assert_eq!((page.reports.len(), page.unreadable, page.next), (1, 0, Some(cursor())));
}

#[test]
fn every_status_has_one_meaning() {
    for (item, kind) in [
        (r#""kyc":{"result":"approved"}"#, FactKind::Decided(Decision::Approved)),
        (r#""kyc":{"result":"pending"}"#, FactKind::Decided(Decision::Pending)),
        (r#""kyc_result":{"status":"rejected"}"#, FactKind::Decided(Decision::Rejected)),
        (r#""kyc_result":"approved""#, FactKind::Decided(Decision::Approved)),
        (r#""kyc":{"result":"incomplete"}"#, FactKind::Started),
        (r#""kyc":{"result":"brand new"}"#, FactKind::Started),
        (r#""kyc":17"#, FactKind::Started),
        (r#""more":[{}]"#, FactKind::Started),
    ] {
        let report = single(&format!(r#"{{"submission_id":"sub-1",{item}}}"#)).unwrap().unwrap();
        assert_eq!(report.fact.kind, kind, "{item}");
        assert_eq!((report.fact.at, report.fact.updated), (NOW, None), "{item}");
    }
}

#[test]
fn one_broken_entry_does_not_spoil_its_page() {
    let page = list(
        r#"{"items":[{"submission_id":"sub-1"},{"submission_id":""},{"kyc":{"result":"approved"}},
            17,null,[],"text",{"submission_id":12},{"submission_id":"sub-2","tokenId":"a b"}]}"#,
    );
    let ids: Vec<_> = page.reports.iter().map(|it| it.fact.submission.clone().unwrap()).collect();
    assert_eq!(ids, [id("sub-1"), id("12")]);
    assert_eq!(page.unreadable, 6);
}

#[test]
fn what_was_deleted_is_passed_over_in_a_list_and_is_nothing_alone() {
    for item in [
        r#"{"submission_id":"sub-1","comment":"Deleted Submission"}"#,
        r#"{"submission_id":"sub-1","comment":["Deleted Submission"],"tokenId":"kyc-000000000001a"}"#,
        r#"{"submission_id":"sub-1","kyc":{"result":"Deleted Submission"}}"#,
        r#"{"submission_id":"sub-1","kyc":{"result":"approved","comment":["x","deleted submission"]}}"#,
        r#"{"submission_id":"sub-1","kyc_result":"Deleted Submission"}"#,
        r#"{"submission_id":"sub-1","status":"Deleted Submission"}"#,
        r#"{"comment":"Deleted Submission"}"#,
        r#""Deleted Submission""#,
    ] {
        let page = list(&format!(r#"{{"Items":[{item}]}}"#));
        assert_eq!(page, SubmissionList::default(), "{item}");
        assert_eq!(single(item), Some(None), "{item}");
    }
    // Whoever writes the link cannot make his submission disappear.
    let item = r#"{"submission_id":"sub-1","userid":"Deleted Submission","email":"Deleted Submission",
        "kyc":{"result":"approved"},"data":{"cf1":"Deleted Submission","status":"Deleted Submission"}}"#;
    assert!(single(item).unwrap().is_some());
}

#[test]
fn a_question_about_one_is_answered_by_that_one() {
    for body in [
        r#"{"Items":[{"submission_id":"sub-1","tokenId":"kyc-000000000001a"}]}"#,
        r#"{"items":[{"submission_id":"sub-2"},{"submission_id":"sub-1","data":{"token_id":"kyc-000000000001a"}}]}"#,
        r#"{"submission_id":"sub-1","tokenId":"kyc-000000000001a"}"#,
        r#"{"success":true,"data":{"submission_id":"sub-1","tokenId":"kyc-000000000001a"}}"#,
    ] {
        let report = reply(body).submission(&id("sub-1"), NOW).unwrap().unwrap();
        assert_eq!(report.token.unwrap().expose(), "kyc-000000000001a", "{body}");
    }
    for (body, told) in [
        (r#"{"Items":[]}"#, Some(None)),
        (r#"{"Items":[{"submission_id":"sub-1","tokenId":"a b"}]}"#, Some(None)),
        (r#"{"Items":[{"submission_id":"sub-2"}]}"#, None),
        (r#"{"Items":[{"kyc":{"result":"approved"}}]}"#, None),
        (r#"{"Items":[17]}"#, None),
        (r#"{"submission_id":"sub-2"}"#, None),
        (r#"{"data":"c2VhbGVk"}"#, None),
        ("{}", None),
    ] {
        assert_eq!(reply(body).submission(&id("sub-1"), NOW), told, "{body}");
    }
}

#[test]
fn a_list_ends_when_either_part_of_the_key_is_missing() {
    for body in [
        r#"{"Items":[]}"#,
        r#"{"Items":[],"nextpageKey":null}"#,
        r#"{"Items":[],"nextpageKey":"sub-1"}"#,
        r#"{"Items":[],"nextpageKey":{"id":"sub-1"}}"#,
        r#"{"Items":[],"nextpageKey":{"created_at":"1"}}"#,
        r#"{"Items":[],"nextpageKey":{"id":"","created_at":"1"}}"#,
    ] {
        assert_eq!(list(body).next, None, "{body}");
    }
    for body in [
        r#"{"items":[],"nextPageKey":{"id":"sub-1","created_at":1768184593}}"#,
        r#"{"items":[],"nextpage_key":{"id":7,"created_at":"2026"}}"#,
    ] {
        assert!(list(body).next.is_some(), "{body}");
    }
    assert_eq!(reply(r#"{"success":true}"#).submissions(NOW), None);
}

/// JSON as ARGOS might write it on its worst day: names that we look for, over anything.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(f64::MAX)),
        "[a-z ]{0,12}".prop_map(move |text| Value::from(format!("{SECRET}{text}"))),
        Just(Value::from(SECRET.repeat(2)[..27].to_owned())),
        Just(Value::from("approved")),
        Just(Value::from(DELETED)),
        Just(Value::from("2026-01-12-02-23-13-UTC")),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = prop::sample::select(vec![
            "Items",
            "data",
            "cf",
            "kyc",
            "kyc_result",
            "status",
            "result",
            "comment",
            "tokenId",
            "token_id",
            "userid",
            "cf1",
            "email",
            "created_at",
            "updated_at",
            "nextpageKey",
            "id",
        ]);
        let fields = prop::collection::vec((name.prop_map(str::to_owned), inner.clone()), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_panics_and_none_is_repeated(items in prop::collection::vec(value(), 0..4), top: bool) {
        let mut items = items;
        for item in &mut items {
            if let Some(fields) = item.as_object_mut() {
                fields.insert("submission_id".to_owned(), Value::from("sub-1"));
            }
        }
        let body = if top { serde_json::json!({ "Items": items }) } else { Value::from(items) };
        let Some(reply) = Reply::parse(body.to_string().as_bytes()) else { return Ok(()) };
        let list = reply.submissions(NOW);
        let single = reply.submission(&id("sub-1"), NOW);
        for report in list.iter().flat_map(|list| &list.reports) {
            prop_assert!(report.fact.at <= NOW);
        }
        let printed = format!("{list:?} {single:?}");
        prop_assert!(!printed.contains(SECRET), "{printed}");
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(reply) = Reply::parse(&body) {
            let _ = (reply.submissions(NOW), reply.submission(&id("sub-1"), NOW));
        }
    }
}
