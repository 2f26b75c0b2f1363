//! Many people at once: each has a link, and all do the same.
//!
//! A crowd goes through the doors of [`World`] that a browser goes through (open, start, decide), so
//! that every refusal, webhook and counter is the one that a person would have caused. Nobody in it
//! has been seen before: a visitor is one link of one crowd.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    liveform::Decision,
    refusal::Refusal,
    submissions::{Status, Submission},
    wire::{Millis, parameters},
    world::World,
};

/// The cause of a link that is no URL of the Liveform at all.
const NO_LINK: &str = "no-link";
/// A third failed attempt rejects, so more than this cannot happen.
const RETRIES_MAX: u32 = 3;

/// People with one link each, and what all of them do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// Whole Liveform URLs, as the daemon gave them, plain or sealed.
    pub links: Vec<String>,
    pub plan: Plan,
}

/// What one group of people does; as JSON the name alone, or `{"submits": {"decision": "approved"}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    /// Nothing happens.
    NeverOpens,
    /// Opens the link and leaves before step 1: no webhook.
    Opens,
    /// Passes step 1 and leaves: `created`, and the submission stays incomplete until the rule
    /// `abandoned_after_ms` rejects it.
    WalksAway,
    /// Goes to the end, and ARGOS decides: `created` and the decision. With `delete` an administrator
    /// deletes the submission before it is decided.
    Submits { decision: Decision },
    /// Fails so many attempts, then as with `submits`. The third failure rejects
    /// (`too_many_retry`), whatever the decision.
    Retries { times: u32, decision: Decision },
    /// Is approved, then rejected by an administrator: `updated` alone tells.
    Downgraded,
    /// Two people share the link: the first passes step 1 and leaves, the second is approved.
    TwoPeople,
    /// Is approved, then an administrator deletes the submission.
    Deleted,
    /// No visit: a reviewer decides what is pending on the tokens of these links.
    Reviewed { decision: Decision },
    /// No visit: an administrator changes or deletes whatever was submitted on these links.
    Edited { decision: Decision },
}

/// What became of a crowd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrowdReport {
    /// One per link, in the order of the links.
    pub people: Vec<Played>,
    /// How many entries the Liveform refused, by cause; `no-link` is no URL of a Liveform.
    pub refused: BTreeMap<&'static str, u64>,
}

/// What became of one link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Played {
    /// The submissions that were started, or with a plan without a visit decided.
    pub submissions: Vec<String>,
    /// Why the Liveform refused; the plan ended there.
    pub refused: Option<&'static str>,
}

impl CrowdReport {
    /// Appends what became of further links.
    pub(super) fn extend(&mut self, further: Self) {
        self.people.extend(further.people);
        for (cause, n) in further.refused {
            *self.refused.entry(cause).or_default() += n;
        }
    }
}

impl World {
    /// Lets everybody do what is planned, link after link.
    pub(super) fn crowd(&mut self, wall: Millis, links: &[String], plan: Plan) -> CrowdReport {
        let mut report = CrowdReport::default();
        for link in links {
            let played = match parameters_of(link) {
                Some(link) => self.play(wall, &link, plan),
                None => Played { refused: Some(NO_LINK), ..Played::default() },
            };
            if let Some(cause) = played.refused {
                *report.refused.entry(cause).or_default() += 1;
            }
            report.people.push(played);
        }
        report
    }

    fn play(&mut self, wall: Millis, link: &BTreeMap<String, String>, plan: Plan) -> Played {
        use Decision::{Approved, Delete, Rejected, Retry};
        let mut ids = Vec::new();
        let done = match plan {
            Plan::NeverOpens => Ok(()),
            Plan::Opens => {
                let visitor = self.new_visitor();
                self.open(wall, link, &visitor).map(drop)
            }
            Plan::WalksAway => self.submits(wall, link, &[], &mut ids),
            Plan::Submits { decision } => self.submits(wall, link, &[(decision, false)], &mut ids),
            Plan::Retries { times, decision } => {
                let mut acts = vec![(Retry, false); times.min(RETRIES_MAX) as usize];
                if times < RETRIES_MAX {
                    acts.push((decision, false));
                }
                self.submits(wall, link, &acts, &mut ids)
            }
            Plan::Downgraded => {
                self.submits(wall, link, &[(Approved, false), (Rejected, true)], &mut ids)
            }
            Plan::TwoPeople => self
                .submits(wall, link, &[], &mut ids)
                .and_then(|()| self.submits(wall, link, &[(Approved, false)], &mut ids)),
            Plan::Deleted => {
                self.submits(wall, link, &[(Approved, false), (Delete, true)], &mut ids)
            }
            Plan::Reviewed { decision } => {
                let pending = |each: &Submission| each.status == Status::Pending && !each.deleted;
                self.judge(wall, link, pending, (decision, false), &mut ids)
            }
            Plan::Edited { decision } => {
                self.judge(wall, link, |each| !each.deleted, (decision, true), &mut ids)
            }
        };
        Played { submissions: ids, refused: done.err().map(Refusal::cause) }
    }

    /// Somebody new opens the link and passes step 1; then ARGOS, or its administrator, acts.
    fn submits(
        &mut self,
        wall: Millis,
        link: &BTreeMap<String, String>,
        acts: &[(Decision, bool)],
        ids: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let visitor = self.new_visitor();
        self.open(wall, link, &visitor)?;
        let submission = self.start(wall, link, &visitor)?;
        for (decision, by_admin) in acts {
            self.decide(wall, &submission, *decision, *by_admin);
        }
        ids.push(submission);
        Ok(())
    }

    /// Acts on what was submitted with a link.
    fn judge(
        &mut self,
        wall: Millis,
        link: &BTreeMap<String, String>,
        fits: impl Fn(&Submission) -> bool,
        (decision, by_admin): (Decision, bool),
        ids: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        for submission in self.submissions_of(link, fits)? {
            self.decide(wall, &submission, decision, by_admin);
            ids.push(submission);
        }
        Ok(())
    }
}

/// What a browser would send for this URL; `None` when it would not reach the Liveform with it.
fn parameters_of(link: &str) -> Option<BTreeMap<String, String>> {
    let (_, rest) =
        link.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    (!host.is_empty() && path.is_empty()).then(|| parameters(query))
}

#[cfg(test)]
mod tests;
