//! A stand for the tests of the edges: real engines over ledgers in memory, a scripted ARGOS, and
//! the real server on a port of its own.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::{Access, Links, Parts, ProjectRules, Server};
use crate::{
    domain::{
        entropy::Entropy,
        envelope::{Cipher, Keyring},
        ids::{ProjectName, SubmissionId, TokenId, TokenPrefix},
        liveform::{Form, Mode, Pipeline, Rules},
        paging::{Cursor, Days},
        pool::{Policy, ReconcilePolicy},
        refill,
        secret::Secret,
        submission::{Fact, FactKind, Marks, Report},
        time::Timestamp,
    },
    engine::{self, Engine, Handle, Pools, Settings, Status},
    port::{
        CheckResult, Checkup, Clock, Condition, Finding, Hold, Listing, Outcome, Pending, Purpose,
        Refused, RefusedCause, Registered, SubmissionsPage, Supplier, SupplierHealth,
    },
    store::memory::{Faults, Memory},
    telemetry::Metrics,
};

/// Long enough for a busy machine, and never waited for when all is well.
const BOUND: Duration = Duration::from_secs(20);
const BORN: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Tokens that a pool of the stand keeps ready.
pub(crate) const STOCK: u32 = 20;

/// Some projects, each with an engine that runs, and what they share.
pub(crate) struct Stand {
    pub pools: Arc<Pools>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<StandClock>,
    pub stop: CancellationToken,
    names: Vec<ProjectName>,
    argos: BTreeMap<ProjectName, Arc<ScriptedArgos>>,
    disks: Mutex<BTreeMap<ProjectName, Faults>>,
}

impl Stand {
    /// Nothing is open yet.
    pub(crate) fn closed(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| ProjectName::parse(name).unwrap()).collect();
        let argos = names.iter().map(|name| (name.clone(), Arc::default())).collect();
        Self {
            pools: Arc::new(Pools::new(names.clone())),
            metrics: Metrics::new("1.2.3", "abc"),
            clock: Arc::default(),
            stop: CancellationToken::new(),
            names,
            argos,
            disks: Mutex::default(),
        }
    }

    /// The project `default` with its stock ready.
    pub(crate) async fn ready() -> Self {
        Self::ready_with(&["default"]).await
    }

    pub(crate) async fn ready_with(names: &[&str]) -> Self {
        let stand = Self::closed(names);
        stand.open().await;
        for name in names {
            stand.until(name, |status| status.leasable >= STOCK).await;
        }
        stand
    }

    pub(crate) async fn open(&self) {
        for project in &self.names {
            let memory = Memory::default();
            self.disks.lock().unwrap().insert(project.clone(), memory.faults());
            let parts = engine::Parts {
                project: project.clone(),
                pid: format!("pid_{project}"),
                policy: policy(),
                settings: Settings {
                    waiting_max: 16,
                    free_space_min: 0,
                    retention: Duration::from_secs(72 * 3_600),
                    history_max_lines: 1_000,
                    trials_only: false,
                },
                ledger: Box::new(memory),
                supplier: self.argos[project].clone(),
                clock: self.clock.clone(),
                entropy: Box::new(Counter(7)),
                observer: Arc::new(self.metrics.project(project)),
            };
            let (engine, handle) = Engine::open(parts).await.unwrap();
            self.pools.opened(handle);
            tokio::spawn(engine.run(self.stop.clone()));
        }
    }

    /// What Prometheus would be told.
    pub(crate) async fn scraped(&self) -> String {
        self.metrics.render(&self.pools, self.clock.now()).await
    }

    pub(crate) fn handle(&self, project: &str) -> &Handle {
        self.pools.find(project).unwrap()
    }

    pub(crate) fn argos(&self, project: &str) -> &ScriptedArgos {
        &self.argos[&ProjectName::parse(project).unwrap()]
    }

    /// What to do wrong with a project's ledger.
    pub(crate) fn disk(&self, project: &str) -> Faults {
        self.disks.lock().unwrap()[&ProjectName::parse(project).unwrap()].clone()
    }

    /// ARGOS tells something about a token of `default`, by webhook.
    pub(crate) async fn tell(&self, token: &str, kind: FactKind, submission: Option<&str>) {
        let submission = submission.map(|id| SubmissionId::parse(id).unwrap());
        let fact = Fact { kind, at: self.clock.now(), submission, updated: None, asked: false };
        let token = Some(TokenId::parse(token).unwrap());
        let report = Report { token, marks: Marks::default(), fact };
        self.handle("default").report(report).await.unwrap();
    }

    /// Waits until a project stands as it should.
    pub(crate) async fn until(&self, project: &str, fits: impl Fn(&Status) -> bool) {
        eventually(async || fits(&self.handle(project).status().await.unwrap())).await;
    }

    pub(crate) fn server(&self, access: Access) -> Server {
        self.server_of(access, &rules())
    }

    fn server_of(&self, access: Access, rules: &ProjectRules) -> Server {
        let rules = self.names.iter().map(|name| (name.clone(), rules.clone())).collect();
        Server::new(Parts {
            pools: self.pools.clone(),
            access,
            rules,
            metrics: self.metrics.clone(),
            version: "1.2.3".to_owned(),
            started: BORN,
            reflection: true,
            checkup: Arc::new(Content),
        })
        .unwrap()
    }

    /// Serves on a port of its own.
    pub(crate) async fn serve(&self, access: Access) -> Channel {
        self.serve_by(self.server(access)).await
    }

    /// The same, with links of another kind.
    pub(crate) async fn serve_links(&self, links: Links) -> Channel {
        let rules = ProjectRules { links, ..rules() };
        self.serve_by(self.server_of(Access::default(), &rules)).await
    }

    async fn serve_by(&self, server: Server) -> Channel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let stop = self.stop.clone();
        let health = server.clone();
        tokio::spawn(async move { server.serve_tcp(listener, stop).await.unwrap() });
        let stop = self.stop.clone();
        tokio::spawn(async move { health.report_health(stop).await });
        Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
    }
}

/// Finds that all is well.
struct Content;

impl Checkup for Content {
    fn check(&self, project: &ProjectName) -> Pending<'_, Vec<Finding>> {
        let result = CheckResult::Passed;
        let summary = format!("{project} is well");
        let finding = Finding { name: "clock", result, summary, advice: String::new() };
        Box::pin(async { vec![finding] })
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Looks again and again, for a bounded time.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + BOUND;
    while !holds().await {
        assert!(Instant::now() < until, "it never came to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn rules() -> ProjectRules {
    ProjectRules {
        ttl_default: Duration::from_secs(600),
        ttl_min: Duration::from_secs(30),
        ttl_max: Duration::from_secs(86_400),
        wait_default: Duration::ZERO,
        wait_max: Duration::from_secs(30),
        links: links("default"),
    }
}

/// Links that are open, and sealed where they must be.
pub(crate) fn links(project: &str) -> Links {
    let keyring = Keyring::new(Cipher::Ecb, &Secret::new("test-api-key-0001".to_owned()), []);
    let pid = format!("pid_{project}");
    let form = Arc::new(Form::new("https://form.example.com", &pid, Mode::Mixed, keyring));
    Links {
        rules: Arc::new(Rules::new(Mode::Mixed, Pipeline::IdDocument)),
        form: Arc::new(move || form.clone()),
        url_max_bytes: 2_048,
        entropy: || Box::new(Counter(1)),
        clock: Arc::new(StandClock::default()),
    }
}

fn policy() -> Policy {
    Policy {
        refill: refill::Policy::try_new(STOCK, 5, 10, 2).unwrap(),
        prefix: TokenPrefix::parse("ap-").unwrap(),
        ephemeral: false,
        cap: 1_000,
        reserve: 100,
        settle_delay: Duration::ZERO,
        late_copy_delay: Duration::from_secs(120),
        unused_age_max: None,
        entry_window: Duration::from_secs(180),
        session_max: Duration::from_secs(1_800),
        decided_grace: Duration::from_secs(120),
        lapsed_grace: Duration::from_secs(1_200),
        revoked_grace: Duration::ZERO,
        overdue_after: None,
        reconcile: ReconcilePolicy {
            listing_gap: Duration::from_secs(600),
            brake_ratio: 0.05,
            brake_min: 20,
        },
        delete_tries_max: 6,
        cap_pause: Duration::from_secs(120),
        ttl_max: Duration::from_secs(86_400),
        request_id_memory: Duration::from_secs(86_400),
    }
}

/// Runs with real time, and jumps ahead on request.
pub(crate) struct StandClock {
    started: Instant,
    ahead: AtomicU64,
}

impl Default for StandClock {
    fn default() -> Self {
        Self { started: Instant::now(), ahead: AtomicU64::new(0) }
    }
}

impl StandClock {
    pub(crate) fn jump(&self, span: Duration) {
        self.ahead.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for StandClock {
    fn now(&self) -> Timestamp {
        let ahead = Duration::from_millis(self.ahead.load(Ordering::Relaxed));
        BORN.plus(self.started.elapsed() + ahead)
    }

    fn continue_from(&self, _: Timestamp) {}
}

struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

/// ARGOS as the engine sees it: everything settles at once, unless told otherwise.
pub(crate) struct ScriptedArgos {
    known: AtomicU32,
    condition: Mutex<Condition>,
    /// Whether deletions are not answered for the time being.
    holds: watch::Sender<bool>,
}

impl Default for ScriptedArgos {
    fn default() -> Self {
        Self {
            known: AtomicU32::new(0),
            condition: Mutex::new(Condition::Up),
            holds: watch::Sender::new(false),
        }
    }
}

impl ScriptedArgos {
    /// Anything but up refuses every registration.
    pub(crate) fn set(&self, condition: Condition) {
        *self.condition.lock().unwrap() = condition;
    }

    pub(crate) fn hold_deletions(&self, hold: bool) {
        self.holds.send_replace(hold);
    }

    fn condition(&self) -> Condition {
        *self.condition.lock().unwrap()
    }
}

impl Supplier for ScriptedArgos {
    fn admit(&self, _: Purpose) -> Result<(), Hold> {
        Ok(())
    }

    fn register(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<Registered>> {
        Box::pin(async move {
            if self.condition() != Condition::Up {
                let refused = Refused { cause: RefusedCause::NotSent, retry_after: None };
                return Outcome::Refused(refused);
            }
            let new = u32::try_from(tokens.len()).unwrap();
            let count = self.known.fetch_add(new, Ordering::Relaxed) + new;
            Outcome::Settled(Registered { count: Some(count) })
        })
    }

    fn delete(&self, tokens: Vec<TokenId>) -> Pending<'_, Outcome<()>> {
        let gone = u32::try_from(tokens.len()).unwrap();
        self.known.fetch_sub(gone, Ordering::Relaxed);
        let mut holds = self.holds.subscribe();
        Box::pin(async move {
            let _ = holds.wait_for(|hold| !hold).await;
            Outcome::Settled(())
        })
    }

    fn count(&self) -> Pending<'_, Outcome<u32>> {
        let known = self.known.load(Ordering::Relaxed);
        Box::pin(async move { Outcome::Settled(known) })
    }

    fn find(&self, _: TokenId) -> Pending<'_, Outcome<bool>> {
        Box::pin(async { Outcome::Settled(true) })
    }

    fn list(&self, _: Option<Cursor>) -> Pending<'_, Outcome<Listing>> {
        Box::pin(async { Outcome::Settled(Listing::default()) })
    }

    fn submissions(&self, _: Days, _: Option<Cursor>) -> Pending<'_, Outcome<SubmissionsPage>> {
        Box::pin(async { Outcome::Settled(SubmissionsPage::default()) })
    }

    fn submission(&self, _: SubmissionId) -> Pending<'_, Outcome<Option<Report>>> {
        Box::pin(async { Outcome::Settled(None) })
    }

    fn health(&self) -> SupplierHealth {
        SupplierHealth {
            condition: self.condition(),
            last_success: None,
            next_attempt: None,
            budget: 2_000,
            budget_remaining: 1_000,
            budget_for_orders: 1_000,
            batch_limit: 500,
            key_changes: 0,
            simulated: true,
        }
    }
}

/// What a test's log is written on.
#[derive(Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
