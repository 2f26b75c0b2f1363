//! Records to commit.

use std::sync::Arc;

use argospool::{
    domain::{
        ids::{OrderId, Owner, RequestId, Revision, Sequence, SubmissionId, TokenId},
        limits::{
            LABEL_KEY_MAX, LABEL_VALUE_MAX, LABELS_MAX, LINK_BYTES_MAX, SUBMISSION_ID_MAX,
            SUBMISSIONS_MAX,
        },
        order::{Doubt, Order, OrderState},
        pause::{Activity, Pause},
        seal::{Digest, LedgerIdentity, RequestKey},
        submission::{Said, Submission, Submissions, Told},
        time::Timestamp,
        token::{
            ClosedLease, Decision, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage,
            Started, Token,
        },
    },
    port::{Group, Ledger},
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

pub(crate) fn leased(number: u64) -> Token {
    let url = format!("https://form.example/?token=ap-token-{number:08}");
    let holder = Holder::Caller { grant: grant(number), url: url.into(), sealed: Box::default() };
    token(number, Stage::Leased(Arc::new(lease(holder))))
}

fn lease(holder: Holder) -> Lease {
    Lease {
        issued: at(2),
        deadline: at(9),
        expires: None,
        started: None,
        submissions: Submissions::default(),
        vanished: None,
        replaces: None,
        correlated: false,
        holder,
    }
}

/// A lease with as much as a URL, its labels and its submissions can carry.
pub(crate) fn large_lease(number: u64) -> Token {
    let sealed = format!("{{\"cf1\":{:?}}}", "s".repeat(1_000));
    let url = "u".repeat(LINK_BYTES_MAX - sealed.len()).into();
    let lease = Lease {
        expires: Some(at(8)),
        started: Some(started()),
        submissions: large_submissions(),
        vanished: Some(at(7)),
        replaces: Some(Sequence::new(number + 1)),
        correlated: true,
        ..lease(Holder::Caller { grant: large_grant(number), url, sealed: sealed.into() })
    };
    token(number, Stage::Leased(Arc::new(lease)))
}

pub(crate) fn doomed(number: u64) -> Token {
    let doom = Doom::new(DoomCause::LeaseClosed, at(3), at(4));
    token(number, Stage::Doomed(Doom { attempts: 5, urgent: true, ..doom }))
}

pub(crate) fn one_token_of_each_stage() -> Vec<Token> {
    let presumed = Lease {
        started: Some(started()),
        submissions: told("submission-1", &[Decision::Pending]),
        replaces: Some(Sequence::new(3)),
        correlated: true,
        ..lease(Holder::Presumed)
    };
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
        submissions: told("submission-1", &[Decision::Approved]),
        vanished: None,
        closed: at(closed),
        ending: Ending::Released,
        link_dead: None,
        replaces: None,
        replaced_by: Some(Sequence::new(number + 1)),
        correlated: true,
        grant: Some(grant(number)),
        closer: Some(request(u128::from(number) + (1 << 64))),
    }
}

/// A line as it was changed with a commit.
pub(crate) fn changed(number: u64, closed: u64, revision: u64) -> ClosedLease {
    ClosedLease { revision: Revision(revision), ..line(number, closed) }
}

/// A line with as much as its labels and its submissions can carry.
pub(crate) fn large_line(number: u64, closed: u64) -> ClosedLease {
    ClosedLease {
        started: Some(started()),
        submissions: large_submissions(),
        vanished: Some(at(7)),
        link_dead: Some(at(8)),
        replaces: Some(Sequence::new(number + 1)),
        grant: Some(large_grant(number)),
        ..line(number, closed)
    }
}

/// One submission about which these decisions were told, in no order.
pub(crate) fn told(submission: &str, decisions: &[Decision]) -> Submissions {
    let said = decisions.iter().map(|decision| Said::only(*decision)).reduce(Said::and);
    let undated = said.map(|said| Told { at: at(6), said });
    let id = Some(SubmissionId::parse(submission).unwrap());
    Submissions::restored(vec![Submission { id, dated: None, undated }])
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
            4 => step.lines.push(changed(number, revision, revision)),
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

fn started() -> Started {
    Started { at: at(5), entry_ends: at(6), session_ends: at(7) }
}

fn large_submissions() -> Submissions {
    let told = Some(Told { at: at(u64::MAX), said: Said::only(Decision::Approved) });
    let submission = |number| Submission {
        id: Some(SubmissionId::parse(&format!("{number:0SUBMISSION_ID_MAX$}")).unwrap()),
        dated: told,
        undated: told,
    };
    Submissions::restored((0..SUBMISSIONS_MAX).map(submission).collect())
}

fn large_grant(number: u64) -> Grant {
    let label = |label| (format!("{label:0LABEL_KEY_MAX$}"), "v".repeat(LABEL_VALUE_MAX));
    Grant { labels: (0..LABELS_MAX).map(label).collect(), ..grant(number) }
}

fn grant(number: u64) -> Grant {
    Grant {
        owner: Owner::parse("token:kyc_web").unwrap(),
        request: Some(request(number.into())),
        labels: [("team".to_owned(), "kyc".to_owned())].into(),
    }
}

fn request(number: u128) -> Request {
    // Evenly spread, as keyed hashes are.
    let key = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Request { id: RequestId(number), key: RequestKey(key), digest: Digest(number as u64) }
}
