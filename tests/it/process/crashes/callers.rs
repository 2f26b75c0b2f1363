//! Callers who lease, give back, revoke and replace, and the people to whom they show the links.

use std::{path::Path, sync::Arc, time::Duration};

use argospool::{
    api::proto::{
        BatchCreateLeasesRequest, Lease, LeaseEnding, ReleaseLeaseRequest, RevokeLeaseRequest,
    },
    sim::{Crowd, Decision, Plan, Simulator},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::process::{
    chance::Chance,
    daemon::{reason, until},
    diary::{Diary, End, Pool, in_time},
};

/// After this a lease that nobody uses lapses.
const SHORT: Duration = Duration::from_secs(8);
/// Between two acts of a caller.
const THOUGHT: Duration = Duration::from_millis(12);
const PLANS: [Plan; 4] = [
    Plan::WalksAway,
    Plan::Submits { decision: Decision::Approved },
    Plan::Submits { decision: Decision::Rejected },
    Plan::Submits { decision: Decision::Pending },
];

/// Somebody who asks again, under the same request id, whatever had no answer.
pub(super) struct Caller {
    pub(super) diary: Diary,
    simulator: Arc<Simulator>,
    chance: Chance,
    /// Pages before this one have all their answers.
    finished: usize,
}

impl Caller {
    pub(super) fn new(book: &Path, simulator: &Arc<Simulator>, chance: Chance) -> Self {
        let simulator = Arc::clone(simulator);
        Self { diary: Diary::in_file(book), simulator, chance, finished: 0 }
    }

    pub(super) async fn work(mut self, mut pool: Pool, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            if let Some(()) = self.catches_up(&mut pool).await {
                let _ = self.begins(&mut pool).await;
            }
            // bounded: by the stop
            tokio::time::sleep(self.chance.within(THOUGHT)).await;
        }
        self
    }

    /// Asks for everything that had no answer until it has one.
    pub(super) async fn finishes(&mut self, mut pool: Pool) {
        until("every wish is answered", async || self.catches_up(&mut pool).await).await;
    }

    /// Whatever a kill has left without an answer; nothing when it has none now either.
    async fn catches_up(&mut self, pool: &mut Pool) -> Option<()> {
        loop {
            self.finished = self.diary.unfinished(self.finished);
            let place = self.finished;
            if place == self.diary.len() {
                return Some(());
            }
            let page = self.diary.page(place);
            if page.lease.is_none() {
                self.asks(pool, place).await?
            } else {
                self.ends(pool, place).await?
            }
        }
    }

    /// One lease or a few, and what becomes of them.
    async fn begins(&mut self, pool: &mut Pool) -> Option<()> {
        let number = if self.chance.below(4) == 0 { 2 + self.chance.below(7) as usize } else { 1 };
        let ttl = (self.chance.below(4) == 0).then_some(SHORT);
        let first = self.diary.wishes(number, ttl, None);
        self.asks(pool, first).await?;
        for place in first..first + number {
            if ttl.is_none() {
                self.goes_on(pool, place).await?;
            }
        }
        Some(())
    }

    async fn goes_on(&mut self, pool: &mut Pool, place: usize) -> Option<()> {
        let lease = self.diary.page(place).lease.unwrap();
        let ending = match self.chance.below(8) {
            0 | 1 => LeaseEnding::Released,
            2 => LeaseEnding::Revoked,
            3 => LeaseEnding::Replaced,
            4 | 5 => {
                self.visits(place, lease);
                return Some(());
            }
            _ => return Some(()),
        };
        let request_id = if ending == LeaseEnding::Replaced {
            let successor = self.diary.wishes(1, None, Some(&lease));
            self.diary.page(successor).request_id
        } else {
            uuid::Uuid::new_v4().to_string()
        };
        let end = End { ending, request_id, told: false };
        self.diary.note(place, |page| page.end = Some(end));
        self.ends(pool, place).await
    }

    /// Somebody is shown the link.
    fn visits(&mut self, place: usize, lease: Lease) {
        let plan = PLANS[self.chance.below(PLANS.len() as u64) as usize];
        self.diary.note(place, |page| page.visit = Some(plan));
        let report = self.simulator.crowd(&Crowd { links: vec![lease.url], plan });
        assert!(report.refused.is_empty(), "a link that was given is dead: {:?}", report.refused);
    }

    /// Asks for the leases that belong together with this one.
    async fn asks(&mut self, pool: &mut Pool, place: usize) -> Option<()> {
        let page = self.diary.page(place);
        if page.together.len() == 1 {
            let lease = heard(page.ask(pool).await)?;
            self.diary.received(place, lease);
            return Some(());
        }
        let requests = page.together.clone().map(|place| self.diary.page(place).wish()).collect();
        let batch = BatchCreateLeasesRequest { requests, ..Default::default() };
        let leases = heard(in_time(pool.batch_create_leases(batch)).await)?.into_inner().leases;
        assert_eq!(leases.len(), page.together.len(), "all or none");
        for (place, lease) in page.together.zip(leases) {
            self.diary.received(place, lease);
        }
        Some(())
    }

    /// Ends a lease as its page says.
    async fn ends(&mut self, pool: &mut Pool, place: usize) -> Option<()> {
        let page = self.diary.page(place);
        let (lease_id, end) = (page.lease.unwrap().lease_id, page.end.unwrap());
        let request_id = end.request_id.clone();
        match end.ending {
            LeaseEnding::Released => {
                let request = ReleaseLeaseRequest { lease_id, request_id, ..Default::default() };
                heard(in_time(pool.release_lease(request)).await)?;
            }
            LeaseEnding::Revoked => {
                let wait = Some(prost_types::Duration::default());
                let request =
                    RevokeLeaseRequest { lease_id, request_id, wait, ..Default::default() };
                heard(in_time(pool.revoke_lease(request)).await)?;
            }
            LeaseEnding::Replaced => {
                let successor = self.diary.asked_as(&request_id);
                self.asks(pool, successor).await?;
            }
            LeaseEnding::Unspecified
            | LeaseEnding::Decided
            | LeaseEnding::Expired
            | LeaseEnding::Lapsed => panic!("no caller ends a lease like this"),
        }
        self.diary.note(place, |page| page.end = Some(End { told: true, ..end }));
        Some(())
    }
}

/// An answer; nothing when there was none, or when it is worth asking again. Any other refusal is wrong.
fn heard<T>(answer: Result<T, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(status) => {
            let again = matches!(
                status.code(),
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::ResourceExhausted
            );
            assert!(again, "{:?} {}", status.code(), reason(&status));
            None
        }
    }
}
