//! Private mode (contract 2): who is let in with which token, and what becomes of the submission.
//!
//! The checks sit at the door. A visitor who is inside goes on for [`SESSION`], also when the token was
//! deleted meanwhile; nobody new gets in later than [`ENTRY`] after first use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    links::{self, Said},
    project::Project,
    refusal::Refusal,
    submissions::{Person, Status, Submission},
    webhooks::Trigger,
    wire::{Millis, from_iso},
};

/// How long after first use a token still opens the form.
pub const ENTRY: Millis = 3 * 60 * 1_000;
/// How long a visitor who entered may go on.
pub const SESSION: Millis = 20 * 60 * 1_000;

/// What the simulator, playing ARGOS's reviewers, does with a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Approved,
    Rejected,
    Pending,
    /// One failed attempt; the third one rejects.
    Retry,
    /// The submission is deleted by an administrator.
    Delete,
}

/// One visitor inside the form with one token.
pub(super) struct Session {
    pub(super) entered_at: Millis,
    pub(super) submission: Option<String>,
}

impl Project {
    /// All that a link says. `startValidUntil` is judged here, before any token (contract 2).
    pub(super) fn read_link(
        &mut self,
        now: Millis,
        link: &BTreeMap<String, String>,
    ) -> Result<Said, Refusal> {
        let said = links::read(link, &self.rules, self.keys.link()).and_then(|said| {
            let until = said.get(links::START_VALID_UNTIL).and_then(from_iso);
            if until.is_some_and(|until| now > until) {
                return Err(Refusal::StartTooLate);
            }
            Ok(said)
        });
        if let Err(refusal) = &said {
            self.witness.open_refused(refusal.cause());
        }
        said
    }

    /// The token a link names, whether or not it still opens anything.
    pub(super) fn token_of(&self, link: &BTreeMap<String, String>) -> Result<String, Refusal> {
        let said = links::read(link, &self.rules, self.keys.link())?;
        said.get(links::TOKEN).map(str::to_owned).ok_or(Refusal::TokenMissing)
    }

    /// Opens the form. The first opening is first use, and starts the three minutes.
    pub(super) fn enter(&mut self, now: Millis, id: &str, visitor: &str) -> Result<(), Refusal> {
        if let Err(refusal) = self.judge_entry(now, id) {
            self.witness.open_refused(refusal.cause());
            return Err(refusal);
        }
        self.witness.opened(id, visitor);
        let token = self.pool.get_mut(id).ok_or(Refusal::TokenUnknown)?;
        if token.first_use.is_none() {
            token.first_use = Some(now);
            self.records.used(now, id);
            self.first_used(now, id);
        }
        let session = Session { entered_at: now, submission: None };
        self.sessions.entry((id.to_owned(), visitor.to_owned())).or_insert(session);
        Ok(())
    }

    /// Step 1 is passed: the submission exists, `created` goes out. A visitor who is not inside
    /// enters first; one who has an undecided submission gets that one again.
    pub(super) fn start(
        &mut self,
        now: Millis,
        id: &str,
        visitor: &str,
        person: Person,
        submission_id: String,
    ) -> Result<String, Refusal> {
        let place = (id.to_owned(), visitor.to_owned());
        let inside =
            self.sessions.get(&place).is_some_and(|session| now - session.entered_at < SESSION);
        if !inside {
            self.sessions.remove(&place);
            self.enter(now, id, visitor)?;
        } else if let Some(refusal) = self.decided(id) {
            self.witness.open_refused(refusal.cause());
            return Err(refusal);
        }
        let session = self.sessions.get_mut(&place).ok_or(Refusal::SessionUnknown)?;
        if let Some(running) = &session.submission {
            return Ok(running.clone());
        }
        session.submission = Some(submission_id.clone());
        let submission = Submission::new(submission_id.clone(), id.to_owned(), person, now);
        self.outbox.about(Trigger::Created, &submission, now);
        let place = self.submissions.add(submission);
        self.records.started(id, place);
        self.witness.counters_mut().submissions_started += 1;
        if let Some(token) = self.pool.get_mut(id) {
            token.submissions.push(submission_id.clone());
        }
        Ok(submission_id)
    }

    /// Decides a submission and tells it. What was approved or rejected before is changed by an
    /// administrator, which arrives as `updated` alone; so does everything with `by_admin`.
    ///
    /// Returns the status, or `None` when there is no such submission.
    pub(super) fn decide(
        &mut self,
        now: Millis,
        submission_id: &str,
        decision: Decision,
        by_admin: bool,
    ) -> Option<Status> {
        let submission =
            self.submissions.get_mut(submission_id).filter(|submission| !submission.deleted)?;
        let before = submission.status;
        let trigger = match decision {
            Decision::Delete => {
                submission.deleted = true;
                submission.updated_at = now.max(submission.updated_at + 1);
                Some(Trigger::Delete)
            }
            Decision::Retry if before != Status::Incomplete => None,
            Decision::Retry if submission.fails_attempt(now) => Some(Trigger::Rejected),
            Decision::Retry => Some(Trigger::Retry),
            Decision::Approved => changes(submission, Status::Approved, now, by_admin),
            Decision::Rejected => changes(submission, Status::Rejected, now, by_admin),
            Decision::Pending => changes(submission, Status::Pending, now, by_admin),
        };
        let status = submission.status;
        let token = submission.token.clone();
        if let Some(trigger) = trigger {
            self.outbox.about(trigger, submission, now);
        }
        self.submissions.settle();
        if before == Status::Incomplete && status != before {
            self.used_up(now, &token);
        }
        Some(status)
    }

    /// Rejects the submission that waited longest to be finished.
    pub(super) fn abandon_next(&mut self, now: Millis) {
        let Some(submission) = self.submissions.pop_undecided() else { return };
        submission.is_abandoned(now);
        let token = submission.token.clone();
        self.outbox.about(Trigger::Rejected, submission, now);
        self.submissions.settle();
        self.used_up(now, &token);
    }

    /// Contract 2: of several reasons, time wins.
    fn judge_entry(&self, now: Millis, id: &str) -> Result<(), Refusal> {
        if id.is_empty() {
            return Err(Refusal::TokenMissing);
        }
        let token = self.pool.get(id).ok_or(Refusal::TokenUnknown)?;
        if token.first_use.is_some_and(|first_use| now - first_use > ENTRY) {
            return Err(Refusal::TokenExpired);
        }
        match self.decided(id) {
            Some(refusal) => Err(refusal),
            None if token.expired => Err(Refusal::TokenExpired),
            None => Ok(()),
        }
    }

    /// The refusal of a token on which a submission is decided.
    fn decided(&self, id: &str) -> Option<Refusal> {
        let token = self.pool.get(id)?;
        let statuses = || {
            let each = token.submissions.iter().filter_map(|id| self.submissions.get(id));
            each.map(|submission| submission.status)
        };
        let order = [
            (Status::Approved, Refusal::TokenApproved),
            (Status::Pending, Refusal::TokenPending),
            (Status::Rejected, Refusal::TokenRejected),
        ];
        order
            .into_iter()
            .find(|(status, _)| statuses().any(|is| is == *status))
            .map(|(_, refusal)| refusal)
    }
}

/// Moves a submission and names the webhook that tells it; `None` when nothing changes.
fn changes(
    submission: &mut Submission,
    status: Status,
    now: Millis,
    by_admin: bool,
) -> Option<Trigger> {
    let before = submission.status;
    if before == status {
        return None;
    }
    if before != Status::Incomplete {
        submission.reviewer = "admin@example.com";
    }
    submission.becomes(status, now);
    let edited = by_admin || matches!(before, Status::Approved | Status::Rejected);
    Some(if edited { Trigger::Updated } else { Trigger::of(status) })
}

#[cfg(test)]
mod tests;
