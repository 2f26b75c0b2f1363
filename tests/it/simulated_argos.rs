//! The engine and the ARGOS client against the simulator, over real sockets.

mod losses;
mod sealing;

use std::{sync::Arc, time::Duration};

use argospool::{
    app::{clock::SystemClock, entropy::SystemEntropy},
    argos::{Argos, ArgosOptions, Operation as Called, Surroundings, Transfer, transfer},
    domain::{
        envelope::Keyring, ids::ProjectName, refill::Rest, secret::Secret, submission::FactKind,
        token::Decision,
    },
    engine::{Engine, Handle, LeaseView, Parts, Status},
    port::Clock,
    sim::{
        Command, Crowd, Decision as Decided, Effect, Fault, Operation, Plan, ProjectOptions,
        Script, Simulator, SimulatorOptions, TokenState,
    },
    store::memory::Memory,
};
use tokio_util::sync::CancellationToken;

use crate::world::{Nobody, policy, report, settings, wish};

const PID: &str = "pid_demo";

/// Of calls to ARGOS as well; the pool's tests do without the client of ARGOS.
impl argospool::argos::Observer for Nobody {
    fn called(&self, _operation: Called, _result: &'static str, _took: Duration) {}
}

struct Rig {
    simulator: Simulator,
    handle: Handle,
    stop: CancellationToken,
}

impl Rig {
    /// A pool that is in a hurry: small delays, and a generous budget.
    async fn start(change: impl FnOnce(&mut argospool::domain::pool::Policy)) -> Self {
        let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
        Self::on(simulator, change).await
    }

    async fn on(
        simulator: Simulator,
        change: impl FnOnce(&mut argospool::domain::pool::Policy),
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let key = Secret::new("argos_test_demo".to_owned());
        let keyring = Keyring::new(transfer::CIPHER, &key, []);
        let argos = Argos::new(
            ArgosOptions {
                api_url: simulator.api_url(),
                key,
                connect_timeout: Duration::from_secs(5),
                request_timeout: Duration::from_secs(5),
                calls_per_second: 2_000.0,
                calls_burst: 1_000,
                calls_per_day: 100_000,
                purge_share: 0.2,
                reconcile_share: 0.05,
                outcome_share: 0.1,
                backoff_min: Duration::from_millis(10),
                backoff_max: Duration::from_millis(100),
                circuit_failures: 5,
                circuit_open: Duration::from_millis(200),
                transfer: Transfer::default(),
            },
            Surroundings {
                project: ProjectName::parse("default").unwrap(),
                clock: clock.clone(),
                entropy: Box::new(SystemEntropy),
                keys: Arc::new(|| None),
                envelopes: Arc::new(move || Arc::new(keyring.clone())),
                observer: Arc::new(Nobody),
            },
        );
        let mut policy = policy(5_000, 1_000);
        policy.settle_delay = Duration::from_millis(20);
        policy.late_copy_delay = Duration::from_millis(500);
        policy.decided_grace = Duration::ZERO;
        change(&mut policy);
        let parts = Parts {
            project: ProjectName::parse("default").unwrap(),
            pid: PID.to_owned(),
            policy,
            settings: settings(),
            ledger: Box::new(Memory::default()),
            supplier: Arc::new(argos.unwrap()),
            clock,
            entropy: Box::new(SystemEntropy),
            observer: Arc::new(Nobody),
        };
        let (engine, handle) = Engine::open(parts).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(engine.run(stop.clone()));
        Self { simulator, handle, stop }
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.handle.status().await.unwrap();
            if wanted(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "never: {what}; last {status:?}");
            // bounded: the state is asked again and again, for a minute at most
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_hundred_thousand_tokens_take_two_hundred_calls() {
    let rig = Rig::start(|policy| {
        policy.refill = argospool::domain::refill::Policy::try_new(100_000, 1_000, 500, 4).unwrap();
    })
    .await;
    rig.until("the pool is full", |status| status.census.ready == 100_000).await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!((counters.posts, counters.post_tokens), (200, 100_000));
    assert_eq!((counters.highest_pool_size, counters.cap_overruns), (100_000, 0));
    assert!(counters.calls_in_flight_max <= 4);
}

#[tokio::test]
async fn reserve_and_foreign_tokens_are_never_filled() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let foreign = Command::Foreign {
        pid: None,
        count: 1_234,
        prefix: Some("other-".to_owned()),
        ids: Vec::new(),
    };
    simulator.control(foreign).unwrap();
    let rig = Rig::on(simulator, |policy| {
        policy.reserve = 10_000;
        policy.refill = argospool::domain::refill::Policy::try_new(100_000, 1_000, 500, 4).unwrap();
    })
    .await;
    let room = 100_000 - 10_000 - 1_234;
    let full = room / 500 * 500;
    rig.until("there is no room for a batch", |status| {
        status.census.ready == full && status.plan.rest == Some(Rest::AtCap)
    })
    .await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.posts, u64::from(room / 500));
    assert_eq!(counters.cap_overruns, 0);
}

#[tokio::test]
async fn a_cap_lowered_underneath_stops_the_fill_and_what_did_not_fit_is_deleted() {
    let simulator = Simulator::start(SimulatorOptions {
        projects: vec![ProjectOptions { cap: 2_300, ..ProjectOptions::default() }],
        ..SimulatorOptions::default()
    })
    .await
    .unwrap();
    let rig = Rig::on(simulator, |_| ()).await;
    rig.until("the pool rests at the cap", |status| {
        status.at_cap && status.census.ready == 2_000 && status.census.held() == 2_000
    })
    .await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.highest_pool_size, 2_000);
}

#[tokio::test]
async fn a_lost_answer_is_repeated_with_the_same_ids_and_overwrites_nothing_in_use() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let lost = Script::next(Operation::Post, Fault::LostAnswer { effect: Effect::Done });
    simulator.control(Command::Faults(lost)).unwrap();
    let rig = Rig::on(simulator, |_| ()).await;
    rig.until("the pool is filled", |status| status.census.ready == 5_000).await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.posts, 11);
    assert_eq!((counters.highest_pool_size, counters.overwrites_of_used), (5_000, 0));
}

#[tokio::test]
async fn a_decided_lease_is_closed_and_its_token_deleted() {
    let rig = Rig::start(|_| ()).await;
    rig.until("the pool is filled", |status| status.census.ready == 5_000).await;
    let wanted = vec![wish(&rig.handle, "uid:1", Some(1))];
    let views = rig.handle.lease(wanted, Duration::ZERO).await.unwrap();
    let LeaseView::Open { token, .. } = &views[0] else { panic!("not open") };
    for kind in [FactKind::Started, FactKind::Decided(Decision::Approved)] {
        let told = report(token, kind, SystemClock::start().now());
        rig.handle.report(told).await.unwrap();
    }
    rig.until("the token is gone", |status| status.census.doomed == 0 && status.census.leased == 0)
        .await;
    let counters = rig.simulator.counters(PID).unwrap();
    assert_eq!(counters.delete_tokens, 1);
    assert_eq!(counters.deletes_of_foreign, 0);
}

#[tokio::test]
async fn a_crowd_with_leased_links_uses_those_tokens_and_no_others() {
    let rig = Rig::start(|_| ()).await;
    rig.until("the pool is filled", |status| status.census.ready == 5_000).await;
    let mut leased = Vec::new();
    for plan in [Plan::Submits { decision: Decided::Approved }, Plan::Opens, Plan::TwoPeople] {
        let wanted = (0..10).map(|_| wish(&rig.handle, "uid:1", None)).collect();
        let views = rig.handle.lease(wanted, Duration::ZERO).await.unwrap();
        let tokens: Vec<String> = views
            .iter()
            .map(|view| match view {
                LeaseView::Open { token, .. } => token.expose().to_owned(),
                LeaseView::Closed(_) => panic!("not open"),
            })
            .collect();
        let form = rig.simulator.form_url();
        let links = tokens.iter().map(|token| format!("{form}/?pid={PID}&token={token}"));
        let report = rig.simulator.crowd(&Crowd { links: links.collect(), plan });
        assert!(report.refused.is_empty(), "{plan:?}: {:?}", report.refused);
        leased.extend(tokens);
    }
    let record = rig.simulator.record(PID).unwrap();
    let used: Vec<_> = record.iter().filter(|each| each.first_use.is_some()).collect();
    assert_eq!(used.len(), leased.len());
    assert!(used.iter().all(|each| leased.contains(&each.token)));
    assert!(used.iter().all(|each| each.registrations == 1 && each.state == TokenState::Present));
    assert_eq!(used.iter().map(|each| each.submissions.len()).sum::<usize>(), 10 + 20);
}
