//! How a pool stands, for people and gauges.

use std::time::Duration;

use super::Engine;
use crate::{
    domain::{
        demand::lasts,
        fault::Reason,
        invariant::Breach,
        pause::{Activity, Pause},
        pool::{Census, Count, KeyCheck, Reconciliation},
        refill::Plan,
        time::Timestamp,
    },
    port::{SupplierHealth, Usage},
};

/// Why a status is old: the engine does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// When the pool stood so.
    pub since: Timestamp,
    /// For how long a commit has waited for the disk; 0: none does, and the ledger fails at once.
    pub commit_stalled: Duration,
}

/// One look at a project between two commits.
#[derive(Clone, Debug)]
pub struct Status {
    /// Set where everything but what concerns hand-outs is as the pool last told it.
    pub unanswered: Option<Unanswered>,
    /// When somebody looked, by pool time.
    pub now: Timestamp,
    pub census: Census,
    /// 0 whenever a new lease would be refused.
    pub leasable: u32,
    /// Why hand-outs are stopped whatever the stock.
    pub stopped: Option<Reason>,
    pub target: u32,
    pub low_water: u32,
    pub cap: u32,
    pub reserve: u32,
    pub foreign: u32,
    pub count: Option<Count>,
    pub at_cap: bool,
    pub key_check: KeyCheck,
    pub waiting_callers: usize,
    pub calls_in_flight: u32,
    pub doubtful_orders: u32,
    /// Since when the oldest doubt about an order stands.
    pub oldest_doubt: Option<Timestamp>,
    /// Doomed tokens that could not be deleted so often that a person should look.
    pub stuck: u32,
    /// Vanished tokens that wait for a person.
    pub braked: u32,
    pub reconciliation: Option<Reconciliation>,
    /// Closed leases about which ARGOS may have more to tell, and submissions it is asked about.
    pub unfinished: u32,
    pub questions: u32,
    /// When a webhook about something of ours came last, since the process started.
    pub webhook_heard: Option<Timestamp>,
    /// ARGOS decides, as we learn by asking, and its webhooks do not come.
    pub webhooks_silent: bool,
    pub supplier: SupplierHealth,
    pub plan: Plan,
    pub next_review: Option<Timestamp>,
    pub pauses: Vec<(Activity, Pause)>,
    pub breaches: Vec<Breach>,
    /// Tokens that callers asked for per second, in the last half minute and usually.
    pub demand: f64,
    pub usual_demand: f64,
    /// How long the stock lasts at the demand of the last half minute; `None` without demand.
    pub time_to_empty: Option<Duration>,
    /// The same if ARGOS were lost now, at the usual or the present demand, whichever is higher.
    pub outage_cover: Option<Duration>,
    pub usage: Usage,
    /// The last commit failed, and none has succeeded since.
    pub commits_fail: bool,
    /// So little space is left that nothing is ordered.
    pub disk_low: bool,
    pub stopping: bool,
}

impl Status {
    /// The same, looked at later, when the engine does not answer: nothing can be leased.
    pub(super) fn without_an_answer(self, now: Timestamp, commit_stalled: Duration) -> Self {
        Self {
            unanswered: Some(Unanswered { since: self.now, commit_stalled }),
            now,
            leasable: 0,
            stopped: Some(Reason::LedgerUnavailable),
            time_to_empty: lasts(0, self.demand),
            ..self
        }
    }
}

impl Engine {
    pub(super) fn status(&self) -> Status {
        let now = self.clock.now();
        let mut demand = self.demand;
        demand.observe(0, now);
        let stopped = self.handing_out_stopped();
        let leasable = if stopped.is_none() { self.pool.leasable() } else { 0 };
        let supplier = self.supplier.health();
        let policy = self.pool.policy();
        Status {
            unanswered: None,
            now,
            census: self.pool.census(),
            leasable,
            stopped,
            target: policy.refill.target(),
            low_water: policy.refill.low_water(),
            cap: policy.cap,
            reserve: policy.reserve,
            foreign: self.pool.foreign(),
            count: self.pool.last_count(),
            at_cap: self.pool.at_cap(now),
            key_check: self.pool.key_check(),
            waiting_callers: self.waiting.len(),
            calls_in_flight: self.under_way.calls(),
            doubtful_orders: self.pool.open_orders().1,
            oldest_doubt: self.pool.oldest_doubt(),
            stuck: self.pool.stuck(),
            braked: self.pool.braked(),
            reconciliation: self.pool.reconciliation().cloned(),
            unfinished: self.pool.unfinished(),
            questions: self.pool.questions(),
            webhook_heard: self.hearing.last(),
            webhooks_silent: self.hearing.is_silent(now),
            supplier,
            plan: self.pool.plan(now, self.hindrance(), supplier.batch_limit),
            next_review: self.pool.next_deadline(now),
            pauses: self.pool.pauses().map(|(at, pause)| (at, pause.clone())).collect(),
            breaches: self.pool.breaches().to_vec(),
            demand: demand.fast(),
            usual_demand: demand.slow(),
            time_to_empty: lasts(leasable, demand.fast()),
            outage_cover: lasts(leasable, demand.fast().max(demand.slow())),
            usage: self.usage,
            commits_fail: self.failing,
            disk_low: self.usage.free_bytes < self.settings.free_space_min,
            stopping: self.stopping,
        }
    }
}
