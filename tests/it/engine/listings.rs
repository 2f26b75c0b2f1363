//! What is compared with ARGOS on a person's word, and one token at a time.

use std::time::Duration;

use argospool::{
    domain::{
        ids::{Sequence, TokenId},
        pool::{Reconciliation, Unwanted},
        token::Stage,
    },
    store::memory::Memory,
};

use crate::world::{Bench, policy};

/// A pool of 500 where somebody else registered two ids, and so many of ours are not known any more.
async fn missing(number: usize) -> Bench {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| {
        let gone: Vec<_> = script.known.iter().take(number).cloned().collect();
        script.known.retain(|token| !gone.contains(token));
        script.known.extend(["theirs-1", "theirs-2"].map(|id| TokenId::parse(id).unwrap()));
    });
    bench
}

async fn found(bench: &Bench) -> Reconciliation {
    let found = |status: &argospool::engine::Status| status.reconciliation.is_some();
    let status = bench.until("a listing is judged", found).await;
    status.reconciliation.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_lists_once_tells_what_it_found_and_changes_nothing() {
    let bench = missing(3).await;
    let handle = &bench.handle;
    assert_eq!(handle.reconciliation().await.unwrap(), (false, None));
    // An audit looks at our books alone.
    let (breaches, held) = handle.audit().await.unwrap();
    assert!(breaches.is_empty() && held == 500);
    bench.supplier.script(|script| script.held = true);
    handle.reconcile(true).await.unwrap();
    assert_eq!(handle.reconciliation().await.unwrap(), (true, None), "it may not leave yet");
    bench.supplier.script(|script| script.held = false);
    let told = found(&bench).await;
    assert!(told.dry_run && !told.void && !told.braked);
    assert_eq!((told.listed, told.held, told.foreign, told.missing), (499, 500, 2, 3));
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    assert_eq!(handle.reconciliation().await.unwrap(), (false, Some(told)));
    assert_eq!(bench.handle.status().await.unwrap().census.ready, 500);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_twice_is_taken_out_and_what_is_foreign_on_a_persons_word() {
    let bench = missing(3).await;
    bench.handle.reconcile(false).await.unwrap();
    bench.until("three are taken out", |status| status.census.ready == 497).await;
    let told = found(&bench).await;
    assert!(!told.dry_run);
    assert_eq!((told.vanished_ready, told.foreign), (3, 2));
    let deleted = || bench.supplier.deletions().concat();
    assert!(!deleted().iter().any(|token| token.expose().starts_with("theirs")));
    bench.handle.delete_foreign(Unwanted::Strangers).await.unwrap();
    let theirs = |deleted: Vec<TokenId>| {
        deleted.iter().filter(|token| token.expose().starts_with("theirs")).count()
    };
    bench.until("they are deleted", |_| theirs(deleted()) == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_loss_waits_for_a_person_who_accepts_it() {
    let bench = missing(100).await;
    bench.handle.reconcile(false).await.unwrap();
    let status = bench.until("it is braked", |status| status.braked == 100).await;
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    assert_eq!(status.census.doomed, 0);
    bench.handle.accept_loss().await.unwrap();
    bench.until("it is taken out", |status| status.braked == 0).await;
    let census = bench.handle.status().await.unwrap().census;
    assert_eq!((census.ready, census.held_back), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_shown_with_the_order_that_it_waits_for() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.supplier.script(|script| script.silent = true);
    bench.until("an order is out", |status| status.census.minted == 500).await;
    let (token, order) = bench.handle.token(Sequence::new(7)).await.unwrap().unwrap();
    assert_eq!(token.sequence, Sequence::new(7));
    let order = order.unwrap();
    assert_eq!((order.id.0, order.tokens), (Sequence::ZERO, 500));
    bench.supplier.script(|script| script.silent = false);
    bench.filled().await;
    let (token, order) = bench.handle.token(Sequence::new(7)).await.unwrap().unwrap();
    assert!(matches!(token.stage, Stage::Ready { .. }) && order.is_none());
    assert!(bench.handle.token(Sequence::new(500)).await.unwrap().is_none());
}
