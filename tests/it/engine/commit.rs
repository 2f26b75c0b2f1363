//! Group commit: nothing is said before it is durable (J1), and what is not is read again.

use std::{sync::atomic::Ordering, time::Duration};

use argospool::{
    domain::{
        fault::Reason,
        ids::TokenId,
        pause::Activity,
        pool::Heard,
        submission::{FactKind, Report},
        time::Timestamp,
    },
    engine::{LeaseView, Rejection},
    port::{Ledger, LedgerError, Opening},
    store::memory::Memory,
};

use super::{url, with_an_order_out};
use crate::world::{Bench, Counting, Scripted, Watched, ended, policy, report, settings, wish};

const SECOND: Duration = Duration::from_secs(1);

fn told(token: &TokenId, kind: FactKind) -> Report {
    report(token, kind, Timestamp::from_millis(1_800_000_060_000))
}

async fn filled() -> (Bench, argospool::store::memory::Faults) {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    (bench, faults)
}

/// J1.
#[tokio::test(start_paused = true)]
async fn no_answer_leaves_before_its_group_is_durable_refusals_and_reads_included() {
    let (bench, faults) = filled().await;
    faults.hang_commit();
    let given = bench.caller(Some(1), Duration::ZERO);
    let repeated = bench.caller(Some(1), Duration::ZERO);
    let refused = {
        let handle = bench.handle.clone();
        let mut other = wish(&handle, "uid:1", Some(1));
        other.grant.request.as_mut().unwrap().digest = handle.seal().digest(b"another wish");
        tokio::spawn(async move { handle.lease(vec![other], Duration::ZERO).await })
    };
    let read = {
        let handle = bench.handle.clone();
        tokio::spawn(async move { handle.status().await })
    };
    tokio::time::sleep(SECOND).await;
    let early =
        [given.is_finished(), repeated.is_finished(), refused.is_finished(), read.is_finished()];
    assert_eq!(early, [false; 4]);
    faults.release();
    let view = ended(given).await.unwrap();
    assert_eq!(url(&view), url(&ended(repeated).await.unwrap()));
    assert_eq!(ended(refused).await.unwrap_err().reason, Reason::RequestIdReused);
    assert_eq!(ended(read).await.unwrap().census.leased, 1);
}

/// W1.
#[tokio::test(start_paused = true)]
async fn a_fact_is_answered_when_it_is_durable() {
    let (bench, faults) = filled().await;
    let LeaseView::Open { token, .. } = bench.lease("uid:1", None).await.unwrap() else { panic!() };
    faults.hang_commit();
    let handle = bench.handle.clone();
    let heard = tokio::spawn(async move { handle.report(told(&token, FactKind::Started)).await });
    tokio::time::sleep(SECOND).await;
    assert!(!heard.is_finished());
    faults.release();
    assert_eq!(ended(heard).await.unwrap(), Heard::News);
}

/// J1, W1: the lane of facts waits for what callers are turned away from.
#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_too_long_is_doubtful_to_its_callers_and_turns_others_away() {
    let (bench, faults) = filled().await;
    let LeaseView::Open { token, .. } = bench.lease("uid:1", None).await.unwrap() else { panic!() };
    faults.hang_commit();
    let first = bench.caller(Some(1), Duration::ZERO);
    tokio::time::sleep(4 * SECOND).await;
    assert!(!first.is_finished());
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(ended(first).await.unwrap_err().reason, Reason::CommitDoubtful);
    let handle = bench.handle.clone();
    let heard = tokio::spawn(async move { handle.report(told(&token, FactKind::Started)).await });
    let away: Rejection = bench.lease("uid:1", None).await.unwrap_err();
    assert_eq!(away.reason, Reason::LedgerUnavailable);
    assert!(away.retry_after.is_some());
    assert!(!heard.is_finished());
    faults.release();
    assert_eq!(ended(heard).await.unwrap(), Heard::News);
    // The commit that was in doubt has happened.
    bench.lease("uid:1", Some(1)).await.unwrap();
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_ledger_shows_without_asking_the_engine() {
    let (bench, faults) = filled().await;
    faults.hang_commit();
    let _caller = bench.caller(None, Duration::ZERO);
    let began = Timestamp::from_millis(1_800_000_000_000);
    tokio::time::sleep(70 * SECOND).await;
    let now = began.plus(1_000 * SECOND);
    assert!(bench.handle.vitals().stalled_for(now) > 60 * SECOND);
    faults.release();
    bench.handle.status().await.unwrap();
    assert_eq!(bench.handle.vitals().stalled_for(now), Duration::ZERO);
}

/// J1.
#[tokio::test(start_paused = true)]
async fn a_refused_commit_changes_nothing_and_is_safe_to_repeat() {
    let (bench, faults) = filled().await;
    faults.refuse_commit();
    let refused = bench.lease("uid:1", Some(1)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::LedgerUnavailable);
    assert_eq!(bench.handle.status().await.unwrap().census.leased, 0);
    let view = bench.lease("uid:1", Some(1)).await.unwrap();
    assert_eq!(view.sequence().get(), 0);
}

/// J2: a view of the pool that was not committed is never seen again.
#[tokio::test(start_paused = true)]
async fn after_any_failed_commit_the_pool_is_what_the_ledger_says() {
    let (bench, faults) = filled().await;
    let (reason, by) = ("a trial".to_owned(), "uid:0".to_owned());
    faults.refuse_commit();
    bench.handle.pause(vec![Activity::Leasing], reason.clone(), by.clone()).await.unwrap_err();
    assert!(bench.handle.status().await.unwrap().pauses.is_empty());
    bench.lease("uid:1", None).await.unwrap();
    faults.lose_answer();
    bench.handle.pause(vec![Activity::Leasing], reason, by).await.unwrap_err();
    assert_eq!(bench.handle.status().await.unwrap().pauses.len(), 1);
}

/// J3.
#[tokio::test(start_paused = true)]
async fn an_engine_whose_ledger_has_a_newer_owner_ends() {
    let ledger = Memory::default();
    let mut twin = ledger.twin();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.filled().await;
    let identity = argospool::domain::seal::LedgerIdentity::draw(&mut Counting(1));
    let pid = "pid_test".to_owned();
    twin.open(Opening { pid, identity, remember_after: Timestamp::ZERO }).await.unwrap();
    let last = bench.lease("uid:1", Some(1)).await.unwrap_err();
    assert_eq!(last.reason, Reason::CommitDoubtful);
    assert!(matches!(ended(bench.running).await, Err(LedgerError::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_opened_again_ends_the_engine_with_its_sentence() {
    let (bench, faults) = filled().await;
    faults.refuse_commit();
    faults.fail_open("the file is damaged");
    bench.lease("uid:1", Some(1)).await.unwrap_err();
    let last = ended(bench.running).await.unwrap_err();
    assert_eq!(last.to_string(), "the file is damaged");
}

/// B3: what is under way outlives the pool it was asked of.
#[tokio::test(start_paused = true)]
async fn a_registration_in_flight_outlives_a_reload_and_is_not_made_twice_at_once() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = with_an_order_out(ledger).await;
    faults.lose_answer();
    let (reason, by) = ("a trial".to_owned(), "uid:0".to_owned());
    bench.handle.pause(vec![Activity::Leasing], reason, by).await.unwrap_err();
    let status = bench.handle.status().await.unwrap();
    assert_eq!(status.doubtful_orders, 1, "the records were read again");
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(bench.supplier.registrations().len(), 1);
    bench.supplier.script(|script| script.silent = false);
    bench.filled().await;
    assert_eq!(bench.supplier.script(|script| script.overlaps), 0);
}

/// R1.
#[tokio::test(start_paused = true)]
async fn work_goes_on_at_once_after_a_reload() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let bench = Bench::start(policy(500, 100), ledger).await;
    bench.until("it was counted", |status| status.count.is_some()).await;
    let (reason, by) = ("a trial".to_owned(), "uid:0".to_owned());
    bench.handle.pause(vec![Activity::Refill], reason, by).await.unwrap();
    let counts = || bench.supplier.script(|it| it.sent.iter().filter(|it| it.is_count()).count());
    let before = counts();
    faults.refuse_commit();
    bench.handle.resume(vec![Activity::Refill]).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counts(), before + 1, "the pool that was read again asks for a count");
}

/// A disk that stays full is not written to, and not read, without end.
#[tokio::test(start_paused = true)]
async fn commits_that_keep_failing_are_tried_with_patience() {
    let ledger = Memory::default();
    let faults = ledger.faults();
    let ledger = Watched::new(ledger);
    let opens = ledger.opens.clone();
    let bench = Bench::with(policy(500, 100), settings(), ledger, Scripted::new()).await;
    bench.filled().await;
    bench.lease("uid:1", Some(1)).await.unwrap();
    faults.set_full(true);
    // The lease lapses, which cannot be written down.
    tokio::time::sleep(700 * SECOND).await;
    assert!((2..200).contains(&opens.load(Ordering::Relaxed)), "{opens:?}");
    faults.set_full(false);
    tokio::time::sleep(2 * SECOND).await;
    bench.until("it lapses", |status| status.census.leased == 0).await;
}
