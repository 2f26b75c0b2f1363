//! Everything around the daemon in one value: ARGOS, what is on its way, the judge's books, the callers.
//!
//! It outlives every process of the daemon, as the world outlives a process that dies. What is to happen
//! stands in one queue, in the order of time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use argospool::{
    domain::ids::TokenId,
    engine::Handle,
    sim::{Chance, ProjectOptions, World},
};
use axum::Router;
use tokio::sync::Notify;

use super::{
    books::Books,
    callers::Callers,
    network::{Answer, Parcel},
    post::{Letter, Mail},
    script::{Script, Setting, Weather},
    time::Time,
};

/// The project, and the key that calls and links are made with; as in `crate::links`.
pub const PID: &str = "pid_test";
pub const KEY: &str = "test-api-key-0001";

/// What the tasks of a run share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Outside>>);

impl Shared {
    pub fn new(script: &Script) -> Self {
        Self(Arc::new(Mutex::new(Outside::new(script))))
    }

    pub fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap()
    }
}

/// What happens at a time.
pub enum Event {
    /// A request reaches ARGOS.
    Arrive(Parcel),
    /// Its answer reaches the daemon, or its connection closes.
    Answer(Answer),
    /// A webhook reaches the daemon.
    Deliver(Letter),
    /// The daemon is started.
    Start,
    /// It dies, whatever it is doing.
    Die,
}

/// A daemon that serves.
#[derive(Clone)]
pub struct Live {
    pub handle: Handle,
    pub receiver: Router,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub leases: u64,
    pub crashes: u64,
    pub commits: u64,
    pub calls: u64,
    pub webhooks: u64,
    pub seconds: u64,
    /// The same for the same script: a fold over everything that happened.
    pub trace: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.leases += other.leases;
        self.crashes += other.crashes;
        self.commits += other.commits;
        self.calls += other.calls;
        self.webhooks += other.webhooks;
        self.seconds += other.seconds;
        self.trace = self.trace.rotate_left(5) ^ other.trace;
    }
}

pub struct Outside {
    pub setting: Setting,
    /// Nobody but the daemon changes what ARGOS holds.
    pub alone: bool,
    pub time: Time,
    pub argos: World,
    pub books: Books,
    pub callers: Callers,
    pub mail: Mail,
    pub live: Option<Live>,
    /// How far the wall clock was off when the ledger began: pool time began there, and never steps back.
    pub off_at_birth: Duration,
    pub tally: Tally,
    pub(super) weather: Weather,
    pub(super) chance: Chance,
    /// Ids of the attempts under way in the process that lives.
    pub(super) registering: BTreeSet<TokenId>,
    pub(super) deleting: BTreeSet<TokenId>,
    /// When the calls of the last minute left.
    pub(super) left: VecDeque<Duration>,
    queue: BTreeMap<(Duration, u64), Event>,
    queued: u64,
    /// Something was put into the queue.
    pub news: Arc<Notify>,
    breach: Option<String>,
}

impl Outside {
    fn new(script: &Script) -> Self {
        let time = Time::default();
        let project = ProjectOptions {
            pid: PID.to_owned(),
            api_key: KEY.to_owned(),
            cap: script.setting.cap as usize,
            webhook_url: Some("http://receiver".to_owned()),
            ..ProjectOptions::default()
        };
        Self {
            setting: script.setting,
            alone: script.has_argos_for_itself(),
            argos: World::new(vec![project], Duration::ZERO, time.truth()),
            time,
            books: Books::default(),
            callers: Callers::default(),
            mail: Mail::default(),
            live: None,
            off_at_birth: Duration::ZERO,
            tally: Tally::default(),
            weather: Weather::default(),
            chance: Chance::new(script.setting.seed),
            registering: BTreeSet::new(),
            deleting: BTreeSet::new(),
            left: VecDeque::new(),
            queue: BTreeMap::new(),
            queued: 0,
            news: Arc::default(),
            breach: None,
        }
    }

    pub fn set_weather(&mut self, weather: Weather) {
        self.chance = Chance::new(weather.salt);
        self.weather = weather;
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.chance.draw() % bound.max(1)
    }

    pub fn after(&mut self, millis: u64, event: Event) {
        let at = self.time.elapsed() + Duration::from_millis(millis);
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
        self.news.notify_one();
    }

    pub fn next_event_at(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due by now.
    pub fn take_due(&mut self) -> Option<Event> {
        let now = self.time.elapsed();
        let due = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(due.remove())
    }

    /// Takes what will not happen after all out of the queue.
    pub fn forget(&mut self, what: impl Fn(Duration, &Event) -> bool) {
        self.queue.retain(|(at, _), event| !what(*at, event));
    }

    /// A promise is broken; the first one counts.
    pub fn object(&mut self, breach: impl Into<String>) {
        self.breach.get_or_insert(breach.into());
    }

    pub fn demand(&mut self, holds: bool, breach: &str) {
        if !holds {
            self.object(breach);
        }
    }

    pub fn breach(&self) -> Option<&str> {
        self.breach.as_deref()
    }

    /// Folds something that happened into the trace.
    pub fn trace(&mut self, what: &[u64]) {
        let now = self.time.elapsed().as_nanos() as u64;
        for word in [now].iter().chain(what) {
            self.tally.trace =
                (self.tally.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        }
    }

    /// What ARGOS counted by itself, held against the promises.
    pub(super) fn judge(&mut self) {
        let counters = self.argos.counters(PID).unwrap();
        self.demand(counters.overwrites_of_used == 0, "B1: a token that was used is armed again");
        self.demand(counters.overwrites_of_deleted == 0, "B3: a deleted token came back");
        self.demand(counters.deletes_of_foreign == 0, "a token of somebody else was deleted");
        if self.alone {
            self.demand(counters.cap_overruns == 0, "C1: ARGOS refused what was beyond its cap");
            let room = u64::from(self.setting.cap - self.setting.reserve);
            self.demand(counters.highest_pool_size <= room, "C1: the reserve was used");
        }
    }
}
