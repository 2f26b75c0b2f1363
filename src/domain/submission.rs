//! What ARGOS tells about submissions, and how it is put together.
//!
//! Webhooks arrive twice, late, out of order or never, and the same news may come again with a listing.
//! Within one submission a newer decision by ARGOS's own `updated_at` replaces an older one, also when an
//! administrator takes an approval back. What came without such a time, or with the same, and says
//! something else is *contested* until ARGOS is asked. Between submissions of one lease the better
//! decision stands, so that an abandoned attempt undoes nobody's approval (contract 7). The order of
//! arrival never matters (W1).

use std::fmt;

use super::{
    ids::{SubmissionId, TokenId},
    limits::SUBMISSIONS_MAX,
    time::Timestamp,
    token::Decision,
};

/// Something that ARGOS told, by webhook or when asked, and what it named to say about whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Counts before everything else that is named.
    pub token: Option<TokenId>,
    pub marks: Marks,
    pub fact: Fact,
}

/// What ARGOS echoes of a link: values that the caller, the person at the browser, or we put there.
/// Personal, so they are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Marks(pub Vec<Box<str>>);

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks(…)")
    }
}

/// What ARGOS told about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub kind: FactKind,
    /// The earliest of ARGOS's own time and our receipt.
    pub at: Timestamp,
    pub submission: Option<SubmissionId>,
    /// ARGOS's `updated_at`, which orders what is told about one submission.
    pub updated: Option<Timestamp>,
    /// The answer to a question that was asked when all that is known was known already.
    pub asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// Somebody is on the page.
    Started,
    Decided(Decision),
    /// Used as often as allowed: nobody else enters.
    Exhausted,
    /// Nobody enters from this time on, which may lie ahead and says nothing of any use.
    Expires(Timestamp),
}

/// Decisions that were told, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said(u8);

impl Said {
    pub const fn only(decision: Decision) -> Self {
        Self(1 << decision as u8)
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The decision that stands while ARGOS has not been asked which of them does.
    pub fn best(self) -> Option<Decision> {
        Decision::ALL.into_iter().rev().find(|decision| self.0 & (1 << *decision as u8) != 0)
    }

    pub const fn is_contested(self) -> bool {
        self.0.count_ones() > 1
    }

    /// For records.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// `None`: a bit that stands for no decision.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits >> Decision::ALL.len() == 0 { Some(Self(bits)) } else { None }
    }
}

/// What was told, and when: by ARGOS's clock, or when it was first heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub at: Timestamp,
    pub said: Said,
}

/// What is known of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// `None`: what was told without naming one.
    pub id: Option<SubmissionId>,
    /// The newest by ARGOS's clock.
    pub dated: Option<Told>,
    /// Everything that came without ARGOS's time, since the first of it was heard.
    pub undated: Option<Told>,
}

impl Submission {
    fn said(&self) -> Said {
        let said = |told: Option<Told>| told.map_or(Said::default(), |told| told.said);
        said(self.dated).and(said(self.undated))
    }

    pub fn decision(&self) -> Option<Decision> {
        self.said().best()
    }

    /// Whether ARGOS must be asked which decision stands.
    pub fn is_contested(&self) -> bool {
        self.said().is_contested()
    }

    fn decided_at(&self) -> Timestamp {
        self.dated.or(self.undated).map_or(Timestamp::ZERO, |told| told.at)
    }

    fn hear(&mut self, decision: Decision, fact: &Fact) {
        let said = Said::only(decision);
        match fact.updated {
            Some(at) if fact.asked && self.dated.is_none_or(|known| known.at <= at) => {
                (self.dated, self.undated) = (Some(Told { at, said }), None);
            }
            Some(at) => match &mut self.dated {
                Some(known) if at < known.at => (),
                Some(known) if at == known.at => known.said = known.said.and(said),
                Some(_) | None => self.dated = Some(Told { at, said }),
            },
            None if fact.asked => {
                (self.dated, self.undated) = (None, Some(Told { at: fact.at, said }));
            }
            None => {
                let known = self.undated.get_or_insert(Told { at: fact.at, said });
                *known = Told { at: known.at.min(fact.at), said: known.said.and(said) };
            }
        }
    }
}

/// What ARGOS decided about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    pub decision: Decision,
    pub at: Timestamp,
}

/// The submissions of one lease, each id once, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submissions(Box<[Submission]>);

impl Submissions {
    /// As they were recorded.
    pub fn restored(mut submissions: Vec<Submission>) -> Self {
        submissions.sort_by(|a, b| a.id.cmp(&b.id));
        Self(submissions.into())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Submission> {
        self.0.iter()
    }

    /// With what this fact adds. Several people may use one link at once, but not many: beyond
    /// [`SUBMISSIONS_MAX`] those that were decided best are kept.
    #[must_use]
    pub fn with(&self, fact: &Fact) -> Self {
        let decision = match fact.kind {
            FactKind::Decided(decision) => Some(decision),
            FactKind::Started => None,
            FactKind::Exhausted | FactKind::Expires(_) => return self.clone(),
        };
        if decision.is_none() && fact.submission.is_none() {
            return self.clone();
        }
        let mut all = self.0.to_vec();
        let place = all.binary_search_by(|known| known.id.cmp(&fact.submission));
        let place = place.unwrap_or_else(|place| {
            let id = fact.submission.clone();
            all.insert(place, Submission { id, dated: None, undated: None });
            place
        });
        if let Some(decision) = decision {
            all[place].hear(decision, fact);
        }
        if all.len() > SUBMISSIONS_MAX {
            let worst = (0..all.len()).min_by_key(|at| all[*at].decision());
            all.remove(worst.expect("there are more than none"));
        }
        Self(all.into())
    }

    /// The submission whose decision stands. What was told without naming a submission counts only
    /// while nothing was told about one by name.
    pub fn deciding(&self) -> Option<&Submission> {
        let decided = |named: bool| {
            let of = move |it: &&Submission| it.id.is_some() == named && it.decision().is_some();
            let rank = |it: &&Submission| (it.decision(), it.decided_at(), it.id.clone());
            self.0.iter().filter(of).max_by_key(rank)
        };
        decided(true).or_else(|| decided(false))
    }

    pub fn decided(&self) -> Option<Decided> {
        let deciding = self.deciding()?;
        Some(Decided { decision: deciding.decision()?, at: deciding.decided_at() })
    }

    /// The one to show: whose decision stands, else any that is under way.
    pub fn shown(&self) -> Option<&SubmissionId> {
        let deciding = self.deciding().and_then(|submission| submission.id.as_ref());
        deciding.or_else(|| self.ids().next())
    }

    pub fn ids(&self) -> impl Iterator<Item = &SubmissionId> {
        self.0.iter().filter_map(|submission| submission.id.as_ref())
    }

    /// Those about which ARGOS must be asked.
    pub fn contested(&self) -> impl Iterator<Item = &SubmissionId> {
        let contested = self.0.iter().filter(|submission| submission.is_contested());
        contested.filter_map(|submission| submission.id.as_ref())
    }

    /// Whether nothing more is expected: a verdict, and no doubt about it.
    pub fn are_final(&self) -> bool {
        let verdict = self.decided().is_some_and(|decided| decided.decision != Decision::Pending);
        verdict && self.contested().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fact(submission: u8, decision: Option<Decision>, updated: Option<u64>, at: u64) -> Fact {
        let id = format!("sub-{submission}");
        Fact {
            kind: decision.map_or(FactKind::Started, FactKind::Decided),
            at: Timestamp::from_millis(at),
            submission: (submission > 0).then(|| SubmissionId::parse(&id).unwrap()),
            updated: updated.map(Timestamp::from_millis),
            asked: false,
        }
    }

    fn heard(facts: &[Fact]) -> Submissions {
        facts.iter().fold(Submissions::default(), |known, fact| known.with(fact))
    }

    fn decision(facts: &[Fact]) -> Option<Decision> {
        heard(facts).decided().map(|decided| decided.decision)
    }

    const APPROVED: Option<Decision> = Some(Decision::Approved);
    const REJECTED: Option<Decision> = Some(Decision::Rejected);
    const PENDING: Option<Decision> = Some(Decision::Pending);

    fn any_fact() -> impl Strategy<Value = Fact> {
        let decision = prop_oneof![Just(None), Just(APPROVED), Just(REJECTED), Just(PENDING)];
        (0..4_u8, decision, proptest::option::of(1..4_u64), 1..9_u64)
            .prop_map(|(submission, decision, updated, at)| fact(submission, decision, updated, at))
    }

    proptest! {
        /// W1.
        #[test]
        fn any_order_and_any_number_of_duplicates_come_to_the_same(
            facts in proptest::collection::vec(any_fact(), 1..8)
                .prop_flat_map(|facts| (Just(facts.clone()), Just([facts.clone(), facts].concat()).prop_shuffle())),
        ) {
            let (facts, shuffled) = facts;
            prop_assert_eq!(heard(&facts), heard(&shuffled));
        }
    }

    #[test]
    fn a_newer_decision_of_the_same_submission_counts_also_a_downgrade() {
        let facts = [fact(1, APPROVED, Some(1), 1), fact(1, REJECTED, Some(2), 2)];
        assert_eq!(decision(&facts), REJECTED);
        assert!(heard(&facts).are_final());
    }

    #[test]
    fn an_abandoned_submission_never_undoes_the_approval_of_another() {
        let facts = [fact(1, APPROVED, Some(1), 1), fact(2, REJECTED, Some(2), 2)];
        assert_eq!(decision(&facts), APPROVED);
        assert_eq!(heard(&facts).shown().unwrap().as_str(), "sub-1");
    }

    #[test]
    fn waiting_for_a_person_stands_above_the_rejection_of_another_attempt() {
        let facts = [fact(1, REJECTED, Some(2), 2), fact(2, PENDING, Some(1), 1)];
        assert_eq!(decision(&facts), PENDING);
        assert!(!heard(&facts).are_final());
    }

    #[test]
    fn decisions_without_an_order_are_contested_until_argos_is_asked() {
        for updated in [None, Some(7)] {
            let facts = [fact(1, APPROVED, updated, 1), fact(1, REJECTED, updated, 2)];
            let known = heard(&facts);
            assert_eq!(known.contested().count(), 1, "{updated:?}");
            assert!(!known.are_final(), "{updated:?}");
            let answer = Fact { asked: true, ..fact(1, REJECTED, updated, 3) };
            let known = known.with(&answer);
            assert_eq!(known.contested().count(), 0, "{updated:?}");
            assert_eq!(known.decided().unwrap().decision, Decision::Rejected, "{updated:?}");
        }
    }

    #[test]
    fn an_answer_takes_the_place_of_everything_that_was_told_with_a_time_or_without() {
        for told in [None, Some(7)] {
            for answered in [None, Some(8)] {
                let facts = [fact(1, APPROVED, told, 1), fact(1, PENDING, told, 2)];
                let answer = Fact { asked: true, ..fact(1, REJECTED, answered, 3) };
                let known = heard(&facts).with(&answer);
                assert!(known.are_final(), "{told:?} {answered:?}");
                assert_eq!(known.decided().unwrap().decision, Decision::Rejected);
            }
        }
    }

    #[test]
    fn a_decision_was_made_when_argos_says_and_else_when_it_was_first_heard() {
        let at = |facts: &[Fact]| heard(facts).decided().unwrap().at.as_millis();
        let (late, early) = (fact(1, APPROVED, None, 9), fact(1, APPROVED, None, 4));
        assert_eq!(at(&[late.clone(), early.clone()]), 4);
        assert_eq!(at(&[late, early, fact(1, APPROVED, Some(6), 10)]), 6);
    }

    #[test]
    fn of_two_submissions_decided_alike_the_later_one_is_shown() {
        let facts = [fact(1, APPROVED, Some(9), 9), fact(2, APPROVED, Some(1), 1)];
        let known = heard(&facts);
        assert_eq!(known.shown().unwrap().as_str(), "sub-1");
        assert_eq!(known.decided().unwrap().at, Timestamp::from_millis(9));
    }

    #[test]
    fn while_nothing_is_decided_a_submission_under_way_is_shown() {
        assert_eq!(heard(&[fact(3, None, None, 1)]).shown().unwrap().as_str(), "sub-3");
    }

    #[test]
    fn an_answer_that_is_older_than_what_is_known_changes_nothing() {
        let known = heard(&[fact(1, REJECTED, Some(5), 5)]);
        let answer = Fact { asked: true, ..fact(1, APPROVED, Some(4), 6) };
        assert_eq!(known.with(&answer), known);
    }

    #[test]
    fn a_decision_without_a_name_stands_until_one_is_named() {
        assert_eq!(decision(&[fact(0, APPROVED, None, 1)]), APPROVED);
        let facts = [fact(0, APPROVED, None, 1), fact(1, REJECTED, Some(2), 2)];
        assert_eq!(decision(&facts), REJECTED);
    }

    #[test]
    fn of_many_submissions_on_one_link_the_best_are_kept() {
        let mut facts: Vec<_> = (1..9).map(|number| fact(number, REJECTED, Some(1), 1)).collect();
        facts.insert(2, fact(9, APPROVED, Some(1), 1));
        let known = heard(&facts);
        assert_eq!(known.iter().count(), SUBMISSIONS_MAX);
        assert_eq!(known.decided().unwrap().decision, Decision::Approved);
    }

    #[test]
    fn a_use_without_a_submission_adds_none() {
        assert_eq!(heard(&[fact(0, None, None, 1)]).iter().count(), 0);
    }

    /// P1.
    #[test]
    fn what_argos_echoes_of_a_link_is_not_printed() {
        assert_eq!(format!("{:?}", Marks(vec!["somebody".into()])), "Marks(…)");
    }
}
