//! Back-off, pauses and the circuit; and below, the budget.

mod budget;

use super::*;

const PURPOSES: [Purpose; 4] =
    [Purpose::Refill, Purpose::Purge, Purpose::Reconcile, Purpose::Outcomes];
const DAY: Duration = Duration::from_secs(86_400);

const POLICY: PacePolicy = PacePolicy {
    allowance: Allowance {
        calls_per_second: 5.0,
        calls_burst: 20,
        calls_per_day: 100_000,
        purge_share: 0.20,
        reconcile_share: 0.05,
        outcome_share: 0.10,
    },
    backoff_min: Duration::from_millis(500),
    backoff_max: Duration::from_secs(60),
    circuit_failures: 5,
    circuit_open: Duration::from_secs(30),
};

/// Draws the same number for ever: every byte is this one.
struct Same(u8);

impl Entropy for Same {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

const LONGEST: Same = Same(0xff);
const SHORTEST: Same = Same(0);

fn moment(millis: u64) -> Moment {
    Moment { now: Timestamp::from_millis(millis), wall: Timestamp::from_millis(millis) }
}

/// A pace and the time in it, so that a test reads as a story.
struct Story {
    pace: Pace,
    at: Moment,
}

impl Story {
    fn begin(policy: PacePolicy) -> Self {
        Self { pace: Pace::new(policy, moment(0)), at: moment(0) }
    }

    /// One that has saved up a full bucket.
    fn rested() -> Self {
        let mut story = Self::begin(POLICY);
        story.pass(3_600_000);
        story
    }

    fn pass(&mut self, millis: u64) {
        let step = Duration::from_millis(millis);
        self.at = Moment { now: self.at.now.plus(step), wall: self.at.wall.plus(step) };
    }

    fn asks(&mut self, purpose: Purpose) -> bool {
        self.pace.admit(purpose, self.at).is_ok()
    }

    /// How long the next call is held back, in milliseconds.
    fn held(&mut self) -> Option<u64> {
        let hold = self.pace.admit(Purpose::Refill, self.at).err()?;
        Some(u64::try_from(hold.retry_after.as_millis()).unwrap())
    }

    fn hears(&mut self, impression: Impression) {
        self.pace.hear(impression, None, self.at.now, &mut { LONGEST });
    }

    fn drains(&mut self, purpose: Purpose) -> u32 {
        let mut calls = 0;
        while self.asks(purpose) {
            calls += 1;
            assert!(calls < 1_000_000);
        }
        calls
    }
}

#[test]
fn back_off_doubles_with_every_failure_up_to_its_bound() {
    let policy = PacePolicy { circuit_failures: 100, ..POLICY };
    let mut pace = Pace::new(policy, moment(0));
    let mut now = Timestamp::from_millis(3_600_000);
    let mut waits = Vec::new();
    for _ in 0..10 {
        pace.hear(Impression::Failed, None, now, &mut { LONGEST });
        let next = pace.next_attempt(now).unwrap();
        waits.push(next.since(now).as_millis());
        now = next;
    }
    let doubling = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000];
    assert_eq!(waits, doubling);
}

#[test]
fn back_off_begins_anew_after_a_success() {
    let mut story = Story::rested();
    for _ in 0..3 {
        story.hears(Impression::Failed);
    }
    assert_eq!(story.held(), Some(2_000));
    story.hears(Impression::Well);
    story.hears(Impression::Failed);
    assert_eq!(story.held(), Some(500));
}

#[test]
fn a_shorter_pause_does_not_cut_a_longer_one() {
    let mut story = Story::rested();
    for seconds in [120, 5] {
        let pause = Some(Duration::from_secs(seconds));
        story.pace.hear(Impression::Throttled, pause, story.at.now, &mut { SHORTEST });
    }
    assert_eq!(story.held(), Some(120_000));
}

#[test]
fn a_trying_call_that_is_throttled_makes_room_for_another() {
    let mut story = Story::rested();
    story.hears(Impression::AddressRefused);
    story.pass(30_000);
    assert!(story.asks(Purpose::Refill));
    story.hears(Impression::Throttled);
    assert_eq!(story.held(), Some(500));
    story.pass(500);
    assert!(story.asks(Purpose::Refill));
    assert!(!story.asks(Purpose::Refill), "one at a time, until one goes well");
}

#[test]
fn jitter_is_full_so_that_a_back_off_may_be_none_at_all() {
    let mut story = Story::rested();
    story.pace.hear(Impression::Failed, None, story.at.now, &mut { SHORTEST });
    assert_eq!(story.held(), None);
}

#[test]
fn a_success_ends_the_back_off_but_not_the_pause_that_argos_asked_for() {
    let mut story = Story::rested();
    story.hears(Impression::Failed);
    assert_eq!(story.held(), Some(500));
    story.hears(Impression::Well);
    assert_eq!(story.held(), None);

    let pause = Some(Duration::from_secs(120));
    story.pace.hear(Impression::Throttled, pause, story.at.now, &mut { SHORTEST });
    story.hears(Impression::Well);
    assert_eq!(story.held(), Some(120_000));
    story.pass(119_999);
    assert_eq!(story.held(), Some(1));
    story.pass(1);
    assert_eq!(story.held(), None);
}

#[test]
fn a_pause_is_a_floor_under_the_back_off() {
    let mut story = Story::rested();
    let pause = Some(Duration::from_millis(100));
    story.pace.hear(Impression::Throttled, pause, story.at.now, &mut { LONGEST });
    assert_eq!(story.held(), Some(500));
}

#[test]
fn the_circuit_opens_after_failures_in_a_row_and_lets_one_call_try() {
    let mut story = Story::rested();
    for _ in 0..4 {
        story.hears(Impression::Failed);
        assert_eq!(story.pace.condition(), Condition::Failing);
    }
    story.hears(Impression::Failed);
    assert_eq!(story.pace.condition(), Condition::Down);
    story.pass(29_999);
    assert_eq!(story.held(), Some(1));
    story.pass(1);
    assert!(story.asks(Purpose::Reconcile), "one call tries");
    assert!(PURPOSES.iter().all(|purpose| !story.asks(*purpose)), "and only one");

    story.hears(Impression::Failed);
    assert_eq!(story.held(), Some(30_000), "it failed: open again");
    story.pass(30_000);
    assert!(story.asks(Purpose::Refill));
    story.hears(Impression::Well);
    assert_eq!(story.pace.condition(), Condition::Up);
    assert!(story.asks(Purpose::Refill) && story.asks(Purpose::Refill));
}

#[test]
fn failures_that_are_not_in_a_row_do_not_open_the_circuit() {
    let mut story = Story::rested();
    for _ in 0..20 {
        story.hears(Impression::Failed);
        assert_eq!(story.pace.condition(), Condition::Failing);
        story.hears(Impression::Well);
    }
    assert_eq!(story.held(), None);
}

#[test]
fn a_trying_call_that_is_never_heard_of_again_is_followed_by_another() {
    let mut story = Story::rested();
    story.hears(Impression::AddressRefused);
    story.pass(30_000);
    assert!(story.asks(Purpose::Refill));
    story.pass(29_999);
    assert!(!story.asks(Purpose::Refill));
    story.pass(1);
    assert!(story.asks(Purpose::Refill));
}

#[test]
fn calls_from_before_the_circuit_opened_do_not_keep_it_open() {
    let mut story = Story::rested();
    for _ in 0..5 {
        story.hears(Impression::Failed);
    }
    story.pass(20_000);
    story.hears(Impression::Failed);
    assert_eq!(story.held(), Some(10_000));
}

#[test]
fn a_refused_key_address_or_body_opens_the_circuit_at_once_and_is_tried_again() {
    for (impression, condition) in [
        (Impression::KeyRefused, Condition::KeyRefused),
        (Impression::AddressRefused, Condition::AddressRefused),
        (Impression::TransferRefused, Condition::TransferRefused),
    ] {
        let mut story = Story::rested();
        story.hears(impression);
        for _ in 0..3 {
            assert_eq!(story.pace.condition(), condition);
            assert_eq!(story.held(), Some(30_000));
            story.pass(30_000);
            assert!(story.asks(Purpose::Refill));
            story.hears(impression);
        }
    }
}

#[test]
fn another_key_is_worth_one_call_at_once() {
    let mut story = Story::rested();
    for impression in [Impression::KeyRefused, Impression::TransferRefused] {
        story.hears(impression);
        story.pace.key_replaced(story.at.now);
        assert!(story.asks(Purpose::Refill));
        assert!(!story.asks(Purpose::Refill));
    }

    story.hears(Impression::AddressRefused);
    story.pace.key_replaced(story.at.now);
    assert_eq!(story.held(), Some(30_000), "a key is no cure for an address");
}

#[test]
fn only_a_body_that_was_opened_ends_the_refusal_of_bodies() {
    let mut story = Story::rested();
    story.hears(Impression::TransferRefused);
    story.pass(30_000);
    assert!(story.asks(Purpose::Reconcile));
    story.hears(Impression::Answered);
    assert_eq!(story.pace.condition(), Condition::TransferRefused);
    assert!(story.asks(Purpose::Refill), "a question does not use up the try");
    assert!(!story.asks(Purpose::Refill));
    story.hears(Impression::Well);
    assert_eq!((story.held(), story.pace.condition()), (None, Condition::Up));

    story.hears(Impression::TransferRefused);
    story.hears(Impression::Answered);
    assert_eq!(story.held(), Some(30_000), "a question from before tells nothing new");
    for impression in [Impression::KeyRefused, Impression::AddressRefused, Impression::Failed] {
        story.hears(impression);
        story.hears(Impression::Answered);
        assert_eq!(story.pace.condition(), Condition::Up, "{impression:?}");
    }
}

#[test]
fn being_throttled_backs_off_without_opening_the_circuit() {
    let mut story = Story::rested();
    for _ in 0..50 {
        story.hears(Impression::Throttled);
        assert_eq!(story.pace.condition(), Condition::Throttled);
        story.pass(60_000);
        assert_eq!(story.held(), None);
    }
}

#[test]
fn being_throttled_lowers_the_rate_and_going_well_raises_it_again() {
    let mut calls = Vec::new();
    let mut story = Story::rested();
    for impression in [Impression::Throttled, Impression::Well] {
        for _ in 0..64 {
            story.pace.hear(impression, None, story.at.now, &mut { SHORTEST });
        }
        story.drains(Purpose::Refill);
        let mut made = 0;
        for _ in 0..16_000 {
            story.pass(10);
            made += u32::from(story.asks(Purpose::Refill));
        }
        calls.push(made);
    }
    assert!((49..=50).contains(&calls[0]), "{calls:?}: a sixteenth of the rate");
    assert!((799..=800).contains(&calls[1]), "{calls:?}: all of it");
}

#[test]
fn every_outcome_leaves_its_impression() {
    let refused = |cause| Outcome::<()>::Refused(Refused { cause, retry_after: None });
    let doubtful = |cause| Outcome::<()>::Doubtful(Doubtful { cause, retry_after: None });
    for (outcome, impression) in [
        (Outcome::Settled(()), Impression::Well),
        (refused(RefusedCause::NotSent), Impression::Failed),
        (refused(RefusedCause::Key), Impression::KeyRefused),
        (refused(RefusedCause::Address), Impression::AddressRefused),
        (refused(RefusedCause::Transfer), Impression::TransferRefused),
        (refused(RefusedCause::Throttled), Impression::Throttled),
        (refused(RefusedCause::Request), Impression::Well),
        (refused(RefusedCause::TooMany), Impression::Well),
        (doubtful(DoubtfulCause::CapReached), Impression::Well),
        (doubtful(DoubtfulCause::Unanswered), Impression::Failed),
        (doubtful(DoubtfulCause::Failed), Impression::Failed),
        (doubtful(DoubtfulCause::Unclear), Impression::Failed),
    ] {
        assert_eq!(Impression::of(&outcome), impression, "{outcome:?}");
    }
}

#[test]
fn an_answer_that_says_nothing_neither_opens_nor_closes_the_circuit() {
    let mut story = Story::rested();
    for _ in 0..100 {
        story.hears(Impression::Nothing);
    }
    assert_eq!((story.held(), story.pace.condition()), (None, Condition::Up));
    for _ in 0..5 {
        story.hears(Impression::Failed);
    }
    story.hears(Impression::Nothing);
    assert_eq!((story.held(), story.pace.condition()), (Some(30_000), Condition::Down));
    let pause = Some(Duration::from_secs(90));
    story.pace.hear(Impression::Nothing, pause, story.at.now, &mut { LONGEST });
    assert_eq!(story.held(), Some(90_000), "a pause that it asks for is kept");
}
