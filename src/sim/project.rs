//! One simulated project: a pool, its submissions, its rules, its faults and its witness.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    faults::Faults,
    keys::Keys,
    liveform::{SESSION, Session},
    pool::Pool,
    record::Records,
    rules::{Expiration, RuleChange, Rules, VolumeDeletion},
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
    /// The rules that are not the usual ones; `pid` in it is not looked at.
    pub rules: RuleChange,
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
            rules: RuleChange::default(),
        }
    }
}

pub(super) struct Project {
    pub(super) pid: String,
    pub(super) keys: Keys,
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
    pub(super) records: Records,
    /// No volume deletion earlier than this.
    volume_due: Millis,
}

impl Project {
    pub(super) fn new(options: ProjectOptions) -> Self {
        let ProjectOptions { pid, api_key, secret_key, cap, webhook_url, rules } = options;
        let mut project = Self {
            outbox: Outbox::new(&pid, webhook_url),
            pid,
            keys: Keys::new(&api_key, secret_key.as_deref()),
            rules: Rules::new(cap),
            pool: Pool::default(),
            submissions: Submissions::default(),
            faults: Faults::default(),
            witness: Witness::default(),
            sessions: BTreeMap::new(),
            expiries: BTreeSet::new(),
            records: Records::default(),
            volume_due: Millis::MIN,
        };
        project.change_rules(Millis::MIN, rules);
        project
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = self.witness.counters().clone();
        self.outbox.count(&mut counters);
        counters
    }

    pub(super) fn change_rules(&mut self, now: Millis, change: RuleChange) {
        self.keys.change(change.api_key.clone(), change.secret_key.clone());
        self.rules.change(change);
        let Rules { transfer_cipher, secure_transfer, .. } = self.rules;
        self.outbox.secure(self.keys.api(), transfer_cipher, secure_transfer);
        self.volume_due = self.volume_due.max(now);
    }

    /// Registers ids that were judged and counted already.
    pub(super) fn register<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
        foreign: bool,
    ) {
        let ids: Vec<&str> = ids.into_iter().collect();
        if !foreign {
            for id in &ids {
                self.records.registered(now, id);
            }
        }
        self.pool.register(now, ids, foreign);
        self.witness.pool_is(self.pool.len());
        // What was not due while the pool was small is due when it has grown, not in between.
        self.volume_due = self.volume_due.max(now);
    }

    /// Removes ids on behalf of a caller; the witness looks at each. Returns what was there.
    pub(super) fn delete<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Arc<str>> {
        let removed = self.pool.remove(now, ids);
        for (id, token) in &removed {
            let in_session = self.is_inside(now, id);
            self.witness.removed(id, token, in_session);
            self.records.deleted(now, id, in_session);
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
        let removed = self.pool.remove(now, ids);
        for (id, _) in &removed {
            self.records.vanished(now, id);
        }
        self.witness.pool_is(self.pool.len());
        removed.len()
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

    /// Lets pass what the clock has reached, in the order of time.
    pub(super) fn advance(&mut self, now: Millis) {
        while let Some((due, event)) = self.next_event().filter(|(due, _)| *due <= now) {
            match event {
                Event::Expiry => self.expire_next(),
                Event::Abandonment => self.abandon_next(due),
                Event::VolumeDeletion(rule) => self.delete_volume(due, rule),
            }
        }
        self.outbox.advance(now);
    }

    fn next_event(&self) -> Option<(Millis, Event)> {
        let expiry = self.expiries.first().map(|(due, ..)| (*due, Event::Expiry));
        let after = self.rules.abandoned_after_ms;
        let abandonment = after.and_then(|after| {
            let since = self.submissions.oldest_undecided()?.created_at;
            Some((since.saturating_add(after), Event::Abandonment))
        });
        let volume = self
            .rules
            .volume_deletion
            .filter(|rule| self.pool.len() as f64 >= rule.start_ratio * self.rules.cap as f64)
            .filter(|_| self.pool.len() > 0)
            .map(|rule| (self.volume_due, Event::VolumeDeletion(rule)));
        [expiry, abandonment, volume].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    fn expire_next(&mut self) {
        let Some((due, id, delete)) = self.expiries.pop_first() else { return };
        if let Some(token) = self.pool.get_mut(&id) {
            token.expired = true;
        }
        if delete {
            self.vanish(due, [&*id]);
        }
    }

    fn delete_volume(&mut self, now: Millis, rule: VolumeDeletion) {
        let share = (self.pool.len() as f64 * rule.delete_ratio) as usize;
        let oldest = self.pool.first(share.max(1), false);
        self.vanish(now, oldest.iter().map(|id| &**id));
        // A wait of nothing would never let the clock go on.
        self.volume_due = now.saturating_add_unsigned(rule.wait_ms.max(1));
    }

    /// Whether somebody is inside with this token and an undecided submission.
    fn is_inside(&self, now: Millis, id: &str) -> bool {
        let from = (id.to_owned(), String::new());
        self.sessions.range(from..).take_while(|((token, _), _)| token == id).any(|(_, session)| {
            let submission = session.submission.as_ref().and_then(|id| self.submissions.get(id));
            now - session.entered_at < SESSION && submission.is_some_and(|each| each.is_open())
        })
    }
}

/// What happens by itself.
enum Event {
    Expiry,
    Abandonment,
    VolumeDeletion(VolumeDeletion),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sim::{
        liveform::Decision,
        submissions::{Person, Status},
    };

    fn project(rules: serde_json::Value) -> Project {
        let mut project = Project::new(ProjectOptions { cap: 100, ..ProjectOptions::default() });
        project.change_rules(0, serde_json::from_value(rules).unwrap());
        project
    }

    fn ids(from: usize, n: usize) -> Vec<String> {
        (from..from + n).map(|n| format!("token-{n:06}")).collect()
    }

    fn register(project: &mut Project, now: Millis, ids: &[String]) {
        project.register(now, ids.iter().map(String::as_str), false);
    }

    #[test]
    fn an_unfinished_submission_is_rejected_by_itself_after_its_time() {
        let mut project = project(json!({"abandoned_after_ms": 1_000}));
        register(&mut project, 0, &ids(0, 2));
        project.start(10, "token-000000", "ann", Person::default(), "sub-1".into()).unwrap();
        project.start(20, "token-000000", "ben", Person::default(), "sub-2".into()).unwrap();
        project.start(30, "token-000001", "cid", Person::default(), "sub-3".into()).unwrap();
        project.decide(40, "sub-2", Decision::Approved, false);
        project.advance(1_009);
        assert_eq!(project.submissions.get("sub-1").unwrap().status, Status::Incomplete);
        project.advance(5_000);
        let is = |id: &str| project.submissions.get(id).map(|each| (each.status, each.updated_at));
        assert_eq!(is("sub-1"), Some((Status::Rejected, 1_010)), "at its time, not when looked at");
        assert_eq!(is("sub-2"), Some((Status::Approved, 40)));
        assert_eq!(is("sub-3"), Some((Status::Rejected, 1_030)));
        let told =
            project.outbox.shown().iter().filter(|body| body.contains("\"rejected\"")).count();
        assert_eq!(told, 2);
    }

    #[test]
    fn nothing_is_abandoned_and_nothing_vanishes_unless_a_rule_says_so() {
        let mut project = project(json!({}));
        register(&mut project, 0, &ids(0, 100));
        project.start(0, "token-000000", "ann", Person::default(), "sub-1".into()).unwrap();
        project.advance(Millis::MAX / 2);
        assert_eq!(project.submissions.get("sub-1").unwrap().status, Status::Incomplete);
        assert_eq!(project.pool.len(), 100);
    }

    #[test]
    fn a_pool_beyond_its_volume_loses_its_oldest_every_five_minutes_without_a_word() {
        let rule = json!({"start_ratio": 0.9, "delete_ratio": 0.2});
        let mut project = project(json!({ "volume_deletion": rule }));
        register(&mut project, 10, &ids(0, 89));
        project.advance(1_000_000);
        assert_eq!(project.pool.len(), 89, "not yet reached");
        register(&mut project, 2_000_000, &ids(89, 11));
        project.advance(2_000_000);
        assert_eq!(project.pool.len(), 80);
        assert!(project.pool.get("token-000019").is_none(), "the oldest go");
        assert!(project.pool.get("token-000020").is_some());
        register(&mut project, 2_000_001, &ids(200, 15));
        project.advance(2_299_999);
        assert_eq!(project.pool.len(), 95, "it rests between two runs");
        project.advance(2_300_000);
        assert_eq!(project.pool.len(), 76);
        assert_eq!(project.outbox.shown().len(), 0);
        assert_eq!(project.counters().deletes, 0);
    }

    #[test]
    fn a_long_pause_repeats_volume_deletion_only_while_the_pool_is_too_large() {
        let rule = json!({"start_ratio": 0.5, "delete_ratio": 0.1, "wait_ms": 10});
        let mut project = project(json!({ "volume_deletion": rule }));
        register(&mut project, 0, &ids(0, 60));
        project.advance(1_000_000);
        assert_eq!(project.pool.len(), 49, "60, 54, 49");
    }

    #[test]
    fn expiry_by_time_may_delete_the_token() {
        let rule = json!({"condition": "time", "after_ms": 60_000, "delete": true});
        let mut project = project(json!({ "expiration": rule }));
        register(&mut project, 0, &ids(0, 2));
        project.enter(5, "token-000000", "ann").unwrap();
        project.advance(60_004);
        assert_eq!(project.pool.len(), 2);
        project.advance(60_005);
        assert_eq!(project.pool.len(), 1);
        assert_eq!(project.records(0, 1)[0].state, crate::sim::TokenState::Vanished);
    }
}
