//! Records to commit.

use std::sync::Arc;

use argospool::{
    domain::{
        ids::{OrderId, Owner, RequestId, Revision, Sequence, TokenId},
        order::{Doubt, Order, OrderState},
        pause::{Activity, Pause},
        seal::{Digest, LedgerIdentity, RequestKey},
        submission::Submissions,
        time::Timestamp,
        token::{
            ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage, Started,
            Token,
        },
    },
    port::{Group, Ledger, PastRequest},
};

pub(crate) use argospool::port::Opening;

pub(crate) fn opening() -> Opening {
    Opening { pid: "pid-1".to_owned(), identity: identity(1), remember_after: at(0) }
}

pub(crate) fn identity(id: u8) -> LedgerIdentity {
    LedgerIdentity { id: id.into(), tag: [id; 4], id_key: [id; 16], digest_key: [id; 32] }
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A group without changes.
pub(crate) fn group(revision: u64) -> Group {
    Group {
        revision: Revision(revision),
        at: at(revision * 10),
        next: Sequence::new(100_000),
        granted: Sequence::new(revision),
        ..Group::default()
    }
}

pub(crate) fn token(number: u64, stage: Stage) -> Token {
    Token {
        sequence: Sequence::new(number),
        id: TokenId::parse(&format!("ap-token-{number:08}")).unwrap(),
        minted: at(1),
        revision: Revision(number),
        stage,
    }
}

pub(crate) fn minted(number: u64) -> Token {
    token(number, Stage::Minted { order: OrderId(Sequence::new(number)) })
}

pub(crate) fn ready(number: u64) -> Token {
    token(number, Stage::Ready { since: at(number) })
}

fn open_lease(started: Option<Started>, holder: Holder) -> Lease {
    Lease {
        issued: at(2),
        deadline: at(9),
        expires: None,
        started,
        submissions: Submissions::default(),
        vanished: None,
        replaces: None,
        correlated: false,
        holder,
    }
}

pub(crate) fn leased(number: u64) -> Token {
    let url = format!("https://form.example/?token=ap-token-{number:08}");
    let holder = Holder::Caller { grant: grant(number), url: url.into() };
    token(number, Stage::Leased(Arc::new(open_lease(None, holder))))
}

/// A lease with as much as a URL and its labels can carry.
pub(crate) fn large_lease(number: u64) -> Token {
    let mut grant = grant(number);
    for label in 0..16 {
        grant.labels.insert(format!("{label:063}"), "v".repeat(63));
    }
    let holder = Holder::Caller { grant, url: "u".repeat(2_048).into() };
    token(number, Stage::Leased(Arc::new(open_lease(None, holder))))
}

pub(crate) fn doomed(number: u64) -> Token {
    let doom = Doom {
        cause: DoomCause::LeaseClosed,
        since: at(3),
        not_before: at(4),
        attempts: 5,
        urgent: false,
    };
    token(number, Stage::Doomed(doom))
}

pub(crate) fn one_token_of_each_stage() -> Vec<Token> {
    let started = Started { at: at(5), entry_ends: at(6), session_ends: at(7) };
    let presumed = open_lease(Some(started), Holder::Presumed);
    let presumed = token(5, Stage::Leased(Arc::new(presumed)));
    vec![minted(1), ready(2), leased(3), doomed(4), presumed]
}

pub(crate) fn one_order_of_each_state() -> Vec<Order> {
    let order = |number, state| Order {
        id: OrderId(Sequence::new(number)),
        tokens: 3,
        minted: at(1),
        revision: Revision(2),
        state,
    };
    let doubt = Doubt { since: at(4), unanswered: Some(at(5)), attempts: 6 };
    vec![
        order(1, OrderState::Open { not_before: at(3), doubt: None }),
        order(4, OrderState::Open { not_before: at(3), doubt: Some(doubt) }),
        order(7, OrderState::Settled { ripe: at(8) }),
    ]
}

pub(crate) fn one_pause_of_each_activity() -> Vec<(Activity, Pause)> {
    let pause = || Pause { reason: "moving".to_owned(), by: "uid:1".to_owned(), since: at(2) };
    Activity::ALL.map(|activity| (activity, pause())).into()
}

pub(crate) fn line(number: u64, closed: u64) -> ClosedLease {
    ClosedLease {
        sequence: Sequence::new(number),
        revision: Revision(1),
        issued: at(1),
        deadline: at(9),
        started: None,
        closed: at(closed),
        ending: Ending::Released,
        submissions: Submissions::default(),
        vanished: None,
        link_dead: None,
        replaces: None,
        replaced_by: None,
        correlated: false,
        grant: Some(grant(number)),
        closer: Some(request(u128::from(number) + (1 << 64))),
    }
}

pub(crate) fn requests_of(line: &ClosedLease) -> Vec<PastRequest> {
    let created = line.grant.as_ref().and_then(|grant| grant.request);
    [created, line.closer]
        .into_iter()
        .flatten()
        .map(|Request { key, digest, .. }| PastRequest {
            key,
            digest,
            sequence: line.sequence,
            closed: line.closed,
        })
        .collect()
}

pub(crate) async fn opened_tokens(ledger: &mut dyn Ledger) -> Vec<Token> {
    ledger.open(opening()).await.unwrap().tokens
}

/// The same throws every time.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn throw(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What one commit of a busy pool changes.
pub(crate) fn a_step_of_life(revision: u64, dice: &mut Dice) -> Group {
    let mut step = group(revision);
    for _ in 0..dice.throw(40) {
        let number = dice.throw(3_000);
        match dice.throw(6) {
            0 => step.tokens.push(minted(number)),
            1 => step.tokens.push(ready(number)),
            2 => step.tokens.push(leased(number)),
            3 => step.tokens.push(doomed(number)),
            4 => step.lines.push(line(number, revision)),
            _ if !step.tokens.iter().any(|token| token.sequence.get() == number) => {
                step.tokens_gone.push(Sequence::new(number));
            }
            _ => {}
        }
    }
    step.tokens.retain(|token| !step.tokens_gone.contains(&token.sequence));
    match dice.throw(8) {
        0 => step.orders = one_order_of_each_state(),
        1 => step.orders_gone = vec![one_order_of_each_state()[1].id],
        2 => step.pauses = one_pause_of_each_activity(),
        3 => step.pauses_gone = vec![Activity::Refill],
        _ => {}
    }
    step
}

fn grant(number: u64) -> Grant {
    Grant {
        owner: Owner::parse("token:kyc_web").unwrap(),
        request: Some(request(number.into())),
        labels: [("team".to_owned(), "kyc".to_owned())].into(),
    }
}

fn request(number: u128) -> Request {
    Request { id: RequestId(number), key: RequestKey(!number), digest: Digest(number as u64) }
}
