//! Several projects of one simulated ARGOS behind one daemon, each with keys of its own.

use std::{collections::BTreeMap, fmt::Display};

use argospool::{
    api::proto::{
        BatchCreateLeasesRequest, CreateLeaseRequest, Decision, GetLeaseRequest, GetStatusRequest,
        Lease, LeaseState, LiveformParams, ProjectStatus, get_lease_request::Key,
    },
    sim::{
        Cipher, Command, Counters, Encoding, Gcm, Layout, NonceBytes, ProjectOptions, RuleChange,
        Simulator, SimulatorOptions, Visitor, WebhookSettings,
    },
};
use tonic::Status;

use super::daemon::{Daemon, Home, counts, looking, text, until};

/// Tokens of each project.
const TARGET: u32 = 8;

/// One project: how ARGOS has it, and how the daemon is told.
#[derive(Clone)]
pub struct Project {
    pub name: String,
    pub options: ProjectOptions,
    settings: BTreeMap<String, String>,
}

impl Project {
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        let options = ProjectOptions {
            pid: format!("pid_{name}"),
            api_key: format!("api-key-of-{name}"),
            ..ProjectOptions::default()
        };
        Self { name, options, settings: BTreeMap::new() }
    }

    /// The same with a setting of the project, its value written as in TOML.
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    pub fn in_mode(self, mode: &str) -> Self {
        self.with("liveform.mode", text(mode))
    }

    /// The same at an ARGOS with other rules.
    pub fn ruled(mut self, change: impl FnOnce(&mut RuleChange)) -> Self {
        change(&mut self.options.rules);
        self
    }

    /// The same with links that are sealed under a key of their own.
    pub fn with_secret_key(mut self) -> Self {
        self.options.secret_key = Some(format!("secret-key-of-{}", self.name));
        self
    }

    /// The same with links that both sides seal like this.
    pub fn sealing(self, cipher: Cipher) -> Self {
        let project = self.ruled(|rules| rules.link_cipher = Some(cipher));
        let Cipher::Gcm(Gcm { layout, nonce_bytes, encoding }) = cipher else {
            return project.with("liveform.cipher", text("ecb"));
        };
        let layout = match layout {
            Layout::NonceCiphertextTag => "nonce_ciphertext_tag",
            Layout::NonceTagCiphertext => "nonce_tag_ciphertext",
            Layout::CiphertextTagNonce => "ciphertext_tag_nonce",
        };
        let nonce = match nonce_bytes {
            NonceBytes::Twelve => 12,
            NonceBytes::Sixteen => 16,
        };
        let encoding = match encoding {
            Encoding::Base64 => "base64",
            Encoding::Hex => "hex",
        };
        project
            .with("liveform.cipher", text("gcm"))
            .with("liveform.gcm_layout", text(layout))
            .with("liveform.gcm_nonce", nonce)
            .with("liveform.gcm_encoding", text(encoding))
    }

    fn webhook_secret(&self) -> String {
        format!("webhook-secret-of-{}", self.name)
    }

    /// Its settings, and its keys as files.
    pub fn tell(&self, mut home: Home) -> Home {
        let at = |key: &str| format!("projects.{}.{key}", self.name);
        let ProjectOptions { pid, api_key, secret_key, .. } = &self.options;
        home = home.with(&at("pid"), text(pid));
        for (key, secret) in [
            ("api_key_file", Some(api_key)),
            ("liveform.secret_key_file", secret_key.as_ref()),
            ("webhook.secret_file", Some(&self.webhook_secret())),
        ] {
            if let Some(secret) = secret {
                let path = home.secret(&format!("{}.{key}", self.name), secret);
                home = home.with(&at(key), text(path.display()));
            }
        }
        self.settings.iter().fold(home, |home, (key, value)| home.with(&at(key), value))
    }
}

/// The daemon that serves them, and ARGOS beside it.
pub struct Site {
    pub daemon: Daemon,
    pub home: Home,
    pub simulator: Simulator,
    pub projects: Vec<Project>,
}

impl Site {
    pub async fn of(projects: Vec<Project>) -> Self {
        Self::changed(projects, |home| home).await
    }

    /// The same with further settings.
    pub async fn changed(projects: Vec<Project>, change: impl FnOnce(Home) -> Home) -> Self {
        let options = projects.iter().map(|project| project.options.clone()).collect();
        let options = SimulatorOptions { projects: options, ..SimulatorOptions::default() };
        let simulator = Simulator::start(options).await.unwrap();
        let home = Home::beside(&simulator)
            .without("projects.default.pid")
            .without("projects.default.api_key_file")
            .with("webhook.allowed_sources", "[]")
            // Whatever is missing is a full batch.
            .with("defaults.argos.tokens_per_call", 1)
            .with("defaults.refill.target_tokens", TARGET)
            .with("defaults.refill.low_water_tokens", TARGET / 2)
            .with("defaults.life.decided_grace", text("0s"));
        let home = projects.iter().fold(change(home), |home, project| project.tell(home));
        let daemon = home.serve().await;
        let site = Self { daemon, home, simulator, projects };
        site.filled().await;
        site
    }

    /// What ARGOS and the daemon know a project by, beside its name.
    fn pid(&self, project: &str) -> String {
        let found = self.projects.iter().find(|it| it.name == project);
        found.unwrap().options.pid.clone()
    }

    /// The address of a project's webhooks becomes known to ARGOS.
    pub fn sends_webhooks(&self) {
        for project in &self.projects {
            let address = self.daemon.http_address();
            let url = format!("http://{address}/webhooks/argos/{}", project.webhook_secret());
            let settings = WebhookSettings {
                pid: Some(project.options.pid.clone()),
                url: Some(url),
                tries: Some(5),
                ..WebhookSettings::default()
            };
            self.simulator.control(Command::Webhooks(settings)).unwrap();
        }
    }

    pub fn rules(&self, project: &str, change: RuleChange) {
        let pid = Some(self.pid(project));
        self.simulator.control(Command::Rules(RuleChange { pid, ..change })).unwrap();
    }

    pub fn counters(&self, project: &str) -> Counters {
        self.simulator.counters(&self.pid(project)).unwrap()
    }

    pub async fn status(&self, project: &str) -> ProjectStatus {
        let request = GetStatusRequest { project: project.to_owned() };
        let answer = self.daemon.admin().get_status(request).await.unwrap();
        answer.into_inner().projects.remove(0)
    }

    /// Waits until a project stands as wanted.
    pub async fn until(
        &self,
        project: &str,
        what: &str,
        wanted: impl Fn(&ProjectStatus) -> bool,
    ) -> ProjectStatus {
        let mut last = None;
        let found = looking(async || {
            last = Some(self.status(project).await);
            last.clone().filter(&wanted)
        });
        found.await.unwrap_or_else(|| panic!("never: {project}: {what}; last {last:?}"))
    }

    /// Waits until every project has its stock.
    pub async fn filled(&self) {
        for project in &self.projects {
            let full = |status: &ProjectStatus| counts(status).ready >= status.target_tokens;
            self.until(&project.name, "the pool is filled", full).await;
        }
    }

    pub async fn asks(&self, request: CreateLeaseRequest) -> Result<Lease, Status> {
        let answer = self.daemon.pool().create_lease(request).await?;
        Ok(answer.into_inner().lease.unwrap())
    }

    pub async fn lease(&self, project: &str, params: LiveformParams) -> Result<Lease, Status> {
        let (project, params) = (project.to_owned(), Some(params));
        self.asks(CreateLeaseRequest { project, params, ..Default::default() }).await
    }

    /// As many at once.
    pub async fn leases(&self, project: &str, params: Vec<LiveformParams>) -> Vec<Lease> {
        let wish = |params| CreateLeaseRequest { params: Some(params), ..Default::default() };
        let requests = params.into_iter().map(wish).collect();
        let batch = BatchCreateLeasesRequest { project: project.to_owned(), requests, wait: None };
        self.daemon.pool().batch_create_leases(batch).await.unwrap().into_inner().leases
    }

    /// The lease as it stands.
    pub async fn read(&self, lease: &Lease) -> Lease {
        let key = Some(Key::LeaseId(lease.lease_id.clone()));
        let request = GetLeaseRequest { project: lease.project.clone(), key };
        self.daemon.pool().get_lease(request).await.unwrap().into_inner().lease.unwrap()
    }

    /// A person goes through to the end and is approved; waits until the daemon has heard of it.
    pub async fn verifies(&self, lease: &Lease) {
        let mut person = Visitor::new(&self.simulator.form_url()).unwrap();
        let submission = person.start(&lease.url).await.unwrap();
        person.decide(&submission, "approved").await.unwrap();
        self.is_decided(lease).await;
    }

    pub async fn is_decided(&self, lease: &Lease) {
        until("the lease is decided", async || {
            let told = self.read(lease).await;
            let closed = told.state() == LeaseState::Closed;
            (closed && told.decision() == Decision::Approved).then_some(())
        })
        .await;
    }

    /// Why the Liveform refuses a link; `None` when it lets in.
    pub async fn refusal(&self, url: &str) -> Option<String> {
        let mut person = Visitor::new(&self.simulator.form_url()).unwrap();
        person.open(url).await.unwrap().cause
    }

    /// What the page says that the link says: of every parameter its value, and whether it was sealed.
    pub async fn page(&self, url: &str) -> BTreeMap<String, (String, bool)> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let page = reqwest::get(url).await.unwrap().text().await.unwrap();
        let rows = page.split("<tr data-parameter=\"").skip(1);
        let rows = rows.map(|row| {
            let (name, row) = row.split_once("\" data-sealed=\"").unwrap();
            let (sealed, row) = row.split_once("\">").unwrap();
            let (_, row) = row.split_once("<td>").unwrap();
            let (value, _) = row.split_once("</td>").unwrap();
            (name.to_owned(), (value.to_owned(), sealed == "true"))
        });
        let says: BTreeMap<_, _> = rows.collect();
        assert!(!says.is_empty(), "it is an error page");
        says
    }
}
