//! A killed process loses nothing acknowledged and invents nothing (S1); an older past of a ledger
//! shows nothing twice (L1).

use std::{collections::BTreeSet, time::Duration};

use argospool::{
    domain::{ids::Sequence, pause::Activity},
    port::DoubtfulCause,
    store::memory::Memory,
};

use super::{doubtful, url, with_an_order_out};
use crate::world::{Bench, ended, policy, settings};

/// S1, L3.
#[tokio::test(start_paused = true)]
async fn a_killed_process_loses_no_lease_and_gives_no_token_twice() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let mut urls = BTreeSet::new();
    for number in 0..20 {
        urls.insert(url(&bench.lease("uid:1", Some(number)).await.unwrap()));
    }
    let supplier = bench.supplier.clone();
    bench.crash().await;

    let bench = Bench::with(policy(500, 100), settings(), twin, supplier).await;
    for number in 0..20 {
        assert!(urls.contains(&url(&bench.lease("uid:1", Some(number)).await.unwrap())));
    }
    let fresh = url(&bench.lease("uid:1", Some(99)).await.unwrap());
    assert!(urls.insert(fresh), "a token was given twice");
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 21);
}

/// S1, B3.
#[tokio::test(start_paused = true)]
async fn an_order_that_was_out_when_the_process_died_is_settled_with_the_same_ids() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = with_an_order_out(ledger).await;
    let supplier = bench.supplier.clone();
    bench.crash().await;

    supplier.script(|script| script.silent = false);
    let bench = Bench::with(policy(500, 100), settings(), twin, supplier).await;
    let began = tokio::time::Instant::now();
    bench.filled().await;
    assert!(began.elapsed() >= Duration::from_secs(120), "a late copy may come");
    let sent = bench.supplier.registrations();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

/// S1, B2: an order that was never durable was never sent.
#[tokio::test(start_paused = true)]
async fn no_id_reaches_argos_that_is_not_in_the_ledger() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    faults.hang_commit();
    let bench = Bench::start(policy(500, 100), ledger).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(bench.supplier.registrations().is_empty());
    faults.release();
    bench.until("it is sent", |_| bench.supplier.registrations().len() == 1).await;
}

/// R1, C2: what ARGOS answers while nothing can be written down is lost, and asked for again.
#[tokio::test(start_paused = true)]
async fn an_answer_that_came_while_the_ledger_was_closed_is_asked_for_again() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    bench.supplier.script(|script| (script.silent, script.silent_deletions) = (true, true));
    let lease = bench.lease("uid:1", None).await.unwrap().sequence();
    bench.handle.release(lease, None, None).await.unwrap();
    bench.handle.refill(499).await.unwrap();
    bench.until("two calls are out", |status| status.calls_in_flight == 2).await;
    faults.set_full(true);
    // The second failure in a row closes the ledger for a second.
    for _ in 0..2 {
        let paused = bench.handle.pause(vec![Activity::Leasing], String::new(), String::new());
        paused.await.unwrap_err();
    }
    bench.supplier.script(|script| (script.silent, script.silent_deletions) = (false, false));
    tokio::time::sleep(Duration::from_millis(500)).await;
    faults.set_full(false);
    bench.until("the token is gone", |status| status.census.doomed == 0).await;
    bench.until("the order is settled", |status| status.census.ready > 900).await;
    assert_eq!((bench.supplier.deletions().len(), bench.supplier.registrations().len()), (2, 3));
    // A stop waits for calls that are out, and none is taken to be.
    bench.stop.cancel();
    ended(bench.running).await.unwrap();
}

/// L1.
#[tokio::test(start_paused = true)]
async fn an_older_past_of_a_ledger_hands_out_nothing_that_may_have_been_shown() {
    let ledger = Memory::default();
    let (twin, other) = (ledger.twin(), ledger.twin());
    let faults = ledger.faults();
    let bench = Bench::start(policy(5_000, 1_000), ledger).await;
    bench.filled().await;
    let supplier = bench.supplier.clone();
    bench.crash().await;

    faults.set_suspect_below(Some(Sequence::new(1_300)));
    let bench = Bench::with(policy(5_000, 1_000), settings(), twin, supplier.clone()).await;
    let census = bench.handle.status().await.unwrap().census;
    assert_eq!((census.leased, census.ready), (1_300, 3_700));
    assert_eq!(bench.lease("uid:1", None).await.unwrap().sequence().get(), 1_300);
    bench.crash().await;

    // It was durable before anything was handed out.
    faults.set_suspect_below(None);
    let bench = Bench::with(policy(5_000, 1_000), settings(), other, supplier).await;
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 1_301);
}

/// L1: leases are named after sequences.
#[tokio::test(start_paused = true)]
async fn an_older_past_of_a_ledger_gives_no_sequence_out_again() {
    let ledger = Memory::default();
    ledger.faults().set_suspect_below(Some(Sequence::new(7_000)));
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    assert_eq!(bench.lease("uid:1", None).await.unwrap().sequence().get(), 7_000);
}

/// S1: the doubt about an order survives the process that had it.
#[tokio::test(start_paused = true)]
async fn an_order_in_doubt_is_in_doubt_after_a_crash() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.supplier.script(|script| {
        script.registrations.push_back(doubtful(DoubtfulCause::Unanswered));
    });
    let status = bench.until("it is in doubt", |status| status.doubtful_orders == 1).await;
    let supplier = bench.supplier.clone();
    bench.crash().await;
    let bench = Bench::with(policy(500, 100), settings(), twin, supplier).await;
    let again = bench.handle.status().await.unwrap();
    assert_eq!(again.doubtful_orders, 1);
    assert_eq!(again.oldest_doubt, status.oldest_doubt);
}
