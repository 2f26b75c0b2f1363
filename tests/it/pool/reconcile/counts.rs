//! What ARGOS counts against what it should hold: a fall that leases do not explain holds back what may be
//! missing, and asks for a listing.

use std::time::Duration;

use argospool::domain::{
    ids::Sequence,
    pool::{Command, Effect},
    submission::FactKind,
};

use crate::pool::{Desk, usual};

/// A count that fell without a reason.
#[test]
fn when_argos_counts_fewer_than_it_should_older_tokens_wait_for_a_listing() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    desk.wait(60);
    desk.stock(10);
    desk.counted(90, false);
    assert_eq!(desk.pool.leasable(), 10, "those that became ready since the last good count");
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(100));
    desk.sweep();
    assert!(desk.lists());
    let lost: Vec<u64> = (0..20).collect();
    let tokens = desk.ids_but(&lost);
    desk.page(tokens);
    assert_eq!(desk.pool.leasable(), 89, "what was listed is leased again");
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(20));
}

#[test]
fn a_count_is_believed_to_be_right_again_when_it_is() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    desk.counted(50, false);
    assert_eq!(desk.pool.leasable(), 0);
    desk.counted(100, false);
    assert_eq!(desk.pool.leasable(), 100);
}

/// A used token may be deleted over there by itself.
#[test]
fn used_up_leases_explain_a_falling_count() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    for _ in 0..20 {
        desk.lease("uid:1", None).unwrap();
    }
    desk.counted(80, false);
    assert_eq!(desk.pool.leasable(), 80, "nothing is held back");
    desk.sweep();
    assert!(desk.lists(), "and it is looked at");
}

#[test]
fn one_token_less_holds_nothing_back_and_is_looked_at() {
    let mut desk = Desk::stocked(usual(), 200);
    desk.counted(200, false);
    desk.counted(199, false);
    assert_eq!(desk.pool.leasable(), 200);
    desk.sweep();
    assert!(desk.lists());
}

/// Before the key was seen to be the right one a count says nothing about what is missing.
#[test]
fn a_count_made_with_a_key_that_was_not_checked_holds_nothing_back() {
    let mut desk = Desk::new(usual());
    desk.stock(100);
    desk.counted(0, false);
    desk.sweep();
    assert!(!desk.lists());
    assert_eq!(desk.pool.leasable(), 100);
}

/// Each of them may have been forgotten over there for a reason of its own.
#[test]
fn a_lease_that_was_used_or_expires_or_was_never_known_is_not_counted_on() {
    let lease = |desk: &mut Desk| desk.lease("uid:1", None).unwrap().sequence;
    let reasons: [&dyn Fn(&mut Desk); 3] = [
        &|desk| {
            let sequence = lease(desk);
            desk.fact(sequence, FactKind::Started);
        },
        &|desk| {
            let sequence = lease(desk);
            desk.fact(sequence, FactKind::Expires(desk.after(100)));
        },
        &|desk| {
            desk.tell(&Command::Suspect { below: Sequence::new(1) }).unwrap();
        },
    ];
    for (number, reason) in reasons.iter().enumerate() {
        let mut desk = Desk::stocked(usual(), 100);
        desk.counted(100, false);
        reason(&mut desk);
        desk.counted(99, false);
        assert!(!desk.pool.reconciling(), "reason {number}");
    }
}

#[test]
fn what_is_known_to_be_missing_is_not_counted_on_and_hides_no_foreign_ids() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    desk.list_without(&[0, 1]);
    desk.counted(98, false);
    assert_eq!((desk.pool.leasable(), desk.pool.foreign()), (98, 0));
    desk.counted(98 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
    // Nor when they are on their way out: nothing is there to be deleted.
    desk.list_again_without(&[0, 1]);
    assert_eq!(desk.pool.census().doomed, 2);
    desk.counted(98 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
}

#[test]
fn a_lease_that_has_vanished_is_not_missed_by_a_count() {
    let mut desk = Desk::stocked(usual(), 100);
    let mut wish = desk.wish("uid:1", None);
    wish.ttl = Duration::from_secs(3_600);
    desk.take(vec![wish]).unwrap();
    desk.list_without(&[0]);
    desk.list_again_without(&[0]);
    desk.pass(600);
    desk.counted(99, false);
    assert!(!desk.pool.reconciling());
}

#[test]
fn a_missing_token_that_we_deleted_ourselves_is_missed_no_more() {
    let mut desk = Desk::stocked(usual(), 100);
    let leased = desk.lease("uid:1", None).unwrap().sequence;
    desk.list_without(&[leased.get()]);
    desk.release(leased, "uid:1").unwrap();
    desk.deleted(vec![leased]);
    desk.counted(99, false);
    assert_eq!(desk.pool.foreign(), 0);
}

#[test]
fn ids_of_others_that_a_listing_told_apart_hide_no_fall() {
    let mut desk = Desk::stocked(usual(), 100);
    let mut tokens = desk.ids_but(&[]);
    tokens.extend((0..10).map(|at| super::foreign::id(&format!("other-{at:04}"))));
    desk.want_listing(false);
    desk.page(tokens);
    desk.counted(110, false);
    assert_eq!(desk.pool.leasable(), 100);
    for _ in 0..2 {
        desk.counted(100, false);
        assert_eq!(desk.pool.leasable(), 0, "ten of ours are missing");
    }
}

#[test]
fn the_same_low_count_once_more_is_no_good_one() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    for _ in 0..2 {
        desk.counted(90, false);
        assert_eq!(desk.pool.leasable(), 0);
    }
}

#[test]
fn a_fall_asks_for_no_listing_while_one_is_on_or_was_just_made() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.want_listing(false);
    desk.counted(90, false);
    let tokens = desk.ids_but(&[]);
    desk.page(tokens);
    assert!(!desk.pool.reconciling(), "one is enough");
    desk.counted(90, false);
    assert!(!desk.pool.reconciling(), "one was just made");
    desk.pass(600);
    desk.counted(90, false);
    assert!(desk.pool.reconciling());
}

/// Nobody knows yet which tokens were there before.
#[test]
fn a_low_first_count_after_a_start_holds_nothing_back() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.reopen();
    desk.tell(&Command::KeyChecked { sequence: Sequence::ZERO, found: Some(true) }).unwrap();
    desk.counted(50, false);
    assert_eq!(desk.pool.leasable(), 100);
    desk.sweep();
    assert!(desk.lists(), "and it is looked at");
}

#[test]
fn a_listing_lets_go_of_what_it_shows_page_by_page_and_at_its_end_of_all_it_does_not_miss() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.counted(100, false);
    desk.counted(90, false);
    desk.sweep();
    let ids = desk.ids_but(&[]);
    desk.page_of_many(ids[..60].to_vec());
    assert_eq!(desk.pool.leasable(), 60);
    // A count holds them back again, after they were seen.
    desk.counted(80, false);
    assert_eq!(desk.pool.leasable(), 0);
    desk.page(ids[60..90].to_vec());
    assert_eq!(desk.pool.leasable(), 90);
}

#[test]
fn a_listing_that_is_void_or_only_looks_lets_nothing_go() {
    for (dry_run, unreadable) in [(true, 0), (false, 1)] {
        let mut desk = Desk::stocked(usual(), 100);
        desk.counted(100, false);
        desk.want_listing(dry_run);
        desk.counted(90, false);
        let listed = Command::Listed { tokens: Vec::new(), unreadable, next: None };
        desk.tell(&listed).unwrap();
        assert_eq!(desk.pool.census().held_back, 100, "dry run: {dry_run}");
    }
}

#[test]
fn deletions_that_were_never_in_doubt_ask_for_no_count() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.counted(13, false);
    let (certain, doubtful) =
        (desk.lease("uid:1", None).unwrap().sequence, desk.lease("uid:1", None).unwrap().sequence);
    for sequence in [certain, doubtful] {
        desk.release(sequence, "uid:1").unwrap();
    }
    desk.deleted(vec![certain]);
    assert!(!desk.effects().contains(&Effect::Count));
    desk.not_deleted(vec![doubtful]);
    desk.counted(8, false);
    desk.deleted(vec![doubtful]);
    assert!(!desk.effects().contains(&Effect::Count), "nothing was taken for foreign");
}
