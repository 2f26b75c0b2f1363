//! What must hold after every crash, by the word of those who were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use argospool::{
    api::proto::{
        AuditRequest, Decision as Decided, GetLeaseRequest, Lease, LeaseEnding, LeaseState,
        ReconcileRequest, get_lease_request::Key,
    },
    sim::{Decision, Plan, Simulator},
};
use tonic::Code;

use super::{
    callers::Caller,
    relay::{Relay, Told},
};
use crate::process::{
    chance::Chance,
    daemon::{Daemon, PID, counts, until},
    diary::{Diary, Page, Pool, in_time, written_in},
};

/// Pages of earlier rounds that are looked at again in each round.
const LOOKED_AT_AGAIN: u64 = 20;
/// A lease may lapse so much before its deadline by our clock.
const CLOCKS: Duration = Duration::from_secs(1);

pub(super) struct Judge<'a> {
    diaries: Vec<Diary>,
    /// Pages before these have been judged with all their answers.
    judged: Vec<usize>,
    /// Whose a token is: the request and the lease.
    owners: BTreeMap<String, (String, String)>,
    heard: usize,
    relay: &'a Relay,
    simulator: &'a Arc<Simulator>,
    chance: Chance,
}

impl<'a> Judge<'a> {
    pub(super) fn of(
        callers: &[Caller],
        relay: &'a Relay,
        simulator: &'a Arc<Simulator>,
        chance: Chance,
    ) -> Self {
        Self {
            diaries: callers.iter().map(|caller| caller.diary.clone()).collect(),
            judged: vec![0; callers.len()],
            owners: BTreeMap::new(),
            heard: 0,
            relay,
            simulator,
            chance,
        }
    }

    pub(super) fn tally(&self) -> String {
        let pages: Vec<_> = self.diaries.iter().flat_map(Diary::pages).collect();
        let leases = pages.iter().filter_map(|page| page.lease.as_ref());
        let late = leases.clone().filter(|lease| came_too_late(lease)).count();
        let leases = leases.count();
        let told = |page: &&Page| page.end.as_ref().is_some_and(|end| end.told);
        let ended = pages.iter().filter(told).count();
        format!(
            "{leases} leases acknowledged ({late} after they had closed), {ended} given back, revoked \
             or replaced, {} webhooks acknowledged",
            self.heard
        )
    }

    /// Everything that was told since the last judgement, and a few older pages.
    pub(super) async fn round(&mut self, daemon: &Daemon) {
        let mut pool = daemon.pool();
        for number in 0..self.diaries.len() {
            let (diary, from) = (self.diaries[number].clone(), self.judged[number]);
            let pages = diary.pages();
            for page in &pages[from..] {
                if let Some(lease) = &page.lease {
                    self.claims(page, lease);
                    holds(&mut pool, page, lease).await;
                } else if page.together.len() > 1 {
                    all_or_none(&mut pool, &pages[page.together.clone()]).await;
                }
            }
            for _ in 0..LOOKED_AT_AGAIN.min(from as u64) {
                let page = &pages[self.chance.below(from as u64) as usize];
                holds(&mut pool, page, page.lease.as_ref().unwrap()).await;
            }
            self.judged[number] = diary.unfinished(from);
        }
        let told = self.relay.told(self.heard);
        self.heard += told.len();
        for told in &told {
            self.knows(&mut pool, told).await;
        }
        self.argos_saw_nothing_wrong();
        let audit = daemon.admin().audit(AuditRequest::default()).await.unwrap().into_inner();
        assert!(audit.breaches.is_empty(), "{:?}", audit.breaches);
    }

    /// The same for every page and every webhook that there is, and ARGOS knows no token of ours that the
    /// ledger does not.
    pub(super) async fn everything(&mut self, daemon: &Daemon) {
        self.judged.fill(0);
        self.heard = 0;
        self.round(daemon).await;
        let report = until("a listing has ended", async || {
            let request = ReconcileRequest { dry_run: true, ..Default::default() };
            daemon.admin().reconcile(request).await.unwrap().into_inner().last_report
        })
        .await;
        assert!(!report.void, "{report:?}");
        assert_eq!((report.foreign_tokens, report.foreign_like_ours_tokens), (0, 0), "B2");
        let status = daemon.status().await;
        assert_eq!(counts(&status).minted, 0);
        let pool_size = self.simulator.counters(PID).unwrap().pool_size;
        assert_eq!(u64::from(status.held_tokens), pool_size, "B2");
    }

    /// Waits until our leases say what ARGOS decided, although webhooks were lost.
    pub(super) async fn agrees_with_argos(&self, daemon: &Daemon) {
        let mut pool = daemon.pool();
        for page in self.diaries.iter().flat_map(Diary::pages) {
            let Some(Plan::Submits { decision }) = page.visit else { continue };
            let expected = match decision {
                Decision::Approved => Decided::Approved,
                Decision::Rejected => Decided::Rejected,
                Decision::Pending => Decided::Pending,
                undecided @ (Decision::Retry | Decision::Delete) => panic!("{undecided:?}"),
            };
            let lease_id = page.lease.unwrap().lease_id;
            until("a decision is known", async || {
                let lease = read(&mut pool, Key::LeaseId(lease_id.clone())).await.unwrap();
                (lease.decision() == expected).then_some(())
            })
            .await;
        }
    }

    /// L1 by the files alone: every lease that anybody received has a token of its own.
    pub(super) fn reads_the_files(&self, books: &Path) {
        let (mut leases, mut tokens) = (0, BTreeSet::new());
        for book in fs::read_dir(books).unwrap() {
            for lease in written_in(&book.unwrap().path()) {
                leases += 1;
                if came_too_late(&lease) {
                    continue;
                }
                assert!(lease.url.contains(&lease.token_id));
                assert!(tokens.insert(lease.token_id), "L1: a token was handed out twice");
            }
        }
        let acknowledged: usize = self.diaries.iter().map(Diary::acknowledged).sum();
        assert_eq!(leases, acknowledged, "a lease counts that was not written down");
    }

    fn claims(&mut self, page: &Page, lease: &Lease) {
        if came_too_late(lease) {
            return;
        }
        let owner = (page.request_id.clone(), lease.lease_id.clone());
        let known = self.owners.entry(lease.token_id.clone()).or_insert_with(|| owner.clone());
        assert_eq!(*known, owner, "L1: a token was handed out twice");
    }

    /// W1: what was answered 200 is known.
    async fn knows(&self, pool: &mut Pool, told: &Told) {
        let Some((_, lease_id)) = self.owners.get(&told.token) else {
            panic!("a webhook about a token that nobody was given");
        };
        let lease = read(pool, Key::LeaseId(lease_id.clone())).await.expect("S1: a lease is lost");
        assert_ne!(lease.state(), LeaseState::Issued, "W1: {}", told.trigger);
        let expected = match told.trigger.as_str() {
            "approved" => Decided::Approved,
            "rejected" => Decided::Rejected,
            "submit" => Decided::Pending,
            _ => return,
        };
        assert_eq!(lease.decision(), expected, "W1: {}", told.trigger);
    }

    fn argos_saw_nothing_wrong(&self) {
        let counters = self.simulator.counters(PID).unwrap();
        assert_eq!(counters.overwrites_of_used, 0, "B1");
        assert_eq!(counters.cap_overruns, 0, "C1");
        assert_eq!(counters.tokens_opened_by_several, 0, "L1");
        assert_eq!(counters.overwrites_of_deleted, 0, "B3");
        assert_eq!(counters.deletes_of_foreign, 0);
    }
}

/// L3, S1: the same request has the same lease, and what was told of its end still stands.
async fn holds(pool: &mut Pool, page: &Page, lease: &Lease) {
    let again = page.ask(pool).await.expect("a request can be repeated");
    assert_eq!(again.lease_id, lease.lease_id, "L3: the same request, the same lease");
    assert!(!again.presumed, "S1: a lease that somebody has is taken out of use");
    let end = page.end.as_ref();
    match again.state() {
        LeaseState::Issued => {
            assert_eq!(again, *lease, "L3: byte for byte");
            assert!(end.is_none_or(|end| !end.told), "S1: an end is forgotten");
        }
        LeaseState::Started => {
            assert!(page.visit.is_some(), "nobody has seen this link");
            let link = |lease: &Lease| (lease.token_id.clone(), lease.url.clone());
            assert_eq!(link(&again), link(lease), "L3: byte for byte");
        }
        LeaseState::Closed | LeaseState::Unspecified => {
            assert!(
                again.token_id.is_empty() && again.url.is_empty(),
                "a closed lease tells no link"
            );
            let fits = match (end, page.visit) {
                (Some(end), _) => again.ending() == end.ending,
                (None, Some(_)) => {
                    matches!(again.ending(), LeaseEnding::Decided | LeaseEnding::Expired)
                }
                (None, None) => again.ending() == LeaseEnding::Lapsed && is_due(lease),
            };
            assert!(fits, "{:?} after {end:?} and {:?}", again.ending(), page.visit);
        }
    }
}

/// The first answer to arrive was that to a repeat, after the lease had closed: it tells no token.
fn came_too_late(lease: &Lease) -> bool {
    let closed = lease.state() == LeaseState::Closed;
    assert_eq!(
        closed,
        lease.token_id.is_empty(),
        "an open lease has a token, a closed one has none"
    );
    closed
}

/// A batch without an answer was decided whole or not at all.
async fn all_or_none(pool: &mut Pool, pages: &[Page]) {
    let mut found = 0;
    for page in pages {
        found += usize::from(read(pool, Key::RequestId(page.request_id.clone())).await.is_some());
    }
    assert!(found == 0 || found == pages.len(), "S1: {found} of {} in a batch", pages.len());
}

async fn read(pool: &mut Pool, key: Key) -> Option<Lease> {
    let request = GetLeaseRequest { key: Some(key), ..GetLeaseRequest::default() };
    match in_time(pool.get_lease(request)).await {
        Ok(answer) => answer.into_inner().lease,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{:?}", status.code()),
    }
}

fn is_due(lease: &Lease) -> bool {
    let due = SystemTime::try_from(lease.expire_time.unwrap()).unwrap();
    SystemTime::now() + CLOCKS >= due
}
