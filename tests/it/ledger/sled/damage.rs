//! Files that are not what they were: damaged, restored, copied, open to others.

use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

/// A ledger with leases in blocks and in groups, closed in order.
async fn lived(place: &mut Directory, revisions: u64) {
    let mut ledger = place.sled();
    let first = ledger.open(opening()).await.unwrap().revision.0 + 1;
    for revision in first..first + revisions {
        let tokens = (0..8).map(|token| leased(revision * 8 + token)).collect();
        let granted = Sequence::new(revision * 8 + 8);
        ledger.commit(Group { tokens, granted, ..group(revision) }).await.unwrap();
    }
}

fn sentence(outcome: Result<Opened, LedgerError>) -> String {
    match outcome {
        Err(LedgerError::Unusable(sentence)) => sentence,
        other => panic!("a sentence was expected: {other:?}"),
    }
}

/// Changes a value behind the ledger's back.
fn meddle(place: &Directory, tree: &str, meddle: impl FnOnce(&sled::Tree)) {
    let config = sled::Config::new().path(place.data().join("ledger")).segment_size(8 << 20);
    let db = config.open().unwrap();
    meddle(&db.open_tree(format!("default/{tree}")).unwrap());
    db.flush().unwrap();
}

#[tokio::test]
async fn a_format_of_tomorrow_is_refused_with_a_sentence() {
    let mut place = Directory::new();
    lived(&mut place, 1).await;
    place.stop();
    meddle(&place, "head", |head| {
        let mut value = head.get("head").unwrap().unwrap().to_vec();
        // The last occurrence of a field counts: format 99.
        value.extend([0x08, 99]);
        head.insert("head", value).unwrap();
    });
    let sentence = sentence(place.opened().await);
    assert!(sentence.contains("format 99") && sentence.contains("newer"), "{sentence}");
}

#[tokio::test]
async fn a_group_that_is_missing_is_damage() {
    let mut place = Directory::new();
    lived(&mut place, 5).await;
    place.stop();
    meddle(&place, "groups", |groups| {
        let third = groups.iter().keys().nth(2).unwrap().unwrap();
        groups.remove(third).unwrap();
    });
    let sentence = sentence(place.opened().await);
    assert!(sentence.contains("group 3 is missing"), "{sentence}");
    assert!(sentence.contains("restore") && sentence.contains("foreign"), "{sentence}");
}

#[tokio::test]
async fn groups_are_folded_into_blocks_and_go() {
    let mut place = Directory::new();
    lived(&mut place, 1_000).await;
    place.stop();
    meddle(&place, "groups", |groups| assert!(groups.len() < 600, "{} groups", groups.len()));
    assert_eq!(place.opened().await.unwrap().tokens.len(), 8_000);
}

/// J2: a process may die between the head that says so and the removal of what was folded.
#[tokio::test]
async fn a_group_that_was_folded_and_is_there_still_changes_nothing() {
    let mut place = Directory::new();
    lived(&mut place, 1_000).await;
    place.stop();
    let before = place.torn_away().opened().await.unwrap().tokens;
    meddle(&place, "groups", |groups| {
        let (_, value) = groups.first().unwrap().unwrap();
        let first = [1_u64.to_be_bytes().as_slice(), &[0; 4]].concat();
        groups.insert(first, value).unwrap();
    });
    assert_eq!(place.opened().await.unwrap().tokens, before);
}

#[tokio::test]
async fn the_last_group_counts_with_all_its_parts_or_not_at_all() {
    let mut place = Directory::new();
    lived(&mut place, 2).await;
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    let tokens = (100..400).map(large_lease).collect();
    ledger.commit(Group { tokens, ..group(3) }).await.unwrap();
    drop(ledger);
    place.stop();
    meddle(&place, "groups", |groups| {
        groups.pop_max().unwrap().unwrap();
    });
    let opened = place.opened().await.unwrap();
    assert_eq!((opened.tokens.len(), opened.revision), (16, Revision(2)));
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { tokens: vec![ready(500)], ..group(3) }).await.unwrap();
    drop(ledger);
    assert_eq!(place.opened().await.unwrap().tokens.len(), 17);
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_suspected_and_never_believed() {
    let mut place = Directory::new();
    lived(&mut place, 400).await;
    place.stop();
    let whole = place.torn_away().opened().await.unwrap();
    let (mut refused, mut suspected) = (0, 0);
    for case in 0..16_u64 {
        let mut copy = place.torn_away();
        let file = fs::OpenOptions::new().write(true).open(copy.data().join("ledger/db")).unwrap();
        let length = file.metadata().unwrap().len();
        if case % 4 == 3 {
            file.set_len(length * (case + 1) / 20).unwrap();
        } else {
            file.write_all_at(&[0xA5; 64], (length * (2 * case + 1) / 40) & !7).unwrap();
        }
        match copy.opened().await {
            Ok(opened) if opened.suspect_below.is_some() => suspected += 1,
            Ok(opened) => {
                assert!(opened.tokens == whole.tokens, "case {case} lost leases silently")
            }
            outcome => {
                let sentence = sentence(outcome);
                assert!(sentence.contains("restore the directory from a backup"), "{sentence}");
                refused += 1;
            }
        }
    }
    assert!(refused + suspected > 0, "none of the damage was met");
}

#[tokio::test]
async fn an_empty_database_beside_a_witness_is_refused() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    place.stop();
    fs::remove_dir_all(place.data().join("ledger")).unwrap();
    let sentence = sentence(place.opened().await);
    assert!(sentence.contains("witness"), "{sentence}");
}

#[tokio::test]
async fn a_ledger_that_lost_its_witness_is_suspected_whole() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    place.stop();
    fs::remove_file(place.data().join("witness/default")).unwrap();
    let opened = place.opened().await.unwrap();
    assert_eq!(opened.suspect_below, Some(opened.next), "L1");
}

#[tokio::test]
async fn a_restored_past_is_suspected_until_the_first_commit_after_it() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    place.stop();
    let past = place.torn_away();
    place.start();
    lived(&mut place, 60).await;
    place.stop();
    fs::remove_dir_all(place.data().join("ledger")).unwrap();
    copy(&past.data().join("ledger"), &place.data().join("ledger"));

    let opened = place.opened().await.unwrap();
    assert_eq!(opened.revision, Revision(3));
    let suspect = opened.suspect_below.expect("L1: an older past of itself");
    assert!(suspect >= Sequence::new(63 * 8 + 8), "everything that was leased since: {suspect:?}");
    let again = place.opened().await.unwrap();
    assert_eq!(again.suspect_below, Some(suspect), "nothing was done about it yet");

    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    let granted = suspect;
    ledger.commit(Group { tokens: vec![leased(1)], granted, ..group(4) }).await.unwrap();
    drop(ledger);
    assert_eq!(place.opened().await.unwrap().suspect_below, None);
}

/// L1: leases are named after sequences.
#[tokio::test]
async fn a_restored_past_mints_no_sequence_of_the_lost_one_again() {
    let mut place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { next: Sequence::new(500), ..group(1) }).await.unwrap();
    drop(ledger);
    place.stop();
    let past = place.torn_away();
    place.start();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    ledger.commit(Group { next: Sequence::new(1_000), ..group(2) }).await.unwrap();
    drop(ledger);
    place.stop();
    fs::remove_dir_all(place.data().join("ledger")).unwrap();
    copy(&past.data().join("ledger"), &place.data().join("ledger"));
    assert_eq!(place.opened().await.unwrap().next, Sequence::new(1_000));
}

#[tokio::test]
async fn nobody_goes_on_watching_from_a_past_that_was_lost() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    assert_eq!(place.sled().reader().resumable().epoch, 0);
    place.stop();
    let past = place.torn_away();
    place.start();
    let mut lost = 0;
    for _ in 0..4 {
        lived(&mut place, 5).await;
        lost = place.sled().open(opening()).await.unwrap().epoch;
    }
    place.stop();
    fs::remove_dir_all(place.data().join("ledger")).unwrap();
    copy(&past.data().join("ledger"), &place.data().join("ledger"));

    let suspect = place.opened().await.unwrap();
    assert!(suspect.suspect_below.is_some());
    assert!(suspect.epoch > lost, "epoch {} was one of the lost past", suspect.epoch);
    assert_eq!(place.sled().reader().resumable().epoch, suspect.epoch);
    // Nothing was done about it: it is suspected again.
    let again = place.opened().await.unwrap().epoch;
    assert_eq!(place.sled().reader().resumable().epoch, again);
    lived(&mut place, 30).await;
    let last = place.sled().reader().resumable().epoch;
    for _ in 0..2 {
        let opened = place.opened().await.unwrap();
        assert_eq!(opened.suspect_below, None);
        let told = place.sled().reader().resumable().epoch;
        assert!(told == last && told < opened.epoch, "positions since are good: {told}");
    }
}

#[tokio::test]
async fn epochs_without_a_witness_go_on_from_the_clock() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    place.stop();
    fs::remove_file(place.data().join("witness/default")).unwrap();
    place.start();
    let opening = Opening { remember_after: at(1_700_000_000_000), ..opening() };
    let epoch = place.sled().open(opening).await.unwrap().epoch;
    assert_eq!(epoch, 1_700_000_000_001);
    assert_eq!(place.sled().reader().resumable().epoch, epoch);
    assert!(place.opened().await.unwrap().epoch > epoch);
}

/// 4,096 lines in four stretches, in blocks, of which the last ones changed last. Ends with the
/// process.
async fn stretches(place: &mut Directory) {
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    let lines = (0..4_096).map(|number| changed(number, number, 1 + number / 1_024)).collect();
    ledger.commit(Group { lines, ..group(4) }).await.unwrap();
    ledger.retain(at(0), u64::MAX).await.unwrap();
    drop(ledger);
    place.stop();
}

#[tokio::test]
async fn whoever_comes_back_makes_it_read_only_what_changed_since() {
    let mut place = Directory::new();
    stretches(&mut place).await;
    meddle(&place, "lines", |lines| {
        let first = lines.iter().keys().next().unwrap().unwrap();
        lines.insert(first, &[0xff; 8]).unwrap();
    });
    place.start();
    let mut ledger = place.sled();
    ledger.open(Opening { remember_after: at(4_000), ..opening() }).await.unwrap();
    let reader = ledger.reader();
    let changes = |after| reader.lines_changed(Revision(after), Sequence::ZERO, 5_000);
    assert_eq!(changes(1).await.unwrap().len(), 3 * 1_024);
    assert_eq!(changes(4).await.unwrap(), []);
    assert!(matches!(changes(0).await, Err(LedgerError::Unreadable(_))));
}

#[tokio::test]
async fn a_stretch_that_does_not_say_when_it_changed_is_read() {
    let mut place = Directory::new();
    stretches(&mut place).await;
    meddle(&place, "spans", |spans| {
        for entry in spans {
            let (key, mut span) = entry.unwrap();
            // The last field is the one that is new: its tag and a number of one byte.
            assert_eq!(span[span.len() - 2], 4 << 3);
            span = span[..span.len() - 2].into();
            spans.insert(key, span).unwrap();
        }
    });
    place.start();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    let reader = ledger.reader();
    let changes = reader.lines_changed(Revision(3), Sequence::ZERO, 5_000).await.unwrap();
    assert_eq!(changes.len(), 1_024);
}

#[tokio::test]
async fn after_a_lost_power_supply_what_may_have_been_shown_is_suspected() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    let mut same_boot = place.torn_away();
    assert_eq!(same_boot.opened().await.unwrap().suspect_below, None, "a killed process");
    let mut next_boot = place.torn_away();
    next_boot.settings.boot_id = Some(2);
    let suspect = next_boot.opened().await.unwrap().suspect_below;
    assert_eq!(suspect, Some(Sequence::new(256)), "L1: up to the bound that was synced");
    place.stop();
    place.settings.boot_id = Some(2);
    assert_eq!(place.opened().await.unwrap().suspect_below, None, "an orderly end");
}

#[test]
fn a_directory_that_others_can_read_is_refused() {
    let mut place = Directory::new();
    place.stop();
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o750)).unwrap();
    let refused = Volume::open(place.settings.clone()).err().unwrap();
    assert!(refused.to_string().contains("open to other users (mode 0750)"), "{refused}");
}

#[tokio::test]
async fn every_file_is_for_its_owner_alone() {
    let mut place = Directory::new();
    lived(&mut place, 3).await;
    place.stop();
    let mut open = vec![place.data()];
    let mut files = 0;
    while let Some(path) = open.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, if metadata.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if metadata.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files += 1;
        }
    }
    assert!(files >= 4);
}
