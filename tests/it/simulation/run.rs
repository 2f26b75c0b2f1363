//! One run, from the first step to the rest after the last.
//!
//! Each process of the daemon has a runtime of its own, with one thread and paused time. To die is to drop
//! the runtime: every task ends where it stands, and the world outside goes on.

use std::time::Duration;

use argospool::{
    domain::pause::Activity,
    engine::Bell,
    sim::{Command, Crowd, RuleChange},
    store::memory::Memory,
};
use tokio::time::{Instant, sleep_until};

use super::{
    callers,
    calm::Rest,
    outside::{Event, Shared, Tally},
    post,
    process::Process,
    script::{Chore, Script, Step},
};

/// The longest that a process lives after its death was decided.
const DIES_WITHIN_MS: u64 = 2_000;

/// A broken promise, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub what: String,
    /// The step after which it was seen; the number of all steps: in the calm after them.
    pub step: usize,
}

/// Plays a script. Safety is judged after every step, and in the end, when nothing goes wrong any more,
/// that all comes to rest as it must.
pub fn play(script: &Script) -> Result<Tally, Breach> {
    let mut run = Run::new(script);
    run.shared.lock().after(0, Event::Start);
    while !run.over() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let time = run.shared.lock().time.clone();
        runtime.block_on(async {
            time.resume();
            run.live().await;
            time.halt();
        });
        drop(runtime);
        run.bury();
    }
    let outside = run.shared.lock();
    match outside.breach() {
        Some(what) => Err(Breach { what: what.to_owned(), step: run.next_step }),
        None => Ok(Tally {
            seconds: outside.time.elapsed().as_secs(),
            commits: outside.books.commits,
            ..outside.tally
        }),
    }
}

struct Run<'a> {
    script: &'a Script,
    shared: Shared,
    memory: Memory,
    next_step: usize,
    /// When the next step comes.
    step_at: Duration,
    process: Option<Process>,
    processes: u64,
    /// How long the daemon is away after its present process.
    away_ms: u64,
    rest: Option<Rest>,
    at_rest: bool,
}

impl<'a> Run<'a> {
    fn new(script: &'a Script) -> Self {
        Self {
            script,
            shared: Shared::new(script),
            memory: Memory::default(),
            next_step: 0,
            step_at: Duration::ZERO,
            process: None,
            processes: 0,
            away_ms: 0,
            rest: None,
            at_rest: false,
        }
    }

    fn over(&self) -> bool {
        self.at_rest || self.shared.lock().breach().is_some()
    }

    /// Goes on until the process dies, or all is over.
    async fn live(&mut self) {
        while !self.over() {
            let next = self.next_moment();
            if self.wait(next).await {
                return;
            }
            loop {
                let due = self.shared.lock().take_due();
                let Some(event) = due else { break };
                if self.happen(event) {
                    return;
                }
            }
            let now = self.shared.lock().time.elapsed();
            if now >= self.step_at {
                if let Some(step) = self.script.steps.get(self.next_step) {
                    self.next_step += 1;
                    self.take(step);
                } else {
                    self.come_to_rest().await;
                }
            }
        }
    }

    fn next_moment(&self) -> Instant {
        let outside = self.shared.lock();
        let event = outside.next_event_at().unwrap_or(Duration::MAX);
        outside.time.instant(event.min(self.step_at))
    }

    /// Waits for a moment, or for news. True: the process died before.
    async fn wait(&mut self, until: Instant) -> bool {
        let news = self.shared.lock().news.clone();
        let Some(process) = &mut self.process else {
            sleep_until(until).await;
            return false;
        };
        let fuse = process.fuse.clone();
        tokio::select! {
            biased;
            () = news.notified() => false,
            () = fuse.burnt.notified() => {
                self.shared.lock().tally.crashes += 1;
                true
            }
            ended = &mut process.running => {
                let stopped = process.stop.is_cancelled();
                let mut outside = self.shared.lock();
                match ended {
                    Ok(Ok(())) => outside.demand(stopped, "the engine ended by itself"),
                    Ok(Err(argospool::port::LedgerError::Fenced)) => {
                        outside.object("J3: the only owner is fenced");
                    }
                    Ok(Err(_)) => (),
                    Err(panic) => outside.object(format!("A panic: {panic}")),
                }
                true
            }
            () = sleep_until(until) => false,
        }
    }

    /// Something happens. True: the process is dead.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Arrive(parcel) => self.shared.lock().arrive(parcel),
            Event::Answer(answer) => answer.arrive(),
            Event::Deliver(letter) => post::deliver(&self.shared, letter),
            Event::Start => {
                if self.process.is_none() {
                    self.processes += 1;
                    let process = Process::start(&self.shared, &self.memory, self.processes);
                    self.process = Some(process);
                }
            }
            Event::Die if self.process.is_some() => {
                self.shared.lock().tally.crashes += 1;
                return true;
            }
            Event::Die => (),
        }
        false
    }

    /// What a dead process leaves behind, and when the next one comes.
    fn bury(&mut self) {
        let mut outside = self.shared.lock();
        outside.live = None;
        outside.cut_off();
        outside.forget(|_, event| matches!(event, Event::Start | Event::Die));
        self.process = None;
        outside.after(self.away_ms, Event::Start);
        self.away_ms = 1_000;
    }

    fn take(&mut self, step: &Step) {
        let (shared, next) = (self.shared.clone(), self.next_step);
        shared.lock().trace(&[0, next as u64]);
        let wait = |millis: u32| Duration::from_millis(millis.into());
        match *step {
            Step::Pass(millis) => self.step_at += wait(millis),
            Step::Weather(weather) => shared.lock().set_weather(weather),
            Step::Lease { owner, request, tokens, wait_ms } => {
                callers::lease(&shared, owner, request, tokens, wait(wait_ms));
            }
            Step::Burst { owner, callers, wait_ms } => {
                for _ in 0..callers {
                    callers::lease(&shared, owner, None, 1, wait(wait_ms));
                }
            }
            Step::Again(which) => callers::repeat(&shared, which),
            Step::Reuse(which) => callers::reuse(&shared, which),
            Step::HangUp => callers::hang_up(&shared),
            Step::Release(which) => callers::release(&shared, which),
            Step::Revoke(which) => callers::revoke(&shared, which),
            Step::Replace { which, request } => callers::replace(&shared, which, request),
            Step::Visit { which, plan } => {
                let mut outside = shared.lock();
                let Some(told) = outside.callers.lease(which) else { return };
                let crowd = Crowd { links: vec![told.url.clone()], plan };
                let now = outside.time.truth();
                outside.argos.control(now, Command::Crowd(crowd)).unwrap();
                outside.collect_mail();
            }
            Step::Ring(chore) => self.ring(chore),
            Step::Refill(extra) => self.order(move |handle| async move {
                let _ = handle.refill(extra.into()).await;
            }),
            Step::Pause { leasing } => self.order(move |handle| async move {
                let activity = if leasing { Activity::Leasing } else { Activity::Refill };
                let _ = handle.pause(vec![activity], String::new(), String::new()).await;
            }),
            Step::Resume => self.order(|handle| async move {
                let _ = handle.resume(Activity::ALL.to_vec()).await;
            }),
            Step::AcceptLoss => self.order(|handle| async move {
                let _ = handle.accept_loss().await;
            }),
            Step::Foreign(count) => self.control(Command::Foreign {
                pid: None,
                count: count.into(),
                prefix: None,
                ids: Vec::new(),
            }),
            Step::Cap(cap) => {
                let cap = Some(cap as usize);
                self.control(Command::Rules(RuleChange { cap, ..RuleChange::default() }));
            }
            Step::Vanish(oldest) => {
                self.control(Command::Vanish { pid: None, oldest: oldest.into(), ids: Vec::new() })
            }
            Step::Wall(seconds) => shared.lock().time.set_skew(seconds),
            Step::DiskFull(full) => self.memory.faults().set_full(full),
            Step::Crash { polls, away_ms } => {
                self.away_ms = away_ms.into();
                if let Some(process) = &self.process {
                    process.fuse.light(polls);
                    shared.lock().after(DIES_WITHIN_MS, Event::Die);
                }
            }
            Step::Stop { away_ms } => {
                self.away_ms = away_ms.into();
                if let Some(process) = &self.process {
                    process.stop.cancel();
                }
            }
        }
    }

    fn ring(&self, chore: Chore) {
        let bell = match chore {
            Chore::Floor => Bell::Floor,
            Chore::Count => Bell::Count,
            Chore::Listing => Bell::Listing,
            Chore::Retention => Bell::Retention,
            Chore::Audit => Bell::Audit,
        };
        if let Some(live) = &self.shared.lock().live {
            live.handle.ring(bell);
        }
    }

    fn order<F>(&self, order: impl FnOnce(argospool::engine::Handle) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(live) = &self.shared.lock().live {
            tokio::spawn(order(live.handle.clone()));
        }
    }

    fn control(&self, command: Command) {
        let mut outside = self.shared.lock();
        let now = outside.time.truth();
        outside.argos.control(now, command).unwrap();
        outside.collect_mail();
    }

    /// Nothing goes wrong from here on; looks now and then whether all is as it must be.
    async fn come_to_rest(&mut self) {
        if self.rest.is_none() {
            self.rest = Some(Rest::begin(&self.shared, &self.memory));
            if let Some(process) = &self.process {
                process.fuse.put_out();
            }
        }
        let rest = self.rest.as_mut().unwrap();
        self.at_rest = rest.look(&self.shared).await;
        self.step_at = self.shared.lock().time.elapsed() + Rest::EVERY;
    }
}
