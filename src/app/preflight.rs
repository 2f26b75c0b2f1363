//! Looks at a project before real users come: ARGOS's own list for going live, checked by machine where
//! a machine can see it, and told to a person where it cannot.
//!
//! It asks ARGOS with the key and from the address that count, those of the daemon; without a daemon
//! [`mod@offline`] does the same over the same ledger. It changes nothing but one token, which takes the way
//! of every token through the ledger (B2), so that it leaves nothing behind that nobody knows, whenever
//! it is cut off. Every wait is bounded, and what is not known by then is told as not known.
//!
//! What is found is told in words that hold no secret: of the webhook's address the host alone, of a
//! token nothing (P1).

mod by_hand;
mod offline;
mod reach;
mod sealing;
mod settings;
mod trial;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

pub use offline::offline;

use super::keys::ProjectKeys;
use crate::{
    argos::{Argos, ManagementSettings},
    config,
    domain::{entropy::Entropy, ids::ProjectName, pool::KeyCheck},
    engine::{Bell, Handle, Status},
    port::{CheckResult, Checkup, Clock, Finding, Outcome, Pending, Purpose, Supplier as _},
};

/// How long a call waits for its share of the calls, and for what an engine does by itself.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks at every project of this process.
pub(super) struct Checkups(BTreeMap<ProjectName, OnceLock<Arc<Examiner>>>);

impl Checkups {
    pub(super) fn new(projects: impl IntoIterator<Item = ProjectName>) -> Self {
        Self(projects.into_iter().map(|project| (project, OnceLock::new())).collect())
    }

    /// The project can be looked at from here on.
    pub(super) fn opened(&self, examiner: Examiner) {
        if let Some(place) = self.0.get(examiner.handle.project()) {
            let _ = place.set(Arc::new(examiner));
        }
    }
}

impl Checkup for Checkups {
    fn check(&self, project: &ProjectName) -> Pending<'_, Vec<Finding>> {
        let examiner = self.0.get(project).and_then(OnceLock::get).cloned();
        Box::pin(async move {
            let Some(examiner) = examiner else { return Vec::new() };
            let turn = examiner.turn.clone().lock_owned().await;
            // A task of its own: a token that was ordered is taken out again although nobody waits.
            let examined = tokio::spawn(async move {
                let findings = examiner.examine().await;
                drop(turn);
                findings
            });
            examined.await.unwrap_or_default()
        })
    }
}

/// Looks at one project.
pub(super) struct Examiner {
    pub handle: Handle,
    pub argos: Arc<Argos>,
    pub keys: Arc<ProjectKeys>,
    pub settings: config::Project,
    pub clock: Arc<dyn Clock>,
    pub entropy: fn() -> Box<dyn Entropy>,
    /// What is known of the volume of the ledger.
    pub volume: Finding,
    /// One at a time: each orders a token.
    pub turn: Arc<Mutex<()>>,
}

impl Examiner {
    async fn examine(&self) -> Vec<Finding> {
        let counted = self.admitted(|| self.argos.count()).await;
        let answers = matches!(counted, Some(Outcome::Settled(_)));
        let told = if answers { self.admitted(|| self.argos.settings()).await } else { None };
        let told = match told {
            Some(Outcome::Settled(settings)) => settings,
            Some(Outcome::Refused(_) | Outcome::Doubtful(_)) | None => {
                ManagementSettings::default()
            }
        };
        // What follows is asked of the engine, which has questions of its own to ARGOS first.
        if answers {
            self.engine_has_counted().await;
        }
        // The trial is found under whatever key it was registered with, and proves nothing of the pid.
        let proven = self.key_check().await == Some(KeyCheck::Passed);
        let trial = self.trial(answers).await;
        let status = self.handle.status().await.ok();
        let key_check = status.as_ref().map(|status| status.key_check);
        let key_check = key_check.filter(|check| proven || *check != KeyCheck::Passed);

        let mut findings = Vec::new();
        findings.extend(reach::key_and_address(
            counted.as_ref(),
            self.argos.health().condition,
            key_check,
            told.addresses.as_deref(),
        ));
        findings.push(reach::clock(self.argos.last_time()));
        findings.push(self.volume.clone());
        findings.push(room(status.as_ref(), answers));
        findings.push(trial);
        findings.push(self.sealing());
        findings.push(reach::transfer(
            self.argos.transfer_seen(),
            self.argos.health().condition,
            self.settings.transfer.seal_requests,
        ));
        findings.push(settings::webhook(
            told.webhook_url.as_ref(),
            self.settings.webhook.secret.as_ref(),
        ));
        findings.extend(settings::management(&told));
        findings.extend(by_hand::findings(&self.settings));
        findings
    }

    async fn key_check(&self) -> Option<KeyCheck> {
        self.handle.status().await.ok().map(|status| status.key_check)
    }

    /// Makes a call when its share of the calls allows; `None` when it does not in time.
    async fn admitted<T, F: Future<Output = Outcome<T>>>(
        &self,
        call: impl FnOnce() -> F,
    ) -> Option<Outcome<T>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.argos.admit(Purpose::Reconcile) {
                Ok(()) => return Some(call().await),
                Err(hold) if Instant::now() + hold.retry_after > deadline => return None,
                Err(hold) => tokio::time::sleep(hold.retry_after.max(LOOK_AGAIN)).await,
            }
        }
    }

    /// Waits until the engine has counted anew how many ids ARGOS holds, and that in no doubt of its
    /// own. Where it is too busy for a count, the last one must do.
    async fn engine_has_counted(&self) {
        let deadline = Instant::now() + PATIENCE;
        let asked = self.clock.now();
        self.handle.ring(Bell::Count);
        while let Ok(status) = self.handle.status().await {
            let certain = status.count.is_some_and(|it| it.at >= asked && it.drift.is_some());
            let settled = status.doubtful_orders == 0 || status.foreign == 0;
            if (certain && settled) || Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether the stock fits into what ARGOS has room for.
fn room(status: Option<&Status>, answers: bool) -> Finding {
    const NAME: &str = "room";
    let Some((status, count)) = status.and_then(|status| Some((status, status.count?))) else {
        let why = "ARGOS has not said how many tokens it holds";
        return not_checkable(NAME, why, if answers { "run this again" } else { "see api_key" });
    };
    let Status { census, cap, reserve, foreign, target, .. } = *status;
    let taken = reserve.saturating_add(foreign).saturating_add(census.leased + census.doomed);
    let left = cap.saturating_sub(taken);
    let summary = format!(
        "{} tokens at ARGOS: {} held by us, {foreign} foreign; {left} of {cap} left for a stock of \
         {target}, with a reserve of {reserve}",
        count.reported,
        census.held(),
    );
    if target > left {
        let advice = "lower refill.target_tokens, or delete foreign tokens: `argospool reconcile` \
                      shows them";
        return failed(NAME, summary, advice);
    }
    passed(NAME, summary)
}

fn finding(
    name: &'static str,
    result: CheckResult,
    summary: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding { name, result, summary: summary.into(), advice: advice.into() }
}

pub(super) fn passed(name: &'static str, summary: impl Into<String>) -> Finding {
    finding(name, CheckResult::Passed, summary, "")
}

pub(super) fn failed(
    name: &'static str,
    summary: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    finding(name, CheckResult::Failed, summary, advice)
}

pub(super) fn not_checkable(
    name: &'static str,
    summary: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    finding(name, CheckResult::NotCheckable, summary, advice)
}

#[cfg(test)]
mod tests;
