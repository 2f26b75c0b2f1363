//! What ARGOS tells about tokens: news of open leases, late facts, and facts that cannot be.

use std::time::Duration;

use argospool::domain::{
    ids::Sequence,
    invariant::Promise,
    order::Attempt,
    pool::{Command, Event, Heard, News, Policy, Refusal, Reply},
    submission::FactKind,
    time::Timestamp,
    token::{Decision, DoomCause, Ending, Holder, Stage},
};

use super::{Desk, Told, usual};

fn leased() -> (Desk, Told) {
    let mut desk = Desk::stocked(usual(), 5);
    let told = desk.lease("uid:1", Some(1)).unwrap();
    (desk, told)
}

#[test]
fn the_first_use_is_the_earliest_sign_of_it() {
    let (mut desk, told) = leased();
    desk.wait(60);
    let (earlier, now) = (desk.now, desk.after(30));
    desk.now = now;
    assert!(desk.fact_at(told.sequence, FactKind::Started, now));
    assert!(desk.fact_at(told.sequence, FactKind::Started, earlier));
    assert!(!desk.fact_at(told.sequence, FactKind::Started, now), "a later sign is no news");
    let started = desk.pool.lease(told.sequence).unwrap().1.started.unwrap();
    assert_eq!(started.at, earlier);
    assert_eq!(started.entry_ends, earlier.plus(Duration::from_secs(180)));
    assert_eq!(started.session_ends, earlier.plus(Duration::from_secs(1_800)));
}

/// W1.
#[test]
fn a_duplicate_changes_nothing() {
    let (mut desk, told) = leased();
    for kind in [FactKind::Started, FactKind::Decided(Decision::Approved)] {
        assert!(desk.fact(told.sequence, kind));
        let revision = desk.pool.revision();
        assert!(!desk.fact(told.sequence, kind));
        assert_eq!(desk.pool.revision(), revision);
    }
}

/// W1.
#[test]
fn facts_come_to_the_same_line_in_any_order_of_arrival() {
    let facts = [
        (FactKind::Started, 10),
        (FactKind::Decided(Decision::Pending), 20),
        (FactKind::Decided(Decision::Rejected), 30),
        (FactKind::Decided(Decision::Approved), 50),
        (FactKind::Decided(Decision::Approved), 40),
    ];
    let line = |order: &[usize]| {
        let (mut desk, told) = leased();
        let began = desk.now;
        desk.wait(60);
        for at in order {
            let (kind, seconds) = facts[*at];
            desk.fact_at(told.sequence, kind, began.plus(Duration::from_secs(seconds)));
        }
        let line = desk.line(told.sequence);
        (line.started, line.decided(), line.ending)
    };
    let straight = line(&[0, 1, 2, 3, 4]);
    assert_eq!(straight.1.unwrap().decision, Decision::Approved);
    for order in permutations(facts.len()) {
        assert_eq!(line(&order), straight, "{order:?}");
    }
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    let Some(last) = length.checked_sub(1) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for shorter in permutations(last) {
        for at in 0..=last {
            let mut longer = shorter.clone();
            longer.insert(at, last);
            all.push(longer);
        }
    }
    all
}

#[test]
fn a_late_fact_is_written_into_history_and_reopens_nothing() {
    let (mut desk, told) = leased();
    desk.pass(600);
    assert_eq!(desk.line(told.sequence).ending, Ending::Lapsed);
    assert!(desk.fact(told.sequence, FactKind::Decided(Decision::Approved)));
    let line = desk.line(told.sequence);
    assert_eq!(line.decided().unwrap().decision, Decision::Approved);
    assert_eq!(line.ending, Ending::Lapsed);
    assert!(desk.pool.lease(told.sequence).is_none());
}

#[test]
fn a_late_fact_finds_its_line_when_the_token_is_long_gone() {
    let (mut desk, told) = leased();
    desk.fact(told.sequence, FactKind::Decided(Decision::Pending));
    desk.pass(125);
    let sequences = desk.deletions().remove(0);
    desk.deleted(sequences);
    assert!(desk.pool.token(told.sequence).is_none());
    assert!(desk.fact(told.sequence, FactKind::Decided(Decision::Approved)));
    assert_eq!(desk.line(told.sequence).decided().unwrap().decision, Decision::Approved);
}

/// L1, L2: somebody uses a token that was never handed out.
#[test]
fn a_fact_about_a_ready_token_takes_it_out_of_use_and_stops_hand_outs() {
    let mut desk = Desk::stocked(usual(), 2);
    let sequence = Sequence::new(1);
    assert!(desk.fact(sequence, FactKind::Started));
    assert_eq!(desk.pool.lease(sequence).unwrap().1.holder, Holder::Presumed);
    assert_eq!(desk.pool.breaches()[0].promise, Promise::L1);
    assert_eq!(desk.lease("uid:1", None), Err(Refusal::Halted));
    let evidence = desk.pool.breaches()[0].to_string();
    assert!(!evidence.contains(desk.pool.token(sequence).unwrap().id.expose()));
}

#[test]
fn a_decision_about_a_ready_token_closes_it_at_once() {
    let mut desk = Desk::stocked(usual(), 1);
    assert!(desk.fact(Sequence::ZERO, FactKind::Decided(Decision::Approved)));
    assert_eq!(desk.line(Sequence::ZERO).grant, None);
    assert_eq!(desk.doom(Sequence::ZERO).cause, DoomCause::Cancelled);
    assert!(desk.pool.halted());
}

/// B1, L2: what somebody has used is neither registered again nor ready with its order.
#[test]
fn a_fact_about_a_minted_token_takes_it_out_of_its_order() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(3);
    let used = Sequence::new(1);
    assert!(desk.fact(used, FactKind::Started));
    let id = desk.pool.token(used).unwrap().id.clone();
    assert_eq!(desk.pool.ids_of_order(order).len(), 2);
    assert!(!desk.pool.ids_of_order(order).contains(&id));
    desk.attempt(order, Attempt::Settled);
    desk.pass(3);
    assert_eq!(desk.pool.census().ready, 2);
    assert!(matches!(desk.stage(used), Stage::Leased(_)));
}

/// B1: an empty registration is never sent, and nobody waits for it.
#[test]
fn an_order_whose_last_token_was_used_is_over() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(1);
    desk.fact(Sequence::ZERO, FactKind::Started);
    assert_eq!(desk.pool.order(order), None);
    desk.attempt(order, Attempt::Unanswered);
    assert_eq!(desk.registrations(), []);
}

/// B3: its registration may still be on the way when the lease that was presumed closes.
#[test]
fn a_token_that_was_used_while_minted_is_not_deleted_before_a_late_copy_of_its_order() {
    let mut policy = usual();
    policy.decided_grace = Duration::ZERO;
    policy.lapsed_grace = Duration::ZERO;
    let mut desk = Desk::stocked(policy, 0);
    desk.mint(2);
    desk.fact(Sequence::ZERO, FactKind::Decided(Decision::Rejected));
    // The attempt may still be out, and a copy of it late: twice as long as one copy takes.
    assert_eq!(desk.doom(Sequence::ZERO).not_before, desk.after(240));
}

#[test]
fn a_fact_about_a_token_of_no_line_is_no_news() {
    let mut desk = Desk::stocked(usual(), 1);
    assert!(!desk.fact_at(Sequence::new(77), FactKind::Started, Timestamp::ZERO));
    assert!(!desk.pool.halted());
}

/// B2: whatever opens under our key, what was never written down here was never ours.
#[test]
fn an_id_of_a_sequence_that_was_never_minted_is_nobody_s() {
    let desk = Desk::stocked(usual(), 3);
    let (seal, prefix) = (desk.pool.seal(), &desk.pool.policy().prefix);
    let opens =
        |number| desk.pool.sequence_of(&seal.token_id(prefix, Sequence::new(number), [9; 5]));
    assert_eq!(opens(2), Some(Sequence::new(2)));
    assert_eq!(opens(3), None);
}

/// What a fact about this token would change.
fn events_of(desk: &Desk, sequence: Sequence, kind: FactKind, at: Timestamp) -> Vec<Event> {
    let line = desk.records.lines.get(&sequence).cloned().map(Into::into);
    let command = Command::Fact { sequence, fact: crate::world::fact(kind, at), line };
    desk.pool.decide(&command, desk.now).unwrap().events
}

#[test]
fn only_the_first_sign_of_use_is_a_first_use() {
    let (mut desk, told) = leased();
    desk.wait(60);
    let news = |desk: &Desk, at| match &events_of(desk, told.sequence, FactKind::Started, at)[..] {
        [Event::Told { news, .. }] => *news,
        events => panic!("{events:?}"),
    };
    assert_eq!(news(&desk, desk.now), News::FirstUse);
    desk.fact(told.sequence, FactKind::Started);
    assert_eq!(news(&desk, desk.now.minus(Duration::from_secs(10))), News::More);
}

#[test]
fn a_late_sign_of_use_is_no_second_decision() {
    let (mut desk, told) = leased();
    let issued = desk.now;
    desk.wait(60);
    desk.fact(told.sequence, FactKind::Decided(Decision::Pending));
    let decided = |desk: &Desk, kind| match &events_of(desk, told.sequence, kind, issued)[..] {
        [Event::LateFact { decided, .. }] => *decided,
        events => panic!("{events:?}"),
    };
    assert_eq!(decided(&desk, FactKind::Started), None);
    let approved = Decision::Approved;
    assert_eq!(decided(&desk, FactKind::Decided(approved)), Some(approved));
}

/// ARGOS's clock may say anything, also later.
#[test]
fn no_late_sign_of_use_is_earlier_than_the_link() {
    let (mut desk, told) = leased();
    let issued = desk.now;
    desk.pass(600);
    desk.fact_at(told.sequence, FactKind::Started, issued.minus(Duration::from_secs(3_600)));
    assert_eq!(desk.line(told.sequence).started.unwrap().at, issued);
}

#[test]
fn late_facts_tell_since_when_the_link_is_dead_and_the_earliest_of_them_counts() {
    let (mut desk, told) = leased();
    let at = |seconds| told.lease.issued.plus(Duration::from_secs(seconds));
    desk.pass(600);
    for (kind, seconds, dead) in [
        (FactKind::Expires(at(900)), 0, 900),
        (FactKind::Expires(at(950)), 0, 900),
        (FactKind::Started, 590, 770),
        (FactKind::Expires(at(800)), 0, 770),
        (FactKind::Expires(at(760)), 0, 760),
        (FactKind::Exhausted, 600, 600),
    ] {
        desk.fact_at(told.sequence, kind, at(seconds));
        assert_eq!(desk.line(told.sequence).link_dead, Some(at(dead)), "{kind:?}");
    }
}

#[test]
fn a_late_decision_puts_no_deletion_off() {
    let (mut desk, told) = leased();
    desk.pass(600);
    let before = desk.doom(told.sequence).not_before;
    desk.wait(1_000);
    desk.fact(told.sequence, FactKind::Decided(Decision::Approved));
    assert_eq!(desk.doom(told.sequence).not_before, before);
}

#[test]
fn a_late_sign_of_use_brings_no_deletion_forward() {
    let policy = Policy { session_max: Duration::from_secs(300), ..usual() };
    let mut desk = Desk::stocked(policy, 1);
    let (sequence, issued) = (desk.lease("uid:1", None).unwrap().sequence, desk.now);
    desk.pass(600);
    let before = desk.doom(sequence).not_before;
    assert!(desk.fact_at(sequence, FactKind::Started, issued));
    assert_eq!(desk.doom(sequence).not_before, before);
}

#[test]
fn a_late_sign_of_use_that_leaves_the_deletion_where_it_is_says_nothing_about_it() {
    let (mut desk, told) = leased();
    let issued = desk.now;
    desk.pass(600);
    assert_eq!(desk.doom(told.sequence).not_before, issued.plus(desk.pool.policy().session_max));
    let events = events_of(&desk, told.sequence, FactKind::Started, issued);
    assert!(matches!(events[..], [Event::LateFact { .. }]), "{events:?}");
}

/// Its line was cut off; that it was leased stands in its doom.
#[test]
fn the_use_of_a_leased_token_whose_line_is_gone_is_too_late_and_no_breach() {
    let (mut desk, told) = leased();
    desk.release(told.sequence, "uid:1").unwrap();
    desk.records.lines.clear();
    let fact = crate::world::fact(FactKind::Started, desk.now);
    let command = Command::Fact { sequence: told.sequence, fact, line: None };
    assert!(matches!(desk.tell(&command), Ok(Reply::Fact(Heard::TooLate))));
    assert!(!desk.pool.halted());
}

/// Within one commit a line is written once, as it was last.
#[test]
fn facts_that_share_a_commit_leave_one_line_behind() {
    let (mut desk, told) = leased();
    desk.pass(600);
    for kind in [FactKind::Started, FactKind::Decided(Decision::Approved)] {
        let pending = desk.pool.changes().lines.first().cloned();
        let line = pending.or_else(|| desk.records.lines.get(&told.sequence).cloned());
        let fact = crate::world::fact(kind, desk.now);
        let command = Command::Fact { sequence: told.sequence, fact, line: line.map(Into::into) };
        for event in desk.pool.decide(&command, desk.now).unwrap().events {
            desk.pool.apply(&event);
        }
    }
    let [line] = &desk.pool.changes().lines[..] else { panic!("one line") };
    assert!(line.started.is_some() && line.decided().is_some());
}
