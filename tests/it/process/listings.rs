//! ARGOS lists what is not so: nothing is deleted for it, and the next good list is believed.

use std::collections::BTreeMap;

use argospool::{
    api::proto::{Lease, ReconcileReport, ReconcileRequest},
    sim::{
        Command, Expiration, ExpiredShape, Fault, ListName, Operation, RuleChange, Script,
        Simulator, SimulatorOptions, TokenState, Visit,
    },
};

use super::daemon::{Daemon, Home, PID, counts, text, until};

const TARGET: usize = 300;
const PAGE: usize = 50;
const FOREIGN: usize = 7;

/// Lists all the time, a few tokens to a page.
async fn daemon(simulator: &Simulator) -> (Home, Daemon) {
    let rules = RuleChange { list_page: Some(PAGE), ..RuleChange::default() };
    simulator.control(Command::Rules(rules)).unwrap();
    let home = Home::beside(simulator)
        .with("jobs.listing", text("* * * * * *"))
        .with("defaults.reconcile.listing_gap", text("1s"))
        .with("defaults.argos.tokens_per_call", TARGET / 6)
        .with("defaults.argos.calls_in_flight", 1)
        .with("defaults.refill.target_tokens", TARGET)
        .with("defaults.refill.low_water_tokens", TARGET / 2);
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.until("nothing is on its way", |status| counts(status).minted == 0).await;
    (home, daemon)
}

async fn listings(daemon: &Daemon, result: &str) -> u64 {
    let sample = format!(r#"argospool_listings_total{{project="default",result="{result}"}}"#);
    daemon.metric(&sample).await.unwrap() as u64
}

async fn gauge(daemon: &Daemon, name: &str) -> u64 {
    daemon.metric(&format!(r#"argospool_{name}{{project="default"}}"#)).await.unwrap() as u64
}

/// Waits for listings that began after this was asked for.
async fn further(daemon: &Daemon, result: &str) {
    let before = listings(daemon, result).await;
    // The first of them may have been under way.
    until(result, async || (listings(daemon, result).await >= before + 2).then_some(())).await;
}

/// All of it is there, and all of it is handed out.
async fn unharmed(daemon: &Daemon, simulator: &Simulator) {
    assert_eq!(gauge(daemon, "quarantined_tokens").await, 0);
    assert_eq!(gauge(daemon, "leasable_tokens").await as usize, TARGET);
    let status = daemon.status().await;
    assert_eq!(counts(&status).doomed, 0);
    let vanished = r#"argospool_tokens_vanished_total{project="default",stage="ready"}"#;
    assert_eq!(daemon.metric(vanished).await, Some(0.0));
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.delete_tokens, counters.post_tokens as usize), (0, TARGET));
}

#[tokio::test]
async fn a_list_that_repeats_itself_or_never_ends_is_void() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (_home, daemon) = daemon(&simulator).await;
    further(&daemon, "whole").await;
    for fault in [Fault::PageTwice, Fault::LoopingList, Fault::CircularList] {
        let script = Script::always(Operation::List, fault.clone());
        simulator.control(Command::Faults(script)).unwrap();
        further(&daemon, "void").await;
        simulator.control(Command::ClearFaults { pid: None }).unwrap();
        further(&daemon, "whole").await;
        unharmed(&daemon, &simulator).await;
    }
    // A page of nothing with a cursor is only a strange way to begin.
    let before = listings(&daemon, "void").await;
    let script = Script::next(Operation::List, Fault::EmptyPage);
    simulator.control(Command::Faults(script)).unwrap();
    further(&daemon, "whole").await;
    assert_eq!(listings(&daemon, "void").await, before);
    assert_eq!(listings(&daemon, "missing").await, 0);
    unharmed(&daemon, &simulator).await;
    daemon.stop().await;
}

#[tokio::test]
async fn one_list_out_of_the_past_holds_back_and_dooms_nothing() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (_home, daemon) = daemon(&simulator).await;
    further(&daemon, "whole").await;
    // An hour ago there was nothing.
    let past = Script::next(Operation::List, Fault::Stale { ms: Some(3_600_000), changes: None });
    simulator.control(Command::Faults(past)).unwrap();
    until("a list misses them", async || (listings(&daemon, "missing").await == 1).then_some(()))
        .await;
    further(&daemon, "whole").await;
    assert_eq!(listings(&daemon, "missing").await, 1);
    assert_eq!(listings(&daemon, "void").await, 0);
    assert_eq!(gauge(&daemon, "quarantined_tokens").await, 0);
    let status = daemon.status().await;
    assert_eq!(counts(&status).doomed, 0);
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.delete_tokens, counters.overwrites_total), (0, 0));
    daemon.stop().await;
}

#[tokio::test]
async fn a_list_is_read_in_every_shape_it_may_have() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let foreign = Command::Foreign { pid: None, count: FOREIGN, prefix: None, ids: Vec::new() };
    simulator.control(foreign).unwrap();
    let (_home, daemon) = daemon(&simulator).await;
    let rules = |rules| simulator.control(Command::Rules(rules)).unwrap();
    let expiration = Some(Expiration::Time { after_ms: 1, delete: false });
    rules(RuleChange { expiration, ..RuleChange::default() });
    let used = daemon.lease().await.unwrap();
    let link = BTreeMap::from([("token".to_owned(), used.token_id)]);
    simulator.control(Command::LiveformOpen(Visit { visitor: None, link })).unwrap();
    for name in [ListName::Data, ListName::Tokens, ListName::Items] {
        for shape in [ExpiredShape::Bool, ExpiredShape::Text, ExpiredShape::Number] {
            let (list_name, expired_as) = (Some(name), Some(shape));
            rules(RuleChange { list_name, expired_as, ..RuleChange::default() });
            further(&daemon, "whole").await;
        }
    }
    for result in ["missing", "void", "braked"] {
        assert_eq!(listings(&daemon, result).await, 0, "{result}");
    }
    assert_eq!(gauge(&daemon, "foreign_tokens").await as usize, FOREIGN);
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.delete_tokens, counters.deletes_of_foreign), (0, 0));
    daemon.stop().await;
}

async fn reconcile(daemon: &Daemon, request: ReconcileRequest) -> ReconcileReport {
    let answer = daemon.admin().reconcile(request).await.unwrap();
    answer.into_inner().last_report.unwrap()
}

#[tokio::test]
async fn what_vanished_is_missed_again_after_a_restart_and_deleted_on_a_person_s_word() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (home, daemon) = daemon(&simulator).await;
    further(&daemon, "whole").await;
    let vanish = Command::Vanish { pid: None, oldest: TARGET / 5, ids: Vec::new() };
    simulator.control(vanish).unwrap();
    until("the brake holds", async || (listings(&daemon, "braked").await > 0).then_some(())).await;
    daemon.kill();

    // The ledger does not say what was missing, so it is found out anew.
    let daemon = home.serve().await;
    until("the brake holds again", async || (listings(&daemon, "braked").await > 0).then_some(()))
        .await;
    let read_only = ReconcileRequest { read_only: true, ..Default::default() };
    let report = reconcile(&daemon, read_only).await;
    assert_eq!(report.vanished_ready_tokens as usize, TARGET / 5);
    assert_eq!(report.suspected_cause, "volume_deletion");
    let mut leases = Vec::new();
    for _ in 0..TARGET / 3 {
        leases.push(daemon.lease().await.unwrap());
    }
    let record = simulator.record(PID).unwrap();
    let there = |lease: &Lease| {
        let known = record.iter().find(|it| it.token == lease.token_id);
        known.is_some_and(|token| token.state == TokenState::Present)
    };
    assert!(leases.iter().all(there), "dead links were handed out");

    let accept =
        ReconcileRequest { accept_loss: true, confirm: "default".to_owned(), ..Default::default() };
    reconcile(&daemon, accept).await;
    daemon
        .until("what vanished is deleted and made good", |status| {
            let missing = status.plan.as_ref().unwrap().need_tokens as usize;
            counts(status).doomed + counts(status).minted == 0 && missing < TARGET / 6
        })
        .await;
    assert_eq!(gauge(&daemon, "quarantined_tokens").await, 0);
    daemon.stop().await;
}
