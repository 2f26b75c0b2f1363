//! What ARGOS lists against what we hold: nothing is believed before two listings agree, and nothing is
//! doomed in numbers before a person looked.

mod counts;
mod foreign;

use std::time::Duration;

use argospool::domain::{
    ids::{Sequence, TokenId},
    order::Attempt,
    paging::Cursor,
    pool::{
        Command, Effect, KeyCheck, ListingWanted, Reconciliation, Refusal, SuspectedCause, UnderWay,
    },
    submission::FactKind,
    token::{DoomCause, Stage},
};

use super::{Desk, told, usual};
use crate::world::policy;

impl Desk {
    fn want_listing(&mut self, dry_run: bool) {
        self.tell(&Command::WantListing { wanted: ListingWanted { dry_run } }).unwrap();
        self.sweep();
    }

    /// One page, the last one.
    fn page(&mut self, tokens: Vec<TokenId>) {
        self.tell(&Command::Listed { tokens, unreadable: 0, next: None }).unwrap();
        self.sweep();
    }

    /// A whole listing without these.
    fn list_without(&mut self, missing: &[u64]) {
        self.want_listing(false);
        let tokens = self.ids_but(missing);
        self.page(tokens);
    }

    /// The second of a pair, which is due by itself.
    fn list_again_without(&mut self, missing: &[u64]) {
        self.pass(600);
        assert!(self.lists(), "the second listing is due");
        let tokens = self.ids_but(missing);
        self.page(tokens);
    }

    /// One page, and another one follows.
    fn page_of_many(&mut self, tokens: Vec<TokenId>) -> Option<Cursor> {
        let next = Some(Cursor { id: "c".to_owned(), time: "t".to_owned() });
        self.tell(&Command::Listed { tokens, unreadable: 0, next: next.clone() }).unwrap();
        next
    }

    fn lists(&self) -> bool {
        self.effects().iter().any(|effect| matches!(effect, Effect::List { .. }))
    }

    fn ids_but(&self, missing: &[u64]) -> Vec<TokenId> {
        let all = self.pool.tokens_from(Sequence::ZERO);
        all.filter(|token| !missing.contains(&token.sequence.get()))
            .map(|token| token.id.clone())
            .collect()
    }

    fn report(&self) -> &Reconciliation {
        self.pool.reconciliation().unwrap()
    }
}

#[test]
fn what_is_missing_once_is_held_back_and_nothing_else() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[0, 1]);
    let census = desk.pool.census();
    assert_eq!((census.ready, census.held_back, census.doomed), (100, 2, 0));
    assert_eq!(desk.pool.leasable(), 98);
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::new(2));
    // It came back: absence was no evidence.
    desk.list_again_without(&[]);
    assert_eq!(desk.pool.census().held_back, 0);
    assert_eq!(desk.lease("uid:1", None).unwrap().sequence, Sequence::ZERO);
}

/// L2.
#[test]
fn a_leased_token_on_a_list_stays_off_the_shelf() {
    let mut desk = Desk::stocked(usual(), 10);
    let first = desk.lease("uid:1", None).unwrap();
    desk.list_without(&[]);
    assert_eq!(desk.pool.census().ready, 9);
    assert_ne!(desk.lease("uid:2", None).unwrap().token, first.token);
}

#[test]
fn what_is_missing_in_two_listings_some_time_apart_has_vanished() {
    let mut desk = Desk::stocked(usual(), 100);
    let mut wish = desk.wish("uid:1", None);
    wish.ttl = Duration::from_secs(3_600);
    let leased = told(&desk.take(vec![wish]).unwrap()[0]);
    desk.list_without(&[0, 1]);
    desk.list_again_without(&[0, 1]);
    assert_eq!(desk.doom(Sequence::new(1)).cause, DoomCause::Vanished);
    let lease = desk.pool.lease(leased.sequence).unwrap().1;
    let lease_vanished = lease.vanished;
    assert_eq!(lease.vanished, Some(desk.now), "no ending by itself");
    assert_eq!(lease.link_dead(), Some(desk.now));
    let report = desk.report();
    assert_eq!((report.vanished_ready, report.vanished_leased, report.missing), (1, 1, 0));
    assert_eq!(report.cause, Some(SuspectedCause::DeletedElsewhere));
    desk.pass(600);
    assert!(!desk.lists(), "a third listing is not asked for");
    desk.list_without(&[0]);
    assert_eq!(desk.report().missing, 0, "what is written down is not missed again");
    desk.pass(3_000);
    assert_eq!(desk.line(leased.sequence).vanished, lease_vanished);
}

#[test]
fn two_listings_close_together_prove_nothing() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[1]);
    assert!(!desk.lists(), "the second one waits");
    desk.want_listing(false);
    assert!(desk.lists(), "an operator's wish does not");
    let tokens = desk.ids_but(&[1]);
    desk.page(tokens);
    assert_eq!(desk.pool.census().doomed, 0);
    assert_eq!(desk.pool.census().held_back, 1);
}

#[test]
fn different_tokens_missing_in_two_listings_have_not_vanished() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[1]);
    desk.list_again_without(&[2]);
    assert_eq!(desk.pool.census().doomed, 0);
    assert_eq!(desk.pool.census().held_back, 1);
    desk.list_again_without(&[2]);
    assert_eq!(desk.doom(Sequence::new(2)).cause, DoomCause::Vanished);
}

#[test]
fn a_listing_judges_only_what_was_there_before_its_first_page_and_is_still() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(false);
    desk.stock(5);
    let given_back = desk.lease("uid:1", None).unwrap().sequence;
    desk.release(given_back, "uid:1").unwrap();
    let tokens = desk.ids_but(&[0, 10, 11, 12, 13, 14]);
    desk.page(tokens);
    assert_eq!(desk.report().missing, 0);
}

#[test]
fn what_became_ready_during_a_listing_is_not_missed_by_it() {
    let mut desk = Desk::stocked(usual(), 10);
    let order = desk.mint(5);
    desk.want_listing(false);
    desk.attempt(order, Attempt::Settled);
    desk.pass(3);
    assert_eq!(desk.pool.census().ready, 15);
    let tokens = desk.ids_but(&[10, 11, 12, 13, 14]);
    desk.page(tokens);
    assert_eq!(desk.report().missing, 0);
}

#[test]
fn a_listing_that_is_wanted_during_another_begins_after_it() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(false);
    let ids = desk.ids_but(&[]);
    let next = desk.page_of_many(ids[..5].to_vec());
    desk.want_listing(false);
    assert!(desk.effects().contains(&Effect::List { cursor: next }), "it goes on");
    desk.page(ids[5..].to_vec());
    assert_eq!(desk.report().missing, 0);
    assert!(desk.effects().contains(&Effect::List { cursor: None }), "and another one begins");
}

#[test]
fn somebody_wakes_for_the_second_listing() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.list_without(&[0]);
    assert_eq!(desk.pool.next_deadline(desk.now), Some(desk.after(600)));
}

#[test]
fn a_listing_is_walked_page_by_page_and_goes_on_where_it_failed() {
    let mut desk = Desk::stocked(usual(), 10);
    assert!(!desk.pool.reconciling());
    desk.want_listing(false);
    assert!(desk.pool.reconciling(), "it is due");
    let next = Some(Cursor { id: "c".to_owned(), time: "t".to_owned() });
    assert!(desk.effects().contains(&Effect::List { cursor: None }));
    let ids = desk.ids_but(&[]);
    let first = Command::Listed { tokens: ids[..5].to_vec(), unreadable: 0, next: next.clone() };
    desk.tell(&first).unwrap();
    assert!(desk.pool.reconciling(), "it is under way");
    assert!(desk.effects().contains(&Effect::List { cursor: next }));
    let mut under_way = UnderWay::default();
    under_way.listing = true;
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::List { .. })));
    desk.page(ids[5..].to_vec());
    assert_eq!((desk.report().listed, desk.report().missing), (10, 0));
    assert!(!desk.pool.reconciling());
}

#[test]
fn a_listing_that_repeats_itself_or_holds_what_is_no_id_is_void() {
    let next = Some(Cursor { id: "c".to_owned(), time: "t".to_owned() });
    for (unreadable, second) in [([0, 0], next.clone()), ([1, 0], None), ([0, 1], None)] {
        let mut desk = Desk::stocked(usual(), 10);
        desk.want_listing(false);
        for (unreadable, next) in unreadable.into_iter().zip([next.clone(), second]) {
            let tokens = desk.ids_but(&[0, 1, 2]);
            desk.tell(&Command::Listed { tokens, unreadable, next }).unwrap();
        }
        assert!(desk.report().void);
        assert_eq!(desk.pool.census().held_back, 0);
        assert!(!desk.lists());
    }
}

#[test]
fn a_listing_that_does_not_end_is_void() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(false);
    let mut pages = 0;
    while desk.lists() && pages <= 1_001 {
        pages += 1;
        let next = Some(Cursor { id: format!("c-{pages}"), time: "t".to_owned() });
        desk.tell(&Command::Listed { tokens: Vec::new(), unreadable: 0, next }).unwrap();
    }
    assert!((1_000..=1_001).contains(&pages), "{pages}");
    assert!(desk.report().void);
}

#[test]
fn a_suspected_cause_has_a_name_that_stays() {
    let named =
        [SuspectedCause::VolumeDeletion, SuspectedCause::Emptied, SuspectedCause::DeletedElsewhere];
    let names = ["volume_deletion", "emptied", "deleted_elsewhere"];
    assert_eq!(named.map(SuspectedCause::as_str), names);
}

#[test]
fn a_void_listing_leaves_what_the_last_one_found_as_it_was() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[1]);
    desk.pass(600);
    let unreadable = Command::Listed { tokens: Vec::new(), unreadable: 1, next: None };
    desk.tell(&unreadable).unwrap();
    assert!(desk.report().void);
    assert_eq!(desk.pool.census().held_back, 1);
    desk.list_without(&[1]);
    assert_eq!(desk.doom(Sequence::new(1)).cause, DoomCause::Vanished);
}

/// The brake.
#[test]
fn more_than_a_small_part_of_the_stock_is_not_doomed_before_a_person_looked() {
    let mut desk = Desk::stocked(usual(), 400);
    let lost: Vec<u64> = (0..21).collect();
    desk.list_without(&lost);
    desk.list_again_without(&lost);
    assert!(desk.report().braked);
    assert_eq!(desk.report().cause, Some(SuspectedCause::VolumeDeletion));
    assert_eq!((desk.pool.braked(), desk.pool.census().doomed), (21, 0));
    assert_eq!(desk.pool.census().held_back, 21, "what is held back stays held back");
    desk.list_without(&lost);
    assert_eq!(desk.pool.braked(), 21, "another listing does not lift the brake");
    desk.tell(&Command::AcceptLoss).unwrap();
    desk.sweep();
    assert_eq!((desk.pool.braked(), desk.pool.census().doomed), (0, 21));
}

#[test]
fn a_small_loss_within_the_brake_is_doomed_without_a_person() {
    let mut desk = Desk::stocked(usual(), 400);
    let lost: Vec<u64> = (0..20).collect();
    desk.list_without(&lost);
    desk.list_again_without(&lost);
    assert!(!desk.report().braked);
    assert_eq!(desk.pool.census().doomed, 20);
}

/// The brake is a part of the stock or a number, whichever is more.
#[test]
fn a_large_stock_may_lose_more_and_a_small_one_always_some() {
    for (stock, part) in [(1_000, 50), (100, 20)] {
        for (lost, braked) in [(part, false), (part + 1, true)] {
            let mut desk = Desk::stocked(usual(), stock);
            let lost: Vec<u64> = (0..lost).collect();
            desk.list_without(&lost);
            desk.list_again_without(&lost);
            assert_eq!(desk.report().braked, braked, "{} of {stock}", lost.len());
        }
    }
}

#[test]
fn the_brake_holds_nothing_that_somebody_was_given() {
    let mut desk = Desk::stocked(usual(), 100);
    let mut wish = desk.wish("uid:1", None);
    wish.ttl = Duration::from_secs(3_600);
    let leased = told(&desk.take(vec![wish]).unwrap()[0]).sequence;
    let lost: Vec<u64> = (0..40).collect();
    desk.list_without(&lost);
    desk.list_again_without(&lost);
    assert_eq!((desk.report().braked, desk.pool.braked()), (true, 39));
    assert_eq!(desk.pool.lease(leased).unwrap().1.vanished, Some(desk.now));
}

#[test]
fn a_loss_that_was_accepted_during_a_listing_stays_accepted() {
    let mut desk = Desk::stocked(usual(), 400);
    let lost: Vec<u64> = (0..30).collect();
    desk.list_without(&lost);
    desk.list_again_without(&lost);
    desk.want_listing(false);
    desk.tell(&Command::AcceptLoss).unwrap();
    let tokens = desk.ids_but(&lost);
    desk.page(tokens);
    assert_eq!((desk.pool.braked(), desk.pool.census().doomed), (0, 30));
}

/// R1: what is held back is neither leasable nor part of the position.
#[test]
fn what_is_held_back_is_ordered_anew() {
    let mut desk = Desk::stocked(usual(), 500);
    assert_eq!(desk.pool.plan(desk.now, None, 500).orders, 0);
    let lost: Vec<u64> = (0..450).collect();
    desk.list_without(&lost);
    assert_eq!(desk.pool.plan(desk.now, None, 500).orders, 1);
}

/// Calls that are out together overtake each other, so the oldest at ARGOS need not be ours.
#[test]
fn the_cause_of_a_loss_is_named_in_whatever_order_registrations_arrived() {
    let cause_of = |stock: u32, lost: Vec<u64>| {
        let mut desk = Desk::stocked(policy(stock, 100), stock);
        desk.list_without(&lost);
        desk.report().cause
    };
    let cause = |lost: Vec<u64>| cause_of(5_000, lost);
    let volume = Some(SuspectedCause::VolumeDeletion);
    assert_eq!(cause((0..1_000).collect()), volume);
    assert_eq!(cause((500..1_000).chain(1_500..2_000).collect()), volume);
    let elsewhere = Some(SuspectedCause::DeletedElsewhere);
    assert_eq!(cause((0..5_000).step_by(5).collect()), elsewhere);
    assert_eq!(cause((2_000..3_000).collect()), elsewhere);
    assert_eq!(cause((4_000..5_000).collect()), elsewhere);
    // More lie between them than can have been overtaken.
    assert_eq!(cause_of(10_000, (0..5_000).step_by(500).collect()), elsewhere);
}

#[test]
fn an_emptied_project_is_named_as_what_it_is() {
    let mut desk = Desk::stocked(usual(), 30);
    desk.want_listing(false);
    desk.page(Vec::new());
    assert_eq!(desk.report().cause, Some(SuspectedCause::Emptied));
    assert_eq!(desk.lease("uid:1", None).unwrap_err(), Refusal::Empty);
}

#[test]
fn what_a_loss_looks_like_is_named_only_when_it_is_clear() {
    let cause = |lost: &[u64]| {
        let mut desk = Desk::stocked(usual(), 100);
        desk.list_without(lost);
        desk.report().cause.unwrap()
    };
    let oldest: Vec<u64> = (0..10).collect();
    let scattered: Vec<u64> = (0..30).map(|at| 3 * at).collect();
    assert_eq!(cause(&oldest), SuspectedCause::VolumeDeletion);
    assert_eq!(cause(&scattered), SuspectedCause::DeletedElsewhere);
    assert_eq!(cause(&[99]), SuspectedCause::DeletedElsewhere, "the youngest, and no other");
    // Of the oldest sixty 55 went, and of the oldest fifty-nine 52.
    let nine_of_ten: Vec<u64> = (0..60).filter(|at| at % 12 != 5).collect();
    let fewer: Vec<u64> = (0..60).filter(|at| at % 8 != 3).collect();
    assert_eq!(cause(&nine_of_ten), SuspectedCause::VolumeDeletion);
    assert_eq!(cause(&fewer), SuspectedCause::DeletedElsewhere);
}

#[test]
fn a_dry_run_is_not_one_of_the_two_listings_that_must_agree() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.want_listing(true);
    let tokens = desk.ids_but(&[0]);
    desk.page(tokens);
    desk.pass(600);
    desk.list_without(&[0]);
    assert_eq!((desk.report().missing, desk.pool.census().doomed), (1, 0));
}

#[test]
fn a_dry_run_judges_nothing_that_waits_for_a_person() {
    let mut desk = Desk::stocked(usual(), 100);
    let lost: Vec<u64> = (0..30).collect();
    desk.list_without(&lost);
    desk.list_again_without(&lost);
    desk.want_listing(true);
    let tokens = desk.ids_but(&lost);
    desk.page(tokens);
    assert_eq!((desk.report().missing, desk.report().vanished_ready), (30, 0));
    assert_eq!((desk.pool.braked(), desk.pool.census().held_back), (30, 30));
}

#[test]
fn a_wish_to_look_only_takes_nothing_away_from_a_listing_that_counts() {
    for order in [[true, false], [false, true]] {
        let mut desk = Desk::stocked(usual(), 10);
        for dry_run in order {
            desk.tell(&Command::WantListing { wanted: ListingWanted { dry_run } }).unwrap();
        }
        desk.sweep();
        let tokens = desk.ids_but(&[0]);
        desk.page(tokens);
        assert!(!desk.report().dry_run, "{order:?}");
    }
}

#[test]
fn what_has_vanished_is_written_down_in_one_step() {
    let mut desk = Desk::stocked(usual(), 100);
    let mut wish = desk.wish("uid:1", None);
    wish.ttl = Duration::from_secs(3_600);
    desk.take(vec![wish]).unwrap();
    desk.list_without(&[0, 1]);
    desk.pass(600);
    let tokens = desk.ids_but(&[0, 1]);
    desk.tell(&Command::Listed { tokens, unreadable: 0, next: None }).unwrap();
    desk.tell(&Command::Sweep).unwrap();
    assert!(!desk.pool.sweep_due(desk.now));
}

#[test]
fn a_dry_run_looks_once_and_changes_nothing() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(true);
    let tokens = desk.ids_but(&[0]);
    desk.page(tokens);
    assert_eq!((desk.report().missing, desk.report().dry_run), (1, true));
    assert_eq!(desk.pool.census().held_back, 0);
    assert!(!desk.pool.reconciling());
}

#[test]
fn a_vanished_token_that_was_used_after_all_is_a_breach() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[1]);
    desk.list_again_without(&[1]);
    assert!(desk.fact(Sequence::new(1), FactKind::Started));
    assert!(desk.pool.halted());
}

/// What stopped hand-outs of doubtful tokens stops it still when the records were read again.
#[test]
fn what_is_held_back_stays_so_when_the_records_are_read_again() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[0, 1]);
    let before = desk.pool.clone();
    desk.reopen();
    desk.pool.keep_knowledge_of(&before);
    assert_eq!(desk.pool.census().held_back, 2);
    desk.list_again_without(&[0, 1]);
    assert!(matches!(desk.stage(Sequence::ZERO), Stage::Doomed(_)));
}

#[test]
fn a_large_loss_that_a_person_accepted_is_written_down_in_steps() {
    let mut desk = Desk::stocked(usual(), 1_200);
    desk.want_listing(false);
    desk.page(Vec::new());
    desk.pass(600);
    desk.page(Vec::new());
    desk.tell(&Command::AcceptLoss).unwrap();
    let verdict = desk.pool.decide(&Command::Sweep, desk.now).unwrap();
    assert!(verdict.events.len() <= 512);
    desk.sweep();
    assert_eq!(desk.pool.census().doomed, 1_200);
    assert!(!desk.pool.next_deadline(desk.now).is_some_and(|at| at < desk.after(1)));
}

/// The key of another project: what was just registered with it proves nothing.
#[test]
fn only_tokens_from_before_the_key_came_tell_whose_it_is() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.list_without(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    desk.stock(10);
    let looks = |desk: &Desk| {
        let find =
            |effect| if let Effect::Find { sequence } = effect { Some(sequence) } else { None };
        desk.effects().into_iter().find_map(find)
    };
    for sequence in [0, 9, 5].map(Sequence::new) {
        assert_eq!(looks(&desk), Some(sequence));
        desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    }
    assert!(desk.pool.halted());
}

/// ARGOS deletes the oldest by itself, where that is switched on.
#[test]
fn the_oldest_tokens_may_be_gone_without_the_key_being_another_s() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.tell(&Command::KeyReplaced).unwrap();
    for (sequence, found) in [(0, false), (9, true)] {
        let sequence = Sequence::new(sequence);
        assert!(desk.effects().contains(&Effect::Find { sequence }));
        desk.tell(&Command::KeyChecked { sequence, found: Some(found) }).unwrap();
    }
    assert_eq!(desk.pool.key_check(), KeyCheck::Passed);
}

#[test]
fn a_listing_that_shows_an_old_token_proves_the_key() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.list_without(&[0, 1, 2, 3, 4]);
    assert_eq!(desk.pool.key_check(), KeyCheck::Passed);
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

/// What is held back waits for a listing that can be judged.
#[test]
fn a_void_second_listing_is_followed_by_another() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[0]);
    desk.pass(600);
    let tokens = desk.ids_but(&[0]);
    desk.tell(&Command::Listed { tokens, unreadable: 1, next: None }).unwrap();
    assert!(desk.report().void);
    desk.list_again_without(&[0]);
    assert!(matches!(desk.stage(Sequence::ZERO), Stage::Doomed(_)));
}
