//! Ids at ARGOS that are not ours: told apart by a listing, and deleted on a person's word alone.

use std::time::Duration;

use argospool::domain::{
    birth::Birth,
    ids::{TokenId, TokenPrefix},
    pool::{Command, Effect, Policy, Pool, UnderWay, Unwanted},
};

use crate::pool::{Desk, usual};

const HOUR: Duration = Duration::from_hours(1);

pub(super) fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
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

/// C1: vanished and foreign ids cancel out in a count.
#[test]
fn foreign_ids_are_told_apart_by_a_listing_and_take_room_from_then_on() {
    let mut desk = Desk::stocked(usual(), 30);
    desk.counted(30, false);
    assert_eq!(desk.pool.foreign(), 0);
    let mut tokens = desk.ids_but(&[0, 1, 2]);
    tokens.extend([id("other-0001"), id("other-0002"), id("ap-not-sealed-by-us")]);
    desk.want_listing(false);
    desk.page(tokens);
    let report = desk.report();
    assert_eq!((report.foreign, report.foreign_like_ours, report.missing), (3, 1, 3));
    assert_eq!(report.foreign_hints, ["ap-not… (1)", "other-… (2)"]);
    assert_eq!(desk.pool.foreign(), 3, "C1: also before the next count");
    desk.counted(30, false);
    assert_eq!(desk.pool.foreign(), 3);
}

#[test]
fn foreign_ids_are_deleted_on_an_operator_s_word_alone() {
    let mut desk = Desk::stocked(usual(), 3);
    let mut tokens = desk.ids_but(&[]);
    let (theirs, like_ours) = (id("other-0001"), id("ap-not-sealed-by-us"));
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
    desk.tell(&Command::DoomForeign { which: Unwanted::Strangers }).unwrap();
    assert_eq!(deletions(&desk), Some(vec![theirs.clone()]));
    desk.tell(&Command::ForeignDeleted { tokens: vec![theirs.clone()], done: true }).unwrap();
    assert_eq!(deletions(&desk), None);
    desk.tell(&Command::DoomForeign { which: Unwanted::All }).unwrap();
    assert_eq!(deletions(&desk), Some(vec![like_ours]));
}

fn deletions(desk: &Desk, under_way: &UnderWay) -> Vec<Vec<TokenId>> {
    let of =
        |effect| if let Effect::DeleteForeign { tokens } = effect { Some(tokens) } else { None };
    desk.pool.outstanding(desk.now, under_way, 500).into_iter().filter_map(of).collect()
}

/// A sign of a lost commit, or of a second writer.
#[test]
fn an_id_of_ours_that_was_deleted_and_is_listed_again_is_foreign_and_like_ours() {
    let mut desk = Desk::stocked(usual(), 10);
    let leased = desk.lease("uid:1", None).unwrap();
    desk.release(leased.sequence, "uid:1").unwrap();
    desk.deleted(vec![leased.sequence]);
    // Also when the project has another prefix by then.
    let policy = Policy { prefix: TokenPrefix::parse("zz-").unwrap(), ..usual() };
    let restored = desk.records.restored(desk.remember_after());
    desk.pool = Pool::open(policy, desk.pool.seal().clone(), restored, desk.now);
    desk.want_listing(false);
    let mut tokens = desk.ids_but(&[]);
    tokens.push(leased.token);
    desk.page(tokens);
    assert_eq!((desk.report().foreign, desk.report().foreign_like_ours), (1, 1));
}

/// C1: what the count alone cannot tell apart.
#[test]
fn foreign_ids_of_a_listing_take_room_although_as_many_leases_were_used_up() {
    let mut desk = Desk::stocked(usual(), 30);
    let mut tokens = desk.ids_but(&[]);
    tokens.extend((0..3).map(|at| id(&format!("other-{at:04}"))));
    desk.want_listing(false);
    desk.page(tokens);
    for _ in 0..3 {
        desk.lease("uid:1", None).unwrap();
    }
    desk.counted(27 + 3, false);
    assert_eq!(desk.pool.foreign(), 3);
}

#[test]
fn foreign_ids_are_deleted_one_call_at_a_time_and_as_many_as_one_call_may_carry() {
    let mut desk = Desk::stocked(usual(), 1);
    let mut tokens: Vec<_> = (0..600).map(|at| id(&format!("other-{at:04}"))).collect();
    tokens.extend(desk.ids_but(&[]));
    desk.want_listing(false);
    desk.page(tokens);
    desk.tell(&Command::DoomForeign { which: Unwanted::Strangers }).unwrap();
    let first = deletions(&desk, &UnderWay::default());
    assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [500]);
    let mut under_way = UnderWay::default();
    under_way.deleting_foreign = true;
    assert_eq!(deletions(&desk, &under_way), Vec::<Vec<TokenId>>::new());
    // C1: it changes what ARGOS counts.
    under_way.begin_count();
    assert!(under_way.end_count());
}

#[test]
fn foreign_ids_that_could_not_be_deleted_wait_for_another_word() {
    let mut desk = Desk::stocked(usual(), 1);
    let theirs = id("other-0001");
    let mut tokens = desk.ids_but(&[]);
    tokens.push(theirs.clone());
    desk.want_listing(false);
    desk.page(tokens);
    for _ in 0..2 {
        desk.tell(&Command::DoomForeign { which: Unwanted::Strangers }).unwrap();
        assert_eq!(deletions(&desk, &UnderWay::default()), [vec![theirs.clone()]]);
        let tokens = vec![theirs.clone()];
        desk.tell(&Command::ForeignDeleted { tokens, done: false }).unwrap();
        assert_eq!(deletions(&desk, &UnderWay::default()), Vec::<Vec<TokenId>>::new());
    }
}

/// An id as another ephemeral ledger drew it so many hours ago.
fn born(desk: &Desk, hours_ago: u32, number: u32) -> TokenId {
    let prefix = &desk.pool.policy().prefix;
    let born = prefix.born_in(Birth::at(desk.now.minus(hours_ago * HOUR)));
    id(&format!("{}{number:022}", born.as_str()))
}

/// Hard case 14.
#[test]
fn of_what_killed_pods_left_only_what_was_certainly_born_before_is_deleted() {
    let mut desk = Desk::stocked(usual(), 3);
    let (old, older) = (born(&desk, 3, 1), born(&desk, 30, 2));
    let younger = born(&desk, 2, 3);
    let others = [id("other-0001"), id("ap-not-sealed-by-us"), id(&format!("ap-{:022}", 4))];
    let mut tokens = desk.ids_but(&[]);
    tokens.extend([&old, &older, &younger].map(Clone::clone));
    tokens.extend(others);
    desk.want_listing(true);
    desk.page(tokens);
    let report = desk.report();
    assert_eq!((report.foreign, report.foreign_like_ours), (6, 5));
    let births: Vec<_> = report.foreign_births.iter().map(|(at, tokens)| (*at, *tokens)).collect();
    let hour = |ago: u32| Birth::at(desk.now.minus(ago * HOUR));
    assert_eq!(births, [(hour(30), 1), (hour(3), 1), (hour(2), 1)]);
    // To the millisecond: the whole hour must lie before.
    let ends = hour(3).begins().plus(HOUR);
    let just_not = Unwanted::BornBefore(ends.minus(Duration::from_millis(1)));
    desk.tell(&Command::DoomForeign { which: just_not }).unwrap();
    assert_eq!(deletions(&desk, &UnderWay::default()), [vec![older.clone()]]);
    desk.tell(&Command::DoomForeign { which: Unwanted::BornBefore(ends) }).unwrap();
    let [gone] = deletions(&desk, &UnderWay::default()).try_into().unwrap();
    assert_eq!(std::collections::BTreeSet::from_iter(gone), [old, older].into());
}

/// An hour is read behind the prefix that is configured here, and nowhere else.
#[test]
fn an_id_of_another_prefix_tells_no_hour() {
    let mut desk = Desk::stocked(usual(), 1);
    let strange = id(&born(&desk, 3, 1).expose().replace("ap-", "op-"));
    let mut tokens = desk.ids_but(&[]);
    tokens.push(strange);
    desk.want_listing(true);
    desk.page(tokens);
    assert!(desk.report().foreign_births.is_empty());
    desk.tell(&Command::DoomForeign { which: Unwanted::BornBefore(desk.now) }).unwrap();
    assert_eq!(deletions(&desk, &UnderWay::default()), Vec::<Vec<TokenId>>::new());
}
