//! A process that is killed, and two that want the same directory.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

/// Names the data directory to the copy of this program that plays the daemon.
const CHILD: &str = "ARGOSPOOL_LEDGER_CHILD";
const ACKNOWLEDGED: &str = "acknowledged ";

#[test]
fn a_second_daemon_is_refused_and_told_who_serves() {
    let place = Directory::new();
    let refused = Volume::open(place.settings.clone()).err().unwrap().to_string();
    let told = format!("(pid {})", std::process::id());
    assert!(
        refused.starts_with("another argospool serves") && refused.contains(&told),
        "{refused}"
    );
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let mut place = Directory::new();
    place.stop();
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "ledger::sled::killed::daemon_that_is_killed", "--nocapture"])
            .env(CHILD, place.data())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = acknowledged + 37 * round;
        for line in lines.map_while(Result::ok) {
            if let Some((_, revision)) = line.split_once(ACKNOWLEDGED) {
                acknowledged = revision.parse().unwrap();
            }
            if acknowledged == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= enough, "the daemon stopped by itself");

        let opened = place.opened().await.unwrap();
        place.stop();
        assert!(opened.revision.0 >= acknowledged, "S1: round {round}");
        assert_eq!(opened.suspect_below, None);
        assert_eq!(opened.tokens, group_of_the_daemon(opened.revision.0), "S1: round {round}");
    }
}

/// Not a test by itself: what the test above starts and kills.
#[tokio::test]
async fn daemon_that_is_killed() {
    let Ok(data_dir) = env::var(CHILD) else { return };
    let volume = Volume::open(Settings { boot_id: Some(1), ..Settings::at(data_dir) }).unwrap();
    let mut ledger = volume.ledger(&project("default"));
    let first = ledger.open(opening()).await.unwrap().revision.0 + 1;
    for revision in first..first + 100_000 {
        let tokens = group_of_the_daemon(revision);
        ledger.commit(Group { tokens, ..group(revision) }).await.unwrap();
        println!("{ACKNOWLEDGED}{revision}");
        io::stdout().flush().unwrap();
    }
}

/// The same tokens in every revision, so that half of a group would show.
fn group_of_the_daemon(revision: u64) -> Vec<argospool::domain::token::Token> {
    let mut tokens: Vec<_> = (0..40).map(large_lease).collect();
    for token in &mut tokens {
        token.revision = Revision(revision);
    }
    tokens
}
