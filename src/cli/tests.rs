//! The command line as a whole, against a daemon of canned answers, and what the tests of the
//! subcommands share.

mod daemon;

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use clap::CommandFactory as _;
use jiff::Timestamp;

use self::daemon::Daemon;
use super::*;

/// When the canned answers are read, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// A screen that nobody looks at, at a time that does not pass.
pub(super) fn plain_screen() -> Screen {
    Screen {
        output: Output::Table,
        terminal: false,
        color: false,
        width: None,
        now: Timestamp::from_second(NOW).unwrap(),
        stdout: RefCell::new(Box::new(io::sink())),
        stderr: RefCell::new(Box::new(io::sink())),
    }
}

/// A time before (or, negative, after) that of [`plain_screen`].
pub(super) fn seconds_ago(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: NOW - seconds, nanos: 0 }
}

/// What one command line came to.
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

pub(super) async fn run_with(line: &str, environment: &Environment) -> Ran {
    let (stdout, stderr) = (Page::default(), Page::default());
    let words = std::iter::once("argospool").chain(line.split_whitespace());
    let exit = match Cli::try_parse_from(words) {
        Ok(cli) => {
            let screen = Screen {
                output: cli.output,
                stdout: RefCell::new(Box::new(stdout.clone())),
                stderr: RefCell::new(Box::new(stderr.clone())),
                ..plain_screen()
            };
            cli.run(environment, &screen).await
        }
        Err(error) => panic!("{line}: {error}"),
    };
    Ran { exit, stdout: stdout.text(), stderr: stderr.text() }
}

async fn run_at(address: &str, line: &str) -> Ran {
    run_with(line, &vec![("ARGOSPOOL_ADDRESS".into(), address.into())]).await
}

/// Something to write on and to read afterwards.
#[derive(Clone, Default)]
pub(super) struct Page(Rc<RefCell<Vec<u8>>>);

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_tree_of_commands_is_sound() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn wrong_usage_is_2_and_help_is_0() {
    let run = async |line: &str| {
        super::run(line.split_whitespace().map(OsString::from), Environment::new()).await
    };
    for wrong in [
        "argospool",
        "argospool polish",
        "argospool show",
        "argospool show l-1 --request-id 7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2",
        "argospool lease --label colour",
        "argospool lease --request-id 7",
        "argospool lease --count 501",
        "argospool list --all --limit 3",
        "argospool list --state gone",
        "argospool pause everything",
        "argospool status --address https://127.0.0.1:1",
        "argospool lease --url-only --output json",
        "argospool list --older-than 1h --created-before 2h",
        "argospool revoke l-1 --all",
        "argospool replace",
        "argospool lease --params {",
        "argospool lease --params {\"emial\":\"x\"}",
        "argospool url --open x --params {}",
        "argospool url --open x --self-test y",
        "argospool url --plaintext x",
    ] {
        assert_eq!(run(wrong).await, Exit::Usage, "{wrong}");
    }
    assert_eq!(run("argospool --help").await, Exit::Done);
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_4_and_its_address_is_told() {
    // Bound and dropped: a port that nobody listens on.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run_at(&format!("http://{address}"), "status").await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Unreachable, ""));
    let head = format!("error: cannot reach the daemon at http://{address}\n");
    assert!(ran.stderr.starts_with(&head), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("\nhint: ").count(), 2, "{}", ran.stderr);
}

#[tokio::test]
async fn a_daemon_that_says_nothing_is_4_and_leaves_the_outcome_open() {
    let (_listener, address) = daemon::silent().await;
    let ran = run_at(&address, "release l-1 --timeout 50ms").await;
    assert_eq!(ran.exit, Exit::Unreachable, "{}", ran.stderr);
    assert!(ran.stderr.contains("did not answer in time"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--request-id "), "{}", ran.stderr);
}

#[tokio::test]
async fn a_broken_promise_is_1_after_it_was_shown() {
    let daemon = Daemon::on_loopback().await;
    daemon.break_promise("L1");
    let ran = run_at(&daemon.address, "audit").await;
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Failed, "error: 1 promise is broken\n"));
    assert!(ran.stdout.contains("L1       seen twice\n"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_call_over_the_unix_socket_carries_identity_project_and_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("argospool.sock");
    let daemon = Daemon::on_socket(&socket);
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "open-sesame\n").unwrap();
    let line = format!(
        "status --project kyc --timeout 7s --token-file {} --address unix:{}",
        token_file.display(),
        socket.display()
    );
    let ran = run_with(&line, &Environment::new()).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.stderr);
    let heard = daemon.heard();
    assert_eq!(heard.authorization.as_deref(), Some("Bearer open-sesame"));
    assert_eq!(heard.project, "kyc");
    assert_eq!(heard.timeout.as_deref(), Some("7000000u"));
}

#[tokio::test]
async fn no_output_but_that_of_lease_and_replace_carries_a_url_or_a_token() {
    let daemon = Daemon::on_loopback().await;
    for command in [
        "status",
        "show l-1",
        "list --all",
        "tokens",
        "list --state closed --ending revoked --decision pending --older-than 1h",
        "release l-1",
        "revoke l-1 l-2 --reason tidying",
        "revoke --owner uid:7 --dry-run",
        "refill --extra 10",
        "pause refill purge",
        "resume",
        "audit",
        "preflight",
    ] {
        for output in ["table", "json"] {
            let ran = run_at(&daemon.address, &format!("{command} --output {output}")).await;
            assert_eq!(ran.exit, Exit::Done, "{command}: {}", ran.stderr);
            let all = ran.stdout + &ran.stderr;
            assert!(!all.contains(daemon::URL) && !all.contains(daemon::TOKEN), "{command}: {all}");
            assert!(!all.is_empty(), "{command}");
        }
    }
}

#[tokio::test]
async fn down_a_pipe_go_the_urls_and_the_rest_goes_beside_it() {
    let daemon = Daemon::on_loopback().await;
    let ran = run_at(&daemon.address, "lease --userid 7 --label team=kyc").await;
    assert_eq!((ran.exit, ran.stdout), (Exit::Done, format!("{}\n", daemon::URL)));
    let request_ids = daemon.heard().request_ids;
    assert_eq!(ran.stderr, format!("lease l-1, request id {}\n", request_ids[0]));

    let ran = run_at(&daemon.address, "lease --count 3 --url-only").await;
    assert_eq!(ran.stdout, format!("{}\n", daemon::URL).repeat(3));
    assert_eq!(ran.stderr, "");
    let mut request_ids = daemon.heard().request_ids;
    request_ids.sort();
    request_ids.dedup();
    assert_eq!(request_ids.len(), 3);
}

#[tokio::test]
async fn a_lease_in_json_has_its_url_and_not_its_token() {
    let daemon = Daemon::on_loopback().await;
    let ran = run_at(&daemon.address, "lease --output json").await;
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["leases"][0]["url"], daemon::URL);
    assert_eq!(value["leases"][0]["lease_id"], "l-1");
    assert_eq!(value["leases"][0]["token_id"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_replacement_prints_the_new_url_and_names_the_old_lease_beside_it() {
    let daemon = Daemon::on_loopback().await;
    let ran = run_at(&daemon.address, "replace l-0").await;
    assert_eq!((ran.exit, ran.stdout), (Exit::Done, format!("{}\n", daemon::URL)));
    assert!(ran.stderr.contains("its link is killed"), "{}", ran.stderr);
    let ran = run_at(&daemon.address, "replace l-0 --output json").await;
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["lease"]["url"], daemon::URL);
    assert_eq!(value["replaced"]["url"], serde_json::Value::Null);

    daemon.answer_leases_with(daemon::refusal(tonic::Code::Unknown, "COMMIT_DOUBTFUL"));
    let ran = run_at(&daemon.address, "replace l-0").await;
    let flag = format!("--request-id {}", daemon.heard().request_ids[0]);
    assert!(ran.exit == Exit::Refused && ran.stderr.contains(&flag), "{}", ran.stderr);
}

#[tokio::test]
async fn many_links_are_killed_only_by_saying_which_or_all() {
    let daemon = Daemon::on_loopback().await;
    for wrong in [
        "revoke",
        "revoke --dry-run",
        "revoke l-1 --owner uid:7",
        "revoke l-1 --dry-run",
        "revoke --all --wait 3s",
    ] {
        assert_eq!(run_at(&daemon.address, wrong).await.exit, Exit::Usage, "{wrong}");
    }
    let ran = run_at(&daemon.address, "revoke --label team=kyc --older-than 1h").await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Done, "3 of 3 open leases revoked\n"));
    let filter = daemon.heard().filter.unwrap();
    assert_eq!(filter.created_before.unwrap().seconds, NOW - 3_600);
    assert_eq!((filter.labels["team"].as_str(), filter.states.len()), ("kyc", 0));
    let ran = run_at(&daemon.address, "revoke --all --dry-run").await;
    assert_eq!(ran.stdout, "3 open leases would be revoked\n");
    assert_eq!(daemon.heard().filter.unwrap().states.len(), 2);

    daemon.answer_leases_with(daemon::refusal(tonic::Code::NotFound, "LEASE_NOT_FOUND"));
    let ran = run_at(&daemon.address, "revoke l-1 l-2").await;
    assert_eq!(ran.exit, Exit::Refused);
    for lease in ["l-1", "l-2"] {
        assert!(ran.stderr.contains(&format!("lease   {lease}\n")), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_watch_is_a_line_per_change_and_ends_with_the_token_to_go_on_with() {
    let daemon = Daemon::on_loopback().await;
    let ran = run_at(&daemon.address, "watch --resume watch-x --owner uid:7 --output json").await;
    let heard = daemon.heard();
    assert_eq!((heard.request_ids[0].as_str(), heard.timeout), ("watch-x", None));
    assert_eq!(heard.filter.unwrap().owner, "uid:7");
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        (&lines[0]["lease"]["lease_id"], &lines[0]["resume_token"]),
        (&"l-1".into(), &"watch-0".into())
    );
    assert!(lines[1]["synced"].is_object() && lines[2]["heartbeat"].is_object());
    assert_eq!(lines[3]["lagged"]["reason"], "too slow");
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("--resume watch-3"), "{}", ran.stderr);

    let ran = run_at(&daemon.address, "watch").await;
    assert_eq!(ran.stdout, "l-1  issued  -\n");
    for text in [ran.stdout, ran.stderr] {
        assert!(!text.contains(daemon::URL) && !text.contains(daemon::TOKEN));
    }
}

#[tokio::test]
async fn a_lease_in_doubt_names_the_ids_to_ask_again_with() {
    let daemon = Daemon::on_loopback().await;
    daemon.answer_leases_with(daemon::refusal(tonic::Code::Unknown, "COMMIT_DOUBTFUL"));
    let ran = run_at(&daemon.address, "lease").await;
    assert_eq!(ran.exit, Exit::Refused);
    let request_ids = daemon.heard().request_ids;
    let flag = format!("--request-id {}", request_ids[0]);
    assert!(ran.stderr.contains(&flag), "{}", ran.stderr);

    run_at(&daemon.address, &format!("lease {flag}")).await;
    assert_eq!(daemon.heard().request_ids, request_ids);
}

#[tokio::test]
async fn a_refusal_is_3_and_prints_nothing_on_stdout() {
    let daemon = Daemon::on_loopback().await;
    daemon.answer_leases_with(daemon::refusal(tonic::Code::ResourceExhausted, "POOL_EMPTY"));
    let ran = run_at(&daemon.address, "lease").await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (Exit::Refused, ""));
    assert!(!ran.stderr.contains("--request-id"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_shell_gets_a_script_that_knows_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run_with(&format!("completions {shell}"), &Environment::new()).await;
        assert_eq!(ran.exit, Exit::Done);
        for command in Cli::command().get_subcommands() {
            assert!(ran.stdout.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
    }
}

#[tokio::test]
async fn a_named_flag_of_serve_wins_over_a_setting() {
    let line = "argospool serve --set data_dir=/a --data-dir /b --grpc-listen 127.0.0.1:0";
    let Ok(Cli { command: Command::Serve(args), .. }) = Cli::try_parse_from(line.split(' ')) else {
        panic!("{line} is not understood");
    };
    let sources = args.sources(&Environment::new()).unwrap();
    let last = |key: &str| sources.overrides.iter().rfind(|(name, _)| name == key).cloned();
    assert_eq!(last("data_dir").unwrap().1, "/b");
    assert_eq!(last("grpc.listen").unwrap().1, "127.0.0.1:0");
}
