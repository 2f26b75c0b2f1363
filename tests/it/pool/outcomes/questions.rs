//! Questions about single submissions: who is asked about, how often, and what an answer ends.

use argospool::domain::{
    pool::{Answer, Command, Effect, UnderWay},
    submission::{Fact, FactKind},
    token::Decision,
};

use super::{id, questions, result, stocked};

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

#[test]
fn the_wait_for_an_answer_doubles_and_no_second_wish_shortens_it() {
    let mut desk = stocked();
    let ask = Command::Ask { submission: id("sub-1") };
    desk.tell(&ask).unwrap();
    let mut waits = Vec::new();
    while waits.len() < 7 {
        let answer = Answer::Nothing;
        desk.tell(&Command::Answered { submission: id("sub-1"), answer }).unwrap();
        desk.tell(&ask).unwrap();
        let before = desk.now;
        while questions(&desk).is_empty() {
            desk.wait(30);
        }
        waits.push(desk.now.since(before).as_secs());
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_840]);
}

#[test]
fn no_more_questions_wait_than_can_be_asked_in_time() {
    let mut desk = stocked();
    for number in 0..4_100 {
        desk.tell(&Command::Ask { submission: id(&format!("sub-{number}")) }).unwrap();
    }
    assert_eq!(desk.pool.questions(), 4_096);
}

#[test]
fn what_is_contested_is_asked_about_also_after_a_restart() {
    let mut desk = stocked();
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    let approved = result(&desk, "sub-1", "").fact;
    let rejected = Fact { kind: FactKind::Decided(Decision::Rejected), ..approved.clone() };
    desk.hear(sequence, approved);
    desk.hear(sequence, rejected);
    desk.reopen();
    assert_eq!(questions(&desk), [id("sub-1")]);
}
