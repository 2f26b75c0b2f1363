//! Submissions: what each knows of itself, and all of one project in the order of their start.
//!
//! A submission keeps the id of its token for good, whatever becomes of the token. `query` answers
//! `GET /v3/submission` over them.

mod query;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{links::Said, wire::Millis};

/// A third failure inside one submission rejects it (contract 7).
const ATTEMPTS_MAX: u32 = 3;

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
    pub(super) fn who_said(said: &Said) -> Self {
        let text = |name: &str| said.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
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

    /// Neither decided nor deleted.
    pub(super) fn is_open(&self) -> bool {
        self.status == Status::Incomplete && !self.deleted
    }

    /// Nobody finished it: it is rejected by itself (contract 7).
    pub(super) fn is_abandoned(&mut self, now: Millis) {
        self.comment = Some("The submission was not finished.");
        self.comment_code = Some("not_finished");
        self.becomes(Status::Rejected, now);
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
}

/// All submissions of one project, oldest first; a submission is found by its place among them.
#[derive(Default)]
pub(super) struct Submissions {
    all: Vec<Submission>,
    places: BTreeMap<String, usize>,
    by_userid: BTreeMap<String, Vec<usize>>,
    by_email: BTreeMap<String, Vec<usize>>,
    /// Places in the order of their start; some were decided since.
    undecided: VecDeque<usize>,
}

impl Submissions {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Submission> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds one that was started no earlier than all others, and returns its place.
    pub(super) fn add(&mut self, submission: Submission) -> usize {
        let place = self.all.len();
        self.places.insert(submission.id.clone(), place);
        let Person { email, userid, .. } = &submission.person;
        for (index, name) in [(&mut self.by_email, email), (&mut self.by_userid, userid)] {
            if let Some(name) = name {
                index.entry(name.clone()).or_default().push(place);
            }
        }
        self.undecided.push_back(place);
        self.all.push(submission);
        place
    }

    pub(super) fn get(&self, id: &str) -> Option<&Submission> {
        self.places.get(id).map(|place| &self.all[*place])
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Submission> {
        self.places.get(id).map(|place| &mut self.all[*place])
    }

    pub(super) fn at(&self, place: usize) -> &Submission {
        &self.all[place]
    }

    /// The one that waits longest to be finished.
    pub(super) fn oldest_undecided(&self) -> Option<&Submission> {
        self.undecided.iter().map(|place| &self.all[*place]).find(|each| each.is_open())
    }

    /// The same, to be abandoned: it is not found again.
    pub(super) fn pop_undecided(&mut self) -> Option<&mut Submission> {
        while let Some(place) = self.undecided.pop_front() {
            if self.all[place].is_open() {
                return Some(&mut self.all[place]);
            }
        }
        None
    }

    /// Forgets what was decided at the front of those that wait.
    pub(super) fn settle(&mut self) {
        while self.undecided.front().is_some_and(|place| !self.all[*place].is_open()) {
            self.undecided.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failed_attempt_rejects() {
        let mut submission =
            Submission::new("sub-1".into(), "token-aa".into(), Person::default(), 0);
        assert!(!submission.fails_attempt(1) && !submission.fails_attempt(2));
        assert!(submission.fails_attempt(3));
        assert_eq!(submission.status, Status::Rejected);
        assert_eq!(submission.comment_code, Some("too_many_retry"));
    }

    #[test]
    fn who_waits_longest_is_the_oldest_that_nobody_decided() {
        let mut submissions = Submissions::default();
        for n in 0..3 {
            let (id, token) = (format!("sub-{n}"), format!("token-{n:04}"));
            submissions.add(Submission::new(id, token, Person::default(), n));
        }
        submissions.get_mut("sub-0").unwrap().becomes(Status::Pending, 5);
        submissions.settle();
        assert_eq!(submissions.oldest_undecided().unwrap().id, "sub-1");
        submissions.get_mut("sub-1").unwrap().deleted = true;
        assert_eq!(submissions.pop_undecided().unwrap().id, "sub-2");
        assert!(submissions.oldest_undecided().is_none());
    }
}
