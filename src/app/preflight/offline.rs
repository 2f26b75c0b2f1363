//! The checks without a daemon: the same engine over the same ledger, and no edge.

use std::{sync::Arc, time::Duration};

use super::Checkups;
use crate::{
    api::{self, proto::PreflightResponse},
    app::{Failure, VERSION, World, addresses, policy, project, storage::Storage, volume::Volume},
    config::Settings,
    port::Checkup as _,
    task::{Roster, Task},
    telemetry::Metrics,
};

/// Calls that are out are waited for, as at the end of a daemon.
const STOP_GRACE: Duration = Duration::from_secs(45);

/// Checks a project of this configuration; an empty name means the only one there is. The ledger is
/// opened as by a daemon, which cannot start meanwhile, and no token moves but the one of the trial.
///
/// # Errors
///
/// When the ledger cannot be used, above all because a daemon serves from it.
pub async fn offline(
    settings: Settings,
    world: World,
    named: &str,
) -> Result<PreflightResponse, Failure> {
    let mut projects = policy::projects(&settings).map_err(Failure::Unfit)?;
    let names: Vec<_> = projects.iter().map(|project| project.name.clone()).collect();
    projects.retain(|project| named.is_empty() || project.name.as_str() == named);
    let (Some(mut project), true) = (projects.pop(), projects.is_empty()) else {
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        return Err(Failure::NoProject(names.join(", ")));
    };
    project.engine.trials_only = true;
    addresses::make_private(&settings.data_dir)
        .map_err(|error| Failure::DataDir(settings.data_dir.display().to_string(), error))?;
    let volume = Volume::of(&settings);
    let storage = tokio::task::spawn_blocking(move || Storage::open(&settings)).await;
    let storage = storage.map_err(|_| Failure::Task("opening the ledger panicked".to_owned()))?;
    let storage = Arc::new(storage.map_err(Failure::Storage)?);
    let examined = examine(project, &storage, &world, &volume).await;
    // Whatever was handed in is on the disk when this returns.
    let _ = tokio::task::spawn_blocking(move || storage.close()).await;
    examined
}

async fn examine(
    project: policy::Project,
    storage: &Storage,
    world: &World,
    volume: &Volume,
) -> Result<PreflightResponse, Failure> {
    let name = project.name.clone();
    let last_commit = storage.last_commit(std::iter::once(&name)).await;
    world.clock.continue_from(last_commit.map_err(Failure::Storage)?);
    let metrics = Metrics::new(VERSION, "");
    let project::Opened { engine, examiner, .. } =
        project::open(project, storage, world, &metrics, volume).await?;
    let checkups = Checkups::new([name.clone()]);
    checkups.opened(examiner);
    let mut roster = Roster::default();
    roster.start(Task::Engine, |stop| async move {
        engine.run(stop).await.map_err(|error| error.chain())
    });
    let examined = tokio::select! {
        findings = checkups.check(&name) => Ok(api::preflight_response(findings)),
        why = roster.first_to_end() => Err(Failure::Task(why)),
    };
    roster.stop(STOP_GRACE).await;
    examined
}
