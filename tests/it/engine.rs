//! The engine with a memory ledger and a scripted supplier, in paused time.

mod calls;
mod chores;
mod clearing;
mod closing;
mod commit;
mod listings;
mod pools;
mod recovery;
mod repeated;
mod stop;
mod time;
mod told;
mod trials;
mod waiting;
mod watch;

use std::{sync::atomic::Ordering, time::Duration};

use argospool::{
    domain::{
        fault::Reason,
        ids::{Owner, RequestId},
        token::{Ending, Request},
    },
    engine::{Handle, LeaseView},
    port::{Doubtful, DoubtfulCause, Outcome},
    store::memory::Memory,
};

use crate::world::{Bench, Watched, ended, policy, wish};

const NO_WAIT: Duration = Duration::ZERO;

pub fn doubtful<T>(cause: DoubtfulCause) -> Outcome<T> {
    Outcome::Doubtful(Doubtful { cause, retry_after: None })
}

/// A pool whose first order is out and not answered.
pub async fn with_an_order_out(ledger: Memory) -> Bench {
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.supplier.script(|script| script.silent = true);
    bench.until("an order is out", |_| bench.supplier.registrations().len() == 1).await;
    bench
}

/// A request of uid:1.
pub fn request(handle: &Handle, number: u128, wish: &[u8]) -> Request {
    let (owner, id, seal) = (Owner::parse("uid:1").unwrap(), RequestId(number), handle.seal());
    Request { id, key: seal.request_key(&owner, id), digest: seal.digest(wish) }
}

pub fn url(view: &LeaseView) -> String {
    match view {
        LeaseView::Open { token, lease, .. } => match &lease.holder {
            argospool::domain::token::Holder::Caller { url, .. } => {
                assert!(url.contains(token.expose()));
                url.to_string()
            }
            argospool::domain::token::Holder::Presumed => panic!("nobody holds it"),
        },
        LeaseView::Closed(_) => panic!("the lease is closed"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_fills_to_its_target_in_full_batches() {
    let bench = Bench::start(policy(5_000, 1_000), Memory::default()).await;
    let status = bench.filled().await;
    assert_eq!(status.census.ready, 5_000);
    let batches: Vec<_> = bench.supplier.registrations().iter().map(Vec::len).collect();
    assert_eq!(batches, [500; 10]);
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_one_order_to_be_written_and_never_for_several() {
    let ledger = Watched::new(Memory::default());
    let minted_at_once = ledger.minted_at_once.clone();
    let bench = Bench::start(policy(5_000, 1_000), ledger).await;
    bench.filled().await;
    assert_eq!(minted_at_once.load(Ordering::Relaxed), 500);
}

/// R2.
#[tokio::test(start_paused = true)]
async fn calls_that_are_left_and_may_not_register_are_told_as_a_spent_budget() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.supplier.script(|script| script.none_for_orders = true);
    let problems = bench.handle.status().await.unwrap().problems();
    assert_eq!(problems[0].reason, "BUDGET_SPENT");
    assert!(problems[0].summary.contains("1000 calls that are left"), "{problems:?}");
}

#[tokio::test(start_paused = true)]
async fn every_lease_gets_a_url_of_its_own() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let mut urls = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let wanted = vec![wish(&bench.handle, "uid:1", None)];
        let views = bench.handle.lease(wanted, NO_WAIT).await.unwrap();
        assert!(urls.insert(url(&views[0])), "a URL was given twice");
    }
    bench.stop.cancel();
    ended(bench.running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_confirmation_never_costs_a_second_token() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    faults.lose_answer();
    let wanted = vec![wish(&bench.handle, "uid:1", Some(7))];
    let doubt = bench.handle.lease(wanted.clone(), NO_WAIT).await.unwrap_err();
    assert_eq!(doubt.reason, Reason::CommitDoubtful);
    let again = bench.handle.lease(wanted.clone(), NO_WAIT).await.unwrap();
    assert_eq!(url(&again[0]), url(&bench.handle.lease(wanted, NO_WAIT).await.unwrap()[0]));
    let status = bench.handle.status().await.unwrap();
    assert_eq!((status.census.ready, status.census.leased), (499, 1));
}

#[tokio::test(start_paused = true)]
async fn a_doubtful_order_is_repeated_with_exactly_its_ids_and_ready_only_when_no_copy_is_late() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.supplier.script(|script| {
        script.registrations.push_back(doubtful(DoubtfulCause::Unanswered));
    });
    bench
        .until("the order is settled", |status| {
            status.doubtful_orders == 0
                && status.census.minted == 500
                && status.oldest_doubt.is_none()
        })
        .await;
    bench.until("both attempts were made", |_| bench.supplier.registrations().len() == 2).await;
    let began = tokio::time::Instant::now();
    bench.filled().await;
    assert!(began.elapsed() > Duration::from_secs(100), "{:?}", began.elapsed());
    let sent = bench.supplier.registrations();
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test(start_paused = true)]
async fn an_unused_lease_lapses_and_its_token_is_deleted_after_the_grace() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let wanted = vec![wish(&bench.handle, "uid:1", Some(1))];
    let sequence = bench.handle.lease(wanted, NO_WAIT).await.unwrap()[0].sequence();
    bench.until("it lapses", |status| status.census.leased == 0).await;
    let found = bench.handle.find(argospool::engine::Which::Sequence(sequence)).await.unwrap();
    let Some(LeaseView::Closed(line)) = found else { panic!("not closed: {found:?}") };
    assert_eq!(line.ending, Ending::Lapsed);
    assert!(bench.supplier.deletions().is_empty());
    bench.until("it is deleted", |status| status.census.doomed == 0).await;
    assert_eq!(bench.supplier.deletions().len(), 1);
}
