//! The calls that an engine makes: how many (R2), for how much (C1), and what stops them.

use std::time::Duration;

use argospool::{
    domain::{
        fault::Reason,
        pause::Activity,
        pool::{Heard, KeyCheck, Policy},
        submission::{FactKind, Report},
        time::Timestamp,
        token::Decision,
    },
    engine::{LeaseView, Which},
    port::{Condition, DoubtfulCause, Outcome, Refused, RefusedCause},
    store::memory::Memory,
};

use super::doubtful;
use crate::world::{Bench, Scripted, policy, report, settings};

/// R2.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_tokens_take_two_hundred_calls() {
    let bench = Bench::start(policy(100_000, 1_000), Memory::default()).await;
    bench.filled().await;
    let calls: Vec<_> = bench.supplier.registrations().iter().map(Vec::len).collect();
    assert_eq!(calls, vec![500; 200]);
}

/// C1.
#[tokio::test(start_paused = true)]
async fn the_pool_fills_in_full_calls_up_to_the_cap_less_the_reserve_and_the_foreign_ids() {
    let supplier = Scripted::new();
    supplier.script(|script| script.foreign = 700);
    let policy = Policy { cap: 10_000, reserve: 1_000, ..policy(10_000, 1_000) };
    let bench = Bench::with(policy, settings(), Memory::default(), supplier).await;
    bench.until("there is no room", |status| status.census.ready == 8_000).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let calls: Vec<_> = bench.supplier.registrations().iter().map(Vec::len).collect();
    assert_eq!(calls, vec![500; (10_000 - 1_000 - 700) / 500]);
}

/// C1: others' ids come between the order and its call.
#[tokio::test(start_paused = true)]
async fn an_order_that_does_not_fit_any_more_is_withdrawn_and_never_sent() {
    let supplier = Scripted::new();
    supplier.script(|script| script.held_refill = true);
    let policy = Policy { cap: 1_000, ..policy(1_000, 100) };
    let bench = Bench::with(policy, settings(), Memory::default(), supplier).await;
    bench.until("orders are written down", |status| status.census.minted == 1_000).await;
    bench.supplier.script(|script| script.foreign = 300);
    bench.handle.ring(argospool::engine::Bell::Count);
    bench
        .until("it was withdrawn", |status| status.foreign == 300 && status.census.minted == 500)
        .await;
    bench.supplier.script(|script| script.held_refill = false);
    bench.until("it is filled", |status| status.census.ready == 500).await;
    assert_eq!(bench.supplier.registrations().len(), 1);
}

/// C2: what never left was no try, and is not repeated without end.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_never_left_is_made_again_after_a_moment() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let sequence = bench.lease("uid:1", None).await.unwrap().sequence();
    let refused = Refused { cause: RefusedCause::NotSent, retry_after: None };
    bench.supplier.script(|script| {
        script.deletions.extend(std::iter::repeat_n(Outcome::Refused(refused), 50));
    });
    bench.handle.release(sequence, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let calls = bench.supplier.deletions().len();
    assert!((5..15).contains(&calls), "{calls} calls in ten seconds");
    bench.until("it is deleted", |status| status.census.doomed == 0).await;
}

/// C2.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_argos_turns_down_is_a_try_and_the_token_is_stuck_in_the_end() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let sequence = bench.lease("uid:1", None).await.unwrap().sequence();
    let refused = Refused { cause: RefusedCause::Request, retry_after: None };
    bench.supplier.script(|script| {
        script.deletions.extend(std::iter::repeat_n(Outcome::Refused(refused), 6));
    });
    bench.handle.release(sequence, None, None).await.unwrap();
    bench.until("it is stuck", |status| status.stuck == 1).await;
    assert_eq!(bench.supplier.deletions().len(), 6);
}

/// C2: nobody is told that tokens are stuck because ARGOS was away for long.
#[tokio::test(start_paused = true)]
async fn deletions_that_fail_in_an_outage_are_held_against_no_token() {
    for (condition, stuck) in [(Condition::Down, 0), (Condition::Failing, 1)] {
        let bench = Bench::start(policy(500, 100), Memory::default()).await;
        bench.filled().await;
        let sequence = bench.lease("uid:1", None).await.unwrap().sequence();
        bench.supplier.script(|script| {
            script.condition = Some(condition);
            let failed = || doubtful(DoubtfulCause::Unanswered);
            script.deletions.extend(std::iter::repeat_with(failed).take(6));
        });
        bench.handle.release(sequence, None, None).await.unwrap();
        let all_failed = || bench.supplier.deletions().len() == 6;
        bench.until("every deletion failed", |_| all_failed()).await;
        let status = bench.handle.status().await.unwrap();
        assert_eq!((status.stuck, status.census.doomed), (stuck, 1), "{condition:?}");
    }
}

/// What could not be learned while ARGOS was away is asked for as soon as it is back.
#[tokio::test(start_paused = true)]
async fn after_an_outage_questions_do_not_wait_for_their_rest_to_end() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let counts = |bench: &Bench| {
        bench.supplier.script(|script| script.sent.iter().filter(|sent| sent.is_count()).count())
    };
    let before = counts(&bench);
    bench.supplier.script(|script| {
        script.condition = Some(Condition::Down);
        script.counts.push_back(doubtful(DoubtfulCause::Unanswered));
    });
    bench.handle.ring(argospool::engine::Bell::Count);
    bench
        .until("a count failed", |status| {
            status.calls_in_flight == 0 && counts(&bench) == before + 1
        })
        .await;
    let back = tokio::time::Instant::now();
    bench.supplier.script(|script| script.condition = Some(Condition::Up));
    bench.handle.ring(argospool::engine::Bell::Count);
    bench.until("it is counted", |_| counts(&bench) == before + 2).await;
    assert!(back.elapsed() < Duration::from_secs(1), "in pool time");
}

/// R1.
#[tokio::test(start_paused = true)]
async fn calls_that_may_leave_leave_together() {
    let supplier = Scripted::new();
    supplier.script(|script| script.silent = true);
    let bench = Bench::with(policy(5_000, 1_000), settings(), Memory::default(), supplier).await;
    // Whoever asked how things stand would give the engine another turn.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.supplier.registrations().len(), 4);
}

/// C1: a count that a call of ours overlaps says nothing of the ids of others.
#[tokio::test(start_paused = true)]
async fn a_count_that_waited_too_long_is_alone_all_the_same_where_it_can_be() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let counts = || bench.supplier.script(|it| it.sent.iter().filter(|it| it.is_count()).count());
    let before = counts();
    bench.supplier.script(|script| (script.held, script.foreign) = (true, 700));
    for _ in 0..450 {
        bench.lease("uid:1", None).await.unwrap();
    }
    bench.handle.ring(argospool::engine::Bell::Count);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counts(), before);
    bench.supplier.script(|script| script.held = false);
    let status = bench.until("there is more", |status| status.census.ready > 50).await;
    assert_eq!(status.foreign, 700);
    assert_eq!(counts(), before + 1);
}

/// R1: ARGOS is full, says so, and is asked again after a pause.
#[tokio::test(start_paused = true)]
async fn a_full_argos_is_asked_again_after_a_pause_by_one_call() {
    let bench = Bench::start(policy(5_000, 1_000), Memory::default()).await;
    bench.supplier.script(|script| {
        script
            .registrations
            .extend(std::iter::repeat_with(|| doubtful(DoubtfulCause::CapReached)).take(4));
    });
    bench.until("all four were sent", |_| bench.supplier.registrations().len() == 4).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(bench.supplier.registrations().len(), 4);
    let status = bench.handle.status().await.unwrap();
    assert!(status.at_cap);
    bench.filled().await;
    assert_eq!(bench.handle.status().await.unwrap().census.doomed, 0);
}

/// The pid is in the URL and the project in the key: they must belong together.
#[tokio::test(start_paused = true)]
async fn a_key_of_another_project_stops_hand_outs_refill_and_purge_until_a_person_resumes() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    bench.until("the key is checked", |status| status.key_check == KeyCheck::Passed).await;
    let sequence = bench.lease("uid:1", None).await.unwrap().sequence();
    bench.supplier.script(|script| {
        script.key_changes = 1;
        script.finds.extend(std::iter::repeat_n(Outcome::Settled(false), 3));
    });
    bench.until("it is noticed", |status| status.key_check == KeyCheck::Failed).await;
    assert_eq!(bench.lease("uid:1", None).await.unwrap_err().reason, Reason::Halted);
    let status = bench.handle.status().await.unwrap();
    assert_eq!((status.leasable, status.stopped), (0, Some(Reason::Halted)));
    bench.handle.release(sequence, None, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bench.supplier.deletions().is_empty());
    bench.handle.resume(vec![Activity::Leasing]).await.unwrap();
    bench.lease("uid:1", None).await.unwrap();
    bench.until("it is deleted", |status| status.census.doomed == 0).await;
}

/// R1: what the old key was refused rests for half a minute; a new one is not made to wait for that.
#[tokio::test(start_paused = true)]
async fn with_a_new_key_argos_is_asked_at_once() {
    let refused = Refused { cause: RefusedCause::Key, retry_after: None };
    let supplier = Scripted::new();
    supplier.script(|script| script.counts.push_back(Outcome::Refused(refused)));
    let bench = Bench::with(policy(500, 100), settings(), Memory::default(), supplier).await;
    bench.until("it was refused", |status| status.census.minted > 0).await;
    assert!(bench.handle.status().await.unwrap().count.is_none());
    let began = tokio::time::Instant::now();
    bench.supplier.script(|script| script.key_changes = 1);
    bench.until("it was counted", |status| status.count.is_some()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// W1.
#[tokio::test(start_paused = true)]
async fn a_late_fact_is_in_history_when_it_is_acknowledged() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    bench.filled().await;
    let LeaseView::Open { sequence, token, .. } = bench.lease("uid:1", None).await.unwrap() else {
        panic!()
    };
    bench.until("it lapses", |status| status.census.leased == 0).await;
    bench.until("it is deleted", |status| status.census.doomed == 0).await;
    let at = Timestamp::from_millis(1_800_000_100_000);
    let decided = report(&token, FactKind::Decided(Decision::Approved), at);
    assert_eq!(bench.handle.report(decided.clone()).await.unwrap(), Heard::News);
    assert_eq!(bench.handle.report(decided.clone()).await.unwrap(), Heard::Known);
    let found = bench.handle.find(Which::Sequence(sequence)).await.unwrap();
    let Some(LeaseView::Closed(line)) = found else { panic!("{found:?}") };
    assert_eq!(line.decided().unwrap().decision, Decision::Approved);
    let nobodys = argospool::domain::ids::TokenId::parse("ap-nobody-sealed-this-one").unwrap();
    let foreign = Report { token: Some(nobodys), ..decided };
    assert_eq!(bench.handle.report(foreign).await.unwrap(), Heard::Foreign);
}
