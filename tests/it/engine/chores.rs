//! What an engine does although no bell rings, and what it does when the disk fills up.

use std::{sync::atomic::Ordering, time::Duration};

use argospool::{
    domain::{
        fault::Reason,
        limits::FREE_SPACE_FLOOR,
        refill::{Hindrance, Rest},
    },
    engine::Settings,
    store::memory::Memory,
};

use crate::world::{Bench, Scripted, Sent, Watched, policy, settings};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn the_ids_at_argos_are_counted_although_no_bell_rings() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| script.sent.clear());
    tokio::time::sleep(4 * HOUR).await;
    let counts = bench.supplier.script(|it| it.sent.iter().filter(|it| it.is_count()).count());
    assert!((4..=8).contains(&counts), "{counts}");
}

#[tokio::test(start_paused = true)]
async fn a_count_that_finds_more_than_ours_shows_as_foreign() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| script.foreign = 42);
    bench.until("it is seen", |status| status.foreign == 42).await;
}

#[tokio::test(start_paused = true)]
async fn history_is_dropped_after_its_time_although_no_bell_rings() {
    let settings = Settings { retention: 24 * HOUR, ..settings() };
    let bench = Bench::with(policy(500, 100), settings, Memory::default(), Scripted::new()).await;
    bench.filled().await;
    let sequence = bench.lease("uid:1", None).await.unwrap().sequence();
    bench.handle.release(sequence, None, None).await.unwrap();
    let which = argospool::engine::Which::Sequence(sequence);
    tokio::time::sleep(20 * HOUR).await;
    assert!(bench.handle.find(which).await.unwrap().is_some());
    tokio::time::sleep(12 * HOUR).await;
    assert!(bench.handle.find(which).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ordered_while_the_disk_runs_short_and_leases_go_on() {
    let ledger = Watched::new(Memory::default());
    let free = ledger.free_bytes.clone();
    let settings = Settings { free_space_min: 256 << 20, ..settings() };
    let bench = Bench::with(policy(500, 400), settings, ledger, Scripted::new()).await;
    bench.filled().await;
    free.store(100 << 20, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(31)).await;
    for _ in 0..200 {
        bench.lease("uid:1", None).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = bench.handle.status().await.unwrap();
    assert_eq!(status.plan.rest, Some(Rest::Hindered(Hindrance::DiskSpace)));
    assert!(status.disk_low);
    assert_eq!(bench.supplier.registrations().len(), 1);
    // As much as is asked for is enough.
    free.store(256 << 20, Ordering::Relaxed);
    assert!(!bench.filled().await.disk_low);
}

#[tokio::test(start_paused = true)]
async fn callers_are_turned_away_before_the_ledger_meets_a_full_disk() {
    let ledger = Watched::new(Memory::default());
    let free = ledger.free_bytes.clone();
    let bench = Bench::with(policy(500, 100), settings(), ledger, Scripted::new()).await;
    bench.filled().await;
    free.store(FREE_SPACE_FLOOR - 1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let rejection = bench.lease("uid:1", None).await.unwrap_err();
    assert_eq!(rejection.reason, Reason::LedgerUnavailable);
    let status = bench.handle.status().await.unwrap();
    assert_eq!((status.leasable, status.stopped), (0, Some(Reason::LedgerUnavailable)));
    free.store(FREE_SPACE_FLOOR, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(31)).await;
    bench.lease("uid:1", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_taught_nothing_is_made_again_after_a_while() {
    let supplier = Scripted::new();
    supplier.script(|script| {
        script.finds.push_back(super::doubtful(argospool::port::DoubtfulCause::Unanswered));
    });
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    bench.filled().await;
    let finds = || {
        bench.supplier.script(|it| it.sent.iter().filter(|it| matches!(it, Sent::Find(_))).count())
    };
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(finds(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(finds(), 2);
}
