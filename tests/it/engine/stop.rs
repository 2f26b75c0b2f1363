//! The end on request (S2).

use std::time::Duration;

use argospool::{domain::fault::Reason, store::memory::Memory};

use super::with_an_order_out;
use crate::world::{Bench, Scripted, ended, policy, settings};

/// S2.
#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_calls_that_are_out_and_writes_down_what_became_of_them() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = with_an_order_out(ledger).await;
    bench.stop.cancel();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!bench.running.is_finished());
    bench.supplier.script(|script| script.silent = false);
    ended(bench.running).await.unwrap();

    let supplier = bench.supplier.clone();
    let next = Bench::with(policy(500, 100), settings(), twin, supplier).await;
    assert_eq!(next.handle.status().await.unwrap().doubtful_orders, 0, "it was settled");
}

/// S2: what is due is due for the next process.
#[tokio::test(start_paused = true)]
async fn no_call_begins_during_a_stop() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let given = bench.lease("uid:1", None).await.unwrap().sequence();
    bench.supplier.script(|script| script.silent = true);
    bench.handle.refill(500).await.unwrap();
    bench.until("an order is out", |status| status.calls_in_flight == 1).await;
    bench.stop.cancel();
    bench.handle.revoke(given, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.supplier.deletions(), Vec::<Vec<_>>::new());
    bench.supplier.script(|script| script.silent = false);
    ended(bench.running).await.unwrap();
}

/// S2.
#[tokio::test(start_paused = true)]
async fn callers_that_come_during_a_stop_are_sent_elsewhere() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let known = bench.lease("uid:1", Some(1)).await.unwrap().sequence();
    bench.supplier.script(|script| script.silent = true);
    bench.handle.refill(500).await.unwrap();
    bench.until("an order is out", |status| status.calls_in_flight == 1).await;
    bench.stop.cancel();
    let rejection = bench.lease("uid:1", Some(2)).await.unwrap_err();
    assert_eq!(rejection.reason, Reason::Draining);
    assert!(rejection.retry_after.is_some());
    // What was given stands, and reads are answered to the end.
    let which = argospool::engine::Which::Sequence(known);
    assert!(bench.handle.find(which).await.unwrap().is_some());
    bench.supplier.script(|script| script.silent = false);
    ended(bench.running).await.unwrap();
    let rejection = bench.handle.lease(Vec::new(), Duration::ZERO).await.unwrap_err();
    assert_eq!(rejection.reason, Reason::Draining);
}

/// S2.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_token_is_told_that_the_daemon_stops() {
    let supplier = Scripted::new();
    supplier.script(|script| script.silent = true);
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    let caller = bench.caller(None, Duration::from_secs(600));
    bench.until("it waits", |status| status.waiting_callers == 1).await;
    bench.stop.cancel();
    assert_eq!(ended(caller).await.unwrap_err().reason, Reason::Draining);
    bench.supplier.script(|script| script.silent = false);
    ended(bench.running).await.unwrap();
}

/// S2: what was never decided is not doubtful.
#[tokio::test(start_paused = true)]
async fn a_caller_who_comes_with_the_last_turn_is_sent_elsewhere_and_not_left_in_doubt() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    faults.hang_commit();
    let first = bench.caller(None, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.stop.cancel();
    let late: Vec<_> = (0..600).map(|_| bench.caller(None, Duration::ZERO)).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    faults.release();
    ended(first).await.unwrap();
    for caller in late {
        assert_eq!(ended(caller).await.unwrap_err().reason, Reason::Draining);
    }
    ended(bench.running).await.unwrap();
}
