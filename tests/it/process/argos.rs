//! ARGOS refuses, is away, and comes back: callers hear the truth, and nothing needs a restart.

use std::net::SocketAddr;

use argospool::{
    api::proto::{ArgosCondition, ProjectStatus},
    sim::{Command, Effect, Fault, FaultBody, Operation, Script, Simulator, SimulatorOptions},
};
use tonic::Code;

use super::daemon::{Daemon, Home, PID, counts};

fn condition(status: &ProjectStatus) -> ArgosCondition {
    status.argos.unwrap().condition()
}

/// Whether people are told about it.
fn tells(status: &ProjectStatus, reason: &str) -> bool {
    status.problems.iter().any(|problem| problem.reason == reason)
}

/// Everything that a dashboard and a load balancer look at agrees with what callers hear.
async fn cannot_lease(daemon: &Daemon, condition: &str) {
    assert_eq!(daemon.get("/livez").await.0, 200);
    assert_eq!(daemon.get("/readyz").await.0, 200, "it can answer, so it is ready");
    let (code, page) = daemon.get("/readyz?lease").await;
    assert!(code == 503 && page.contains("cannot lease"), "{page}");
    let sample =
        format!(r#"argospool_argos_condition{{condition="{condition}",project="default"}}"#);
    assert_eq!(daemon.metric(&sample).await, Some(1.0));
    assert_eq!(daemon.metric(r#"argospool_argos_up{project="default"}"#).await, Some(0.0));
    assert_eq!(daemon.metric(r#"argospool_leasable_tokens{project="default"}"#).await, Some(0.0));
}

async fn can_lease(daemon: &Daemon) {
    let status = daemon.filled().await;
    assert_eq!(condition(&status), ArgosCondition::Up);
    assert!(status.can_lease && status.problems.is_empty(), "{:?}", status.problems);
    assert_eq!(daemon.get("/readyz?lease").await.0, 200);
    assert_eq!(daemon.metric(r#"argospool_argos_up{project="default"}"#).await, Some(1.0));
    daemon.lease().await.unwrap();
}

#[tokio::test]
async fn with_a_wrong_key_callers_hear_it_and_a_new_key_file_is_enough() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    home.secret("key", "argos_test_wrong");
    let daemon = home.serve().await;
    daemon.refuses_leases(Code::FailedPrecondition, "ARGOS_KEY_REFUSED").await;
    let status = daemon.status().await;
    assert_eq!(condition(&status), ArgosCondition::KeyRefused);
    assert!(tells(&status, "ARGOS_KEY_REFUSED"), "{:?}", status.problems);
    cannot_lease(&daemon, "key_refused").await;

    home.secret("key", super::daemon::KEY);
    can_lease(&daemon).await;
    let log = home.log();
    assert!(
        log.contains("ARGOS cannot be used") && log.contains("ARGOS can be used again"),
        "{log}"
    );
    assert!(!log.contains("argos_test_wrong"), "P1");
    daemon.stop().await;
}

#[tokio::test]
async fn refused_in_mid_life_it_lends_what_it_has_and_then_says_why() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    let mut lent = 0;
    for (fault, expected, reason) in [
        (Fault::ForbiddenKey, ArgosCondition::KeyRefused, "ARGOS_KEY_REFUSED"),
        (Fault::ForbiddenAddress, ArgosCondition::AddressRefused, "ARGOS_ADDRESS_REFUSED"),
    ] {
        can_lease(&daemon).await;
        lent += 1;
        let stock =
            daemon.until("nothing is on its way", |status| counts(status).minted == 0).await;
        for operation in [Operation::Post, Operation::Get, Operation::Count, Operation::Delete] {
            let script = Script::always(operation, fault.clone());
            simulator.control(Command::Faults(script)).unwrap();
        }
        let leases = daemon.drained().await;
        assert_eq!(leases.len(), counts(&stock).ready as usize, "the stock was lent");
        lent += leases.len();
        // Orders were minted meanwhile, and wait: they are no reason to let callers wait.
        daemon.refuses_leases(Code::FailedPrecondition, reason).await;
        let status = daemon.status().await;
        assert_eq!(condition(&status), expected);
        assert!(tells(&status, reason), "{:?}", status.problems);
        cannot_lease(&daemon, reason.trim_start_matches("ARGOS_").to_lowercase().as_str()).await;
        simulator.control(Command::ClearFaults { pid: None }).unwrap();
    }
    can_lease(&daemon).await;
    let status = daemon.status().await;
    assert_eq!(counts(&status).leased as usize, lent + 1, "no token was lost");
    assert_eq!(simulator.counters(PID).unwrap().overwrites_total, 0);
    daemon.stop().await;
}

/// Questions are answered all the while, and lend nobody a token.
#[tokio::test]
async fn when_argos_cannot_open_what_is_sent_callers_hear_it_and_it_ends_by_itself() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let fault = Fault::Status {
        status: 500,
        body: FaultBody::Json,
        error_code: Some("Decryption is Failed. Please check the api-key.".to_owned()),
        retry_after_seconds: None,
        effect: Effect::None,
    };
    for operation in [Operation::Post, Operation::Delete] {
        let script = Script::always(operation, fault.clone());
        simulator.control(Command::Faults(script)).unwrap();
    }
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.refuses_leases(Code::FailedPrecondition, "ARGOS_KEY_REFUSED").await;
    let status = daemon.status().await;
    assert_eq!(condition(&status), ArgosCondition::TransferRefused);
    assert!(tells(&status, "ARGOS_TRANSFER_REFUSED"), "{:?}", status.problems);
    cannot_lease(&daemon, "transfer_refused").await;

    simulator.control(Command::ClearFaults { pid: None }).unwrap();
    can_lease(&daemon).await;
    daemon.stop().await;
}

#[tokio::test]
async fn without_argos_it_lends_what_it_has_and_comes_back_by_itself() {
    // A port that nobody listens on, for a while.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen: SocketAddr = nobody.local_addr().unwrap();
    drop(nobody);
    let home = Home::at(&format!("http://{listen}/v3"), &format!("http://{listen}"));
    let daemon = home.serve().await;
    for _ in 0..2 {
        daemon.refuses_leases(Code::Unavailable, "ARGOS_DOWN").await;
        let status = daemon.status().await;
        assert_eq!(condition(&status), ArgosCondition::Down);
        assert!(tells(&status, "ARGOS_DOWN"), "{:?}", status.problems);
        cannot_lease(&daemon, "down").await;

        let options = SimulatorOptions { listen, ..SimulatorOptions::default() };
        let simulator = Simulator::start(options).await.unwrap();
        can_lease(&daemon).await;
        let stock =
            daemon.until("nothing is on its way", |status| counts(status).minted == 0).await;
        simulator.stop().await;
        assert_eq!(daemon.drained().await.len(), counts(&stock).ready as usize);
    }
    daemon.stop().await;
}
