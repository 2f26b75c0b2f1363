//! Database files that are damaged or cut off, as a disk or a copy leaves them (hard case 19).

use std::{fs, os::unix::fs::FileExt, path::Path, process::Command};

use argospool::sim::{Simulator, SimulatorOptions};

use super::{
    daemon::{Home, text},
    diary::Diary,
    load::Load,
};

const CASES: u64 = 16;

/// Numbers without a pattern, the same ones every time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Does something to the part of a file in which something stands.
fn damage(path: &Path, case: u64) {
    let mut dice = Dice(case);
    let whole = fs::read(path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let at = dice.throw(used);
    match case % 4 {
        0 => {
            let bit = whole[usize::try_from(at).unwrap()] ^ (1 << dice.throw(8));
            file.write_all_at(&[bit], at).unwrap();
        }
        1 => file.write_all_at(&[0xA5; 64], at).unwrap(),
        2 => file.write_all_at(&[0; 4_096], at & !4_095).unwrap(),
        _ => file.set_len(at).unwrap(),
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_choice_or_no_token_in_it_is_given_twice() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let witness = home.path("witness");
    let home = home.with("ledger.witness_dir", text(witness.display()));
    let diary = Diary::default();
    let daemon = home.serve().await;
    daemon.filled().await;
    let load = Load::start(&daemon, &diary, 2);
    load.has_got(60).await;
    load.end().await;
    daemon.stop().await;
    let whole = home.path("whole");
    fs::rename(home.data(), &whole).unwrap();
    let witness = witness.join("default");
    let testimony = fs::read(&witness).unwrap();

    let (mut refused, mut suspected, mut unharmed) = (0, 0, 0);
    for case in 0..CASES {
        let _ = fs::remove_dir_all(home.data());
        let copied = Command::new("cp").arg("-a").arg(&whole).arg(home.data()).status().unwrap();
        assert!(copied.success());
        fs::write(&witness, &testimony).unwrap();
        damage(&home.data().join("ledger/db"), case);
        let before = home.log().len();
        let mut daemon = home.start();
        if let Some(ended) = daemon.serves_or_ends().await {
            let told = home.log().split_off(before);
            assert_eq!(ended.code(), Some(1), "case {case}: {told}");
            assert!(told.contains("restore the directory from a backup"), "case {case}: {told}");
            refused += 1;
            continue;
        }
        if home.log().split_off(before).contains("taken out of use") {
            suspected += 1;
        } else {
            diary.holds_at(&daemon).await;
            unharmed += 1;
        }
        let shown = diary.tokens();
        for _ in 0..20 {
            // Of a stock that was taken out of use there is none at first.
            let Ok(lease) = daemon.lease().await else { continue };
            assert!(!shown.contains(&lease.token_id), "L1: case {case} gave it before");
        }
        daemon.kill();
    }
    assert!(refused + suspected > 0, "no damage was met: {unharmed} unharmed");
}
