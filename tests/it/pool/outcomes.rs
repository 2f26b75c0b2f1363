//! Results without webhooks: which leases are overdue, what ARGOS is asked, and whom its answers bind.

use std::time::Duration;

use argospool::domain::{
    ids::{Sequence, SubmissionId},
    paging::{Cursor, Days},
    pool::{Answer, Bound, Command, Effect, Policy, UnderWay},
    submission::{Fact, FactKind, Marks, Report},
    token::Decision,
};

use super::{Desk, usual};

fn asking() -> Policy {
    let form = usual().form.marked_by(Some("userid"));
    Policy { overdue_after: Some(Duration::from_secs(600)), form, ..usual() }
}

fn stocked() -> Desk {
    Desk::stocked(asking(), 5)
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
    let mut desk = Desk::stocked(Policy { form: usual().form, ..asking() }, 5);
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

#[test]
fn a_question_that_gets_no_answer_is_asked_again_later_and_not_for_ever() {
    let mut desk = stocked();
    desk.tell(&Command::Ask { submission: id("sub-1") }).unwrap();
    let mut asked = 0;
    for _ in 0..1_000 {
        if !questions(&desk).is_empty() {
            asked += 1;
            let answer = Answer::Nothing;
            desk.tell(&Command::Answered { submission: id("sub-1"), answer }).unwrap();
            assert_eq!(questions(&desk), [], "not at once");
        }
        desk.wait(60);
    }
    assert_eq!(asked, 8);
}

#[test]
fn questions_keep_to_the_calls_that_may_be_in_flight_and_no_question_is_out_twice() {
    let mut desk = stocked();
    for number in 0..10 {
        desk.tell(&Command::Ask { submission: id(&format!("sub-{number}")) }).unwrap();
    }
    assert_eq!(questions(&desk).len(), 4);
    let mut under_way = UnderWay::default();
    under_way.asking.insert(id("sub-0"), desk.pool.revision());
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    assert!(!effects.contains(&Effect::Ask { submission: id("sub-0") }));
    let asks = effects.iter().filter(|effect| matches!(effect, Effect::Ask { .. }));
    assert_eq!(asks.count(), 3);
}

/// Two decisions without an order: ARGOS is asked which one stands.
#[test]
fn a_contested_decision_is_asked_about() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    let approved = result(&desk, "sub-1", "").fact;
    let rejected = Fact { kind: FactKind::Decided(Decision::Rejected), ..approved.clone() };
    desk.hear(sequence, approved);
    assert_eq!(questions(&desk), []);
    desk.hear(sequence, rejected.clone());
    assert_eq!(questions(&desk), [id("sub-1")]);
    assert_eq!(desk.line(sequence).decided().unwrap().decision, Decision::Approved);
    desk.hear(sequence, Fact { asked: true, ..rejected });
    let answer = Answer::Ours;
    desk.tell(&Command::Answered { submission: id("sub-1"), answer }).unwrap();
    assert_eq!(questions(&desk), []);
    assert_eq!(desk.line(sequence).decided().unwrap().decision, Decision::Rejected);
}
