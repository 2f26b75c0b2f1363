//! What a run is made of: a setting and a list of steps, drawn from a seed, or read from a file.
//!
//! A script says everything that is not the daemon's own doing. What chance has to decide while it runs is
//! drawn from the salt of the last [`Weather`], so that a script from which steps were taken away is
//! still much like the one it was.

use std::{fmt, str::FromStr};

use argospool::sim::{Chance, Decision, Plan};
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub setting: Setting,
    pub steps: Vec<Step>,
}

/// What does not change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub seed: u64,
    pub target: u32,
    pub low_water: u32,
    pub batch: u32,
    pub calls_in_flight: u32,
    /// Slots at ARGOS, and how many of them are not for us.
    pub cap: u32,
    pub reserve: u32,
    /// Unused tokens are rotated at this age; 0: never.
    pub unused_age_seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Milliseconds go by.
    Pass(u32),
    /// From here on this much goes wrong.
    Weather(Weather),
    /// A caller wants so many leases at once; with a number the request can be repeated.
    Lease {
        owner: u8,
        request: Option<u32>,
        tokens: u8,
        wait_ms: u32,
    },
    /// Many callers want one lease each.
    Burst {
        owner: u8,
        callers: u16,
        wait_ms: u32,
    },
    /// One of the requests so far is made again, word for word.
    Again(u16),
    /// One of them is made again, and wants something else.
    Reuse(u16),
    /// Everybody who waits for an answer hangs up.
    HangUp,
    /// The holder of one of the leases so far gives it back, kills its link, or wants another.
    Release(u16),
    Revoke(u16),
    Replace {
        which: u16,
        request: u32,
    },
    /// Somebody has one of the links so far, and does this.
    Visit {
        which: u16,
        plan: Plan,
    },
    Ring(Chore),
    Refill(u16),
    /// Hand-outs or orders rest.
    Pause {
        leasing: bool,
    },
    Resume,
    /// A person looked at what vanished.
    AcceptLoss,
    /// Others use the same project: so many ids of theirs are there more.
    Foreign(u16),
    /// ARGOS has fewer slots.
    Cap(u32),
    /// ARGOS loses so many of its oldest ids.
    Vanish(u16),
    /// The wall clock is off by so many seconds.
    Wall(i32),
    DiskFull(bool),
    /// The process dies after the engine was polled so often, and is away for a while.
    Crash {
        polls: u16,
        away_ms: u32,
    },
    /// It is told to stop, and started again.
    Stop {
        away_ms: u32,
    },
}

/// What a scheduler reminds of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chore {
    Floor,
    Count,
    Listing,
    Retention,
    Audit,
}

/// How much goes wrong, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weather {
    pub salt: u64,
    /// Calls to ARGOS that go wrong, and the longest that an answer takes.
    pub calls: u8,
    pub latency_ms: u32,
    /// What becomes of every call while it lasts.
    pub outage: Option<Outage>,
    /// Webhooks that are lost, doubled, or late.
    pub webhooks: u8,
    /// Commits that are refused, whose answer is lost, or that take long; openings that fail.
    pub disk: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// Nobody answers at the address.
    Unreachable,
    /// Nobody answers the calls.
    Silent,
    Failing,
    Throttled,
    KeyRefused,
    AddressRefused,
}

impl FromStr for Script {
    type Err = serde_json::Error;

    /// Lines of JSON, the setting first; what begins with `#` is for people.
    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let setting = serde_json::from_str(lines.next().unwrap_or_default())?;
        let steps = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { setting, steps })
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |part: serde_json::Result<String>| part.map_err(|_| fmt::Error);
        writeln!(f, "{}", line(serde_json::to_string(&self.setting))?)?;
        for step in &self.steps {
            writeln!(f, "{}", line(serde_json::to_string(step))?)?;
        }
        Ok(())
    }
}

impl Script {
    /// The run of a seed, with so many steps.
    pub fn draw(seed: u64, steps: usize) -> Self {
        Self::of(seed, steps, |_| ())
    }

    /// The same without a crowd, and with so many crashes among a hundred steps.
    pub fn draw_crashes(seed: u64, steps: usize, crashes: u32) -> Self {
        Self::of(seed, steps, |kind| (kind.crowd, kind.crashes) = (false, crashes))
    }

    fn of(seed: u64, steps: usize, change: impl FnOnce(&mut Kind)) -> Self {
        let mut chance = Chance::new(seed);
        // Runs are different in kind and not only in luck.
        let mut kind = Kind::draw(&mut chance);
        change(&mut kind);
        let setting = Setting::draw(seed, &kind, &mut chance);
        let mut all = vec![Step::Weather(weather(&mut chance, &kind)), Step::Pass(8_000)];
        let mut requests = 0;
        while all.len() < steps {
            let step = step(&mut chance, &kind, &setting, &mut requests);
            if kind.dies_often() && matches!(step, Step::Crash { .. }) {
                // Only who lives can die.
                all.push(Step::Pass(between(&mut chance, 1, 4_000)));
            }
            all.push(step);
        }
        Self { setting, steps: all }
    }

    /// Whether nobody but the daemon changes what ARGOS holds.
    pub fn has_argos_for_itself(&self) -> bool {
        !self
            .steps
            .iter()
            .any(|step| matches!(step, Step::Foreign(_) | Step::Cap(_) | Step::Vanish(_)))
    }
}

impl Setting {
    fn draw(seed: u64, kind: &Kind, chance: &mut Chance) -> Self {
        let (batch_max, target_max) = if kind.crowd { (250, 500) } else { (20, 60) };
        let batch = between(chance, 2, batch_max);
        let calls_in_flight = between(chance, 1, 4);
        let target = between(chance, batch, target_max);
        let reserve = between(chance, 0, 5);
        let tight = target + calls_in_flight * batch + reserve;
        Self {
            seed,
            target,
            low_water: between(chance, 0, target - 1),
            batch,
            calls_in_flight,
            cap: tight + between(chance, 0, 200),
            reserve,
            unused_age_seconds: if chance.percent(20.0) { between(chance, 600, 5_000) } else { 0 },
        }
    }
}

/// What a run is about, besides leases.
struct Kind {
    /// Many callers, and a stock for them.
    crowd: bool,
    /// Of a hundred steps.
    crashes: u32,
    people: bool,
    others: bool,
    disk: bool,
    clock: bool,
    storm: u8,
}

impl Kind {
    fn dies_often(&self) -> bool {
        self.crashes >= 50
    }

    fn draw(chance: &mut Chance) -> Self {
        let crowd = chance.percent(20.0);
        // A crowd leaves a long history, which every start reads.
        let crashes = if crowd { [0, 0, 2] } else { [0, 20, 60] };
        Self {
            crowd,
            crashes: crashes[below(chance, 3) as usize],
            people: chance.percent(50.0),
            others: chance.percent(20.0),
            disk: !crowd && chance.percent(40.0),
            clock: chance.percent(20.0),
            storm: [0, 5, 20, 50][below(chance, 4) as usize],
        }
    }
}

fn step(chance: &mut Chance, kind: &Kind, setting: &Setting, requests: &mut u32) -> Step {
    let owner = below(chance, 3) as u8;
    let which = chance.draw() as u16;
    let wait_ms = [0, 0, 500, 5_000, 30_000][below(chance, 5) as usize];
    if below(chance, 100) < kind.crashes {
        let polls = [0, 1, 2, 3, below(chance, 12), below(chance, 60)];
        let polls = polls[below(chance, 6) as usize] as u16;
        let longest = if kind.dies_often() { 2_000 } else { 200_000 };
        let away_ms = [0, 50, 2_000, below(chance, longest)][below(chance, 4) as usize];
        return Step::Crash { polls, away_ms };
    }
    match below(chance, 100) {
        0..18 => pass(chance),
        18..36 => {
            let callers = between(chance, 1, setting.target + setting.batch) as u16;
            Step::Burst { owner, callers, wait_ms }
        }
        36..50 => {
            *requests += 1;
            let tokens = if chance.percent(80.0) { 1 } else { between(chance, 2, 6) as u8 };
            Step::Lease { owner, request: Some(*requests), tokens, wait_ms }
        }
        50..58 => Step::Again(which),
        58..60 => Step::Reuse(which),
        60..61 => Step::HangUp,
        61..63 => Step::Release(which),
        63..65 => Step::Revoke(which),
        65..67 => {
            *requests += 1;
            Step::Replace { which, request: *requests }
        }
        67..86 if kind.people => Step::Visit { which, plan: plan(chance) },
        86..87 => Step::Stop { away_ms: below(chance, 3_000) },
        87..90 => Step::Weather(weather(chance, kind)),
        90..93 if kind.others => match below(chance, 4) {
            0 => Step::Foreign(below(chance, setting.batch * 2) as u16),
            1 => Step::Cap(between(chance, setting.target / 2, setting.cap)),
            2 => Step::Vanish(below(chance, setting.target) as u16),
            _ => Step::AcceptLoss,
        },
        93..94 if kind.disk => Step::DiskFull(chance.percent(40.0)),
        94..95 if kind.clock => Step::Wall(between(chance, 0, 200_000) as i32 - 100_000),
        95..97 => {
            let all = [Chore::Floor, Chore::Count, Chore::Listing, Chore::Retention, Chore::Audit];
            Step::Ring(all[below(chance, 5) as usize])
        }
        97 => Step::Refill(below(chance, setting.batch * 2) as u16),
        98 if chance.percent(30.0) => Step::Pause { leasing: chance.percent(50.0) },
        99 => Step::Resume,
        _ => pass(chance),
    }
}

fn pass(chance: &mut Chance) -> Step {
    let longest = [50, 1_000, 5_000, 20_000, 200_000, 2_000_000];
    let longest = longest[below(chance, 6) as usize];
    Step::Pass(between(chance, 1, longest))
}

fn plan(chance: &mut Chance) -> Plan {
    let decision = [Decision::Approved, Decision::Rejected, Decision::Pending];
    let decision = decision[below(chance, 3) as usize];
    let plans = [
        Plan::Opens,
        Plan::WalksAway,
        Plan::Submits { decision },
        Plan::Submits { decision },
        Plan::Retries { times: 1, decision },
        Plan::TwoPeople,
        Plan::Downgraded,
        Plan::Reviewed { decision: Decision::Approved },
    ];
    plans[below(chance, plans.len() as u32) as usize]
}

fn weather(chance: &mut Chance, kind: &Kind) -> Weather {
    let outages = [
        Outage::Unreachable,
        Outage::Silent,
        Outage::Failing,
        Outage::Throttled,
        Outage::KeyRefused,
        Outage::AddressRefused,
    ];
    let outage = outages[below(chance, 6) as usize];
    Weather {
        salt: chance.draw(),
        calls: kind.storm,
        latency_ms: [5, 100, 6_000][below(chance, 3) as usize],
        outage: (kind.storm > 0 && chance.percent(15.0)).then_some(outage),
        webhooks: if kind.people { [0, 20, 60][below(chance, 3) as usize] } else { 0 },
        disk: if kind.disk { [0, 2, 10][below(chance, 3) as usize] } else { 0 },
    }
}

fn below(chance: &mut Chance, bound: u32) -> u32 {
    (chance.draw() % u64::from(bound.max(1))) as u32
}

fn between(chance: &mut Chance, least: u32, most: u32) -> u32 {
    least + below(chance, most.saturating_sub(least) + 1)
}
