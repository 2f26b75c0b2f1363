//! One table for each thing that a webhook can say.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// 2026-01-12T02:23:13Z.
const TOLD: Timestamp = Timestamp::from_millis(1_768_184_593_000);
const MARK: &str = "mark-0123456789abcdefghijkl";

const DECIDING: [(&str, Decision); 3] = [
    ("submit", Decision::Pending),
    ("approved", Decision::Approved),
    ("rejected", Decision::Rejected),
];

fn notice_of(body: &str) -> Notice {
    read(body.as_bytes(), NOW).1
}

fn report_of(body: &str) -> Report {
    let notice = notice_of(body);
    let Notice::Report(report) = notice else { panic!("no report: {notice:?} of {body}") };
    report
}

/// A webhook about the token of every sample.
fn about(trigger: &str, more: &str) -> String {
    format!(r#"{{"webhook_trigger":"{trigger}","tokenId":"kyc-000000000001a",{more}"end":0}}"#)
}

fn kind_of(trigger: &str, more: &str) -> FactKind {
    report_of(&about(trigger, more)).fact.kind
}

// The samples of contract 3.3

#[test]
fn the_sample_of_created_says_that_somebody_is_on_the_page() {
    for trigger in ["created", "retry"] {
        let report = report_of(&format!(
            r#"{{"webhook_trigger":"{trigger}","submission_id":"sub-1","kyc_result":{{"status":"incomplete"}},
                "cf":{{"cf1":"a","cf2":"b","cf3":"{MARK}"}},"userid":"u1","tokenId":"kyc-000000000001a",
                "retryCode":"…","attempts":1,"ipAddress":"203.0.113.7"}}"#
        ));
        assert_eq!(report.token.unwrap().expose(), "kyc-000000000001a");
        assert_eq!(report.marks.0, [Box::from(MARK)]);
        assert_eq!((report.fact.kind, report.fact.at), (FactKind::Started, NOW), "{trigger}");
        assert_eq!(report.fact.submission.unwrap().as_str(), "sub-1");
        assert_eq!((report.fact.updated, report.fact.asked), (None, false));
    }
}

#[test]
fn the_sample_of_approved_is_a_decision_with_its_order_also_without_a_token() {
    for named in ["", r#""tokenId":"kyc-000000000001a","#] {
        let report = report_of(&format!(
            r#"{{"webhook_trigger":"approved","submission_id":"sub-1","email":"x@example.com",
                "cf":{{"cf1":"{MARK}"}},"applicant_id":"…","duplicated_information":"…",
                "kyc_result":{{"status":"approved","created_at":"2026-01-12T02:23:13Z",
                    "updated_at":"2026-01-12T03:00:00Z","kyc_result_at":"2026-01-12T02:59:00Z",
                    "pending_at":"…","reviewer":"system"}},
                {named}"userid":"u1","full_name":"…","gender":"…","additional_list":[]}}"#
        ));
        assert_eq!(report.token.is_some(), !named.is_empty());
        assert_eq!(report.marks.0, [Box::from(MARK)]);
        assert_eq!(report.fact.kind, FactKind::Decided(Decision::Approved));
        assert_eq!(report.fact.at, TOLD, "the first use lies no later than the submission");
        assert_eq!(report.fact.updated, Some(Timestamp::from_millis(1_768_186_800_000)));
        assert_eq!(report.fact.submission.unwrap().as_str(), "sub-1");
    }
}

#[test]
fn the_sample_of_rejected_has_its_comments_as_text_or_list() {
    for comment in [r#""…""#, r#"["…"]"#] {
        let status = format!(
            r#""kyc_result":{{"status":"rejected","comment":{comment},"commentCode":{comment},
                "updated_at":"2026-01-12T02:23:13Z"}},"#
        );
        let fact = report_of(&about("rejected", &status)).fact;
        assert_eq!(fact.kind, FactKind::Decided(Decision::Rejected));
        assert_eq!(fact.updated, Some(TOLD));
    }
}

#[test]
fn an_administrator_s_verdict_arrives_as_an_update() {
    let body = |data: &str| {
        about(
            "updated",
            &format!(
                r#""data":{data},"admin":"a@example.com","update_time":"2026-01-12T02:23:13Z","#
            ),
        )
    };
    for data in [
        r#"{"update":["kycStatus"],"kyc_result":"rejected","pending_at":"…","reviewer":"…"}"#,
        r#"{"kyc_result":{"status":"rejected"}}"#,
        r#"{"kyc":{"result":"rejected"}}"#,
    ] {
        let fact = report_of(&body(data)).fact;
        assert_eq!(fact.kind, FactKind::Decided(Decision::Rejected), "{data}");
        assert_eq!((fact.at, fact.updated), (TOLD, Some(TOLD)), "{data}");
    }
    for data in [r#"{"update":["email"]}"#, r#"{"kyc_result":"incomplete"}"#, r#""rejected""#] {
        assert_eq!(notice_of(&body(data)), Notice::Unrelated, "{data}");
    }
}

#[test]
fn a_token_that_was_used_up_and_one_that_ages_are_told_apart() {
    let expired = |more: &str| {
        notice_of(&format!(
            r#"{{"webhook_trigger":"token_expired","token_id":"kyc-000000000001a",{more}"service":"idCheck"}}"#
        ))
    };
    let kind = |more: &str| {
        let notice = expired(more);
        let Notice::Report(report) = notice else { panic!("no report: {notice:?} of {more}") };
        assert_eq!((report.fact.submission, report.fact.updated), (None, None), "{more}");
        (report.fact.kind, report.fact.at)
    };
    let ahead = Timestamp::from_millis(1_900_000_000_000);
    for (more, told) in [
        (
            r#""expired_condition":"count","expired_at":"2026-01-12T02:23:13Z","#,
            (FactKind::Exhausted, TOLD),
        ),
        (r#""expired_condition":"count","#, (FactKind::Exhausted, NOW)),
        (
            r#""expired_condition":"count","expired_at":"2030-03-17T17:46:40Z","#,
            (FactKind::Exhausted, NOW),
        ),
        (
            r#""expired_condition":"time","expected_expired_at":"2030-03-17T17:46:40Z","#,
            (FactKind::Expires(ahead), NOW),
        ),
        (
            r#""expired_condition":"brand new","expired_at":"2026-01-12T02:23:13Z","#,
            (FactKind::Expires(TOLD), TOLD),
        ),
        (r#""expected_expired_at":"2030-03-17T17:46:40Z","#, (FactKind::Expires(ahead), NOW)),
    ] {
        assert_eq!(kind(more), told, "{more}");
    }
    for more in [
        r#""expired_condition":"time","#,
        r#""expired_condition":"time","expected_expired_at":"soon","#,
        "",
    ] {
        assert_eq!(expired(more), Notice::Unrelated, "{more}");
    }
}

// What contradicts itself

#[test]
fn the_trigger_counts_where_no_status_is_told() {
    for (trigger, decision) in DECIDING {
        let same = format!(r#""kyc_result":"{}","#, decision.as_str());
        for more in ["", r#""kyc_result":{"status":"brand new"},"#, r#""kyc_result":7,"#, &same] {
            assert_eq!(kind_of(trigger, more), FactKind::Decided(decision), "{trigger} {more}");
        }
    }
}

#[test]
fn a_decision_that_its_own_status_contradicts_is_only_a_use() {
    for (trigger, decision) in DECIDING {
        for status in ["approved", "rejected", "pending", "incomplete"] {
            if status != decision.as_str() {
                let more = format!(r#""kyc_result":{{"status":"{status}"}},"#);
                assert_eq!(kind_of(trigger, &more), FactKind::Started, "{trigger} {status}");
            }
        }
    }
    assert_eq!(kind_of("created", r#""kyc_result":{"status":"approved"},"#), FactKind::Started);
}

#[test]
fn of_a_key_that_comes_twice_the_last_one_counts() {
    let body = r#"{"webhook_trigger":"approved","webhook_trigger":"rejected",
        "tokenId":"kyc-000000000002b","tokenId":"kyc-000000000001a"}"#;
    let (trigger, _) = read(body.as_bytes(), NOW);
    assert_eq!(trigger, Trigger::Rejected);
    assert_eq!(report_of(body).token.unwrap().expose(), "kyc-000000000001a");
}

#[test]
fn a_time_ahead_of_ours_is_not_believed() {
    for (text, at) in [
        ("2026-01-12T02:23:13Z", TOLD),
        ("2099-01-12T02:23:13.588Z", NOW),
        ("2026-01-12 02:23:13", NOW),
        ("1970-01-01T00:00:00Z", NOW),
        ("yesterday", NOW),
    ] {
        let more = format!(r#""kyc_result":{{"kyc_result_at":"{text}"}},"#);
        assert_eq!(report_of(&about("approved", &more)).fact.at, at, "{text}");
    }
}

// What says nothing

#[test]
fn what_moves_no_token_is_ignored() {
    for trigger in
        ["delete", "deleted", "aml", "aml_monitor", "injection", "brand_new", "none", "other", ""]
    {
        let (counted, notice) = read(about(trigger, "").as_bytes(), NOW);
        assert_eq!(notice, Notice::Unrelated, "{trigger}");
        assert_ne!(counted, Trigger::None, "{trigger}");
    }
    for service in ["faceAuth", "faceauth"] {
        for trigger in ["created", "token_expired"] {
            let more = format!(r#""service":"{service}","expired_condition":"count","#);
            assert_eq!(notice_of(&about(trigger, &more)), Notice::Unrelated, "{trigger}");
        }
    }
    assert_eq!(kind_of("created", r#""service":"idCheck","#), FactKind::Started);
}

#[test]
fn what_names_no_token_is_left_to_the_pool() {
    for (body, submission) in [
        (r#"{"webhook_trigger":"approved"}"#, None),
        (r#"{"webhook_trigger":"approved","tokenId":""}"#, None),
        (r#"{"webhook_trigger":"approved","tokenId":17,"submission_id":"sub-1"}"#, Some("sub-1")),
        (r#"{"webhook_trigger":"approved","submission_id":12}"#, Some("12")),
        (r#"{"webhook_trigger":"approved","submission_id":"a b"}"#, None),
        (r#"{"webhook_trigger":"approved","submission_id":{"id":1}}"#, None),
    ] {
        let report = report_of(body);
        assert_eq!(report.token, None, "{body}");
        assert_eq!(report.fact.submission.as_ref().map(|id| id.as_str()), submission, "{body}");
    }
    let body = r#"{"webhook_trigger":"approved","tokenId":"a b","submission_id":"sub-1"}"#;
    assert_eq!(notice_of(body), Notice::Foreign, "a token that is not ours says more");
}

#[test]
fn what_is_no_webhook_is_malformed_and_a_sealed_one_is_not() {
    let deep =
        format!(r#"{{"webhook_trigger":"aml","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    for (body, notice) in [
        (r#"{"data":"bm90IGZvciB1cw=="}"#, Notice::Sealed),
        (r#"{"data":"x","webhook_trigger":null}"#, Notice::Sealed),
        (r#"{"data":{"kyc_result":"approved"}}"#, Notice::Malformed),
        (r#"{"webhook_trigger":7}"#, Notice::Malformed),
        (r#"{"webhook_trigger":["approved"]}"#, Notice::Malformed),
        ("{}", Notice::Malformed),
        ("[]", Notice::Malformed),
        (r#"[{"webhook_trigger":"approved"}]"#, Notice::Malformed),
        ("null", Notice::Malformed),
        (r#""approved""#, Notice::Malformed),
        (r#"{"webhook_trigger":"approved""#, Notice::Malformed),
        (r#"{"webhook_trigger":"approved"}{}"#, Notice::Malformed),
        ("{\"webhook_trigger\":\"appr\0oved\"}", Notice::Malformed),
        (&deep, Notice::Malformed),
        ("", Notice::Malformed),
    ] {
        assert_eq!(read(body.as_bytes(), NOW), (Trigger::None, notice), "{body}");
    }
    let invalid = b"{\"webhook_trigger\":\"approved\",\"userid\":\"\xff\"}";
    assert_eq!(read(invalid, NOW), (Trigger::None, Notice::Malformed));
}

/// A webhook on somebody's worst day: names that we look for, over anything.
fn hostile() -> impl Strategy<Value = Value> {
    let names = [
        "webhook_trigger",
        "submission_id",
        "tokenId",
        "token_id",
        "token",
        "kyc_result",
        "status",
        "data",
        "cf",
        "cf1",
        "userid",
        "email",
        "update_time",
        "updated_at",
        "expired_condition",
        "expired_at",
        "service",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9 ]{0,20}".prop_map(|text| json!(format!("not-to-be-told{text}"))),
        Just(json!("2026-01-12T02:23:13Z")),
        prop::sample::select(vec!["approved", "rejected", "incomplete", "count", "time"])
            .prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(3, 24, 6, move |inner| {
        let fields =
            prop::collection::vec((prop::sample::select(names.to_vec()), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            fields.prop_map(|fields| fields
                .into_iter()
                .map(|(name, it)| (name.to_owned(), it))
                .collect()),
        ]
    });
    let triggers = Trigger::ALL.map(Trigger::as_str).to_vec();
    let fields = prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..8);
    (prop::sample::select(triggers), fields).prop_map(|(trigger, fields)| {
        let mut body: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        body.insert("webhook_trigger".to_owned(), json!(trigger));
        // An id of a submission is no secret, and may be anything.
        body.remove("submission_id");
        Value::Object(body)
    })
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&body, NOW);
    }

    /// P1.
    #[test]
    fn nothing_that_a_body_says_is_printed_and_no_use_lies_ahead(body in hostile()) {
        let (trigger, notice) = read(body.to_string().as_bytes(), NOW);
        prop_assert!(!format!("{trigger:?} {notice:?}").contains("not-to-be-told"), "{notice:?}");
        if let Notice::Report(report) = notice {
            prop_assert!(report.fact.at <= NOW);
            prop_assert!(trigger.tells());
        }
    }

    #[test]
    fn a_body_cut_anywhere_is_malformed(cut in 0_usize..100) {
        let body = about("approved", "");
        prop_assume!(cut < body.len());
        prop_assert_eq!(read(&body.as_bytes()[..cut], NOW), (Trigger::None, Notice::Malformed));
    }
}
