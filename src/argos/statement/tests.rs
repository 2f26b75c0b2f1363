use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const TOKEN: &str = "kyc-000000000001a";

fn object(body: &str) -> Map<String, Value> {
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_time_is_read_in_every_form_that_names_its_zone() {
    for (text, millis) in [
        ("2026-01-12T02:23:13.588Z", 1_768_184_593_588),
        ("2026-01-12T02:23:13Z", 1_768_184_593_000),
        ("2026-01-12T02:23:13.588123456Z", 1_768_184_593_588),
        ("2026-01-12T11:23:13+09:00", 1_768_184_593_000),
        ("2026-01-12T11:23:13.5+0900", 1_768_184_593_500),
        ("2026-01-11T22:53:13-03:30", 1_768_184_593_000),
        (" 2026-01-12T02:23:13Z ", 1_768_184_593_000),
        ("2026-01-12-02-23-13-UTC", 1_768_184_593_000),
        ("2026-01-12-02-23-13-GMT", 1_768_184_593_000),
        ("2026-01-12-02-23-13-Z", 1_768_184_593_000),
        ("2026-01-12-02-23-13Z", 1_768_184_593_000),
        ("2026-01-12-11-23-13-KST", 1_768_184_593_000),
        ("2026-01-12-11-23-13-+0900", 1_768_184_593_000),
        ("2026-01-12-11-23-13+09:00", 1_768_184_593_000),
        ("2026-01-11-21-23-13--0500", 1_768_184_593_000),
    ] {
        assert_eq!(time(text), Some(Timestamp::from_millis(millis)), "{text}");
    }
}

#[test]
fn a_time_without_a_zone_or_from_another_century_is_not_believed() {
    for text in [
        "2026-01-12T02:23:13",
        "2026-01-12 02:23:13",
        "2026-01-12-02-23-13",
        "2026-01-12-02-23-13-0500",
        "2026-01-12-02-23-13-ZZZ",
        "YYYY-MM-DD-HH-MM-SS-ZZZ",
        "2026-13-12-02-23-13-UTC",
        "2026-01-12",
        "1768184593588",
        "yesterday",
        "",
        "1970-01-01T00:00:00Z",
        "2019-12-31T23:59:59.999Z",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "٢٠٢٦-01-12-02-23-13-UTC",
    ] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn a_token_is_found_under_every_name_and_in_every_place() {
    for body in [
        r#"{"tokenId":"kyc-000000000001a"}"#,
        r#"{"token_id":"kyc-000000000001a"}"#,
        r#"{"token":"kyc-000000000001a"}"#,
        r#"{"data":{"tokenId":"kyc-000000000001a"}}"#,
        r#"{"data":{"token_id":"kyc-000000000001a"}}"#,
        r#"{"tokenId":"","token_id":null,"data":{"token":"kyc-000000000001a"}}"#,
        r#"{"tokenId":"kyc-000000000001a","data":{"token":"of something else"}}"#,
    ] {
        let Named::Token(token) = Statement::of(&object(body)).token() else { panic!("{body}") };
        assert_eq!(token.expose(), TOKEN, "{body}");
    }
    for (body, named) in [
        (r#"{"tokenId":"a b"}"#, Named::Stranger),
        (r#"{"tokenId":"short"}"#, Named::Stranger),
        (r#"{"tokenId":"kyc-\u0000000000001a"}"#, Named::Stranger),
        (r#"{"tokenId":17,"data":"c2VhbGVk"}"#, Named::Nobody),
        (r#"{"tokenId":["kyc-000000000001a"]}"#, Named::Nobody),
        ("{}", Named::Nobody),
    ] {
        assert_eq!(Statement::of(&object(body)).token(), named, "{body}");
    }
}

#[test]
fn a_status_is_found_in_every_shape() {
    use Decision::{Approved, Pending, Rejected};
    for (body, status) in [
        (r#"{"kyc_result":{"status":"approved"}}"#, Some(Status::Decided(Approved))),
        (r#"{"kyc_result":"rejected"}"#, Some(Status::Decided(Rejected))),
        (r#"{"kyc":{"result":"pending","comment":["…"]}}"#, Some(Status::Decided(Pending))),
        (r#"{"kyc":{"result":" Approved "}}"#, Some(Status::Decided(Approved))),
        (r#"{"kyc_result":{"status":"incomplete"}}"#, Some(Status::Incomplete)),
        (r#"{"kyc_result":{"status":"brand new"}}"#, None),
        (r#"{"kyc_result":{"status":7},"kyc":[]}"#, None),
        (r#"{"data":{"kyc_result":"approved"}}"#, None),
        ("{}", None),
    ] {
        assert_eq!(Statement::of(&object(body)).status(), status, "{body}");
    }
}

#[test]
fn only_what_is_as_long_as_a_mark_goes_on_from_what_others_chose() {
    let marks = ["userid", "cf1", "cf2", "cf3"].map(|name| format!("mark-of-ours-in-{name:_<11}"));
    let [userid, cf1, cf2, cf3] = &marks;
    let body = format!(
        r#"{{"userid":"{userid}","cf1":"a","cf":{{"cf1":"{cf1}","cf2":7}},
            "data":{{"cf2":"{cf2}","cf3":"{cf3}","full_name":"{userid}"}},"email":"{cf3}"}}"#
    );
    let found = Statement::of(&object(&body)).marks();
    assert_eq!(found.0.iter().map(|mark| &**mark).collect::<Vec<_>>(), marks);
    assert_eq!(format!("{found:?}"), "Marks(…)");
}

#[test]
fn the_earliest_time_counts_and_none_lies_ahead() {
    let at = |body: &str| Statement::of(&object(body)).earliest(NOW);
    let body = r#"{"kyc_result":{"created_at":"2026-01-12T02:23:13Z","updated_at":"2026-01-12T03:00:00Z"},
        "update_time":"2026-01-13T00:00:00Z"}"#;
    assert_eq!(at(body), Timestamp::from_millis(1_768_184_593_000));
    assert_eq!(at(r#"{"created_at":"2099-01-12T02:23:13Z"}"#), NOW);
    assert_eq!(at(r#"{"created_at":1768184593000}"#), NOW);
    // The day on which somebody's passport expires is no first use.
    let passport = r#"{"data":{"created_at":"2021-01-12T02:23:13Z"}}"#;
    assert_eq!(at(passport), NOW);
}

#[test]
fn what_orders_decisions_is_found_in_every_place() {
    let at = Some(Timestamp::from_millis(1_768_184_593_000));
    for body in [
        r#"{"kyc_result":{"updated_at":"2026-01-12T02:23:13Z"}}"#,
        r#"{"updated_at":"2026-01-12-11-23-13-KST","kyc":{"result":"approved"}}"#,
        r#"{"update_time":"2026-01-12T02:23:13Z","data":{}}"#,
    ] {
        assert_eq!(Statement::of(&object(body)).updated(), at, "{body}");
    }
    assert_eq!(
        Statement::of(&object(r#"{"kyc_result_at":"2026-01-12T02:23:13Z"}"#)).updated(),
        None
    );
}

proptest! {
    #[test]
    fn no_text_is_too_strange_for_a_time(text in any::<String>(), tail in "[0-9TZ:.+-]{0,30}") {
        let _ = (time(&text), time(&tail));
    }

    #[test]
    fn the_two_ways_to_write_a_time_say_the_same(seconds in 1_577_836_800_i64..4_102_444_800) {
        let at = jiff::Timestamp::from_second(seconds).unwrap();
        let dashed = at.strftime("%Y-%m-%d-%H-%M-%S-UTC").to_string();
        prop_assert_eq!(time(&dashed), time(&at.to_string()));
        prop_assert_eq!(time(&dashed), Some(Timestamp::from_millis(seconds.unsigned_abs() * 1_000)));
    }
}
