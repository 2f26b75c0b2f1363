//! Starts what listens and what rings.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use axum::Router;

use super::{VERSION, addresses::Listeners, policy::Project};
use crate::{
    api::{self, Access, CallerAccess, Proof},
    config::{CallerProof, Network, Role, Settings},
    domain::entropy::Entropy,
    engine::Pools,
    http::{self, Allow, Overview, Probes, ReceiverParts, Receiving},
    jobs::{self, Schedule},
    port::{Checkup, Clock},
    task::{Roster, Task},
    telemetry::Metrics,
};

pub(super) struct Edges<'a> {
    pub settings: &'a Settings,
    pub projects: &'a [Project],
    pub pools: &'a Arc<Pools>,
    pub metrics: &'a Arc<Metrics>,
    pub clock: &'a Arc<dyn Clock>,
    pub entropy: fn() -> Box<dyn Entropy>,
    pub checkup: &'a Arc<dyn Checkup>,
}

impl Edges<'_> {
    pub(super) fn start(
        &self,
        listeners: Listeners,
        roster: &mut Roster,
    ) -> Result<(), api::InvalidAccess> {
        let Listeners { grpc, unix, http, webhook } = listeners;
        let server = self.grpc()?;
        if let Some(listener) = grpc {
            let server = server.clone();
            roster.start(Task::Grpc, |stop| async move {
                server.serve_tcp(listener, stop).await.map_err(|error| error.to_string())
            });
        }
        if let Some(listener) = unix {
            let server = server.clone();
            roster.start(Task::Grpc, |stop| async move {
                server.serve_unix(listener, stop).await.map_err(|error| error.to_string())
            });
        }
        roster.start(Task::Grpc, |stop| async move {
            server.report_health(stop).await;
            Ok(())
        });

        let probes = http::probes(Probes {
            pools: self.pools.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        });
        let page = http::page(Overview {
            pools: self.pools.clone(),
            chronicle: self.metrics.chronicle().clone(),
            clock: self.clock.clone(),
            version: VERSION,
        });
        let probes = probes.merge(page);
        let (pools, clock) = (self.pools.clone(), self.clock.clone());
        let chronicle = self.metrics.chronicle().clone();
        roster.start(Task::Http, |stop| async move {
            chronicle.keep(pools, clock, stop).await;
            Ok(())
        });
        let mut serve = |listener, router: Router| {
            roster.start(Task::Http, |stop| async move {
                http::serve(listener, router, stop).await.map_err(|error| error.to_string())
            });
        };
        match webhook {
            Some(listener) => {
                serve(listener, self.webhooks());
                serve(http, probes);
            }
            None => serve(http, probes.merge(self.webhooks())),
        }

        let jobs = &self.settings.jobs;
        let schedule = Schedule {
            floor: jobs.floor.clone(),
            count: jobs.count.clone(),
            listing: jobs.listing.clone(),
            retention: jobs.retention.clone(),
            audit: jobs.audit.clone(),
        };
        let (pools, metrics, clock) =
            (self.pools.clone(), self.metrics.clone(), self.clock.clone());
        metrics.expect_bells(&jobs::NAMES, clock.wall());
        roster.start(Task::Jobs, |stop| async move {
            let on_run = Arc::new(move |bell| metrics.rang(bell, clock.wall()));
            jobs::run(schedule, pools, on_run, stop).await.map_err(|error| error.to_string())
        });
        Ok(())
    }

    fn grpc(&self) -> Result<api::Server, api::InvalidAccess> {
        let callers = self.settings.callers.iter().map(|(name, caller)| CallerAccess {
            name: name.clone(),
            proof: match &caller.proof {
                CallerProof::BearerToken(token) => Proof::Bearer(token.clone()),
                CallerProof::Uid(uid) => Proof::Uid(*uid),
            },
            admin: caller.role == Role::Admin,
            projects: caller.projects.clone(),
            leases_per_minute: caller.leases_per_minute,
        });
        let rules = self.projects.iter().map(|project| {
            let lease = &project.settings.lease;
            let rules = api::ProjectRules {
                ttl_default: lease.ttl_default,
                ttl_min: lease.ttl_min,
                ttl_max: lease.ttl_max,
                wait_default: lease.wait_default,
                wait_max: lease.wait_max,
                links: project.links(self.entropy, self.clock.clone()),
            };
            (project.name.clone(), rules)
        });
        api::Server::new(api::Parts {
            pools: self.pools.clone(),
            access: Access { callers: callers.collect() },
            rules: rules.collect::<BTreeMap<_, _>>(),
            metrics: self.metrics.clone(),
            version: super::VERSION.to_owned(),
            started: self.clock.now(),
            reflection: self.settings.grpc.reflection,
            checkup: self.checkup.clone(),
        })
    }

    fn webhooks(&self) -> Router {
        let webhook = &self.settings.webhook;
        let receiving = self.projects.iter().filter_map(|project| {
            Some(Receiving {
                project: project.name.clone(),
                secret: project.settings.webhook.secret.clone()?,
                envelopes: project.keys.envelopes(),
            })
        });
        http::webhooks(ReceiverParts {
            pools: self.pools.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            receiving: receiving.collect(),
            // An empty list leaves the check to the proxy in front.
            allowed: among(&webhook.allowed_sources, webhook.allowed_sources.is_empty()),
            trusted_proxies: among(&webhook.trusted_proxies, false),
            body_max: usize::try_from(webhook.body_max_bytes).unwrap_or(usize::MAX),
            answer_timeout: webhook.answer_timeout,
        })
    }
}

fn among(networks: &[Network], otherwise: bool) -> Allow {
    let networks = networks.to_vec();
    Arc::new(move |address: IpAddr| {
        otherwise || networks.iter().any(|network| network.contains(address))
    })
}
