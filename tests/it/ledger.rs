//! What every ledger must do, written once. A new store adds a [`Place`] and one line at the end.

mod sample;
mod sled;
mod watched;

use argospool::{
    domain::{
        ids::{Revision, Sequence},
        pause::Activity,
        token::{Ending, Stage},
    },
    port::{Group, Ledger, LedgerError, Reader},
    store::memory::Memory,
};

use self::sample::*;

/// Where a ledger lives. It survives the processes that open it.
pub(crate) trait Place {
    /// Another handle on the same ledger.
    fn ledger(&self) -> Box<dyn Ledger>;
    /// A handle on the ledger of another project in the same place.
    fn other_project(&self) -> Box<dyn Ledger>;
    /// Ends the process, in order, and starts another. Handles from before are gone.
    fn restart(&mut self);
    /// The next commit is not written.
    fn refuse_commit(&self);
    /// The next commit may be written, and nobody is told.
    fn lose_answer(&self);
}

#[tokio::test]
async fn memory_that_is_suspected_is_no_place_to_go_on_watching_from() {
    let memory = Memory::default();
    let mut ledger = memory.twin();
    ledger.open(opening()).await.unwrap();
    assert_eq!(ledger.reader().resumable().epoch, 0);
    memory.faults().set_suspect_below(Some(Sequence::new(9)));
    let epoch = ledger.open(opening()).await.unwrap().epoch;
    memory.faults().set_suspect_below(None);
    assert_eq!(ledger.reader().resumable().epoch, epoch);
    assert!(ledger.open(opening()).await.unwrap().epoch > epoch);
    assert_eq!(ledger.reader().resumable().epoch, epoch);
}

#[derive(Default)]
struct InMemory(Memory, Memory);

impl Place for InMemory {
    fn ledger(&self) -> Box<dyn Ledger> {
        Box::new(self.0.twin())
    }

    fn other_project(&self) -> Box<dyn Ledger> {
        Box::new(self.1.twin())
    }

    fn restart(&mut self) {}

    fn refuse_commit(&self) {
        self.0.faults().refuse_commit();
    }

    fn lose_answer(&self) {
        self.0.faults().lose_answer();
    }
}

mod law {
    pub(super) use super::watched::*;
    use super::*;

    pub(super) async fn an_empty_ledger_takes_the_identity_it_is_opened_with(place: impl Place) {
        let opened = place.ledger().open(opening()).await.unwrap();
        assert_eq!(opened.identity, identity(1));
        assert_eq!((opened.revision, opened.next), (Revision(0), Sequence::ZERO));
        assert!(opened.tokens.is_empty() && opened.past.is_empty());
        assert_eq!(opened.suspect_below, None);
    }

    pub(super) async fn gives_back_what_was_committed(mut place: impl Place) {
        let group = Group {
            revision: Revision(7),
            at: at(70),
            next: Sequence::new(40),
            granted: Sequence::new(9),
            tokens: one_token_of_each_stage(),
            orders: one_order_of_each_state(),
            pauses: one_pause_of_each_activity(),
            ..Group::default()
        };
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        ledger.commit(group.clone()).await.unwrap();
        drop(ledger);
        place.restart();
        let opened = place.ledger().open(opening()).await.unwrap();
        assert_eq!(opened.tokens, group.tokens);
        assert_eq!(opened.orders, group.orders);
        assert_eq!(opened.pauses, group.pauses);
        assert_eq!((opened.revision, opened.committed_at), (group.revision, group.at));
        assert_eq!((opened.next, opened.granted), (group.next, group.granted));
        assert_eq!(opened.suspect_below, None);
    }

    /// T1: the time is worth a commit although nothing else has changed.
    pub(super) async fn a_group_of_nothing_but_time_is_remembered(mut place: impl Place) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        ledger.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap();
        for seconds in 100..110 {
            ledger.commit(Group { at: at(seconds), ..group(1) }).await.unwrap();
        }
        drop(ledger);
        place.restart();
        let opened = place.ledger().open(opening()).await.unwrap();
        assert_eq!((opened.revision, opened.committed_at), (Revision(1), at(109)));
        assert_eq!(opened.tokens, [ready(1)]);
        assert_eq!(opened.suspect_below, None);
    }

    pub(super) async fn the_last_write_of_a_record_wins_and_removals_stay(mut place: impl Place) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        let tokens = vec![minted(1), minted(2), minted(3)];
        let orders = one_order_of_each_state();
        let pauses = one_pause_of_each_activity();
        let first = Group { tokens, orders: orders.clone(), pauses, ..group(1) };
        ledger.commit(first).await.unwrap();
        ledger.commit(Group { tokens: vec![ready(1), ready(2)], ..group(2) }).await.unwrap();
        let last = Group {
            tokens: vec![leased(1)],
            tokens_gone: vec![Sequence::new(3)],
            orders_gone: vec![orders[0].id],
            pauses_gone: vec![Activity::Leasing, Activity::Purge],
            ..group(3)
        };
        ledger.commit(last).await.unwrap();
        drop(ledger);
        place.restart();
        let opened = place.ledger().open(opening()).await.unwrap();
        assert_eq!(opened.tokens, [leased(1), ready(2)]);
        assert_eq!(opened.orders, orders[1..]);
        assert_eq!(opened.pauses.len(), 1);
        assert_eq!(opened.pauses[0].0, Activity::Refill);
    }

    pub(super) async fn identity_and_pid_are_kept_and_another_pid_is_refused(
        mut place: impl Place,
    ) {
        place.ledger().open(opening()).await.unwrap();
        place.restart();
        let mut ledger = place.ledger();
        let wrong = Opening { pid: "another".to_owned(), ..opening() };
        let error = ledger.open(wrong).await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::Unusable(sentence) if sentence.contains("dead links"))
        );
        let later = Opening { identity: identity(2), ..opening() };
        assert_eq!(ledger.open(later).await.unwrap().identity, identity(1));
    }

    pub(super) async fn opening_raises_the_epoch_and_fences_the_owner_before(place: impl Place) {
        let (mut old, mut new) = (place.ledger(), place.ledger());
        let first = old.open(opening()).await.unwrap().epoch;
        old.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap();
        assert!(new.open(opening()).await.unwrap().epoch > first);
        let late = Group { tokens: vec![leased(1)], ..group(2) };
        assert!(matches!(old.commit(late).await, Err(LedgerError::Fenced)), "J3");
        assert!(old.retain(at(9), 0).await.is_err());
        new.commit(Group { tokens: vec![ready(2)], ..group(2) }).await.unwrap();
        let opened = place.ledger().open(opening()).await.unwrap();
        assert_eq!(opened.tokens, [ready(1), ready(2)]);
    }

    pub(super) async fn a_refused_commit_did_not_happen(place: impl Place) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        ledger.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap();
        place.refuse_commit();
        let refused = ledger.commit(Group { tokens: vec![leased(1)], ..group(2) }).await;
        assert!(matches!(refused, Err(LedgerError::Refused(_))));
        let again = ledger.commit(Group { tokens: vec![leased(1)], ..group(2) }).await;
        assert!(matches!(again, Err(LedgerError::Refused(_))), "only open helps after an error");
        let opened = ledger.open(opening()).await.unwrap();
        assert_eq!((opened.tokens, opened.revision), (vec![ready(1)], Revision(1)));
        ledger.commit(Group { tokens: vec![leased(1)], ..group(2) }).await.unwrap();
    }

    pub(super) async fn after_a_lost_answer_the_group_is_there_whole_or_not_at_all(
        place: impl Place,
    ) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        ledger.commit(Group { tokens: vec![ready(1)], ..group(1) }).await.unwrap();
        place.lose_answer();
        let tokens: Vec<_> = (1..=400).map(large_lease).collect();
        let lost = ledger.commit(Group { tokens: tokens.clone(), ..group(2) }).await;
        assert!(matches!(lost, Err(LedgerError::Unconfirmed(_))));
        let opened = ledger.open(opening()).await.unwrap();
        if opened.revision == Revision(2) {
            assert_eq!(opened.tokens, tokens);
        } else {
            assert_eq!(opened.tokens, [ready(1)]);
        }
        ledger.commit(Group { tokens: vec![ready(9)], ..group(3) }).await.unwrap();
    }

    pub(super) async fn history_is_found_by_sequence_and_a_line_is_replaced(mut place: impl Place) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        let lines: Vec<_> = [3, 5, 70, 2_000].map(|number| line(number, 10)).into();
        ledger.commit(Group { lines: lines.clone(), ..group(1) }).await.unwrap();
        let reader = ledger.reader();
        let found = |number| reader.line(Sequence::new(number));
        assert_eq!(found(70).await.unwrap().as_ref(), Some(&lines[2]));
        assert_eq!(found(71).await.unwrap(), None);
        assert_eq!(reader.lines(Sequence::new(4), 2).await.unwrap(), lines[1..3]);
        assert_eq!(reader.lines(Sequence::new(2_001), 2).await.unwrap(), []);

        let mut changed = line(5, 10);
        (changed.ending, changed.revision) = (Ending::Decided, Revision(2));
        ledger.commit(Group { lines: vec![changed.clone()], ..group(2) }).await.unwrap();
        assert_eq!(found(5).await.unwrap(), Some(changed.clone()));
        drop((ledger, reader));
        place.restart();
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        let after = ledger.reader().lines(Sequence::ZERO, 10).await.unwrap();
        assert_eq!(after, [lines[0].clone(), changed, lines[2].clone(), lines[3].clone()]);
    }

    pub(super) async fn history_goes_by_the_time_of_closing_and_by_its_length(
        mut place: impl Place,
    ) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        // A long lease of a low sequence closes late; it must not keep its neighbours.
        let closed = |number: u64| if number % 500 == 1 { 90_000 } else { number };
        let lines = (1..=3_000).map(|number| line(number, closed(number))).collect();
        ledger.commit(Group { lines, ..group(1) }).await.unwrap();
        assert_eq!(ledger.retain(at(2_500), 1_000_000).await.unwrap(), 2_499 - 5);
        let left = ledger.reader().lines(Sequence::ZERO, 5_000).await.unwrap();
        assert_eq!(left.len(), 5 + 501);
        assert!(left.iter().all(|line| line.closed >= at(2_500)));

        assert_eq!(ledger.retain(at(2_500), 100).await.unwrap(), 406);
        let left = ledger.reader().lines(Sequence::ZERO, 5_000).await.unwrap();
        let numbers: Vec<_> = left.iter().map(|line| line.sequence.get()).collect();
        assert_eq!(numbers, (2_901..=3_000).collect::<Vec<_>>(), "the lowest go first");
        drop(ledger);
        place.restart();
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        assert!(ledger.reader().lines(Sequence::ZERO, 5_000).await.unwrap() == left);
    }

    pub(super) async fn requests_of_recently_closed_leases_are_remembered(mut place: impl Place) {
        let mut ledger = place.ledger();
        ledger.open(opening()).await.unwrap();
        let lines = (1..=3_000).map(|number| line(number, number)).collect();
        ledger.commit(Group { lines, ..group(1) }).await.unwrap();
        ledger.retain(at(0), 1_000_000).await.unwrap();
        ledger.commit(Group { lines: vec![line(3_001, 3_001)], ..group(2) }).await.unwrap();
        drop(ledger);
        place.restart();
        let recent = Opening { remember_after: at(2_900), ..opening() };
        let past = place.ledger().open(recent).await.unwrap().past;
        for number in 1..=3_001 {
            for request in line(number, number).requests() {
                let found: Vec<_> = past.find(request.key.name()).collect();
                let expected = (number >= 2_900).then(|| Sequence::new(number));
                assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{number}");
            }
        }
        assert_eq!(past.len(), 2 * 102);
    }

    pub(super) async fn two_projects_in_one_place_do_not_see_each_other(mut place: impl Place) {
        let (mut one, mut other) = (place.ledger(), place.other_project());
        one.open(opening()).await.unwrap();
        let opening_of_other = || Opening { pid: "other-pid".to_owned(), ..opening() };
        other.open(opening_of_other()).await.unwrap();
        let ours = Group { tokens: vec![ready(1)], lines: vec![line(1, 5)], ..group(1) };
        let theirs = Group { tokens: vec![leased(1)], lines: vec![line(2, 5)], ..group(1) };
        let (first, second) = tokio::join!(one.commit(ours), other.commit(theirs));
        first.unwrap();
        second.unwrap();
        assert_eq!(one.reader().lines(Sequence::ZERO, 9).await.unwrap(), [line(1, 5)]);
        assert_eq!(other.reader().lines(Sequence::ZERO, 9).await.unwrap(), [line(2, 5)]);
        drop((one, other));
        place.restart();
        assert_eq!(place.ledger().open(opening()).await.unwrap().tokens, [ready(1)]);
        let opened = place.other_project().open(opening_of_other()).await.unwrap();
        assert_eq!(opened.tokens, [leased(1)]);
    }

    async fn watch_alike(reader: &dyn Reader, expected: &dyn Reader, revision: u64) {
        assert_eq!(reader.resumable(), expected.resumable());
        for after in [0, revision - 290, revision - 40, revision - 1, revision] {
            let changes = all_changes(reader, after, 7).await;
            assert_eq!(changes, all_changes(expected, after, 50_000).await, "after {after}");
        }
    }

    /// Enough groups to be folded, several times, with what a pool does to its tokens.
    pub(super) async fn a_long_life_is_given_back_as_the_model_has_it(mut place: impl Place) {
        let model = InMemory::default();
        let (mut ledger, mut expected) = (place.ledger(), model.ledger());
        ledger.open(opening()).await.unwrap();
        expected.open(opening()).await.unwrap();
        let mut dice = Dice(7);
        for revision in 1..=900 {
            let group = a_step_of_life(revision, &mut dice);
            ledger.commit(group.clone()).await.unwrap();
            expected.commit(group).await.unwrap();
            if revision % 300 == 0 {
                drop(ledger);
                place.restart();
                ledger = place.ledger();
                let opened = ledger.open(opening()).await.unwrap();
                let wanted = expected.open(opening()).await.unwrap();
                assert_eq!(opened.tokens, wanted.tokens, "J2");
                assert_eq!(opened.orders, wanted.orders, "J2");
                assert_eq!(opened.pauses, wanted.pauses, "J2");
                assert_eq!(opened.revision, wanted.revision);
                let lines = ledger.reader().lines(Sequence::ZERO, 50_000).await.unwrap();
                let wanted = expected.reader().lines(Sequence::ZERO, 50_000).await.unwrap();
                assert_eq!(lines, wanted, "J2");
                watch_alike(&*ledger.reader(), &*expected.reader(), revision).await;
                let kept = (at(revision - 250), 60);
                let went = ledger.retain(kept.0, kept.1).await.unwrap();
                assert_eq!(went, expected.retain(kept.0, kept.1).await.unwrap());
                watch_alike(&*ledger.reader(), &*expected.reader(), revision).await;
            }
        }
        assert!(
            opened_tokens(&mut *ledger)
                .await
                .iter()
                .any(|token| { matches!(token.stage, Stage::Leased(_)) })
        );
    }
}

macro_rules! obeys_the_law {
    ($store:ident, $place:expr, $($law:ident)*) => {
        mod $store {
            use super::*;

            $(#[tokio::test]
            async fn $law() {
                law::$law($place).await;
            })*
        }
    };
    ($store:ident, $place:expr) => {
        obeys_the_law!(
            $store, $place,
            an_empty_ledger_takes_the_identity_it_is_opened_with
            gives_back_what_was_committed
            a_group_of_nothing_but_time_is_remembered
            the_last_write_of_a_record_wins_and_removals_stay
            identity_and_pid_are_kept_and_another_pid_is_refused
            opening_raises_the_epoch_and_fences_the_owner_before
            a_refused_commit_did_not_happen
            after_a_lost_answer_the_group_is_there_whole_or_not_at_all
            history_is_found_by_sequence_and_a_line_is_replaced
            history_goes_by_the_time_of_closing_and_by_its_length
            requests_of_recently_closed_leases_are_remembered
            lines_of_many_leases_are_found_once_and_in_order
            what_changed_after_a_revision_is_told_once_as_it_is
            a_position_is_good_until_something_after_it_went
            of_closed_leases_the_unfinished_are_given_back
            two_projects_in_one_place_do_not_see_each_other
            a_long_life_is_given_back_as_the_model_has_it
        );
    };
}

obeys_the_law!(on_memory, InMemory::default());
obeys_the_law!(on_sled, sled::Directory::new());
