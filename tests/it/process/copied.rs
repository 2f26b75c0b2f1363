//! Directories that are an older past of themselves, and witnesses that belong elsewhere (hard case 19).

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use argospool::sim::{Simulator, SimulatorOptions};

use super::{
    daemon::{Daemon, Home, counts, text},
    diary::Diary,
    load::Load,
};

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// As an operator copies a directory.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

async fn leases(daemon: &Daemon, number: usize) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    for _ in 0..number {
        assert!(tokens.insert(daemon.lease().await.unwrap().token_id), "L1");
    }
    tokens
}

async fn audit(home: &Home) -> String {
    let (ended, told) = home.command(&["audit", "--offline"]).await;
    assert_eq!(ended.code(), Some(0), "{told}");
    told
}

/// A daemon that was copied away, went on, and whose copy was put in its place.
async fn back_in_time(home: &Home) -> BTreeSet<String> {
    let daemon = home.serve().await;
    daemon.filled().await;
    let diary = Diary::default();
    let load = Load::start(&daemon, &diary, 2);
    load.has_got(20).await;
    load.end().await;
    daemon.stop().await;
    let past = home.path("past");
    copy(home.data(), &past);

    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    let shown = leases(&daemon, 60).await;
    daemon.stop().await;
    fs::remove_dir_all(home.data()).unwrap();
    copy(&past, home.data());
    shown
}

#[tokio::test]
async fn a_directory_copied_back_beside_its_witness_gives_no_token_twice() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let witness = home.path("witness");
    let home = home.with("ledger.witness_dir", text(witness.display()));
    let shown = back_in_time(&home).await;
    let told = audit(&home).await;
    assert!(told.contains("revisions behind"), "{told}");
    let daemon = home.serve().await;
    assert!(home.log().contains("taken out of use"));
    assert!(leases(&daemon, 200).await.is_disjoint(&shown), "L1");
    daemon.stop().await;
    let told = audit(&home).await;
    assert!(told.contains("the newest there was"), "{told}");
}

#[tokio::test]
async fn a_directory_copied_back_together_with_its_witness_gives_no_token_twice() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let shown = back_in_time(&home).await;
    let told = audit(&home).await;
    assert!(told.contains("a copy"), "{told}");
    let daemon = home.serve().await;
    daemon.filled().await;
    assert!(leases(&daemon, 200).await.is_disjoint(&shown), "L1");
    daemon.stop().await;
}

#[tokio::test]
async fn the_witness_of_another_ledger_vouches_for_nothing() {
    let simulator = simulator().await;
    let (home, other) = (Home::beside(&simulator), Home::beside(&simulator));
    for home in [&other, &home] {
        let daemon = home.serve().await;
        daemon.filled().await;
        leases(&daemon, 10).await;
        daemon.stop().await;
    }
    fs::rename(other.data().join("witness/default"), home.data().join("witness/default")).unwrap();
    let told = audit(&home).await;
    assert!(told.contains("of another ledger; the next start takes 990 tokens"), "{told}");
    let daemon = home.serve().await;
    assert_eq!(counts(&daemon.status().await).leased, 1_000, "L1: presumed to be shown");
    daemon.stop().await;
}
