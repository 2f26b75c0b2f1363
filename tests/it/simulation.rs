//! Deterministic simulation: the daemon's core against the simulated ARGOS, on one thread, in paused
//! time, with every choice drawn from a seed.
//!
//! Simulated are the engine with the domain inside, the ARGOS client with its pace and its judgement, the
//! receiver of webhooks and the clock, over the memory ledger. Around them everything goes wrong that the
//! contract, the network, the disk and the people allow, and the process dies at any await. A run is a
//! [`script::Script`]; after every step the promises are judged by witnesses that are not the daemon's own
//! books, and in the end all must come to rest.
//!
//! The test command plays a few hundred runs. More of them, and for how long:
//!
//! ```text
//! ARGOSPOOL_SIMULATION_RUNS=100000 ARGOSPOOL_SIMULATION_STEPS=800 ARGOSPOOL_SIMULATION_SEED=1 \
//!     cargo test --release --test it simulation -- --nocapture
//! ```
//!
//! `ARGOSPOOL_SIMULATION_CRASHES=80` makes so many of a hundred steps crashes.
//!
//! A run that breaks a promise is cut down to the steps that it takes and printed as a file for
//! `tests/replays`, where it is played for ever.

mod books;
mod callers;
mod calm;
mod disk;
mod network;
mod outside;
mod post;
mod process;
mod run;
mod script;
mod shrink;
mod time;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use outside::Tally;
use run::{Breach, play};
use script::Script;

/// What the test command plays.
const RUNS: u64 = 120;
const STEPS: usize = 160;
/// How often a long mode tells how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// L1, L2, L3, B1, B2, B3, C1, C2, R1, R2, J1, J2, T1, U1, W1, S1.
#[test]
fn no_run_breaks_a_promise() {
    let (runs, first) = (number("RUNS").unwrap_or(RUNS), number("SEED").unwrap_or(1));
    let steps = number("STEPS").map_or(STEPS, |steps| steps as usize);
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut all = Tally::default();
    for seed in first..first + runs {
        let script = match number("CRASHES") {
            Some(crashes) => Script::draw_crashes(seed, steps, crashes as u32),
            None => Script::draw(seed, steps),
        };
        match play(&script) {
            Ok(tally) => all.add(&tally),
            Err(breach) => report(script, breach),
        }
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            tell(seed - first + 1, &all, began.elapsed());
        }
    }
    tell(runs, &all, began.elapsed());
    assert!(all.leases > runs && all.crashes > runs, "nothing happened: {all:?}");
}

#[test]
fn the_same_script_plays_the_same_run() {
    for seed in [3, 5, 8, 13] {
        let script = Script::draw(seed, STEPS);
        assert_eq!(play(&script), play(&script), "seed {seed}");
    }
}

/// Each of them broke a promise once, or breaks one when its guard is taken out.
#[test]
fn no_replay_breaks_a_promise() {
    let replays = replays();
    assert!(!replays.is_empty(), "there are no replays");
    for path in replays {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} says first what it is about", path.display());
        let script: Script = text.parse().unwrap_or_else(|error| {
            panic!("{} is no script: {error}", path.display());
        });
        play(&script).unwrap_or_else(|breach| panic!("{}: {breach:?}", path.display()));
    }
}

#[test]
fn a_script_reads_back_as_it_was_written() {
    for seed in 0..50 {
        let script = Script::draw(seed, STEPS);
        assert_eq!(script.to_string().parse::<Script>().unwrap(), script);
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(format!("ARGOSPOOL_SIMULATION_{name}")).ok()?;
    Some(text.parse().expect("ARGOSPOOL_SIMULATION_RUNS, _SEED, _STEPS and _CRASHES are numbers"))
}

fn tell(runs: u64, all: &Tally, took: Duration) {
    let Tally { leases, crashes, commits, calls, webhooks, seconds, trace } = all;
    let (wall, days) = (took.as_secs_f64(), *seconds as f64 / 86_400.0);
    println!(
        "{runs} runs, {leases} leases, {crashes} crashes, {commits} commits, {calls} calls to \
         ARGOS, {webhooks} webhooks, {days:.0} simulated days in {wall:.0} s: {:.1} runs/s, {:.0} \
         days/min, trace {trace:016x}",
        runs as f64 / wall,
        days / wall * 60.0,
    );
}

/// Fails with the script that is left when everything was taken away that is not to blame.
fn report(script: Script, breach: Breach) -> ! {
    let seed = script.setting.seed;
    println!("seed {seed} breaks a promise after step {}: {}", breach.step, breach.what);
    let (small, breach) = shrink::shrink(script, breach, |script| play(script).map(|_| ()));
    panic!("seed {seed}: {}\nas a file of tests/replays:\n# {}\n{small}", breach.what, breach.what);
}

fn replays() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new("tests/replays")).unwrap();
    let mut replays: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    replays.sort();
    replays
}
