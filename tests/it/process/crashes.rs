//! `kill -9` hundreds of times in a row on one data directory, also during recovery, while everything
//! goes on that a pool knows (S1, L1, L3, B1, B2, W1).
//!
//! Witnesses are the callers' own files, the answers to webhooks as the sender saw them, and the
//! simulator's record and counters. Every round is judged right after the next start, everything once
//! more in the end.
//!
//! `ARGOSPOOL_CRASH_ROUNDS` asks for more rounds than the test command plays, `ARGOSPOOL_CRASH_SEED` for
//! the moments of an earlier run.

mod callers;
mod judge;
mod relay;

use std::{
    fs,
    process::Command as Process,
    sync::Arc,
    time::{Duration, Instant},
};

use argospool::sim::{Command, Simulator, SimulatorOptions, WebhookSettings};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{callers::Caller, judge::Judge, relay::Relay};
use super::{
    chance::{Chance, rounds},
    daemon::{Daemon, Home, binary, counts, text},
    hooks::{address, taking_webhooks},
};

const ROUNDS: usize = 8;
const CALLERS: usize = 6;
/// A process is killed within this time of work.
const WORK: Duration = Duration::from_millis(600);
/// Up to so many processes in a row die while they start.
const RECOVERIES: u64 = 4;
const TELL_EVERY: usize = 25;
/// After so many rounds it is left alone until every doubt is settled.
const QUIET_EVERY: usize = 100;

/// With every kill some orders are in doubt until it has been quiet for a while, and they count as
/// stock: there must be more.
fn home(simulator: &Simulator, rounds: usize) -> Home {
    let target = 3_000 + 200 * rounds.min(QUIET_EVERY);
    taking_webhooks(Home::beside(simulator))
        .that_settles_doubts_soon()
        .with("log.level", text("info"))
        .with("defaults.argos.calls_per_day", 10_000_000)
        .with("defaults.argos.tokens_per_call", 100)
        .with("defaults.refill.target_tokens", target)
        .with("defaults.refill.low_water_tokens", target / 2)
        .with("defaults.lease.ttl_min", text("1s"))
        .with("defaults.life.session_max", text("20s"))
        .with("defaults.life.entry_window", text("10s"))
        .with("defaults.life.decided_grace", text("1s"))
        .with("defaults.life.lapsed_grace", text("1s"))
        .with("defaults.life.overdue_after", text("2s"))
}

/// Waits until nothing is in doubt and nothing is left to do.
async fn is_quiet(daemon: &Daemon) {
    daemon
        .until("every doubt is settled and everything doomed is deleted", |status| {
            let now = counts(status);
            let doubts = status.argos.is_some_and(|argos| argos.doubtful_orders > 0);
            now.minted == 0 && now.doomed == 0 && !doubts
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_loses_nothing_it_said_and_gives_no_token_twice() {
    let mut chance = Chance::seeded_by("ARGOSPOOL_CRASH_SEED");
    let rounds = rounds("ARGOSPOOL_CRASH_ROUNDS", ROUNDS);
    let simulator = Arc::new(Simulator::start(SimulatorOptions::default()).await.unwrap());
    let home = home(&simulator, rounds);
    let books = home.path("callers");
    fs::create_dir(&books).unwrap();
    let relay = Relay::start().await;
    let settings = WebhookSettings {
        url: Some(relay.url()),
        tries: Some(8),
        duplicate_percent: Some(10.0),
        ..WebhookSettings::default()
    };
    simulator.control(Command::Webhooks(settings)).unwrap();
    let mut callers: Vec<_> = (0..CALLERS)
        .map(|number| Caller::new(&books.join(number.to_string()), &simulator, chance.split()))
        .collect();
    let mut judge = Judge::of(&callers, &relay, &simulator, chance.split());

    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.kill();

    let (mut kills, mut in_recovery) = (0, 0);
    let mut start = Duration::from_millis(500);
    for round in 1..=rounds {
        for _ in 0..chance.below(RECOVERIES) {
            let daemon = home.start();
            // bounded: by the length of a start; not a barrier, any moment of one will do
            tokio::time::sleep(chance.within(start)).await;
            daemon.kill();
            in_recovery += 1;
        }
        let began = Instant::now();
        let daemon = home.serve().await;
        start = began.elapsed();
        relay.leads_to(&address(&daemon));
        judge.round(&daemon).await;
        let (stop, mut work) = (CancellationToken::new(), JoinSet::new());
        for caller in callers.drain(..) {
            work.spawn(caller.work(daemon.pool(), stop.clone()));
        }
        // bounded: by WORK; not a barrier, any moment under load will do
        tokio::time::sleep(chance.within(WORK)).await;
        daemon.kill();
        kills += 1;
        stop.cancel();
        callers = work.join_all().await;
        if round % TELL_EVERY == 0 {
            println!("{round} rounds, {in_recovery} kills during recovery; {}", judge.tally());
        }
        if round % QUIET_EVERY == 0 {
            let daemon = home.serve().await;
            relay.leads_to(&address(&daemon));
            is_quiet(&daemon).await;
            daemon.kill();
        }
    }

    let daemon = home.serve().await;
    relay.leads_to(&address(&daemon));
    judge.round(&daemon).await;
    for caller in &mut callers {
        caller.finishes(daemon.pool()).await;
    }
    judge.agrees_with_argos(&daemon).await;
    is_quiet(&daemon).await;
    judge.everything(&daemon).await;
    let audit = Process::new(binary()).args(["--address", daemon.address(), "audit"]).output();
    let audit = audit.unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    daemon.stop().await;
    judge.reads_the_files(&books);
    println!(
        "{rounds} rounds, {} kills ({in_recovery} during recovery), {}, 0 lost, 0 doubled; the last \
         start took {} ms",
        kills + in_recovery,
        judge.tally(),
        start.as_millis(),
    );
}
