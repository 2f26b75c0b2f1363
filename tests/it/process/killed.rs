//! `kill -9` in the middle of a refill (S1); `crashes` kills at any moment.

use std::{collections::BTreeMap, time::Duration};

use argospool::sim::{
    Command, Effect, Fault, Operation, ProjectOptions, Script, Simulator, SimulatorOptions, Visit,
};

use super::daemon::{Daemon, Home, PID, counts, until};

/// Room for the target, and for a round of calls whose end nobody knows.
const CAP: u32 = 1_900;

#[tokio::test]
async fn killed_in_mid_refill_it_settles_the_same_ids_and_overwrites_nothing() {
    let project = ProjectOptions { cap: CAP as usize, ..ProjectOptions::default() };
    let simulator = Simulator::start(SimulatorOptions {
        projects: vec![project],
        latency: Duration::from_millis(30),
        ..SimulatorOptions::default()
    })
    .await
    .unwrap();
    let home = Home::beside(&simulator)
        .that_settles_doubts_soon()
        .with("defaults.argos.cap_tokens", CAP)
        .with("defaults.argos.tokens_per_call", 50)
        .with("defaults.refill.target_tokens", 1_500);
    let seen = || simulator.counters(PID).unwrap();

    let mut posts = 0;
    for round in 0..8_u64 {
        let effect = if round % 2 == 0 { Effect::Done } else { Effect::None };
        let lost = Script::next(Operation::Post, Fault::LostAnswer { effect });
        simulator.control(Command::Faults(lost)).unwrap();
        let daemon = home.serve().await;
        posts += 2 + round % 4;
        if round == 0 {
            daemon.until("some are ready", |status| counts(status).ready >= 200).await;
        }
        until("the refill is at work", async || (seen().posts >= posts).then_some(())).await;
        visit_one(&daemon, &simulator).await;
        posts = seen().posts;
        daemon.kill();
    }

    let daemon = home.serve().await;
    let status = daemon
        .until("every order is settled and the target is reached", |status| {
            let rest = status.plan.as_ref().map(|plan| plan.rest_reason.as_str());
            let argos = status.argos.unwrap();
            counts(status).minted == 0
                && argos.doubtful_orders == 0
                && matches!(rest, Some("enough" | "less_than_a_batch"))
        })
        .await;
    let counters = seen();
    assert!(counters.overwrites_total > 0, "no order was ever repeated: this proves nothing");
    assert_eq!(counters.overwrites_of_used, 0, "B1");
    assert_eq!((counters.delete_tokens, counters.overwrites_of_deleted), (0, 0), "B3");
    assert_eq!(counters.cap_overruns, 0, "C1");
    assert_eq!(counters.pool_size, u64::from(status.held_tokens), "B2");
    assert_eq!(counters.highest_pool_size, counters.pool_size, "B3: the same ids");
}

/// Somebody walks through the Liveform, so that registering that id again would be seen.
async fn visit_one(daemon: &Daemon, simulator: &Simulator) {
    let lease = daemon.lease().await.unwrap();
    let link = BTreeMap::from([("token".to_owned(), lease.token_id)]);
    simulator.control(Command::LiveformStart(Visit { visitor: None, link })).unwrap();
}
