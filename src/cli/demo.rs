//! `demo`: simulator and daemon in a temporary directory, and one token through its whole life.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::{
    Failure, progress,
    proto::{
        AuditRequest, CreateLeaseRequest, Decision, GetLeaseRequest, GetStatusRequest, Lease,
        LeaseState, LiveformParams, ProjectStatus, admin_service_client::AdminServiceClient,
        get_lease_request::Key, token_pool_service_client::TokenPoolServiceClient,
    },
    screen::{Screen, Tone},
    serve::told,
};
use crate::{
    app::{self, Addresses, World},
    config::{self, Sources},
    sim::{Command, Lost, ProjectOptions, Simulator, SimulatorOptions, Visitor, WebhookSettings},
};

#[derive(Args)]
pub struct DemoArgs {
    /// End after the walk instead of staying up
    #[arg(long)]
    pub exit: bool,
}

/// Where each part listens if nobody else does, so that the other commands need no address.
const GRPC: &str = "127.0.0.1:7070";
const HTTP: &str = "127.0.0.1:9464";
const SIMULATOR: &str = "127.0.0.1:8099";
const ANY: &str = "127.0.0.1:0";

/// Known to everybody who reads this: it opens nothing but a simulator.
const WEBHOOK_SECRET: &str = "demo-webhook-secret";

/// How long the demo waits for something that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(args: DemoArgs, screen: &Screen) -> Result<(), Failure> {
    let began = Instant::now();
    let home = tempfile::tempdir()
        .map_err(|error| Failure::failed(format!("cannot make a temporary directory: {error}")))?;
    let simulator = simulator(args.exit).await?;
    let project = ProjectOptions::default();
    let settings = settings(home.path(), &simulator, &project, args.exit).await?;
    // What the log has to say to a newcomer stands on the screen.
    let daemon = app::start(settings, World::system()).await.map_err(|error| told(&error))?;
    let addresses = daemon.addresses().clone();
    let stop = CancellationToken::new();
    let running = tokio::spawn(daemon.run(stop.clone()));

    let walk = Walk { screen, simulator: &simulator, project: &project, addresses: &addresses };
    let walked = walk.all(began).await;
    if walked.is_ok() && !args.exit {
        screen.print(&farewell(&addresses, &walk.lease_to_open().await?))?;
        wait_for_signal().await?;
    }
    stop.cancel();
    let ended = running.await.map_err(|_| Failure::failed("the daemon panicked"))?;
    simulator.stop().await;
    walked?;
    ended.map_err(|error| told(&error))
}

/// One token's life, step by step, each told when it is done.
struct Walk<'a> {
    screen: &'a Screen,
    simulator: &'a Simulator,
    project: &'a ProjectOptions,
    addresses: &'a Addresses,
}

impl Walk<'_> {
    async fn all(&self, began: Instant) -> Result<(), Failure> {
        let address = self.addresses.grpc.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.title("argospool: one token through its whole life")?;
        self.step(&format!("a simulator plays ARGOS at {}", self.simulator.form_url()))?;
        self.step(&format!(
            "the daemon answers gRPC at {address}, HTTP at {}",
            self.addresses.http
        ))?;
        self.receive_webhooks()?;
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| Failure::failed("the daemon chose an address that is none"))?
            .connect()
            .await
            .map_err(|error| Failure::failed(format!("cannot reach the daemon: {error}")))?;
        let mut pool = TokenPoolServiceClient::new(channel.clone());
        let mut admin = AdminServiceClient::new(channel);

        self.fill(&mut admin).await?;
        let lease = self.lease(&mut pool).await?;
        self.live(&mut pool, &lease).await?;
        self.end(&mut admin, &lease).await?;
        self.title(&format!("done in {:.1} s", began.elapsed().as_secs_f64()))
    }

    fn receive_webhooks(&self) -> Result<(), Failure> {
        let url = format!("http://{}/webhooks/argos/{WEBHOOK_SECRET}", self.addresses.http);
        let settings = WebhookSettings { url: Some(url), ..WebhookSettings::default() };
        let set = self.simulator.control(Command::Webhooks(settings));
        set.map(|_| ()).map_err(|error| Failure::failed(error.to_string()))
    }

    async fn fill(&self, admin: &mut AdminServiceClient<Channel>) -> Result<(), Failure> {
        let began = Instant::now();
        let mut bar = None;
        let filled = until("the pool is filled", async || {
            let status = status(admin).await?;
            let ready = status.counts.map_or(0, |counts| counts.ready);
            bar.get_or_insert_with(|| progress::first_fill(status.target_tokens)).set(ready);
            Ok((ready >= status.target_tokens).then_some(ready))
        })
        .await;
        if let Some(bar) = bar {
            bar.finish();
        }
        let ready = filled?;
        let posts = self.simulator.counters(&self.project.pid).map_or(0, |seen| seen.posts);
        self.step(&format!(
            "{ready} tokens were registered ahead of time, in {posts} calls ({:.1} s); each call's \
             tokens are ready 3 s after its answer",
            began.elapsed().as_secs_f64()
        ))
    }

    async fn lease(&self, pool: &mut TokenPoolServiceClient<Channel>) -> Result<Lease, Failure> {
        let wish = CreateLeaseRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            params: Some(LiveformParams {
                email: "person@example.com".to_owned(),
                lang: "en".to_owned(),
                allowed_id_types: vec!["passport".to_owned()],
                ..LiveformParams::default()
            }),
            ..CreateLeaseRequest::default()
        };
        let began = Instant::now();
        let lease = lease_once(pool, wish.clone()).await?;
        let took = began.elapsed();
        let again = lease_once(pool, wish).await?;
        if again != lease {
            return Err(Failure::failed("the same request_id was given another lease"));
        }
        self.step(&format!(
            "a service asked for a URL and had it, durably, after {:.1} ms:",
            took.as_secs_f64() * 1e3
        ))?;
        self.line(&lease.url)?;
        self.step("only passports are accepted: that had to be encrypted, and was")?;
        self.step("it asked again with the same request_id, as after a lost answer: the same URL")?;
        Ok(lease)
    }

    async fn live(
        &self,
        pool: &mut TokenPoolServiceClient<Channel>,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let mut person = Visitor::new(&self.simulator.form_url()).map_err(lost)?;
        let page = person.open(&lease.url).await.map_err(lost)?;
        self.step(&format!("a person opened it: \"{}\"", page.title))?;
        let submission = person.start(&lease.url).await.map_err(lost)?;
        reached(pool, lease, LeaseState::Started).await?;
        self.step("the photograph was taken; ARGOS's webhook came: the lease is STARTED")?;
        person.decide(&submission, "approved").await.map_err(lost)?;
        let closed = reached(pool, lease, LeaseState::Closed).await?;
        if closed.decision() != Decision::Approved || !closed.url.is_empty() {
            return Err(Failure::failed("the closed lease does not say what ARGOS decided"));
        }
        self.step("the selfie was good; the webhook came: the lease is CLOSED, decided: APPROVED")?;
        let refused = person.open(&lease.url).await.map_err(lost)?;
        let cause = refused.cause.unwrap_or_else(|| "let in".to_owned());
        self.step(&format!("the link opens nothing any more: \"{}\" ({cause})", refused.title))
    }

    async fn end(
        &self,
        admin: &mut AdminServiceClient<Channel>,
        _lease: &Lease,
    ) -> Result<(), Failure> {
        until("the token is deleted", async || {
            let counts = status(admin).await?.counts.unwrap_or_default();
            Ok((counts.leased == 0 && counts.doomed == 0).then_some(()))
        })
        .await?;
        self.step("its token was deleted at ARGOS: the slot under the cap is free again")?;
        let audit = admin.audit(AuditRequest::default()).await.map_err(refused)?.into_inner();
        if !audit.breaches.is_empty() {
            return Err(Failure::failed("the audit found a promise broken"));
        }
        self.step(&format!(
            "the audit checked {} tokens: every promise holds",
            audit.tokens_checked
        ))
    }

    /// A fresh URL for whoever stays.
    async fn lease_to_open(&self) -> Result<String, Failure> {
        let address = self.addresses.grpc.map(|address| format!("http://{address}"));
        let endpoint = Endpoint::from_shared(address.unwrap_or_default())
            .map_err(|_| Failure::failed("the daemon chose an address that is none"))?;
        let mut pool = TokenPoolServiceClient::new(endpoint.connect_lazy());
        Ok(lease_once(&mut pool, CreateLeaseRequest::default()).await?.url)
    }

    fn title(&self, text: &str) -> Result<(), Failure> {
        self.screen.print(&format!("\n{}\n\n", self.screen.paint(Tone::Plain, text)))
    }

    fn step(&self, text: &str) -> Result<(), Failure> {
        let mark = self.screen.paint(Tone::Good, "✓");
        self.screen.print(&format!("  {mark} {text}\n"))
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        self.screen.print(&format!("      {text}\n"))
    }
}

async fn simulator(any_port: bool) -> Result<Simulator, Failure> {
    let cannot = |error| Failure::failed(format!("cannot start the simulator: {error}"));
    let at = |listen: &str| SimulatorOptions {
        listen: listen.parse().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..SimulatorOptions::default()
    };
    if !any_port && let Ok(simulator) = Simulator::start(at(SIMULATOR)).await {
        return Ok(simulator);
    }
    Simulator::start(at(ANY)).await.map_err(cannot)
}

/// The defaults, with the simulator in ARGOS's place and nothing to wait for after the ending.
async fn settings(
    home: &std::path::Path,
    simulator: &Simulator,
    project: &ProjectOptions,
    any_port: bool,
) -> Result<config::Settings, Failure> {
    let (mut grpc, mut http) = (ANY, ANY);
    if !any_port {
        grpc = if free(GRPC).await { GRPC } else { ANY };
        http = if free(HTTP).await { HTTP } else { ANY };
    }
    let set = |key: &str, value: String| (key.to_owned(), value);
    let variable = |name: &str, value: &str| (name.into(), value.into());
    let sources = Sources {
        files: Vec::new(),
        environment: vec![
            variable("ARGOS_PROJECT_ID", &project.pid),
            variable("ARGOS_API_KEY", &project.api_key),
            variable("ARGOSPOOL_PROJECTS__DEFAULT__WEBHOOK__SECRET", WEBHOOK_SECRET),
        ],
        overrides: vec![
            set("data_dir", home.join("data").display().to_string()),
            set("grpc.listen", grpc.to_owned()),
            set("http.listen", http.to_owned()),
            set("webhook.allowed_sources", "127.0.0.1/32".to_owned()),
            set("ledger.free_space_min", "64MiB".to_owned()),
            set("projects.default.argos.api_url", simulator.api_url()),
            set("projects.default.liveform.base_url", simulator.form_url()),
            set("projects.default.life.decided_grace", "0s".to_owned()),
        ],
    };
    config::load(&sources).map(|loaded| loaded.settings).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Failure::failed(format!("the demo's own settings are refused: {}", errors.join("; ")))
    })
}

async fn free(address: &str) -> bool {
    tokio::net::TcpListener::bind(address).await.is_ok()
}

async fn lease_once(
    pool: &mut TokenPoolServiceClient<Channel>,
    wish: CreateLeaseRequest,
) -> Result<Lease, Failure> {
    let answer = pool.create_lease(wish).await.map_err(refused)?.into_inner();
    answer.lease.ok_or_else(|| Failure::failed("the daemon answered without a lease"))
}

async fn status(admin: &mut AdminServiceClient<Channel>) -> Result<ProjectStatus, Failure> {
    let answer = admin.get_status(GetStatusRequest::default()).await.map_err(refused)?;
    Ok(answer.into_inner().projects.into_iter().next().unwrap_or_default())
}

/// Waits until the lease stands where it should.
async fn reached(
    pool: &mut TokenPoolServiceClient<Channel>,
    lease: &Lease,
    state: LeaseState,
) -> Result<Lease, Failure> {
    until("the webhook is heard", async || {
        let key = Some(Key::LeaseId(lease.lease_id.clone()));
        let read = GetLeaseRequest { key, ..GetLeaseRequest::default() };
        let found = pool.get_lease(read).await.map_err(refused)?.into_inner().lease;
        Ok(found.filter(|lease| lease.state() == state))
    })
    .await
}

/// Looks again and again, for a bounded time.
async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= give_up {
            return Err(Failure::failed(format!("waited in vain until {what}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn refused(status: tonic::Status) -> Failure {
    Failure::failed(format!("the daemon refused: {}", status.message()))
}

fn lost(error: Lost) -> Failure {
    Failure::failed(format!("the person at the browser is lost: {error}"))
}

async fn wait_for_signal() -> Result<(), Failure> {
    let cannot = |error| Failure::failed(format!("cannot watch for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    Ok(())
}

/// Three things to try.
fn farewell(addresses: &Addresses, url: &str) -> String {
    let grpc = addresses.grpc.map_or_else(String::new, |address| address.to_string());
    let flag = if grpc == GRPC { String::new() } else { format!(" --address http://{grpc}") };
    let binary = std::env::args().next().unwrap_or_else(|| "argospool".to_owned());
    format!(
        "\
It stays up. Try, in another terminal:

  1. open a Liveform in your browser, and walk through it
       {url}
  2. take a lease yourself, and see how the pool stands
       {binary}{flag} lease --email you@example.com
       {binary}{flag} status
       {binary}{flag} top
  3. look at what a dashboard would see
       curl http://{http}/metrics

Ctrl-C ends it.
",
        http = addresses.http,
    )
}
