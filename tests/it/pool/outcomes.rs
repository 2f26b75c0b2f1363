//! Results without webhooks: which leases are overdue, what ARGOS is asked, and whom its answers bind.

mod questions;

use std::{sync::Arc, time::Duration};

use argospool::domain::{
    ids::{Sequence, SubmissionId},
    liveform::Parameter,
    paging::{Cursor, Days},
    pool::{Answer, Bound, Command, Effect, Policy, UnderWay},
    submission::{Fact, FactKind, Marks, Report},
    token::Decision,
};

use super::{Desk, told, usual};
use crate::links::form;

fn asking() -> Policy {
    Policy { overdue_after: Some(Duration::from_secs(600)), ..usual() }
}

fn unmarked() -> Desk {
    Desk::stocked(asking(), 5)
}

/// Its links carry marks.
fn stocked() -> Desk {
    let mut desk = unmarked();
    desk.blank.form = Arc::new(form().marked_by(Some(Parameter::Userid)));
    desk
}

fn id(text: &str) -> SubmissionId {
    SubmissionId::parse(text).unwrap()
}

/// A result that names no token.
fn result(desk: &Desk, submission: &str, mark: &str) -> Report {
    let fact = Fact {
        kind: FactKind::Decided(Decision::Approved),
        at: desk.now,
        submission: Some(id(submission)),
        updated: None,
        asked: false,
    };
    let marks = if mark.is_empty() { Marks::default() } else { Marks(vec![mark.into()]) };
    Report { token: None, marks, fact }
}

fn mark(desk: &Desk, sequence: Sequence) -> String {
    desk.pool.seal().mark(sequence)
}

fn surveys(desk: &Desk) -> Vec<(Days, Option<Cursor>)> {
    let survey = |effect| {
        if let Effect::Survey { days, cursor } = effect { Some((days, cursor)) } else { None }
    };
    desk.effects().into_iter().filter_map(survey).collect()
}

fn questions(desk: &Desk) -> Vec<SubmissionId> {
    let ask =
        |effect| if let Effect::Ask { submission } = effect { Some(submission) } else { None };
    desk.effects().into_iter().filter_map(ask).collect()
}

fn started(desk: &mut Desk, sequence: Sequence, submission: &str) {
    let report = result(desk, submission, "");
    desk.hear(sequence, Fact { kind: FactKind::Started, ..report.fact });
}

#[test]
fn a_lease_of_which_nothing_was_heard_is_looked_for_in_the_list_and_then_less_often() {
    let mut desk = stocked();
    let issued = desk.now;
    desk.lease("uid:1", None).unwrap();
    desk.pass(599);
    assert_eq!(surveys(&desk), []);
    desk.pass(1);
    let days = Days { first: issued, last: desk.now };
    assert_eq!(surveys(&desk), [(days, None)]);
    let further = Cursor { id: "sub-9".to_owned(), time: "t".to_owned() };
    desk.tell(&Command::Surveyed { next: Some(further.clone()) }).unwrap();
    assert_eq!(surveys(&desk), [(days, Some(further))]);
    desk.tell(&Command::Surveyed { next: None }).unwrap();
    assert_eq!(surveys(&desk), []);
    // It lapsed meanwhile: one more look when its token is gone, and no other.
    desk.pass(1_799);
    assert_eq!(surveys(&desk), []);
    desk.pass(1);
    assert_eq!(surveys(&desk).len(), 1);
    desk.tell(&Command::Surveyed { next: None }).unwrap();
    desk.pass(80_000);
    assert_eq!(surveys(&desk), []);
}

#[test]
fn a_started_lease_without_a_decision_is_looked_for_until_it_is_forgotten() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    let mut looks = 0;
    for _ in 0..200 {
        desk.pass(600);
        if !surveys(&desk).is_empty() {
            desk.tell(&Command::Surveyed { next: None }).unwrap();
            looks += 1;
        }
    }
    assert!((5..20).contains(&looks), "{looks}");
    assert_eq!(desk.pool.unfinished(), 0);
    assert_eq!(desk.pool.bind(&result(&desk, "sub-1", "")), Bound::Ask(id("sub-1")), "forgotten");
    desk.fact(sequence, FactKind::Decided(Decision::Pending));
    assert_eq!(desk.pool.unfinished(), 0, "and it stays so");
}

#[test]
fn a_lease_that_was_decided_is_not_looked_for() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.fact(sequence, FactKind::Decided(Decision::Approved));
    let given_back = desk.lease("uid:1", None).unwrap().sequence;
    desk.release(given_back, "uid:1").unwrap();
    desk.pass(100_000);
    assert_eq!(surveys(&desk), []);
}

#[test]
fn what_was_unfinished_is_looked_for_again_after_a_restart() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    desk.pass(1_800);
    desk.reopen();
    assert_eq!(desk.pool.unfinished(), 1);
    assert_eq!(desk.pool.bind(&result(&desk, "sub-1", "")), Bound::To(sequence));
    desk.pass(600);
    assert_eq!(surveys(&desk).len(), 1);
}

#[test]
fn a_list_that_goes_round_is_given_up_and_looked_through_again_later() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    desk.pass(600);
    let cursor = Some(Cursor { id: "a".to_owned(), time: "t".to_owned() });
    desk.tell(&Command::Surveyed { next: cursor.clone() }).unwrap();
    desk.tell(&Command::Surveyed { next: cursor }).unwrap();
    assert_eq!(surveys(&desk), []);
    desk.pass(300);
    assert_eq!(surveys(&desk).len(), 1, "what was overdue is overdue still");
}

#[test]
fn a_result_without_a_token_finds_its_lease_by_the_submission_that_was_seen_before() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    assert_eq!(desk.pool.bind(&result(&desk, "sub-1", "")), Bound::To(sequence));
    desk.reopen();
    assert_eq!(desk.pool.bind(&result(&desk, "sub-1", "")), Bound::To(sequence), "S1");
    desk.pass(1_800);
    assert_eq!(desk.pool.bind(&result(&desk, "sub-1", "")), Bound::To(sequence), "also closed");
}

/// Whoever holds a link can change what it carries in the clear.
#[test]
fn a_mark_binds_nothing_by_itself_and_is_worth_a_question() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    let forged = result(&desk, "sub-1", &mark(&desk, sequence));
    assert_eq!(desk.pool.bind(&forged), Bound::Ask(id("sub-1")));
}

#[test]
fn the_token_counts_before_everything_else_that_is_named() {
    let mut desk = stocked();
    let one = desk.lease("uid:1", None).unwrap();
    let two = desk.lease("uid:1", None).unwrap();
    started(&mut desk, one.sequence, "sub-1");
    let report =
        Report { token: Some(two.token), ..result(&desk, "sub-1", &mark(&desk, one.sequence)) };
    assert_eq!(desk.pool.bind(&report), Bound::To(two.sequence));
}

#[test]
fn of_the_list_only_what_may_be_ours_is_looked_at() {
    let mut desk = stocked();
    let one = desk.lease("uid:1", None).unwrap().sequence;
    let two = desk.lease("uid:1", None).unwrap().sequence;
    desk.fact(two, FactKind::Decided(Decision::Approved));
    let listed = |submission: &str, mark: &str| {
        desk.pool.bind_listed(&result(&desk, submission, mark), desk.pool.has_strays())
    };
    assert_eq!(listed("sub-1", &mark(&desk, one)), Bound::Perhaps(one, id("sub-1")));
    assert_eq!(listed("sub-2", &mark(&desk, two)), Bound::Perhaps(two, id("sub-2")));
    assert_eq!(listed("sub-3", "u-17"), Bound::Foreign, "every lease that waits has a mark");
}

#[test]
fn while_a_lease_without_a_mark_is_unheard_of_every_stranger_is_asked_about_once() {
    let mut desk = unmarked();
    desk.lease("uid:1", None).unwrap();
    assert!(desk.pool.has_strays());
    let stranger = result(&desk, "sub-3", "u-17");
    assert_eq!(desk.pool.bind_listed(&stranger, true), Bound::Ask(id("sub-3")));
    desk.tell(&Command::Ask { submission: id("sub-3") }).unwrap();
    assert_eq!(questions(&desk), [id("sub-3")]);
    let answer = Answer::Stranger;
    desk.tell(&Command::Answered { submission: id("sub-3"), answer }).unwrap();
    assert_eq!(questions(&desk), []);
    assert_eq!(desk.pool.bind_listed(&stranger, true), Bound::Foreign);
}

fn walked(desk: &mut Desk) {
    assert_eq!(surveys(desk).len(), 1, "it is looked for");
    desk.tell(&Command::Surveyed { next: None }).unwrap();
}

fn long_lease(desk: &mut Desk) -> Sequence {
    let mut wish = desk.wish("uid:1", None);
    wish.ttl = Duration::from_secs(80_000);
    told(&desk.take(vec![wish]).unwrap()[0]).sequence
}

/// The seconds, in steps of this many, at which somebody looks.
fn looks(desk: &mut Desk, step: u64, until: u64) -> Vec<u64> {
    let mut looks = Vec::new();
    for passed in 1..=until / step {
        desk.pass(step);
        if !surveys(desk).is_empty() {
            walked(desk);
            looks.push(passed * step);
        }
    }
    looks
}

#[test]
fn an_open_lease_is_looked_for_after_twice_the_time_each_time_also_across_a_restart() {
    let mut desk = stocked();
    long_lease(&mut desk);
    assert_eq!(desk.pool.next_deadline(desk.now), Some(desk.after(600)));
    assert_eq!(looks(&mut desk, 300, 3_000), [600, 1_200, 2_400]);
    desk.reopen();
    assert_eq!(looks(&mut desk, 300, 8_100), [4_800 - 3_000, 9_600 - 3_000]);
}

#[test]
fn a_lease_that_is_decided_after_it_was_looked_for_is_not_looked_for_again() {
    let mut desk = stocked();
    let sequence = long_lease(&mut desk);
    assert_eq!(looks(&mut desk, 300, 2_400), [600, 1_200, 2_400]);
    desk.fact(sequence, FactKind::Decided(Decision::Approved));
    assert_eq!(looks(&mut desk, 300, 20_000), [0; 0]);
}

#[test]
fn an_expired_lease_is_looked_for_at_once_and_then_less_and_less_often() {
    let mut desk =
        Desk::stocked(Policy { overdue_after: Some(Duration::from_secs(3_000)), ..asking() }, 5);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    let closed = 1_800;
    let looks: Vec<_> = looks(&mut desk, 300, 60_000)
        .iter()
        .map(|at| i64::try_from(*at).unwrap() - closed)
        .collect();
    assert_eq!(looks, [0, 3_000, 6_000, 12_000, 24_000, 48_000]);
}

#[test]
fn a_revoked_lease_that_was_in_use_is_looked_for_sooner_than_one_that_may_be() {
    for (used, after) in [(true, 600), (false, 1_800)] {
        let mut desk = stocked();
        let sequence = desk.lease("uid:1", None).unwrap().sequence;
        if used {
            started(&mut desk, sequence, "sub-1");
        }
        desk.tell(&Command::Revoke { sequence, owner: None, request: None }).unwrap();
        assert_eq!(looks(&mut desk, 300, 2_100)[0], after, "used: {used}");
    }
}

#[test]
fn leases_that_are_overdue_one_after_another_are_looked_for_together() {
    let mut desk = stocked();
    long_lease(&mut desk);
    desk.wait(10);
    long_lease(&mut desk);
    assert_eq!(looks(&mut desk, 10, 1_190), [590, 890, 1_190]);
}

#[test]
fn a_look_goes_through_all_days_of_the_leases_that_are_overdue_and_is_not_begun_anew_meanwhile() {
    let mut desk = stocked();
    let issued = desk.now;
    long_lease(&mut desk);
    desk.pass(590);
    long_lease(&mut desk);
    desk.pass(10);
    walked(&mut desk);
    // Due at 1190 and at 1200, the younger one first.
    desk.pass(600);
    let days = Days { first: issued, last: desk.now };
    assert_eq!(surveys(&desk), [(days, None)]);
    let next = Some(Cursor { id: "sub-9".to_owned(), time: "t".to_owned() });
    desk.tell(&Command::Surveyed { next: next.clone() }).unwrap();
    desk.pass(900);
    assert_eq!(surveys(&desk), [(days, next)]);
    let mut under_way = UnderWay::default();
    under_way.surveying = true;
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Survey { .. })));
}

/// A token that was given back unused, and was used all the same.
#[test]
fn after_a_restart_a_released_lease_is_looked_for_only_if_it_was_used() {
    for used in [false, true] {
        let mut desk = stocked();
        let sequence = desk.lease("uid:1", None).unwrap().sequence;
        desk.release(sequence, "uid:1").unwrap();
        if used {
            started(&mut desk, sequence, "sub-1");
        }
        desk.reopen();
        assert_eq!(desk.pool.unfinished(), u32::from(used));
    }
}

#[test]
fn what_lapsed_long_ago_without_a_sign_of_use_is_not_looked_for_after_a_restart() {
    for (passed, unfinished) in [(2_399, 1), (2_400, 0)] {
        let mut desk = stocked();
        desk.lease("uid:1", None).unwrap();
        desk.pass(600);
        desk.wait(passed);
        desk.reopen();
        assert_eq!(desk.pool.unfinished(), unfinished, "after {passed} seconds");
    }
}

#[test]
fn a_decision_that_comes_late_ends_the_search() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    started(&mut desk, sequence, "sub-1");
    desk.pass(1_800);
    assert_eq!(desk.pool.unfinished(), 1);
    let report = result(&desk, "sub-1", "");
    desk.hear(sequence, report.fact.clone());
    assert_eq!(desk.pool.unfinished(), 0);
    assert_eq!(desk.pool.bind(&report), Bound::Ask(id("sub-1")), "its name is let go");
}

/// Without marks of ours every entry of the list would be asked about again.
#[test]
fn a_submission_of_a_finished_lease_without_a_mark_is_not_asked_about() {
    let mut desk = unmarked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    let report = result(&desk, "sub-1", "");
    desk.hear(sequence, report.fact.clone());
    assert_eq!(desk.pool.bind(&report), Bound::Foreign);
}

#[test]
fn a_mark_that_this_ledger_never_gave_out_is_a_stranger_s() {
    let mut desk = stocked();
    desk.lease("uid:1", None).unwrap();
    let report = result(&desk, "sub-1", &mark(&desk, desk.pool.next()));
    assert_eq!(desk.pool.bind_listed(&report, false), Bound::Foreign);
}

#[test]
fn a_lease_without_a_mark_is_a_stray_until_it_is_heard_of_also_when_it_has_closed() {
    let mut desk = unmarked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.fact(sequence, FactKind::Started);
    assert!(!desk.pool.has_strays());
    desk.lease("uid:1", None).unwrap();
    desk.pass(600);
    assert_eq!(desk.pool.census().leased, 1);
    assert!(desk.pool.has_strays());
}

#[test]
fn a_closed_lease_that_was_heard_of_or_has_a_mark_is_no_stray() {
    let mut heard_of = unmarked();
    let sequence = heard_of.lease("uid:1", None).unwrap().sequence;
    started(&mut heard_of, sequence, "sub-1");
    let mut marked = stocked();
    marked.lease("uid:1", None).unwrap();
    for mut desk in [heard_of, marked] {
        desk.tell(&Command::Revoke { sequence, owner: None, request: None }).unwrap();
        assert_eq!(desk.pool.unfinished(), 1);
        assert!(!desk.pool.has_strays());
    }
}
