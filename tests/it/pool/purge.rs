//! How doomed tokens leave ARGOS (C2), in batches and with patience (R2).

use std::time::Duration;

use argospool::domain::{
    ids::Sequence,
    order::Attempt,
    pool::{Command, Effect, Policy, UnderWay},
};

use super::{Desk, usual};

/// A pool with this many tokens due for deletion at this moment.
fn doomed(tokens: u32) -> Desk {
    let policy = Policy { lapsed_grace: Duration::ZERO, ..usual() };
    let mut desk = Desk::stocked(policy, tokens);
    let wanted = vec![desk.wish("uid:1", None); tokens as usize];
    desk.take(wanted).unwrap();
    desk.pass(600);
    desk
}

/// C2.
#[test]
fn a_doomed_token_is_deleted_and_then_forgotten() {
    let mut desk = doomed(2);
    desk.wait(5);
    let sequences = desk.deletions().remove(0);
    assert_eq!(desk.pool.ids(&sequences).len(), 2);
    desk.deleted(sequences);
    assert_eq!(desk.pool.census().held(), 0);
    assert!(desk.records.tokens.is_empty());
}

/// R2.
#[test]
fn a_deletion_that_is_not_full_waits_a_little_for_company() {
    let mut desk = doomed(499);
    assert!(desk.deletions().is_empty());
    assert_eq!(desk.pool.next_deadline(desk.now), Some(desk.after(5)));
    desk.wait(5);
    assert_eq!(desk.deletions()[0].len(), 499);
}

/// R2.
#[test]
fn a_full_deletion_leaves_at_once_and_the_rest_waits() {
    let desk = doomed(501);
    let deletions = desk.deletions();
    assert_eq!(deletions.iter().map(Vec::len).collect::<Vec<_>>(), [500]);
    let small = desk.pool.outstanding(desk.now, &UnderWay::default(), 200);
    assert_eq!(small.len(), 2, "as many as one call may carry: {small:?}");
}

#[test]
fn a_deletion_under_way_is_not_made_a_second_time() {
    let mut desk = doomed(3);
    desk.wait(5);
    let mut under_way = UnderWay::default();
    under_way.deletions.extend(desk.deletions().remove(0));
    under_way.deletion_calls = 1;
    assert_eq!(desk.pool.outstanding(desk.now, &under_way, 500), []);
}

#[test]
fn nothing_is_deleted_before_its_time() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.lease("uid:1", None).unwrap();
    desk.pass(600);
    desk.wait(1_199);
    assert!(desk.deletions().is_empty());
    desk.wait(1 + 5);
    assert_eq!(desk.deletions(), [vec![Sequence::ZERO]]);
}

/// C2.
#[test]
fn somebody_wakes_when_a_doomed_token_may_be_deleted() {
    let mut desk = Desk::stocked(usual(), 1);
    desk.lease("uid:1", None).unwrap();
    desk.pass(600);
    assert_eq!(desk.pool.next_deadline(desk.now), Some(desk.after(1_200)));
}

/// C2.
#[test]
fn a_deletion_that_failed_is_tried_again_later_and_later() {
    let mut desk = doomed(1);
    let sequences = vec![Sequence::ZERO];
    let mut waits = Vec::new();
    for _ in 0..8 {
        desk.not_deleted(sequences.clone());
        waits.push(desk.doom(Sequence::ZERO).not_before.since(desk.now).as_secs());
        desk.wait(600);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
    assert_eq!(desk.pool.stuck(), 1);
}

/// C2: one id that ARGOS will not delete stops no other.
#[test]
fn a_token_that_failed_three_times_is_deleted_alone() {
    let mut desk = doomed(3);
    let stuck = vec![Sequence::new(1)];
    for _ in 0..3 {
        desk.not_deleted(stuck.clone());
    }
    desk.wait(60);
    let others = vec![Sequence::ZERO, Sequence::new(2)];
    let mut deletions = desk.deletions();
    deletions.sort();
    assert_eq!(deletions, [others, stuck]);
    assert_eq!(desk.pool.stuck(), 0, "three failures are not yet a reason to call a person");
}

/// R2: a batch that failed as a whole costs a handful of calls, and not one for each of its tokens.
#[test]
fn what_failed_together_is_deleted_in_ever_smaller_company() {
    let mut desk = doomed(500);
    desk.wait(5);
    let mut sizes = Vec::new();
    for _ in 0..7 {
        let first = desk.deletions().remove(0);
        sizes.push(first.len());
        for sequences in desk.deletions() {
            if sequences == first {
                desk.not_deleted(sequences);
            } else {
                desk.deleted(sequences);
            }
        }
        desk.wait(600);
    }
    assert_eq!(sizes, [500, 500, 500, 125, 31, 7, 1]);
}

/// C2: however long ARGOS was away, everything is deleted soon after, in full calls, and nobody is
/// told that tokens are stuck.
#[test]
fn an_outage_is_held_against_no_token() {
    let mut desk = doomed(500);
    desk.wait(5);
    for _ in 0..20 {
        let sequences = desk.deletions().remove(0);
        desk.tell(&Command::DeletionLost { sequences }).unwrap();
        assert_eq!(desk.doom(Sequence::ZERO).not_before, desk.after(10));
        desk.wait(600);
    }
    assert_eq!(desk.deletions().len(), 1);
    assert_eq!(desk.pool.stuck(), 0);
}

#[test]
fn deletions_keep_to_the_calls_that_may_be_in_flight() {
    let mut desk = doomed(2_600);
    desk.wait(5);
    assert_eq!(desk.deletions().len(), 4);
    let mut busy = UnderWay::default();
    busy.deletion_calls = 4;
    assert_eq!(desk.pool.outstanding(desk.now, &busy, 500), []);
}

/// A deletion that is reported late finds nothing to delete.
/// R2: tokens that failed before are no way around it.
#[test]
fn deletions_of_what_failed_before_keep_to_the_calls_that_may_be_in_flight() {
    let mut desk = doomed(6);
    desk.wait(5);
    for _ in 0..6 {
        desk.not_deleted(desk.deletions().concat());
        desk.wait(600);
    }
    assert_eq!(desk.deletions().concat().len(), 4, "each goes alone");
}

/// R2.
#[test]
fn with_one_call_left_either_the_new_or_the_failed_are_deleted() {
    let (old, new) = (Sequence::ZERO, Sequence::new(1));
    let mut one_left = UnderWay::default();
    one_left.deletion_calls = 3;
    // Whoever failed three times waits for company, and whoever failed six times for nobody.
    for (failures, chosen) in [(3, new), (6, old)] {
        let policy = Policy { lapsed_grace: Duration::ZERO, ..usual() };
        let mut desk = Desk::stocked(policy, 2);
        desk.lease("uid:1", None).unwrap();
        desk.pass(600);
        for _ in 1..failures {
            desk.wait(600);
            desk.not_deleted(vec![old]);
        }
        desk.lease("uid:1", None).unwrap();
        desk.pass(600);
        desk.not_deleted(vec![old]);
        desk.wait(600);
        let effects = desk.pool.outstanding(desk.now, &one_left, 500);
        let deletes = |effect| {
            if let Effect::Delete { sequences } = effect { Some(sequences) } else { None }
        };
        let deletions: Vec<_> = effects.into_iter().filter_map(deletes).collect();
        assert_eq!(deletions, [vec![chosen]], "after {failures} failures");
    }
}

#[test]
fn a_deletion_is_heard_of_twice_without_harm() {
    let mut desk = doomed(1);
    let sequences = vec![Sequence::ZERO];
    desk.deleted(sequences.clone());
    desk.deleted(sequences.clone());
    desk.not_deleted(sequences);
    assert_eq!(desk.pool.census().held(), 0);
}

/// C1: until ARGOS has deleted them they hold their slots.
#[test]
fn what_was_given_up_holds_its_slots_until_it_is_deleted() {
    let mut desk = Desk::stocked(usual(), 0);
    let order = desk.mint(500);
    desk.attempt(order, Attempt::CapReached);
    desk.counted(0, false);
    assert_eq!(desk.pool.census().held(), 500);
    desk.wait(5);
    let effects = desk.effects();
    let [Effect::Delete { sequences }] = &effects[..] else { panic!("{effects:?}") };
    desk.deleted(sequences.clone());
    assert_eq!(desk.pool.census().held(), 0);
}
