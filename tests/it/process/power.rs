//! The power supply is lost under load (J1, L1, L3, S1).
//!
//! The ledger is on a [`Disk`] whose cache is lost with its power. At any moment the daemon is halted,
//! the platter is copied, and a daemon on the copy must know every lease that a caller had received,
//! byte for byte. The same rig, with a daemon whose syncs of the database do nothing, must see leases
//! lost, or it would prove nothing; and even then no token is given twice.
//!
//! `ARGOSPOOL_POWER_ROUNDS` asks for more rounds than the test command plays, `ARGOSPOOL_POWER_SEED` for
//! the moments of an earlier run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use argospool::sim::{Simulator, SimulatorOptions};
use rustix::process::Signal;

use super::{
    chance::{Chance, rounds},
    daemon::{Daemon, Home, counts, text},
    diary::Diary,
    load::Load,
    mounts::Disk,
};

const ROUNDS: usize = 3;
/// Without syncs a loss shows in nearly every round.
const DEAF_ROUNDS: usize = 12;
const CALLERS: usize = 6;
/// The power goes within this time of work.
const WORK: Duration = Duration::from_millis(800);
/// What the kernel had been given is on the disk by then.
const SETTLE: Duration = Duration::from_millis(100);
const SEED: &str = "ARGOSPOOL_POWER_SEED";
const DEAF: &str = include_str!("power/deaf.c");

/// A daemon's home whose ledger is on a disk of its own.
struct Site {
    disk: Disk,
    home: Home,
    diary: Diary,
    cuts: usize,
}

impl Site {
    fn beside(simulator: &Simulator) -> Self {
        let home = Home::beside(simulator)
            .with("log.level", text("info"))
            .with("defaults.refill.target_tokens", 3_000)
            .with("defaults.refill.low_water_tokens", 2_000);
        let disk = Disk::new(&home.path("disk-0"));
        let home = home.keeping_its_ledger_in(&disk.path().join("data"));
        Self { disk, home, diary: Diary::default(), cuts: 0 }
    }

    fn changed(self, change: impl FnOnce(Home) -> Home) -> Self {
        Self { home: change(self.home), ..self }
    }

    /// Leases under load until the power goes, and what is left of the disk then.
    async fn loses_power(self, daemon: Daemon, chance: &mut Chance) -> Self {
        let Self { disk, home, diary, cuts } = self;
        let load = Load::start(&daemon, &diary, CALLERS);
        load.has_got(1).await;
        // bounded: by WORK; not a barrier, any moment under load will do
        tokio::time::sleep(chance.within(WORK)).await;
        daemon.signal(Signal::STOP);
        // bounded: once; nothing tells when the device has taken all that it was given
        tokio::time::sleep(SETTLE).await;
        let cuts = cuts + 1;
        let left = disk.after_power_loss(&home.path(&format!("disk-{cuts}")));
        daemon.kill();
        load.end().await;
        drop(disk);
        let home = home.keeping_its_ledger_in(&left.path().join("data"));
        Self { disk: left, home, diary, cuts }
    }

    /// The daemon is started in another start of the machine, as it is after a power loss.
    fn in_another_boot(self) -> Self {
        let boot = self.home.path("boot");
        fs::write(&boot, format!("{}\n", uuid::Uuid::new_v4())).unwrap();
        let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let starter = ["unshare", "--mount", "sh", "-c", script].map(PathBuf::from);
        self.changed(|home| home.started_by(starter.into_iter().chain([boot])))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_power_is_lost_under_load_every_lease_is_there_and_no_token_is_given_twice() {
    let mut chance = Chance::seeded_by(SEED);
    let rounds = rounds("ARGOSPOOL_POWER_ROUNDS", ROUNDS);
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let mut site = Site::beside(&simulator);
    let mut daemon = site.home.serve().await;
    let (mut checked, mut started) = (0, Duration::ZERO);
    for round in 1..=rounds {
        daemon.until("tokens are ready", |status| counts(status).ready >= 1_000).await;
        site = site.loses_power(daemon, &mut chance).await;
        // In the same boot nothing but the ledger itself keeps a token from being given again.
        site = if chance.below(2) == 0 {
            site.in_another_boot()
        } else {
            site.changed(|home| home.started_by([""; 0]))
        };
        let began = Instant::now();
        daemon = site.home.serve().await;
        started = started.max(began.elapsed());
        assert_eq!(site.diary.lost_at(&daemon, checked).await, 0, "J1: round {round}");
        checked = site.diary.len();
        if round % 10 == 0 {
            println!("{round} power losses, {} leases acknowledged", site.diary.acknowledged());
        }
    }
    site.diary.holds_at(&daemon).await;
    daemon.stop().await;
    println!(
        "{rounds} power losses, {} leases acknowledged, 0 lost, 0 doubled; the slowest start took {} ms",
        site.diary.acknowledged(),
        started.as_millis(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_sync_leases_are_lost_and_still_no_token_is_given_twice() {
    let mut chance = Chance::seeded_by(SEED);
    let library = tempfile::tempdir().unwrap();
    let deaf = compiled(library.path());
    let (mut refused, mut lost) = (0, 0);
    for round in 1..=DEAF_ROUNDS {
        let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
        let preload = format!("LD_PRELOAD={}", deaf.display());
        let mut site =
            Site::beside(&simulator).changed(|home| home.started_by(["env", preload.as_str()]));
        // On another volume the witness outlives the ledger, and knows without a new boot.
        let witness = (round % 2 == 0).then(|| site.home.path("witness"));
        if let Some(witness) = &witness {
            site = site.changed(|home| home.with("ledger.witness_dir", text(witness.display())));
        }
        let daemon = site.home.serve().await;
        daemon.filled().await;
        site = site.loses_power(daemon, &mut chance).await;
        site = if witness.is_some() {
            site.changed(|home| home.started_by([""; 0]))
        } else {
            site.in_another_boot()
        };
        let mut daemon = site.home.start();
        if daemon.serves_or_ends().await.is_some() {
            refused += 1;
            continue;
        }
        daemon.until("tokens are ready", |status| counts(status).ready >= 1_000).await;
        lost += site.diary.lost_at(&daemon, 0).await;
        let before = site.diary.len();
        let load = Load::start(&daemon, &site.diary, CALLERS);
        load.has_got(300).await;
        load.end().await;
        assert_eq!(site.diary.lost_at(&daemon, before).await, 0, "it lends as ever");
        println!("{round} power losses without syncs: {lost} leases lost, {refused} refused");
        // Once with a witness on the same disk, once with one elsewhere.
        if lost > 0 && round > 1 {
            break;
        }
    }
    assert!(lost + refused > 0, "nothing was lost without syncs: this rig proves nothing");
}

/// The library that makes a daemon's syncs of its database do nothing.
fn compiled(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("deaf.c"), dir.join("deaf.so"));
    fs::write(&source, DEAF).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    let output = cc.output().expect("a C compiler, cc, is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}
