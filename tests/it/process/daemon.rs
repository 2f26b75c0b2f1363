//! A daemon's home, and the process that lives in it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::Display,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use argospool::{
    api::proto::{
        CreateLeaseRequest, GetStatusRequest, Lease, ProjectStatus,
        admin_service_client::AdminServiceClient,
        token_pool_service_client::TokenPoolServiceClient,
    },
    sim::Simulator,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

pub const PID: &str = "pid_demo";
pub const KEY: &str = "argos_test_demo";
/// Whatever takes this long does not come.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The daemon under test: the one that cargo built beside this program, or the one that
/// `ARGOSPOOL_BINARY` names.
pub fn binary() -> OsString {
    env::var_os("ARGOSPOOL_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_argospool").into())
}

/// Looks again and again until there is something to see.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    looking(look).await.unwrap_or_else(|| panic!("never: {what}"))
}

/// The same, with nothing where there never is.
pub async fn looking<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look().await;
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        // bounded: by the deadline above
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The reason of the one ErrorInfo that every error of the daemon carries.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The directory of one daemon: configuration, secrets, ledger and log. What was logged is searched
/// for secrets at the end of every test (P1).
pub struct Home {
    dir: tempfile::TempDir,
    data: PathBuf,
    settings: BTreeMap<String, String>,
    /// What the daemon is started by; nothing starts it directly.
    starter: Vec<OsString>,
}

impl Home {
    /// A small pool of the simulator's first project, in a hurry.
    pub fn beside(simulator: &Simulator) -> Self {
        Self::at(&simulator.api_url(), &simulator.form_url())
    }

    pub fn at(api_url: &str, form_url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let (settings, starter) = (BTreeMap::new(), Vec::new());
        let home = Self { dir, data: data.clone(), settings, starter };
        let key = home.secret("key", KEY);
        home.with("data_dir", text(data.display()))
            .with("grpc.listen", text("127.0.0.1:0"))
            .with("http.listen", text("127.0.0.1:0"))
            .with("log.level", text("debug"))
            .with("jobs.floor", text("* * * * * *"))
            .with("ledger.free_space_min", text("1MiB"))
            .with("defaults.argos.api_url", text(api_url))
            .with("defaults.argos.reserve_tokens", 0)
            .with("defaults.argos.calls_per_second", "1000.0")
            .with("defaults.argos.calls_burst", 1_000)
            .with("defaults.argos.backoff_min", text("10ms"))
            .with("defaults.argos.backoff_max", text("200ms"))
            .with("defaults.argos.circuit_open", text("1s"))
            .with("defaults.tokens.settle_delay", text("50ms"))
            .with("defaults.refill.target_tokens", 1_000)
            .with("defaults.refill.low_water_tokens", 500)
            .with("defaults.lease.wait_default", text("0s"))
            .with("defaults.liveform.base_url", text(form_url))
            .with("projects.default.pid", text(PID))
            .with("projects.default.api_key_file", text(key.display()))
    }

    /// The same with a setting, its value written as in TOML.
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Time-outs so short that a test can wait for the end of a doubt: some 32 s after the last
    /// attempt that went unanswered.
    pub fn that_settles_doubts_soon(self) -> Self {
        self.with("defaults.argos.connect_timeout", text("1s"))
            .with("defaults.argos.request_timeout", text("1s"))
            .with("defaults.tokens.late_copy_delay", text("32s"))
    }

    /// The same with its ledger in this directory.
    pub fn keeping_its_ledger_in(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self.with("data_dir", text(data.display()))
    }

    /// The same with its daemon started by a command that becomes what its last arguments say.
    pub fn started_by(mut self, starter: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.starter = starter.into_iter().map(Into::into).collect();
        self
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    /// The files in which a key or a secret stands, and what stands there.
    fn secrets(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let named = files.filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let text = fs::read_to_string(&path).ok()?.trim().to_owned();
            (!["argospool.toml", "log"].contains(&name.as_str()) && !text.is_empty())
                .then_some((name, text))
        });
        named.collect()
    }

    /// Everything that every process of this home wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The configuration file, written anew. At once: a process that was started before may be reading it.
    pub fn config(&self) -> PathBuf {
        let settings = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n"));
        let (written, config) = (self.path("argospool.toml.new"), self.path("argospool.toml"));
        fs::write(&written, settings.collect::<String>()).unwrap();
        fs::rename(&written, &config).unwrap();
        config
    }

    /// Starts a process that nothing is known about yet.
    pub fn start(&self) -> Daemon {
        let config = self.config();
        // A process that was killed leaves its addresses behind.
        let _ = fs::remove_file(self.data.join("addresses.json"));
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap();
        let mut line = self.starter.clone();
        line.extend([binary(), "serve".into(), "--config".into(), config.into()]);
        let child = Command::new(&line[0])
            .args(&line[1..])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon { child, data: self.data.clone(), grpc: String::new(), http: String::new() }
    }

    /// Runs a command without a daemon to its end; how it ended and everything that it wrote.
    pub async fn command(&self, words: &[&str]) -> (ExitStatus, String) {
        let mut command = Command::new(binary());
        command.args(words).arg("--config").arg(self.config()).env_clear().stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8(told).unwrap())
    }

    /// Starts a process and waits until it serves every project.
    pub async fn serve(&self) -> Daemon {
        let mut daemon = self.start();
        daemon.serves().await;
        daemon
    }

    /// Starts a process that must end with 1 by itself; returns what it said about it.
    pub async fn refuses(&self) -> String {
        let before = self.log().len();
        let ended = self.start().ended().await;
        let told = self.log().split_off(before);
        assert_eq!(ended.code(), Some(1), "{told}");
        told
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let log = self.log();
        if std::thread::panicking() {
            let end = log.char_indices().rev().nth(8_000).map_or(0, |(at, _)| at);
            eprintln!("--- the end of the daemon's log ---\n{}", &log[end..]);
            return;
        }
        let tokens = log.split(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '-');
        let leaked =
            tokens.filter(|word| word.starts_with("ap-") && [25, 29].contains(&word.len())).count();
        assert_eq!(leaked, 0, "P1: the log names token ids");
        for secret in [KEY, "token=", "encrypted=", "person@example.com"] {
            assert!(!log.contains(secret), "P1: the log tells {secret:?}");
        }
        for (name, secret) in self.secrets() {
            assert!(!log.contains(&secret), "P1: the log tells what {name} holds");
        }
    }
}

/// A string as TOML writes it.
pub fn text(value: impl Display) -> String {
    format!("{:?}", value.to_string())
}

/// A running process; killed when it is dropped.
pub struct Daemon {
    child: Child,
    data: PathBuf,
    grpc: String,
    http: String,
}

impl Daemon {
    /// Waits until it serves every project.
    pub async fn serves(&mut self) {
        let ended = self.serves_or_ends().await;
        assert!(ended.is_none(), "the daemon ended by itself");
    }

    /// Waits until it serves every project, or has ended by itself.
    pub async fn serves_or_ends(&mut self) -> Option<ExitStatus> {
        let addresses = self.data.join("addresses.json");
        until("the daemon is ready", async || {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return Some(Some(ended));
            }
            let text = fs::read(&addresses).ok()?;
            let found: serde_json::Value = serde_json::from_slice(&text).ok()?;
            let address = |name: &str| found[name].as_str().unwrap().to_owned();
            (self.grpc, self.http) = (format!("http://{}", address("grpc")), address("http"));
            (self.look("/readyz").await?.0 == 200).then_some(None)
        })
        .await
    }

    /// Where it serves gRPC, as a URL.
    pub fn address(&self) -> &str {
        &self.grpc
    }

    /// Where it serves HTTP: host and port.
    pub fn http_address(&self) -> &str {
        &self.http
    }

    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(self.grpc.clone()).unwrap().connect_lazy()
    }

    pub fn pool(&self) -> TokenPoolServiceClient<Channel> {
        TokenPoolServiceClient::new(self.channel())
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel())
    }

    /// One lease without a wish, at once or not at all.
    pub async fn lease(&self) -> Result<Lease, Status> {
        let answer = self.pool().create_lease(CreateLeaseRequest::default()).await?;
        Ok(answer.into_inner().lease.unwrap())
    }

    /// Waits until a lease is refused for this reason.
    pub async fn refuses_leases(&self, code: Code, expected: &str) {
        let mut heard = None;
        let told = looking(async || {
            heard = self.lease().await.err().map(|status| (status.code(), reason(&status)));
            (heard.as_ref()? == &(code, expected.to_owned())).then_some(())
        })
        .await;
        assert!(told.is_some(), "never: leases are refused with {expected}; last {heard:?}");
    }

    /// Leases until nothing is left, while nothing comes, and returns what was got.
    pub async fn drained(&self) -> Vec<Lease> {
        let (mut pool, mut leases) = (self.pool(), Vec::new());
        while let Ok(answer) = pool.create_lease(CreateLeaseRequest::default()).await {
            leases.extend(answer.into_inner().lease);
        }
        leases
    }

    pub async fn status(&self) -> ProjectStatus {
        let answer = self.admin().get_status(GetStatusRequest::default()).await.unwrap();
        answer.into_inner().projects.remove(0)
    }

    /// Waits until the first project stands as wanted.
    pub async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&ProjectStatus) -> bool,
    ) -> ProjectStatus {
        let mut last = None;
        let found = looking(async || {
            last = Some(self.status().await);
            last.clone().filter(&wanted)
        })
        .await;
        found.unwrap_or_else(|| panic!("never: {what}; last {last:?}"))
    }

    pub async fn filled(&self) -> ProjectStatus {
        self.until("the pool is filled", |status| counts(status).ready >= status.target_tokens)
            .await
    }

    /// Status and body of a page on the HTTP side.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.look(path).await.unwrap()
    }

    /// The same, of a daemon that may be gone.
    async fn look(&self, path: &str) -> Option<(u16, String)> {
        let (address, path) = (self.http.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(&address).ok()?;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let status = answer.split(' ').nth(1)?.parse().ok()?;
            Some((status, answer))
        })
        .await
        .unwrap()
    }

    /// One sample of `/metrics`, by name and labels as they are written there.
    pub async fn metric(&self, sample: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// As a power cut for the process: `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        until("the daemon ends", async || self.child.try_wait().unwrap()).await
    }

    /// An orderly end.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn counts(status: &ProjectStatus) -> argospool::api::proto::TokenCounts {
    status.counts.unwrap_or_default()
}
