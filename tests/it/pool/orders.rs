//! How tokens get into ARGOS (B1, B2, B3) and how an order ends.

use std::time::Duration;

use argospool::domain::{
    ids::Sequence,
    order::{Attempt, OrderState},
    pool::{Command, Effect, Event, UnderWay},
    token::DoomCause,
};

use super::{Desk, usual};

fn open(state: &OrderState) -> bool {
    matches!(state, OrderState::Open { .. })
}

/// B2.
#[test]
fn the_ids_of_an_order_are_written_down_before_it_is_asked_for() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(500);
    assert_eq!(desk.records.tokens.len(), 500);
    assert_eq!(desk.records.orders[&order].tokens, 500);
    assert_eq!(desk.registrations(), [order]);
    assert_eq!(desk.pool.ids_of_order(order).len(), 500);
}

/// B1.
#[test]
fn only_minted_ids_are_ever_registered() {
    let mut desk = Desk::stocked(usual(), 3);
    let order = argospool::domain::ids::OrderId(Sequence::ZERO);
    assert_eq!(desk.registrations(), []);
    assert_eq!(desk.pool.ids_of_order(order), []);
    desk.reopen();
    desk.counted(3, false);
    assert_eq!(desk.registrations(), []);
}

/// B1.
#[test]
#[should_panic(expected = "B2: an order that ends is known")]
fn an_order_that_nobody_wrote_down_never_becomes_ready() {
    let mut desk = Desk::new(usual());
    let order = argospool::domain::ids::OrderId(Sequence::ZERO);
    desk.pool.apply(&Event::OrderReady { order, at: desk.now });
}

/// B3.
#[test]
fn a_settled_order_becomes_ready_when_no_second_copy_of_it_can_arrive() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Settled);
    assert_eq!(desk.order_state(order), OrderState::Settled { ripe: desk.after(3) });
    desk.wait(2);
    assert!(!desk.pool.sweep_due(desk.now));
    desk.pass(1);
    assert_eq!(desk.pool.census().ready, 5);
}

/// B3.
#[test]
fn an_order_that_went_unanswered_is_repeated_with_its_ids_and_ready_only_after_its_late_copies() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    let ids = desk.pool.ids_of_order(order);
    desk.attempt(order, Attempt::Unanswered);
    let unanswered = desk.now;
    assert_eq!(desk.registrations(), [], "a repeat waits");
    desk.wait(2);
    assert_eq!(desk.registrations(), [order]);
    assert_eq!(desk.pool.ids_of_order(order), ids);
    desk.attempt(order, Attempt::Unclear);
    desk.wait(10);
    desk.attempt(order, Attempt::Settled);
    let ripe = unanswered.plus(desk.pool.policy().late_copy_delay);
    assert_eq!(desk.order_state(order), OrderState::Settled { ripe });
}

#[test]
fn a_pool_tells_since_when_it_is_in_doubt_and_whether_tokens_come_by_themselves() {
    let mut desk = Desk::stocked(usual(), 0);
    assert_eq!((desk.pool.oldest_doubt(), desk.pool.settling()), (None, false));
    let orders = [desk.mint(5), desk.mint(5)];
    let since = desk.now;
    for order in orders {
        desk.attempt(order, Attempt::Unanswered);
        desk.wait(10);
    }
    assert_eq!((desk.pool.oldest_doubt(), desk.pool.settling()), (Some(since), false));
    desk.attempt(orders[0], Attempt::Settled);
    assert_eq!(
        (desk.pool.oldest_doubt(), desk.pool.settling()),
        (Some(since.plus(Duration::from_secs(10))), true)
    );
    desk.attempt(orders[1], Attempt::Settled);
    assert_eq!(desk.pool.oldest_doubt(), None);
}

/// B3.
#[test]
fn doubt_without_silence_delays_nothing_but_the_repeat() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Unclear);
    desk.wait(5);
    desk.attempt(order, Attempt::Settled);
    assert_eq!(desk.order_state(order), OrderState::Settled { ripe: desk.after(3) });
}

/// B3.
#[test]
fn a_restart_starts_the_clock_of_late_copies_anew() {
    let mut desk = Desk::stocked(usual(), 0);
    let (open, settled) = (desk.mint(5), desk.mint(5));
    desk.attempt(settled, Attempt::Settled);
    desk.wait(60);
    desk.reopen();
    assert_eq!(desk.order_state(settled), OrderState::Settled { ripe: desk.after(120) });
    desk.attempt(open, Attempt::Settled);
    assert_eq!(desk.order_state(open), OrderState::Settled { ripe: desk.after(120) });
}

/// B3.
#[test]
fn an_order_under_way_is_not_sent_a_second_time() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    let mut under_way = UnderWay::default();
    under_way.orders.insert(order);
    desk.reopen();
    desk.counted(0, true);
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    assert!(!effects.contains(&Effect::Register { order }), "{effects:?}");
}

#[test]
fn a_refused_order_keeps_its_ids_and_waits_a_moment() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    let ids = desk.pool.ids_of_order(order);
    desk.attempt(order, Attempt::Refused);
    assert_eq!(desk.registrations(), []);
    desk.wait(2);
    assert_eq!(desk.registrations(), [order]);
    assert_eq!(desk.pool.ids_of_order(order), ids);
}

/// B3.
#[test]
fn an_order_that_is_never_answered_is_given_up_whole_after_eight_attempts() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    for _ in 0..7 {
        desk.attempt(order, Attempt::Unanswered);
        assert!(open(&desk.order_state(order)));
        desk.wait(60);
    }
    desk.attempt(order, Attempt::Unanswered);
    assert_eq!(desk.pool.order(order), None);
    assert_eq!(desk.pool.census().doomed, 5);
    let doom = desk.doom(Sequence::ZERO);
    assert_eq!((doom.cause, doom.not_before), (DoomCause::Cancelled, desk.after(120)));
}

/// B3.
#[test]
fn an_order_in_doubt_for_ten_minutes_is_given_up_whole() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Unanswered);
    desk.wait(599);
    desk.attempt(order, Attempt::Unanswered);
    assert!(open(&desk.order_state(order)));
    desk.wait(1);
    desk.attempt(order, Attempt::Unanswered);
    assert_eq!(desk.pool.order(order), None);
}

/// B3.
#[test]
fn an_order_whose_answers_contradict_it_is_given_up_whole_after_three_repeats() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    for _ in 0..3 {
        desk.attempt(order, Attempt::Unclear);
        assert!(open(&desk.order_state(order)));
        desk.wait(60);
    }
    desk.attempt(order, Attempt::Unclear);
    assert_eq!(desk.pool.order(order), None);
    let second = desk.after(3);
    assert_eq!(desk.doom(Sequence::ZERO).not_before, second, "no late copy is on its way");
}

/// B3: `token_not_found` would be believed, and the copy would arrive after it.
#[test]
fn what_was_given_up_is_not_deleted_before_the_last_late_copy_of_it() {
    for last in [Attempt::CapReached, Attempt::TooMany, Attempt::Unclear] {
        let mut desk = Desk::stocked(usual(), 0);
        let order = desk.mint(5);
        desk.attempt(order, Attempt::Unanswered);
        let late = desk.after(120);
        desk.wait(10);
        let tries = if last == Attempt::Unclear { 3 } else { 1 };
        (0..tries).for_each(|_| desk.attempt(order, last));
        assert_eq!(desk.doom(Sequence::ZERO).not_before, late, "{last:?}");
    }
}

/// B3: an answer does not prove that there was one copy of the call, whatever it says.
#[test]
fn what_was_given_up_after_an_answer_is_not_deleted_before_a_second_copy_can_have_come() {
    for (last, tries) in [(Attempt::CapReached, 1), (Attempt::Unclear, 4)] {
        let mut desk = Desk::stocked(usual(), 0);
        let order = desk.mint(5);
        (0..tries).for_each(|_| desk.attempt(order, last));
        assert_eq!(desk.doom(Sequence::ZERO).not_before, desk.after(3), "{last:?}");
    }
}

/// B3: time may have stepped, or another clock be believed, and that was not waited for.
#[test]
fn what_was_given_up_waits_for_late_copies_anew_when_the_records_are_read_again() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Unanswered);
    desk.attempt(order, Attempt::CapReached);
    desk.wait(119);
    desk.reopen();
    desk.wait(119);
    assert_eq!(desk.deletions(), Vec::<Vec<Sequence>>::new());
    desk.wait(1 + 5);
    assert_eq!(desk.deletions().concat().len(), 5);
    assert_eq!(desk.pool.audit(), []);
}

#[test]
fn an_order_too_large_for_one_call_is_forgotten_if_nobody_can_have_heard_of_it() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::TooMany);
    assert_eq!((desk.pool.order(order), desk.pool.census().held()), (None, 0));
    assert!(desk.records.tokens.is_empty() && desk.records.orders.is_empty());
    assert_eq!(desk.mint(5).0, Sequence::new(5), "its sequences are not used again");
}

/// L1: the sequence of a forgotten order would give a lease the name of another.
#[test]
fn sequences_are_never_used_again_not_even_after_a_restart() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::TooMany);
    desk.reopen();
    assert_eq!(desk.mint(1).0, Sequence::new(5));
}

#[test]
fn a_full_argos_ends_the_order_stops_ordering_and_is_counted() {
    let mut desk = Desk::stocked(usual(), 0);
    let (refused, other) = (desk.mint(5), desk.mint(5));
    desk.attempt(refused, Attempt::CapReached);
    assert_eq!(desk.pool.order(refused), None);
    assert_eq!(desk.doom(Sequence::ZERO).cause, DoomCause::Cancelled);
    assert!(desk.pool.at_cap(desk.now));
    assert_eq!(desk.effects(), [Effect::Count]);
    desk.counted(0, false);
    assert_eq!(desk.registrations(), []);
    desk.wait(120);
    assert!(!desk.pool.at_cap(desk.now));
    assert_eq!(desk.registrations(), [other]);
}

#[test]
fn after_full_one_order_at_a_time_feels_its_way_until_one_is_accepted() {
    let mut desk = Desk::stocked(super::policy(5_000, 1_000), 0);
    let orders: Vec<_> = (0..3).map(|_| desk.mint(5)).collect();
    desk.attempt(orders[0], Attempt::CapReached);
    desk.counted(0, false);
    desk.wait(120);
    assert_eq!(desk.pool.plan(desk.now, None, 500).orders, 0, "two wait already");
    assert_eq!(desk.registrations(), [orders[1]]);
    desk.attempt(orders[1], Attempt::Settled);
    assert_eq!(desk.registrations(), [orders[2]]);
    assert_eq!(desk.pool.plan(desk.now, None, 500).orders, 3);
}

/// R1: poison orders leave calls to the others.
#[test]
fn repeats_take_at_most_half_of_the_calls() {
    let mut desk = Desk::stocked(usual(), 0);
    let doubtful: Vec<_> = (0..4).map(|_| desk.mint(5)).collect();
    doubtful.iter().for_each(|order| desk.attempt(*order, Attempt::Unclear));
    let fresh: Vec<_> = (0..4).map(|_| desk.mint(5)).collect();
    desk.wait(10);
    assert_eq!(desk.registrations(), [&doubtful[..2], &fresh[..2]].concat());
}

#[test]
fn an_answer_that_comes_twice_says_nothing_new() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Settled);
    let ripe = desk.order_state(order);
    desk.wait(1);
    desk.attempt(order, Attempt::Unanswered);
    assert_eq!(desk.order_state(order), ripe);
    desk.pass(2);
    desk.attempt(order, Attempt::CapReached);
    assert_eq!(desk.pool.census().ready, 5);
}

#[test]
fn orders_that_ripen_together_become_ready_one_per_step() {
    let mut desk = Desk::stocked(usual(), 0);
    for _ in 0..3 {
        let order = desk.mint(500);
        desk.attempt(order, Attempt::Settled);
    }
    desk.wait(3);
    desk.tell(&Command::Sweep).unwrap();
    assert_eq!(desk.pool.census().ready, 500);
    desk.sweep();
    assert_eq!(desk.pool.census().ready, 1_500);
}
