//! What became of leases of which ARGOS has not told, and how it is found out.
//!
//! Webhooks can fail to come (contract 3.1). A lease whose end is overdue is therefore looked for in the
//! list of submissions, by date, and a submission that cannot be bound to a lease from there is looked up
//! alone, because only then ARGOS names the token. A value of ours in the link tells which submissions are
//! worth it; it binds nothing by itself, because whoever holds the link can change it. All of this is
//! knowledge: a restart begins with what the records call unfinished.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Policy, Pool};
use crate::domain::{
    ids::{Sequence, SubmissionId},
    paging::{Cursor, Days, Step, Walk},
    submission::{Marks, Report},
    time::Timestamp,
    token::{ClosedLease, Ending, Lease},
};

/// Questions about single submissions that wait at the same time. What finds no room is found again by
/// the next look through the list.
const QUESTIONS_MAX: usize = 4_096;
/// Answers that are remembered so that nobody asks again.
const ANSWERED_MAX: usize = 65_536;
/// A list of submissions longer than this is not believed to end.
const SURVEY_PAGES_MAX: usize = 2_000;
/// How often one question is repeated that gets no answer.
const QUESTION_TRIES_MAX: u32 = 8;

/// A closed lease about which ARGOS may have more to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub sequence: Sequence,
    pub issued: Timestamp,
    pub closed: Timestamp,
    pub started: bool,
    pub correlated: bool,
    pub submissions: Vec<SubmissionId>,
    pub contested: Vec<SubmissionId>,
}

impl Unfinished {
    /// `None`: nothing more is expected of it.
    pub fn of(line: &ClosedLease) -> Option<Self> {
        let never_used = line.ending == Ending::Released && line.started.is_none();
        if never_used || line.submissions.are_final() {
            return None;
        }
        Some(Self {
            sequence: line.sequence,
            issued: line.issued,
            closed: line.closed,
            started: line.started.is_some(),
            correlated: line.correlated,
            submissions: line.submissions.ids().cloned().collect(),
            contested: line.submissions.contested().cloned().collect(),
        })
    }
}

/// Whom ARGOS speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    To(Sequence),
    /// To this lease, if it is known that the submission is one of its own; else nobody can say
    /// without asking.
    Perhaps(Sequence, SubmissionId),
    /// Nobody can say without asking about this submission.
    Ask(SubmissionId),
    /// Certainly nobody of this ledger.
    Foreign,
    /// It names nothing to find anybody by.
    Unnamed,
}

#[derive(Clone, Debug)]
struct Question {
    not_before: Timestamp,
    tries: u32,
}

/// A lease about which ARGOS may have more to tell, with the hashes of its submissions.
#[derive(Clone, Debug)]
struct Owed {
    lease: Unfinished,
    names: Vec<u64>,
}

/// A look through the list of submissions.
#[derive(Clone, Debug)]
struct Survey {
    days: Days,
    walk: Walk,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    /// When each open or unfinished lease is overdue next; what has ended since is passed over.
    overdue: BTreeSet<(Timestamp, Sequence)>,
    unfinished: BTreeMap<Sequence, Owed>,
    /// Submissions of open and unfinished leases, by hash.
    names: BTreeMap<u64, Sequence>,
    questions: BTreeMap<SubmissionId, Question>,
    due: BTreeSet<(Timestamp, SubmissionId)>,
    /// Submissions about which nothing more is asked, by hash.
    answered: BTreeSet<u64>,
    survey: Option<Survey>,
    surveyed: Timestamp,
}

// What happens to leases.
impl Outcomes {
    pub(super) fn opened(
        &mut self,
        sequence: Sequence,
        lease: &Lease,
        policy: &Policy,
        now: Timestamp,
    ) {
        let Some(after) = policy.overdue_after else { return };
        let mut span = after;
        while lease.issued.plus(span) <= now {
            span *= 2;
        }
        self.overdue.insert((lease.issued.plus(span), sequence));
    }

    /// Knows the submissions of an open lease from here on.
    pub(super) fn told(&mut self, sequence: Sequence, names: Vec<u64>) {
        self.names.extend(names.into_iter().map(|name| (name, sequence)));
    }

    pub(super) fn closed(&mut self, line: &ClosedLease, names: Vec<u64>, policy: &Policy) {
        self.forget_due(line.sequence, line.issued, policy);
        let (Some(unfinished), Some(after)) = (Unfinished::of(line), policy.overdue_after) else {
            self.finished(line.sequence, line.correlated, &names);
            return;
        };
        let due = match line.ending {
            Ending::Expired => line.closed,
            _ if unfinished.started => line.closed.plus(after),
            // Whoever entered at the last moment is on the list by then.
            Ending::Decided
            | Ending::Lapsed
            | Ending::Released
            | Ending::Revoked
            | Ending::Replaced => line.closed.plus(policy.lapsed_grace + after),
        };
        self.overdue.insert((due, line.sequence));
        self.owes(unfinished, names);
    }

    /// A closed lease's line changed.
    pub(super) fn changed(&mut self, line: &ClosedLease, names: Vec<u64>) {
        let Some(unfinished) = Unfinished::of(line) else {
            self.finished(line.sequence, line.correlated, &names);
            return;
        };
        for submission in &unfinished.contested {
            self.ask(submission.clone(), line.closed);
        }
        if self.unfinished.contains_key(&line.sequence) {
            self.owes(unfinished, names);
        }
    }

    /// From the records, at open.
    pub(super) fn restored(
        &mut self,
        it: Unfinished,
        names: Vec<u64>,
        policy: &Policy,
        now: Timestamp,
    ) {
        let Some(after) = policy.overdue_after else { return };
        let over = it.closed.plus(policy.lapsed_grace + 2 * after);
        if !it.started && over <= now {
            return;
        }
        for submission in &it.contested {
            self.ask(submission.clone(), now);
        }
        self.overdue.insert((now.plus(after), it.sequence));
        self.owes(it, names);
    }

    fn owes(&mut self, lease: Unfinished, names: Vec<u64>) {
        let sequence = lease.sequence;
        self.names.extend(names.iter().map(|name| (*name, sequence)));
        self.unfinished.insert(sequence, Owed { lease, names });
    }

    fn finished(&mut self, sequence: Sequence, correlated: bool, names: &[u64]) {
        self.unfinished.remove(&sequence);
        for name in names {
            self.names.remove(name);
            if !correlated {
                self.answer(*name);
            }
        }
    }

    /// An open lease is due at its issue and some power of two of the span after.
    fn forget_due(&mut self, sequence: Sequence, issued: Timestamp, policy: &Policy) {
        let Some(mut span) = policy.overdue_after else { return };
        for _ in 0..32 {
            if self.overdue.remove(&(issued.plus(span), sequence)) {
                return;
            }
            span *= 2;
        }
    }
}

// Questions about single submissions.
impl Outcomes {
    pub(super) fn ask(&mut self, submission: SubmissionId, not_before: Timestamp) {
        if self.questions.len() < QUESTIONS_MAX && !self.questions.contains_key(&submission) {
            self.due.insert((not_before, submission.clone()));
            self.questions.insert(submission, Question { not_before, tries: 0 });
        }
    }

    /// No answer came, or none that tells: it is asked again, a few times.
    pub(super) fn ask_again(&mut self, submission: &SubmissionId, now: Timestamp) {
        let Some(mut question) = self.take(submission) else { return };
        question.tries += 1;
        if question.tries < QUESTION_TRIES_MAX {
            question.not_before = now.plus(Duration::from_secs(30 << question.tries.min(7)));
            self.due.insert((question.not_before, submission.clone()));
            self.questions.insert(submission.clone(), question);
        }
    }

    pub(super) fn answered(&mut self, submission: &SubmissionId, name: u64, stranger: bool) {
        self.take(submission);
        if stranger {
            self.answer(name);
        }
    }

    fn take(&mut self, submission: &SubmissionId) -> Option<Question> {
        let question = self.questions.remove(submission)?;
        self.due.remove(&(question.not_before, submission.clone()));
        Some(question)
    }

    fn answer(&mut self, name: u64) {
        if self.answered.len() >= ANSWERED_MAX {
            self.answered.clear();
        }
        self.answered.insert(name);
    }

    /// Questions that may be asked at this moment.
    pub(super) fn open_questions(&self, now: Timestamp) -> impl Iterator<Item = &SubmissionId> {
        self.due.iter().take_while(move |(at, _)| *at <= now).map(|(_, submission)| submission)
    }

    pub(super) fn next(&self, policy: &Policy) -> Option<Timestamp> {
        let survey = self.survey_due(policy);
        let question = self.due.first().map(|(at, _)| *at);
        survey.into_iter().chain(question).min()
    }
}

// The list of submissions.
impl Outcomes {
    /// When the next look through the list begins; never, while one is under way.
    pub(super) fn survey_due(&self, policy: &Policy) -> Option<Timestamp> {
        let after = policy.overdue_after?;
        let (due, _) = self.overdue.first()?;
        self.survey.is_none().then(|| (*due).max(self.surveyed.plus(after / 2)))
    }

    pub(super) fn begin_survey(&mut self, days: Days, now: Timestamp) {
        self.surveyed = now;
        self.survey = Some(Survey { days, walk: Walk::begin(now, SURVEY_PAGES_MAX) });
    }

    /// The page to ask for.
    pub(super) fn survey_page(&self) -> Option<(Days, Option<&Cursor>)> {
        self.survey.as_ref().map(|survey| (survey.days, survey.walk.cursor()))
    }

    /// A page was looked through. After the last one every lease that was overdue when the first one was
    /// asked for waits twice as long, or was waited for long enough.
    pub(super) fn surveyed(
        &mut self,
        next: Option<Cursor>,
        issued: impl Fn(Sequence) -> Option<Timestamp>,
        policy: &Policy,
    ) {
        let Some(survey) = &mut self.survey else { return };
        let step = survey.walk.pass(next);
        let began = survey.walk.began();
        if step != Step::Further {
            self.survey = None;
        }
        if step != Step::Complete {
            return;
        }
        let later = self.overdue.split_off(&(began.plus(Duration::from_millis(1)), Sequence::ZERO));
        for (due, sequence) in std::mem::replace(&mut self.overdue, later) {
            let next = match (issued(sequence), self.unfinished.get(&sequence)) {
                (Some(issued), _) => Some(issued.plus(2 * due.since(issued))),
                (None, Some(Owed { lease: it, .. })) if it.started => Some(it.closed.plus(
                    (2 * due.since(it.closed)).max(policy.overdue_after.unwrap_or_default()),
                ))
                .filter(|next| next.since(it.closed) <= policy.request_id_memory),
                // Nobody used it, and nobody can any more.
                (None, Some(_) | None) => None,
            };
            match next {
                Some(next) => {
                    self.overdue.insert((next.max(began.plus(Duration::from_millis(1))), sequence));
                }
                None => self.give_up(sequence),
            }
        }
    }

    fn give_up(&mut self, sequence: Sequence) {
        for name in self.unfinished.remove(&sequence).into_iter().flat_map(|it| it.names) {
            self.names.remove(&name);
        }
    }
}

impl Pool {
    /// Whom a report speaks of. The token counts before the submission; a mark binds nothing (it
    /// travelled where others could change it).
    pub fn bind(&self, report: &Report) -> Bound {
        if let Some(token) = &report.token {
            return self.sequence_of(token).map_or(Bound::Foreign, Bound::To);
        }
        let Some(submission) = &report.fact.submission else { return Bound::Unnamed };
        let name = self.seal.name(submission);
        if let Some(sequence) = self.outcomes.names.get(&name) {
            return Bound::To(*sequence);
        }
        if self.outcomes.answered.contains(&name) {
            return Bound::Foreign;
        }
        Bound::Ask(submission.clone())
    }

    /// The same for an entry of a list, of which most speak of leases that are known well. What has our
    /// mark is one of them, or worth a question; what has none is worth one only while there is a lease
    /// without a mark of which nobody has heard.
    pub fn bind_listed(&self, report: &Report, strays: bool) -> Bound {
        match self.bind(report) {
            Bound::Ask(submission) => match self.marked(&report.marks) {
                Some(sequence) => Bound::Perhaps(sequence, submission),
                None if strays => Bound::Ask(submission),
                None => Bound::Foreign,
            },
            bound @ (Bound::To(_) | Bound::Perhaps(..) | Bound::Foreign | Bound::Unnamed) => bound,
        }
    }

    /// Whether there is a lease without a mark of ours of which nobody has heard.
    pub fn has_strays(&self) -> bool {
        let open = self.due.iter().filter_map(|(_, sequence)| self.lease(*sequence));
        let mut unfinished = self.outcomes.unfinished.values();
        open.map(|(_, lease)| lease).any(|lease| !lease.correlated && lease.started.is_none())
            || unfinished.any(|it| !it.lease.correlated && !it.lease.started)
    }

    /// Leases that have closed and about which ARGOS may have more to tell.
    pub fn unfinished(&self) -> u32 {
        u32::try_from(self.outcomes.unfinished.len()).unwrap_or(u32::MAX)
    }

    /// Submissions about which ARGOS is to be asked.
    pub fn questions(&self) -> u32 {
        u32::try_from(self.outcomes.questions.len()).unwrap_or(u32::MAX)
    }

    fn marked(&self, marks: &Marks) -> Option<Sequence> {
        let opened = marks.0.iter().find_map(|mark| self.seal.open_mark(mark));
        opened.filter(|sequence| *sequence < self.next)
    }

    /// The days on which submissions of overdue leases can have been created.
    pub(super) fn survey_days(&self, now: Timestamp) -> Days {
        let overdue = self.outcomes.overdue.range(..=(now, Sequence::MAX));
        let issued = overdue.filter_map(|(_, sequence)| self.issued(*sequence));
        Days { first: issued.min().unwrap_or(now), last: now }
    }

    /// When an open or unfinished lease was issued.
    fn issued(&self, sequence: Sequence) -> Option<Timestamp> {
        let open = self.lease(sequence).map(|(_, lease)| lease.issued);
        open.or_else(|| self.outcomes.unfinished.get(&sequence).map(|it| it.lease.issued))
    }

    /// When an open lease was issued.
    pub(super) fn open_since(&self, sequence: Sequence) -> Option<Timestamp> {
        self.lease(sequence).map(|(_, lease)| lease.issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered_within_bounds() {
        let mut outcomes = Outcomes::default();
        for name in 0..=ANSWERED_MAX as u64 {
            outcomes.answer(name);
        }
        assert_eq!(outcomes.answered.len(), 1, "all but the last are forgotten");
        outcomes.answer(0);
        assert_eq!(outcomes.answered.len(), 2);
    }
}
