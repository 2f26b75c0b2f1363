//! The simulator's own memory of every token a caller registered, from its first POST to its end.
//!
//! The pool forgets a token when it is deleted, and arms it anew when it is registered again; this
//! record does neither. A test lays it beside the daemon's ledger. Tokens of other writers
//! (`/_sim/foreign`) are not in it.

use std::{collections::HashMap, sync::Arc};

use serde::{Serialize, Serializer};

use super::{
    project::Project,
    submissions::Status,
    wire::{Millis, iso},
};

/// What is known of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    pub token: String,
    /// When a POST first stored it.
    #[serde(serialize_with = "as_iso")]
    pub registered_at: Millis,
    /// How many POSTs stored it; more than one is an overwrite or a revival.
    pub registrations: u32,
    /// When the Liveform first let somebody in with it.
    #[serde(serialize_with = "as_iso_if_any")]
    pub first_use: Option<Millis>,
    /// All that were started on it, oldest first.
    pub submissions: Vec<SubmissionRecord>,
    pub state: TokenState,
    /// When it left the pool.
    #[serde(serialize_with = "as_iso_if_any")]
    pub gone_at: Option<Millis>,
    /// A caller deleted it while somebody was inside with an undecided submission.
    pub deleted_in_session: bool,
}

/// What is known of one submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubmissionRecord {
    pub id: String,
    pub status: Status,
    #[serde(serialize_with = "as_iso")]
    pub updated_at: Millis,
    /// An administrator deleted it.
    pub deleted: bool,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// In the pool.
    Present,
    /// A caller deleted it.
    Deleted,
    /// ARGOS took it away by itself: expiry with deletion, volume deletion, `/_sim/vanish`.
    Vanished,
}

/// The tokens of one project in the order of their first registration.
#[derive(Default)]
pub(super) struct Records {
    all: Vec<Record>,
    places: HashMap<Arc<str>, usize>,
}

struct Record {
    id: Arc<str>,
    registered_at: Millis,
    first_use: Option<Millis>,
    gone_at: Option<Millis>,
    /// Places among the submissions of the project.
    submissions: Vec<usize>,
    registrations: u32,
    state: TokenState,
    deleted_in_session: bool,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn registered(&mut self, now: Millis, id: &str) {
        if let Some(record) = self.get_mut(id) {
            record.registrations += 1;
            record.state = TokenState::Present;
            record.gone_at = None;
            return;
        }
        let id: Arc<str> = Arc::from(id);
        self.places.insert(Arc::clone(&id), self.all.len());
        self.all.push(Record {
            id,
            registered_at: now,
            first_use: None,
            gone_at: None,
            submissions: Vec::new(),
            registrations: 1,
            state: TokenState::Present,
            deleted_in_session: false,
        });
    }

    pub(super) fn used(&mut self, now: Millis, id: &str) {
        if let Some(record) = self.get_mut(id) {
            record.first_use.get_or_insert(now);
        }
    }

    /// A submission was started; `place` is its place among those of the project.
    pub(super) fn started(&mut self, id: &str, place: usize) {
        if let Some(record) = self.get_mut(id) {
            record.submissions.push(place);
        }
    }

    pub(super) fn deleted(&mut self, now: Millis, id: &str, in_session: bool) {
        if let Some(record) = self.get_mut(id) {
            record.state = TokenState::Deleted;
            record.gone_at = Some(now);
            record.deleted_in_session |= in_session;
        }
    }

    pub(super) fn vanished(&mut self, now: Millis, id: &str) {
        if let Some(record) = self.get_mut(id) {
            record.state = TokenState::Vanished;
            record.gone_at = Some(now);
        }
    }

    /// Places of the submissions on a token; none for a token that is not in the record.
    pub(super) fn submissions(&self, id: &str) -> &[usize] {
        self.places.get(id).map_or(&[], |place| &self.all[*place].submissions)
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.places.get(id).map(|place| &mut self.all[*place])
    }
}

impl Project {
    /// Up to `n` records from `offset` on.
    pub(super) fn records(&self, offset: usize, n: usize) -> Vec<TokenRecord> {
        let submission = |place: &usize| {
            let submission = self.submissions.at(*place);
            SubmissionRecord {
                id: submission.id.clone(),
                status: submission.status,
                updated_at: submission.updated_at,
                deleted: submission.deleted,
            }
        };
        let records = self.records.all.iter().skip(offset).take(n);
        records
            .map(|record| TokenRecord {
                token: record.id.to_string(),
                registered_at: record.registered_at,
                registrations: record.registrations,
                first_use: record.first_use,
                submissions: record.submissions.iter().map(submission).collect(),
                state: record.state,
                gone_at: record.gone_at,
                deleted_in_session: record.deleted_in_session,
            })
            .collect()
    }
}

fn as_iso<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso(*at))
}

fn as_iso_if_any<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(iso).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{
        liveform::Decision,
        project::ProjectOptions,
        submissions::{Person, Submission},
    };

    const TOKEN: &str = "token-0001";

    fn project() -> Project {
        let mut project = Project::new(ProjectOptions::default());
        project.register(5, [TOKEN, "token-0002"], false);
        project.register(6, ["foreign-0001"], true);
        project
    }

    #[test]
    fn a_token_is_remembered_with_its_submissions_after_its_deletion() {
        let mut project = project();
        project.start(7, TOKEN, "ann", Person::default(), "sub-1".into()).unwrap();
        project.start(8, TOKEN, "ben", Person::default(), "sub-2".into()).unwrap();
        project.decide(9, "sub-2", Decision::Approved, false);
        project.delete(10, [TOKEN]);
        project.decide(11, "sub-1", Decision::Rejected, false);
        let record = project.records(0, 1).remove(0);
        assert_eq!((record.registered_at, record.first_use), (5, Some(7)));
        assert_eq!((record.state, record.gone_at), (TokenState::Deleted, Some(10)));
        assert!(record.deleted_in_session, "ann was still inside");
        let facts = record.submissions.iter().map(|each| (&*each.id, each.status, each.updated_at));
        let facts: Vec<_> = facts.collect();
        assert_eq!(facts, [("sub-1", Status::Rejected, 11), ("sub-2", Status::Approved, 9)]);
    }

    #[test]
    fn a_session_that_has_ended_is_not_deleted_under_anybody() {
        let mut project = project();
        project.start(0, TOKEN, "ann", Person::default(), "sub-1".into()).unwrap();
        project.delete(crate::sim::SESSION, [TOKEN]);
        assert!(!project.records(0, 1)[0].deleted_in_session);
        assert_eq!(project.counters().deletes_in_session, 0);
    }

    #[test]
    fn the_record_tells_who_took_a_token_and_knows_no_foreign_one() {
        let mut project = project();
        project.vanish(7, ["token-0002", "foreign-0001"]);
        let states: Vec<_> = project.records(0, 10).iter().map(|record| record.state).collect();
        assert_eq!(states, [TokenState::Present, TokenState::Vanished]);
        project.register(8, ["token-0002"], false);
        let again = project.records(1, 10).remove(0);
        assert_eq!(
            (again.state, again.registrations, again.gone_at),
            (TokenState::Present, 2, None)
        );
    }

    #[test]
    fn a_submission_keeps_its_token_when_the_token_is_registered_again() {
        let mut project = project();
        project.start(7, TOKEN, "ann", Person::default(), "sub-1".into()).unwrap();
        project.register(8, [TOKEN], false);
        assert_eq!(project.records(0, 1)[0].submissions.len(), 1);
        let kept = project.submissions.get("sub-1").map(|each: &Submission| each.token.clone());
        assert_eq!(kept.as_deref(), Some(TOKEN));
    }
}
