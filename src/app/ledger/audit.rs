//! What is in the ledgers of a data directory, and which promises they break.

use super::{Remembered, Standing, beside, taken_out, unusable, volume};
use crate::{
    app::{Failure, World, policy},
    config,
    domain::{ids::ProjectName, time::Timestamp, token::Stage},
    engine,
    port::LedgerError,
    store::sled::{
        Settings,
        offline::{self, Closed, Look, Offline},
    },
};

/// All ledgers of a data directory.
pub struct Audit {
    /// Of every project of the configuration.
    pub projects: Vec<(String, Books)>,
    /// Projects that have a ledger here and are not configured.
    pub unconfigured: Vec<String>,
}

/// What is kept for one project.
pub enum Books {
    /// Nothing, as before its first start.
    Empty,
    /// Everything could be read; the promises that are broken.
    Open(Box<Inventory>, Vec<Breach>),
    /// It cannot be used, and the sentence says why and what to do; what its witness remembers.
    Closed(String, Option<Remembered>),
}

/// A promise that is broken, with evidence that gives no secret away.
pub struct Breach {
    pub promise: &'static str,
    pub evidence: String,
}

/// One ledger in numbers.
#[derive(Default)]
pub struct Inventory {
    pub project: String,
    pub minted: usize,
    pub ready: usize,
    pub leased: usize,
    pub doomed: usize,
    pub orders: usize,
    /// Of history.
    pub lines: u64,
    pub pauses: Vec<&'static str>,
    /// In milliseconds of the Unix epoch; zero before the first one.
    pub last_commit: u64,
    pub revision: u64,
    /// The first sequence never minted, and the first one never leased.
    pub next: u64,
    pub granted: u64,
    pub witness: Option<Standing>,
    /// Tokens that the next start takes out of use, because they may have been shown (L1).
    pub taken_out: usize,
}

impl Inventory {
    pub(super) fn of(project: &ProjectName, look: &Look) -> Self {
        let opened = &look.opened;
        let mut inventory = Self {
            project: project.to_string(),
            orders: opened.orders.len(),
            lines: look.lines,
            pauses: opened.pauses.iter().map(|(activity, _)| activity.as_str()).collect(),
            last_commit: opened.committed_at.as_millis(),
            revision: opened.revision.0,
            next: opened.next.get(),
            granted: opened.granted.get(),
            witness: Some(look.witness),
            taken_out: taken_out(look),
            ..Self::default()
        };
        for token in &opened.tokens {
            *match token.stage {
                Stage::Minted { .. } => &mut inventory.minted,
                Stage::Ready { .. } => &mut inventory.ready,
                Stage::Leased(_) => &mut inventory.leased,
                Stage::Doomed(_) => &mut inventory.doomed,
            } += 1;
        }
        inventory
    }

    pub fn tokens(&self) -> usize {
        self.minted + self.ready + self.leased + self.doomed
    }
}

/// Checks every promise that can be checked from the records, and reads every record for it.
///
/// # Errors
///
/// When there is nothing to look at, or a daemon serves from it. A ledger that is damaged is no error
/// but a finding.
pub async fn audit(settings: config::Settings, world: World) -> Result<Audit, Failure> {
    beside(move || {
        let now = world.clock.wall();
        let projects = policy::projects(&settings).map_err(Failure::Unfit)?;
        let at = volume(&settings)?;
        match Offline::open(at.clone()) {
            Ok(offline) => Ok(whole(&offline, &at, projects, now)),
            Err(Closed::NotOurs(sentence)) => Err(unusable(sentence)),
            Err(Closed::Damaged(sentence)) => {
                let closed = |project: policy::Project| {
                    let remembered = offline::remembered(&at, &project.name);
                    (project.name.to_string(), Books::Closed(sentence.clone(), remembered))
                };
                let projects = projects.into_iter().map(closed).collect();
                Ok(Audit { projects, unconfigured: Vec::new() })
            }
        }
    })
    .await
}

fn whole(
    offline: &Offline,
    at: &Settings,
    projects: Vec<policy::Project>,
    now: Timestamp,
) -> Audit {
    let mut unconfigured = offline.projects();
    unconfigured.retain(|name| projects.iter().all(|project| project.name != *name));
    let books = |project: policy::Project| {
        let books = one(offline, &project, now).unwrap_or_else(|error| {
            let remembered = offline::remembered(at, &project.name);
            Books::Closed(error.chain(), remembered)
        });
        (project.name.to_string(), books)
    };
    Audit {
        projects: projects.into_iter().map(books).collect(),
        unconfigured: unconfigured.iter().map(ToString::to_string).collect(),
    }
}

fn one(offline: &Offline, project: &policy::Project, now: Timestamp) -> Result<Books, LedgerError> {
    let remember_after = now.minus(project.pool.request_id_memory);
    let look = offline.look(&project.name, &project.settings.pid, remember_after)?;
    let Some(look) = look else { return Ok(Books::Empty) };
    let inventory = Inventory::of(&project.name, &look);
    let pool = engine::restore(look.opened, project.pool.clone(), now);
    let breaches = pool.audit().into_iter();
    let breaches = breaches
        .map(|breach| Breach { promise: breach.promise.as_str(), evidence: breach.evidence });
    Ok(Books::Open(Box::new(inventory), breaches.collect()))
}
