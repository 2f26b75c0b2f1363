//! Keeps `grpc.health.v1` in step with the pools.
//!
//! The empty name is the process, `argospool.v1.TokenPoolService` says whether every project can
//! lease at this moment, and `argospool.v1.AdminService` whether every project can be looked at.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::engine::Pools;

const TOKEN_POOL: &str = "argospool.v1.TokenPoolService";
const ADMIN: &str = "argospool.v1.AdminService";
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until told to stop, and says so then.
pub(super) async fn keep(reporter: HealthReporter, pools: &Pools, stop: CancellationToken) {
    loop {
        let (answers, leases) =
            if stop.is_cancelled() { (false, false) } else { look(pools).await };
        let process = !stop.is_cancelled() && !pools.stopping();
        for (name, serves) in [("", process), (TOKEN_POOL, leases), (ADMIN, answers)] {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(name, status).await;
        }
        if stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() && !process {
            return;
        }
    }
}

/// Whether every project answers, and whether every project can lease.
async fn look(pools: &Pools) -> (bool, bool) {
    if pools.stopping() || !pools.complete() {
        return (false, false);
    }
    let mut leases = true;
    for handle in pools.open() {
        match timeout(PERIOD, handle.status()).await {
            Ok(Ok(status)) => leases &= status.leasable > 0,
            Ok(Err(_)) | Err(_) => return (false, false),
        }
    }
    (true, leases)
}
