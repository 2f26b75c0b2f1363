//! One token there and back, to see that all is well (B2, C1), and what a pool of trials leaves alone.

use std::collections::BTreeSet;

use argospool::domain::{
    fault::Reason,
    ids::{OrderId, Sequence},
    order::Attempt,
    pause::Activity,
    pool::{Command, Effect, Policy, Refusal, Reply, UnderWay},
    refill::{Hindrance, Rest},
    token::{DoomCause, Stage},
};

use super::{Desk, usual};

fn trial(desk: &mut Desk) -> Result<Sequence, Refusal> {
    let salt = desk.salt();
    let reply = desk.tell(&Command::Trial { salt, hindrance: None })?;
    let Reply::Minted(sequence) = reply else { panic!("no token was minted: {reply:?}") };
    Ok(sequence)
}

fn effects(desk: &Desk, only: &BTreeSet<Sequence>) -> Vec<Effect> {
    desk.pool.outstanding_of(Some(only), desk.now, &UnderWay::default(), 500)
}

/// B2: it is in the records before anybody can call with it.
#[test]
fn a_trial_is_an_order_of_one_that_becomes_ready_and_is_deleted_at_once() {
    let mut desk = Desk::stocked(usual(), 2);
    let sequence = trial(&mut desk).unwrap();
    assert_eq!(desk.records.orders[&OrderId(sequence)].tokens, 1);
    assert_eq!(desk.registrations(), [OrderId(sequence)]);
    desk.attempt(OrderId(sequence), Attempt::Settled);
    desk.tell(&Command::Discard { sequence }).unwrap();
    assert!(matches!(desk.stage(sequence), Stage::Minted { .. }), "a late copy could revive it");
    desk.pass(3);
    desk.tell(&Command::Discard { sequence }).unwrap();
    assert_eq!(desk.doom(sequence).cause, DoomCause::Discarded);
    assert_eq!(desk.deletions(), [[sequence]], "it waits for no company");
    desk.reopen();
    assert_eq!(desk.doom(sequence).cause, DoomCause::Discarded, "J2");
    desk.deleted(vec![sequence]);
    assert_eq!(desk.pool.census().held(), 2);
}

/// L1, L2.
#[test]
fn a_trial_that_a_caller_was_faster_to_get_stays_with_the_caller() {
    let mut desk = Desk::stocked(usual(), 0);
    let sequence = trial(&mut desk).unwrap();
    desk.attempt(OrderId(sequence), Attempt::Settled);
    desk.pass(3);
    let told = desk.lease("uid:1", None).unwrap();
    assert_eq!(told.sequence, sequence);
    desk.tell(&Command::Discard { sequence }).unwrap();
    assert!(matches!(desk.stage(sequence), Stage::Leased(_)));
}

/// C1.
#[test]
fn nothing_is_tried_where_nothing_may_be_ordered() {
    let full = Policy { cap: 5, reserve: 2, ..usual() };
    let mut desk = Desk::stocked(full, 3);
    assert_eq!(trial(&mut desk), Err(Refusal::NoOrder(Rest::AtCap)));
    assert_eq!(Refusal::NoOrder(Rest::AtCap).reason(), Reason::CapReached);
    let mut desk = Desk::stocked(usual(), 3);
    for activity in [Activity::Refill, Activity::Purge] {
        let (reason, by) = (String::new(), String::new());
        desk.tell(&Command::Pause { activities: vec![activity], reason, by }).unwrap();
        let paused = Refusal::NoOrder(Rest::Hindered(Hindrance::Paused));
        assert_eq!(trial(&mut desk), Err(paused), "{activity:?}");
        desk.tell(&Command::Resume { activities: vec![activity] }).unwrap();
    }
    let salt = desk.salt();
    let hindrance = Some(Hindrance::DiskSpace);
    let refused = desk.tell(&Command::Trial { salt, hindrance }).unwrap_err();
    assert_eq!(refused.reason(), Reason::LedgerUnavailable);
    assert_eq!(desk.pool.census().held(), 3);
    assert!(trial(&mut desk).is_ok());
}

#[test]
fn a_trial_takes_the_place_of_none_that_was_asked_for_beyond_the_target() {
    let target = usual().refill.target();
    let mut desk = Desk::stocked(usual(), target);
    desk.tell(&Command::Extra { tokens: 40 }).unwrap();
    let sequence = trial(&mut desk).unwrap();
    desk.attempt(OrderId(sequence), Attempt::Settled);
    desk.pass(3);
    desk.tell(&Command::Discard { sequence }).unwrap();
    assert_eq!(desk.pool.plan(desk.now, None, 500).need, 40);
}

#[test]
fn a_trial_leaves_no_wish_for_more_behind_where_nobody_had_one() {
    let mut desk = Desk::stocked(usual(), 0);
    trial(&mut desk).unwrap();
    let target = usual().refill.target();
    assert_eq!(desk.pool.plan(desk.now, None, 500).need, target - 1);
}

/// Other orders, however many, other doomed tokens and other questions are left alone.
#[test]
fn where_only_trials_are_wanted_nothing_else_is_called_for() {
    let mut desk = Desk::stocked(usual(), 3);
    for _ in 0..9 {
        desk.mint(2);
    }
    let told = desk.lease("uid:1", None).unwrap();
    desk.tell(&Command::Revoke { sequence: told.sequence, owner: None, request: None }).unwrap();
    desk.tell(&Command::WantListing { wanted: Default::default() }).unwrap();
    desk.sweep();
    let sequence = trial(&mut desk).unwrap();
    let only = BTreeSet::from([sequence]);
    let order = OrderId(sequence);
    assert_eq!(effects(&desk, &only), [Effect::Register { order }]);
    assert_eq!(effects(&desk, &BTreeSet::new()), []);
    desk.attempt(order, Attempt::Settled);
    desk.tell(&Command::Ripen { order }).unwrap();
    assert!(matches!(desk.stage(sequence), Stage::Minted { .. }), "B3: too early");
    desk.wait(3);
    desk.tell(&Command::Ripen { order }).unwrap();
    desk.tell(&Command::Discard { sequence }).unwrap();
    assert_eq!(effects(&desk, &only), [Effect::Delete { sequences: vec![sequence] }]);
    let all = desk.pool.outstanding(desk.now, &UnderWay::default(), 500);
    assert!(all.len() > 3, "{all:?}");
}
