//! Callers, and what each was told: the witness against whom nobody's books count.
//!
//! A caller writes down what arrived, asks again where nothing did, and compares. What was acknowledged
//! once stands for ever; what was certainly refused never happened.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use argospool::{
    domain::{
        fault::Reason,
        ids::{Owner, RequestId, Sequence, TokenId},
        pool::{Replacement, Wanted},
        token::{ClosedLease, Ending, Grant, Holder, Labels, Lease, Request},
    },
    engine::{Handle, LeaseView, Rejection},
};
use tokio_util::sync::CancellationToken;

use super::outside::{Outside, Shared};
use crate::links::{blank, marked};

/// How long a lease lasts unused.
const TTL: Duration = Duration::from_secs(600);

#[derive(Default)]
pub struct Callers {
    asked: BTreeMap<u32, Asked>,
    leases: Vec<Told>,
    /// By sequence, where it stands among the leases.
    places: HashMap<Sequence, usize>,
    tokens: HashMap<TokenId, Sequence>,
    pub hang_up: CancellationToken,
}

/// A request that can be repeated.
#[derive(Clone)]
struct Asked {
    owner: u8,
    wish: Wish,
    /// Attempts of which nobody can say what became.
    doubts: u32,
    /// What was acknowledged: one sequence for each lease.
    told: Option<Vec<Sequence>>,
}

#[derive(Clone, Copy)]
enum Wish {
    Leases(u8),
    InPlaceOf(Sequence),
}

/// A lease that a caller was told of.
#[derive(Clone)]
pub struct Told {
    pub sequence: Sequence,
    pub token: TokenId,
    pub url: String,
    owner: u8,
    /// How it closed, as far as a caller was told.
    pub ending: Option<Ending>,
}

impl Callers {
    pub fn leases(&self) -> &[Told] {
        &self.leases
    }

    /// One of the leases so far; recent ones more often.
    pub fn lease(&self, which: u16) -> Option<&Told> {
        let (all, which) = (self.leases.len(), usize::from(which));
        let among = if which.is_multiple_of(4) { all } else { all.min(12) };
        (all > 0).then(|| &self.leases[all - 1 - which % among])
    }

    fn request(&self, which: u16) -> Option<u32> {
        let all = self.asked.len();
        let recent = usize::from(which) % all.clamp(1, 30);
        self.asked.keys().rev().nth(recent).copied()
    }

    fn told_mut(&mut self, sequence: Sequence) -> Option<&mut Told> {
        self.places.get(&sequence).map(|place| &mut self.leases[*place])
    }

    /// Requests that never had any effect: every attempt was certainly refused.
    pub fn refused(&self) -> impl Iterator<Item = (Owner, RequestId)> {
        let refused = self.asked.iter().filter(|(_, it)| it.told.is_none() && it.doubts == 0);
        refused.map(|(number, asked)| (owner(asked.owner), request_id(*number, 0)))
    }
}

/// Asks for leases, under a number that can be repeated or under none.
pub fn lease(shared: &Shared, by: u8, request: Option<u32>, tokens: u8, wait: Duration) {
    match request {
        Some(number) => {
            let asked = Asked { owner: by, wish: Wish::Leases(tokens), doubts: 0, told: None };
            shared.lock().callers.asked.insert(number, asked);
            again(shared, number, wait);
        }
        None => {
            let Some((handle, hang_up)) = line(shared) else { return };
            let shared = shared.clone();
            tokio::spawn(async move {
                let wanted = vec![wanted(&handle, by, None, b"wish")];
                let call = handle.lease(wanted, wait);
                let Some(Ok(views)) = hang_up.run_until_cancelled(call).await else { return };
                let mut outside = shared.lock();
                for view in &views {
                    outside.told(by, view, None);
                }
            });
        }
    }
}

/// Makes one of the requests so far again.
pub fn repeat(shared: &Shared, which: u16) {
    let number = shared.lock().callers.request(which);
    if let Some(number) = number {
        again(shared, number, Duration::from_secs(5));
    }
}

/// Makes it again and wants something else: that must be an error, or the first has no effect.
pub fn reuse(shared: &Shared, which: u16) {
    let outside = shared.lock();
    let Some(number) = outside.callers.request(which) else { return };
    let asked = outside.callers.asked[&number].clone();
    drop(outside);
    if asked.told.is_none() {
        return;
    }
    let Some((handle, _)) = line(shared) else { return };
    let shared = shared.clone();
    tokio::spawn(async move {
        let wanted = vec![wanted(&handle, asked.owner, Some((number, 0)), b"another wish")];
        let heard = handle.lease(wanted, Duration::ZERO).await;
        let refused = heard.is_err_and(|Rejection { reason, .. }| {
            reason == Reason::RequestIdReused || is_closed_to_all(reason)
        });
        shared.lock().demand(refused, "L3: another wish is served under a known request");
    });
}

/// Everybody who waits for an answer goes away.
pub fn hang_up(shared: &Shared) {
    std::mem::take(&mut shared.lock().callers.hang_up).cancel();
}

/// Gives one of the leases back.
pub fn release(shared: &Shared, which: u16) {
    close(shared, which, true);
}

/// Kills the link of one.
pub fn revoke(shared: &Shared, which: u16) {
    close(shared, which, false);
}

fn close(shared: &Shared, which: u16, release: bool) {
    let Some(told) = shared.lock().callers.lease(which).cloned() else { return };
    let Some((handle, hang_up)) = line(shared) else { return };
    let shared = shared.clone();
    tokio::spawn(async move {
        let by = Some(owner(told.owner));
        let call = async {
            if release {
                handle.release(told.sequence, by, None).await
            } else {
                handle.revoke(told.sequence, by, None).await
            }
        };
        if let Some(Ok(view)) = hang_up.run_until_cancelled(call).await {
            let mut outside = shared.lock();
            let closed = matches!(view, LeaseView::Closed(_));
            outside.demand(closed, "a lease that was given back or revoked is open");
            outside.told(told.owner, &view, None);
        }
    });
}

/// Wants another lease in the place of one.
pub fn replace(shared: &Shared, which: u16, number: u32) {
    let mut outside = shared.lock();
    let Some(Told { owner, sequence, .. }) = outside.callers.lease(which).cloned() else { return };
    let asked = Asked { owner, wish: Wish::InPlaceOf(sequence), doubts: 0, told: None };
    outside.callers.asked.insert(number, asked);
    drop(outside);
    again(shared, number, Duration::from_secs(5));
}

fn again(shared: &Shared, number: u32, wait: Duration) {
    let Some((handle, hang_up)) = line(shared) else { return };
    let asked = {
        let mut outside = shared.lock();
        let asked = outside.callers.asked.get_mut(&number).unwrap();
        // Until the answer is there.
        asked.doubts += 1;
        asked.clone()
    };
    let shared = shared.clone();
    tokio::spawn(async move {
        let call = asked.ask(&handle, number, wait);
        if let Some(heard) = hang_up.run_until_cancelled(call).await {
            shared.lock().answered(number, heard);
        }
    });
}

impl Asked {
    /// The leases, and beside them what closed for them.
    async fn ask(
        &self,
        handle: &Handle,
        number: u32,
        wait: Duration,
    ) -> Result<Vec<LeaseView>, Rejection> {
        match self.wish {
            Wish::Leases(tokens) => {
                let wanted = |index| wanted(handle, self.owner, Some((number, index)), b"wish");
                handle.lease((0..tokens).map(wanted).collect(), wait).await
            }
            Wish::InPlaceOf(sequence) => {
                let wish = sequence.get().to_be_bytes();
                let request = request(handle, self.owner, (number, 0), &wish);
                let replacement = Replacement { ttl: TTL, blank: blank() };
                let by = Some(owner(self.owner));
                let (next, _) =
                    handle.replace(sequence, by, Some(request), replacement, wait).await?;
                Ok(vec![next])
            }
        }
    }
}

impl Outside {
    /// What became of a request.
    fn answered(&mut self, number: u32, heard: Result<Vec<LeaseView>, Rejection>) {
        let asked = self.callers.asked[&number].clone();
        match heard {
            Ok(views) => {
                self.trace(&[4, number.into(), views.len() as u64]);
                let sequences: Vec<_> = views.iter().map(LeaseView::sequence).collect();
                if let Some(before) = &asked.told {
                    self.demand(*before == sequences, "L3: another lease for the same request");
                }
                // A request that nobody made before cannot stand for a lease that has closed.
                let first = asked.doubts == 1 && asked.told.is_none();
                let closed = views.iter().any(|view| matches!(view, LeaseView::Closed(_)));
                self.demand(!(first && closed), "L3: a new request is answered with an old lease");
                for view in &views {
                    self.told(asked.owner, view, Some(number));
                }
                if let Wish::InPlaceOf(first) = asked.wish
                    && let Some(told) = self.callers.told_mut(first)
                {
                    told.ending = Some(Ending::Replaced);
                }
                let asked = self.callers.asked.get_mut(&number).unwrap();
                asked.told = Some(sequences);
            }
            Err(Rejection { reason, .. }) => {
                self.trace(&[5, number.into(), reason as u64]);
                self.demand(reason != Reason::RequestIdReused, "L3: a repeat is taken for a reuse");
                self.demand(reason != Reason::Internal, "an internal error");
                if asked.told.is_some() && !is_closed_to_all(reason) {
                    self.object(format!("L3: a repeated request is refused: {reason:?}"));
                }
                if reason != Reason::CommitDoubtful {
                    self.callers.asked.get_mut(&number).unwrap().doubts -= 1;
                }
            }
        }
    }

    /// A lease arrived at its caller.
    fn told(&mut self, by: u8, view: &LeaseView, request: Option<u32>) {
        match view {
            LeaseView::Open { sequence, token, lease } => {
                self.told_open(by, *sequence, token, lease, request);
            }
            LeaseView::Closed(line) => self.told_closed(line),
        }
    }

    fn told_open(
        &mut self,
        by: u8,
        sequence: Sequence,
        token: &TokenId,
        lease: &Lease,
        request: Option<u32>,
    ) {
        let durable = self.books.has_leased(sequence, token);
        self.demand(durable, "J1: a lease is answered that is not durable");
        let Holder::Caller { grant, url, .. } = &lease.holder else {
            return self.object("L1: a presumed lease is given to a caller");
        };
        self.demand(grant.owner == owner(by), "P2: a lease of somebody else");
        self.demand(url.contains(token.expose()), "U1: the link has another token");
        if let Some(told) = self.callers.told_mut(sequence) {
            let same = told.token == *token && *told.url == **url;
            let open = told.ending.is_none();
            self.demand(same, "L3: the same lease, and another link");
            self.demand(open, "a lease that had closed is open");
            return;
        }
        let before = self.callers.tokens.insert(token.clone(), sequence);
        self.demand(before.is_none(), "L1: a token was given twice");
        let again = request.is_some_and(|number| self.callers.asked[&number].told.is_some());
        self.demand(!again, "L3: a repeated request is given something new");
        let told =
            Told { sequence, token: token.clone(), url: url.to_string(), owner: by, ending: None };
        self.callers.places.insert(sequence, self.callers.leases.len());
        self.callers.leases.push(told);
        self.tally.leases += 1;
    }

    fn told_closed(&mut self, line: &ClosedLease) {
        let Some(told) = self.callers.told_mut(line.sequence) else { return };
        let before = told.ending.replace(line.ending);
        let same = before.is_none_or(|before| before == line.ending);
        self.demand(same, "S1: a lease has another ending than before");
    }
}

/// Whether this is said to everybody, whatever they ask.
fn is_closed_to_all(reason: Reason) -> bool {
    let closed =
        [Reason::Draining, Reason::LedgerUnavailable, Reason::MailboxFull, Reason::CommitDoubtful];
    closed.contains(&reason)
}

/// The daemon that lives, and how to hang up on it.
fn line(shared: &Shared) -> Option<(Handle, CancellationToken)> {
    let outside = shared.lock();
    let live = outside.live.as_ref()?;
    Some((live.handle.clone(), outside.callers.hang_up.clone()))
}

fn owner(number: u8) -> Owner {
    Owner::parse(&format!("uid:{number}")).unwrap()
}

fn request_id(number: u32, index: u8) -> RequestId {
    RequestId(u128::from(number) << 8 | u128::from(index))
}

fn request(handle: &Handle, by: u8, (number, index): (u32, u8), wish: &[u8]) -> Request {
    let id = request_id(number, index);
    let key = handle.seal().request_key(&owner(by), id);
    Request { id, key, digest: handle.seal().digest(wish) }
}

fn wanted(handle: &Handle, by: u8, named: Option<(u32, u8)>, wish: &[u8]) -> Wanted {
    let request = named.map(|named| request(handle, by, named, wish));
    Wanted {
        grant: Grant { owner: owner(by), request, labels: Labels::new() },
        ttl: TTL,
        draft: Some(marked()),
    }
}
