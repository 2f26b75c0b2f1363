use super::*;
use crate::sim::submissions::{Person, Status};

const NOON: Millis = 1_768_478_400_000; // 2026-01-15T12:00:00Z

fn submissions(n: i64) -> Submissions {
    let mut submissions = Submissions::default();
    for n in 0..n {
        let person = Person {
            userid: Some(format!("u{}", n % 2)),
            custom_fields: BTreeMap::from([("cf1".to_owned(), "a".to_owned())]),
            ..Person::default()
        };
        let token = format!("token-{n:04}");
        submissions.add(Submission::new(format!("sub-{n}"), token, person, NOON + n * DAY));
    }
    submissions
}

fn rules() -> Rules {
    Rules::new(10)
}

fn items(reply: &Reply) -> Vec<Value> {
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    body["Items"].as_array().unwrap().clone()
}

/// Follows the cursor for at most `pages` pages; `fault` says what becomes of each.
fn follow(
    submissions: &Submissions,
    rules: &Rules,
    query: &str,
    pages: usize,
    fault: impl Fn(usize) -> Option<Fault>,
) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = String::new();
    for page in 0..pages {
        let reply = submissions.answer(&format!("{query}{next}"), rules, fault(page).as_ref());
        let id = |item: &Value| item["submission_id"].as_str().unwrap().to_owned();
        seen.extend(items(&reply).iter().map(id));
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        let Some(key) = body.get("nextpageKey") else { return seen };
        let (id, at) = (key["id"].as_str().unwrap(), key["created_at"].as_str().unwrap());
        next = format!("&nextpage_id={id}&nextpage_date={at}");
    }
    seen.push("and so on".to_owned());
    seen
}

#[test]
fn only_a_question_by_submission_id_shows_the_token() {
    let submissions = submissions(5);
    let mut rules = rules();
    let single = |rules: &Rules| items(&submissions.answer("submission_id=sub-3", rules, None));
    assert_eq!(single(&rules)[0]["tokenId"], "token-0003");
    assert_eq!(single(&rules)[0]["data"]["cf1"], "a");
    rules.token_place = TokenPlace::Data;
    assert_eq!(single(&rules)[0]["data"]["tokenId"], "token-0003");
    assert!(single(&rules)[0].get("tokenId").is_none());
    rules.token_place = TokenPlace::Absent;
    assert!(!single(&rules)[0].to_string().contains("token-0003"));
    rules.token_place = TokenPlace::Top;
    let listed = items(&submissions.answer("userid=u1", &rules, None));
    assert_eq!(listed.len(), 2);
    assert!(!listed.iter().any(|item| item.to_string().contains("token-")));
}

#[test]
fn pages_follow_one_another_without_gap_or_repetition_in_either_order() {
    let submissions = submissions(5);
    let mut rules = rules();
    let all = |rules: &Rules, query: &str| follow(&submissions, rules, query, 9, |_| None);
    assert_eq!(all(&rules, "count=2"), ["sub-0", "sub-1", "sub-2", "sub-3", "sub-4"]);
    assert_eq!(all(&rules, "count=1&userid=u0"), ["sub-0", "sub-2", "sub-4"]);
    rules.submission_order = SubmissionOrder::NewestFirst;
    assert_eq!(all(&rules, "count=2"), ["sub-4", "sub-3", "sub-2", "sub-1", "sub-0"]);
    assert_eq!(all(&rules, "count=2&userid=u0"), ["sub-4", "sub-2", "sub-0"]);
    rules.timestamps = TimestampShape::Dashed;
    assert_eq!(all(&rules, "count=4").len(), 5);
}

#[test]
fn a_date_range_includes_both_its_days() {
    let submissions = submissions(5);
    let query = "start_date=2026-01-16&end_date=20260117";
    assert_eq!(follow(&submissions, &rules(), query, 9, |_| None), ["sub-1", "sub-2"]);
    let query = format!("{query}&count=1");
    assert_eq!(follow(&submissions, &rules(), &query, 9, |_| None), ["sub-1", "sub-2"]);
    for query in ["start_date=yesterday", "nextpage_id=sub-1", "count=2001"] {
        assert_eq!(submissions.answer(query, &rules(), None).status, 400, "{query}");
    }
}

#[test]
fn a_page_may_come_twice_or_empty_and_the_rest_still_follows() {
    let submissions = submissions(5);
    let second = |fault: Fault| move |page| (page == 1).then(|| fault.clone());
    let twice = follow(&submissions, &rules(), "count=2", 9, second(Fault::PageTwice));
    assert_eq!(twice, ["sub-0", "sub-1", "sub-0", "sub-1", "sub-2", "sub-3", "sub-4"]);
    for order in [SubmissionOrder::OldestFirst, SubmissionOrder::NewestFirst] {
        for page in 0..3 {
            let rules = Rules { submission_order: order, ..rules() };
            let empty = |n| (n == page).then_some(Fault::EmptyPage);
            let seen = follow(&submissions, &rules, "count=2", 9, empty);
            assert_eq!(seen.len(), 5, "{order:?} {page}");
        }
    }
}

#[test]
fn a_listing_may_go_round_for_ever_or_stand_on_its_first_page() {
    let submissions = submissions(3);
    let round = follow(&submissions, &rules(), "count=2", 3, |_| Some(Fault::CircularList));
    assert_eq!(round, ["sub-0", "sub-1", "sub-2", "sub-1", "sub-2", "and so on"]);
    let stands = follow(&submissions, &rules(), "count=2", 2, |_| Some(Fault::LoopingList));
    assert_eq!(stands, ["sub-0", "sub-1", "sub-0", "sub-1", "and so on"]);
}

#[test]
fn times_are_written_as_the_rule_says() {
    let mut submissions = submissions(1);
    submissions.get_mut("sub-0").unwrap().becomes(Status::Approved, NOON + 5_678);
    let item = |timestamps| {
        let rules = Rules { timestamps, ..rules() };
        items(&submissions.answer("", &rules, None)).remove(0)
    };
    assert_eq!(item(TimestampShape::Rfc3339)["kyc_result_at"], "2026-01-15T12:00:05.678Z");
    assert_eq!(item(TimestampShape::Dashed)["updated_at"], "2026-01-15-12-00-05-UTC");
    assert!(item(TimestampShape::Absent).get("created_at").is_none());
}

#[test]
fn a_deleted_submission_is_still_listed_and_says_so() {
    let mut submissions = submissions(2);
    submissions.get_mut("sub-0").unwrap().deleted = true;
    let listed = items(&submissions.answer("", &rules(), None));
    assert_eq!(listed[0], json!({"submission_id": "sub-0", "comment": "Deleted Submission"}));
    assert_eq!(listed[1]["kyc"]["result"], "incomplete");
}
