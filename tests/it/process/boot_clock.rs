//! A boot clock that is elsewhere after every start, as on another machine (T1).

use std::time::{SystemTime, UNIX_EPOCH};

use argospool::{
    api::proto::{GetLeaseRequest, Lease, LeaseState, get_lease_request::Key},
    sim::{Simulator, SimulatorOptions},
};

use super::daemon::{Daemon, Home};

const DAY: u64 = 86_400;

async fn read(daemon: &Daemon, lease: &Lease) -> Lease {
    let key = Some(Key::LeaseId(lease.lease_id.clone()));
    let request = GetLeaseRequest { key, ..GetLeaseRequest::default() };
    daemon.pool().get_lease(request).await.unwrap().into_inner().lease.unwrap()
}

#[tokio::test]
async fn a_boot_clock_that_starts_elsewhere_moves_no_deadline() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let mut home = Home::beside(&simulator);
    let mut leases: Vec<Lease> = Vec::new();
    for (start, days) in [10, 0, 400, 1].into_iter().enumerate() {
        let (boot, monotonic) = ((days * DAY).to_string(), (days * DAY / 2).to_string());
        let elsewhere = ["unshare", "--time", "--boottime", &boot, "--monotonic", &monotonic];
        home = home.started_by(elsewhere);
        let daemon = home.serve().await;
        if start == 0 {
            daemon.filled().await;
        }
        let lease = daemon.lease().await.unwrap();
        let (issued, ends) = (lease.create_time.unwrap(), lease.expire_time.unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(issued.seconds as u64) < 20, "T1: start {start} is at {issued:?}");
        assert_eq!(ends.seconds - issued.seconds, 600);
        for earlier in &leases {
            let found = read(&daemon, earlier).await;
            assert_eq!(found.state(), LeaseState::Issued, "T1: start {start} ended it");
            assert_eq!(found.expire_time, earlier.expire_time);
            assert!(earlier.create_time.unwrap().seconds <= issued.seconds, "T1: it stepped back");
        }
        leases.push(lease);
        // One way to end is as good as the other.
        if start % 2 == 0 { daemon.kill() } else { daemon.stop().await }
    }
    assert!(!home.log().contains("wall clock"), "it was never in doubt");
}
