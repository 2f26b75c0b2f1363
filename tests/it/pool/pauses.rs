//! What a person can stop, what stops by itself, and how both end.

use argospool::domain::{
    invariant::{Breach, Promise},
    pause::Activity,
    pool::{Command, KeyCheck, Refusal},
    refill::{Hindrance, Rest},
    submission::FactKind,
    token::Decision,
};

use super::{Desk, usual};

fn pause(desk: &mut Desk, activity: Activity) {
    let (reason, by) = ("a trial".to_owned(), "uid:0".to_owned());
    desk.tell(&Command::Pause { activities: vec![activity], reason, by }).unwrap();
}

fn resume(desk: &mut Desk, activities: &[Activity]) {
    desk.tell(&Command::Resume { activities: activities.to_vec() }).unwrap();
}

fn broken(desk: &mut Desk, promise: Promise) {
    let breach = Breach { promise, evidence: "seen".to_owned() };
    desk.tell(&Command::Breached { breaches: vec![breach] }).unwrap();
}

#[test]
fn paused_leasing_refuses_new_leases_and_still_answers_repeated_requests() {
    let mut desk = Desk::stocked(usual(), 5);
    let first = desk.lease("uid:1", Some(1)).unwrap();
    pause(&mut desk, Activity::Leasing);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Paused));
    assert_eq!(desk.lease("uid:1", Some(1)), Ok(first));
    assert_eq!(desk.pool.leasable(), 0);
    resume(&mut desk, &[Activity::Leasing]);
    assert!(desk.lease("uid:1", None).is_ok());
}

#[test]
fn paused_leasing_stops_neither_facts_nor_releases() {
    let mut desk = Desk::stocked(usual(), 5);
    let (one, other) = (desk.lease("uid:1", None).unwrap(), desk.lease("uid:1", None).unwrap());
    pause(&mut desk, Activity::Leasing);
    assert!(desk.fact(one.sequence, FactKind::Decided(Decision::Approved)));
    assert!(desk.release(other.sequence, "uid:1").is_ok());
}

#[test]
fn paused_refill_orders_nothing_and_sends_nothing_that_was_ordered() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(5);
    pause(&mut desk, Activity::Refill);
    assert_eq!(desk.registrations(), []);
    let plan = desk.pool.plan(desk.now, None, 500);
    assert_eq!(plan.rest, Some(Rest::Hindered(Hindrance::Paused)));
    resume(&mut desk, &[Activity::Refill]);
    assert_eq!(desk.registrations(), [order]);
}

#[test]
fn paused_purge_deletes_nothing() {
    let mut desk = Desk::stocked(usual(), 1);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.release(sequence, "uid:1").unwrap();
    desk.wait(5);
    pause(&mut desk, Activity::Purge);
    assert!(desk.deletions().is_empty());
    resume(&mut desk, &[Activity::Purge]);
    assert_eq!(desk.deletions().len(), 1);
}

#[test]
fn a_pause_survives_a_restart_and_keeps_who_paused_first() {
    let mut desk = Desk::stocked(usual(), 5);
    pause(&mut desk, Activity::Leasing);
    let since = desk.now;
    desk.wait(60);
    pause(&mut desk, Activity::Leasing);
    desk.reopen();
    assert_eq!(desk.pool.pause(Activity::Leasing).unwrap().since, since);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Paused));
    resume(&mut desk, &Activity::ALL);
    desk.reopen();
    assert_eq!(desk.pool.pauses().count(), 0);
}

#[test]
fn promises_about_leases_orders_and_the_ledger_stop_hand_outs_and_no_others_do() {
    for promise in Promise::ALL {
        let mut desk = Desk::stocked(usual(), 5);
        broken(&mut desk, *promise);
        let stops = matches!(promise.as_str().as_bytes()[0], b'L' | b'B' | b'J');
        assert_eq!(desk.lease("uid:1", None).is_err(), stops, "{promise:?}");
        assert_eq!(desk.pool.breaches().len(), 1);
    }
}

#[test]
fn a_halt_stops_hand_outs_and_refill_and_ends_when_a_person_resumes_leasing() {
    let mut desk = Desk::stocked(usual(), 5);
    let first = desk.lease("uid:1", Some(1)).unwrap();
    desk.mint(5);
    broken(&mut desk, Promise::L1);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Halted));
    assert_eq!(desk.lease("uid:1", Some(1)), Ok(first.clone()), "a repeat is answered");
    assert_eq!(desk.registrations(), []);
    let plan = desk.pool.plan(desk.now, None, 500);
    assert_eq!(plan.rest, Some(Rest::Hindered(Hindrance::Halted)));
    desk.release(first.sequence, "uid:1").unwrap();
    desk.wait(5);
    assert_eq!(desk.deletions().len(), 1, "purge goes on");
    resume(&mut desk, &[Activity::Refill]);
    assert!(desk.pool.halted(), "to resume something else says nothing about the breach");
    resume(&mut desk, &[Activity::Leasing]);
    assert!(desk.lease("uid:1", None).is_ok());
}

#[test]
fn a_breach_that_stops_nothing_is_forgotten_as_well_when_a_person_resumes_leasing() {
    let mut desk = Desk::stocked(usual(), 1);
    broken(&mut desk, Promise::C1);
    assert_eq!((desk.pool.halted(), desk.pool.breaches().len()), (false, 1));
    resume(&mut desk, &[Activity::Leasing]);
    assert_eq!(desk.pool.breaches(), []);
}

#[test]
fn a_key_of_another_project_stops_purge_as_well_until_a_person_resumes() {
    let mut desk = Desk::stocked(usual(), 5);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.release(sequence, "uid:1").unwrap();
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.counted(5, false);
    for at in 1..=3 {
        let sequence = argospool::domain::ids::Sequence::new(at);
        desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    }
    desk.wait(5);
    assert_eq!(desk.effects(), []);
    resume(&mut desk, &[Activity::Leasing]);
    assert_eq!(desk.pool.key_check(), KeyCheck::Passed);
    assert_eq!(desk.deletions().len(), 1);
}

/// C1: a reload forgets nothing that was counted, and not that ARGOS was full.
#[test]
fn what_argos_holds_of_others_takes_room_after_the_records_were_read_again() {
    let mut desk = Desk::stocked(usual(), 5);
    let order = desk.mint(5);
    desk.attempt(order, argospool::domain::order::Attempt::CapReached);
    desk.counted(40, false);
    let before = desk.pool.clone();
    desk.reopen();
    desk.pool.keep_knowledge_of(&before);
    assert_eq!(desk.pool.foreign(), 35);
    assert!(desk.pool.at_cap(desk.now));
}

/// A reload forgets nothing that stopped hand-outs.
#[test]
fn what_stopped_hand_outs_stops_them_after_the_records_were_read_again() {
    let mut desk = Desk::stocked(usual(), 5);
    broken(&mut desk, Promise::J1);
    let before = desk.pool.clone();
    desk.reopen();
    desk.pool.keep_knowledge_of(&before);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Halted));
}
