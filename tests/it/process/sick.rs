//! A disk that answers with errors, and a process that may open no more files (hard case 18).

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};

use argospool::sim::{Simulator, SimulatorOptions};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, prlimit},
};
use tonic::Code;

use super::{
    daemon::{Daemon, Home, text, until},
    diary::Diary,
    load::Load,
    mounts::Mount,
};

/// A disk whose writes and syncs fail on request, for the processes of one home.
struct Disk {
    fails_while: PathBuf,
}

impl Disk {
    fn below(home: Home) -> (Home, Self) {
        let shim = home.path("failing_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/process/failing_disk.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&shim).arg(source);
        assert!(compile.status().unwrap().success(), "cc is needed");
        let fails_while = home.path("failure");
        let preload = format!("LD_PRELOAD={}", shim.display());
        let link = format!("DISK_FAILS_WHILE={}", fails_while.display());
        (home.started_by(["env", &preload, &link]), Self { fails_while })
    }

    fn fail(&self, failure: Failure) {
        let number = match failure {
            Failure::WritesAndSyncs(error) => error.raw_os_error(),
            Failure::Syncs(error) => -error.raw_os_error(),
        };
        symlink(number.to_string(), &self.fails_while).unwrap();
    }

    fn heal(&self) {
        fs::remove_file(&self.fails_while).unwrap();
    }
}

#[derive(Clone, Copy)]
enum Failure {
    WritesAndSyncs(Errno),
    Syncs(Errno),
}

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// The disk fails under load, for a while; what was acknowledged is there afterwards.
async fn it_outlives(failure: Failure, sentence: &str) {
    let simulator = simulator().await;
    let (home, disk) = Disk::below(Home::beside(&simulator));
    let home = home.with("defaults.refill.target_tokens", 3_000);
    let daemon = home.serve().await;
    daemon.filled().await;
    let diary = Diary::default();
    for _ in 0..2 {
        let load = Load::start(&daemon, &diary, 4);
        load.has_got(100).await;
        disk.fail(failure);
        daemon.refuses_leases(Code::Unavailable, "LEDGER_UNAVAILABLE").await;
        assert_eq!(daemon.get("/livez").await.0, 200, "a restart would not help");
        assert!(home.log().contains(sentence), "{sentence} is not told");
        disk.heal();
        until("it lends again", async || daemon.lease().await.ok()).await;
        load.end().await;
        diary.holds_at(&daemon).await;
    }
    // What cannot be said to have happened, and what certainly did not.
    let heard = diary.refusals();
    assert!(
        heard.keys().all(|it| ["COMMIT_DOUBTFUL", "LEDGER_UNAVAILABLE"].contains(&it.as_str()))
    );
    daemon.kill();

    disk.fail(failure);
    let told = home.refuses().await;
    assert!(told.contains(sentence), "{told}");
    disk.heal();
    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_writes_and_syncs_is_outlived() {
    it_outlives(Failure::WritesAndSyncs(Errno::IO), "Input/output error").await;
}

#[tokio::test]
async fn a_disk_that_fails_only_when_it_is_told_to_sync_is_outlived() {
    it_outlives(Failure::Syncs(Errno::IO), "Input/output error").await;
}

#[tokio::test]
async fn a_disk_that_became_read_only_is_outlived() {
    it_outlives(Failure::WritesAndSyncs(Errno::ROFS), "Read-only file system").await;
}

/// How many files the process may have open at the same time.
fn allow_files(daemon: &Daemon, most: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: most.or(maximum), maximum };
    prlimit(Some(daemon.pid()), Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn a_file_system_that_gave_itself_up_costs_nothing_once_it_is_mounted_anew() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).with("ledger.cache", text("1MiB"));
    let (at, image) = (home.path("volume"), home.path("image"));
    let mount = Mount::of_image(at.clone(), &image);
    let data = mount.path().join("data");
    let home = home.keeping_its_ledger_in(&data);
    let daemon = home.serve().await;
    daemon.filled().await;
    let diary = Diary::default();
    let load = Load::start(&daemon, &diary, 4);
    load.has_got(100).await;
    mount.break_down();
    daemon.refuses_leases(Code::Unavailable, "LEDGER_UNAVAILABLE").await;
    until("it is told", async || home.log().contains("Read-only file system").then_some(())).await;
    assert_eq!(daemon.get("/livez").await.0, 200);
    daemon.kill();
    load.end().await;
    drop(mount);
    let _mount = Mount::of_image(at, &image);
    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_file_to_open_it_serves_who_is_there_and_takes_everybody_when_it_can() {
    let simulator = simulator().await;
    let (home, disk) = Disk::below(Home::beside(&simulator));
    let home = home.with("defaults.refill.target_tokens", 3_000);
    let daemon = home.serve().await;
    daemon.filled().await;
    let diary = Diary::default();
    let load = Load::start(&daemon, &diary, 2);
    load.has_got(20).await;
    // Below all that are open, so that one which closes leaves no room.
    allow_files(&daemon, Some(3));

    let stranger = tokio::time::timeout(Duration::from_secs(2), daemon.get("/livez")).await;
    assert!(stranger.is_err(), "there was no room for a stranger");
    load.goes_on(100).await;
    // A ledger that must be opened again finds no room either, and waits for it.
    disk.fail(Failure::WritesAndSyncs(Errno::IO));
    until("the ledger fails", async || diary.refusals().get("LEDGER_UNAVAILABLE").copied()).await;
    disk.heal();
    until("it is told", async || home.log().contains("Too many open files").then_some(())).await;
    allow_files(&daemon, None);

    until("a stranger is lent to", async || daemon.lease().await.ok()).await;
    assert_eq!(daemon.get("/livez").await.0, 200);
    load.end().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}
