//! Submissions, and `GET /v3/submission` over them (contract 7).

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Millis, Reply, from_iso, iso, parameters};

/// Submissions in one answer unless `count` says otherwise, and at most (contract 7).
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 2_000;
/// A third failure inside one submission rejects it (contract 7).
const ATTEMPTS_MAX: u32 = 3;
const DAY: Millis = 24 * 60 * 60 * 1_000;

/// Where one submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Incomplete,
    Pending,
    Approved,
    Rejected,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// What the person brought along in the link; echoed in webhooks and in GET.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    pub email: Option<String>,
    pub userid: Option<String>,
    /// `cf1`, `cf2`, `cf3`.
    pub custom_fields: BTreeMap<String, String>,
}

impl Person {
    pub(super) fn from_parameters(parameters: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| parameters.get(name).filter(|value| !value.is_empty()).cloned();
        let field = |name: &str| Some((name.to_owned(), text(name)?));
        Self {
            email: text("email"),
            userid: text("userid"),
            custom_fields: ["cf1", "cf2", "cf3"].into_iter().filter_map(field).collect(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Submission {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) person: Person,
    pub(super) status: Status,
    pub(super) comment: Option<&'static str>,
    pub(super) comment_code: Option<&'static str>,
    pub(super) attempts: u32,
    pub(super) reviewer: &'static str,
    pub(super) created_at: Millis,
    pub(super) updated_at: Millis,
    pub(super) pending_at: Option<Millis>,
    pub(super) result_at: Option<Millis>,
    pub(super) deleted: bool,
}

impl Submission {
    pub(super) fn new(id: String, token: String, person: Person, now: Millis) -> Self {
        Self {
            id,
            token,
            person,
            status: Status::Incomplete,
            comment: None,
            comment_code: None,
            attempts: 0,
            reviewer: "system",
            created_at: now,
            updated_at: now,
            pending_at: None,
            result_at: None,
            deleted: false,
        }
    }

    pub(super) fn is_decided(&self) -> bool {
        self.status != Status::Incomplete
    }

    /// Sets the status and the times that go with it.
    pub(super) fn becomes(&mut self, status: Status, now: Millis) {
        self.status = status;
        // Two facts about one submission never carry the same time, as `updated_at` orders them.
        self.updated_at = now.max(self.updated_at + 1);
        match status {
            Status::Pending => self.pending_at = Some(now),
            Status::Approved => self.result_at = Some(now),
            Status::Rejected => {
                self.result_at = Some(now);
                if self.comment.is_none() {
                    self.comment = Some("The document could not be verified.");
                    self.comment_code = Some("document_not_verified");
                }
            }
            Status::Incomplete => {}
        }
    }

    /// One failed attempt; true when it was the last one and the submission is rejected.
    pub(super) fn fails_attempt(&mut self, now: Millis) -> bool {
        self.attempts += 1;
        self.updated_at = now.max(self.updated_at + 1);
        let last = self.attempts >= ATTEMPTS_MAX;
        if last {
            self.comment = Some("Too many retries.");
            self.comment_code = Some("too_many_retry");
            self.becomes(Status::Rejected, now);
        }
        last
    }

    /// Contract 7: the token is seen only when asked for by `submission_id`.
    fn item(&self, single: bool) -> Value {
        if self.deleted {
            return json!({"submission_id": self.id, "comment": "Deleted Submission"});
        }
        let mut item = json!({
            "submission_id": self.id,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "reviewer": self.reviewer,
            "kyc": {"result": self.status.as_str()},
            "data": self.person.custom_fields,
        });
        let listed = |text: Option<&'static str>| text.map(|text| json!([text]));
        let optional = [
            ("email", self.person.email.as_ref().map(|text| json!(text))),
            ("userid", self.person.userid.as_ref().map(|text| json!(text))),
            ("pending_at", self.pending_at.map(|at| json!(iso(at)))),
            ("kyc_result_at", self.result_at.map(|at| json!(iso(at)))),
            ("tokenId", single.then(|| json!(self.token))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                item[name] = value;
            }
        }
        for (name, text) in [("comment", self.comment), ("commentCode", self.comment_code)] {
            if let Some(value) = listed(text) {
                item["kyc"][name] = value;
            }
        }
        item
    }
}

/// All submissions of one project, oldest first.
#[derive(Default)]
pub(super) struct Submissions {
    all: Vec<Submission>,
    places: BTreeMap<String, usize>,
}

impl Submissions {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Submission> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn add(&mut self, submission: Submission) {
        self.places.insert(submission.id.clone(), self.all.len());
        self.all.push(submission);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Submission> {
        self.places.get(id).map(|place| &self.all[*place])
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Submission> {
        self.places.get(id).map(|place| &mut self.all[*place])
    }

    /// `GET /v3/submission`.
    pub(super) fn answer(&self, query: &str) -> Reply {
        let query = parameters(query);
        let Some(filter) = Filter::read(&query) else {
            return Reply::json(400, &json!({"message": "Invalid Query String parameters"}));
        };
        let mut found =
            self.all.iter().enumerate().filter(|(_, submission)| filter.fits(submission));
        let mut page: Vec<(usize, &Submission)> = match &filter.after {
            Some(last) => {
                let Some(&start) = self.places.get(last) else {
                    return Reply::json(
                        400,
                        &json!({"message": "Invalid Query String parameters"}),
                    );
                };
                found.by_ref().filter(|(place, _)| *place > start).take(filter.count + 1).collect()
            }
            None => found.take(filter.count + 1).collect(),
        };
        let more = page.len() > filter.count;
        page.truncate(filter.count);
        let single = filter.id.is_some();
        let items: Vec<Value> =
            page.iter().map(|(_, submission)| submission.item(single)).collect();
        let mut answer = json!({"Items": items});
        if let (true, Some((_, last))) = (more, page.last()) {
            answer["nextpageKey"] = json!({"id": last.id, "created_at": iso(last.created_at)});
        }
        Reply::json(200, &answer)
    }
}

struct Filter {
    id: Option<String>,
    userid: Option<String>,
    email: Option<String>,
    from: Option<Millis>,
    /// Exclusive: the end of `end_date`.
    until: Option<Millis>,
    count: usize,
    after: Option<String>,
}

impl Filter {
    fn read(query: &BTreeMap<String, String>) -> Option<Self> {
        let text = |name: &str| query.get(name).cloned();
        let date = |name: &str| match query.get(name) {
            None => Some(None),
            Some(text) => day(text).map(Some),
        };
        let count = match query.get("count") {
            None => PAGE_DEFAULT,
            Some(text) => text.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count))?,
        };
        if let Some(at) = query.get("nextpage_date") {
            from_iso(at)?;
        }
        Some(Self {
            id: text("submission_id"),
            userid: text("userid"),
            email: text("email"),
            from: date("start_date")?,
            until: date("end_date")?.map(|at| at + DAY),
            count,
            after: text("nextpage_id"),
        })
    }

    fn fits(&self, submission: &Submission) -> bool {
        let equal = |wanted: &Option<String>, is: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        equal(&self.id, Some(&submission.id))
            && equal(&self.userid, submission.person.userid.as_ref())
            && equal(&self.email, submission.person.email.as_ref())
            && self.from.is_none_or(|from| submission.created_at >= from)
            && self.until.is_none_or(|until| submission.created_at < until)
    }
}

/// Midnight UTC of `YYYY-MM-DD`, or of the older `YYYYMMDD`.
fn day(text: &str) -> Option<Millis> {
    let date = Date::strptime("%Y-%m-%d", text).or_else(|_| Date::strptime("%Y%m%d", text)).ok()?;
    from_iso(&format!("{date}T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = 1_768_478_400_000; // 2026-01-15T12:00:00Z

    fn submissions() -> Submissions {
        let mut submissions = Submissions::default();
        for n in 0..5 {
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

    fn items(reply: &Reply) -> Vec<Value> {
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        body["Items"].as_array().unwrap().clone()
    }

    #[test]
    fn only_a_question_by_submission_id_shows_the_token() {
        let submissions = submissions();
        let single = items(&submissions.answer("submission_id=sub-3"));
        assert_eq!(single[0]["tokenId"], "token-0003");
        assert_eq!(single[0]["data"]["cf1"], "a");
        let listed = items(&submissions.answer("userid=u1"));
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|item| item.get("tokenId").is_none()));
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repetition() {
        let submissions = submissions();
        let mut seen = Vec::new();
        let mut query = "count=2".to_owned();
        for _ in 0..10 {
            let reply = submissions.answer(&query);
            seen.extend(items(&reply).iter().map(|item| item["submission_id"].clone()));
            let body: Value = serde_json::from_str(&reply.body).unwrap();
            let Some(key) = body.get("nextpageKey") else { break };
            let (id, at) = (key["id"].as_str().unwrap(), key["created_at"].as_str().unwrap());
            query = format!("count=2&nextpage_id={id}&nextpage_date={at}");
        }
        assert_eq!(seen, ["sub-0", "sub-1", "sub-2", "sub-3", "sub-4"]);
    }

    #[test]
    fn a_date_range_includes_both_its_days() {
        let answer = submissions().answer("start_date=2026-01-16&end_date=20260117");
        let ids: Vec<_> = items(&answer).iter().map(|item| item["submission_id"].clone()).collect();
        assert_eq!(ids, ["sub-1", "sub-2"]);
        assert_eq!(submissions().answer("start_date=yesterday").status, 400);
    }

    #[test]
    fn the_third_failed_attempt_rejects() {
        let mut submission =
            Submission::new("sub-1".into(), "token-aa".into(), Person::default(), NOON);
        assert!(!submission.fails_attempt(NOON + 1) && !submission.fails_attempt(NOON + 2));
        assert!(submission.fails_attempt(NOON + 3));
        assert_eq!(submission.status, Status::Rejected);
        assert_eq!(submission.item(true)["kyc"]["commentCode"], json!(["too_many_retry"]));
    }
}
