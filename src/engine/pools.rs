//! The projects that this process serves.

use std::{collections::BTreeMap, sync::OnceLock};

use tokio_util::sync::CancellationToken;

use super::{Handle, Rejection};
use crate::domain::{fault::Reason, ids::ProjectName};

/// Finds the pool of a project. The servers listen before the ledgers are open, so a pool may not be
/// there yet.
pub struct Pools {
    pools: BTreeMap<ProjectName, OnceLock<Handle>>,
    stopping: CancellationToken,
}

impl Pools {
    pub fn new(projects: impl IntoIterator<Item = ProjectName>) -> Self {
        let pools = projects.into_iter().map(|project| (project, OnceLock::new())).collect();
        Self { pools, stopping: CancellationToken::new() }
    }

    /// The pool is open from here on.
    pub fn opened(&self, handle: Handle) {
        if let Some(place) = self.pools.get(handle.project()) {
            let _ = place.set(handle);
        }
    }

    /// By name; an empty one means the only project there is.
    pub fn find(&self, project: &str) -> Result<&Handle, Rejection> {
        if self.stopping() {
            return Err(Rejection::draining());
        }
        let place = if project.is_empty() {
            let mut places = self.pools.values();
            match (places.next(), places.next()) {
                (Some(only), None) => Some(only),
                (_, _) => None,
            }
        } else {
            self.pools.iter().find(|(name, _)| name.as_str() == project).map(|(_, place)| place)
        };
        let Some(place) = place else {
            let names: Vec<_> = self.pools.keys().map(ProjectName::as_str).collect();
            let message = format!("no such project; there are: {}", names.join(", "));
            return Err(Rejection::new(Reason::ProjectNotFound, message));
        };
        place.get().ok_or_else(|| {
            Rejection::new(Reason::Starting, "the ledger is being opened")
                .retry_after(std::time::Duration::from_secs(1))
        })
    }

    pub fn projects(&self) -> impl Iterator<Item = &ProjectName> {
        self.pools.keys()
    }

    /// Every pool that is open.
    pub fn open(&self) -> impl Iterator<Item = &Handle> {
        self.pools.values().filter_map(OnceLock::get)
    }

    /// Whether every pool is open.
    pub fn complete(&self) -> bool {
        self.pools.values().all(|place| place.get().is_some())
    }

    /// New work is refused from here on, while what was decided is finished.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    pub fn stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until new work is refused.
    pub async fn stop_begun(&self) {
        self.stopping.cancelled().await;
    }
}
