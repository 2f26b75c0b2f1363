//! `simulator`: a simulated ARGOS to develop and drill against.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, screen::Screen};
use crate::sim::{Cipher, Pipeline, ProjectOptions, RuleChange, Simulator, SimulatorOptions};

const CONTROL: &str = "\
Control side, under /_sim/ of the address; wherever \"pid\" is absent the project is meant:
  GET  state?offset=N       clock, tokens, submissions, the last webhooks, faults
  GET  counters             what it saw, for tests to judge a daemon by
  GET  record?offset=N      what became of every token ever registered, 1000 a page
  POST rules                cap, expiration, abandoned_after_ms, volume_deletion, list_page,
                            list_name, expired_as, token_place, timestamps, submission_order,
                            api_key, secret_key, pipeline, encryption_only, secure_transfer,
                            sealed_errors, ip_whitelist, form_return_url, ...;
                            link_cipher and transfer_cipher are \"ecb\" or {\"gcm\":{\"layout\":
                            \"nonce_ciphertext_tag\",\"nonce_bytes\":12,\"encoding\":\"base64\"}}; other
                            layouts: nonce_tag_ciphertext, ciphertext_tag_nonce; other encoding: hex
  POST faults               {\"operation\":\"list\",\"times\":1,\"fault\":{\"kind\":\"page_twice\"}}
  POST clear_faults
  POST clock                {\"skip_ms\":3600000}
  POST foreign, vanish      tokens of another writer; tokens that disappear without a word
  POST webhooks             url, drop_percent, duplicate_percent, late_percent, seed, tries,
                            sealed, identify, flavour, ...
  POST webhook              {\"body\":{...}}, sent as it is
  POST liveform/open, liveform/start, liveform/decide
  POST crowd                {\"links\":[URL, ...],\"plan\":{\"submits\":{\"decision\":\"approved\"}}}; plans:
                            never_opens, opens, walks_away, submits, retries, downgraded,
                            two_people, deleted, reviewed, edited

Bodies are JSON objects; what they name and nobody knows is refused.";

#[derive(Args)]
#[command(after_help = CONTROL)]
pub struct SimulatorArgs {
    /// Where it listens; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8099")]
    pub listen: SocketAddr,
    /// The project it plays
    #[arg(long, default_value = "pid_demo")]
    pub pid: String,
    /// Tokens its pool may hold
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub cap: usize,
    /// How long every REST answer takes, such as 100ms
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub latency: Duration,
    /// Where webhooks go; http:// only
    #[arg(long, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// What seals links, where it is not the API key; made up, as that is
    #[arg(long, value_name = "KEY")]
    pub secret_key: Option<String>,
    /// What POST rules would change, from the start, such as '{"secure_transfer":true}'
    #[arg(long, value_name = "JSON", value_parser = rules)]
    pub rules: Option<RuleChange>,
}

impl SimulatorArgs {
    fn options(self) -> SimulatorOptions {
        let Self { listen, pid, cap, latency, webhook_url, secret_key, rules } = self;
        let mut rules = rules.unwrap_or_default();
        let mut project =
            ProjectOptions { pid, cap, webhook_url, secret_key, ..ProjectOptions::default() };
        // The greeting shows the keys that count.
        if let Some(key) = rules.api_key.take() {
            key.expose().clone_into(&mut project.api_key);
        }
        if let Some(key) = rules.secret_key.take() {
            project.secret_key = Some(key.expose().to_owned()).filter(|key| !key.is_empty());
        }
        project.rules = rules;
        SimulatorOptions { listen, projects: vec![project], latency }
    }
}

fn rules(text: &str) -> Result<RuleChange, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Runs until it is told to stop.
pub(super) async fn run(args: SimulatorArgs, screen: &Screen) -> Result<(), Failure> {
    let listen = args.listen;
    if !listen.ip().is_loopback() {
        return Err(Failure::new(
            Exit::Usage,
            "the simulator listens on loopback only: its control side asks nobody who they are",
        ));
    }
    let cannot = |error| Failure::failed(format!("cannot watch for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let options = args.options();
    let project = options.projects.first().cloned().unwrap_or_default();
    let simulator = Simulator::start(options).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {listen}"))
            .fact("cause", error.to_string())
            .hint("--listen 127.0.0.1:0 takes any port that is free")
    })?;
    screen.print(&greeting(&simulator, &project))?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    simulator.stop().await;
    Ok(())
}

/// How a daemon finds it, and seals as it does. The keys are made up and public, so they may be shown.
fn greeting(simulator: &Simulator, project: &ProjectOptions) -> String {
    let ProjectOptions { pid, api_key, secret_key, rules, .. } = project;
    let (api_url, form_url) = (simulator.api_url(), simulator.form_url());
    let secret_key = secret_key
        .as_deref()
        .filter(|key| !key.is_empty())
        .map(|key| format!(" ARGOSPOOL_PROJECTS__DEFAULT__LIVEFORM__SECRET_KEY={key}"));
    let secret_key = secret_key.unwrap_or_default();
    let set = |(key, value)| format!(" \\\n    --set projects.default.{key}={value}");
    let sealing: String = sealing(rules).into_iter().map(set).collect();
    format!(
        "\
simulated ARGOS on {address}; Ctrl-C ends it

  REST      {api_url}
  Liveform  {form_url}
  control   {form_url}/_sim/state

a daemon for it:

  ARGOS_PROJECT_ID={pid} ARGOS_API_KEY={api_key}{secret_key} argospool serve \\
    --set projects.default.argos.api_url={api_url} \\
    --set projects.default.liveform.base_url={form_url}{sealing}
",
        address = simulator.address(),
    )
}

/// The settings of a daemon that these rules call for, beyond its defaults.
fn sealing(rules: &RuleChange) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if rules.encryption_only == Some(true) {
        settings.push(("liveform.mode", "sealed".to_owned()));
    }
    if rules.pipeline == Some(Pipeline::Knowledge) {
        settings.push(("liveform.pipeline", "knowledge".to_owned()));
    }
    if let Some(Cipher::Gcm(gcm)) = rules.link_cipher {
        settings.push(("liveform.cipher", "gcm".to_owned()));
        let shape = serde_json::json!(gcm);
        for (key, member) in [
            ("liveform.gcm_layout", "layout"),
            ("liveform.gcm_nonce", "nonce_bytes"),
            ("liveform.gcm_encoding", "encoding"),
        ] {
            // The two write the same words.
            let word = &shape[member];
            settings.push((key, word.as_str().map_or_else(|| word.to_string(), str::to_owned)));
        }
    }
    if rules.secure_transfer == Some(true) {
        settings.push(("transfer.seal_requests", "true".to_owned()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::domain::{
        envelope::{Cipher, Encoding, Gcm, Layout, NonceLength},
        liveform::{Mode, Pipeline},
    };

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulatorArgs,
    }

    #[test]
    fn rules_and_keys_are_settable_from_the_start() {
        let read =
            |rules| Line::try_parse_from(["simulator", "--secret-key", "s", "--rules", rules]);
        let line = read("{\"secure_transfer\":true,\"api_key\":\"k\"}").ok().unwrap();
        let project = line.args.options().projects.remove(0);
        assert_eq!((project.api_key.as_str(), project.secret_key.as_deref()), ("k", Some("s")));
        assert_eq!(project.rules.secure_transfer, Some(true));
        assert!(read("{\"secure\":true}").is_err(), "what nobody knows is refused");
    }

    /// The settings of a daemon that does what the greeting says.
    async fn settings(arguments: &[&str]) -> crate::config::Project {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let line =
            Line::try_parse_from(["simulator", "--listen", "127.0.0.1:0"].iter().chain(arguments));
        let options = line.ok().unwrap().args.options();
        let project = options.projects[0].clone();
        let simulator = Simulator::start(options).await.unwrap();
        let text = greeting(&simulator, &project);
        let mut sources = crate::config::Sources::default();
        for word in text.split_whitespace() {
            if let Some((key, value)) = word.split_once('=') {
                if key.starts_with("ARGOS") {
                    sources.environment.push((key.into(), value.into()));
                } else {
                    sources.overrides.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        assert!(sources.environment.len() >= 2 && sources.overrides.len() >= 2, "{text}");
        let loaded = crate::config::load(&sources);
        simulator.stop().await;
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:?} in {text}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.settings.projects["default"].clone()
    }

    #[tokio::test]
    async fn the_greeting_is_a_configuration_that_loads() {
        let usual = settings(&[]).await.liveform;
        assert_eq!((usual.mode, usual.cipher, usual.secret_key), (Mode::Mixed, Cipher::Ecb, None));
    }

    #[tokio::test]
    async fn the_greeting_seals_as_the_simulator_does() {
        let rules = r#"{"encryption_only":true,"secure_transfer":true,"pipeline":"knowledge",
            "secret_key":"of-the-rules",
            "link_cipher":{"gcm":{"layout":"nonce_tag_ciphertext","nonce_bytes":16,"encoding":"hex"}}}"#;
        let told = settings(&["--secret-key", "of-the-flag", "--rules", rules]).await;
        let (layout, nonce) = (Layout::NonceTagCiphertext, NonceLength::Sixteen);
        let gcm = Cipher::Gcm(Gcm { layout, nonce, encoding: Encoding::Hex });
        assert_eq!((told.liveform.mode, told.liveform.cipher), (Mode::Sealed, gcm));
        assert_eq!(told.liveform.pipeline, Pipeline::Knowledge);
        assert_eq!(told.liveform.secret_key.unwrap().secret.expose(), "of-the-rules");
        assert!(told.transfer.seal_requests);
    }
}
