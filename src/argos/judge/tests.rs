//! One line per row of the table.

use super::*;

const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What an outcome says, as a sentence.
fn sentence<T>(outcome: Outcome<T>, settled: impl FnOnce(T) -> String) -> String {
    let (said, pause) = match outcome {
        Outcome::Settled(value) => (settled(value), None),
        Outcome::Refused(Refused { cause, retry_after }) => {
            (format!("refused: {cause:?}"), retry_after)
        }
        Outcome::Doubtful(Doubtful { cause, retry_after }) => {
            (format!("doubtful: {cause:?}"), retry_after)
        }
    };
    said + &pause.map(|pause| format!(", not for {pause:?}")).unwrap_or_default()
}

fn answer(status: u16, body: &str) -> Exchange<'_> {
    answer_with(status, None, body)
}

/// The request, or the answer, came in an envelope.
fn sealed(status: u16, body: &str) -> Exchange<'_> {
    match answer(status, body) {
        Exchange::Answered(answer) => Exchange::Answered(Answer { sealed: true, ..answer }),
        other @ (Exchange::NotSent | Exchange::Unanswered) => other,
    }
}

fn answer_with<'a>(status: u16, retry_after: Option<&'a str>, body: &'a str) -> Exchange<'a> {
    let at = http_date(AT).unwrap();
    Exchange::Answered(Answer { status, retry_after, at, body: body.as_bytes(), sealed: false })
}

/// The registration of two ids.
fn registering(exchange: Exchange<'_>) -> String {
    sentence(register(exchange, 2), |Registered { count }| match count {
        Some(count) => format!("settled, {count} known"),
        None => "settled".to_owned(),
    })
}

/// The deletion of three ids.
fn deleting(exchange: Exchange<'_>) -> String {
    sentence(delete(exchange, 3), |()| "settled".to_owned())
}

fn counting(exchange: Exchange<'_>) -> String {
    sentence(count(exchange), |count| format!("settled: {count}"))
}

/// The look-up of `kyc-0000001`.
fn finding(exchange: Exchange<'_>) -> String {
    let token = TokenId::parse("kyc-0000001").unwrap();
    sentence(find(exchange, &token), |found| match found {
        Some(entry) if entry.expired => "settled: expired".to_owned(),
        Some(_) => "settled: known".to_owned(),
        None => "settled: unknown".to_owned(),
    })
}

fn listing(exchange: Exchange<'_>) -> String {
    sentence(list(exchange), |page| format!("settled: {} entries", page.entries.len()))
}

fn looking_through(exchange: Exchange<'_>) -> String {
    let said = |list: SubmissionList| format!("settled: {} submissions", list.reports.len());
    sentence(submissions(exchange, Timestamp::ZERO), said)
}

/// The question about `sub-1`.
fn asking(exchange: Exchange<'_>) -> String {
    let id = SubmissionId::parse("sub-1").unwrap();
    sentence(submission(exchange, &id, Timestamp::ZERO), |report| match report {
        Some(_) => "settled: known".to_owned(),
        None => "settled: unknown".to_owned(),
    })
}

fn inquiring(exchange: Exchange<'_>) -> String {
    sentence(settings(exchange), |settings| format!("settled: {:?}", settings.status))
}

fn code(code: &str) -> String {
    format!(r#"{{"errorCode":"{code}","errorMessage":"…"}}"#)
}

const EVERY_CALL: [fn(Exchange<'_>) -> String; 8] =
    [registering, deleting, counting, finding, listing, looking_through, asking, inquiring];

#[test]
fn how_every_call_breaks_off_has_one_meaning() {
    for judge in EVERY_CALL {
        assert_eq!(judge(Exchange::NotSent), "refused: NotSent");
        assert_eq!(judge(Exchange::Unanswered), "doubtful: Unanswered");
    }
}

#[test]
fn every_status_means_the_same_for_every_call() {
    for judge in EVERY_CALL {
        for (status, body, meaning) in [
            (200, "", "doubtful: Unclear"),
            (200, "<html>All is well</html>", "doubtful: Unclear"),
            (200, "[]", "doubtful: Unclear"),
            (200, "null", "doubtful: Unclear"),
            (200, r#"{"success":true,"#, "doubtful: Unclear"),
            (200, r#"{"success":false}"#, "doubtful: Unclear"),
            (200, r#"{"success":"false","count":1}"#, "doubtful: Unclear"),
            (200, r#"{"errorCode":"internal_server_error"}"#, "doubtful: Unclear"),
            (200, r#"{"errorCode":7,"count":1}"#, "doubtful: Unclear"),
            (200, &code("token_limit_exceeded"), "doubtful: CapReached"),
            (201, r#"{"success":true}"#, "doubtful: Unclear"),
            (202, "", "doubtful: Unclear"),
            (204, "", "doubtful: Unclear"),
            (301, "", "doubtful: Unclear"),
            (307, "", "doubtful: Unclear"),
            (400, "", "doubtful: Unclear"),
            (400, "<html>Bad Request</html>", "doubtful: Unclear"),
            (400, "{}", "doubtful: Unclear"),
            (400, &code("never_seen"), "doubtful: Unclear"),
            (400, &code("invalid_payload"), "refused: Request"),
            (400, &code("invalid_path"), "refused: Request"),
            (400, &code("invalid_query_parameters"), "refused: Request"),
            (400, &code("invalid_order"), "refused: Request"),
            (400, &code("invalid_token_id"), "refused: Request"),
            (400, &code("invalid_project"), "refused: Key"),
            (400, &code("token_limit_exceeded"), "doubtful: CapReached"),
            (400, r#"{"message":"Invalid Query String parameters"}"#, "refused: Request"),
            (401, r#"{"message":"Unauthorized"}"#, "doubtful: Unclear"),
            (403, r#"{"message":"Forbidden"}"#, "refused: Key"),
            (
                403,
                r#"{"Message":"User is not authorized to access this resource with an explicit deny"}"#,
                "refused: Address",
            ),
            (403, "", "refused: Key"),
            (404, "", "doubtful: Unclear"),
            (404, r#"{"message":"Not Found"}"#, "doubtful: Unclear"),
            (405, "", "doubtful: Unclear"),
            (408, "", "doubtful: Unanswered"),
            (409, "", "doubtful: Unclear"),
            (418, "", "doubtful: Unclear"),
            (429, r#"{"message":"Too Many Requests"}"#, "refused: Throttled"),
            (500, "", "doubtful: Failed"),
            (500, &code("internal_server_error"), "doubtful: Failed"),
            (500, &code("token_limit_exceeded"), "doubtful: CapReached"),
            (501, "", "doubtful: Unanswered"),
            (502, r#"{"message":"Bad Gateway"}"#, "doubtful: Unanswered"),
            (503, "", "doubtful: Unanswered"),
            (504, r#"{"message":"Endpoint request timed out"}"#, "doubtful: Unanswered"),
            (520, "<html>", "doubtful: Unanswered"),
            (599, "", "doubtful: Unanswered"),
            (600, "", "doubtful: Unclear"),
        ] {
            assert_eq!(judge(answer(status, body)), meaning, "{status} {body}");
        }
    }
}

#[test]
fn a_registration_settles_only_when_nothing_contradicts_the_batch() {
    for (body, meaning) in [
        (r#"{"success":true}"#, "settled"),
        ("{}", "doubtful: Unclear"),
        (r#"{"data":"c2VhbGVk"}"#, "doubtful: Unclear"),
        (r#"{"message":"Endpoint request timed out"}"#, "doubtful: Unclear"),
        (r#"{"summary":{"totalSubmitted":2,"currentCount":3502}}"#, "settled, 3502 known"),
        (
            r#"{"success":true,"message":"All tokens are now in the pool","summary":{"totalSubmitted":2,"currentCount":3502,"processed":2,"failed":0}}"#,
            "settled, 3502 known",
        ),
        (
            r#"{"success":true,"summary":{"totalSubmitted":2,"currentCount":3502}}"#,
            "settled, 3502 known",
        ),
        (r#"{"success":true,"summary":{"totalSubmitted":2,"processed":2,"failed":0}}"#, "settled"),
        (
            r#"{"success":true,"summary":{"totalSubmitted":"2","failed":null},"details":{"failed":[]}}"#,
            "settled",
        ),
        (r#"{"success":true,"message":"limit exceeded by nobody"}"#, "settled"),
        (
            r#"{"success":true,"summary":{"totalSubmitted":2,"processed":1,"failed":1}}"#,
            "doubtful: Unclear",
        ),
        (r#"{"success":true,"summary":{"totalSubmitted":1}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"summary":{"processed":3}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"summary":{"failed":1}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"summary":{"processed":"both"}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"summary":{"processed":-2}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"summary":{"currentCount":1}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"processed":1,"summary":{"processed":2}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"failed":["kyc-0000001"]}"#, "doubtful: Unclear"),
        (r#"{"success":true,"details":{"failed":["kyc-0000001"]}}"#, "doubtful: Unclear"),
        (r#"{"success":true,"details":["kyc-0000001"]}"#, "doubtful: Unclear"),
        (r#"{"success":true,"details":"one was left out"}"#, "doubtful: Unclear"),
        (r#"{"success":false,"message":"Token limit of the pool"}"#, "doubtful: CapReached"),
    ] {
        assert_eq!(registering(answer(200, body)), meaning, "{body}");
    }
}

#[test]
fn a_registration_that_was_turned_down_says_why() {
    for (status, body, meaning) in [
        (400, code("request_token_limit_exceeded"), "refused: TooMany"),
        (413, "<html>".to_owned(), "refused: TooMany"),
        // A batch is handled id by id: the well-formed ones may be registered.
        (400, code("invalid_token_id_format"), "doubtful: Unclear"),
        (400, code("invalid_token_id_length"), "doubtful: Unclear"),
        (400, code("token_not_found"), "doubtful: Unclear"),
        (400, code("token_id_not_found"), "doubtful: Unclear"),
        (
            400,
            r#"{"message":"The maximum number of tokens is 100,000"}"#.to_owned(),
            "doubtful: CapReached",
        ),
        (
            400,
            r#"{"errorCode":"E17","errorMessage":"Token LIMIT exceeded"}"#.to_owned(),
            "doubtful: CapReached",
        ),
        (500, r#"{"errorMessage":"token limit exceeded"}"#.to_owned(), "doubtful: CapReached"),
    ] {
        assert_eq!(registering(answer(status, &body)), meaning, "{status} {body}");
    }
}

#[test]
fn a_deletion_settles_when_every_id_is_gone_or_was_never_there() {
    for (status, body, meaning) in [
        (200, r#"{"success":true}"#, "settled"),
        (
            200,
            r#"{"success":true,"message":"Successfully deleted 2 tokens","summary":{"totalSubmitted":3,"deleted":2,"notFound":1,"failed":0},"details":{"notFound":["kyc-000000000009z"]}}"#,
            "settled",
        ),
        (200, r#"{"success":true,"summary":{"totalSubmitted":3,"deleted":3}}"#, "settled"),
        (200, r#"{"success":true,"summary":{"deleted":0,"notFound":3}}"#, "settled"),
        (
            200,
            r#"{"success":true,"summary":{"deleted":2},"details":{"notFound":["kyc-0000001"]}}"#,
            "settled",
        ),
        (200, r#"{"success":true,"summary":{"notFound":1}}"#, "settled"),
        (200, r#"{"summary":{"deleted":3}}"#, "settled"),
        (200, "{}", "doubtful: Unclear"),
        (200, r#"{"data":"c2VhbGVk"}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"deleted":2}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"deleted":4}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"deleted":1,"notFound":1}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"notFound":4}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"totalSubmitted":2}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"deleted":3,"failed":1}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"summary":{"deleted":"all"}}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"details":{"failed":["kyc-0000001"]}}"#, "doubtful: Unclear"),
        (400, r#"{"errorCode":"token_not_found","errorMessage":"Token not found."}"#, "settled"),
        (400, r#"{"errorCode":"token_id_not_found"}"#, "settled"),
        (404, r#"{"errorCode":"token_not_found"}"#, "settled"),
        (404, r#"{"errorCode":"token_id_not_found"}"#, "settled"),
        (500, r#"{"errorCode":"token_not_found"}"#, "doubtful: Failed"),
        (400, r#"{"errorCode":"request_token_limit_exceeded"}"#, "refused: TooMany"),
        (413, "", "refused: TooMany"),
        (400, r#"{"errorCode":"invalid_token_id_format"}"#, "doubtful: Unclear"),
    ] {
        assert_eq!(deleting(answer(status, body)), meaning, "{status} {body}");
    }
}

#[test]
fn a_look_up_settles_only_about_the_id_it_asked_for() {
    for (status, body, meaning) in [
        (
            200,
            r#"{"success":true,"tokenId":"kyc-0000001","data":{"tokenId":"kyc-0000001","updateTime":"2026-01-15T10:30:45.123Z"}}"#,
            "settled: known",
        ),
        (200, r#"{"data":{"tokenId":"kyc-0000001","expired":"true"}}"#, "settled: expired"),
        (200, r#"{"tokenId":"kyc-0000001"}"#, "settled: known"),
        (200, r#"{"success":true}"#, "doubtful: Unclear"),
        (200, r#"{"success":true,"data":null}"#, "doubtful: Unclear"),
        (200, r#"{"tokenId":"kyc-0000002"}"#, "doubtful: Unclear"),
        (200, r#"{"tokenId":"kyc-0000001","data":{"tokenId":"kyc-0000002"}}"#, "doubtful: Unclear"),
        (
            400,
            r#"{"errorCode":"token_not_found","errorMessage":"Token not found."}"#,
            "settled: unknown",
        ),
        (404, r#"{"errorCode":"token_not_found"}"#, "settled: unknown"),
        (500, r#"{"errorCode":"token_not_found"}"#, "settled: unknown"),
        (400, r#"{"errorCode":"token_id_not_found"}"#, "settled: unknown"),
        (502, r#"{"errorCode":"token_not_found"}"#, "doubtful: Unanswered"),
        (400, r#"{"errorCode":"invalid_token_id_format"}"#, "refused: Request"),
        (400, r#"{"errorCode":"invalid_token_id_length"}"#, "refused: Request"),
        (413, "", "refused: Request"),
    ] {
        assert_eq!(finding(answer(status, body)), meaning, "{status} {body}");
    }
}

#[test]
fn counts_and_listings_settle_when_they_contain_one() {
    assert_eq!(counting(answer(200, r#"{"success":true,"count":3502}"#)), "settled: 3502");
    assert_eq!(counting(answer(200, r#"{"success":true}"#)), "doubtful: Unclear");
    assert_eq!(counting(answer(400, &code("token_not_found"))), "doubtful: Unclear");
    assert_eq!(listing(answer(200, r#"{"data":["kyc-0000001"]}"#)), "settled: 1 entries");
    assert_eq!(listing(answer(200, r#"{"success":true,"data":[]}"#)), "settled: 0 entries");
    assert_eq!(listing(answer(200, r#"{"success":true,"count":0}"#)), "doubtful: Unclear");
}

#[test]
fn a_pause_that_is_asked_for_is_passed_on() {
    for (status, header, meaning) in [
        (429, "120", "refused: Throttled, not for 120s"),
        (429, " 0 ", "refused: Throttled, not for 0ns"),
        (429, "Sun, 06 Nov 1994 08:50:07 GMT", "refused: Throttled, not for 30s"),
        (429, "Sun, 06 Nov 1994 08:49:07 GMT", "refused: Throttled, not for 0ns"),
        (429, "99999999999", "refused: Throttled, not for 3600s"),
        (429, "-1", "refused: Throttled"),
        (429, "soon", "refused: Throttled"),
        (503, "7", "doubtful: Unanswered, not for 7s"),
        (500, "7", "doubtful: Failed, not for 7s"),
        (403, "7", "refused: Key, not for 7s"),
    ] {
        let exchange = answer_with(status, Some(header), "");
        assert_eq!(registering(exchange), meaning, "{status} {header}");
    }
}

#[test]
fn a_submission_is_unknown_where_argos_says_so_and_nowhere_else() {
    for (status, body, meaning) in [
        (200, r#"{"Items":[]}"#.to_owned(), "settled: unknown"),
        (200, r#"{"Items":[{"submission_id":"sub-1"}]}"#.to_owned(), "settled: known"),
        (200, r#"{"Items":[{"submission_id":"sub-2"}]}"#.to_owned(), "doubtful: Unclear"),
        (400, code("submission_not_found"), "settled: unknown"),
        (404, code("submission_id_not_found"), "settled: unknown"),
        (500, code("submission_not_found"), "doubtful: Failed"),
        (400, code("token_not_found"), "doubtful: Unclear"),
        (404, r#"{"message":"Not Found"}"#.to_owned(), "doubtful: Unclear"),
        (404, String::new(), "doubtful: Unclear"),
    ] {
        assert_eq!(asking(answer(status, &body)), meaning, "{status} {body}");
    }
    let invalid = r#"{"message":"Invalid Query String parameters"}"#;
    for judge in [looking_through, asking] {
        assert_eq!(judge(answer(400, invalid)), "refused: Request");
        assert_eq!(judge(answer(413, "")), "refused: Request");
    }
    assert_eq!(looking_through(answer(400, &code("submission_not_found"))), "doubtful: Unclear");
    assert_eq!(looking_through(answer(200, r#"{"Items":[7]}"#)), "settled: 0 submissions");
}

#[test]
fn a_body_that_argos_cannot_open_is_refused_and_nothing_was_done() {
    let key = "Decryption is Failed. Please check the api-key.";
    for told in [
        code(key),
        format!(r#"{{"errorMessage":"{key}"}}"#),
        format!(r#"{{"message":"400: {key}"}}"#),
    ] {
        for judge in [registering, deleting] {
            for answer in [answer, sealed] {
                for status in [400, 401, 403, 404, 422, 499, 500] {
                    assert_eq!(
                        judge(answer(status, &told)),
                        "refused: Transfer",
                        "{status} {told}"
                    );
                }
                assert_eq!(judge(answer(200, &told)), "doubtful: Unclear", "{told}");
                for status in [501, 502, 503, 504] {
                    assert_eq!(judge(answer(status, &told)), "doubtful: Unanswered", "{told}");
                }
            }
        }
        // Questions have no body that it would have to open.
        for judge in [counting, finding, listing, looking_through, asking, inquiring] {
            assert_eq!(judge(sealed(400, &told)), "doubtful: Unclear", "{told}");
            assert_eq!(judge(sealed(500, &told)), "doubtful: Failed", "{told}");
        }
    }
}

/// It may have come of anything.
#[test]
fn an_error_of_processing_is_about_the_envelope_only_where_there_was_one() {
    for told in
        [code("Data Processing Error."), r#"{"errorMessage":"DATA PROCESSING ERROR"}"#.into()]
    {
        assert_eq!(registering(sealed(400, &told)), "refused: Transfer");
        assert_eq!(registering(answer(400, &told)), "doubtful: Unclear");
        assert_eq!(registering(sealed(500, &told)), "doubtful: Failed");
    }
}

#[test]
fn a_sealed_body_that_argos_cannot_read_was_not_expected_to_be_sealed() {
    for error in ["invalid_payload", "invalid_token_id"] {
        for judge in [registering, deleting] {
            assert_eq!(judge(sealed(400, &code(error))), "refused: Transfer");
            assert_eq!(judge(answer(400, &code(error))), "refused: Request");
        }
        assert_eq!(counting(sealed(400, &code(error))), "refused: Request");
    }
    for error in ["invalid_token_id_format", "internal_server_error", "never_seen"] {
        assert_eq!(registering(sealed(400, &code(error))), "doubtful: Unclear");
    }
    assert_eq!(registering(sealed(400, &code("invalid_project"))), "refused: Key");
}

#[test]
fn settings_settle_when_there_are_any() {
    let body = r#"{"item":{"management":{"projectStatus":"Open"}}}"#;
    assert_eq!(inquiring(answer(200, body)), r#"settled: Some("open")"#);
    assert_eq!(inquiring(answer(200, r#"{"item":{}}"#)), "doubtful: Unclear");
}
