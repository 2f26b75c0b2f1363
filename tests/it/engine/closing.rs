//! What closes leases on somebody's word, and the pages they are read in.

use std::time::Duration;

use argospool::{
    domain::{
        fault::Reason,
        ids::{Owner, Sequence},
        pool::Replacement,
        token::{Ending, Stage, Token},
    },
    engine::{LeaseView, Which},
    store::memory::Memory,
};

use super::{NO_WAIT, request};
use crate::{
    links::blank,
    world::{Bench, policy, wish},
};

fn replacement() -> Replacement {
    Replacement { ttl: Duration::from_secs(600), blank: blank() }
}

fn ending(view: &LeaseView) -> Option<Ending> {
    match view {
        LeaseView::Open { .. } => None,
        LeaseView::Closed(line) => Some(line.ending),
    }
}

fn sequences(views: &[LeaseView]) -> Vec<u64> {
    views.iter().map(|view| view.sequence().get()).collect()
}

/// A pool out of which so many leases were taken.
async fn with_leases(number: usize) -> (Bench, Vec<LeaseView>) {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let wanted = vec![wish(&bench.handle, "uid:1", None); number];
    let leases = bench.handle.lease(wanted, NO_WAIT).await.unwrap();
    (bench, leases)
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_revoked_is_revoked_still_and_only_for_its_owner() {
    let (bench, leases) = with_leases(1).await;
    let (handle, lease) = (&bench.handle, leases[0].sequence());
    let owner = |name| Some(Owner::parse(name).unwrap());
    let word = |number| request(handle, number, b"revoke");
    let view = handle.revoke(lease, owner("uid:1"), Some(word(1))).await.unwrap();
    assert_eq!(ending(&view), Some(Ending::Revoked));
    let again = handle.revoke(lease, owner("uid:1"), Some(word(1))).await.unwrap();
    assert_eq!((again.sequence(), ending(&again)), (lease, Some(Ending::Revoked)));
    // When the token is gone the line is all there is.
    bench.until("the link is dead", |status| status.census.doomed == 0).await;
    for owner in [owner("uid:1"), None] {
        let again = handle.revoke(lease, owner, None).await.unwrap();
        assert_eq!((again.sequence(), ending(&again)), (lease, Some(Ending::Revoked)));
    }
    let refused = handle.revoke(lease, owner("uid:2"), None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseNotFound);
    let other = Some(request(handle, 1, b"something else"));
    let refused = handle.revoke(lease, owner("uid:1"), other).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RequestIdReused);
}

/// L3.
#[tokio::test(start_paused = true)]
async fn a_revocation_under_the_request_id_of_something_else_that_is_over_revokes_nothing() {
    let (bench, leases) = with_leases(2).await;
    let handle = &bench.handle;
    let [first, second] = [0, 1].map(|number: usize| leases[number].sequence());
    handle.revoke(first, None, Some(request(handle, 1, b"the first"))).await.unwrap();
    let other = Some(request(handle, 1, b"the second"));
    let refused = handle.revoke(second, None, other).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RequestIdReused);
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 1);
}

#[tokio::test(start_paused = true)]
async fn those_of_many_that_are_revoked_are_counted() {
    let (bench, leases) = with_leases(300).await;
    let handle = &bench.handle;
    let all: Vec<_> = leases.iter().map(LeaseView::sequence).collect();
    handle.release(all[7], None, None).await.unwrap();
    assert_eq!(handle.revoke_all(all[..4].to_vec()).await.unwrap(), 4);
    assert_eq!(handle.revoke_all(all.clone()).await.unwrap(), 299, "and one was given back before");
    assert_eq!(handle.revoke_all(vec![Sequence::new(1_000)]).await.unwrap(), 0);
    bench.until("all links are dead", |status| status.census.doomed == 0).await;
    assert_eq!(handle.revoke_all(all).await.unwrap(), 299);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_replaced_once_and_by_its_owner() {
    let (bench, leases) = with_leases(2).await;
    let (handle, first) = (&bench.handle, leases[0].sequence());
    let owner = |name| Some(Owner::parse(name).unwrap());
    let replace =
        |sequence, owner, request| handle.replace(sequence, owner, request, replacement(), NO_WAIT);
    let refused = replace(first, owner("uid:2"), None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseNotFound);
    let word = request(handle, 1, b"replace");
    let (next, replaced) = replace(first, owner("uid:1"), Some(word)).await.unwrap();
    assert_eq!((replaced.sequence(), ending(&replaced)), (first, Some(Ending::Replaced)));
    assert_eq!(ending(&next), None);
    let (again, _) = replace(first, owner("uid:1"), Some(word)).await.unwrap();
    assert_eq!(again.sequence(), next.sequence());
    let refused = replace(first, owner("uid:1"), None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseReplaced);
    bench.until("the link is dead", |status| status.census.doomed == 0).await;
    for owner in [owner("uid:1"), None] {
        let refused = replace(first, owner, None).await.unwrap_err();
        assert_eq!(refused.reason, Reason::LeaseReplaced);
        assert!(refused.message.contains(&handle.seal().lease_id(next.sequence()).to_string()));
    }
    let other = Some(request(handle, 1, b"something else"));
    let refused = replace(first, owner("uid:1"), other).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RequestIdReused);

    let second = leases[1].sequence();
    handle.release(second, None, None).await.unwrap();
    bench.until("it is deleted", |status| status.census.doomed == 0).await;
    let refused = replace(second, None, None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseClosed);
    let refused = replace(second, owner("uid:2"), None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseNotFound);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_waits_for_a_token_as_long_as_it_was_told_to() {
    let (bench, leases) = with_leases(500).await;
    let (handle, first) = (&bench.handle, leases[0].sequence());
    bench.supplier.script(|script| script.held_refill = true);
    // What was on its way arrives.
    tokio::time::sleep(Duration::from_secs(60)).await;
    while bench.lease("uid:1", None).await.is_ok() {}
    let began = tokio::time::Instant::now();
    let refused = handle.replace(first, None, None, replacement(), NO_WAIT).await.unwrap_err();
    assert_eq!((refused.reason, began.elapsed()), (Reason::PoolEmpty, Duration::ZERO));
    let wait = Duration::from_secs(20);
    let refused = handle.replace(first, None, None, replacement(), wait).await.unwrap_err();
    assert_eq!((refused.reason, began.elapsed()), (Reason::PoolEmpty, wait));
    let waiting = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.replace(first, None, None, replacement(), wait).await })
    };
    bench.supplier.script(|script| script.held_refill = false);
    let (next, replaced) = waiting.await.unwrap().unwrap();
    assert_eq!((ending(&next), replaced.sequence()), (None, first));
}

#[tokio::test(start_paused = true)]
async fn pages_hold_open_and_closed_leases_in_order_and_say_where_the_next_begins() {
    let (bench, leases) = with_leases(10).await;
    let handle = &bench.handle;
    for closed in [1, 2, 5, 9] {
        handle.release(leases[closed].sequence(), None, None).await.unwrap();
    }
    let first = leases[0].sequence().get();
    let expected: Vec<u64> = (first..first + 10).collect();
    for limit in [1, 3, 9, 10, 11] {
        let (mut from, mut seen) = (Sequence::ZERO, Vec::new());
        loop {
            let page = handle.leases(from, limit).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(sequences(&page.items));
            let Some(next) = page.next else { break };
            assert_eq!(page.items.len(), limit, "only the last page may be short");
            from = next;
        }
        assert_eq!(seen, expected, "{limit} a page");
    }
    let all = handle.leases(Sequence::ZERO, 100).await.unwrap().items;
    let closed = all.iter().filter(|view| ending(view).is_some()).count();
    assert_eq!((all.len(), closed), (10, 4));
}

#[tokio::test(start_paused = true)]
async fn pages_of_tokens_hold_those_that_are_wanted() {
    let (bench, _) = with_leases(10).await;
    let leased = |token: &Token| matches!(token.stage, Stage::Leased(_));
    let page = bench.handle.tokens(Sequence::ZERO, 4, leased).await.unwrap();
    assert_eq!(page.items.len(), 4);
    let next = page.next.unwrap();
    assert_eq!(next.get(), page.items[3].sequence.get() + 1);
    let page = bench.handle.tokens(next, 6, leased).await.unwrap();
    assert_eq!((page.items.len(), page.next), (6, None));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_found_by_itself_open_and_closed_and_no_other_is() {
    let (bench, leases) = with_leases(2).await;
    let (handle, first) = (&bench.handle, leases[0].sequence());
    let find = |sequence| handle.find(Which::Sequence(sequence));
    assert_eq!(find(first).await.unwrap().map(|view| ending(&view)), Some(None));
    handle.release(first, None, None).await.unwrap();
    let found = find(first).await.unwrap().map(|view| ending(&view));
    assert_eq!(found, Some(Some(Ending::Released)));
    assert!(find(Sequence::new(1_000)).await.unwrap().is_none());
    // A token in stock is no lease.
    let ready = Sequence::new(leases[1].sequence().get() + 1);
    assert!(find(ready).await.unwrap().is_none());
}
