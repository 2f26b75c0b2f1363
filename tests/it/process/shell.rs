//! The command line as a shell sees it: what is written where, and the exit code.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use argospool::sim::{Simulator, SimulatorOptions};

use super::daemon::{Home, binary, text, until};

/// Runs a command to its end.
pub async fn run(arguments: &[&str]) -> Output {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let run = move || {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn check(config: &Path) -> Output {
    run(&["config", "check", "--config", config.to_str().unwrap()]).await
}

#[tokio::test]
async fn config_check_names_every_mistake_with_its_line_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("argospool.toml");
    let text = "stop_grace = \"soon\"\n\n[grpc]\nlisen = \"127.0.0.1:0\"\n";
    std::fs::write(&config, text).unwrap();
    let output = check(&config).await;
    let told = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in ["stop_grace", "toml:1", "lisen", "toml:4", "projects"] {
        assert!(told.contains(part), "{part} is not named: {told}");
    }
}

#[tokio::test]
async fn status_without_a_daemon_exits_4() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["--address", &nobody, "status"]).await;
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot reach the daemon"), "{}", stderr(&output));
}

#[tokio::test]
async fn what_a_person_does_at_the_shell() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    let shell = async |arguments: &[&str]| {
        let mut all = vec!["--address", daemon.address()];
        all.extend(arguments);
        run(&all).await
    };
    let leased = shell(&["lease", "--email", "person@example.com"]).await;
    assert_eq!(leased.status.code(), Some(0), "{}", stderr(&leased));
    assert!(stdout(&leased).contains("token=ap-"), "{}", stdout(&leased));

    assert_eq!(shell(&["pause", "leasing"]).await.status.code(), Some(0));
    let refused = shell(&["lease"]).await;
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("PAUSED"), "{}", stderr(&refused));
    assert_eq!(shell(&["resume"]).await.status.code(), Some(0));
    assert_eq!(shell(&["lease"]).await.status.code(), Some(0));

    let status = shell(&["status"]).await;
    assert_eq!(status.status.code(), Some(0), "{}", stderr(&status));
    for command in
        [&["list"][..], &["tokens"], &["audit"], &["explain"], &["status", "--output", "json"]]
    {
        let output = shell(command).await;
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", stderr(&output));
        let told = stdout(&output) + &stderr(&output);
        assert!(!told.contains("token=") && !told.contains("person@"), "P1: {command:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_probe_that_runs_a_command_learns_by_its_exit_code_whether_the_daemon_serves() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let token = "of-nobody-who-asks-for-health";
    let home = Home::beside(&simulator);
    let file = home.secret("ops-token", token);
    let home = home
        .with("callers.ops.token_file", text(file.display()))
        .with("callers.ops.role", text("admin"));
    let daemon = home.serve().await;
    let address = daemon.address().to_owned();
    let health = async |more: &[&str]| {
        let mut all = vec!["--address", &address, "health"];
        all.extend(more);
        run(&all).await
    };
    // Nobody says who asks, and nobody wants to know.
    let served = until("it serves", async || {
        let output = health(&[]).await;
        (output.status.code() != Some(1)).then_some(output)
    })
    .await;
    assert_eq!(
        (served.status.code(), stdout(&served).as_str()),
        (Some(0), "serving\n"),
        "{}",
        stderr(&served)
    );
    until("it can lease", async || {
        (health(&["--lease"]).await.status.code() == Some(0)).then_some(())
    })
    .await;
    let file = file.to_str().unwrap();
    let paused = run(&["--address", &address, "--token-file", file, "pause", "leasing"]).await;
    assert_eq!(paused.status.code(), Some(0), "{}", stderr(&paused));
    until("it cannot lease", async || {
        let output = health(&["--lease"]).await;
        (output.status.code() == Some(1)).then_some(())
    })
    .await;
    assert_eq!(health(&[]).await.status.code(), Some(0));
    daemon.stop().await;
    assert_eq!(health(&[]).await.status.code(), Some(4));
}

#[tokio::test]
async fn a_daemon_that_opens_its_ledger_does_not_serve_yet() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let first = home.serve().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It waits for the lock of the directory, which is as long as opening can be made to take.
    let waiting =
        Home::beside(&simulator).keeping_its_ledger_in(home.data()).with("grpc.listen", text(free));
    let mut second = waiting.start();
    let address = format!("http://{free}");
    let told = until("it answers", async || {
        let output = run(&["--address", &address, "health"]).await;
        (output.status.code() != Some(4)).then_some(output)
    })
    .await;
    assert_eq!((told.status.code(), stdout(&told).as_str()), (Some(1), "not serving\n"));
    second.signal(rustix::process::Signal::TERM);
    second.ended().await;
    first.stop().await;
}

#[tokio::test]
async fn a_status_that_is_watched_is_told_again_and_again_until_its_reader_leaves() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    let address = daemon.address().to_owned();
    let watch = move || {
        let mut watching = Command::new(binary())
            .args(["--address", &address, "--output", "json", "status", "--watch", "100ms"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = BufReader::new(watching.stdout.take().unwrap());
        let lines: Vec<_> = reader.lines().take(3).map(Result::unwrap).collect();
        // The reader has left.
        (lines, watching.wait().unwrap())
    };
    let (lines, ended) = tokio::task::spawn_blocking(watch).await.unwrap();
    for line in &lines {
        let status: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(status["projects"][0]["project"], "default", "{line}");
    }
    assert_eq!((lines.len(), ended.code()), (3, Some(0)));
    daemon.stop().await;
}

#[tokio::test]
async fn the_demo_walks_one_token_through_its_life_and_exits_0() {
    let output = run(&["demo", "--exit"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("every promise holds"), "{}", stdout(&output));
}
