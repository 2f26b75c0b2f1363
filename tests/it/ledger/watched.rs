//! What every ledger must tell those who watch its history and come back.

use argospool::{
    domain::{
        ids::{Revision, Sequence},
        pool::Unfinished,
        submission::Submissions,
        token::{ClosedLease, Decision, Ending},
    },
    port::{Group, Ledger, Reader, Resumable},
};

use super::{Place, sample::*};

/// Moves everything that was committed to where it stays: a sweep takes no line that may come back.
async fn settle(ledger: &mut dyn Ledger) {
    assert_eq!(ledger.retain(at(0), u64::MAX).await.unwrap(), 0);
}

/// Everything that changed after a revision, by pages of this size.
pub(super) async fn all_changes(reader: &dyn Reader, after: u64, page: usize) -> Vec<ClosedLease> {
    let (mut all, mut from) = (Vec::new(), Sequence::ZERO);
    for _ in 0..1_000 {
        let lines = reader.lines_changed(Revision(after), from, page).await.unwrap();
        assert!(lines.len() <= page);
        let Some(last) = lines.last() else { return all };
        from = last.sequence.plus(1);
        all.extend(lines);
    }
    panic!("the pages do not end");
}

pub(super) async fn lines_of_many_leases_are_found_once_and_in_order(mut place: impl Place) {
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    let lines = (1..=200).map(|number| line(number, 10)).collect();
    ledger.commit(Group { lines, ..group(1) }).await.unwrap();
    settle(&mut *ledger).await;
    let again = Group { lines: vec![changed(7, 10, 2), changed(300, 10, 2)], ..group(2) };
    ledger.commit(again).await.unwrap();
    let wanted = || [300, 7, 6, 131, 6, 400].map(Sequence::new).to_vec();
    let expected = [line(6, 10), changed(7, 10, 2), line(131, 10), changed(300, 10, 2)];
    assert_eq!(ledger.reader().lines_of(wanted()).await.unwrap(), expected);
    assert_eq!(ledger.reader().lines_of(Vec::new()).await.unwrap(), []);
    settle(&mut *ledger).await;
    assert_eq!(ledger.reader().lines_of(wanted()).await.unwrap(), expected);
    drop(ledger);
    place.restart();
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    assert_eq!(ledger.reader().lines_of(wanted()).await.unwrap(), expected);
}

pub(super) async fn what_changed_after_a_revision_is_told_once_as_it_is(mut place: impl Place) {
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    let lines: Vec<_> = (1..=3_000).map(|number| line(number, 10)).collect();
    ledger.commit(Group { lines: lines.clone(), ..group(1) }).await.unwrap();
    settle(&mut *ledger).await;
    let second = vec![changed(5, 10, 2), changed(1_500, 10, 2)];
    ledger.commit(Group { lines: second, ..group(2) }).await.unwrap();
    settle(&mut *ledger).await;
    let third = vec![changed(5, 10, 3), changed(2_999, 10, 3), changed(4_000, 10, 3)];
    ledger.commit(Group { lines: third, ..group(3) }).await.unwrap();

    for round in ["not folded", "folded", "opened again"] {
        let reader = ledger.reader();
        let changes = async |after, page| all_changes(&*reader, after, page).await;
        let newest = [changed(5, 10, 3), changed(2_999, 10, 3), changed(4_000, 10, 3)];
        let newer = [&newest[..1], &[changed(1_500, 10, 2)], &newest[1..]].concat();
        for page in [1, 2, 3, 5_000] {
            assert_eq!(changes(3, page).await, [], "{round}");
            assert_eq!(changes(2, page).await, newest, "{round}");
            assert_eq!(changes(1, page).await, newer, "{round}");
        }
        let mut all = lines.clone();
        (all[4], all[1_499], all[2_998]) =
            (changed(5, 10, 3), changed(1_500, 10, 2), changed(2_999, 10, 3));
        all.push(changed(4_000, 10, 3));
        assert!(changes(0, 700).await == all, "{round}");
        let from = reader.lines_changed(Revision(1), Sequence::new(1_501), 1).await.unwrap();
        assert_eq!(from, newest[1..2], "{round}");
        drop(reader);
        settle(&mut *ledger).await;
        if round == "folded" {
            drop(ledger);
            place.restart();
            ledger = place.ledger();
            ledger.open(opening()).await.unwrap();
        }
    }
}

pub(super) async fn a_position_is_good_until_something_after_it_went(mut place: impl Place) {
    let mut ledger = place.ledger();
    let reader = ledger.reader();
    let resumable = |revision| Resumable { epoch: 0, revision: Revision(revision) };
    assert_eq!(reader.resumable(), Resumable::default(), "never opened");
    ledger.open(opening()).await.unwrap();
    let lines = |range: std::ops::RangeInclusive<u64>, revision| {
        range.map(|number| changed(number, number, revision)).collect::<Vec<_>>()
    };
    ledger.commit(Group { lines: lines(1..=10, 1), ..group(1) }).await.unwrap();
    ledger.commit(Group { lines: lines(2_001..=2_010, 2), ..group(2) }).await.unwrap();
    ledger.commit(Group { lines: lines(3..=3, 3), ..group(3) }).await.unwrap();
    ledger
        .commit(Group { lines: lines(11..=20, 4), tokens: vec![ready(1)], ..group(4) })
        .await
        .unwrap();
    let tokens_gone = vec![Sequence::new(1)];
    ledger.commit(Group { tokens_gone, ..group(5) }).await.unwrap();
    assert_eq!(ledger.retain(at(1), 100).await.unwrap(), 0);
    assert_eq!(reader.resumable(), resumable(0), "nothing went");

    assert_eq!(ledger.retain(at(11), 100).await.unwrap(), 10);
    assert_eq!(reader.resumable(), resumable(3), "by age");
    drop((ledger, reader));
    place.restart();
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    let reader = ledger.reader();
    assert_eq!(reader.resumable(), resumable(3), "opened again");

    assert_eq!(ledger.retain(at(2_002), 100).await.unwrap(), 11);
    assert_eq!(reader.resumable(), resumable(4), "never lower");
    ledger.commit(Group { lines: lines(2_001..=2_003, 6), ..group(6) }).await.unwrap();
    assert_eq!(ledger.retain(at(0), 9).await.unwrap(), 1);
    assert_eq!(reader.resumable(), resumable(6), "by number");
    let left = all_changes(&*reader, 0, 100).await;
    assert_eq!(left, [lines(2_002..=2_003, 6), lines(2_004..=2_010, 2)].concat());
    drop((ledger, reader));
    place.restart();
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    assert_eq!(ledger.reader().resumable(), resumable(6), "opened again");
}

pub(super) async fn of_closed_leases_the_unfinished_are_given_back(mut place: impl Place) {
    let ended = |number, ending, submissions: Submissions| ClosedLease {
        ending,
        submissions,
        ..line(number, number)
    };
    let contested = || told("submission-2", &[Decision::Approved, Decision::Rejected]);
    let pending = || told("submission-3", &[Decision::Pending]);
    let approved = || told("submission-4", &[Decision::Approved]);
    let nothing = Submissions::default;
    let mut ledger = place.ledger();
    ledger.open(opening()).await.unwrap();
    let folded = vec![
        ended(1, Ending::Lapsed, nothing()),
        ended(2, Ending::Lapsed, nothing()),
        ended(3, Ending::Decided, pending()),
        ended(4, Ending::Decided, approved()),
        ended(5, Ending::Released, nothing()),
        ended(6, Ending::Revoked, nothing()),
        ended(7, Ending::Expired, nothing()),
    ];
    ledger.commit(Group { lines: folded, ..group(1) }).await.unwrap();
    settle(&mut *ledger).await;
    let decided_since =
        ClosedLease { revision: Revision(2), ..ended(3, Ending::Decided, approved()) };
    let not_folded = vec![
        decided_since,
        ended(1_001, Ending::Decided, contested()),
        ended(1_002, Ending::Decided, approved()),
        ended(1_003, Ending::Lapsed, nothing()),
    ];
    ledger.commit(Group { lines: not_folded, ..group(2) }).await.unwrap();
    let expected: Vec<_> = [
        ended(2, Ending::Lapsed, nothing()),
        ended(6, Ending::Revoked, nothing()),
        ended(7, Ending::Expired, nothing()),
        ended(1_001, Ending::Decided, contested()),
        ended(1_003, Ending::Lapsed, nothing()),
    ]
    .iter()
    .filter_map(Unfinished::of)
    .collect();
    assert_eq!(expected.len(), 5);
    for round in ["not folded", "folded"] {
        drop(ledger);
        place.restart();
        ledger = place.ledger();
        let recent = Opening { remember_after: at(2), ..opening() };
        let mut unfinished = ledger.open(recent).await.unwrap().unfinished;
        unfinished.sort_by_key(|it| it.sequence);
        assert_eq!(unfinished, expected, "{round}");
        settle(&mut *ledger).await;
    }
}
