//! What ARGOS tells, by webhook or when asked: whom it is about, and the pool's judgement of it.
//!
//! The lines of leases that have closed are read here, before the pool decides, so that it stays pure.
//! A line that this very turn has changed already counts before the one on the disk.

use std::collections::BTreeMap;

use super::{Engine, Rejection, dispatch::NOT_LEARNED, turn::Turn};
use crate::{
    domain::{
        ids::{Sequence, SubmissionId},
        pool::{Answer, Bound, Command, Heard, Reply},
        submission::Report,
        time::Timestamp,
        token::{ClosedLease, Stage},
    },
    port::{LedgerError, Outcome, Purpose, SubmissionsPage},
};

impl Engine {
    /// A webhook.
    pub(super) async fn take_report(
        &mut self,
        report: Report,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<Reply, Rejection> {
        let sequence = match self.pool.bind(&report) {
            Bound::To(sequence) => sequence,
            Bound::Ask(submission) => {
                let _ = self.decide(&Command::Ask { submission }, now, turn);
                return Ok(Reply::Fact(Heard::Asked));
            }
            Bound::Foreign => return Ok(Reply::Fact(Heard::Foreign)),
            Bound::Unnamed => return Ok(Reply::Fact(Heard::Unnamed)),
        };
        let lines = self.lines_of(vec![sequence]).await.map_err(|error| self.unreadable(&error))?;
        let line = lines.get(&sequence).cloned();
        Ok(self.hear(sequence, report, line, now, turn))
    }

    /// A page of the list of submissions.
    pub(super) async fn take_survey(
        &mut self,
        outcome: Outcome<SubmissionsPage>,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        self.under_way.surveying = false;
        let Outcome::Settled(page) = outcome else {
            self.put_off(Purpose::Outcomes, NOT_LEARNED, now);
            return;
        };
        let mut strays = None;
        let mut told = Vec::new();
        for report in page.reports {
            let strays = *strays.get_or_insert_with(|| self.pool.has_strays());
            match self.pool.bind_listed(&report, strays) {
                Bound::To(sequence) => told.push((sequence, report)),
                Bound::Ask(submission) => {
                    let _ = self.decide(&Command::Ask { submission }, now, turn);
                }
                Bound::Foreign | Bound::Unnamed => (),
            }
        }
        match self.lines_of(told.iter().map(|(sequence, _)| *sequence).collect()).await {
            Ok(mut lines) => {
                for (sequence, report) in told {
                    // An earlier entry of this page may have changed it.
                    let line = self.pending_line(sequence).or_else(|| lines.remove(&sequence));
                    self.hear(sequence, report, line, now, turn);
                }
                let _ = self.decide(&Command::Surveyed { next: page.next }, now, turn);
            }
            // The same page is asked for again.
            Err(error) => {
                self.unreadable(&error);
                self.put_off(Purpose::Outcomes, NOT_LEARNED, now);
            }
        }
    }

    /// The answer to a question about one submission.
    pub(super) async fn take_answer(
        &mut self,
        submission: SubmissionId,
        outcome: Outcome<Option<Report>>,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let asked_at = self.under_way.asking.remove(&submission);
        let answer = match outcome {
            Outcome::Settled(Some(report)) => match self.pool.bind(&report) {
                Bound::To(sequence) => match self.lines_of(vec![sequence]).await {
                    Ok(mut lines) => {
                        let line = lines.remove(&sequence);
                        let open = self.pool.token(sequence).map(|token| token.revision);
                        let changed = line.as_ref().map(|line| line.revision).max(open);
                        let mut report = report;
                        report.fact.asked = changed <= asked_at;
                        self.hear(sequence, report, line, now, turn);
                        Answer::Ours
                    }
                    Err(error) => {
                        self.unreadable(&error);
                        Answer::Nothing
                    }
                },
                Bound::Ask(_) | Bound::Foreign | Bound::Unnamed => Answer::Stranger,
            },
            Outcome::Settled(None) => Answer::Stranger,
            Outcome::Refused(_) | Outcome::Doubtful(_) => Answer::Nothing,
        };
        let _ = self.decide(&Command::Answered { submission, answer }, now, turn);
    }

    fn hear(
        &mut self,
        sequence: Sequence,
        report: Report,
        line: Option<ClosedLease>,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Reply {
        let command = Command::Fact { sequence, fact: report.fact, line: line.map(Into::into) };
        self.decide(&command, now, turn).unwrap_or(Reply::Fact(Heard::Known))
    }

    /// The newest lines of these leases, as far as they have closed.
    pub(super) async fn lines_of(
        &mut self,
        sequences: Vec<Sequence>,
    ) -> Result<BTreeMap<Sequence, ClosedLease>, LedgerError> {
        let gone = |sequence: &Sequence| {
            let token = self.pool.token(*sequence);
            token.is_none_or(|token| matches!(token.stage, Stage::Doomed(_)))
        };
        let gone = sequences.into_iter().filter(gone).collect();
        self.newest_lines(gone).await
    }

    /// What history says about a command's requests, as of this very moment (L3).
    pub(super) async fn lines_in_question(
        &mut self,
        command: &Command,
    ) -> Result<Vec<ClosedLease>, Rejection> {
        let sequences = self.pool.in_question(command);
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let lines = self.newest_lines(sequences).await.map_err(|error| self.unreadable(&error))?;
        Ok(lines.into_values().collect())
    }

    /// The newest lines there are of these: one of this very group counts before one on the disk.
    async fn newest_lines(
        &mut self,
        sequences: Vec<Sequence>,
    ) -> Result<BTreeMap<Sequence, ClosedLease>, LedgerError> {
        let mut lines = BTreeMap::new();
        let mut on_disk = Vec::new();
        for sequence in sequences {
            match self.pending_line(sequence) {
                Some(line) => {
                    lines.insert(sequence, line);
                }
                None => on_disk.push(sequence),
            }
        }
        if !on_disk.is_empty() {
            let read = self.ledger.reader().lines_of(on_disk).await?;
            lines.extend(read.into_iter().map(|line| (line.sequence, line)));
        }
        Ok(lines)
    }

    fn pending_line(&self, sequence: Sequence) -> Option<ClosedLease> {
        let changes = self.pool.changes();
        changes.lines.iter().find(|line| line.sequence == sequence).cloned()
    }

    pub(super) fn unreadable(&self, error: &LedgerError) -> Rejection {
        let error = error as &dyn std::error::Error;
        tracing::error!(project = %self.project, error, "history could not be read");
        Rejection::unavailable()
    }
}
