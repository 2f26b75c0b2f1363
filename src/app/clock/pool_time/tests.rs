//! T1, by scripted clocks.

use proptest::{collection::vec, prelude::*};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const NOON: Duration = Duration::from_millis(1_800_000_000_000);

/// A machine, and the truth, which none of its clocks need tell.
struct Machine {
    time: PoolTime,
    boot: Duration,
    wall: Duration,
    changes: Vec<Change>,
}

impl Machine {
    /// Started without a ledger that knows of time.
    fn new() -> Self {
        let mut machine = Self::with_wall(NOON);
        machine.continue_from(Duration::ZERO);
        machine
    }

    /// No ledger was opened yet.
    fn with_wall(wall: Duration) -> Self {
        let boot = 5 * MINUTE;
        let time = PoolTime::start(Reading { boot, wall });
        Self { time, boot, wall, changes: Vec::new() }
    }

    fn reading(&self) -> Reading {
        Reading { boot: self.boot, wall: self.wall }
    }

    fn continue_from(&mut self, recorded: Duration) {
        let change = self.time.continue_from(timestamp(recorded), self.reading());
        self.changes.extend(change);
    }

    /// Both clocks go on, and are looked at once a second.
    fn pass(&mut self, span: Duration) {
        let end = self.boot + span;
        while self.boot < end {
            let step = SECOND.min(end - self.boot);
            self.boot += step;
            self.wall += step;
            let change = self.time.advance(self.reading());
            self.changes.extend(change);
        }
    }

    fn told(&mut self, by_argos: Duration) {
        let change = self.time.told(timestamp(by_argos), self.reading());
        self.changes.extend(change);
    }

    /// Pool time and what passed since noon.
    fn since_noon(&self) -> Duration {
        self.time.now - NOON
    }
}

fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp::ZERO.plus(since_epoch)
}

#[test]
fn a_small_difference_is_slewed_away() {
    let mut machine = Machine::new();
    machine.wall += 10 * SECOND;
    machine.pass(MINUTE);
    assert_eq!(machine.since_noon(), MINUTE + Duration::from_millis(30));
    machine.wall -= 20 * SECOND;
    machine.pass(MINUTE);
    assert_eq!(machine.since_noon(), 2 * MINUTE);
    assert_eq!(machine.changes, []);
}

#[test]
fn slewing_ends_where_the_clocks_meet() {
    let mut machine = Machine::new();
    machine.wall += SECOND;
    machine.pass(HOUR);
    assert_eq!(machine.time.now, machine.wall);
}

/// B3.
#[test]
fn what_outlasts_a_span_does_so_where_time_runs_as_fast_as_it_may() {
    let mut machine = Machine::new();
    machine.wall += 50 * SECOND + Duration::from_micros(999_999 - 123);
    machine.pass(Duration::from_micros(777));
    let (boot, began) = (machine.boot, machine.time.now());
    let over = began.plus(outlasting(2 * MINUTE));
    while machine.time.now() < over {
        machine.pass(Duration::from_millis(1));
    }
    let waited = machine.boot - boot;
    assert!(waited >= 2 * MINUTE, "{waited:?}");
    assert!(waited <= 2 * MINUTE + Duration::from_millis(4), "{waited:?}");
}

#[test]
fn a_wall_clock_that_jumps_a_day_ahead_is_followed_once_argos_agrees_and_not_before() {
    let mut machine = Machine::new();
    machine.wall += DAY;
    machine.pass(HOUR);
    assert_eq!(machine.since_noon(), HOUR);
    assert_eq!(machine.changes, [Change::Doubted { ahead: true, by: DAY }]);

    // Whole seconds, and late by the time that the answer took.
    machine.told(machine.wall - 20 * SECOND);
    assert_eq!(machine.time.now, machine.wall);
    assert_eq!(machine.time.steps(), 1);
    machine.pass(MINUTE);
    assert_eq!(machine.time.now, machine.wall);
    assert_eq!(machine.changes[1..], [Change::Stepped { by: DAY }]);
}

#[test]
fn a_wall_clock_that_jumps_while_argos_agrees_with_pool_time_is_wrong() {
    let mut machine = Machine::new();
    machine.told(NOON);
    machine.wall += DAY;
    machine.pass(HOUR);
    machine.told(NOON + HOUR);
    machine.pass(HOUR);
    assert_eq!((machine.since_noon(), machine.time.steps()), (2 * HOUR, 0));
    machine.wall -= DAY;
    machine.pass(SECOND);
    assert_eq!(machine.changes, [Change::Doubted { ahead: true, by: DAY }, Change::Met]);
}

#[test]
fn argos_alone_moves_nothing_however_many_projects_hear_it() {
    let mut machine = Machine::new();
    for by_argos in [NOON + DAY, NOON - DAY, NOON + 365 * DAY, Duration::ZERO] {
        machine.told(by_argos);
        machine.pass(MINUTE);
    }
    assert_eq!(machine.since_noon(), 4 * MINUTE);
    assert_eq!(machine.changes, []);
}

#[test]
fn argos_and_the_wall_clock_that_are_both_elsewhere_but_not_together_move_nothing() {
    let mut machine = Machine::new();
    machine.wall += DAY;
    machine.told(NOON + DAY + 2 * MINUTE);
    machine.told(NOON + 2 * DAY);
    machine.wall -= 2 * DAY;
    machine.told(NOON - 2 * DAY);
    machine.pass(HOUR);
    assert_eq!((machine.since_noon(), machine.time.steps()), (HOUR, 0));
}

#[test]
fn one_project_with_a_broken_argos_does_not_keep_the_others_from_being_believed() {
    let mut machine = Machine::new();
    machine.wall += DAY;
    machine.told(NOON - DAY);
    machine.told(machine.wall);
    assert_eq!(machine.time.now, machine.wall);
    machine.told(NOON - DAY);
    machine.pass(MINUTE);
    assert_eq!(machine.since_noon(), DAY + MINUTE);
}

#[test]
fn what_argos_said_long_ago_is_not_used() {
    let mut machine = Machine::new();
    machine.told(NOON + DAY);
    machine.pass(TOLD_AGE_MAX + MINUTE);
    machine.wall += DAY;
    machine.pass(MINUTE);
    assert_eq!(machine.time.steps(), 0);
}

#[test]
fn a_wall_clock_that_jumps_back_an_hour_is_not_followed_without_argos() {
    let mut machine = Machine::new();
    machine.wall -= HOUR;
    machine.pass(HOUR);
    assert_eq!(machine.since_noon(), HOUR);
    assert_eq!(machine.changes, [Change::Doubted { ahead: false, by: HOUR }]);
}

#[test]
fn time_that_is_ahead_of_everybody_runs_at_half_speed_until_they_meet() {
    let mut machine = Machine::new();
    machine.wall -= HOUR;
    machine.told(machine.wall);
    machine.pass(HOUR);
    assert_eq!(machine.since_noon(), HOUR / 2);
    machine.told(machine.wall);
    machine.pass(HOUR - SECOND);
    assert!(machine.time.now > machine.wall, "they do not meet before two hours");
    machine.pass(2 * SECOND);
    assert_eq!(machine.time.now, machine.wall);
    let by = HOUR;
    assert_eq!(machine.changes, [Change::Slowed { by }, Change::Met]);
}

#[test]
fn time_that_was_slowed_runs_as_before_when_argos_changes_its_mind() {
    let mut machine = Machine::new();
    machine.wall -= HOUR;
    machine.told(machine.wall);
    machine.pass(MINUTE);
    machine.told(machine.time.now);
    machine.pass(MINUTE);
    assert_eq!(machine.since_noon(), MINUTE / 2 + MINUTE);
}

// Restarts

#[test]
fn after_a_short_restart_time_is_what_the_wall_clock_says() {
    let mut machine = Machine::with_wall(NOON + 5 * SECOND);
    machine.continue_from(NOON);
    assert_eq!((machine.since_noon(), machine.time.steps()), (5 * SECOND, 0));
    assert_eq!(machine.changes, []);
}

#[test]
fn after_a_restart_time_goes_on_from_the_record_until_argos_agrees_with_the_wall_clock() {
    for downtime in [10 * MINUTE, DAY] {
        let mut machine = Machine::with_wall(NOON + downtime);
        machine.continue_from(NOON);
        machine.pass(HOUR);
        assert_eq!(machine.since_noon(), HOUR);
        machine.told(machine.wall);
        assert_eq!(machine.since_noon(), downtime + HOUR);
    }
}

#[test]
fn a_wall_clock_that_is_a_day_ahead_at_a_restart_is_not_taken() {
    let mut machine = Machine::with_wall(NOON + DAY);
    machine.continue_from(NOON);
    machine.told(NOON);
    machine.pass(HOUR);
    assert_eq!((machine.since_noon(), machine.time.steps()), (HOUR, 0));
}

#[test]
fn after_a_long_downtime_time_is_in_doubt_until_argos_vouches_for_either() {
    for by_argos in [NOON, NOON + DAY] {
        let mut machine = Machine::with_wall(NOON + DAY);
        machine.continue_from(NOON);
        machine.pass(SECOND);
        assert!(machine.time.in_doubt());
        machine.told(NOON - DAY);
        assert!(machine.time.in_doubt(), "that is a third opinion");
        machine.told(by_argos);
        assert!(!machine.time.in_doubt());
    }
}

#[test]
fn a_wall_clock_that_is_an_hour_back_at_a_restart_turns_nothing_back() {
    let mut machine = Machine::with_wall(NOON - HOUR);
    machine.continue_from(NOON);
    assert_eq!(machine.since_noon(), Duration::ZERO);
    machine.told(machine.wall);
    machine.pass(MINUTE);
    assert_eq!(machine.since_noon(), MINUTE / 2);
}

#[test]
fn of_several_ledgers_the_one_that_came_furthest_counts() {
    let records = [NOON - 3 * DAY, NOON, NOON - DAY, Duration::ZERO];
    for turn in 0..records.len() {
        let mut machine = Machine::with_wall(NOON + DAY);
        machine.continue_from(NOON);
        for at in 0..records.len() {
            machine.continue_from(records[(at + turn) % records.len()]);
            assert_eq!(machine.since_noon(), Duration::ZERO);
        }
    }
    let mut machine = Machine::with_wall(NOON + DAY);
    for record in [NOON - 3 * DAY, NOON - DAY, NOON] {
        machine.continue_from(record);
        assert_eq!(machine.time.now, record);
    }
    assert_eq!(machine.time.steps(), 2, "whoever was opened before begins its waits again");
}

// Random walks

#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u64),
    /// Boot time alone: a machine that slept.
    Sleep(u64),
    Jump(i64),
    Told(i64),
    /// What is honest, so that steps are believed too.
    ToldTheWall,
    Recorded(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let span = || prop_oneof![0..2_000_u64, 0..200_000_u64, 0..100_000_000_u64];
    let offset = || prop_oneof![-90_000..90_000_i64, -100_000_000..100_000_000_i64];
    prop_oneof![
        5 => span().prop_map(Event::Pass),
        1 => span().prop_map(Event::Sleep),
        2 => offset().prop_map(Event::Jump),
        1 => offset().prop_map(Event::Told),
        2 => Just(Event::ToldTheWall),
        1 => offset().prop_map(Event::Recorded),
    ]
}

fn moved(from: Duration, by: i64) -> Duration {
    let span = Duration::from_millis(by.unsigned_abs());
    if by < 0 { from.saturating_sub(span) } else { from + span }
}

/// T1.
#[test]
fn a_boot_time_clock_that_steps_back_counts_no_moment_twice() {
    let mut machine = Machine::new();
    machine.pass(MINUTE);
    let ahead = machine.boot;
    machine.boot -= 30 * SECOND;
    machine.time.advance(machine.reading());
    machine.boot = ahead;
    machine.time.advance(machine.reading());
    assert_eq!(machine.since_noon(), MINUTE);
}

proptest! {
    /// T1: and not only does it never stand still, it makes at least half of what boot time made.
    #[test]
    fn time_never_steps_back_and_never_stands_still(events in vec(event(), 1..60)) {
        let mut machine = Machine::new();
        for event in events {
            let (boot, now) = (machine.boot, machine.time.now);
            match event {
                Event::Pass(millis) => {
                    let span = Duration::from_millis(millis);
                    machine.boot += span;
                    machine.wall += span;
                    machine.time.advance(machine.reading());
                }
                Event::Sleep(millis) => {
                    machine.boot += Duration::from_millis(millis);
                    machine.time.advance(machine.reading());
                }
                Event::Jump(by) => {
                    machine.wall = moved(machine.wall, by);
                    machine.time.advance(machine.reading());
                }
                Event::Told(by) => machine.told(moved(NOON, by)),
                Event::ToldTheWall => machine.told(machine.wall),
                Event::Recorded(by) => machine.continue_from(moved(NOON, by)),
            }
            prop_assert!(machine.time.now >= now + (machine.boot - boot) / 2);
        }
    }

    /// T1: whatever happens to the wall clock, without ARGOS time is what passed, give or take slewing.
    #[test]
    fn nobody_steps_time_alone(jumps in vec((0..10_000_000_u64, -100_000_000..100_000_000_i64), 1..40)) {
        let mut machine = Machine::new();
        for (passed, jump) in jumps {
            machine.boot += Duration::from_millis(passed);
            machine.wall = moved(machine.wall + Duration::from_millis(passed), jump);
            machine.time.advance(machine.reading());
        }
        let passed = machine.boot - 5 * MINUTE;
        prop_assert!(machine.since_noon().abs_diff(passed) <= passed / SLEW);
        prop_assert_eq!(machine.time.steps(), 0);
    }
}
