//! Callers in front of an empty pool, and in front of a full mailbox.

use std::time::Duration;

use argospool::{
    domain::{
        fault::Reason,
        limits::MAILBOX_MAX,
        pool::{Heard, Policy},
        submission::FactKind,
        time::Timestamp,
    },
    engine::LeaseView,
    port::{Condition, Doubtful, DoubtfulCause, Outcome},
    store::memory::Memory,
};
use tokio::time::Instant;

use super::url;
use crate::world::{Bench, Scripted, ended, policy, report, settings, wish};

const SECOND: Duration = Duration::from_secs(1);

/// A pool that is empty and whose order is not answered.
async fn empty() -> Bench {
    let supplier = Scripted::new();
    supplier.script(|script| script.silent = true);
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    bench.until("an order is out", |status| status.census.minted == 500).await;
    bench
}

async fn waiting(bench: &Bench, callers: usize) {
    bench.until("they wait", |status| status.waiting_callers == callers).await;
}

fn answer(bench: &Bench) {
    bench.supplier.script(|script| script.silent = false);
}

#[tokio::test(start_paused = true)]
async fn callers_are_served_in_the_order_of_their_arrival() {
    let bench = empty().await;
    let mut callers = Vec::new();
    for number in 0..5 {
        callers.push(bench.caller(Some(number), 60 * SECOND));
        waiting(&bench, callers.len()).await;
    }
    answer(&bench);
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(ended(caller).await.unwrap().sequence().get(), number as u64);
    }
}

/// R1: nothing else wakes the engine then.
#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_is_served_as_soon_as_the_first_order_is_ready() {
    let began = Instant::now();
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.lease_within("uid:1", None, 60 * SECOND).await.unwrap();
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
}

/// L3.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_repeated_while_it_waits_is_given_one_lease() {
    let bench = empty().await;
    let callers = [bench.caller(Some(1), 60 * SECOND), bench.caller(Some(1), 60 * SECOND)];
    waiting(&bench, 2).await;
    answer(&bench);
    let mut urls = Vec::new();
    for caller in callers {
        urls.push(url(&ended(caller).await.unwrap()));
    }
    assert_eq!(urls[0], urls[1]);
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_as_long_as_it_said_and_no_longer() {
    let bench = empty().await;
    let began = Instant::now();
    let rejection = bench.lease_within("uid:1", None, 2 * SECOND).await.unwrap_err();
    assert_eq!(rejection.reason, Reason::PoolEmpty);
    assert!(rejection.retry_after.is_some_and(|after| after >= SECOND));
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(bench.lease("uid:1", None).await.unwrap_err().reason, Reason::PoolEmpty);
    assert_eq!(began.elapsed().as_secs(), 2, "who does not wait is answered at once");
}

#[tokio::test(start_paused = true)]
async fn no_more_callers_wait_than_allowed() {
    let bench = empty().await;
    let callers: Vec<_> = (0..8).map(|_| bench.caller(None, 60 * SECOND)).collect();
    waiting(&bench, 8).await;
    let began = Instant::now();
    let ninth = bench.lease_within("uid:1", None, 60 * SECOND).await.unwrap_err();
    assert_eq!((ninth.reason, began.elapsed()), (Reason::WaitingFull, Duration::ZERO));
    answer(&bench);
    for caller in callers {
        ended(caller).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_argos_that_is_down_and_has_nothing_on_its_way() {
    let cases = [
        (Condition::Down, Reason::ArgosDown, true),
        (Condition::KeyRefused, Reason::ArgosKeyRefused, false),
        (Condition::AddressRefused, Reason::ArgosAddressRefused, false),
        (Condition::TransferRefused, Reason::ArgosKeyRefused, false),
    ];
    for (condition, reason, retry) in cases {
        let supplier = Scripted::new();
        supplier.script(|script| {
            script.condition = Some(condition);
            script.held = true;
            script.counts.extend([Outcome::Doubtful(Doubtful {
                cause: DoubtfulCause::Unanswered,
                retry_after: None,
            })]);
        });
        let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
        bench.handle.status().await.unwrap();
        let began = Instant::now();
        let rejection = bench.lease_within("uid:1", None, 60 * SECOND).await.unwrap_err();
        assert_eq!((rejection.reason, began.elapsed()), (reason, Duration::ZERO));
        assert_eq!(rejection.retry_after.is_some(), retry, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_waited_for_although_argos_looks_down() {
    let bench = empty().await;
    bench.supplier.script(|script| script.condition = Some(Condition::Down));
    let caller = bench.caller(None, 60 * SECOND);
    waiting(&bench, 1).await;
    answer(&bench);
    ended(caller).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_written_down_and_cannot_leave_is_not_on_its_way() {
    let supplier = Scripted::new();
    supplier.script(|script| script.held_refill = true);
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    bench.until("an order is written down", |status| status.census.minted == 500).await;
    bench.supplier.script(|script| script.condition = Some(Condition::Down));
    let rejection = bench.lease_within("uid:1", None, 60 * SECOND).await.unwrap_err();
    assert_eq!(rejection.reason, Reason::ArgosDown);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_room_at_a_full_argos() {
    let supplier = Scripted::new();
    supplier.script(|script| script.foreign = 100_000);
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    bench.until("it was counted", |status| status.count.is_some()).await;
    let rejection = bench.lease_within("uid:1", None, 60 * SECOND).await.unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after), (Reason::CapReached, None));
}

#[tokio::test(start_paused = true)]
async fn the_last_order_that_fits_is_waited_for() {
    let supplier = Scripted::new();
    supplier.script(|script| script.held_refill = true);
    let policy = Policy { cap: 500, ..policy(5_000, 1_000) };
    let bench = Bench::with(policy, settings(), Memory::default(), supplier).await;
    bench.until("an order is written down", |status| status.census.minted == 500).await;
    let caller = bench.caller(None, 60 * SECOND);
    waiting(&bench, 1).await;
    bench.supplier.script(|script| script.held_refill = false);
    ended(caller).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_gone_while_it_waited_gets_no_token() {
    let bench = empty().await;
    let gone = bench.caller(None, 60 * SECOND);
    waiting(&bench, 1).await;
    gone.abort();
    let _ = gone.await;
    answer(&bench);
    bench.filled().await;
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_gone_before_its_turn_gets_no_token() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    faults.hang_commit();
    let first = bench.caller(None, Duration::ZERO);
    tokio::time::sleep(SECOND).await;
    let gone = bench.caller(None, Duration::ZERO);
    tokio::time::sleep(SECOND).await;
    gone.abort();
    let _ = gone.await;
    faults.release();
    ended(first).await.unwrap();
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_lacks_tokens_holds_up_nobody_behind_it() {
    let bench = Bench::start(policy(2, 1), Memory::default()).await;
    bench.filled().await;
    let handle = bench.handle.clone();
    let batch = tokio::spawn(async move {
        let wanted = (0..3).map(|number| wish(&handle, "uid:1", Some(number))).collect();
        handle.lease(wanted, 5 * SECOND).await
    });
    tokio::time::sleep(SECOND).await;
    bench.lease("uid:1", Some(9)).await.unwrap();
    assert_eq!(ended(batch).await.unwrap_err().reason, Reason::PoolEmpty);
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 1);
}

/// W1: a flood of callers holds up nothing that ARGOS said.
#[tokio::test(start_paused = true)]
async fn a_full_mailbox_says_so_at_once_and_facts_still_get_through() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(5_000, 1_000), ledger).await;
    bench.filled().await;
    let LeaseView::Open { token, .. } = bench.lease("uid:1", None).await.unwrap() else { panic!() };
    faults.hang_commit();
    let first = bench.caller(None, Duration::ZERO);
    tokio::time::sleep(SECOND).await;
    let flood: Vec<_> = (0..MAILBOX_MAX).map(|_| bench.caller(None, Duration::ZERO)).collect();
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    let rejection = bench.lease("uid:1", None).await.unwrap_err();
    assert_eq!((rejection.reason, began.elapsed()), (Reason::MailboxFull, Duration::ZERO));
    let handle = bench.handle.clone();
    let report = report(&token, FactKind::Started, Timestamp::ZERO);
    let heard = tokio::spawn(async move { handle.report(report).await });
    tokio::time::sleep(SECOND).await;
    faults.release();
    assert_eq!(ended(heard).await.unwrap(), Heard::News);
    ended(first).await.unwrap();
    for caller in flood {
        ended(caller).await.unwrap();
    }
}
