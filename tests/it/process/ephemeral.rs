//! Daemons on volumes that die with their pods (hard case 14).

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::DirBuilderExt as _,
    process::{Command as Process, Output},
};

use argospool::sim::{
    Command, Effect, Fault, Operation, Script, Simulator, SimulatorOptions, TokenState,
};
use rustix::process::Signal;

use super::{
    daemon::{Daemon, Home, PID, counts, text, until},
    mounts::Mount,
    shell,
};

const TARGET: usize = 1_000;

fn pod(simulator: &Simulator) -> Home {
    Home::beside(simulator).with("ledger.storage", text("ephemeral"))
}

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// The ids that ARGOS has at this moment.
fn present(simulator: &Simulator) -> BTreeSet<String> {
    let record = simulator.record(PID).unwrap();
    let there = record.into_iter().filter(|token| token.state == TokenState::Present);
    there.map(|token| token.token).collect()
}

/// The last word of a stop: tokens deleted, left and leased.
fn cleared(home: &Home) -> (usize, usize, usize) {
    let log = home.log();
    let line = log.lines().rfind(|line| line.contains("the pool is cleared"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    let number = |name: &str| {
        let fields = line.get("fields").unwrap_or(&line);
        usize::try_from(fields[name].as_u64().unwrap()).unwrap()
    };
    (number("deleted"), number("left"), number("leased"))
}

#[tokio::test]
async fn told_to_stop_it_deletes_what_nobody_holds_and_leaves_what_was_lent() {
    let simulator = simulator().await;
    let home = pod(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    let lent = daemon.lease().await.unwrap().token_id;
    daemon.stop().await;
    assert!(present(&simulator) == [lent].into(), "{} are left", present(&simulator).len());
    let (deleted, left, leased) = cleared(&home);
    assert!(deleted >= TARGET - 1, "{deleted}");
    assert_eq!((left, leased), (0, 1));
    assert_eq!(simulator.counters(PID).unwrap().overwrites_total, 0);

    // In the same pod, as after a restart of its container, it begins with an empty pool.
    let daemon = home.serve().await;
    daemon.filled().await;
    assert_eq!(counts(&daemon.status().await).leased, 1);
    daemon.stop().await;
}

/// S2, B3.
#[tokio::test]
async fn what_an_order_brings_that_is_out_at_the_signal_is_deleted_too() {
    let simulator = simulator().await;
    let home = pod(&simulator);
    let slow = Script::always(Operation::Post, Fault::Latency { ms: 1_500 });
    simulator.control(Command::Faults(slow)).unwrap();
    let mut daemon = home.serve().await;
    let out = || simulator.counters(PID).unwrap().calls_in_flight;
    until("orders are out", async || (out() >= 2).then_some(())).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "S2");
    let registered = simulator.counters(PID).unwrap().post_tokens;
    assert!(registered >= 500, "{registered}");
    assert_eq!(present(&simulator).len(), 0);
    assert_eq!(cleared(&home), (usize::try_from(registered).unwrap(), 0, 0));
}

#[tokio::test]
async fn what_an_unanswered_order_brought_is_told_to_be_left() {
    let simulator = simulator().await;
    let home = pod(&simulator).with("defaults.argos.calls_in_flight", 1);
    let lost = Script::next(Operation::Post, Fault::LostAnswer { effect: Effect::Done });
    simulator.control(Command::Faults(lost)).unwrap();
    let mut daemon = home.serve().await;
    daemon
        .until("one order is in doubt", |status| {
            status.argos.as_ref().is_some_and(|argos| argos.doubtful_orders == 1)
        })
        .await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0), "S2");
    let (_, left, leased) = cleared(&home);
    assert_eq!((left, leased), (500, 0));
    assert_eq!(present(&simulator).len(), 500, "no more than it said");
}

/// A daemon whose wall clock is so many hours behind.
fn hours_ago(home: Home, hours: u32) -> Home {
    let shim = home.path("another_hour.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/process/another_hour.c");
    let mut compile = Process::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&shim).arg(source);
    assert!(compile.status().unwrap().success(), "cc is needed");
    let preload = format!("LD_PRELOAD={}", shim.display());
    home.started_by(["env", &preload, &format!("HOURS_AGO={hours}")])
}

/// A pod that was filled, lent one token, and was killed. Returns what it left.
async fn killed(home: &Home, simulator: &Simulator) -> BTreeSet<String> {
    let before = present(simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.until("nothing is on its way", |status| counts(status).minted == 0).await;
    daemon.lease().await.unwrap();
    daemon.kill();
    &present(simulator) - &before
}

async fn reconcile(daemon: &Daemon, more: &[&str]) -> String {
    let words = [&["--address", daemon.address(), "reconcile"], more].concat();
    let output: Output = shell::run(&words).await;
    assert!(output.status.success(), "{}", shell::stderr(&output));
    shell::stdout(&output)
}

#[tokio::test]
async fn what_a_killed_pod_left_is_cleared_by_another_and_nothing_of_younger_or_living_ones() {
    let simulator = simulator().await;
    let old = killed(&hours_ago(pod(&simulator), 5), &simulator).await;
    let young = killed(&pod(&simulator), &simulator).await;
    assert!(old.len() >= TARGET && young.len() >= TARGET);
    let (living_home, clearing_home) = (pod(&simulator), pod(&simulator));
    let living = living_home.serve().await;
    living.filled().await;
    let daemon = clearing_home.serve().await;
    daemon.filled().await;
    let before = present(&simulator);

    let told = reconcile(&daemon, &["--dry-run", "--born-before", "3h"]).await;
    let expected =
        format!("{},000 tokens that look like ours were born before; ", old.len() / 1_000);
    assert!(old.len() % 1_000 == 0 && told.contains(&expected), "{told}");
    assert!(told.contains("by the hour of their birth: "), "{told}");
    assert!(present(&simulator) == before, "a dry run deletes nothing");

    let sure = ["--delete-foreign", "--including-ours", "--confirm", "default", "--born-before"];
    // Nothing is that old.
    reconcile(&daemon, &[&sure[..], &["24h"]].concat()).await;
    let told = reconcile(&daemon, &[&sure[..], &["3h"]].concat()).await;
    assert!(told.contains(" that look like ours and were born before are deleted; "), "{told}");
    until("they are deleted", async || present(&simulator).is_disjoint(&old).then_some(())).await;
    let after = present(&simulator);
    assert!(after.is_superset(&young), "younger ones stay");
    assert_eq!(after.len(), before.len() - old.len(), "nothing else is gone");

    let (status, mine) = (living.status().await, TARGET);
    assert!(counts(&status).ready as usize >= mine);
    living.lease().await.unwrap();
    living.stop().await;
    daemon.stop().await;
    assert!(present(&simulator).is_superset(&young));
}

#[tokio::test]
async fn a_persistent_ledger_on_an_empty_dir_is_refused_and_an_ephemeral_one_is_not() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    // As the kubelet names it, and mounted as into a container.
    let data = home.path("kubernetes.io~empty-dir").join("ledger");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).unwrap();
    let mount = "mount --bind \"$0\" \"$0\" && exec \"$@\"";
    let starter = ["unshare", "-m", "sh", "-c", mount, data.to_str().unwrap()];
    let home = home.keeping_its_ledger_in(&data).started_by(starter);
    let told = home.refuses().await;
    for part in ["ledger.storage", "emptyDir", data.to_str().unwrap(), "ephemeral"] {
        assert!(told.contains(part), "{part} is not told: {told}");
    }
    assert!(!data.join("db").exists() && fs::read_dir(&data).unwrap().count() == 0, "touched");

    let home = home.with("ledger.storage", text("ephemeral"));
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.stop().await;
    assert_eq!(present(&simulator).len(), 0);
}

#[tokio::test]
async fn a_ledger_in_memory_is_told_of_and_serves() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let memory = Mount::new(home.path("memory"), "64M");
    let home = home.keeping_its_ledger_in(&memory.path().join("data"));
    let daemon = home.serve().await;
    let log = home.log();
    let line = log.lines().find(|line| line.contains("the ledger may die with its container"));
    let line = line.unwrap_or_else(|| panic!("nobody is told: {log}"));
    assert!(line.contains("tmpfs") && line.contains("ledger.storage"), "{line}");
    daemon.stop().await;
}
