//! From what people write to what each part trusts.

use std::sync::Arc;

use super::{clock::outlasting, keys::ProjectKeys};
use crate::{
    api::Links,
    argos::{ArgosOptions, RequestShape, Transfer},
    config,
    domain::{
        entropy::Entropy,
        ids::{Malformed, ProjectName, TokenPrefix},
        pool::{Policy, ReconcilePolicy},
        refill,
    },
    engine,
    port::Clock,
};

/// What the configuration's own checks let through and a part still turned down.
#[derive(Debug, thiserror::Error)]
#[error("projects.{project}: {problem}")]
pub struct Unfit {
    pub project: String,
    pub problem: String,
}

/// One project, with everything that its parts obey.
pub(super) struct Project {
    pub name: ProjectName,
    pub settings: config::Project,
    pub pool: Policy,
    pub engine: engine::Settings,
    pub keys: Arc<ProjectKeys>,
}

impl Project {
    /// How the links of its leases are made.
    pub(super) fn links(&self, entropy: fn() -> Box<dyn Entropy>, clock: Arc<dyn Clock>) -> Links {
        let liveform = &self.settings.liveform;
        Links {
            rules: Arc::new(liveform.rules()),
            form: self.keys.form(),
            url_max_bytes: liveform.url_max_bytes as usize,
            entropy,
            clock,
        }
    }
}

pub(super) fn projects(settings: &config::Settings) -> Result<Vec<Project>, Unfit> {
    let project = |(name, project): (&String, &config::Project)| {
        let unfit = |error: Malformed| Unfit { project: name.clone(), problem: error.to_string() };
        Ok(Project {
            name: ProjectName::parse(name).map_err(unfit)?,
            pool: pool(name, project, &settings.ledger)?,
            engine: engine(project, &settings.ledger),
            keys: ProjectKeys::new(project),
            settings: project.clone(),
        })
    };
    settings.projects.iter().map(project).collect()
}

fn pool(name: &str, project: &config::Project, ledger: &config::Ledger) -> Result<Policy, Unfit> {
    let unfit = |problem: String| Unfit { project: name.to_owned(), problem };
    let refill = refill::Policy::try_new(
        project.refill.target_tokens,
        project.refill.low_water_tokens,
        project.argos.tokens_per_call,
        project.argos.calls_in_flight,
    );
    let prefix = TokenPrefix::parse(&project.tokens.prefix);
    Ok(Policy {
        refill: refill.map_err(|error| unfit(error.to_string()))?,
        prefix: prefix.map_err(|error| unfit(error.to_string()))?,
        ephemeral: ledger.storage == config::LedgerStorage::Ephemeral,
        cap: project.argos.cap_tokens,
        reserve: project.argos.reserve_tokens,
        settle_delay: outlasting(project.tokens.settle_delay),
        late_copy_delay: outlasting(project.tokens.late_copy_delay),
        unused_age_max: project.tokens.unused_age_max,
        entry_window: project.life.entry_window,
        session_max: project.life.session_max,
        decided_grace: project.life.decided_grace,
        lapsed_grace: project.life.lapsed_grace,
        revoked_grace: project.life.revoked_grace,
        overdue_after: project.life.overdue_after,
        reconcile: ReconcilePolicy {
            listing_gap: project.reconcile.listing_gap,
            brake_ratio: project.reconcile.brake_ratio,
            brake_min: project.reconcile.brake_min_tokens,
        },
        delete_tries_max: project.life.delete_tries_max,
        cap_pause: project.argos.cap_pause,
        ttl_max: project.lease.ttl_max,
        request_id_memory: ledger.request_id_memory,
    })
}

fn engine(project: &config::Project, ledger: &config::Ledger) -> engine::Settings {
    engine::Settings {
        waiting_max: project.lease.waiting_max_callers as usize,
        free_space_min: ledger.free_space_min_bytes,
        retention: ledger.retention,
        history_max_lines: ledger.history_max_lines,
        trials_only: false,
    }
}

pub(super) fn argos(project: &config::Project) -> ArgosOptions {
    let argos = &project.argos;
    ArgosOptions {
        api_url: argos.api_url.clone(),
        key: project.api_key.secret.clone(),
        connect_timeout: argos.connect_timeout,
        request_timeout: argos.request_timeout,
        calls_per_second: argos.calls_per_second,
        calls_burst: argos.calls_burst,
        calls_per_day: argos.calls_per_day,
        purge_share: argos.purge_share,
        reconcile_share: argos.reconcile_share,
        outcome_share: argos.outcome_share,
        backoff_min: argos.backoff_min,
        backoff_max: argos.backoff_max,
        circuit_failures: argos.circuit_failures,
        circuit_open: argos.circuit_open,
        transfer: Transfer {
            seal_requests: project.transfer.seal_requests,
            request_shape: match project.transfer.request_shape {
                config::RequestShape::Raw => RequestShape::Raw,
                config::RequestShape::Data => RequestShape::Data,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    /// B3.
    #[test]
    fn a_pool_waits_for_copies_as_long_as_pool_time_may_run_fast() {
        let variables = [("ARGOS_API_KEY", "key"), ("ARGOS_PROJECT_ID", "pid")];
        let environment = variables.map(|(name, text)| (name.into(), text.into())).into();
        let settings = load(&Sources { environment, ..Sources::default() }).unwrap().settings;
        let project = &projects(&settings).unwrap()[0];
        let Policy { settle_delay, late_copy_delay, .. } = project.pool;
        let said = &project.settings.tokens;
        assert_eq!(settle_delay, outlasting(said.settle_delay));
        assert_eq!(late_copy_delay, outlasting(said.late_copy_delay));
    }
}
