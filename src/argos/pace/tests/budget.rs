//! Shares, rates and days, seen through the pace that spends them.

use proptest::prelude::*;

use super::*;

#[test]
fn a_start_begins_with_an_empty_bucket() {
    let mut story = Story::begin(POLICY);
    assert!(PURPOSES.iter().all(|purpose| !story.asks(*purpose)));
    story.pass(10_000);
    assert!(PURPOSES.iter().all(|purpose| story.asks(*purpose)));
}

#[test]
fn what_is_set_aside_for_one_purpose_is_not_spent_by_another() {
    for greedy in PURPOSES {
        let mut story = Story::rested();
        assert!(story.drains(greedy) >= 1);
        for other in PURPOSES {
            assert_eq!(story.asks(other), other != greedy, "{other:?} after {greedy:?}");
        }
    }
}

#[test]
fn a_purpose_that_asks_rarely_finds_its_share_however_greedy_the_others_are() {
    for rare in PURPOSES {
        let mut story = Story::begin(POLICY);
        for second in 1..=200 {
            for _ in 0..100 {
                story.pass(10);
                for greedy in PURPOSES.into_iter().filter(|purpose| *purpose != rare) {
                    story.asks(greedy);
                }
            }
            if second % 10 == 0 {
                assert!(story.asks(rare), "{rare:?} at second {second}");
            }
        }
    }
}

#[test]
fn purposes_that_all_want_everything_get_their_shares() {
    let mut story = Story::begin(POLICY);
    let mut calls = [0_u32; 4];
    for _ in 0..100_000 {
        story.pass(10);
        for (purpose, made) in PURPOSES.iter().zip(&mut calls) {
            *made += u32::from(story.asks(*purpose));
        }
    }
    // 1,000 seconds at 5 calls a second, of which 65, 20, 5 and 10 %; a bucket more or less.
    for (made, due) in calls.iter().zip([3_250_u32, 1_000, 250, 500]) {
        assert!(made.abs_diff(due) <= 20, "{calls:?}");
    }
}

#[test]
fn what_nobody_wants_is_lent_out() {
    for alone in PURPOSES {
        let mut story = Story::rested();
        story.drains(alone);
        let mut calls = 0;
        for _ in 0..10_000 {
            story.pass(10);
            calls += u32::from(story.asks(alone));
        }
        assert!((499..=500).contains(&calls), "{alone:?} made {calls} calls in 100 seconds");
    }
}

#[test]
fn a_hold_says_when_it_is_worth_asking_again() {
    let mut story = Story::rested();
    story.drains(Purpose::Refill);
    let held = story.held().unwrap();
    assert!((1..=200).contains(&held), "{held}");
    story.pass(200);
    assert_eq!(story.held(), None);
}

#[test]
fn a_day_has_only_so_many_calls_and_midnight_brings_new_ones() {
    let mut policy = POLICY;
    policy.allowance.calls_per_day = 100;
    policy.allowance.calls_per_second = 1_000.0;
    let mut story = Story::begin(policy);
    let mut calls = [0; 4];
    story.pass(1_000);
    for _ in 0..1_000 {
        story.pass(5);
        calls[0] += u32::from(story.asks(Purpose::Refill));
    }
    let left = (
        story.pace.budget_for(Purpose::Refill, story.at),
        story.pace.budget_for(Purpose::Purge, story.at),
    );
    assert_eq!(left, (0, 20), "what is left is not for orders");
    assert_eq!(story.pace.budget_remaining(story.at), 35);
    for _ in 0..1_000 {
        story.pass(5);
        calls[1] += u32::from(story.asks(Purpose::Purge));
        calls[2] += u32::from(story.asks(Purpose::Reconcile));
        calls[3] += u32::from(story.asks(Purpose::Outcomes));
    }
    assert_eq!(calls, [65, 20, 5, 10], "the morning leaves every purpose its share of the day");
    assert_eq!(story.pace.budget_remaining(story.at), 0);
    assert_eq!(story.held(), Some(60_000));

    // A clock that is a day ahead for one look brings nothing.
    let ahead = Moment { wall: story.at.wall.plus(Duration::from_secs(86_400)), ..story.at };
    assert_eq!(story.pace.budget_for(Purpose::Refill, ahead), 65);
    assert_eq!(story.pace.budget_for(Purpose::Refill, story.at), 0);
    assert_eq!(story.pace.budget_remaining(story.at), 0);

    story.pass(86_400_000);
    assert_eq!(story.pace.budget_remaining(story.at), 100);
    assert!(story.asks(Purpose::Refill));
}

#[test]
fn what_a_purpose_left_of_its_day_is_lent_out_towards_the_evening() {
    let mut policy = POLICY;
    policy.allowance.calls_per_day = 100;
    let mut story = Story::begin(policy);
    let mut calls = 0;
    for _ in 0..86_000 {
        story.pass(1_000);
        calls += u32::from(story.asks(Purpose::Refill));
    }
    assert!(calls >= 99, "{calls}");
}

#[test]
fn a_wall_clock_that_swings_brings_no_budget() {
    let mut story = Story::rested();
    let spent = story.drains(Purpose::Refill);
    story.at.wall = story.at.wall.plus(DAY);
    assert_eq!(story.pace.budget_remaining(story.at), 100_000);
    story.pass(1_000);
    assert!(story.asks(Purpose::Refill));
    story.at.wall = story.at.wall.minus(DAY);
    story.pass(1_000);
    assert!(story.asks(Purpose::Refill));
    assert_eq!(
        story.pace.budget_remaining(story.at),
        100_000 - 2,
        "besides {spent} of the day before"
    );
}

proptest! {
    #[test]
    fn over_any_window_no_more_calls_leave_than_burst_and_rate_allow(
        calls_per_second in 0.1_f64..50.0,
        calls_burst in 1_u32..40,
        purge_share in 0.0_f64..0.6,
        reconcile_share in 0.0_f64..0.4,
        outcome_share in 0.0_f64..0.4,
        asks in prop::collection::vec((0_u64..400, 0_usize..4, 0_u8..20), 1..400),
    ) {
        let allowance = Allowance {
            calls_per_second,
            calls_burst,
            calls_per_day: 1_000_000,
            purge_share,
            reconcile_share,
            outcome_share,
        };
        let mut story = Story::begin(PacePolicy { allowance, ..POLICY });
        let mut left = Vec::new();
        for (gap, purpose, fate) in asks {
            story.pass(gap);
            if story.asks(PURPOSES[purpose]) {
                left.push(story.at.now);
            }
            match fate {
                0 => story.pace.hear(Impression::Throttled, None, story.at.now, &mut { SHORTEST }),
                1..8 => story.hears(Impression::Well),
                _ => {}
            }
        }
        for (first, from) in left.iter().enumerate() {
            for (last, to) in left.iter().enumerate().skip(first) {
                let window = to.since(*from).as_secs_f64();
                let calls = (last - first + 1) as f64;
                let allowed = f64::from(calls_burst) + calls_per_second * window;
                prop_assert!(calls <= allowed + 1e-6, "{calls} calls in {window} s");
            }
        }
    }

    #[test]
    fn every_purpose_with_a_share_gets_through_under_every_allowance(
        calls_per_second in 0.5_f64..50.0,
        calls_burst in 4_u32..40,
        purge_share in 0.05_f64..0.4,
        reconcile_share in 0.05_f64..0.3,
        outcome_share in 0.05_f64..0.25,
        rare in 0_usize..4,
    ) {
        let allowance = Allowance {
            calls_per_second,
            calls_burst,
            calls_per_day: 1_000_000,
            purge_share,
            reconcile_share,
            outcome_share,
        };
        let mut story = Story::begin(PacePolicy { allowance, ..POLICY });
        // The smallest share times the lowest rate makes a call in 40 seconds.
        for _ in 0..450 {
            story.pass(100);
            for (purpose, greedy) in PURPOSES.into_iter().enumerate() {
                if purpose != rare {
                    story.asks(greedy);
                }
            }
        }
        prop_assert!(story.asks(PURPOSES[rare]));
    }
}

#[test]
fn a_burst_too_small_to_set_anything_aside_serves_whoever_asks() {
    for calls_burst in [1, 2, 3] {
        let allowance = Allowance { calls_burst, ..POLICY.allowance };
        for alone in PURPOSES {
            let mut story = Story::begin(PacePolicy { allowance, ..POLICY });
            let mut calls = 0;
            for _ in 0..1_000 {
                story.pass(10);
                calls += u32::from(story.asks(alone));
            }
            assert!((45..=50).contains(&calls), "{alone:?} made {calls} calls in 10 seconds");
        }
    }
}
