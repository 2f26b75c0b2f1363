//! What the pool learns about ARGOS: counts, room (C1), whether key and pid belong together, and what
//! it orders for it (R1).

use argospool::domain::{
    ids::{OrderId, Revision, Sequence, SubmissionId},
    order::Attempt,
    pool::{Command, Effect, KeyCheck, Policy, Refusal, UnderWay},
    refill::{Hindrance, Rest},
    submission::FactKind,
};

use super::{Desk, policy, usual};

fn capped(cap: u32, reserve: u32) -> Policy {
    Policy { cap, reserve, ..policy(5_000, 1_000) }
}

fn orders_of(desk: &Desk) -> (u32, u32) {
    let plan = desk.pool.plan(desk.now, None, 500);
    (plan.orders, plan.batch)
}

/// C1: foreign ids and the reserve are no room.
#[test]
fn nothing_is_ordered_beyond_the_cap_less_the_reserve_and_the_foreign_ids() {
    let mut desk = Desk::new(capped(2_000, 400));
    assert_eq!(orders_of(&desk), (3, 500));
    desk.counted(700, false);
    assert_eq!(orders_of(&desk), (1, 500));
    desk.counted(1_200, false);
    assert_eq!(orders_of(&desk), (1, 400), "a part of a batch, because the stock is low");
    desk.counted(1_600, false);
    assert_eq!(desk.pool.plan(desk.now, None, 500).rest, Some(Rest::AtCap));
}

/// C1.
#[test]
fn everything_that_may_hold_a_slot_counts_against_the_cap() {
    let mut desk = Desk::stocked(capped(1_000, 0), 300);
    let first = desk.lease("uid:1", None).unwrap().sequence;
    desk.lease("uid:1", None).unwrap();
    desk.release(first, "uid:1").unwrap();
    let doubtful = desk.mint(200);
    desk.attempt(doubtful, Attempt::Unanswered);
    assert_eq!(desk.pool.census().held(), 500);
    assert_eq!(orders_of(&desk), (1, 500));
    desk.mint(500);
    assert_eq!(orders_of(&desk), (0, 0));
}

/// C1: an order was written down when there was room, and others' ids came before it left.
#[test]
fn an_order_that_does_not_fit_any_more_is_held_back_and_withdrawn() {
    let mut desk = Desk::stocked(capped(1_000, 0), 0);
    let (first, second) = (desk.mint(500), desk.mint(500));
    desk.counted(100, false);
    assert_eq!(desk.registrations(), [first]);
    let orders = desk.pool.misfits(&UnderWay::default());
    assert_eq!(orders, [second]);
    desk.tell(&Command::Withdraw { orders }).unwrap();
    assert_eq!(desk.pool.census().held(), 500, "nobody ever heard of its ids");
    assert_eq!(orders_of(&desk), (1, 400), "a smaller one takes its place");
}

/// C1, B3: what may be over there already is deleted.
#[test]
fn a_doubtful_order_that_does_not_fit_any_more_is_given_up_whole() {
    let mut desk = Desk::stocked(capped(1_000, 0), 0);
    let order = desk.mint(500);
    desk.attempt(order, Attempt::Unanswered);
    desk.wait(10);
    desk.counted(600, false);
    assert_eq!(desk.registrations(), []);
    let mut under_way = UnderWay::default();
    under_way.orders.insert(order);
    assert_eq!(desk.pool.misfits(&under_way), [], "its answer is waited for");
    let orders = desk.pool.misfits(&UnderWay::default());
    desk.tell(&Command::Withdraw { orders }).unwrap();
    assert_eq!(desk.pool.census().doomed, 500);
    assert_eq!(desk.doom(Sequence::ZERO).not_before, desk.after(110));
}

#[test]
fn foreign_ids_are_what_argos_counts_beyond_what_it_holds_of_ours_for_certain() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.mint(5);
    desk.counted(12, false);
    assert_eq!(desk.pool.foreign(), 2, "an open order may be unknown over there");
    desk.counted(8, false);
    assert_eq!(desk.pool.foreign(), 0);
    assert_eq!(desk.pool.last_count().unwrap().drift, Some(-2));
}

/// C1: a count that a call of ours overlapped says nothing of others' ids, neither that there are
/// some nor that they went.
#[test]
fn a_count_that_a_call_of_ours_overlapped_leaves_the_foreign_ids_as_they_were() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.counted(17, false);
    desk.counted(10, true);
    assert_eq!(desk.pool.foreign(), 7);
    assert_eq!(desk.pool.last_count().unwrap().drift, None);
    desk.counted(500, true);
    assert_eq!(desk.pool.foreign(), 7);
    desk.counted(10, false);
    assert_eq!(desk.pool.foreign(), 0);
}

/// C1: an unanswered deletion may have happened, and would hide as many foreign ids.
#[test]
fn tokens_whose_deletion_is_in_doubt_are_not_counted_as_held_over_there_for_certain() {
    let mut desk = Desk::stocked(usual(), 10);
    for _ in 0..4 {
        let sequence = desk.lease("uid:1", None).unwrap().sequence;
        desk.release(sequence, "uid:1").unwrap();
    }
    let sequences: Vec<_> = (0..4).map(Sequence::new).collect();
    desk.not_deleted(sequences);
    // ARGOS deleted all four, and somebody else registered three.
    desk.counted(6 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
}

/// R1: after a crash in mid-refill ARGOS holds ids that are not certain to be there, and not foreign.
#[test]
fn when_the_last_doubt_about_an_order_ends_what_was_taken_for_foreign_is_counted_again() {
    let mut desk = Desk::stocked(usual(), 10);
    let orders = [desk.mint(5), desk.mint(5)];
    for order in orders {
        desk.attempt(order, Attempt::Unanswered);
    }
    desk.counted(20, false);
    assert_eq!(desk.pool.foreign(), 10, "they may be others'");
    desk.attempt(orders[0], Attempt::Settled);
    assert_eq!(desk.effects(), []);
    desk.attempt(orders[1], Attempt::Settled);
    assert_eq!(desk.effects(), [Effect::Count]);
    desk.counted(20, false);
    assert_eq!(desk.pool.foreign(), 0);
}

#[test]
fn where_nothing_was_taken_for_foreign_the_end_of_a_doubt_asks_for_no_count() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Unanswered);
    desk.attempt(order, Attempt::Settled);
    assert_eq!((desk.pool.foreign(), desk.effects()), (0, Vec::new()));
}

/// R1.
#[test]
fn when_tokens_in_doubt_are_deleted_what_was_taken_for_foreign_is_counted_again() {
    let mut desk = Desk::stocked(usual(), 10);
    let order = desk.mint(5);
    desk.attempt(order, Attempt::CapReached);
    desk.counted(15, false);
    assert_eq!(desk.pool.foreign(), 5, "they may be others'");
    let sequences: Vec<_> = (10..15).map(Sequence::new).collect();
    desk.deleted(sequences);
    assert_eq!(desk.effects(), [Effect::Count]);
}

/// C1: whether ARGOS holds what a younger state of the ledger may have deleted, nobody can say.
#[test]
fn what_is_presumed_leased_hides_no_foreign_ids() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.tell(&Command::Suspect { below: Sequence::new(4) }).unwrap();
    desk.counted(6 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
    // Nor does it when its lease has ended.
    desk.pass(86_400);
    assert_eq!(desk.pool.census().doomed, 4);
    desk.counted(6 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
}

/// L1: whoever uses a token that was never handed out has found one of ours, and no stranger's.
#[test]
fn a_token_that_argos_saw_used_is_none_of_the_foreign_ones() {
    let mut desk = Desk::stocked(usual(), 10);
    assert!(desk.fact(Sequence::new(3), FactKind::Started));
    assert!(desk.pool.halted());
    desk.counted(10, false);
    assert_eq!(desk.pool.foreign(), 0);
    desk.counted(12, false);
    assert_eq!(desk.pool.foreign(), 2);
}

#[test]
fn nothing_is_ordered_before_argos_was_asked_how_many_ids_it_holds() {
    let mut desk = Desk::stocked(usual(), 0);
    desk.reopen();
    let plan = desk.pool.plan(desk.now, None, 500);
    assert_eq!(plan.rest, Some(Rest::Hindered(Hindrance::NotCounted)));
    assert_eq!(desk.effects(), [Effect::Count]);
    desk.tell(&Command::Counted { tokens: None, overlapped: false }).unwrap();
    assert_eq!(orders_of(&desk), (1, 500), "no answer is an answer: ARGOS was asked");
}

#[test]
fn a_count_is_made_alone_if_it_can_be_had() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.tell(&Command::WantCount).unwrap();
    assert_eq!(desk.effects(), [Effect::Count], "nothing else is sent meanwhile");
    let mut under_way = UnderWay::default();
    under_way.begin_count();
    assert_eq!(desk.pool.outstanding(desk.now, &under_way, 500), []);
    assert!(!under_way.end_count(), "it was alone");
    desk.counted(0, false);
    assert_eq!(desk.registrations(), [order]);
}

#[test]
fn a_count_waits_for_calls_of_ours_for_half_a_minute_and_is_then_made_all_the_same() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    let mut under_way = UnderWay::default();
    under_way.orders.insert(order);
    desk.tell(&Command::WantCount).unwrap();
    assert_eq!(desk.pool.outstanding(desk.now, &under_way, 500), []);
    desk.wait(30);
    assert_eq!(desk.pool.outstanding(desk.now, &under_way, 500), [Effect::Count]);
    under_way.begin_count();
    assert!(under_way.end_count(), "it was not alone");
}

/// R1: the share of calls that counts are made from may be used up for hours.
#[test]
fn a_count_that_cannot_be_made_holds_nothing_up_for_longer_than_it_waits() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    desk.tell(&Command::WantCount).unwrap();
    desk.wait(30);
    assert_eq!(desk.effects(), [Effect::Count, Effect::Register { order }]);
}

#[test]
fn a_registration_that_leaves_during_a_count_spoils_it() {
    let mut under_way = UnderWay::default();
    under_way.begin_count();
    under_way.overlaps_count();
    assert!(under_way.end_count());
}

#[test]
fn nothing_leaves_while_a_count_is_alone() {
    let mut desk = Desk::stocked(usual(), 0);
    desk.mint(5);
    let mut under_way = UnderWay::default();
    under_way.begin_count();
    assert_eq!(desk.pool.outstanding(desk.now, &under_way, 500), []);
    assert!(!under_way.end_count(), "nothing overlapped it");
    assert_eq!(desk.registrations().len(), 1);
}

#[test]
fn after_a_start_one_ready_token_is_looked_up_at_argos() {
    let mut desk = Desk::stocked(usual(), 3);
    desk.reopen();
    desk.counted(3, false);
    assert_eq!(desk.effects(), [Effect::Find { sequence: Sequence::ZERO }]);
    let mut busy = UnderWay::default();
    busy.finding = true;
    assert_eq!(desk.pool.outstanding(desk.now, &busy, 500), []);
    let found = Command::KeyChecked { sequence: Sequence::ZERO, found: Some(true) };
    desk.tell(&found).unwrap();
    assert_eq!((desk.pool.key_check(), desk.effects()), (KeyCheck::Passed, Vec::new()));
}

#[test]
fn three_tokens_that_argos_does_not_know_mean_that_the_key_is_of_another_project() {
    let mut desk = Desk::stocked(usual(), 5);
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.counted(5, false);
    let asked: Vec<_> = (0..3)
        .map(|_| {
            assert!(!desk.pool.halted());
            let [Effect::Find { sequence }] = desk.effects()[..] else { panic!() };
            desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
            sequence.get()
        })
        .collect();
    assert_eq!(asked, [0, 4, 2], "the oldest, the youngest, and one between");
    assert_eq!(desk.pool.key_check(), KeyCheck::Failed);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Halted));
    assert_eq!(desk.pool.leasable(), 0);
}

#[test]
fn where_fewer_were_ready_all_of_them_missing_are_enough() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.stock(5);
    desk.tell(&Command::KeyChecked { sequence: Sequence::ZERO, found: Some(false) }).unwrap();
    assert_eq!(desk.pool.key_check(), KeyCheck::Failed);
}

#[test]
fn a_token_that_was_leased_meanwhile_proves_nothing_against_the_key() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.tell(&Command::KeyReplaced).unwrap();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    assert_eq!(desk.pool.key_check(), KeyCheck::Open { missing: 0 });
    desk.tell(&Command::KeyChecked { sequence, found: None }).unwrap();
    assert_eq!(desk.pool.key_check(), KeyCheck::Open { missing: 0 });
}

/// R1.
#[test]
fn an_extra_order_is_placed_whole_and_once() {
    let mut desk = Desk::stocked(usual(), 500);
    desk.tell(&Command::Extra { tokens: 700 }).unwrap();
    assert_eq!(orders_of(&desk), (1, 500));
    desk.stock(500);
    assert_eq!(orders_of(&desk), (1, 200));
    desk.stock(200);
    assert_eq!(desk.pool.plan(desk.now, None, 500).rest, Some(Rest::Enough));
    desk.lease("uid:1", None).unwrap();
    assert_eq!(desk.pool.plan(desk.now, None, 500).need, 0, "the target is not raised");
}

/// R1.
#[test]
fn an_extra_order_comes_on_top_of_what_is_missing() {
    let mut desk = Desk::stocked(usual(), 450);
    desk.tell(&Command::Extra { tokens: 30 }).unwrap();
    assert_eq!(orders_of(&desk), (1, 80));
    desk.stock(80);
    assert_eq!(orders_of(&desk), (0, 0));
}

/// R1: what fills a shortage is not what was asked for beyond the target.
#[test]
fn an_extra_order_outlives_the_batches_that_fill_a_shortage() {
    let mut desk = Desk::stocked(policy(1_000, 100), 0);
    desk.tell(&Command::Extra { tokens: 200 }).unwrap();
    desk.stock(500);
    assert_eq!(orders_of(&desk), (1, 500));
    desk.stock(500);
    assert_eq!(orders_of(&desk), (1, 200));
}

#[test]
fn no_extra_order_is_too_large_to_be_counted() {
    let mut desk = Desk::stocked(usual(), 0);
    desk.tell(&Command::Extra { tokens: u32::MAX }).unwrap();
    desk.tell(&Command::Extra { tokens: u32::MAX }).unwrap();
    assert_eq!(desk.pool.plan(desk.now, None, 500).need, u32::MAX);
}

/// S2: a stop waits for all of them.
#[test]
fn every_call_that_is_out_is_counted() {
    let order = |first| OrderId(Sequence::new(first));
    let submission = |name| SubmissionId::parse(name).unwrap();
    let mut under_way = UnderWay::default();
    under_way.orders = [0, 500, 1_000].map(order).into();
    under_way.deletions = [1, 2, 3].map(Sequence::new).into();
    under_way.deletion_calls = 5;
    under_way.asking = ["a", "b"].map(|name| (submission(name), Revision::default())).into();
    assert_eq!(under_way.calls(), 3 + 5 + 2);
    under_way.begin_count();
    assert_eq!(under_way.calls(), 11);
    for (number, one) in (12..).zip([
        (|it| it.finding = true) as fn(&mut UnderWay),
        |it| it.surveying = true,
        |it| it.listing = true,
        |it| it.deleting_foreign = true,
    ]) {
        one(&mut under_way);
        assert_eq!(under_way.calls(), number);
    }
    under_way.end_count();
    assert_eq!(under_way.calls(), 14);
}
