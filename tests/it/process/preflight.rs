//! `preflight` as an operator runs it: with a daemon and without one, on good days and on bad ones.

use std::{
    collections::BTreeMap,
    process::{Child, Command as Process, Output, Stdio},
};

use argospool::sim::{
    Command, Counters, Effect, Fault, Operation, ProjectOptions, RuleChange, Script, Simulator,
    SimulatorOptions, WebhookSettings,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    daemon::{Daemon, Home, KEY, PID, binary, counts, until},
    hooks::taking_webhooks,
};

const SECRET: &str = "a-secret-of-the-test";

/// Checks that only a person can make, whatever the day.
const BY_HAND: [&str; 4] = ["private_mode", "deletion_conditions", "token_expiration", "liveform"];

async fn simulator() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

fn fault(simulator: &Simulator, script: Script) {
    simulator.control(Command::Faults(script)).unwrap();
}

/// Has ARGOS hold this address of webhooks on file.
fn on_file(simulator: &Simulator, url: &str) {
    let settings = WebhookSettings { url: Some(url.to_owned()), ..WebhookSettings::default() };
    simulator.control(Command::Webhooks(settings)).unwrap();
}

fn seen(simulator: &Simulator) -> Counters {
    simulator.counters(PID).unwrap()
}

fn start(home: &Home, arguments: &[&str]) -> Child {
    let mut process = Process::new(binary());
    process.args(["preflight", "--output", "json", "--config"]).arg(home.config()).args(arguments);
    process.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process.spawn().unwrap()
}

/// What a run found.
struct Run {
    exit: Option<i32>,
    checks: BTreeMap<String, (String, String)>,
    stderr: String,
}

impl Run {
    async fn ended(child: Child) -> Self {
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output()).await;
        let Output { status, stdout, stderr } = ended.unwrap().unwrap();
        let (stdout, stderr) = [stdout, stderr].map(|it| String::from_utf8(it).unwrap()).into();
        for told in [&stdout, &stderr] {
            for secret in [KEY, SECRET, "token=", "ap-"] {
                assert!(!told.contains(secret), "P1: {told}");
            }
        }
        let found: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
        let checks = found["checks"].as_array().into_iter().flatten().map(|check| {
            let result = text(check, "result").replace("PREFLIGHT_RESULT_", "");
            (text(check, "name"), (result, text(check, "summary") + " → " + &text(check, "advice")))
        });
        Self { exit: status.code(), checks: checks.collect(), stderr }
    }

    async fn of(home: &Home) -> Self {
        Self::ended(start(home, &[])).await
    }

    /// Names of the checks with this result.
    fn with(&self, result: &str) -> Vec<&str> {
        let wanted = self.checks.iter().filter(|(_, (of, _))| of == result);
        wanted.map(|(name, _)| name.as_str()).collect()
    }

    fn told(&self, name: &str) -> &str {
        &self.checks[name].1
    }

    fn failed(&self, names: &[&str]) {
        assert_eq!(self.with("FAILED"), names, "{:#?}{}", self.checks, self.stderr);
        assert_eq!(self.exit, Some(1), "{}", self.stderr);
    }

    /// Nothing failed, and besides what is always for a person only this is.
    fn passed_but(&self, not_checkable: &[&str]) {
        let mut expected = [&BY_HAND, not_checkable].concat();
        expected.sort_unstable();
        assert_eq!(self.with("FAILED"), [""; 0], "{:#?}", self.checks);
        assert_eq!(self.with("NOT_CHECKABLE"), expected, "{:#?}{}", self.checks, self.stderr);
        assert_eq!(self.exit, Some(0), "{}", self.stderr);
    }
}

/// Everything that ARGOS holds is in the ledger (B2), and nothing was registered in a forbidden way.
async fn holds_what_argos_holds(simulator: &Simulator, daemon: &Daemon) {
    let status = daemon
        .until("the stock is there and nothing is in doubt", |status| {
            let counted = counts(status);
            let rests = counted.minted == 0 && counted.doomed == 0;
            rests && counted.ready >= 500 && status.foreign_tokens == 0
        })
        .await;
    let counters = seen(simulator);
    assert_eq!(counters.pool_size, u64::from(status.held_tokens), "B2");
    assert_eq!((counters.overwrites_of_used, counters.overwrites_of_deleted), (0, 0), "B1, B3");
}

/// B2.
#[tokio::test]
async fn with_a_daemon_all_is_well_and_the_trial_leaves_nothing_behind() {
    let simulator = simulator().await;
    on_file(&simulator, &format!("https://pool.example/webhooks/argos/{SECRET}"));
    let home = taking_webhooks(Home::beside(&simulator));
    let daemon = home.serve().await;
    let before = daemon.filled().await;
    let run = Run::of(&home).await;
    run.passed_but(&[]);
    assert!(run.told("trial_token").contains("registered, read back and deleted"));
    assert!(run.told("webhook_url").contains("pool.example"), "{}", run.told("webhook_url"));
    assert!(run.told("api_key").contains("belongs to the tokens"), "{}", run.told("api_key"));
    assert!(run.told("room").contains("1000 tokens at ARGOS"), "{}", run.told("room"));
    let counters = seen(&simulator);
    assert_eq!((counters.pool_size, counters.delete_tokens), (1_000, 1));
    assert_eq!(daemon.status().await.counts, before.counts);

    // The same by its address, without a configuration.
    let address = daemon.address().to_owned();
    let named = move || {
        let named = ["--address", &address, "preflight", "--project", "default"];
        Process::new(binary()).args(named).env_clear().output().unwrap()
    };
    let output = tokio::task::spawn_blocking(named).await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.contains("api key") && table.contains("by hand"), "{table}");
    daemon.stop().await;
}

/// B2.
#[tokio::test]
async fn without_a_daemon_all_is_well_and_nothing_but_the_trial_is_ordered() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    for round in 1..3 {
        let run = Run::of(&home).await;
        run.passed_but(&["webhook_url"]);
        assert_eq!(run.told("api_key"), "accepted → ", "an empty ledger proves nothing of the pid");
        let counters = seen(&simulator);
        assert_eq!((counters.post_tokens, counters.delete_tokens), (round, round));
        assert_eq!(counters.pool_size, 0);
    }
    let daemon = home.serve().await;
    holds_what_argos_holds(&simulator, &daemon).await;
    // A process that was killed leaves its addresses behind.
    let before = daemon.status().await.counts;
    daemon.kill();
    assert!(home.data().join("addresses.json").exists());
    let run = Run::of(&home).await;
    run.passed_but(&["webhook_url"]);
    let daemon = home.serve().await;
    assert_eq!(daemon.filled().await.counts, before);
    daemon.stop().await;
}

#[tokio::test]
async fn a_ledger_in_memory_is_no_hindrance() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).with("ledger.kind", "\"memory\"");
    Run::of(&home).await.passed_but(&["webhook_url"]);
    assert_eq!(seen(&simulator).pool_size, 0);
}

#[tokio::test]
async fn a_wrong_key_and_a_refused_address_are_told_apart_and_nothing_is_ordered() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    home.secret("key", "another-key");
    let run = Run::of(&home).await;
    run.failed(&["api_key"]);
    assert!(run.told("trial_token").contains("nothing was ordered"));
    home.secret("key", KEY);
    let refused = Script::always(Operation::Count, Fault::ForbiddenAddress);
    fault(&simulator, Script { operation: None, ..refused });
    let run = Run::of(&home).await;
    run.failed(&["address"]);
    assert!(run.told("address").contains("IP Whitelist"), "{}", run.told("address"));

    // A daemon that has been refused already says the same.
    let daemon = home.serve().await;
    daemon
        .until("ARGOS refuses the address", |status| {
            status.problems.iter().any(|problem| problem.reason == "ARGOS_ADDRESS_REFUSED")
        })
        .await;
    let run = Run::of(&home).await;
    run.failed(&["address"]);
    assert!(run.told("trial_token").contains("nothing was ordered"));
    assert_eq!(seen(&simulator).pool_size, 0);
    daemon.stop().await;
}

/// T1: here the clock of ARGOS is wrong, which looks the same.
#[tokio::test]
async fn a_clock_that_is_years_away_from_that_of_argos_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let body = r#"{"success":true,"count":0}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nconnection: close\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    let home = Home::at(&format!("http://{address}/v3"), "http://127.0.0.1:1");
    let run = Run::of(&home).await;
    assert!(run.with("FAILED").contains(&"clock"), "{:#?}", run.checks);
    assert!(run.told("clock").contains("ahead of ARGOS"), "{}", run.told("clock"));
    assert!(run.with("PASSED").contains(&"api_key"), "{:#?}", run.checks);
}

/// C1.
#[tokio::test]
async fn without_room_nothing_is_ordered() {
    let project = ProjectOptions { cap: 2_000, ..ProjectOptions::default() };
    let projects = vec![project];
    let options = SimulatorOptions { projects, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    let (count, prefix, ids) = (1_500, None, Vec::new());
    simulator.control(Command::Foreign { pid: None, count, prefix, ids: ids.clone() }).unwrap();
    let home = Home::beside(&simulator).with("defaults.argos.cap_tokens", 2_000);
    let run = Run::of(&home).await;
    run.failed(&["room"]);
    assert!(run.told("room").contains("500 of 2000 left"), "{}", run.told("room"));
    assert_eq!(seen(&simulator).post_tokens, 1);

    let prefix = Some("others-".to_owned());
    simulator.control(Command::Foreign { pid: None, count: 500, prefix, ids }).unwrap();
    Run::of(&home).await.failed(&["room", "trial_token"]);
    let counters = seen(&simulator);
    assert_eq!(
        (counters.post_tokens, counters.cap_overruns, counters.deletes_of_foreign),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn secure_transfer_must_be_set_alike_and_a_refused_trial_is_forgotten() {
    let simulator = simulator().await;
    let switch = |on: bool| {
        let change = RuleChange { secure_transfer: Some(on), ..RuleChange::default() };
        simulator.control(Command::Rules(change)).unwrap();
    };
    switch(true);
    let home = Home::beside(&simulator);
    Run::of(&home).await.failed(&["secure_transfer", "trial_token"]);
    let home = home.with("projects.default.transfer.seal_requests", true);
    let run = Run::of(&home).await;
    run.passed_but(&["webhook_url"]);
    assert!(run.told("room").contains(": 0 held by us"), "{}", run.told("room"));
    switch(false);
    Run::of(&home).await.failed(&["secure_transfer", "trial_token"]);
    assert_eq!(seen(&simulator).pool_size, 0);
}

/// P1: of an address only the host is told.
#[tokio::test]
async fn an_address_of_webhooks_that_is_not_ours_fails() {
    let simulator = simulator().await;
    let home = taking_webhooks(Home::beside(&simulator));
    for wrong in ["https://pool.example/webhooks/argos/guessed", "http://127.0.0.1:1/hook", "junk"]
    {
        on_file(&simulator, wrong);
        let run = Run::of(&home).await;
        run.failed(&["webhook_url"]);
        assert!(!run.told("webhook_url").contains("guessed"));
    }
    on_file(&simulator, "");
    Run::of(&home).await.passed_but(&["webhook_url"]);
}

/// B3.
#[tokio::test]
async fn a_lost_answer_leaves_the_trial_to_the_ledger() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).that_settles_doubts_soon();
    let lost = Fault::LostAnswer { effect: Effect::Done };
    fault(&simulator, Script::next(Operation::Post, lost.clone()));
    let run = Run::of(&home).await;
    run.passed_but(&["trial_token", "webhook_url"]);
    assert!(run.told("trial_token").contains("registered and read back"), "{:#?}", run.checks);
    assert_eq!(seen(&simulator).pool_size, 1);
    fault(&simulator, Script::next(Operation::Get, lost));
    let daemon = home.serve().await;
    holds_what_argos_holds(&simulator, &daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_deletion_that_argos_does_not_take_fails_and_is_repeated() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).that_settles_doubts_soon();
    let failing = Fault::Partial { processed: 0, details: true };
    fault(&simulator, Script::always(Operation::Delete, failing));
    let run = Run::of(&home).await;
    run.failed(&["trial_token"]);
    assert!(run.told("trial_token").contains("deletion"), "{:#?}", run.checks);
    simulator.control(Command::ClearFaults { pid: None }).unwrap();
    Run::of(&home).await.passed_but(&["webhook_url"]);
    let daemon = home.serve().await;
    holds_what_argos_holds(&simulator, &daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn two_runs_at_once_do_not_get_into_each_others_way() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let both = [start(&home, &[]), start(&home, &[])];
    let [first, second] = both.map(Run::ended);
    let (first, second) = tokio::join!(first, second);
    for run in [&first, &second] {
        let locked = run.exit == Some(1) && run.stderr.contains("another argospool serves from");
        assert!(run.exit == Some(0) || locked, "{:#?}{}", run.checks, run.stderr);
    }
    assert!([first.exit, second.exit].contains(&Some(0)));

    let daemon = home.serve().await;
    daemon.filled().await;
    let both = [start(&home, &[]), start(&home, &[])];
    let [first, second] = both.map(Run::ended);
    let (first, second) = tokio::join!(first, second);
    first.passed_but(&["webhook_url"]);
    second.passed_but(&["webhook_url"]);
    assert_eq!(seen(&simulator).highest_pool_size, 1_001, "one after the other");
    holds_what_argos_holds(&simulator, &daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn whoever_asks_may_go_and_the_trial_is_taken_out_again_all_the_same() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    fault(&simulator, Script::next(Operation::Post, Fault::Latency { ms: 2_000 }));
    let run = Run::ended(start(&home, &["--timeout", "1s"])).await;
    assert_eq!(run.exit, Some(4), "{}", run.stderr);
    until("it is deleted", async || (seen(&simulator).delete_tokens == 1).then_some(())).await;
    holds_what_argos_holds(&simulator, &daemon).await;
    daemon.stop().await;
}

/// S1, B2.
#[tokio::test]
async fn killed_in_the_middle_it_leaves_nothing_that_the_next_run_does_not_know() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).that_settles_doubts_soon();
    for operation in [Operation::Post, Operation::Delete] {
        fault(&simulator, Script::next(operation, Fault::Latency { ms: 3_600_000 }));
        let mut child = start(&home, &[]);
        until("the call is out", async || {
            let counters = seen(&simulator);
            let calls =
                if operation == Operation::Post { counters.posts } else { counters.deletes };
            (calls > 0).then_some(())
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
        let run = Run::of(&home).await;
        run.passed_but(&["webhook_url"]);
        assert!(run.told("room").contains(", 0 foreign"), "{}", run.told("room"));
    }
    let daemon = home.serve().await;
    holds_what_argos_holds(&simulator, &daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_loaded_is_told_as_by_config_check() {
    let simulator = simulator().await;
    let home = Home::beside(&simulator).with("grpc.lisen", 1);
    let run = Run::of(&home).await;
    assert_eq!(run.exit, Some(1));
    assert!(run.stderr.contains("did you mean grpc.listen?"), "{}", run.stderr);
    let home = Home::beside(&simulator);
    let run = Run::ended(start(&home, &["--project", "other"])).await;
    assert_eq!(run.exit, Some(1));
    assert!(run.stderr.contains("name one of the projects: default"), "{}", run.stderr);
}
