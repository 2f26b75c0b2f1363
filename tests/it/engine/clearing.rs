//! The end on request of a pool whose ledger will not be there for the next process (hard case 14, S2).

use std::time::Duration;

use argospool::{
    domain::{fault::Reason, pool::Policy},
    port::{DoubtfulCause, Outcome, Refused, RefusedCause},
    store::memory::Memory,
};
use tokio::time::Instant;

use super::doubtful;
use crate::world::{Bench, Scripted, ended, policy, settings};

const GRACE: Duration = Duration::from_secs(25);

fn ephemeral(target: u32) -> Policy {
    Policy { ephemeral: true, ..policy(target, target / 5) }
}

impl Bench {
    /// As the daemon does at SIGTERM.
    fn told_to_stop(&self) {
        self.handle.ends_by(Instant::now() + GRACE);
        self.stop.cancel();
    }

    fn known(&self) -> usize {
        self.supplier.script(|script| script.known.len())
    }
}

/// How many tokens a next process over the same ledger finds: ready, leased, doomed, minted.
async fn found_by_the_next(ledger: Memory) -> (u32, u32, u32, u32) {
    let supplier = Scripted::new();
    supplier.script(|script| script.held = true);
    let next = Bench::with(ephemeral(500), settings(), ledger, supplier).await;
    let census = next.handle.status().await.unwrap().census;
    (census.ready, census.leased, census.doomed, census.minted)
}

#[tokio::test(start_paused = true)]
async fn a_stop_deletes_what_nobody_holds_in_full_calls_and_leaves_what_a_caller_does() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(1_500), ledger).await;
    bench.filled().await;
    bench.lease("uid:1", None).await.unwrap();
    let began = Instant::now();
    bench.told_to_stop();
    let late = bench.lease("uid:1", None).await.unwrap_err();
    assert_eq!(late.reason, Reason::Draining);
    let (supplier, known) = (bench.supplier.clone(), || bench.supplier.script(|it| it.known.len()));
    ended(bench.running).await.unwrap();
    assert_eq!(known(), 1, "the one that was leased");
    let calls: Vec<_> = supplier.deletions().iter().map(Vec::len).collect();
    assert_eq!(calls, [500, 500, 499]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(found_by_the_next(twin).await, (0, 1, 0, 0));
}

/// S2: after a failure the next process may find the ledger.
#[tokio::test(start_paused = true)]
async fn a_pool_that_nobody_told_to_stop_keeps_its_stock() {
    let bench = Bench::start(ephemeral(500), Memory::default()).await;
    bench.filled().await;
    bench.stop.cancel();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert!(supplier.deletions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_persistent_ledger_keeps_its_stock() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert!(supplier.deletions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_only_looks_takes_no_stock_along() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.filled().await;
    bench.crash().await;
    let trials = argospool::engine::Settings { trials_only: true, ..settings() };
    let bench = Bench::with(ephemeral(500), trials, twin.twin(), Scripted::new()).await;
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert!(supplier.deletions().is_empty());
    assert_eq!(found_by_the_next(twin).await, (500, 0, 0, 0));
}

/// B3, S2: its tokens are deleted when no copy of the call can arrive any more.
#[tokio::test(start_paused = true)]
async fn what_an_order_in_flight_brings_is_deleted_too() {
    let bench = Bench::start(ephemeral(500), Memory::default()).await;
    bench.supplier.script(|script| script.silent = true);
    bench.until("an order is out", |_| bench.supplier.registrations().len() == 1).await;
    bench.told_to_stop();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!bench.running.is_finished() && bench.known() == 500);
    let answered = Instant::now();
    bench.supplier.script(|script| script.silent = false);
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert_eq!(supplier.script(|script| script.known.len()), 0);
    assert_eq!(supplier.registrations().len(), 1, "nothing is ordered any more");
    let waited = answered.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(5), "{waited:?}");
}

/// B3: nobody knows whether they are there, so they are left, and known to be.
#[tokio::test(start_paused = true)]
async fn what_an_unanswered_order_may_have_brought_is_left_and_written_down() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.supplier.script(|script| {
        script.registrations.push_back(doubtful(DoubtfulCause::Unanswered));
        script.silent = true;
    });
    bench.until("an order is out", |_| bench.supplier.registrations().len() == 1).await;
    bench.told_to_stop();
    let began = Instant::now();
    bench.supplier.script(|script| script.silent = false);
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "waiting is in vain");
    assert!(supplier.deletions().is_empty());
    assert_eq!(found_by_the_next(twin).await, (0, 0, 500, 0));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_argos_refused_is_forgotten() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.supplier.script(|script| {
        let refused = Refused { cause: RefusedCause::Throttled, retry_after: None };
        script.registrations.push_back(Outcome::Refused(refused));
        script.silent = true;
    });
    bench.until("an order is out", |_| bench.supplier.registrations().len() == 1).await;
    bench.told_to_stop();
    bench.supplier.script(|script| script.silent = false);
    ended(bench.running).await.unwrap();
    assert_eq!(found_by_the_next(twin).await, (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_failed_is_repeated_in_the_time_there_is() {
    let bench = Bench::start(ephemeral(500), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| {
        script.deletions.push_back(doubtful(DoubtfulCause::Failed));
    });
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert_eq!(supplier.deletions().len(), 2);
    assert_eq!(supplier.script(|script| script.known.len()), 0);
}

/// S2: the process ends by itself, within its grace.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_not_answered_holds_up_nobody() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.filled().await;
    bench.supplier.script(|script| script.silent_deletions = true);
    let began = Instant::now();
    bench.told_to_stop();
    ended(bench.running).await.unwrap();
    assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
    assert_eq!(found_by_the_next(twin).await, (0, 0, 500, 0), "decided, and not known to be done");
}

#[tokio::test(start_paused = true)]
async fn where_no_call_may_leave_a_stop_ends_in_time() {
    let bench = Bench::start(ephemeral(500), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| script.held = true);
    let began = Instant::now();
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
    assert!(supplier.deletions().is_empty());
}

/// R2.
#[tokio::test(start_paused = true)]
async fn calls_that_were_kept_for_orders_are_spent_on_deletions() {
    let bench = Bench::start(ephemeral(500), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| script.held_purge = true);
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert_eq!(supplier.script(|script| script.known.len()), 0);
}

/// S1: what was decided is done by whoever finds the ledger.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_while_it_clears_leaves_the_rest_to_the_next() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.filled().await;
    bench.supplier.script(|script| script.silent_deletions = true);
    bench.told_to_stop();
    bench.until("a deletion is out", |_| !bench.supplier.deletions().is_empty()).await;
    let supplier = bench.supplier.clone();
    bench.crash().await;
    supplier.script(|script| script.silent_deletions = false);
    let next = Bench::with(ephemeral(500), settings(), twin, supplier).await;
    next.until("they are deleted", |status| status.census.doomed == 0).await;
    let status = next.filled().await;
    assert_eq!((status.census.ready, next.known()), (500, 500));
}

/// J2.
#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_while_the_pool_is_cleared_is_made_good() {
    let ledger = Memory::default();
    let (faults, twin) = (ledger.faults(), ledger.twin());
    let bench = Bench::start(ephemeral(500), ledger).await;
    bench.filled().await;
    faults.lose_answer();
    bench.told_to_stop();
    let supplier = bench.supplier.clone();
    ended(bench.running).await.unwrap();
    assert_eq!(supplier.script(|script| script.known.len()), 0);
    assert_eq!(found_by_the_next(twin).await, (0, 0, 0, 0));
}
