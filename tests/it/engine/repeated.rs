//! What a repeated request is told about a lease that has closed (L3).

use std::time::Duration;

use argospool::{
    domain::{
        fault::Reason,
        ids::Owner,
        pool::Wanted,
        token::{Ending, Request},
    },
    engine::{Handle, LeaseView, Which},
    store::memory::Memory,
};

use super::{NO_WAIT, request};
use crate::world::{Bench, policy, settings, wish};

/// A wish of the same owner under the same request id that asks for something else.
fn other_wish(handle: &Handle, number: u128) -> Wanted {
    let mut wanted = wish(handle, "uid:1", Some(number));
    wanted.grant.request = Some(request(handle, number, b"something else"));
    wanted
}

async fn release(handle: &Handle, lease: &LeaseView, request: Option<Request>) -> LeaseView {
    let owner = Some(Owner::parse("uid:1").unwrap());
    handle.release(lease.sequence(), owner, request).await.unwrap()
}

/// L3.
#[tokio::test(start_paused = true)]
async fn a_closed_lease_answers_its_requests_and_refuses_other_wishes_also_after_a_restart() {
    let ledger = Memory::default();
    let twin = ledger.twin();
    let mut bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let lease = bench.lease("uid:1", Some(1)).await.unwrap();
    let closer = request(&bench.handle, 2, b"release");
    release(&bench.handle, &lease, Some(closer)).await;

    for restarted in [false, true] {
        if restarted {
            let supplier = bench.supplier.clone();
            bench.crash().await;
            bench = Bench::with(policy(500, 100), settings(), twin.twin(), supplier).await;
        }
        let handle = &bench.handle;
        let LeaseView::Closed(line) = bench.lease("uid:1", Some(1)).await.unwrap() else {
            panic!("a closed lease was given again");
        };
        assert_eq!((line.sequence, line.ending), (lease.sequence(), Ending::Released));
        let again = release(handle, &lease, Some(closer)).await;
        assert_eq!(again.sequence(), lease.sequence());

        let leased = bench.handle.status().await.unwrap().census.leased;
        let refused = handle.lease(vec![other_wish(handle, 1)], NO_WAIT).await.unwrap_err();
        assert_eq!(refused.reason, Reason::RequestIdReused);
        let batch = vec![wish(handle, "uid:1", Some(3)), other_wish(handle, 1)];
        let refused = handle.lease(batch, NO_WAIT).await.unwrap_err();
        assert_eq!(refused.reason, Reason::RequestIdReused);
        let other = Some(request(handle, 2, b"another release"));
        let refused = handle.release(lease.sequence(), None, other).await.unwrap_err();
        assert_eq!(refused.reason, Reason::RequestIdReused);
        let status = bench.handle.status().await.unwrap();
        assert_eq!(status.census.leased, leased, "a refused batch gives nothing");

        for (number, known) in [(1, true), (2, true), (3, false)] {
            let key = request(handle, number, b"").key;
            let found = handle.find(Which::Request(key)).await.unwrap();
            let expected = known.then(|| lease.sequence());
            assert_eq!(found.map(|view| view.sequence()), expected, "{number}");
        }
    }
}

/// L3: the look into history and the decision are one step, so that no lease closes in between.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_repeated_in_the_very_group_that_closes_its_lease_is_given_no_other() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let lease = bench.lease("uid:1", Some(1)).await.unwrap();

    // Whoever comes while a commit hangs shares the next group.
    faults.hang_commit();
    let busy = bench.caller(Some(9), NO_WAIT);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (handle, sequence) = (bench.handle.clone(), lease.sequence());
    let closing = tokio::spawn(async move { handle.release(sequence, None, None).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let again = bench.caller(Some(1), NO_WAIT);
    let (handle, other) = (bench.handle.clone(), other_wish(&bench.handle, 1));
    let other = tokio::spawn(async move { handle.lease(vec![other], NO_WAIT).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    faults.release();

    busy.await.unwrap().unwrap();
    closing.await.unwrap().unwrap();
    let again = again.await.unwrap().unwrap();
    assert!(matches!(&again, LeaseView::Closed(line) if line.sequence == sequence), "{again:?}");
    assert_eq!(other.await.unwrap().unwrap_err().reason, Reason::RequestIdReused);
}
