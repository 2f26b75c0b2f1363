//! Links and envelopes at the shell, without a daemon; and that a lease says what was shown before.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use argospool::sim::{Simulator, SimulatorOptions};

use super::daemon::{Home, KEY, PID, binary};

const WISH: &str = r#"{"allowedCountries": "USA,KOR", "ageLimit": false, "cf1": "a b"}"#;

/// Runs a command with the project of the simulator, and something to read.
async fn run(arguments: &[&str], stdin: &str) -> Output {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let stdin = stdin.to_owned();
    let run = move || {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear();
        command.env("ARGOS_PROJECT_ID", PID).env("ARGOS_API_KEY", KEY);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended without reading.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!(stdout(&output) + &stderr(&output)).contains(KEY), "P1");
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_lease_says_what_url_showed_before() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator).with("defaults.liveform.correlation_field", "\"\"");
    let daemon = home.serve().await;
    daemon.filled().await;
    let base_url = format!("defaults.liveform.base_url={}", simulator.form_url());
    let settings = ["--set", &base_url, "--set", "defaults.liveform.correlation_field="];
    let shown = run(&[&["url", "--params", WISH][..], &settings].concat(), "").await;
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let address = ["--address", daemon.address()];
    let leased = run(&[&address[..], &["lease", "--params", "-"]].concat(), WISH).await;
    assert_eq!(leased.status.code(), Some(0), "{}", stderr(&leased));
    let (shown, leased) = (stdout(&shown), stdout(&leased));
    // The same link but for the token, which has the same length.
    let parts = |url: &str| {
        let (head, rest) = url.split_once("token=").unwrap();
        let (token, tail) = rest.split_once('&').unwrap();
        (head.to_owned(), token.len(), tail.to_owned())
    };
    assert_eq!(parts(&shown), parts(&leased));
    let opened = run(&["url", "--open", leased.trim_end()], "").await;
    assert_eq!(stdout(&opened), "{\"allowedCountries\":\"USA,KOR\"}\n");

    let bad = ["--params", r#"{"age_limit": true}"#];
    let refused = run(&[&address[..], &["lease"], &bad].concat(), "").await;
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    let local = run(&[&["url"][..], &bad].concat(), "").await;
    assert_eq!(local.status.code(), Some(2), "{}", stderr(&local));
    let field = |output: &Output| {
        let told = stderr(output);
        told[told.find("params.age_limit: ").unwrap()..].lines().next().unwrap().to_owned()
    };
    assert_eq!(field(&refused), field(&local), "the rules are the same");
    daemon.stop().await;
}

#[tokio::test]
async fn lines_of_stdin_become_urls_and_open_again() {
    let wishes: String = (0..300)
        .map(|at| format!("{{\"allowed_countries\":\"KOR\",\"cf1\":\"{at}\"}}\n"))
        .collect();
    let made = run(&["url", "--params", "-"], &wishes).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let urls = stdout(&made);
    let each = |(at, url): (usize, &str)| url.contains(&format!("&cf1={at}&"));
    assert!(urls.lines().count() == 300 && urls.lines().enumerate().all(each));
    let opened = run(&["url", "--open", "-"], &urls).await;
    assert_eq!(stdout(&opened), "{\"allowedCountries\":\"KOR\"}\n".repeat(300));
}

#[tokio::test]
async fn a_bad_line_ends_text_and_is_told_in_json() {
    let lines = "{}\n{\"emial\": \"x\"}\n{}\n";
    let output = run(&["url", "--params", "-"], lines).await;
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(2), 1));
    assert!(stderr(&output).contains("line 2") && stderr(&output).contains("did you mean email?"));
    let output = run(&["url", "--params", "-", "--output", "json"], lines).await;
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(2), 3));
    assert!(stderr(&output).contains("1 of 3 lines make no link"), "{}", stderr(&output));
}
