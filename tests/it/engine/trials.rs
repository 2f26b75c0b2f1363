//! A token there and back through a running engine, and an engine that does nothing else.

use argospool::{
    domain::fault::Reason,
    engine::Settings,
    port::{DoubtfulCause, Outcome, Refused, RefusedCause},
    store::memory::Memory,
};

use super::{doubtful, with_an_order_out};
use crate::world::{Bench, Scripted, policy, settings};

const ONLY: fn() -> Settings = || Settings { trials_only: true, ..settings() };

/// Waits until the pool knows how many ids ARGOS holds.
async fn counted(bench: &Bench) {
    bench.until("ARGOS is asked how many there are", |status| status.count.is_some()).await;
}

/// B2.
#[tokio::test(start_paused = true)]
async fn a_trial_is_registered_alone_and_deleted_alone() {
    let bench = Bench::with(policy(500, 100), ONLY(), Memory::default(), Scripted::new()).await;
    counted(&bench).await;
    let sequence = bench.handle.begin_trial().await.unwrap();
    bench.until("it is ready", |status| status.census.ready == 1).await;
    bench.handle.end_trial(sequence).await.unwrap();
    bench.until("it is gone", |status| status.census.held() == 0).await;
    let (registered, deleted) = (bench.supplier.registrations(), bench.supplier.deletions());
    assert_eq!((registered.len(), registered[0].len()), (1, 1));
    assert_eq!(registered, deleted);
}

#[tokio::test(start_paused = true)]
async fn an_engine_for_trials_leaves_the_very_first_order_alone() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = with_an_order_out(ledger).await;
    let supplier = bench.supplier.clone();
    bench.crash().await;
    supplier.script(|script| script.silent = false);

    let bench = Bench::with(policy(500, 100), ONLY(), twin, supplier).await;
    counted(&bench).await;
    tokio::time::sleep(std::time::Duration::from_secs(3_000)).await;
    assert_eq!(bench.supplier.registrations().len(), 1);
    assert_eq!(bench.handle.status().await.unwrap().census.minted, 500);
}

#[tokio::test(start_paused = true)]
async fn an_engine_for_trials_moves_nothing_that_it_finds() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let lease = bench.lease("uid:1", Some(1)).await.unwrap().sequence();
    bench.handle.revoke(lease, None, None).await.unwrap();
    bench.until("a link is dead", |status| status.census.doomed == 0).await;
    bench.lease("uid:1", Some(2)).await.unwrap();
    bench.supplier.script(|script| script.silent = true);
    bench.handle.refill(400).await.unwrap();
    bench.until("an order is out", |_| bench.supplier.registrations().len() == 2).await;
    let before = bench.handle.status().await.unwrap().census;
    let supplier = bench.supplier.clone();
    let sent = supplier.script(|script| {
        script.silent = false;
        script.sent.clone()
    });
    bench.crash().await;

    let bench = Bench::with(policy(500, 100), ONLY(), twin, supplier).await;
    counted(&bench).await;
    // Past the end of every order and every lease that there is.
    tokio::time::sleep(std::time::Duration::from_secs(3_000)).await;
    let after = bench.handle.status().await.unwrap().census;
    assert_eq!(before, after);
    let new = bench.supplier.script(|script| script.sent.split_off(sent.len()));
    let changing = new.iter().filter(|call| {
        use crate::world::Sent::{Delete, Register};
        matches!(call, Register(_) | Delete(_))
    });
    assert_eq!(changing.count(), 0);
}

/// What a trial left behind that died with its process is finished, because until then it is counted
/// as somebody else's.
#[tokio::test(start_paused = true)]
async fn the_trial_of_a_process_that_died_is_settled_by_the_next() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::with(policy(500, 100), ONLY(), ledger, Scripted::new()).await;
    counted(&bench).await;
    bench
        .supplier
        .script(|script| script.registrations.push_back(doubtful(DoubtfulCause::Unanswered)));
    bench.handle.begin_trial().await.unwrap();
    bench.until("it is out", |_| bench.supplier.registrations().len() == 1).await;
    let supplier = bench.supplier.clone();
    bench.crash().await;

    let bench = Bench::with(policy(500, 100), ONLY(), twin, supplier).await;
    bench.until("it is settled", |status| status.doubtful_orders == 0).await;
    bench.until("it is ours", |status| status.count.is_some() && status.foreign == 0).await;
    let sent = bench.supplier.registrations();
    assert!(sent.len() > 1 && sent.iter().all(|ids| *ids == sent[0]), "B3");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_trial_outlives_its_process() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::with(policy(500, 100), ONLY(), ledger, Scripted::new()).await;
    counted(&bench).await;
    let sequence = bench.handle.begin_trial().await.unwrap();
    bench.until("it is ready", |status| status.census.ready == 1).await;
    bench.supplier.script(|script| script.held = true);
    bench.handle.end_trial(sequence).await.unwrap();
    let supplier = bench.supplier.clone();
    bench.crash().await;
    assert_eq!(supplier.deletions().len(), 0);

    supplier.script(|script| script.held = false);
    let bench = Bench::with(policy(500, 100), ONLY(), twin, supplier).await;
    bench.until("it is gone", |status| status.census.held() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_argos_turned_down_is_forgotten() {
    let bench = Bench::with(policy(500, 100), ONLY(), Memory::default(), Scripted::new()).await;
    counted(&bench).await;
    let refused = Refused { cause: RefusedCause::Transfer, retry_after: None };
    bench.supplier.script(|script| {
        script.registrations.extend((0..50).map(|_| Outcome::Refused(refused)));
    });
    let sequence = bench.handle.begin_trial().await.unwrap();
    bench
        .until("it is refused", |status| {
            bench.supplier.registrations().len() == 1 && status.calls_in_flight == 0
        })
        .await;
    bench.handle.end_trial(sequence).await.unwrap();
    assert_eq!(bench.handle.status().await.unwrap().census.held(), 0);
}

/// C1.
#[tokio::test(start_paused = true)]
async fn before_the_first_count_and_without_room_nothing_is_tried() {
    let supplier = Scripted::new();
    supplier.script(|script| script.held = true);
    let bench = Bench::with(policy(500, 100), ONLY(), Memory::default(), supplier).await;
    assert_eq!(bench.handle.begin_trial().await.unwrap_err().reason, Reason::Starting);
    bench.supplier.script(|script| (script.held, script.foreign) = (false, 100_000));
    counted(&bench).await;
    assert_eq!(bench.handle.begin_trial().await.unwrap_err().reason, Reason::CapReached);
    assert_eq!(bench.supplier.registrations().len(), 0);
}
