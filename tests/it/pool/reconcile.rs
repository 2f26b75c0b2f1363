//! What ARGOS lists against what we hold: nothing is believed before two listings agree, and nothing is
//! doomed in numbers before a person looked.

use std::time::Duration;

use argospool::domain::{
    ids::{Sequence, TokenId},
    paging::Cursor,
    pool::{Command, Effect, ListingWanted, Reconciliation, Refusal, SuspectedCause, UnderWay},
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

fn foreign(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
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
    assert_eq!(lease.vanished, Some(desk.now), "no ending by itself");
    assert_eq!(lease.link_dead(), Some(desk.now));
    let report = desk.report();
    assert_eq!((report.vanished_ready, report.vanished_leased, report.missing), (1, 1, 0));
    assert_eq!(report.cause, Some(SuspectedCause::DeletedElsewhere));
    desk.pass(600);
    assert!(!desk.lists(), "a third listing is not asked for");
}

#[test]
fn two_listings_close_together_prove_nothing() {
    let mut desk = Desk::stocked(usual(), 100);
    desk.list_without(&[1]);
    desk.list_without(&[1]);
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

/// Its id may be on an earlier page still.
#[test]
fn what_we_delete_during_a_listing_is_not_foreign() {
    let mut desk = Desk::stocked(usual(), 10);
    let sequence = desk.lease("uid:1", None).unwrap().sequence;
    desk.release(sequence, "uid:1").unwrap();
    let all = desk.ids_but(&[]);
    desk.want_listing(false);
    desk.deleted(vec![sequence]);
    desk.page(all);
    assert_eq!((desk.report().foreign, desk.report().missing), (0, 0));
}

#[test]
fn a_listing_is_walked_page_by_page_and_goes_on_where_it_failed() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(false);
    let next = Some(Cursor { id: "c".to_owned(), time: "t".to_owned() });
    assert!(desk.effects().contains(&Effect::List { cursor: None }));
    let ids = desk.ids_but(&[]);
    let first = Command::Listed { tokens: ids[..5].to_vec(), unreadable: 0, next: next.clone() };
    desk.tell(&first).unwrap();
    assert!(desk.effects().contains(&Effect::List { cursor: next }));
    let mut under_way = UnderWay::default();
    under_way.listing = true;
    let effects = desk.pool.outstanding(desk.now, &under_way, 500);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::List { .. })));
    desk.page(ids[5..].to_vec());
    assert_eq!((desk.report().listed, desk.report().missing), (10, 0));
}

#[test]
fn a_listing_that_repeats_itself_or_holds_what_is_no_id_is_void() {
    let next = Some(Cursor { id: "c".to_owned(), time: "t".to_owned() });
    for (unreadable, second) in [(0, next.clone()), (1, None)] {
        let mut desk = Desk::stocked(usual(), 10);
        desk.want_listing(false);
        for next in [next.clone(), second] {
            let tokens = desk.ids_but(&[0, 1, 2]);
            desk.tell(&Command::Listed { tokens, unreadable, next }).unwrap();
        }
        assert!(desk.report().void);
        assert_eq!(desk.pool.census().held_back, 0);
        assert!(!desk.lists());
    }
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
    let cause = |lost: Vec<u64>| {
        let mut desk = Desk::stocked(policy(5_000, 100), 5_000);
        desk.list_without(&lost);
        desk.report().cause
    };
    let volume = Some(SuspectedCause::VolumeDeletion);
    assert_eq!(cause((0..1_000).collect()), volume);
    assert_eq!(cause((500..1_000).chain(1_500..2_000).collect()), volume);
    let elsewhere = Some(SuspectedCause::DeletedElsewhere);
    assert_eq!(cause((0..5_000).step_by(5).collect()), elsewhere);
    assert_eq!(cause((2_000..3_000).collect()), elsewhere);
    assert_eq!(cause((4_000..5_000).collect()), elsewhere);
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
fn a_dry_run_looks_once_and_changes_nothing() {
    let mut desk = Desk::stocked(usual(), 10);
    desk.want_listing(true);
    let tokens = desk.ids_but(&[0]);
    desk.page(tokens);
    assert_eq!((desk.report().missing, desk.report().dry_run), (1, true));
    assert_eq!(desk.pool.census().held_back, 0);
    assert!(!desk.pool.reconciling());
}

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

/// C1: vanished and foreign ids cancel out in a count.
#[test]
fn foreign_ids_are_told_apart_by_a_listing_and_take_room_from_then_on() {
    let mut desk = Desk::stocked(usual(), 30);
    desk.counted(30, false);
    assert_eq!(desk.pool.foreign(), 0);
    let mut tokens = desk.ids_but(&[0, 1, 2]);
    tokens.extend([foreign("other-0001"), foreign("other-0002"), foreign("ap-not-sealed-by-us")]);
    desk.want_listing(false);
    desk.page(tokens);
    let report = desk.report();
    assert_eq!((report.foreign, report.foreign_like_ours, report.missing), (3, 1, 3));
    assert_eq!(report.foreign_hints, ["ap-not…", "other-…", "other-…"]);
    desk.counted(30, false);
    assert_eq!(desk.pool.foreign(), 3);
}

#[test]
fn foreign_ids_are_deleted_on_an_operator_s_word_alone() {
    let mut desk = Desk::stocked(usual(), 3);
    let mut tokens = desk.ids_but(&[]);
    let (theirs, like_ours) = (foreign("other-0001"), foreign("ap-not-sealed-by-us"));
    tokens.extend([theirs.clone(), like_ours.clone()]);
    desk.want_listing(false);
    desk.page(tokens);
    let deletions = |desk: &Desk| {
        let of = |effect| {
            if let Effect::DeleteForeign { tokens } = effect { Some(tokens) } else { None }
        };
        desk.effects().into_iter().find_map(of)
    };
    assert_eq!(deletions(&desk), None);
    desk.tell(&Command::DoomForeign { like_ours: false }).unwrap();
    assert_eq!(deletions(&desk), Some(vec![theirs.clone()]));
    desk.tell(&Command::ForeignDeleted { tokens: vec![theirs.clone()], done: true }).unwrap();
    assert_eq!(deletions(&desk), None);
    desk.tell(&Command::DoomForeign { like_ours: true }).unwrap();
    assert_eq!(deletions(&desk), Some(vec![like_ours]));
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
fn the_oldest_ready_tokens_are_looked_up_although_they_are_held_back() {
    let mut desk = Desk::new(usual());
    desk.stock(10);
    desk.list_without(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    desk.stock(10);
    let looks = |desk: &Desk| {
        let find =
            |effect| if let Effect::Find { sequence } = effect { Some(sequence) } else { None };
        desk.effects().into_iter().find_map(find)
    };
    for missing in 0..3 {
        let sequence = Sequence::new(missing);
        assert_eq!(looks(&desk), Some(sequence));
        desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    }
    assert!(desk.pool.halted());
}

/// ARGOS deletes the oldest by itself, which makes the key no other project's.
#[test]
fn missing_tokens_are_looked_for_from_the_oldest_upwards() {
    let mut desk = Desk::stocked(usual(), 300);
    desk.tell(&Command::KeyReplaced).unwrap();
    desk.stock(600);
    for missing in [0, 100, 200] {
        let sequence = Sequence::new(missing);
        assert!(desk.effects().contains(&Effect::Find { sequence }), "{missing}");
        assert!(!desk.pool.halted());
        desk.tell(&Command::KeyChecked { sequence, found: Some(false) }).unwrap();
    }
    assert!(desk.pool.halted());
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
