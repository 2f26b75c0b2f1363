//! Where every request checks in: who asks, for which project, and is its pool open.

use std::{collections::BTreeMap, sync::Arc};

use tonic::{Extensions, Response, Status, metadata::MetadataMap};

use super::{
    auth::{Caller, Gate},
    status::{self, Failure},
    validate::{Asker, ProjectRules},
    watch::Gallery,
};
use crate::{
    domain::{fault::Reason, ids::ProjectName, time::Timestamp},
    engine::{Handle, Pools, Rejection},
    port::Checkup,
    telemetry::Metrics,
};

/// What all handlers share.
pub(super) struct Desk {
    pub pools: Arc<Pools>,
    pub gate: Gate,
    pub rules: BTreeMap<ProjectName, ProjectRules>,
    pub metrics: Arc<Metrics>,
    pub version: String,
    pub started: Timestamp,
    pub gallery: Gallery,
    pub checkup: Arc<dyn Checkup>,
}

/// A caller who may use the project, in front of its open pool.
pub(super) struct Visit<'a> {
    pub desk: &'a Desk,
    /// What came with the request.
    pub metadata: &'a MetadataMap,
    pub handle: &'a Handle,
    pub rules: &'a ProjectRules,
    pub caller: Caller,
}

impl Desk {
    pub(super) fn identify(
        &self,
        extensions: &Extensions,
        metadata: &MetadataMap,
    ) -> Result<Caller, Rejection> {
        self.gate.identify(extensions, metadata)
    }

    pub(super) fn visit<'a>(
        &'a self,
        extensions: &Extensions,
        metadata: &'a MetadataMap,
        project: &str,
    ) -> Result<Visit<'a>, Failure> {
        let caller = self.identify(extensions, metadata)?;
        self.enter(caller, metadata, project)
    }

    pub(super) fn admin_visit<'a>(
        &'a self,
        extensions: &Extensions,
        metadata: &'a MetadataMap,
        project: &str,
    ) -> Result<Visit<'a>, Failure> {
        let caller = self.identify(extensions, metadata)?;
        caller.must_be_admin()?;
        self.enter(caller, metadata, project)
    }

    /// The project of this name; an empty one means the only one there is.
    pub(super) fn project(&self, caller: &Caller, asked: &str) -> Result<&ProjectName, Rejection> {
        let Some(project) = self.named(asked) else {
            let names = self.pools.projects().filter(|project| caller.uses(project));
            let names = names.map(ProjectName::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("name one of the projects: {names}");
            return Err(Rejection::new(Reason::ProjectNotFound, message));
        };
        caller.must_use(project)?;
        Ok(project)
    }

    /// Counts an answer to a request for leases, and lets it go.
    pub(super) fn count<T>(
        &self,
        project: &str,
        result: Result<T, Failure>,
    ) -> Result<Response<T>, Status> {
        let (code, reason) = status::labels(result.as_ref().err().map(Failure::reason));
        self.metrics.lease_request(self.named(project), code, reason);
        result.map(Response::new).map_err(Failure::into_status)
    }

    fn enter<'a>(
        &'a self,
        caller: Caller,
        metadata: &'a MetadataMap,
        asked: &str,
    ) -> Result<Visit<'a>, Failure> {
        let project = self.project(&caller, asked)?;
        let about = |rejection| Failure::from(rejection).about(project, caller.owner());
        let handle = self.pools.find(project.as_str()).map_err(about)?;
        let rules = self.rules.get(project).ok_or_else(|| {
            tracing::error!(%project, "project has no rules for its callers");
            about(Rejection::new(Reason::Internal, "internal error"))
        })?;
        Ok(Visit { desk: self, metadata, handle, rules, caller })
    }

    fn named(&self, asked: &str) -> Option<&ProjectName> {
        let mut fitting =
            self.pools.projects().filter(|project| asked.is_empty() || project.as_str() == asked);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(only),
            (_, _) => None,
        }
    }
}

impl Visit<'_> {
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { handle: self.handle, rules: self.rules, owner: self.caller.owner() }
    }

    /// The same result; a failure knows what it is about.
    pub(super) fn noted<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| failure.about(self.handle.project(), self.caller.owner()))
    }
}
