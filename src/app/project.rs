//! One project put together: its client for ARGOS, and the engine over its ledger.

use std::{sync::Arc, time::Duration};

use super::{
    Failure, World, keys::ProjectKeys, policy, preflight::Examiner, storage::Storage,
    volume::Volume,
};
use crate::{
    argos::{Argos, Operation, Surroundings},
    engine::{Engine, Parts},
    supply,
    telemetry::{Metrics, ProjectMetrics},
};

/// A project whose ledger is open and checked, and whose engine does not run yet.
pub(super) struct Opened {
    pub engine: Engine,
    pub argos: Arc<Argos>,
    pub keys: Arc<ProjectKeys>,
    /// Looks at it; its handle is that of the engine.
    pub examiner: Examiner,
}

/// Nothing is handed out of the project before this returns.
pub(super) async fn open(
    project: policy::Project,
    storage: &Storage,
    world: &World,
    metrics: &Arc<Metrics>,
    volume: &Volume,
) -> Result<Opened, Failure> {
    let policy::Project { name, settings, pool, engine, keys } = project;
    let counters = Arc::new(metrics.project(&name));
    let surroundings = Surroundings {
        project: name.clone(),
        clock: world.clock.clone(),
        entropy: (world.entropy)(),
        envelopes: keys.envelopes(),
        keys: keys.clone(),
        observer: Arc::new(Calls(counters.clone())),
    };
    let argos = supply::direct(policy::argos(&settings), surroundings)
        .map_err(|source| Failure::Argos { project: name.to_string(), source })?;
    let parts = Parts {
        project: name.clone(),
        pid: settings.pid.clone(),
        policy: pool,
        settings: engine,
        ledger: storage.ledger(&name),
        supplier: argos.clone(),
        clock: world.clock.clone(),
        entropy: (world.entropy)(),
        observer: counters,
    };
    let (engine, handle) = Engine::open(parts)
        .await
        .map_err(|source| Failure::Ledger { project: name.to_string(), source })?;
    let examiner = Examiner {
        handle,
        argos: argos.clone(),
        keys: keys.clone(),
        settings,
        clock: world.clock.clone(),
        entropy: world.entropy,
        volume: volume.finding(),
        turn: Arc::default(),
    };
    Ok(Opened { engine, argos, keys, examiner })
}

/// Counts the calls of one project's ARGOS client.
struct Calls(Arc<ProjectMetrics>);

impl crate::argos::Observer for Calls {
    fn called(&self, operation: Operation, result: &'static str, took: Duration) {
        self.0.called(operation.as_str(), result, took);
    }
}
