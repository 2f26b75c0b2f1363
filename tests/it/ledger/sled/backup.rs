//! Everything that a ledger can hold goes through a backup and back.

use argospool::store::sled::offline::{Making, Offline, import};

use super::*;

#[tokio::test]
async fn a_backup_brings_back_every_record_and_where_watchers_may_go_on() {
    let mut place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    let lines = (1_000..3_000).map(|number| changed(number, number, 3));
    let everything = Group {
        tokens: one_token_of_each_stage().into_iter().chain((400..900).map(large_lease)).collect(),
        orders: one_order_of_each_state(),
        pauses: one_pause_of_each_activity(),
        lines: lines.chain((3_000..3_100).map(|number| large_line(number, number))).collect(),
        granted: Sequence::new(900),
        next: Sequence::new(5_000),
        ..group(4)
    };
    ledger.commit(everything).await.unwrap();
    // Some history goes, and watchers must be told so by the copy as well.
    ledger.retain(at(1_500), u64::MAX).await.unwrap();
    drop(ledger);
    let before = place.opened().await.unwrap();
    let lines = place.sled().reader().lines(Sequence::ZERO, 10_000).await.unwrap();
    let resumable = place.sled().reader().resumable();
    assert!(lines.len() > 1_000 && resumable.revision > Revision(0), "nothing went: {resumable:?}");
    place.stop();

    let projects = [(project("default"), opening().pid)];
    let file = place.data().with_file_name("backup");
    let offline = Offline::open(place.settings.clone()).unwrap();
    let making = Making { at: at(7), version: "1.2.3" };
    assert_eq!(offline.export(&projects, &file, &making).unwrap().len(), 1);
    offline.close().unwrap();

    let settings = Settings { boot_id: Some(1), ..Settings::at(file.with_file_name("copy")) };
    let imported = import(&settings, &file, &projects).unwrap();
    assert_eq!((imported.made, imported.version.as_str()), (at(7), "1.2.3"));
    let volume = Volume::open(settings).unwrap();
    let mut copy = volume.ledger(&project("default"));
    let after = copy.open(opening()).await.unwrap();
    assert_eq!(after.suspect_below, Some(before.next), "L1: nobody vouches for it");
    assert!(after.epoch > before.epoch);
    let same = Opened { epoch: before.epoch, suspect_below: before.suspect_below, ..after };
    // Digests and keys of requests show in no `Debug`, so the parts that have them are compared.
    assert!(same.tokens == before.tokens && same.orders == before.orders);
    assert_eq!(format!("{same:?}"), format!("{before:?}"));
    assert!(copy.reader().lines(Sequence::ZERO, 10_000).await.unwrap() == lines);
    assert_eq!(copy.reader().resumable().revision, resumable.revision);
}
