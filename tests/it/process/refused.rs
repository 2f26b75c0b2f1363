//! Directories that must not be served from, and the sentence that says so.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
};

use argospool::sim::{ProjectOptions, Simulator, SimulatorOptions};

use super::{
    daemon::{Home, counts, text},
    volume::Mount,
};

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// A home whose ledger has seen leases and was closed in order.
async fn lived_in(simulator: &Simulator) -> Home {
    let home = Home::beside(simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.lease().await.unwrap();
    daemon.stop().await;
    home
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let first = home.serve().await;
    first.filled().await;
    let told = home.refuses().await;
    assert!(told.contains("another argospool serves from"), "{told}");
    first.lease().await.unwrap();
    first.stop().await;
}

#[tokio::test]
async fn a_directory_that_others_can_read_is_refused() {
    let simulator = simulator().await;
    let home = lived_in(&simulator).await;
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let told = home.refuses().await;
    assert!(told.contains("is open to other users (mode 0755)"), "{told}");
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o700)).unwrap();
    home.serve().await.lease().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let mount = Mount::new(home.path("volume"), "64m");
    let home = home.keeping_its_ledger_in(mount.path());
    mount.make_read_only();
    let told = home.refuses().await;
    assert!(told.contains("cannot be used as a ledger") && told.contains("Read-only"), "{told}");
}

#[tokio::test]
async fn a_format_of_tomorrow_is_refused() {
    let simulator = simulator().await;
    let home = lived_in(&simulator).await;
    {
        let config = sled::Config::new().path(home.data().join("ledger")).segment_size(8 << 20);
        let database = config.open().unwrap();
        let head = database.open_tree("default/head").unwrap();
        let mut value = head.get("head").unwrap().unwrap().to_vec();
        // The last occurrence of a field counts: format 99.
        value.extend([0x08, 99]);
        head.insert("head", value).unwrap();
        database.flush().unwrap();
    }
    let told = home.refuses().await;
    assert!(told.contains("format 99") && told.contains("newer"), "{told}");
}

#[tokio::test]
async fn the_ledger_of_another_project_is_refused() {
    let simulator = simulator().await;
    let home = lived_in(&simulator).await.with("projects.default.pid", text("pid_other"));
    let told = home.refuses().await;
    assert!(told.contains("belongs to the ARGOS project pid_demo and not to pid_other"), "{told}");
}

#[tokio::test]
async fn a_database_that_was_overwritten_is_refused_with_the_choices_there_are() {
    let simulator = simulator().await;
    let home = lived_in(&simulator).await;
    let file = fs::OpenOptions::new().write(true).open(home.data().join("ledger/db")).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xA5; length], 0).unwrap();
    let told = home.refuses().await;
    assert!(told.contains("restore the directory from a backup"), "{told}");
}

#[tokio::test]
async fn without_its_witness_no_token_that_may_have_been_shown_is_handed_out() {
    let simulator = simulator().await;
    let home = lived_in(&simulator).await;
    let state = simulator.state("pid_demo", 0).unwrap();
    let id = |token: &serde_json::Value| token["tokenId"].as_str().unwrap().to_owned();
    let before: BTreeSet<_> = state["tokens"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(before.len(), 1_000);
    fs::remove_file(home.data().join("witness/default")).unwrap();

    let daemon = home.serve().await;
    let status = daemon.filled().await;
    assert_eq!(counts(&status).leased, 1_000, "L1: presumed to be shown");
    for _ in 0..20 {
        let lease = daemon.lease().await.unwrap();
        assert!(!before.contains(&lease.token_id), "L1: it may have been shown");
    }
    assert!(home.log().contains("taken out of use"));
}

#[tokio::test]
async fn a_key_of_another_project_stops_hand_outs() {
    let other = ProjectOptions {
        pid: "pid_other".to_owned(),
        api_key: "argos_test_other".to_owned(),
        ..ProjectOptions::default()
    };
    let projects = vec![ProjectOptions::default(), other];
    let options = SimulatorOptions { projects, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    let home = lived_in(&simulator).await;
    home.secret("key", "argos_test_other");
    let daemon = home.serve().await;
    let status = daemon
        .until("the mismatch is found", |status| {
            status.problems.iter().any(|problem| problem.reason == "KEY_MISMATCH")
        })
        .await;
    assert_eq!(status.leasable_tokens, 0);
    daemon.refuses_leases(tonic::Code::Unavailable, "HALTED").await;
    let counters = simulator.counters("pid_other").unwrap();
    assert_eq!((counters.posts, counters.deletes), (0, 0), "hard case 11");
}
