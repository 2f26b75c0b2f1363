//! The bytes of format 1, and the way there and back.

use std::sync::Arc;

use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};
use prost::Message;

use super::*;
use crate::domain::{
    ids::{OrderId, Owner, RequestId, Revision, Sequence, SubmissionId, TokenId},
    limits::SUBMISSIONS_MAX,
    liveform::Params,
    order::{Doubt, Order, OrderState},
    pause::{Activity, Pause},
    seal::{Digest, LedgerIdentity, RequestKey},
    submission::{Said, Submission, Submissions, Told},
    time::Timestamp,
    token::{
        ClosedLease, Decision, Doom, DoomCause, Ending, Grant, Holder, Lease, Request, Stage,
        Started, Token,
    },
};

/// What format 1 looks like on the disk. A line that changes here is a new format: ledgers of users
/// hold these bytes.
#[test]
fn the_bytes_of_the_format_are_these() {
    let golden = [
        ("minted", bytes(TokenRecord::from(&token(Stage::Minted { order: order_id(3) })))),
        ("ready", bytes(TokenRecord::from(&token(Stage::Ready { since: at(4) })))),
        ("leased", bytes(TokenRecord::from(&token(Stage::Leased(Arc::new(lease())))))),
        ("sealed", bytes(TokenRecord::from(&token(Stage::Leased(Arc::new(sealed())))))),
        ("presumed", bytes(TokenRecord::from(&token(Stage::Leased(Arc::new(presumed())))))),
        ("doomed", bytes(TokenRecord::from(&token(Stage::Doomed(doom()))))),
        ("open order", bytes(OrderRecord::from(&order(open())))),
        ("settled order", bytes(OrderRecord::from(&order(OrderState::Settled { ripe: at(9) })))),
        ("pause", bytes(PauseRecord::from(&(Activity::Refill, pause())))),
        ("line", bytes(LineRecord::from(&line()))),
        ("head", bytes(head())),
        ("group", bytes(group())),
        ("span", bytes(span())),
        ("token block", bytes(TokenBlockRecord { tokens: group().tokens })),
        ("line block", bytes(LineBlockRecord { lines: group().lines })),
    ];
    let written: Vec<_> = golden.iter().map(|(name, hex)| format!("{name} {hex}")).collect();
    assert_eq!(
        written.join("\n"),
        include_str!("../../../tests/golden/ledger_format_1.txt").trim_end()
    );
}

/// What links said inside of an envelope was not always kept: such a lease is one whose link has none.
#[test]
fn a_lease_of_a_ledger_that_kept_no_envelopes_reads_as_one_without() {
    let golden = include_str!("../../../tests/golden/ledger_format_1.txt");
    let hex = golden.lines().find_map(|line| line.strip_prefix("leased ")).unwrap();
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let read = Token::try_from(TokenRecord::decode(&*bytes).unwrap()).unwrap();
    assert_eq!(read, token(Stage::Leased(Arc::new(lease()))));
    let Holder::Caller { url, sealed, .. } = lease().holder else { panic!("nobody holds it") };
    assert_eq!((&*sealed, Params::of_link(&url, &sealed, None)), ("", Ok(Params::default())));
}

#[test]
fn the_numbers_of_the_format_are_these() {
    let ending = |ending| LineRecord::from(&ClosedLease { ending, ..line() }).ending;
    assert_eq!(Ending::ALL.map(ending), [1, 2, 3, 4, 5, 6]);
    let causes = [
        DoomCause::Cancelled,
        DoomCause::Aged,
        DoomCause::LeaseClosed,
        DoomCause::Vanished,
        DoomCause::Discarded,
    ];
    let cause = |cause| DoomRecord::from(&Doom::new(cause, at(7), at(8))).cause;
    assert_eq!(causes.map(cause), [1, 2, 3, 4, 5]);
    assert_eq!(Decision::ALL.map(|decision| Said::only(decision).bits()), [1, 2, 4]);
    assert_eq!(Activity::ALL.map(activity_number), [1, 2, 3]);
}

#[test]
fn a_number_of_tomorrow_is_an_error_that_names_it() {
    let doom = DoomRecord { cause: 9, ..DoomRecord::default() };
    let error = Doom::try_from(doom).unwrap_err();
    assert_eq!(
        error.to_string(),
        "doom cause number 9 is unknown to this version: a newer one wrote the ledger",
    );
    let line = LineRecord { ending: 9, ..LineRecord::from(&line()) };
    assert!(matches!(ClosedLease::try_from(line), Err(RecordError::Newer { number: 9, .. })));
    let pause = PauseRecord { activity: 9, ..PauseRecord::default() };
    assert!(matches!(<(Activity, Pause)>::try_from(pause), Err(RecordError::Newer { .. })));
    for said in [0b1000, 0b1001, 256, u32::MAX] {
        let dated = Some(ToldRecord { at: 1, said });
        let submission = SubmissionRecord { id: None, dated, undated: None };
        let submissions = vec![submission];
        let line =
            LineRecord { submissions: submissions.clone(), ..LineRecord::from(&self::line()) };
        assert!(matches!(ClosedLease::try_from(line), Err(RecordError::Newer { .. })), "{said}");
        let lease = LeaseRecord { submissions, ..LeaseRecord::from(&lease()) };
        assert!(matches!(Lease::try_from(lease), Err(RecordError::Newer { .. })), "{said}");
    }
}

#[test]
fn a_stage_of_tomorrow_is_an_error_and_not_a_token_without_one() {
    let mut value = TokenRecord::from(&token(Stage::Ready { since: at(4) }));
    value.stage = None;
    let mut bytes = value.encode_to_vec();
    // Field 15, a number: a stage that this version has no name for.
    bytes.extend([0x78, 0x01]);
    let record = TokenRecord::decode(&*bytes).unwrap();
    assert!(matches!(Token::try_from(record), Err(RecordError::Missing("stage"))));
}

proptest! {
    #[test]
    fn every_token_comes_back_as_it_was(token in any_token()) {
        let bytes = TokenRecord::from(&token).encode_to_vec();
        let back = TokenRecord::decode(&*bytes).unwrap();
        prop_assert_eq!(Token::try_from(back).unwrap(), token);
    }

    #[test]
    fn every_order_comes_back_as_it_was(order in any_order()) {
        let bytes = OrderRecord::from(&order).encode_to_vec();
        let back = OrderRecord::decode(&*bytes).unwrap();
        prop_assert_eq!(Order::try_from(back).unwrap(), order);
    }

    #[test]
    fn every_line_comes_back_as_it_was(line in any_line()) {
        let bytes = LineRecord::from(&line).encode_to_vec();
        let back = LineRecord::decode(&*bytes).unwrap();
        prop_assert_eq!(ClosedLease::try_from(back).unwrap(), line);
    }

    #[test]
    fn every_pause_comes_back_as_it_was(
        which in 0..3_usize, reason: String, by: String, since in any_time(),
    ) {
        let pause = (Activity::ALL[which], Pause { reason, by, since });
        let bytes = PauseRecord::from(&pause).encode_to_vec();
        let back = PauseRecord::decode(&*bytes).unwrap();
        prop_assert_eq!(<(Activity, Pause)>::try_from(back).unwrap(), pause);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        if let Ok(group) = GroupRecord::decode(&*bytes) {
            let _ = group.tokens.into_iter().map(Token::try_from).collect::<Result<Vec<_>, _>>();
            let _ = group.orders.into_iter().map(Order::try_from).collect::<Result<Vec<_>, _>>();
            let _ =
                group.lines.into_iter().map(ClosedLease::try_from).collect::<Result<Vec<_>, _>>();
        }
    }
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn any_sequence() -> impl Strategy<Value = Sequence> {
    (0..=Sequence::MAX.get()).prop_map(Sequence::new)
}

fn any_request() -> impl Strategy<Value = Request> {
    any::<(u128, u128, u64)>().prop_map(|(id, key, digest)| Request {
        id: RequestId(id),
        key: RequestKey(key),
        digest: Digest(digest),
    })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let labels = btree_map("[a-z]{1,63}", ".{0,20}", 0..16);
    ("[a-z:]{1,64}", option::of(any_request()), labels).prop_map(|(owner, request, labels)| Grant {
        owner: Owner::parse(&owner).unwrap(),
        request,
        labels,
    })
}

fn any_started() -> impl Strategy<Value = Started> {
    (any_time(), any_time(), any_time()).prop_map(|(at, entry_ends, session_ends)| Started {
        at,
        entry_ends,
        session_ends,
    })
}

fn any_submissions() -> impl Strategy<Value = Submissions> {
    let told = || {
        (any_time(), 0..8_u8)
            .prop_map(|(at, bits)| Told { at, said: Said::from_bits(bits).unwrap() })
    };
    let submission = (option::of("[!-~]{1,128}"), option::of(told()), option::of(told()));
    let submission = submission.prop_map(|(id, dated, undated)| {
        let id = id.map(|id| SubmissionId::parse(&id).unwrap());
        Submission { id, dated, undated }
    });
    vec(submission, 0..=SUBMISSIONS_MAX).prop_map(Submissions::restored)
}

fn any_stage() -> impl Strategy<Value = Stage> {
    let holder = prop_oneof![
        Just(Holder::Presumed),
        (any_grant(), ".{0,100}", ".{1,50}").prop_map(|(grant, url, cf1)| {
            let sealed = serde_json::json!({ "cf1": cf1 }).to_string().into();
            Holder::Caller { grant, url: url.into(), sealed }
        }),
    ];
    let times = (any_time(), any_time(), option::of(any_time()), option::of(any_time()));
    let rest = (option::of(any_sequence()), any::<bool>(), holder);
    let lease = (times, option::of(any_started()), any_submissions(), rest).prop_map(
        |((issued, deadline, expires, vanished), started, submissions, rest)| Lease {
            issued,
            deadline,
            expires,
            started,
            submissions,
            vanished,
            replaces: rest.0,
            correlated: rest.1,
            holder: rest.2,
        },
    );
    let causes = [
        DoomCause::Cancelled,
        DoomCause::Aged,
        DoomCause::Vanished,
        DoomCause::LeaseClosed,
        DoomCause::Discarded,
    ];
    let causes = proptest::sample::select(causes.to_vec());
    let doom = (causes, any_time(), any_time(), any::<u32>(), any::<bool>()).prop_map(
        |(cause, since, not_before, attempts, urgent)| Doom {
            attempts,
            urgent,
            ..Doom::new(cause, since, not_before)
        },
    );
    prop_oneof![
        any_sequence().prop_map(|order| Stage::Minted { order: OrderId(order) }),
        any_time().prop_map(|since| Stage::Ready { since }),
        lease.prop_map(|lease| Stage::Leased(Arc::new(lease))),
        doom.prop_map(Stage::Doomed),
    ]
}

fn any_token() -> impl Strategy<Value = Token> {
    let id = "[A-Za-z0-9][A-Za-z0-9._-]{6,62}[A-Za-z0-9]";
    (any_sequence(), id, any_time(), any::<u64>(), any_stage()).prop_map(
        |(sequence, id, minted, revision, stage)| Token {
            sequence,
            id: TokenId::parse(&id).unwrap(),
            minted,
            revision: Revision(revision),
            stage,
        },
    )
}

fn any_order() -> impl Strategy<Value = Order> {
    let doubt = (any_time(), option::of(any_time()), any::<u32>())
        .prop_map(|(since, unanswered, attempts)| Doubt { since, unanswered, attempts });
    let state = prop_oneof![
        any_time().prop_map(|ripe| OrderState::Settled { ripe }),
        (any_time(), option::of(doubt))
            .prop_map(|(not_before, doubt)| OrderState::Open { not_before, doubt }),
    ];
    (any_sequence(), any::<u32>(), any_time(), any::<u64>(), state).prop_map(
        |(id, tokens, minted, revision, state)| Order {
            id: OrderId(id),
            tokens,
            minted,
            revision: Revision(revision),
            state,
        },
    )
}

fn any_line() -> impl Strategy<Value = ClosedLease> {
    let ending = proptest::sample::select(Ending::ALL.to_vec());
    let times = (any_time(), any_time(), any_time());
    let ends = (option::of(any_time()), option::of(any_time()), ending);
    let heard = (option::of(any_started()), any_submissions());
    let who = (option::of(any_grant()), option::of(any_request()), any::<bool>());
    let kin = (option::of(any_sequence()), option::of(any_sequence()));
    (any_sequence(), any::<u64>(), times, ends, heard, who, kin).prop_map(
        |(sequence, revision, (issued, deadline, closed), ends, heard, who, kin)| ClosedLease {
            sequence,
            revision: Revision(revision),
            issued,
            deadline,
            started: heard.0,
            submissions: heard.1,
            vanished: ends.0,
            closed,
            ending: ends.2,
            link_dead: ends.1,
            replaces: kin.0,
            replaced_by: kin.1,
            correlated: who.2,
            grant: who.0,
            closer: who.1,
        },
    )
}

fn bytes(record: impl Message) -> String {
    record.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn order_id(number: u64) -> OrderId {
    OrderId(Sequence::new(number))
}

fn token(stage: Stage) -> Token {
    Token {
        sequence: Sequence::new(300),
        id: TokenId::parse("ap-12345").unwrap(),
        minted: at(1),
        revision: Revision(2),
        stage,
    }
}

fn sealed() -> Lease {
    let (url, sealed) = ("https://form.example/".into(), "{\"ageLimit\":false}".into());
    Lease { holder: Holder::Caller { grant: grant(), url, sealed }, ..lease() }
}

fn lease() -> Lease {
    let (url, sealed) = ("https://form.example/".into(), Box::default());
    let holder = Holder::Caller { grant: grant(), url, sealed };
    Lease {
        issued: at(5),
        deadline: at(6),
        expires: Some(at(12)),
        started: Some(started()),
        submissions: submissions(),
        vanished: Some(at(13)),
        replaces: Some(Sequence::new(200)),
        correlated: true,
        holder,
    }
}

fn presumed() -> Lease {
    Lease {
        expires: None,
        started: None,
        submissions: Submissions::default(),
        vanished: None,
        replaces: None,
        correlated: false,
        holder: Holder::Presumed,
        ..lease()
    }
}

fn grant() -> Grant {
    let owner = Owner::parse("uid:1").unwrap();
    Grant { owner, request: Some(request(1)), labels: [("k".to_owned(), "v".to_owned())].into() }
}

fn request(number: u128) -> Request {
    Request { id: RequestId(number), key: RequestKey(number << 64), digest: Digest(7) }
}

fn started() -> Started {
    Started { at: at(7), entry_ends: at(8), session_ends: at(9) }
}

/// One that was told of without a name, and one whose decision is contested.
fn submissions() -> Submissions {
    let told = |millis, said| Some(Told { at: at(millis), said });
    let approved = Said::only(Decision::Approved);
    let contested = approved.and(Said::only(Decision::Rejected));
    let pending = Said::only(Decision::Pending);
    let unnamed = Submission { id: None, dated: None, undated: told(14, pending) };
    let id = Some(SubmissionId::parse("sub").unwrap());
    let named = Submission { id, dated: told(15, approved), undated: told(16, contested) };
    Submissions::restored(vec![unnamed, named])
}

fn doom() -> Doom {
    Doom { attempts: 9, urgent: true, ..Doom::new(DoomCause::LeaseClosed, at(7), at(8)) }
}

fn open() -> OrderState {
    let doubt = Some(Doubt { since: at(3), unanswered: Some(at(4)), attempts: 5 });
    OrderState::Open { not_before: at(2), doubt }
}

fn order(state: OrderState) -> Order {
    Order { id: order_id(3), tokens: 500, minted: at(1), revision: Revision(2), state }
}

fn pause() -> Pause {
    Pause { reason: "why".to_owned(), by: "uid:1".to_owned(), since: at(1) }
}

fn line() -> ClosedLease {
    ClosedLease {
        sequence: Sequence::new(300),
        revision: Revision(2),
        issued: at(5),
        deadline: at(6),
        started: Some(started()),
        submissions: submissions(),
        vanished: Some(at(13)),
        closed: at(10),
        ending: Ending::Released,
        link_dead: Some(at(11)),
        replaces: Some(Sequence::new(200)),
        replaced_by: Some(Sequence::new(400)),
        correlated: true,
        grant: Some(grant()),
        closer: Some(request(2)),
    }
}

fn mark() -> MarkRecord {
    MarkRecord { revision: 1, at: 2, next: 3, granted: 4 }
}

fn head() -> HeadRecord {
    let identity = LedgerIdentity { id: 1, tag: [2; 4], id_key: [3; 16], digest_key: [4; 32] };
    HeadRecord {
        format: FORMAT_VERSION,
        pid: "pid".to_owned(),
        identity: Some((&identity).into()),
        epoch: 5,
        mark: Some(mark()),
        pauses: vec![(&(Activity::Leasing, pause())).into()],
        folded: 6,
        suspect_epoch: 7,
        dropped: 8,
    }
}

fn span() -> SpanRecord {
    SpanRecord { lines: 1, closed_first: 2, closed_last: 3, changed_last: Some(4) }
}

fn group() -> GroupRecord {
    GroupRecord {
        parts: 1,
        mark: Some(mark()),
        tokens: vec![(&token(Stage::Ready { since: at(4) })).into()],
        tokens_gone: vec![1, 300],
        orders: vec![(&order(OrderState::Settled { ripe: at(9) })).into()],
        orders_gone: vec![3],
        pauses: vec![(&(Activity::Purge, pause())).into()],
        pauses_gone: vec![activity_number(Activity::Leasing)],
        lines: vec![(&line()).into()],
    }
}

#[test]
fn an_envelope_that_cannot_be_read_again_is_an_error_and_not_forgotten() {
    let mut record = LeaseRecord::from(&sealed());
    record.sealed = "{\"ageLimit\":[]}".to_owned();
    let error = Lease::try_from(record).unwrap_err();
    assert_eq!(error.to_string(), "a record has a malformed envelope of a link");
}
