//! A minute in which nothing moves: a disk that stalls, and a process that is stopped.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use argospool::{
    api::proto::{
        CreateLeaseRequest, GetLeaseRequest, Lease, LeaseEnding, LeaseState, get_lease_request::Key,
    },
    sim::{Command, Effect, Fault, Operation, Script, Simulator, SimulatorOptions, Visit},
};
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};
use tonic::Code;

use super::{
    daemon::{Daemon, Home, PID, counts, text, until},
    diary::Diary,
    hooks,
    load::Load,
    mounts::Mount,
};

/// A commit that takes longer makes `/livez` fail.
const MINUTE: Duration = Duration::from_secs(60);

/// Side by side, because both are made of waiting.
#[tokio::test]
async fn a_minute_in_which_the_disk_or_the_process_stands_still_loses_nothing() {
    tokio::join!(a_disk_that_stalls(), a_process_that_is_stopped());
}

async fn a_disk_that_stalls() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = hooks::taking_webhooks(Home::beside(&simulator));
    let mount = Mount::of_image(home.path("volume"), &home.path("image"));
    let data = mount.path().join("data");
    let home = home
        .keeping_its_ledger_in(&data)
        .with("ledger.cache", text("1MiB"))
        .with("defaults.refill.target_tokens", 3_000);
    let daemon = home.serve().await;
    daemon.filled().await;
    let lease = daemon.lease().await.unwrap();
    let diary = Diary::default();
    let load = Load::start(&daemon, &diary, 4);
    load.has_got(100).await;

    let began = Instant::now();
    let frozen = mount.freeze();
    until("callers are told that it is in doubt", async || {
        diary.refusals().get("COMMIT_DOUBTFUL").copied()
    })
    .await;
    daemon.refuses_leases(Code::Unavailable, "LEDGER_UNAVAILABLE").await;
    load.end().await;
    let answer = hooks::post(&daemon, hooks::about("created", &lease, "")).await;
    assert_eq!(answer, Some(503), "ARGOS is asked to send it again");
    assert_eq!(daemon.get("/livez").await.0, 200, "it may be over in a moment");
    // bounded: the wait is the test
    sleep_until(began + MINUTE).await;
    until("a new process is asked for", async || {
        (daemon.get("/livez").await.0 == 503).then_some(())
    })
    .await;
    assert!(
        diary.refusals().keys().all(|it| it == "COMMIT_DOUBTFUL" || it == "LEDGER_UNAVAILABLE")
    );

    drop(frozen);
    until("it lends again", async || daemon.lease().await.ok()).await;
    assert_eq!(daemon.get("/livez").await.0, 200);
    assert_eq!(hooks::post(&daemon, hooks::about("created", &lease, "")).await, Some(200));
    let load = Load::start(&daemon, &diary, 4);
    load.has_got(50).await;
    load.end().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}

async fn a_process_that_is_stopped() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator)
        .that_settles_doubts_soon()
        .with("defaults.argos.tokens_per_call", 50)
        .with("defaults.refill.target_tokens", 400)
        .with("defaults.refill.low_water_tokens", 300);
    let daemon = home.serve().await;
    daemon.filled().await;
    let short = wish(&daemon, 30).await;
    let long = wish(&daemon, 300).await;

    // Calls whose end nobody will know, with copies that arrive while it is stopped.
    for late in [5_000, 25_000] {
        let lost = Fault::LostAnswer { effect: Effect::LateMs(late) };
        simulator.control(Command::Faults(Script::next(Operation::Post, lost))).unwrap();
    }
    let silent = Script::always(Operation::Post, Fault::Latency { ms: 20_000 });
    simulator.control(Command::Faults(silent)).unwrap();
    let seen = || simulator.counters(PID).unwrap();
    let posts = seen().posts;
    for _ in 0..150 {
        daemon.lease().await.unwrap();
    }
    until("a call is in flight", async || (seen().calls_in_flight > 0).then_some(())).await;

    let stopped = Instant::now();
    daemon.signal(Signal::STOP);
    // bounded: the wait is the test
    sleep_until(stopped + MINUTE).await;
    simulator.control(Command::ClearFaults { pid: None }).unwrap();
    daemon.signal(Signal::CONT);

    let first = daemon.lease().await.unwrap();
    let issued = first.create_time.unwrap().seconds;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(issued.abs_diff(now as i64) < 20, "T1: {issued} at {now}");
    assert!(!home.log().contains("pool time stepped"), "T1: it was no step, the time had passed");
    until("the deadline that passed is noticed", async || {
        let lease = read(&daemon, &short).await;
        (lease.ending() == LeaseEnding::Lapsed).then_some(())
    })
    .await;
    assert_eq!(read(&daemon, &long).await.state(), LeaseState::Issued);

    daemon
        .until("the call that was out is in doubt", |status| {
            status.argos.unwrap().doubtful_orders > 0
        })
        .await;
    // Whatever is lent is used, so that a registration that comes after it is seen.
    for _ in 0..150 {
        let lease = daemon.lease().await.unwrap();
        let link = BTreeMap::from([("token".to_owned(), lease.token_id)]);
        simulator.control(Command::LiveformStart(Visit { visitor: None, link })).unwrap();
    }
    until("it is repeated", async || (seen().posts > posts + 3).then_some(())).await;
    assert_eq!((seen().overwrites_of_used, seen().overwrites_of_deleted), (0, 0), "B1, B3");
    assert!(counts(&daemon.status().await).ready <= 400, "its tokens are counted once");
    daemon.stop().await;
}

async fn wish(daemon: &Daemon, seconds: i64) -> Lease {
    let ttl = Some(prost_types::Duration { seconds, nanos: 0 });
    let wish = CreateLeaseRequest { ttl, ..CreateLeaseRequest::default() };
    daemon.pool().create_lease(wish).await.unwrap().into_inner().lease.unwrap()
}

async fn read(daemon: &Daemon, lease: &Lease) -> Lease {
    let key = Some(Key::LeaseId(lease.lease_id.clone()));
    let request = GetLeaseRequest { key, ..GetLeaseRequest::default() };
    daemon.pool().get_lease(request).await.unwrap().into_inner().lease.unwrap()
}
