//! Who is given what (L1, L2, L3, U1), and how a lease ends by itself.

use std::{collections::BTreeSet, time::Duration};

use argospool::domain::{
    ids::{Owner, Sequence, TokenId},
    order::Attempt,
    pool::{Command, Granted, Refusal, Reply},
    submission::FactKind,
    token::{Decision, DoomCause, Ending, Holder},
};

use super::{Desk, told, usual};

/// L1.
#[test]
fn no_token_is_given_to_two_callers() {
    let mut desk = Desk::stocked(usual(), 500);
    let mut tokens = BTreeSet::new();
    for _ in 0..500 {
        assert!(tokens.insert(desk.lease("uid:1", None).unwrap().token));
    }
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Empty));
}

/// L1.
#[test]
fn tokens_are_given_out_in_the_order_of_their_sequences() {
    let mut desk = Desk::stocked(usual(), 3);
    let given: Vec<_> = (0..3).map(|_| desk.lease("uid:1", None).unwrap().sequence.get()).collect();
    assert_eq!(given, [0, 1, 2]);
    assert_eq!(desk.pool.granted(), Sequence::new(3));
}

/// L1: the state is not ours any more, and going on would be the greater harm.
#[test]
#[should_panic(expected = "L1: a token was leased that was leased")]
fn a_second_lease_of_one_token_ends_the_process() {
    let mut desk = Desk::stocked(usual(), 1);
    let wanted = vec![desk.wish("uid:1", None)];
    let verdict = desk.pool.decide(&Command::Lease { wanted }, desk.now).unwrap();
    desk.lease("uid:2", None).unwrap();
    desk.pool.apply(&verdict.events[0]);
}

/// L1.
#[test]
#[should_panic(expected = "L1: a token was leased that was doomed")]
fn a_lease_of_a_token_on_its_way_out_ends_the_process() {
    let mut desk = Desk::stocked(usual(), 1);
    let wanted = vec![desk.wish("uid:1", None)];
    let verdict = desk.pool.decide(&Command::Lease { wanted }, desk.now).unwrap();
    let told = desk.lease("uid:2", None).unwrap();
    desk.release(told.sequence, "uid:2").unwrap();
    desk.pool.apply(&verdict.events[0]);
}

/// L3.
#[test]
fn a_repeated_request_is_given_the_same_lease_byte_for_byte() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.wait(60);
    assert_eq!(desk.lease("uid:1", Some(7)), Ok(first.clone()));
    desk.reopen();
    assert_eq!(desk.lease("uid:1", Some(7)), Ok(first));
    assert_eq!(desk.pool.census().leased, 1);
}

/// L3.
#[test]
fn the_same_request_id_of_another_owner_is_another_request() {
    let mut desk = Desk::stocked(usual(), 10);
    let one = desk.lease("uid:1", Some(1)).unwrap();
    let other = desk.lease("uid:2", Some(1)).unwrap();
    assert_ne!(one.token, other.token);
}

/// L3.
#[test]
fn a_request_id_that_stands_for_another_wish_is_refused() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.lease("uid:1", Some(1)).unwrap();
    let other = vec![desk.other_wish("uid:1", Some(1), b"another wish")];
    assert_eq!(desk.take(other).unwrap_err(), Refusal::RequestIdReused);
}

/// L3.
#[test]
fn a_repeated_request_whose_lease_has_closed_learns_that_and_gets_no_other_token() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.release(first.sequence, "uid:1").unwrap();
    for again in 0..2 {
        let wanted = vec![desk.wish("uid:1", Some(7))];
        let granted = desk.take(wanted).unwrap();
        assert!(matches!(granted[..], [Granted::Past(at)] if at == first.sequence), "{again}");
        desk.reopen();
    }
}

/// L3: the line of history tells one wish from another, and nothing of a batch is given.
#[test]
fn a_request_id_of_a_closed_lease_that_stands_for_another_wish_is_refused() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.lease("uid:2", None).unwrap();
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.release(first.sequence, "uid:1").unwrap();
    for _ in 0..2 {
        let other = desk.other_wish("uid:1", Some(7), b"another wish");
        assert_eq!(desk.take(vec![other.clone()]).unwrap_err(), Refusal::RequestIdReused);
        let batch = vec![desk.wish("uid:1", Some(8)), other];
        assert_eq!(desk.take(batch).unwrap_err(), Refusal::RequestIdReused);
        assert_eq!(desk.pool.census().leased, 1);
        desk.reopen();
    }
}

/// L3: what is remembered of a closed lease is shorter than the name of its request.
#[test]
fn a_request_whose_name_only_looks_like_that_of_a_closed_lease_is_given_a_lease_of_its_own() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.release(first.sequence, "uid:1").unwrap();
    let mut wish = desk.wish("uid:1", Some(7));
    wish.grant.request.as_mut().unwrap().key.0 ^= 1;
    assert_ne!(told(&desk.take(vec![wish]).unwrap()[0]).sequence, first.sequence);
}

/// L3: a history that was cut is no reason to give a second token.
#[test]
fn a_remembered_request_whose_line_has_gone_is_given_no_other_token() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.release(first.sequence, "uid:1").unwrap();
    desk.records.lines.clear();
    let granted = desk.take(vec![desk.wish("uid:1", Some(7))]).unwrap();
    assert!(matches!(granted[..], [Granted::Past(at)] if at == first.sequence));
}

/// L3.
#[test]
fn a_request_is_remembered_for_as_long_as_promised_after_its_lease_closed_and_then_forgotten() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.release(first.sequence, "uid:1").unwrap();
    let wish = desk.wish("uid:1", Some(7));
    let key = wish.grant.request.unwrap().key;
    desk.wait(86_400);
    desk.tell(&Command::Forget).unwrap();
    let again = desk.take(vec![wish.clone()]).unwrap();
    assert!(matches!(again[..], [Granted::Past(at)] if at == first.sequence));
    desk.wait(1);
    desk.tell(&Command::Forget).unwrap();
    let second = told(&desk.take(vec![wish]).unwrap()[0]);
    assert_ne!(second.sequence, first.sequence);
    // What is not answered any more is let go of within the hour.
    desk.wait(3_600);
    desk.tell(&Command::Forget).unwrap();
    assert_eq!(desk.pool.recalled(key).count(), 0);
}

/// L3.
#[test]
fn the_request_of_an_open_lease_is_never_forgotten() {
    let mut policy = usual();
    policy.request_id_memory = Duration::ZERO;
    let mut desk = Desk::stocked(policy, 10);
    let first = desk.lease("uid:1", Some(7)).unwrap();
    desk.wait(60);
    desk.tell(&Command::Forget).unwrap();
    assert_eq!(desk.lease("uid:1", Some(7)), Ok(first));
}

/// L3.
#[test]
fn a_batch_that_names_one_request_twice_is_given_one_lease_for_it() {
    let mut desk = Desk::stocked(usual(), 10);
    let wanted = vec![desk.wish("uid:1", Some(1)), desk.wish("uid:1", Some(1))];
    let granted = desk.take(wanted).unwrap();
    assert_eq!(told(&granted[0]), told(&granted[1]));
    assert_eq!(desk.pool.census().leased, 1);
    let contradiction = vec![desk.wish("uid:1", Some(2)), desk.other_wish("uid:1", Some(2), b"x")];
    assert_eq!(desk.take(contradiction).unwrap_err(), Refusal::RequestIdReused);
}

#[test]
fn a_batch_gets_all_of_its_leases_or_none() {
    let mut desk = Desk::stocked(usual(), 2);
    let three: Vec<_> = (0..3).map(|number| desk.wish("uid:1", Some(number))).collect();
    assert_eq!(desk.take(three.clone()).unwrap_err(), Refusal::Empty);
    assert_eq!(desk.pool.census().ready, 2);
    assert_eq!(desk.take(three[..2].to_vec()).unwrap().len(), 2);
}

/// U1.
#[test]
fn every_url_carries_its_token_as_argos_accepts_it() {
    let mut desk = Desk::stocked(usual(), 50);
    for _ in 0..50 {
        let told = desk.lease("uid:1", None).unwrap();
        assert_eq!(TokenId::parse(told.token.expose()), Ok(told.token.clone()));
        assert_eq!(desk.pool.sequence_of(&told.token), Some(told.sequence));
        let Holder::Caller { url, .. } = &told.lease.holder else { panic!("nobody holds it") };
        assert_eq!(
            **url,
            format!("https://form.example?pid=pid_test&token={}", told.token.expose())
        );
    }
}

#[test]
fn an_unused_lease_lapses_at_its_deadline_and_its_token_goes_after_the_grace() {
    let mut desk = Desk::stocked(usual(), 1);
    let told = desk.lease("uid:1", None).unwrap();
    desk.pass(599);
    assert!(desk.pool.lease(told.sequence).is_some());
    desk.pass(1);
    assert_eq!(desk.line(told.sequence).ending, Ending::Lapsed);
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(1_200));
}

#[test]
fn a_started_lease_outlives_its_deadline_and_expires_without_a_decision() {
    let mut desk = Desk::stocked(usual(), 1);
    let told = desk.lease("uid:1", None).unwrap();
    desk.wait(599);
    assert!(desk.fact(told.sequence, FactKind::Started));
    desk.pass(1_799);
    assert!(desk.pool.lease(told.sequence).is_some());
    desk.pass(1);
    assert_eq!(desk.line(told.sequence).ending, Ending::Expired);
    assert_eq!(desk.doom(told.sequence).not_before, desk.now);
}

#[test]
fn a_decided_lease_closes_at_once_and_its_token_goes_after_a_short_grace() {
    let mut desk = Desk::stocked(usual(), 1);
    let told = desk.lease("uid:1", None).unwrap();
    assert!(desk.fact(told.sequence, FactKind::Decided(Decision::Pending)));
    let line = desk.line(told.sequence);
    assert_eq!(line.ending, Ending::Decided);
    assert_eq!(line.decided().unwrap().decision, Decision::Pending);
    assert!(line.started.is_some(), "a decision is a sign of use");
    assert_eq!(desk.doom(told.sequence).not_before, desk.after(120));
}

/// L2.
#[test]
fn a_released_token_is_doomed_at_once_and_never_given_to_anybody_again() {
    let mut desk = Desk::stocked(usual(), 2);
    let told = desk.lease("uid:1", None).unwrap();
    let Ok(Reply::Closed(line)) = desk.release(told.sequence, "uid:1") else { panic!() };
    assert_eq!(line.ending, Ending::Released);
    assert_eq!(desk.doom(told.sequence).cause, DoomCause::LeaseClosed);
    assert_eq!(desk.doom(told.sequence).not_before, desk.now);
    assert_ne!(desk.lease("uid:1", None).unwrap().token, told.token);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Empty));
}

#[test]
fn a_lease_that_was_started_is_not_taken_back() {
    let mut desk = Desk::stocked(usual(), 1);
    let told = desk.lease("uid:1", None).unwrap();
    desk.fact(told.sequence, FactKind::Started);
    assert_eq!(desk.release(told.sequence, "uid:1").unwrap_err(), Refusal::LeaseStarted);
}

#[test]
fn only_its_holder_or_an_admin_gives_a_lease_back() {
    let mut desk = Desk::stocked(usual(), 1);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    assert_eq!(desk.release(sequence, "uid:2").unwrap_err(), Refusal::NotOpen);
    let admin = Command::Release { sequence, owner: None, request: None };
    assert!(desk.tell(&admin).is_ok());
    assert_eq!(desk.tell(&admin).unwrap_err(), Refusal::NotOpen);
}

/// L3.
#[test]
fn a_repeated_release_answers_the_lease_it_closed() {
    let mut desk = Desk::stocked(usual(), 2);
    let told = desk.lease("uid:1", Some(1)).unwrap();
    let owner = Owner::parse("uid:1").unwrap();
    let request = Some(desk.request(&owner, 2, b"release"));
    let release = Command::Release { sequence: told.sequence, owner: Some(owner.clone()), request };
    assert!(matches!(desk.tell(&release), Ok(Reply::Closed(_))));
    desk.reopen();
    assert!(matches!(desk.tell(&release), Ok(Reply::Past(at)) if at == told.sequence));
    // The id of the wish stands for the wish.
    let reused = Some(desk.request(&owner, 1, b"release"));
    let release = Command::Release { sequence: told.sequence, owner: None, request: reused };
    assert_eq!(desk.tell(&release).unwrap_err(), Refusal::RequestIdReused);
    // The id of a release stands for that release.
    let request = Some(desk.request(&owner, 2, b"another release"));
    let other = Command::Release { sequence: told.sequence, owner: Some(owner), request };
    assert_eq!(desk.tell(&other).unwrap_err(), Refusal::RequestIdReused);
}

#[test]
fn a_token_with_too_little_age_left_is_passed_over_and_a_younger_one_is_leased() {
    let mut policy = usual();
    policy.unused_age_max = Some(Duration::from_secs(1_000));
    let mut desk = Desk::stocked(policy, 1);
    desk.wait(500);
    desk.stock(1);
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(1));
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Empty));
    let mut short = desk.wish("uid:1", None);
    short.ttl = Duration::from_secs(60);
    assert_eq!(told(&desk.take(vec![short]).unwrap()[0]).sequence, Sequence::ZERO);
}

#[test]
fn a_token_is_rotated_out_when_it_has_waited_for_too_long() {
    let mut policy = usual();
    policy.unused_age_max = Some(Duration::from_secs(1_000));
    let mut desk = Desk::stocked(policy, 2);
    desk.wait(500);
    desk.stock(1);
    desk.pass(494);
    assert_eq!(desk.pool.census().ready, 3);
    desk.pass(1);
    assert_eq!(desk.pool.census().ready, 1);
    assert_eq!(desk.doom(Sequence::ZERO).cause, DoomCause::Aged);
    assert_eq!(desk.pool.next_deadline(desk.now), Some(desk.after(5)), "the purge lingers");
}

/// L1: the ledger may be an older past, whose ready tokens were shown since.
#[test]
fn a_ledger_that_may_be_older_than_what_it_showed_takes_those_tokens_out_of_use() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.tell(&Command::Suspect { below: Sequence::new(4) }).unwrap();
    let census = desk.pool.census();
    assert_eq!((census.leased, census.ready), (4, 6));
    let lease = desk.pool.lease(Sequence::ZERO).unwrap().1.clone();
    assert_eq!(lease.holder, Holder::Presumed);
    assert_eq!(lease.deadline, desk.after(86_400));
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(4));
    assert_eq!(desk.release(Sequence::ZERO, "uid:1").unwrap_err(), Refusal::NotOpen);
    desk.pass(86_400);
    assert_eq!(desk.line(Sequence::ZERO).grant, None);
}

/// L1, B1: what is on its way in an older past was ready, and leased, in the younger one.
#[test]
fn a_ledger_that_may_be_older_neither_repeats_nor_hands_out_what_was_on_its_way() {
    let mut desk = Desk::stocked(usual(), 2);
    let (whole, part) = (desk.mint(3), desk.mint(3));
    desk.reopen();
    desk.tell(&Command::Suspect { below: Sequence::new(6) }).unwrap();
    assert_eq!(desk.pool.census().leased, 6);
    assert_eq!(desk.pool.order(whole), None, "nothing of it is left to register");
    assert_eq!(desk.pool.ids_of_order(part).len(), 2, "the rest was never shown");
    desk.attempt(part, Attempt::Settled);
    desk.pass(120);
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(6));
}

/// A flood of tokens under suspicion is worked off in groups of bounded size.
#[test]
fn a_large_suspicion_is_taken_in_steps() {
    let mut desk = Desk::stocked(usual(), 1_200);
    let below = Sequence::new(1_200);
    let mut steps = 0;
    while desk.pool.census().ready > 0 {
        desk.tell(&Command::Suspect { below }).unwrap();
        steps += 1;
        assert!(steps <= 3, "{:?}", desk.pool.census());
    }
    assert_eq!(desk.pool.decide(&Command::Suspect { below }, desk.now).unwrap().events, []);
}

/// B2: what ARGOS may know of is not forgotten half way.
#[test]
fn a_suspicion_that_takes_two_steps_forgets_no_token_of_an_order() {
    let mut desk = Desk::new(usual());
    desk.mint(500);
    desk.mint(100);
    let below = Sequence::new(600);
    desk.tell(&Command::Suspect { below }).unwrap();
    desk.tell(&Command::Suspect { below }).unwrap();
    assert_eq!((desk.pool.census().leased, desk.pool.orders().count()), (600, 0));
}
