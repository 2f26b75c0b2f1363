//! One simulated project: a pool, its submissions, its rules, its faults and its witness.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    faults::Faults,
    liveform::Session,
    pool::Pool,
    submissions::Submissions,
    webhooks::{Expiry, Outbox},
    wire::Millis,
    witness::{Counters, Witness},
};

/// One project to simulate.
#[derive(Clone)]
pub struct ProjectOptions {
    pub pid: String,
    pub api_key: String,
    /// What seals links, where it is not the API key.
    pub secret_key: Option<String>,
    /// Tokens the pool may hold.
    pub cap: usize,
    /// Where webhooks go; `http://` only, there is no TLS in the simulator.
    pub webhook_url: Option<String>,
}

impl Default for ProjectOptions {
    /// `pid_demo` with the key `argos_test_demo` and ARGOS's cap of 100,000, without webhooks.
    fn default() -> Self {
        Self {
            pid: "pid_demo".into(),
            api_key: "argos_test_demo".into(),
            secret_key: None,
            cap: 100_000,
            webhook_url: None,
        }
    }
}

/// What happens to a POST that would pass the cap; which of the two ARGOS does is unknown
/// (contract 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Nothing of it is stored.
    #[default]
    Refuse,
    /// What fits is stored; the answer is the same error.
    StorePart,
}

/// The project's token expiration condition (contract 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case", deny_unknown_fields)]
pub enum Expiration {
    /// Tokens expire by the rules of private mode alone, and no webhook tells.
    #[default]
    Off,
    /// With the first decided submission.
    Count {
        #[serde(default)]
        delete: bool,
    },
    /// This long after first use; the webhook goes out at first use, with the time to come.
    Time {
        after_ms: u64,
        #[serde(default)]
        delete: bool,
    },
}

/// The limits of contract 1.1 and the settings of contract 2, for one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) cap: usize,
    pub(super) ids_per_call: usize,
    pub(super) body_bytes: usize,
    pub(super) overflow: Overflow,
    pub(super) expiration: Expiration,
    /// Links show `pid`, `encrypted` and `lang`; whatever else is plain is ignored (contract 4).
    pub(super) encryption_only: bool,
}

pub(super) struct Project {
    pub(super) pid: String,
    pub(super) key: String,
    /// What seals links: the secretKey, or the API key where none was issued (contract 5).
    pub(super) secret: String,
    pub(super) rules: Rules,
    pub(super) pool: Pool,
    pub(super) submissions: Submissions,
    pub(super) faults: Faults,
    pub(super) witness: Witness,
    pub(super) outbox: Outbox,
    /// Who entered the form, by (token, visitor).
    pub(super) sessions: BTreeMap<(String, String), Session>,
    /// Tokens whose expiry is due at a time, and whether it deletes them.
    pub(super) expiries: BTreeSet<(Millis, Arc<str>, bool)>,
}

impl Project {
    pub(super) fn new(options: ProjectOptions) -> Self {
        let ProjectOptions { pid, api_key: key, secret_key, cap, webhook_url } = options;
        let rules = Rules {
            cap,
            ids_per_call: 500,
            body_bytes: 10 * 1024 * 1024, // the limit of an API gateway
            overflow: Overflow::default(),
            expiration: Expiration::default(),
            encryption_only: false,
        };
        Self {
            outbox: Outbox::new(&pid, webhook_url),
            secret: secret_key.unwrap_or_else(|| key.clone()),
            pid,
            key,
            rules,
            pool: Pool::default(),
            submissions: Submissions::default(),
            faults: Faults::default(),
            witness: Witness::default(),
            sessions: BTreeMap::new(),
            expiries: BTreeSet::new(),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        let (webhooks_made, webhooks_dropped) = self.outbox.tally();
        Counters { webhooks_made, webhooks_dropped, ..self.witness.counters().clone() }
    }

    /// Registers ids that were judged and counted already.
    pub(super) fn register<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
        foreign: bool,
    ) {
        self.pool.register(now, ids, foreign);
        self.witness.pool_is(self.pool.len());
    }

    /// Removes ids on behalf of a caller; the witness looks at each. Returns what was there.
    pub(super) fn delete<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Arc<str>> {
        let removed = self.pool.remove(now, ids);
        for (id, token) in &removed {
            let in_session = token.submissions.iter().any(|submission| {
                self.submissions.get(submission).is_some_and(|submission| !submission.is_decided())
            });
            self.witness.removed(id, token, in_session);
        }
        self.witness.pool_is(self.pool.len());
        removed.into_iter().map(|(id, _)| id).collect()
    }

    /// Removes ids on ARGOS's own account: nobody asked, nobody is told.
    pub(super) fn vanish<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> usize {
        let removed = self.pool.remove(now, ids).len();
        self.witness.pool_is(self.pool.len());
        removed
    }

    /// First use, for the expiry by time.
    pub(super) fn first_used(&mut self, now: Millis, id: &str) {
        if let Expiration::Time { after_ms, delete } = self.rules.expiration {
            let expected_at = now.saturating_add_unsigned(after_ms);
            self.expiries.insert((expected_at, Arc::from(id), delete));
            self.outbox.token_expired(id, Expiry::Time { expected_at });
        }
    }

    /// A decided submission, for the expiry by count.
    pub(super) fn used_up(&mut self, now: Millis, id: &str) {
        let Expiration::Count { delete } = self.rules.expiration else { return };
        let Some(token) = self.pool.get_mut(id) else { return };
        if !token.expired {
            token.expired = true;
            self.outbox.token_expired(id, Expiry::Count { at: now });
            if delete {
                self.vanish(now, [id]);
            }
        }
    }

    /// Lets pass what the clock has reached.
    pub(super) fn advance(&mut self, now: Millis) {
        while let Some((due, id, delete)) = self.expiries.first().cloned() {
            if due > now {
                break;
            }
            self.expiries.pop_first();
            if let Some(token) = self.pool.get_mut(&id) {
                token.expired = true;
            }
            if delete {
                self.vanish(due, [&*id]);
            }
        }
    }
}
