//! Questions about submissions.

use super::*;
use crate::domain::{
    submission::{Fact, FactKind, Marks},
    token::Decision,
};

/// 2026-01-12T02:23:13Z.
const TOLD: Timestamp = Timestamp::from_millis(1_768_184_593_000);
const DAYS: Days = Days { first: TOLD, last: TOLD };
const PERSON: &str = r#""email":"not-to-be-told@example.com","userid":"not-to-be-told",
    "data":{"cf1":"not-to-be-told","full_name":"not-to-be-told"}"#;

fn id() -> SubmissionId {
    SubmissionId::parse("sub/1").unwrap()
}

/// At a time of our own that is later than everything told.
fn rig(server: &Server) -> Rig {
    let rig = server.rig();
    rig.pass(TOLD.as_millis() / 1_000 + 86_400);
    rig
}

fn report() -> Report {
    Report {
        token: None,
        marks: Marks::default(),
        fact: Fact {
            kind: FactKind::Decided(Decision::Approved),
            at: TOLD,
            submission: Some(id()),
            updated: Some(TOLD),
            asked: false,
        },
    }
}

fn item(token: &str) -> String {
    format!(
        r#"{{"submission_id":"sub/1","created_at":"2026-01-12T02:23:13Z",
            "updated_at":"2026-01-12-02-23-13-UTC","kyc":{{"result":"approved"}},{token}{PERSON}}}"#
    )
}

#[tokio::test]
async fn a_list_is_walked_by_its_own_keys_and_a_submission_is_found_by_its_id() {
    let server = Server::start(|seen| {
        let answer = if seen.line.contains("submission_id=") {
            format!(r#"{{"Items":[{}]}}"#, item(r#""tokenId":"ap-token-0001","#))
        } else if seen.line.contains("nextpage_id=") {
            r#"{"Items":[]}"#.to_owned()
        } else {
            format!(
                r#"{{"Items":[17,{}],"nextpageKey":{{"id":"sub/1","created_at":"a b"}}}}"#,
                item("")
            )
        };
        answer.into_response()
    })
    .await;
    let rig = rig(&server);

    let Outcome::Settled(first) = rig.argos.submissions(DAYS, None).await else {
        panic!("no page")
    };
    assert_eq!(first.reports, [report()]);
    let second = rig.argos.submissions(DAYS, first.next).await;
    assert_eq!(second, Outcome::Settled(SubmissionsPage::default()));
    let found = rig.argos.submission(id()).await;
    let token = Some(TokenId::parse("ap-token-0001").unwrap());
    assert_eq!(found, Outcome::Settled(Some(Report { token, ..report() })));
    let Outcome::Settled(list) = rig.argos.submission_list(DAYS, None).await else {
        panic!("no page")
    };
    assert_eq!(list.unreadable, 1);

    let seen = server.seen();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.as_str()).collect();
    let page = "GET /v3/submission?start_date=2026-01-11&end_date=2026-01-13&count=1000";
    let further = format!("{page}&nextpage_id=sub%2F1&nextpage_date=a%20b");
    assert_eq!(lines, [page, &further, "GET /v3/submission?submission_id=sub%2F1", page]);
    assert!(seen.iter().all(|request| request.headers["x-api-key"] == KEY));
    let operations: Vec<&str> = rig.results().iter().map(|(it, _)| it.as_str()).collect();
    let (list, find) = ("list_submissions", "find_submission");
    assert_eq!(operations, [list, list, find, list]);
    assert!(rig.results().iter().all(|(_, result)| *result == "settled"));
}

/// A thousand submissions with everything that was read from a document are longer than any other answer.
#[tokio::test]
async fn a_long_page_is_read_whole() {
    let long = format!(r#""additional_list":["{}"],"#, "x".repeat(3 << 20));
    let body = format!(r#"{{"Items":[{}]}}"#, item(&long));
    let server = Server::start(move |_| body.clone().into_response()).await;
    let Outcome::Settled(page) = rig(&server).argos.submissions(DAYS, None).await else {
        panic!("no page")
    };
    assert_eq!(page.reports, [report()]);
}

#[tokio::test]
async fn a_time_ahead_of_ours_is_the_time_of_the_answer() {
    let server = Server::start(|_| format!(r#"{{"Items":[{}]}}"#, item("")).into_response()).await;
    let rig = server.rig();
    let Outcome::Settled(Some(found)) = rig.argos.submission(id()).await else {
        panic!("nothing found")
    };
    assert_eq!(found.fact.at, rig.hands.now());
    assert_eq!(found.fact.updated, Some(TOLD), "the order of ARGOS's own decisions stays");
}

#[tokio::test]
async fn answers_that_nobody_can_read_hold_back_no_registration() {
    let server = Server::start(|_| ok("<html>All is well</html>")).await;
    let rig = rig(&server);
    for _ in 0..10 {
        assert_eq!(rig.argos.admit(Purpose::Outcomes), Ok(()));
        assert!(is_doubtful(&rig.argos.submission(id()).await, DoubtfulCause::Unclear));
        assert!(is_doubtful(&rig.argos.submissions(DAYS, None).await, DoubtfulCause::Unclear));
        rig.pass(60);
    }
    assert_eq!(rig.argos.health().condition, Condition::Up);
    assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()));
}

#[tokio::test]
async fn an_argos_that_fails_is_left_alone_whatever_was_asked() {
    let server = Server::start(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let rig = rig(&server);
    for _ in 0..5 {
        assert!(is_doubtful(&rig.argos.submission(id()).await, DoubtfulCause::Failed));
    }
    assert_eq!(rig.argos.health().condition, Condition::Down);
    assert!(rig.argos.admit(Purpose::Refill).is_err());
}

#[tokio::test]
async fn nothing_personal_outlives_the_reading_of_an_answer() {
    let server = Server::start(|_| {
        format!(r#"{{"Items":[{}]}}"#, item(r#""tokenId":"ap-not-to-be-told","#)).into_response()
    })
    .await;
    let rig = rig(&server);
    let found = rig.argos.submission(id()).await;
    let list = rig.argos.submissions(DAYS, None).await;
    let Outcome::Settled(Some(Report { marks, .. })) = &found else { panic!("nothing found") };
    assert_eq!(*marks, Marks::default());
    let printed = format!("{found:?} {list:?}");
    assert!(!printed.contains("not-to-be-told"), "{printed}");
}
