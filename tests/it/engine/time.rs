//! T1: an engine by the system's clock, on a machine whose wall clock can be set.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use argospool::{
    app::clock::{Reading, SystemClock},
    domain::{pool::Policy, time::Timestamp},
    engine::Settings,
    port::{Clock, DoubtfulCause},
    store::memory::Memory,
};

use super::doubtful;
use crate::world::{Bench, Scripted, ended, policy, settings};

const DAY: Duration = Duration::from_secs(86_400);

/// Its boot-time clock is tokio's.
#[derive(Clone)]
struct Machine {
    wall_at_boot: Arc<Mutex<Duration>>,
    started: tokio::time::Instant,
}

impl Machine {
    fn new() -> Self {
        let wall_at_boot = Arc::new(Mutex::new(Duration::from_secs(1_800_000_000)));
        Self { wall_at_boot, started: tokio::time::Instant::now() }
    }

    fn read(&self) -> Reading {
        let boot = self.started.elapsed();
        Reading { boot, wall: *self.wall_at_boot.lock().unwrap() + boot }
    }

    fn jump(&self, by: Duration) {
        *self.wall_at_boot.lock().unwrap() += by;
    }

    /// The clock of a process that starts on this machine.
    fn clock(&self) -> Arc<SystemClock> {
        let machine = self.clone();
        Arc::new(SystemClock::reading(move || machine.read()))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::ZERO.plus(self.read().wall)
    }
}

/// Where time alone takes tokens out of stock, deletes them, and drops history.
fn ageing() -> (Policy, Settings) {
    let policy = Policy { unused_age_max: Some(DAY / 2), ..policy(500, 100) };
    (policy, Settings { retention: DAY / 2, ..settings() })
}

async fn bench(clock: &Arc<SystemClock>, ledger: Memory, supplier: Arc<Scripted>) -> Bench {
    let (policy, settings) = ageing();
    Bench::by(clock.clone(), policy, settings, ledger, supplier).await
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_a_day_takes_nothing_out_of_the_pool_before_argos_agrees() {
    let machine = Machine::new();
    let clock = machine.clock();
    let bench = bench(&clock, Memory::default(), Scripted::new()).await;
    bench.filled().await;
    bench.lease("uid:1", Some(1)).await.unwrap();

    machine.jump(DAY);
    tokio::time::sleep(Duration::from_secs(300)).await;
    bench.lease("uid:1", Some(2)).await.unwrap();
    let status = bench.handle.status().await.unwrap();
    assert_eq!((status.census.leased, status.census.doomed), (2, 0));
    assert_eq!(bench.supplier.deletions().len(), 0);

    clock.told(machine.wall());
    bench.until("the leases lapse", |status| status.census.leased == 0).await;
    bench.until("old stock is deleted", |_| bench.supplier.deletions().concat().len() >= 500).await;
    bench.filled().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_day_of_downtime_hand_outs_go_on_and_nothing_goes_before_argos_agrees() {
    let machine = Machine::new();
    let ledger = Memory::default();
    let twin = ledger.twin();
    let first = bench(&machine.clock(), ledger, Scripted::new()).await;
    first.filled().await;
    first.lease("uid:1", Some(1)).await.unwrap();
    let supplier = first.supplier.clone();
    first.crash().await;

    machine.jump(DAY);
    let clock = machine.clock();
    let second = bench(&clock, twin, supplier).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    second.lease("uid:1", Some(2)).await.unwrap();
    let status = second.handle.status().await.unwrap();
    assert_eq!((status.census.leased, status.census.doomed), (2, 0));

    clock.told(machine.wall());
    second.until("the leases lapse", |status| status.census.leased == 0).await;
}

/// A pool that nothing happens to still knows what time it was: its restart is no downtime of hours.
#[tokio::test(start_paused = true)]
async fn an_idle_pool_writes_the_time_down_now_and_then_and_when_it_stops() {
    for (idle, looks, is_stopped) in [(3_600, 1, false), (3_600, 360, false), (3_610, 1, true)] {
        let machine = Machine::new();
        let ledger = Memory::default();
        let twin = ledger.twin();
        let first = bench(&machine.clock(), ledger, Scripted::new()).await;
        first.filled().await;
        for _ in 0..looks {
            tokio::time::sleep(Duration::from_secs(idle / looks)).await;
            first.handle.status().await.unwrap();
        }
        let supplier = first.supplier.clone();
        let left = machine.wall();
        if is_stopped {
            first.stop.cancel();
            ended(first.running).await.unwrap();
        } else {
            first.crash().await;
        }

        let down = Duration::from_secs(if is_stopped { 59 } else { 29 });
        tokio::time::sleep(down).await;
        let clock = machine.clock();
        let _second = bench(&clock, twin, supplier).await;
        assert!(clock.now() >= left.plus(down), "{looks} {is_stopped}: {:?}", clock.now());
    }
}

/// B3: a step is not time that a late copy had to arrive in.
#[tokio::test(start_paused = true)]
async fn a_step_of_time_does_not_shorten_the_wait_for_a_late_copy() {
    let machine = Machine::new();
    let clock = machine.clock();
    let supplier = Scripted::new();
    supplier.script(|script| {
        script.registrations.push_back(doubtful(DoubtfulCause::Unanswered));
    });
    let bench = bench(&clock, Memory::default(), supplier).await;
    bench.until("both attempts were made", |_| bench.supplier.registrations().len() == 2).await;
    let began = tokio::time::Instant::now();
    machine.jump(DAY);
    clock.told(machine.wall());
    bench.filled().await;
    assert!(began.elapsed() > Duration::from_secs(100), "{:?}", began.elapsed());
    assert_eq!(bench.handle.status().await.unwrap().census.doomed, 0);
}
