//! A measurement takes what it says, tells what came of it, and keeps its hands off real tokens.

use std::net::SocketAddr;

use argospool::sim::{Simulator, SimulatorOptions};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    daemon::{Daemon, Home, counts},
    shell::{run, stderr, stdout},
};

/// What the simulator says of itself, and as much of something else.
const MARK: &[u8] = b"x-argospool-simulator";
const NO_MARK: &[u8] = b"x-nothing-of-the-sort";

/// Measures, and reads what came of it.
async fn measured(daemon: &Daemon, arguments: &[&str]) -> Value {
    let mut all = vec!["--address", daemon.address(), "--output", "json", "bench"];
    all.extend(arguments);
    let output = run(&all).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[tokio::test]
async fn a_measurement_takes_as_many_leases_as_it_says() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    let shape = ["--connections", "2", "--in-flight", "3", "--warm-up", "0s"];
    let closed = measured(&daemon, &[&shape[..], &["--calls", "40"]].concat()).await;
    let open = measured(&daemon, &[&shape[..], &["--calls", "20", "--rate", "400"]].concat()).await;
    for (told, leases) in [(&closed, 40), (&open, 20)] {
        assert_eq!(told["leases"], leases, "{told}");
        assert_eq!(told["failed"], serde_json::json!({}), "{told}");
        let latency = |name: &str| told["latency_ms"][name].as_f64().unwrap();
        assert!(0.0 < latency("p50") && latency("p50") <= latency("max"), "{told}");
    }
    assert_eq!(counts(&daemon.status().await).leased, 60);
    daemon.stop().await;
}

#[tokio::test]
async fn a_measurement_that_brings_no_lease_says_why() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    let address = ["--address", daemon.address()];
    let shell = async |arguments: &[&str]| run(&[&address[..], arguments].concat()).await;
    assert_eq!(shell(&["pause", "leasing"]).await.status.code(), Some(0));
    let refused = shell(&["bench", "--calls", "5", "--warm-up", "0s"]).await;
    assert_eq!(refused.status.code(), Some(3), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("PAUSED"), "{}", stderr(&refused));
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_of_an_argos_that_is_not_the_simulator_are_not_burnt_by_accident() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let way = unmarked(simulator.address()).await;
    let home = Home::at(&format!("http://{way}/v3"), &simulator.form_url());
    let daemon = home.serve().await;
    daemon.filled().await;
    let bench = ["--address", daemon.address(), "bench", "--calls", "5", "--warm-up", "0s"];
    let refused = run(&bench).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("--burn-real-tokens"), "{}", stderr(&refused));
    assert_eq!(counts(&daemon.status().await).leased, 0);

    let forced = run(&[&bench[..], &["--burn-real-tokens"]].concat()).await;
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert_eq!(counts(&daemon.status().await).leased, 5);
    daemon.stop().await;
}

#[tokio::test]
async fn before_argos_has_answered_a_measurement_says_that_it_cannot_know() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = Home::beside(&simulator);
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon.stop().await;
    simulator.stop().await;
    let daemon = home.serve().await;
    let bench = ["--address", daemon.address(), "bench", "--calls", "5", "--warm-up", "0s"];
    let refused = run(&bench).await;
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("ARGOS has not answered"), "{}", stderr(&refused));
    assert_eq!(counts(&daemon.status().await).leased, 0);
    daemon.stop().await;
}

/// A way to the simulator on which its answers lose their mark.
async fn unmarked(simulator: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from_caller, mut to_caller) = caller.into_split();
                let answering = TcpStream::connect(simulator).await.unwrap();
                let (mut from_simulator, mut to_simulator) = answering.into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_caller, &mut to_simulator).await;
                    let _ = to_simulator.shutdown().await;
                });
                let mut piece = vec![0; 1 << 16];
                while let Ok(length @ 1..) = from_simulator.read(&mut piece).await {
                    let answer = &mut piece[..length];
                    if let Some(at) = answer.windows(MARK.len()).position(|part| part == MARK) {
                        answer[at..at + MARK.len()].copy_from_slice(NO_MARK);
                    }
                    if to_caller.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
