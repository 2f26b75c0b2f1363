//! ARGOS is lost in the middle of many lives, or the daemon is: what was doomed is deleted once, what
//! was decided meanwhile is learned, and nobody's session is cut.

use std::collections::BTreeMap;

use argospool::{
    api::proto::{
        ArgosCondition, BatchCreateLeasesRequest, CreateLeaseRequest, Decision as Decided, Lease,
        LeaseEnding, LeaseState, ListLeasesRequest, ReleaseLeaseRequest, RevokeLeaseRequest,
    },
    sim::{
        Command, Crowd, Decision, Effect, Fault, FaultBody, Operation, Plan, Script, Simulator,
        SimulatorOptions, Times, TokenRecord, TokenState, WebhookSettings,
    },
};

use super::{
    daemon::{Daemon, Home, PID, counts, text, until},
    hooks::taking_webhooks,
};

/// Leases of each kind.
const EACH: usize = 12;
const TARGET: usize = 300;
const BATCH: u32 = 50;
const FOREIGN: usize = 33;

/// How a lease is told of, in the words of our callers.
type Told = (LeaseState, LeaseEnding, Decided);

const OPEN: Told = (LeaseState::Started, LeaseEnding::Unspecified, Decided::Unspecified);
const APPROVED: Told = (LeaseState::Closed, LeaseEnding::Decided, Decided::Approved);
const REJECTED: Told = (LeaseState::Closed, LeaseEnding::Decided, Decided::Rejected);
const LAPSED: Told = (LeaseState::Closed, LeaseEnding::Lapsed, Decided::Unspecified);
const LATE: Told = (LeaseState::Closed, LeaseEnding::Lapsed, Decided::Approved);
const RELEASED: Told = (LeaseState::Closed, LeaseEnding::Released, Decided::Unspecified);
const REVOKED: Told = (LeaseState::Closed, LeaseEnding::Revoked, Decided::Unspecified);

const SHORT: i64 = 2;
const LONG: i64 = 600;

fn home(simulator: &Simulator) -> Home {
    taking_webhooks(Home::beside(simulator))
        .with("defaults.argos.tokens_per_call", BATCH)
        .with("defaults.argos.circuit_failures", 3)
        .with("defaults.refill.target_tokens", TARGET)
        .with("defaults.refill.low_water_tokens", TARGET / 2)
        .with("defaults.lease.ttl_min", text("1s"))
        .with("defaults.life.decided_grace", text("0s"))
        .with("defaults.life.lapsed_grace", text("0s"))
        .with("defaults.life.overdue_after", text("1s"))
}

/// Everybody who was given a link, and how it must end.
#[derive(Default)]
struct Leases {
    all: BTreeMap<String, (Lease, Told)>,
}

impl Leases {
    async fn take(&mut self, daemon: &Daemon, seconds: i64, told: Told) -> Vec<Lease> {
        let ttl = Some(prost_types::Duration { seconds, nanos: 0 });
        let requests = vec![CreateLeaseRequest { ttl, ..Default::default() }; EACH];
        let batch = BatchCreateLeasesRequest { requests, ..Default::default() };
        let leases = daemon.pool().batch_create_leases(batch).await.unwrap().into_inner().leases;
        for lease in &leases {
            let before = self.all.insert(lease.lease_id.clone(), (lease.clone(), told));
            assert!(before.is_none(), "L1");
        }
        leases
    }

    async fn agree(&self, daemon: &Daemon, what: &str) {
        let mut differ = Vec::new();
        let agreed = until(what, async || {
            let request = ListLeasesRequest { page_size: 500, ..Default::default() };
            let ours = daemon.pool().list_leases(request).await.unwrap().into_inner().leases;
            let ours: BTreeMap<_, _> =
                ours.into_iter().map(|lease| (lease.lease_id.clone(), lease)).collect();
            let said = |id| {
                let lease: &Lease = &ours[id];
                (lease.state(), lease.ending(), lease.decision())
            };
            let all = self.all.iter().map(|(id, (_, told))| (said(id), *told));
            differ = all.filter(|(said, told)| said != told).collect();
            differ.is_empty().then_some(())
        });
        agreed.await;
    }

    /// The simulator's record of every token that was leased under a lease that must end so.
    fn records(&self, simulator: &Simulator, wanted: Told) -> Vec<TokenRecord> {
        let tokens = self.all.values().filter(|(_, told)| *told == wanted);
        let tokens: Vec<_> = tokens.map(|(lease, _)| lease.token_id.clone()).collect();
        let record = simulator.record(PID).unwrap();
        record.into_iter().filter(|token| tokens.contains(&token.token)).collect()
    }
}

fn play(simulator: &Simulator, leases: &[Lease], plan: Plan) {
    let links = leases.iter().map(|lease| lease.url.clone()).collect();
    let report = simulator.crowd(&Crowd { links, plan });
    assert!(report.refused.is_empty(), "{plan:?}: {:?}", report.refused);
}

fn hooks(simulator: &Simulator, settings: WebhookSettings) {
    simulator.control(Command::Webhooks(settings)).unwrap();
}

/// Nothing is answered as it should be. No deletion says whether it happened, and one of them did.
fn goes_down(simulator: &Simulator) {
    let lost = |effect| Fault::LostAnswer { effect };
    let failed = Fault::Status {
        status: 500,
        body: FaultBody::Html,
        error_code: None,
        retry_after_seconds: None,
        effect: Effect::None,
    };
    for script in [
        Script::next(Operation::Delete, lost(Effect::Done)),
        Script::always(Operation::Delete, lost(Effect::None)),
        Script::always(Operation::Submission, lost(Effect::None)),
        Script { operation: None, ..Script::always(Operation::Post, failed) },
    ] {
        simulator.control(Command::Faults(script)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_everything_is_deleted_learned_and_full_again() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let foreign = Command::Foreign { pid: None, count: FOREIGN, prefix: None, ids: Vec::new() };
    simulator.control(foreign).unwrap();
    let home = home(&simulator);
    let daemon = home.serve().await;
    let url = Some(super::hooks::address(&daemon));
    hooks(&simulator, WebhookSettings { url, ..WebhookSettings::default() });
    daemon.filled().await;
    daemon.until("nothing is on its way", |status| counts(status).minted == 0).await;

    goes_down(&simulator);
    let mut leases = Leases::default();
    let approved = Plan::Submits { decision: Decision::Approved };
    let rejected = Plan::Submits { decision: Decision::Rejected };
    // Webhooks come: they leave ARGOS by another door.
    play(&simulator, &leases.take(&daemon, LONG, OPEN).await, Plan::WalksAway);
    play(&simulator, &leases.take(&daemon, LONG, APPROVED).await, approved);
    daemon.until("webhooks are heard", |status| counts(status).doomed as usize >= EACH).await;
    // Of these no webhook tells.
    hooks(&simulator, WebhookSettings { drop: Some(Times::Always), ..WebhookSettings::default() });
    play(&simulator, &leases.take(&daemon, LONG, REJECTED).await, rejected);
    play(&simulator, &leases.take(&daemon, SHORT, LATE).await, approved);
    leases.take(&daemon, SHORT, LAPSED).await;
    for lease in leases.take(&daemon, LONG, RELEASED).await {
        let request = ReleaseLeaseRequest { lease_id: lease.lease_id, ..Default::default() };
        daemon.pool().release_lease(request).await.unwrap();
    }
    for lease in leases.take(&daemon, LONG, REVOKED).await {
        let request = RevokeLeaseRequest { lease_id: lease.lease_id, ..Default::default() };
        daemon.pool().revoke_lease(request).await.unwrap();
    }
    let down = daemon
        .until("all that can end without ARGOS has ended", |status| {
            let down = status.argos.unwrap().condition() == ArgosCondition::Down;
            down && counts(status).doomed as usize == 5 * EACH
        })
        .await;
    assert_eq!(counts(&down).leased as usize, 2 * EACH, "open, or decided and nobody told");
    daemon.lease().await.unwrap();
    let before = simulator.counters(PID).unwrap();

    simulator.control(Command::ClearFaults { pid: None }).unwrap();
    leases.agree(&daemon, "everything has ended as ARGOS says").await;
    let status = daemon
        .until("everything doomed is deleted, and the stock is full", |status| {
            let now = counts(status);
            now.doomed + now.minted == 0 && status.plan.as_ref().unwrap().need_tokens < BATCH
        })
        .await;
    assert_eq!(counts(&status).leased as usize, EACH + 1, "those who are inside, and the last one");

    let record = simulator.record(PID).unwrap();
    assert!(record.iter().all(|token| token.registrations == 1), "an id was registered twice");
    let present = |records: &[TokenRecord]| {
        records.iter().filter(|token| token.state == TokenState::Present).count()
    };
    assert_eq!(present(&leases.records(&simulator, OPEN)), EACH, "they are inside");
    for ended in [APPROVED, REJECTED, LATE, LAPSED, RELEASED, REVOKED] {
        assert_eq!(present(&leases.records(&simulator, ended)), 0, "{ended:?} is deleted");
    }
    let counters = simulator.counters(PID).unwrap();
    assert_eq!(present(&record), counts(&status).ready as usize + EACH + 1);
    assert_eq!(counters.pool_size as usize, present(&record) + FOREIGN);
    assert_eq!((counters.deletes_in_session, counters.deletes_of_foreign), (0, 0));
    println!("deletions: {} before, {} in all", before.deletes, counters.deletes);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_life_it_asks_for_the_results_that_nobody_told() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = home.serve().await;
    let url = Some(super::hooks::address(&daemon));
    hooks(&simulator, WebhookSettings { url, ..WebhookSettings::default() });
    daemon.filled().await;
    let mut leases = Leases::default();
    let submits = |decision| Plan::Submits { decision };
    play(&simulator, &leases.take(&daemon, LONG, OPEN).await, Plan::WalksAway);
    play(&simulator, &leases.take(&daemon, LONG, APPROVED).await, submits(Decision::Approved));
    daemon.until("webhooks are heard", |status| counts(status).leased as usize == EACH).await;

    // Neither the dead daemon nor the next one, which listens elsewhere, is told of these.
    hooks(&simulator, WebhookSettings { drop: Some(Times::Always), ..WebhookSettings::default() });
    let decided_before = leases.take(&daemon, LONG, REJECTED).await;
    let decided_after = leases.take(&daemon, LONG, APPROVED).await;
    let begun = leases.take(&daemon, LONG, APPROVED).await;
    leases.take(&daemon, SHORT, LAPSED).await;
    play(&simulator, &decided_before, submits(Decision::Rejected));
    play(&simulator, &begun, submits(Decision::Pending));
    daemon.kill();
    play(&simulator, &decided_after, submits(Decision::Approved));
    play(&simulator, &begun, Plan::Reviewed { decision: Decision::Approved });

    let daemon = home.serve().await;
    leases.agree(&daemon, "everything has ended as ARGOS says").await;
    daemon.until("everything doomed is deleted", |status| counts(status).doomed == 0).await;
    let record = simulator.record(PID).unwrap();
    let there = |token: &TokenRecord| token.state == TokenState::Present;
    assert!(leases.records(&simulator, OPEN).iter().all(there), "they are inside");
    for ended in [APPROVED, REJECTED, LAPSED] {
        let left = leases.records(&simulator, ended);
        assert!(!left.iter().any(there), "{ended:?} is deleted");
    }
    assert!(record.iter().all(|token| token.first_use.is_none() || token.registrations == 1), "B1");
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.deletes_in_session, counters.overwrites_of_used), (0, 0));
    daemon.stop().await;
}
