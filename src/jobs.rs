//! Door bells.
//!
//! The scheduler reminds the engines and does nothing else: a job takes no input and does no work, so
//! that a tick that comes twice, late or never changes nothing but the delay. The engines do by
//! themselves, on their own clock, what no bell asks for in time. Only cron expressions are used: a
//! repeated job of this scheduler never fires again after a stall.

use std::sync::Arc;

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::engine::{Bell, Pools};

/// When each bell rings: six-field cron expressions in UTC.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub floor: String,
    pub count: String,
    pub listing: String,
    pub retention: String,
    pub audit: String,
}

/// The names of all jobs.
pub const NAMES: [&str; 5] = ["floor", "count", "listing", "retention", "audit"];

/// Told the name of every job that ran.
pub type OnRun = Arc<dyn Fn(&'static str) + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("schedule job {job} ({cron})")]
pub struct ScheduleError {
    job: &'static str,
    cron: String,
    source: JobSchedulerError,
}

/// Rings until told to stop.
pub async fn run(
    schedule: Schedule,
    pools: Arc<Pools>,
    on_run: OnRun,
    stop: CancellationToken,
) -> Result<(), ScheduleError> {
    let failed = |job: &'static str, cron: &str| {
        let cron = cron.to_owned();
        move |source| ScheduleError { job, cron, source }
    };
    let mut scheduler = JobScheduler::new().await.map_err(failed("scheduler", ""))?;
    let bells = [
        ("floor", schedule.floor, Bell::Floor),
        ("count", schedule.count, Bell::Count),
        ("listing", schedule.listing, Bell::Listing),
        ("retention", schedule.retention, Bell::Retention),
        ("audit", schedule.audit, Bell::Audit),
    ];
    for (name, cron, bell) in bells {
        let (pools, on_run) = (pools.clone(), on_run.clone());
        let ring = move |_, _| {
            pools.open().for_each(|pool| pool.ring(bell));
            on_run(name);
        };
        let job = Job::new(cron.as_str(), ring).map_err(failed(name, &cron))?;
        scheduler.add(job).await.map_err(failed(name, &cron))?;
    }
    scheduler.start().await.map_err(failed("scheduler", ""))?;
    stop.cancelled().await;
    // It only sets a flag; jobs that are ringing have nothing to lose.
    let _ = scheduler.shutdown().await;
    Ok(())
}
