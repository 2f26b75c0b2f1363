//! Thousands of leases with every kind of ending, while webhooks are lost, doubled and late: in the end
//! our ledger says what the simulator's own record says.
//!
//! `ARGOSPOOL_LIFE_LEASES` asks for more of them than the test command plays.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use argospool::{
    api::proto::{
        BatchCreateLeasesRequest, CreateLeaseRequest, Decision as Decided, Lease, LeaseEnding,
        LeaseState, ListLeasesRequest, ListTokensRequest, ReleaseLeaseRequest, ReplaceLeaseRequest,
        RevokeLeaseRequest,
    },
    sim::{
        Command, Crowd, Decision, Plan, RuleChange, Simulator, SimulatorOptions, Status,
        TokenRecord, TokenState, WebhookSettings,
    },
};
use tokio::time::Instant;

use super::daemon::{Daemon, Home, PID, counts, text};

/// What the test command plays; each of the thirteen plans gets its share.
const LEASES: usize = 1_300;
const BATCH: usize = 130;
/// Whatever takes this long does not come.
const PATIENCE: Duration = Duration::from_secs(900);
const FOREIGN: usize = 77;

/// What happens to a lease, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Played(usize),
    Released,
    Revoked,
    Replaced,
}

const PLANS: [Plan; 10] = [
    Plan::NeverOpens,
    Plan::Opens,
    Plan::WalksAway,
    Plan::Submits { decision: Decision::Approved },
    Plan::Submits { decision: Decision::Rejected },
    Plan::Submits { decision: Decision::Pending },
    Plan::Retries { times: 1, decision: Decision::Approved },
    Plan::Retries { times: 3, decision: Decision::Approved },
    Plan::TwoPeople,
    Plan::Downgraded,
];
const WALKS_AWAY: usize = 2;
const PENDING: usize = 5;

fn fate(number: usize) -> Fate {
    match number % (PLANS.len() + 3) {
        10 => Fate::Released,
        11 => Fate::Revoked,
        12 => Fate::Replaced,
        plan => Fate::Played(plan),
    }
}

fn wanted() -> usize {
    let asked = std::env::var("ARGOSPOOL_LIFE_LEASES").ok();
    asked.map_or(LEASES, |text| text.parse().expect("ARGOSPOOL_LIFE_LEASES is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lease_ends_as_argos_says_although_webhooks_are_lost_doubled_and_late() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = home.serve().await;
    let hook = format!("http://{}/webhooks/argos/a-secret-of-the-test", daemon.http_address());
    simulator
        .control(Command::Webhooks(WebhookSettings {
            url: Some(hook),
            drop_percent: Some(20.0),
            duplicate_percent: Some(20.0),
            late_percent: Some(20.0),
            seed: Some(7),
            ..WebhookSettings::default()
        }))
        .unwrap();
    let foreign = Command::Foreign { pid: None, count: FOREIGN, prefix: None, ids: Vec::new() };
    simulator.control(foreign).unwrap();
    daemon.filled().await;

    let mut play = Play::default();
    while play.leases.len() < wanted() {
        play.wave(&daemon, &simulator).await;
    }
    play.agree(&daemon, &simulator, "every lease has closed").await;

    // Late news of leases that closed long ago.
    let pending = play.links(Fate::Played(PENDING));
    let decision = Decision::Approved;
    simulator.crowd(&Crowd { links: pending, plan: Plan::Reviewed { decision } });
    let abandoned = RuleChange { abandoned_after_ms: Some(1), ..RuleChange::default() };
    simulator.control(Command::Rules(abandoned)).unwrap();
    play.agree(&daemon, &simulator, "late results are in history").await;

    play.accounts_for_every_token(&daemon, &simulator).await;
    let left = play.links(Fate::Played(WALKS_AWAY)).len();
    let counters = simulator.counters(PID).unwrap();
    println!("{left} walked away; {counters:?}");
    assert_eq!(counters.deletes_of_foreign, 0);
    assert_eq!(counters.overwrites_of_used, 0);
    daemon.stop().await;
}

fn home(simulator: &Simulator) -> Home {
    let home = Home::beside(simulator);
    let secret = home.secret("webhook", "a-secret-of-the-test");
    home.with("webhook.allowed_sources", "[]")
        .with("log.level", text("info"))
        .with("projects.default.webhook.secret_file", text(secret.display()))
        .with("defaults.refill.target_tokens", 5_000)
        .with("defaults.refill.low_water_tokens", 2_500)
        .with("defaults.argos.calls_per_day", 10_000_000)
        .with("defaults.lease.ttl_default", text("60s"))
        .with("defaults.lease.wait_default", text("20s"))
        .with("defaults.life.session_max", text("20s"))
        .with("defaults.life.entry_window", text("10s"))
        .with("defaults.life.decided_grace", text("1s"))
        .with("defaults.life.lapsed_grace", text("1s"))
        .with("defaults.life.overdue_after", text("2s"))
}

/// Everybody who was given a link, and what they do with it.
#[derive(Default)]
struct Play {
    leases: BTreeMap<String, Told>,
}

struct Told {
    token: String,
    url: String,
    fate: Fate,
    replaces: bool,
}

impl Play {
    /// One batch is leased, and its people do what they do.
    async fn wave(&mut self, daemon: &Daemon, simulator: &Simulator) {
        let first = self.leases.len();
        let mut pool = daemon.pool();
        let requests = vec![CreateLeaseRequest::default(); BATCH];
        let batch = BatchCreateLeasesRequest { requests, ..Default::default() };
        let leases = pool.batch_create_leases(batch).await.unwrap().into_inner().leases;
        let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (number, lease) in leases.into_iter().enumerate() {
            let fate = fate(first + number);
            let lease_id = lease.lease_id.clone();
            match fate {
                Fate::Played(plan) => groups.entry(plan).or_default().push(lease.url.clone()),
                Fate::Released => {
                    let request = ReleaseLeaseRequest { lease_id, ..Default::default() };
                    pool.release_lease(request).await.unwrap();
                }
                Fate::Revoked => {
                    let request = RevokeLeaseRequest { lease_id, ..Default::default() };
                    pool.revoke_lease(request).await.unwrap();
                }
                Fate::Replaced => {
                    let request = ReplaceLeaseRequest { lease_id, ..Default::default() };
                    let answer = pool.replace_lease(request).await.unwrap().into_inner();
                    // Nobody opens the new link.
                    self.keep(answer.lease.unwrap(), Fate::Played(0), true);
                }
            }
            self.keep(lease, fate, false);
        }
        for (plan, links) in groups {
            let plan = PLANS[plan];
            let report = simulator.crowd(&Crowd { links, plan });
            assert!(report.refused.is_empty(), "{plan:?}: {:?}", report.refused);
        }
    }

    fn keep(&mut self, lease: Lease, fate: Fate, replaces: bool) {
        let told = Told { token: lease.token_id, url: lease.url, fate, replaces };
        let before = self.leases.insert(lease.lease_id, told);
        assert!(before.is_none(), "L1: one lease twice");
    }

    fn links(&self, fate: Fate) -> Vec<String> {
        let of = self.leases.values().filter(|told| told.fate == fate);
        of.map(|told| told.url.clone()).collect()
    }

    /// Waits until our list of leases says what the simulator's record says.
    async fn agree(&self, daemon: &Daemon, simulator: &Simulator, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ours = leases(daemon).await;
            let theirs = record(simulator);
            let differ = self.differences(&ours, &theirs);
            if differ.is_empty() {
                println!("{what}: {} leases agree\n{}", ours.len(), self.table(&ours));
                return;
            }
            let shown: Vec<_> = differ.iter().take(5).collect();
            assert!(
                Instant::now() < deadline,
                "never: {what}; {} differ: {shown:#?}",
                differ.len()
            );
            // bounded: by the deadline above
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn differences(
        &self,
        ours: &BTreeMap<String, Lease>,
        theirs: &BTreeMap<String, TokenRecord>,
    ) -> Vec<String> {
        let mut differ = Vec::new();
        for (id, told) in &self.leases {
            let Some(lease) = ours.get(id) else {
                differ.push(format!("{:?} is lost", told.fate));
                continue;
            };
            let record = &theirs[&told.token];
            let expected = (LeaseState::Closed, ending(told.fate), decision(record));
            let said = (lease.state(), lease.ending(), lease.decision());
            let submissions: BTreeSet<_> = record.submissions.iter().map(|it| &it.id).collect();
            let named =
                lease.submission_id.is_empty() != submissions.contains(&lease.submission_id);
            let linked = told.fate != Fate::Replaced || !lease.replaced_by_lease_id.is_empty();
            let replaces = told.replaces != lease.replaces_lease_id.is_empty();
            let dead = !matches!(told.fate, Fate::Revoked | Fate::Replaced)
                || lease.link_dead_time.is_some();
            if said != expected || !named || !linked || !replaces || !dead {
                let fate = told.fate;
                differ.push(format!("{fate:?}: {said:?}, and ARGOS: {expected:?}; {dead} {named}"));
            }
        }
        differ
    }

    /// How many leases ended how, by what happened to them.
    fn table(&self, ours: &BTreeMap<String, Lease>) -> String {
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        for (id, told) in &self.leases {
            let lease = &ours[id];
            let fate = match told.fate {
                Fate::Played(plan) => format!("{:?}", PLANS[plan]),
                fate @ (Fate::Released | Fate::Revoked | Fate::Replaced) => format!("{fate:?}"),
            };
            let row = format!("{fate:46} {:?} {:?}", lease.ending(), lease.decision());
            *rows.entry(row).or_default() += 1;
        }
        rows.iter().map(|(row, number)| format!("{number:7} {row}\n")).collect()
    }

    /// What ARGOS holds is what we hold Ready, and what is not ours.
    async fn accounts_for_every_token(&self, daemon: &Daemon, simulator: &Simulator) {
        let status = daemon
            .until("everything doomed is deleted, and the stock is full", |status| {
                let now = counts(status);
                now.doomed == 0 && now.leased == 0 && now.minted == 0
            })
            .await;
        let record = record(simulator);
        let there = record.values().filter(|token| token.state == TokenState::Present).count();
        assert_eq!(there, counts(&status).ready as usize, "of ours");
        let gone = |state: TokenState| record.values().filter(|it| it.state == state).count();
        assert_eq!(gone(TokenState::Vanished), 0);
        let kept = tokens(daemon).await;
        assert_eq!(kept, there, "of our ledger");
        let twice = record.values().filter(|token| token.registrations > 1).count();
        println!(
            "ARGOS holds {there} of ours and {FOREIGN} of others; {} are deleted, {twice} were \
             registered more than once",
            gone(TokenState::Deleted)
        );
    }
}

fn ending(fate: Fate) -> LeaseEnding {
    match fate {
        Fate::Played(0 | 1) => LeaseEnding::Lapsed,
        Fate::Played(WALKS_AWAY) => LeaseEnding::Expired,
        Fate::Played(_) => LeaseEnding::Decided,
        Fate::Released => LeaseEnding::Released,
        Fate::Revoked => LeaseEnding::Revoked,
        Fate::Replaced => LeaseEnding::Replaced,
    }
}

/// The best of what became of the submissions on one link (contract 7).
fn decision(record: &TokenRecord) -> Decided {
    let decided = record.submissions.iter().map(|submission| match submission.status {
        Status::Incomplete => (0, Decided::Unspecified),
        Status::Rejected => (1, Decided::Rejected),
        Status::Pending => (2, Decided::Pending),
        Status::Approved => (3, Decided::Approved),
    });
    decided.max_by_key(|(rank, _)| *rank).map_or(Decided::Unspecified, |(_, decided)| decided)
}

fn record(simulator: &Simulator) -> BTreeMap<String, TokenRecord> {
    let record = simulator.record(PID).unwrap();
    record.into_iter().map(|token| (token.token.clone(), token)).collect()
}

async fn leases(daemon: &Daemon) -> BTreeMap<String, Lease> {
    let mut all = BTreeMap::new();
    let mut request = ListLeasesRequest { page_size: 500, ..Default::default() };
    loop {
        let page = daemon.pool().list_leases(request.clone()).await.unwrap().into_inner();
        all.extend(page.leases.into_iter().map(|lease| (lease.lease_id.clone(), lease)));
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

async fn tokens(daemon: &Daemon) -> usize {
    let mut number = 0;
    let mut request = ListTokensRequest { page_size: 500, ..Default::default() };
    loop {
        let page = daemon.admin().list_tokens(request.clone()).await.unwrap().into_inner();
        number += page.tokens.len();
        if page.next_page_token.is_empty() {
            return number;
        }
        request.page_token = page.next_page_token;
    }
}
