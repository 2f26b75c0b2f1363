//! A stop whose ledger will not be there for the next process (hard case 14).

use std::{collections::BTreeSet, time::Duration};

use argospool::domain::{
    birth::Birth,
    ids::{OrderId, Sequence},
    order::{Attempt, OrderState},
    pause::Activity,
    pool::{Command, Effect, Policy, UnderWay},
    submission::FactKind,
    token::{DoomCause, Stage},
};

use super::{Desk, usual};

fn ephemeral() -> Policy {
    Policy { ephemeral: true, ..usual() }
}

impl Desk {
    fn clear_but(&mut self, sent: &[OrderId]) {
        let sent = sent.iter().copied().collect::<BTreeSet<_>>();
        self.tell(&Command::Clear { sent }).unwrap();
    }

    fn clear(&mut self) {
        self.clear_but(&[]);
    }

    fn clearances(&self) -> Vec<Vec<Sequence>> {
        let effects = self.pool.clearances(self.now, &UnderWay::default(), 500);
        let deletes = effects.into_iter().map(|effect| {
            let Effect::Delete { sequences } = effect else {
                panic!("a stop asks for {effect:?}");
            };
            sequences
        });
        deletes.collect()
    }

    fn clears_within(&self, seconds: u64) -> bool {
        self.pool.clears_by(self.after(seconds))
    }
}

/// U1.
#[test]
fn the_ids_of_an_ephemeral_ledger_tell_the_hour_in_which_they_were_ordered() {
    let mut desk = Desk::stocked(ephemeral(), 1);
    let first = Birth::at(desk.now);
    desk.wait(3_600);
    desk.stock(1);
    let policy = desk.pool.policy().clone();
    for (sequence, birth) in [(0, first), (1, Birth::at(desk.now))] {
        let id = &desk.pool.token(Sequence::new(sequence)).unwrap().id;
        assert_eq!(Birth::read(id, &policy.prefix, desk.now), Some(birth));
        assert_eq!(desk.pool.sequence_of(id), Some(Sequence::new(sequence)));
        assert_eq!(id.expose().len(), policy.token_bytes());
    }
}

#[test]
fn the_ids_of_a_persistent_ledger_tell_no_hour() {
    let desk = Desk::stocked(usual(), 1);
    let id = &desk.pool.token(Sequence::ZERO).unwrap().id;
    assert_eq!(Birth::read(id, &desk.pool.policy().prefix, desk.now), None);
    assert_eq!(id.expose().len(), desk.pool.policy().token_bytes());
}

#[test]
fn what_is_ready_is_deleted_at_once_and_what_a_caller_holds_stays() {
    let mut desk = Desk::stocked(ephemeral(), 10);
    let held = desk.lease("uid:1", None).unwrap().sequence;
    desk.clear();
    assert!(matches!(desk.stage(held), Stage::Leased(_)));
    let census = desk.pool.census();
    assert_eq!((census.ready, census.leased, census.doomed), (0, 1, 9));
    assert_eq!(desk.doom(Sequence::new(9)).cause, DoomCause::Discarded);
    let rest: Vec<_> = (1..10).map(Sequence::new).collect();
    assert_eq!(desk.clearances(), std::slice::from_ref(&rest), "no call waits for company");
    desk.deleted(rest);
    assert!(!desk.clears_within(25), "nothing is left to do");
}

#[test]
fn what_a_listing_did_not_show_is_cleared_as_well() {
    let mut desk = Desk::stocked(ephemeral(), 100);
    let gone = desk.pool.token(Sequence::ZERO).unwrap().id.clone();
    let others = desk.pool.tokens_from(Sequence::ZERO).map(|token| token.id.clone());
    let tokens: Vec<_> = others.filter(|id| *id != gone).collect();
    desk.tell(&Command::WantListing { wanted: Default::default() }).unwrap();
    desk.sweep();
    desk.tell(&Command::Listed { tokens, unreadable: 0, next: None }).unwrap();
    assert_eq!(desk.pool.census().held_back, 1);
    desk.clear();
    assert_eq!((desk.pool.census().ready, desk.pool.census().doomed), (0, 100));
}

#[test]
fn an_order_of_which_nobody_heard_is_forgotten_and_one_that_is_out_is_waited_for() {
    let mut desk = Desk::new(ephemeral());
    let (unsent, sent) = (desk.mint(5), desk.mint(7));
    desk.clear_but(&[sent]);
    assert!(desk.pool.order(unsent).is_none() && desk.pool.token(unsent.0).is_none());
    assert_eq!(desk.pool.census().minted, 7);
    assert!(!desk.clears_within(25), "its call is out, and its end is news");
    desk.attempt(sent, Attempt::Settled);
    desk.clear();
    assert!(matches!(desk.order_state(sent), OrderState::Settled { .. }), "B3");
    assert!(desk.clears_within(25) && desk.clearances().is_empty());
    desk.pass(3);
    assert!(desk.pool.uncleared());
    desk.clear();
    assert_eq!(desk.clearances().concat().len(), 7);
}

/// B3.
#[test]
fn an_order_in_doubt_is_given_up_and_not_deleted_before_no_late_copy_of_it_can_arrive() {
    let mut desk = Desk::new(ephemeral());
    let order = desk.mint(5);
    desk.attempt(order, Attempt::Unanswered);
    desk.clear();
    assert_eq!(desk.doom(order.0).cause, DoomCause::Cancelled);
    assert!(!desk.clears_within(25) && desk.clearances().is_empty());
    assert!(desk.clears_within(120), "a stop that may take so long clears it too");
    desk.wait(120);
    assert_eq!(desk.clearances().concat().len(), 5);
}

#[test]
fn what_was_closed_a_moment_ago_keeps_its_grace() {
    let mut desk = Desk::stocked(ephemeral(), 3);
    let [decided, released] = [1, 2].map(|_| desk.lease("uid:1", None).unwrap().sequence);
    desk.fact(decided, FactKind::Decided(argospool::domain::token::Decision::Approved));
    desk.release(released, "uid:1").unwrap();
    desk.clear();
    let due = desk.clearances().concat();
    assert!(due.contains(&released) && !due.contains(&decided));
    desk.deleted(due);
    assert!(!desk.clears_within(25) && desk.clears_within(120));
}

#[test]
fn a_stock_that_may_not_be_deleted_stays_a_stock() {
    let mut paused = Desk::stocked(ephemeral(), 10);
    let (activities, reason, by) = (vec![Activity::Purge], String::new(), String::new());
    paused.tell(&Command::Pause { activities, reason, by }).unwrap();
    let mut of_another_key = Desk::new(ephemeral());
    of_another_key.stock(10);
    for sequence in 0..10 {
        let sequence = Sequence::new(sequence);
        of_another_key.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    }
    for mut desk in [paused, of_another_key] {
        let unsent = desk.mint(5);
        desk.clear();
        assert_eq!(desk.pool.census().ready, 10);
        assert!(desk.pool.order(unsent).is_some());
        assert!(desk.clearances().is_empty() && !desk.clears_within(25));
        assert!(!desk.pool.uncleared());
    }
}

#[test]
fn a_large_stock_is_cleared_in_steps_and_in_full_calls() {
    let mut desk = Desk::stocked(ephemeral(), 1_200);
    desk.clear();
    assert!(desk.pool.uncleared() && desk.pool.census().doomed == 512);
    while desk.pool.uncleared() {
        desk.clear();
    }
    let calls: Vec<_> = desk.clearances().iter().map(Vec::len).collect();
    assert_eq!(calls, [500, 500, 200]);
    // As many at once as there may be, and those that are out are not made again.
    let mut under_way = UnderWay::default();
    under_way.deletion_calls = 3;
    under_way.deletions = (0..500).map(Sequence::new).collect();
    let one = desk.pool.clearances(desk.now, &under_way, 500);
    assert_eq!(one, [Effect::Delete { sequences: (500..1_000).map(Sequence::new).collect() }]);
}

/// A deletion that failed is repeated while there is time.
#[test]
fn a_deletion_that_failed_is_repeated_in_time() {
    let mut desk = Desk::stocked(ephemeral(), 10);
    desk.clear();
    let call = desk.clearances().concat();
    desk.not_deleted(call.clone());
    assert!(desk.clearances().is_empty() && desk.clears_within(25));
    assert!(!desk.pool.clears_by(desk.now.plus(Duration::from_secs(9))));
    desk.wait(10);
    assert_eq!(desk.clearances().concat(), call);
}
