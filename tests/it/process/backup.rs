//! A ledger without a daemon: looked at, written to a file, and made of one (hard cases 19, 58, 85).

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

use argospool::{
    api::proto::{Activity, ResumeRequest},
    sim::{Simulator, SimulatorOptions},
};
use tonic::Code;

use super::{
    daemon::{Daemon, Home, counts, text},
    diary::Diary,
    load::Load,
};

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// A home whose daemon has stopped in order, after callers were given this many leases.
async fn lived_in(simulator: &Simulator, diary: &Diary, leases: usize) -> Home {
    let home = Home::beside(simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    let load = Load::start(&daemon, diary, 2);
    load.has_got(leases).await;
    load.end().await;
    daemon.stop().await;
    home
}

/// A command that must end so; what it wrote.
async fn told(home: &Home, code: i32, words: &[&str]) -> String {
    let (ended, told) = home.command(words).await;
    assert_eq!(ended.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("token=") && !told.contains(super::daemon::KEY), "P1: {told}");
    told
}

async fn export(home: &Home, file: &Path) -> String {
    told(home, 0, &["ledger", "export", file.to_str().unwrap()]).await
}

async fn import(home: &Home, code: i32, file: &Path) -> String {
    told(home, code, &["ledger", "import", file.to_str().unwrap()]).await
}

fn lose_the_ledger(home: &Home) {
    fs::rename(home.data().join("ledger"), home.path("lost")).unwrap();
}

async fn leases(daemon: &Daemon, number: usize) -> BTreeSet<String> {
    let mut tokens = BTreeSet::new();
    for _ in 0..number {
        assert!(tokens.insert(daemon.lease().await.unwrap().token_id), "L1");
    }
    tokens
}

#[tokio::test]
async fn a_backup_beside_the_witness_of_the_lost_ledger_costs_what_may_have_been_shown() {
    let simulator = simulator().await;
    let diary = Diary::default();
    let home = lived_in(&simulator, &diary, 30).await;
    let file = home.path("backup");
    let told = export(&home, &file).await;
    assert!(told.contains("ready") && told.contains("leased"), "{told}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "hard case 58");

    let daemon = home.serve().await;
    let lost = leases(&daemon, 60).await;
    daemon.stop().await;
    lose_the_ledger(&home);
    let told = import(&home, 0, &file).await;
    assert!(told.contains("revisions behind"), "{told}");
    assert!(told.contains("tokens out of use"), "{told}");
    assert!(!home.data().join("importing").exists());

    let daemon = home.serve().await;
    assert!(home.log().contains("taken out of use"));
    diary.holds_at(&daemon).await;
    let status = daemon.status().await;
    assert!(counts(&status).ready >= 500, "what was surely never shown is used: {status:?}");
    let given = leases(&daemon, 200).await;
    assert!(given.is_disjoint(&lost), "L1: it was handed out after the backup");
    daemon.stop().await;
}

#[tokio::test]
async fn a_backup_without_a_witness_costs_every_token_that_was_ready() {
    let simulator = simulator().await;
    let diary = Diary::default();
    let home = lived_in(&simulator, &diary, 30).await;
    let file = home.path("backup");
    export(&home, &file).await;
    let state = simulator.state("pid_demo", 0).unwrap();
    let id = |token: &serde_json::Value| token["tokenId"].as_str().unwrap().to_owned();
    let known: BTreeSet<_> = state["tokens"].as_array().unwrap().iter().map(id).collect();

    let elsewhere = home.path("elsewhere");
    let home = home.keeping_its_ledger_in(&elsewhere);
    let told = import(&home, 0, &file).await;
    assert!(told.contains("missing; the next start takes"), "{told}");
    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    daemon.filled().await;
    assert!(leases(&daemon, 50).await.is_disjoint(&known), "L1: it may have been shown");
    daemon.stop().await;
}

#[tokio::test]
async fn a_backup_that_is_the_newest_there_was_costs_nothing() {
    let simulator = simulator().await;
    let diary = Diary::default();
    let home = lived_in(&simulator, &diary, 30).await;
    let file = home.path("backup");
    let audit = ["audit", "--offline", "--output", "json"];
    let before = told(&home, 0, &audit).await;
    export(&home, &file).await;
    lose_the_ledger(&home);
    let told = import(&home, 0, &file).await;
    assert!(told.contains("the newest there was"), "{told}");
    let after = self::told(&home, 0, &audit).await;
    assert_eq!(before, after, "everything came back");
    let daemon = home.serve().await;
    assert!(!home.log().contains("taken out of use"));
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn neither_a_running_daemon_nor_a_file_nor_a_ledger_is_overrun() {
    let simulator = simulator().await;
    let diary = Diary::default();
    let home = lived_in(&simulator, &diary, 5).await;
    let file = home.path("backup");
    export(&home, &file).await;
    let path = file.to_str().unwrap();
    let refused = told(&home, 1, &["ledger", "export", path]).await;
    assert!(refused.contains("is there already") && refused.contains("--force"), "{refused}");
    told(&home, 0, &["ledger", "export", "--force", path]).await;
    let refused = import(&home, 1, &file).await;
    assert!(refused.contains("has a ledger: move `ledger` away"), "{refused}");

    let daemon = home.serve().await;
    let other = home.path("other");
    for words in [
        &["audit", "--offline"][..],
        &["ledger", "export", other.to_str().unwrap()],
        &["ledger", "import", path],
    ] {
        let refused = told(&home, 1, words).await;
        assert!(refused.contains("another argospool serves from"), "{refused}");
    }
    assert!(!other.exists());
    daemon.lease().await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_whole_backup_of_this_project_leaves_nothing_behind() {
    let simulator = simulator().await;
    let home = lived_in(&simulator, &Diary::default(), 5).await;
    let file = home.path("backup");
    export(&home, &file).await;
    lose_the_ledger(&home);
    let whole = fs::read(&file).unwrap();

    let bad = home.path("bad");
    fs::write(&bad, &whole[..whole.len() * 2 / 3]).unwrap();
    let refused = import(&home, 1, &bad).await;
    assert!(refused.contains(&format!("it ends at byte {}", whole.len() * 2 / 3)), "{refused}");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&bad, &flipped).unwrap();
    let refused = import(&home, 1, &bad).await;
    assert!(refused.contains("it is damaged between byte"), "{refused}");
    fs::write(&bad, "grpc.listen = \"127.0.0.1:0\"\n").unwrap();
    let refused = import(&home, 1, &bad).await;
    assert!(refused.contains("it is no backup of a ledger"), "{refused}");

    let home = home.with("projects.default.pid", text("pid_other"));
    let refused = import(&home, 1, &file).await;
    assert!(refused.contains("belongs to the ARGOS project pid_demo"), "hard case 11: {refused}");
    let home = home.with("projects.default.pid", text(super::daemon::PID));
    assert!(!home.data().join("ledger").exists() && !home.data().join("importing").exists());
    let refused = home.refuses().await;
    assert!(refused.contains("its witness has seen one that was not"), "{refused}");
    fs::remove_dir_all(home.data().join("ledger")).unwrap();
    import(&home, 0, &file).await;
    home.serve().await.stop().await;
}

#[tokio::test]
async fn an_import_that_was_cut_off_is_never_served_from() {
    let simulator = simulator().await;
    let home = lived_in(&simulator, &Diary::default(), 5).await;
    let file = home.path("backup");
    export(&home, &file).await;
    let elsewhere = home.path("elsewhere");
    let home = home.keeping_its_ledger_in(&elsewhere);
    // As it is while an import is at work.
    for dir in [home.data().to_owned(), home.data().join("importing")] {
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let refused = home.refuses().await;
    assert!(refused.contains("was cut off: do it again"), "{refused}");
    let refused = told(&home, 1, &["audit", "--offline"]).await;
    assert!(refused.contains("was cut off: do it again"), "{refused}");
    import(&home, 0, &file).await;
    home.serve().await.stop().await;
}

#[tokio::test]
async fn of_a_database_that_does_not_open_an_audit_tells_what_its_witness_knows() {
    let simulator = simulator().await;
    let home = lived_in(&simulator, &Diary::default(), 5).await;
    let file = fs::OpenOptions::new().write(true).open(home.data().join("ledger/db")).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xA5; length], 0).unwrap();
    let told = told(&home, 1, &["audit", "--offline"]).await;
    assert!(told.contains("restore the directory from a backup"), "{told}");
    assert!(told.contains("it came to revision"), "{told}");
    assert!(told.contains("1 ledger cannot be used"), "{told}");
}

#[tokio::test]
async fn a_ledger_that_breaks_a_promise_has_a_way_out() {
    let simulator = simulator().await;
    let home = lived_in(&simulator, &Diary::default(), 5).await;
    {
        let config = sled::Config::new().path(home.data().join("ledger")).segment_size(8 << 20);
        let database = config.open().unwrap();
        let groups = database.open_tree("default/groups").unwrap();
        let (key, value) = groups.last().unwrap().unwrap();
        // The mark of the last group: nothing was ever leased.
        let value = [&value[..], &[0x12, 2, 0x20, 0]].concat();
        groups.insert(key, value).unwrap();
        database.flush().unwrap();
    }
    let told = told(&home, 1, &["audit", "--offline"]).await;
    assert!(told.contains("is leased beyond the mark"), "{told}");
    assert!(told.contains("argospool resume leasing"), "hard case 85: {told}");

    let daemon = home.serve().await;
    daemon.refuses_leases(Code::Unavailable, "HALTED").await;
    let leasing =
        ResumeRequest { activities: vec![Activity::Leasing.into()], ..Default::default() };
    daemon.admin().resume(leasing).await.unwrap();
    leases(&daemon, 10).await;
    daemon.stop().await;
    self::told(&home, 0, &["audit", "--offline"]).await;
}
