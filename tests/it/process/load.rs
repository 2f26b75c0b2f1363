//! Callers that ask without a pause and write down what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use argospool::api::proto::{
    CreateLeaseRequest, GetLeaseRequest, Lease, get_lease_request::Key,
    token_pool_service_client::TokenPoolServiceClient,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

use super::daemon::{Daemon, reason, until};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that callers asked for, with the lease of every answer that arrived.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<Page>>>);

#[derive(Clone)]
struct Page {
    request_id: String,
    lease: Option<Lease>,
    /// Why there is none.
    refusal: Option<String>,
}

impl Diary {
    /// How many leases were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|page| page.lease.is_some()).count()
    }

    /// Why callers were refused, and how often.
    pub fn refusals(&self) -> BTreeMap<String, usize> {
        let mut refusals = BTreeMap::new();
        for refusal in self.0.lock().unwrap().iter().filter_map(|page| page.refusal.clone()) {
            *refusals.entry(refusal).or_default() += 1;
        }
        refusals
    }

    /// Every token that was acknowledged.
    pub fn tokens(&self) -> BTreeSet<String> {
        let pages = self.0.lock().unwrap();
        pages.iter().filter_map(|page| Some(page.lease.as_ref()?.token_id.clone())).collect()
    }

    /// Asks once under a new request id. True when a lease was acknowledged.
    async fn ask(&self, pool: &mut TokenPoolServiceClient<Channel>) -> bool {
        let request_id = uuid::Uuid::new_v4().to_string();
        let place = {
            let mut pages = self.0.lock().unwrap();
            pages.push(Page { request_id: request_id.clone(), lease: None, refusal: None });
            pages.len() - 1
        };
        let answer = create(pool, request_id).await;
        let acknowledged = answer.is_ok();
        let page = &mut self.0.lock().unwrap()[place];
        match answer {
            Ok(lease) => page.lease = Some(lease),
            Err(status) => page.refusal = Some(reason(&status)),
        }
        acknowledged
    }

    /// L1, L3, S1: whatever was acknowledged is there, byte for byte, and everything that was asked
    /// for, acknowledged or not, has a token of its own.
    pub async fn holds_at(&self, daemon: &Daemon) {
        let pages = self.0.lock().unwrap().clone();
        let mut tokens = BTreeSet::new();
        let mut pool = daemon.pool();
        for Page { request_id, lease, .. } in &pages {
            let again = create(&mut pool, request_id.clone()).await;
            let again = again.expect("a request can be repeated");
            if let Some(lease) = lease {
                assert_eq!(again, *lease, "L3: the same request, the same lease");
                let key = Some(Key::RequestId(request_id.clone()));
                let read = GetLeaseRequest { key, ..GetLeaseRequest::default() };
                let found = pool.get_lease(read).await.unwrap().into_inner().lease.unwrap();
                assert_eq!(found.lease_id, lease.lease_id);
            }
            assert!(tokens.insert(again.token_id), "L1: a token was handed out twice");
        }
    }
}

async fn create(
    pool: &mut TokenPoolServiceClient<Channel>,
    request_id: String,
) -> Result<Lease, Status> {
    let wish = CreateLeaseRequest { request_id, ..CreateLeaseRequest::default() };
    let answer = tokio::time::timeout(PATIENCE, pool.create_lease(wish)).await;
    Ok(answer.expect("an answer or an error")?.into_inner().lease.unwrap())
}

/// Callers at work.
pub struct Load {
    stop: CancellationToken,
    callers: JoinSet<()>,
    diary: Diary,
    before: usize,
}

impl Load {
    /// So many callers, each on a connection of its own.
    pub fn start(daemon: &Daemon, diary: &Diary, callers: usize) -> Self {
        let stop = CancellationToken::new();
        let mut load = Self {
            stop,
            callers: JoinSet::new(),
            diary: diary.clone(),
            before: diary.acknowledged(),
        };
        for _ in 0..callers {
            let (mut pool, diary, stop) = (daemon.pool(), diary.clone(), load.stop.clone());
            load.callers.spawn(async move {
                while !stop.is_cancelled() {
                    if !diary.ask(&mut pool).await {
                        // bounded: by the stop; a daemon that is gone refuses faster than it is asked
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        load
    }

    /// Waits until so many more leases were acknowledged than at its start.
    pub async fn has_got(&self, leases: usize) {
        self.reaches(self.before + leases).await;
    }

    /// The same from this moment on.
    pub async fn goes_on(&self, leases: usize) {
        self.reaches(self.diary.acknowledged() + leases).await;
    }

    async fn reaches(&self, wanted: usize) {
        until("leases are acknowledged", async || {
            (self.diary.acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until every caller has put down the pen.
    pub async fn end(self) {
        self.stop.cancel();
        self.callers.join_all().await;
    }
}
