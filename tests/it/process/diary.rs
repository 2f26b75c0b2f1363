//! What callers asked for and were told, written down before it counts.
//!
//! A diary is the caller's own book and shares nothing with the daemon's. One that is kept in a file
//! writes every lease there first, so that the file says what was received, whatever became of the
//! caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Write,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use argospool::{
    api::proto::{
        CreateLeaseRequest, GetLeaseRequest, Lease, LeaseEnding, ReplaceLeaseRequest,
        get_lease_request::Key, token_pool_service_client::TokenPoolServiceClient,
    },
    sim::Plan,
};
use data_encoding::HEXLOWER;
use prost::Message;
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

use super::daemon::{Daemon, reason};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pages are looked through by so many at a time.
const READERS: usize = 8;

pub type Pool = TokenPoolServiceClient<Channel>;

/// Everything that a caller asked for, with the lease of every answer that arrived.
#[derive(Clone, Default)]
pub struct Diary(Arc<Book>);

#[derive(Default)]
struct Book {
    pages: Mutex<Vec<Page>>,
    file: Option<File>,
}

/// One wish, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub request_id: String,
    pub ttl: Option<Duration>,
    /// The lease whose place it was to take.
    pub replaces: Option<String>,
    /// The pages that were asked for in one call, this one included.
    pub together: Range<usize>,
    /// As it was told.
    pub lease: Option<Lease>,
    /// Why there is none.
    refusal: Option<String>,
    /// How the caller ended it.
    pub end: Option<End>,
    /// What somebody did with the link.
    pub visit: Option<Plan>,
}

#[derive(Clone, Debug)]
pub struct End {
    pub ending: LeaseEnding,
    pub request_id: String,
    /// It was acknowledged.
    pub told: bool,
}

impl Page {
    /// Whether everything that was asked for has its answer.
    fn finished(&self) -> bool {
        self.lease.is_some() && self.end.as_ref().is_none_or(|end| end.told)
    }

    pub fn wish(&self) -> CreateLeaseRequest {
        let request_id = self.request_id.clone();
        CreateLeaseRequest { request_id, ttl: self.duration(), ..CreateLeaseRequest::default() }
    }

    fn duration(&self) -> Option<prost_types::Duration> {
        self.ttl.map(|ttl| ttl.try_into().unwrap())
    }

    /// Asks for it, the first time or again.
    pub async fn ask(&self, pool: &mut Pool) -> Result<Lease, Status> {
        let Some(lease_id) = &self.replaces else {
            let answer = in_time(pool.create_lease(self.wish())).await?;
            return Ok(answer.into_inner().lease.unwrap());
        };
        let (lease_id, request_id, ttl) =
            (lease_id.clone(), self.request_id.clone(), self.duration());
        let wish = ReplaceLeaseRequest { lease_id, request_id, ttl, ..Default::default() };
        let answer = in_time(pool.replace_lease(wish)).await?;
        Ok(answer.into_inner().lease.unwrap())
    }
}

/// The answer, or the error, of a call that does not hang.
pub async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(PATIENCE, call).await.expect("an answer or an error")
}

impl Diary {
    /// One that is kept in a file.
    pub fn in_file(path: &Path) -> Self {
        let file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
        Self(Arc::new(Book { file: Some(file), ..Book::default() }))
    }

    pub fn pages(&self) -> Vec<Page> {
        self.0.pages.lock().unwrap().clone()
    }

    pub fn page(&self, place: usize) -> Page {
        self.0.pages.lock().unwrap()[place].clone()
    }

    /// The first page from this one on that waits for an answer, or else the end.
    pub fn unfinished(&self, from: usize) -> usize {
        let pages = self.0.pages.lock().unwrap();
        let waits = pages[from..].iter().position(|page| !page.finished());
        waits.map_or(pages.len(), |place| from + place)
    }

    /// The newest page with this request id.
    pub fn asked_as(&self, request_id: &str) -> usize {
        let pages = self.0.pages.lock().unwrap();
        pages.iter().rposition(|page| page.request_id == request_id).unwrap()
    }

    pub fn len(&self) -> usize {
        self.0.pages.lock().unwrap().len()
    }

    /// How many leases were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.0.pages.lock().unwrap().iter().filter(|page| page.lease.is_some()).count()
    }

    /// Why callers were refused, and how often.
    pub fn refusals(&self) -> BTreeMap<String, usize> {
        let mut refusals = BTreeMap::new();
        for refusal in self.pages().into_iter().filter_map(|page| page.refusal) {
            *refusals.entry(refusal).or_default() += 1;
        }
        refusals
    }

    /// Every token that was acknowledged.
    pub fn tokens(&self) -> BTreeSet<String> {
        self.pages().into_iter().filter_map(|page| Some(page.lease?.token_id)).collect()
    }

    /// Opens so many pages for wishes that leave in one call.
    pub fn wishes(&self, number: usize, ttl: Option<Duration>, replaces: Option<&Lease>) -> usize {
        let mut pages = self.0.pages.lock().unwrap();
        let first = pages.len();
        for _ in 0..number {
            pages.push(Page {
                request_id: uuid::Uuid::new_v4().to_string(),
                ttl,
                replaces: replaces.map(|lease| lease.lease_id.clone()),
                together: first..first + number,
                ..Page::default()
            });
        }
        first
    }

    /// A lease was received: first it is written down, then it counts.
    pub fn received(&self, place: usize, lease: Lease) {
        self.write(&format!("{} {}\n", lease.url, HEXLOWER.encode(&lease.encode_to_vec())));
        self.0.pages.lock().unwrap()[place].lease = Some(lease);
    }

    /// Notes something else on a page.
    pub fn note(&self, place: usize, note: impl FnOnce(&mut Page)) {
        note(&mut self.0.pages.lock().unwrap()[place]);
    }

    fn write(&self, line: &str) {
        if let Some(mut file) = self.0.file.as_ref() {
            file.write_all(line.as_bytes()).unwrap();
        }
    }

    /// Asks once for one lease under a new request id. True when it was acknowledged.
    pub async fn ask(&self, pool: &mut Pool) -> bool {
        let place = self.wishes(1, None, None);
        match self.page(place).ask(pool).await {
            Ok(lease) => {
                self.received(place, lease);
                true
            }
            Err(status) => {
                self.note(place, |page| page.refusal = Some(reason(&status)));
                false
            }
        }
    }

    /// L1, L3, S1: whatever was acknowledged is there, byte for byte, and everything that was asked
    /// for, acknowledged or not, has a token of its own.
    pub async fn holds_at(&self, daemon: &Daemon) {
        assert_eq!(self.lost_at(daemon, 0).await, 0, "L3: the same request, the same lease");
    }

    /// How many leases of the pages from this one on were acknowledged and are not there any more,
    /// byte for byte. L1: whatever is given instead, no token is given twice.
    pub async fn lost_at(&self, daemon: &Daemon, from: usize) -> usize {
        let pages = self.pages();
        let mut readers = JoinSet::new();
        for part in pages[from..].chunks(pages.len() / READERS + 1) {
            readers.spawn(asked_again(daemon.pool(), part.to_vec()));
        }
        let mut owners = BTreeMap::new();
        let mut belongs = |token: &str, request_id: &str| {
            let owner = owners.entry(token.to_owned()).or_insert_with(|| request_id.to_owned());
            assert_eq!(owner, request_id, "L1: a token was handed out twice");
        };
        for page in &pages {
            page.lease.iter().for_each(|lease| belongs(&lease.token_id, &page.request_id));
        }
        let mut lost = 0;
        for (page, again) in readers.join_all().await.into_iter().flatten() {
            belongs(&again.token_id, &page.request_id);
            lost += usize::from(page.lease.is_some_and(|lease| lease != again));
        }
        lost
    }
}

async fn asked_again(mut pool: Pool, pages: Vec<Page>) -> Vec<(Page, Lease)> {
    let mut answers = Vec::new();
    for page in pages {
        let again = page.ask(&mut pool).await.expect("a request can be repeated");
        let key = Some(Key::RequestId(page.request_id.clone()));
        let read = GetLeaseRequest { key, ..GetLeaseRequest::default() };
        let found = in_time(pool.get_lease(read)).await.unwrap().into_inner().lease.unwrap();
        assert_eq!(found.lease_id, again.lease_id);
        answers.push((page, again));
    }
    answers
}

/// The leases that stand in a file, in the order in which they were received.
pub fn written_in(path: &Path) -> Vec<Lease> {
    let text = fs::read_to_string(path).unwrap();
    let lease = |line: &str| {
        let (url, bytes) = line.split_once(' ').unwrap();
        let lease = Lease::decode(&*HEXLOWER.decode(bytes.as_bytes()).unwrap()).unwrap();
        assert_eq!(lease.url, url);
        lease
    };
    text.lines().map(lease).collect()
}
