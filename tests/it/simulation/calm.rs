//! After the last step: every fault is gone, and all must come to rest as promised (R1, C2, B3, W1).
//!
//! At rest the three books are laid side by side: the daemon's, the simulated ARGOS's, the callers'.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use argospool::{
    domain::{
        ids::Sequence,
        pause::Activity,
        token::{Decision, Stage},
    },
    engine::{Bell, Handle, LeaseView, Status, Which},
    sim::{Command, RuleChange, Status as Submitted, TokenRecord, TokenState},
    store::memory::Memory,
};

use super::{
    outside::{Event, Outside, PID, Shared},
    script::Weather,
};

/// Longer than any lease, grace and doubt together.
const WITHIN: Duration = Duration::from_secs(24 * 3_600);
/// Clocks that agree, and what ARGOS leaves out of its own: less than a second (T1).
const CLOSE: Duration = Duration::from_secs(62);
/// More than any run adds.
const FOREIGN_MAX: u32 = 5_000;
/// Requests that are looked up one by one.
const REQUESTS_MAX: usize = 200;

/// The time after the last step.
pub struct Rest {
    looks: u32,
    why_not: String,
}

impl Rest {
    /// How often it is looked whether all is at rest.
    pub const EVERY: Duration = Duration::from_secs(120);

    pub fn begin(shared: &Shared, memory: &Memory) -> Self {
        memory.faults().set_full(false);
        let mut outside = shared.lock();
        outside.set_weather(Weather { latency_ms: 5, ..Weather::default() });
        outside.time.set_skew(0);
        outside.forget(|_, event| matches!(event, Event::Die));
        let cap = Some(outside.setting.cap as usize);
        let ids = (0..FOREIGN_MAX).map(|number| format!("foreign-{number:08}"));
        let ids = if outside.alone { Vec::new() } else { ids.collect() };
        let now = outside.time.truth();
        for command in [
            Command::ClearFaults { pid: None },
            Command::Rules(RuleChange { cap, ..RuleChange::default() }),
            Command::Vanish { pid: None, oldest: 0, ids },
        ] {
            outside.argos.control(now, command).unwrap();
        }
        Self { looks: 0, why_not: String::new() }
    }

    /// True: all is at rest, and judged.
    pub async fn look(&mut self, shared: &Shared) -> bool {
        self.looks += 1;
        if Self::EVERY * self.looks > WITHIN {
            shared.lock().object(format!("R1, C2: it never comes to rest: {}", self.why_not));
            return true;
        }
        let live = shared.lock().live.clone();
        let Some(handle) = live.map(|live| live.handle) else { return self.not("no daemon") };
        let Ok(status) = handle.status().await else { return self.not("no status") };
        if let Some(breach) = status.breaches.first() {
            shared.lock().object(format!("the daemon found {breach:?}"));
            return true;
        }
        // What a person does who was called.
        let _ = handle.resume(Activity::ALL.to_vec()).await;
        let _ = handle.accept_loss().await;
        handle.ring(Bell::Count);
        let unrest = shared.lock().unrest(&status);
        if let Some(why) = unrest {
            return self.not(&why);
        }
        let mut views = BTreeMap::new();
        let sequences: Vec<_> =
            shared.lock().callers.leases().iter().map(|told| told.sequence).collect();
        for sequence in sequences {
            match handle.find(Which::Sequence(sequence)).await {
                Ok(Some(view)) => views.insert(sequence, view),
                Ok(None) => {
                    shared.lock().object("S1: an acknowledged lease is lost");
                    return true;
                }
                Err(_) => return self.not("a look-up failed"),
            };
        }
        if let Some(why) = shared.lock().disagreement(&views) {
            return self.not(&why);
        }
        judge(shared, &handle, &views).await;
        true
    }

    fn not(&mut self, why: &str) -> bool {
        why.clone_into(&mut self.why_not);
        false
    }
}

impl Outside {
    /// Why the pool is not at rest, by its own status and by what ARGOS holds.
    fn unrest(&mut self, status: &Status) -> Option<String> {
        let census = status.census;
        let enough = self.setting.target.saturating_sub(self.setting.batch - 1);
        let idle = census.minted == 0 && census.leased == 0 && census.doomed == 0;
        if !idle || census.held_back > 0 || status.stopped.is_some() {
            let condition = status.supplier.condition;
            return Some(format!("{census:?}, stopped: {:?}, {condition:?}", status.stopped));
        }
        if census.ready < enough {
            return Some(format!("{} of {} are ready", census.ready, self.setting.target));
        }
        let truth = self.time.truth().unsigned_abs();
        let off = Duration::from_millis(status.now.as_millis().abs_diff(truth));
        if off > CLOSE + self.time.elapsed() / 2_000 + self.off_at_birth {
            return Some(format!("T1: pool time is off by {off:?}"));
        }
        let there: BTreeSet<_> = self
            .record()
            .into_iter()
            .filter(|token| token.state == TokenState::Present)
            .map(|token| token.token)
            .collect();
        let ours = self.books.tokens.values().map(|token| token.id.expose().to_owned());
        let ours: BTreeSet<_> = ours.collect();
        (there != ours).then(|| {
            let (more, less) = (there.difference(&ours).count(), ours.difference(&there).count());
            format!("ARGOS holds {more} of ours that we do not, and lacks {less}")
        })
    }

    fn record(&mut self) -> Vec<TokenRecord> {
        let (now, all) = (self.time.truth(), usize::MAX);
        self.argos.record(now, Some(PID), 0, all).unwrap().0
    }

    /// W1: where everything that ARGOS told was acknowledged, we know what it decided.
    fn disagreement(&mut self, views: &BTreeMap<Sequence, LeaseView>) -> Option<String> {
        let records: BTreeMap<_, _> =
            self.record().into_iter().map(|record| (record.token.clone(), record)).collect();
        for told in self.callers.leases() {
            let LeaseView::Closed(line) = &views[&told.sequence] else {
                return Some("a lease is open that does not hold its token".to_owned());
            };
            let token = told.token.expose();
            let Some(record) = records.get(token) else {
                return Some("B3: a token was leased that ARGOS never had".to_owned());
            };
            let known = line.decided().map(|decided| decided.decision);
            if self.mail.is_complete(token) && known != decision(record) {
                return Some(format!("W1: {known:?} is known of {:?}", decision(record)));
            }
        }
        None
    }
}

/// The best of what became of the submissions on one link (contract 7).
fn decision(record: &TokenRecord) -> Option<Decision> {
    let decided = record.submissions.iter().filter_map(|submission| match submission.status {
        Submitted::Incomplete => None,
        Submitted::Rejected => Some(Decision::Rejected),
        Submitted::Pending => Some(Decision::Pending),
        Submitted::Approved => Some(Decision::Approved),
    });
    decided.max()
}

/// What must be true at rest.
async fn judge(shared: &Shared, handle: &Handle, views: &BTreeMap<Sequence, LeaseView>) {
    let refused: Vec<_> = shared.lock().callers.refused().take(REQUESTS_MAX).collect();
    for (owner, id) in refused {
        let key = handle.seal().request_key(&owner, id);
        let found = handle.find(Which::Request(key)).await.unwrap();
        shared.lock().demand(found.is_none(), "S1: what was certainly refused has happened");
    }
    let (breaches, _) = handle.audit().await.unwrap();
    let tokens = handle.tokens(Sequence::ZERO, usize::MAX - 1, |_| true).await.unwrap().items;
    let mut outside = shared.lock();
    if let Some(breach) = breaches.first() {
        outside.object(format!("the audit found {breach:?}"));
    }
    let same = tokens.iter().eq(outside.books.tokens.values());
    outside.demand(same, "J2: memory is not the ledger");
    let ready = tokens.iter().all(|token| matches!(token.stage, Stage::Ready { .. }));
    outside.demand(ready, "R1: not everything is ready");
    for told in outside.callers.leases().to_vec() {
        let LeaseView::Closed(line) = &views[&told.sequence] else { continue };
        let same = told.ending.is_none_or(|ending| ending == line.ending);
        outside.demand(same, "S1: a lease has another ending than its caller was told");
        let kept = outside.books.lines.get(&told.sequence) == Some(line);
        outside.demand(kept, "J2: a line is not the one that was written");
    }
}
