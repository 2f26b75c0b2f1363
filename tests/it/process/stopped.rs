//! SIGTERM, once and twice (S2), and a successor that waits for its turn.

use std::time::Duration;

use argospool::sim::{Command, Fault, Operation, Script, Simulator, SimulatorOptions};
use rustix::process::Signal;

use super::{
    daemon::{Home, PID, counts, text, until},
    diary::Diary,
    load::Load,
};

async fn simulator(latency: Duration) -> Simulator {
    Simulator::start(SimulatorOptions { latency, ..SimulatorOptions::default() }).await.unwrap()
}

#[tokio::test]
async fn told_to_stop_under_load_it_writes_down_every_answer_and_loses_no_lease() {
    let simulator = simulator(Duration::from_millis(200)).await;
    let home = Home::beside(&simulator).with("defaults.argos.tokens_per_call", 50);
    let mut daemon = home.serve().await;
    daemon.until("some are ready", |status| counts(status).ready >= 200).await;
    let diary = Diary::default();
    let load = Load::start(&daemon, &diary, 4);
    load.has_got(20).await;
    let seen = || simulator.counters(PID).unwrap();
    until("calls are in flight", async || (seen().calls_in_flight >= 2).then_some(())).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "S2");
    load.end().await;
    let counters = seen();
    assert_eq!(counters.calls_in_flight, 0, "S2: an answer was not waited for");
    assert_eq!(counters.outcomes[&Operation::Post].len(), 1, "every call was settled");

    let daemon = home.serve().await;
    let status = daemon.status().await;
    assert_eq!(u64::from(status.held_tokens), counters.pool_size);
    assert_eq!(status.argos.unwrap().doubtful_orders, 0, "S2: an answer was forgotten");
    diary.holds_at(&daemon).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let simulator = simulator(Duration::ZERO).await;
    let home = Home::beside(&simulator)
        .with("stop_grace", text("1h"))
        .with("defaults.argos.request_timeout", text("5m"))
        .with("defaults.tokens.late_copy_delay", text("15m"));
    let silence = Script::always(Operation::Post, Fault::Latency { ms: 3_600_000 });
    simulator.control(Command::Faults(silence)).unwrap();
    let mut daemon = home.serve().await;
    let posts = || simulator.counters(PID).unwrap().posts;
    until("a call is in flight", async || (posts() > 0).then_some(())).await;
    daemon.signal(Signal::TERM);
    until("it finishes", async || home.log().contains("engine finishes").then_some(())).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(1));
}

#[tokio::test]
async fn told_to_stop_while_it_opens_its_ledger_it_ends_with_0() {
    let simulator = simulator(Duration::ZERO).await;
    let home = Home::beside(&simulator);
    let first = home.serve().await;
    // It waits for the lock of the directory, which is as long as opening can be made to take.
    let mut second = home.start();
    until("it begins", async || (home.log().matches("starting").count() >= 2).then_some(())).await;
    second.signal(Signal::TERM);
    assert_eq!(second.ended().await.code(), Some(0));
    first.stop().await;
}

#[tokio::test]
async fn a_successor_waits_for_its_predecessor_and_is_found_by_its_address() {
    let simulator = simulator(Duration::ZERO).await;
    let home = Home::beside(&simulator);
    let first = home.serve().await;
    first.filled().await;
    let lease = first.lease().await.unwrap();
    let mut second = home.start();
    first.stop().await;
    second.serves().await;
    let next = second.lease().await.unwrap();
    assert_ne!(next.token_id, lease.token_id);
    second.stop().await;
    assert!(!home.data().join("addresses.json").exists());
}
