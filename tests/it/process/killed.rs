//! `kill -9` at any moment (S1).

use std::{collections::BTreeMap, time::Duration};

use argospool::{
    api::proto::{Activity, PauseRequest},
    sim::{
        Command, Effect, Fault, Operation, ProjectOptions, Script, Simulator, SimulatorOptions,
        Visit,
    },
};

use super::{
    daemon::{Daemon, Home, PID, counts, until},
    diary::Diary,
    load::Load,
};

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

#[tokio::test]
async fn killed_in_mid_lease_it_loses_no_lease_and_gives_no_token_twice() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator)
        .with("defaults.refill.target_tokens", 6_000)
        .with("defaults.refill.low_water_tokens", 0);
    let diary = Diary::default();
    let daemon = home.serve().await;
    daemon.filled().await;
    let pause = PauseRequest {
        activities: vec![Activity::Refill.into()],
        reason: "one stock for all rounds".to_owned(),
        ..PauseRequest::default()
    };
    daemon.admin().pause(pause).await.unwrap();
    daemon.kill();

    for round in 0..20_u64 {
        if round % 2 == 1 {
            let daemon = home.start();
            // bounded: twenty rounds; not a barrier, any moment of a recovery will do
            tokio::time::sleep(Duration::from_millis(6 * round)).await;
            daemon.kill();
        }
        let daemon = home.serve().await;
        let load = Load::start(&daemon, &diary, 6);
        load.has_got(5 + 9 * usize::try_from(round % 10).unwrap()).await;
        // bounded: twenty rounds; not a barrier, any moment under load will do
        tokio::time::sleep(Duration::from_millis(round * 7 % 10)).await;
        daemon.kill();
        load.end().await;
    }

    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    let status = daemon.status().await;
    assert_eq!(counts(&status).ready + counts(&status).leased, 6_000);
    assert_eq!(u64::from(status.held_tokens), simulator.counters(PID).unwrap().pool_size);
}
