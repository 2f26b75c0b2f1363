//! A disk that fills up, and one that is freed again (hard case 18).

use std::{fs, io::Write, path::Path};

use argospool::sim::{Simulator, SimulatorOptions};
use tonic::Code;

use super::{
    daemon::{Home, counts, text, until},
    diary::Diary,
    load::Load,
    mounts::Mount,
};

const MIB: u64 = 1 << 20;

fn free(path: &Path) -> u64 {
    let volume = rustix::fs::statvfs(path).unwrap();
    volume.f_bavail * volume.f_frsize
}

/// Somebody else's file on the same volume, as large as leaves this much room.
fn fill(mount: &Mount, leave: u64) {
    let mut file = fs::File::create(mount.path().join("ballast")).unwrap();
    let chunk = vec![0xA5; 64 << 10];
    while free(mount.path()) >= leave + chunk.len() as u64 {
        if file.write_all(&chunk).is_err() {
            // Filled to the last byte, by whoever was faster.
            return;
        }
    }
}

#[tokio::test]
async fn on_a_full_disk_it_keeps_what_it_promised_and_goes_on_when_there_is_room() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let mount = Mount::new(home.path("volume"), "96m");
    let data = mount.path().join("data");
    let home = home
        .keeping_its_ledger_in(&data)
        .with("ledger.free_space_min", text("32MiB"))
        .with("ledger.cache", text("1MiB"))
        .with("defaults.refill.target_tokens", 4_000);
    let daemon = home.serve().await;
    daemon.filled().await;
    let diary = Diary::default();

    fill(&mount, 24 * MIB);
    daemon
        .until("the refill rests", |status| {
            status.problems.iter().any(|problem| problem.reason == "DISK_SPACE")
        })
        .await;
    let load = Load::start(&daemon, &diary, 4);
    load.has_got(300).await;
    load.end().await;
    let resting = daemon.status().await;
    let plan = resting.plan.as_ref().unwrap();
    assert_eq!(plan.rest_reason, "disk_space", "{plan:?}");
    assert!(resting.can_lease && counts(&resting).minted == 0, "hand-outs go on, orders do not");

    // Under load, so that the last bytes are taken while the ledger wants them.
    let load = Load::start(&daemon, &diary, 4);
    fill(&mount, 0);
    daemon.refuses_leases(Code::Unavailable, "LEDGER_UNAVAILABLE").await;
    let full = daemon.status().await;
    assert_eq!((full.leasable_tokens, full.can_lease), (0, false));
    let problem = &full.problems[0];
    assert_eq!(problem.reason, "LEDGER_UNAVAILABLE", "{problem:?}");
    assert_eq!(problem.runbook, "deploy/runbooks/ArgospoolDiskFull.md");
    assert_eq!(full.target_tokens, 4_000, "what is known goes on being told");
    assert!(counts(&full).ready > 0, "{full:?}");
    assert_eq!(daemon.get("/livez").await.0, 200, "a restart would not help");
    load.end().await;

    fs::remove_file(mount.path().join("ballast")).unwrap();
    until("it lends again", async || daemon.lease().await.ok()).await;
    daemon.until("the pool is filled again", |status| counts(status).ready >= 3_500).await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
    let daemon = home.serve().await;
    diary.holds_at(&daemon).await;
    daemon.stop().await;
}
