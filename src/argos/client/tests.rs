//! Against small servers on loopback. What an answer means is tested where it is judged; here is what
//! can only be seen on a wire.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

mod broken_off;
mod keys;
mod sealed;
mod settings;
mod simulated;
mod submissions;

use super::*;
use crate::port::{Condition, Doubtful, DoubtfulCause};

const KEY: &str = "key-0001-not-to-be-told";
const TOKEN: &str = "ap-not-to-be-told-0001";

// What is around the client

#[derive(Default)]
struct Hands {
    millis: AtomicU64,
    told: Mutex<Vec<Timestamp>>,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn continue_from(&self, _at: Timestamp) {}

    fn told(&self, by_argos: Timestamp) {
        self.told.lock().unwrap().push(by_argos);
    }
}

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[derive(Default)]
struct Calls(Mutex<Vec<(Operation, &'static str)>>);

impl Observer for Calls {
    fn called(&self, operation: Operation, result: &'static str, _took: Duration) {
        self.0.lock().unwrap().push((operation, result));
    }
}

fn options(api_url: &str) -> ArgosOptions {
    ArgosOptions {
        api_url: api_url.to_owned(),
        key: Secret::new(KEY.to_owned()),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(20),
        calls_per_second: 5.0,
        calls_burst: 20,
        calls_per_day: 100_000,
        purge_share: 0.2,
        reconcile_share: 0.05,
        outcome_share: 0.10,
        backoff_min: Duration::from_millis(500),
        backoff_max: Duration::from_secs(60),
        circuit_failures: 5,
        circuit_open: Duration::from_secs(30),
        transfer: Transfer::default(),
    }
}

/// Seals with the key that requests carry.
fn keyring() -> Keyring {
    Keyring::new(transfer::CIPHER, &Secret::new(KEY.to_owned()), [])
}

struct Rig {
    argos: Argos,
    hands: Arc<Hands>,
    calls: Arc<Calls>,
    envelopes: Arc<Mutex<Keyring>>,
    /// What the source of keys has to offer.
    next_key: Arc<Mutex<Option<&'static str>>>,
}

impl Rig {
    fn new(options: ArgosOptions) -> Self {
        // The first test that comes by installs it for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let hands = Arc::new(Hands { millis: AtomicU64::new(1_000_000), ..Hands::default() });
        let calls = Arc::new(Calls::default());
        let next_key = Arc::new(Mutex::new(None));
        let offered = next_key.clone();
        let envelopes = Arc::new(Mutex::new(keyring()));
        let used = envelopes.clone();
        let surroundings = Surroundings {
            project: ProjectName::parse("default").unwrap(),
            clock: hands.clone(),
            entropy: Box::new(Zero),
            keys: Arc::new(move || {
                let text: Option<&str> = *offered.lock().unwrap();
                text.map(|text| Secret::new(text.to_owned()))
            }),
            envelopes: Arc::new(move || Arc::new(used.lock().unwrap().clone())),
            observer: calls.clone(),
        };
        let argos = Argos::new(options, surroundings).unwrap();
        Self { argos, hands, calls, envelopes, next_key }
    }

    fn pass(&self, seconds: u64) {
        self.hands.millis.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    fn results(&self) -> Vec<(Operation, &'static str)> {
        self.calls.0.lock().unwrap().clone()
    }
}

fn tokens(count: usize) -> Vec<TokenId> {
    (0..count).map(|at| TokenId::parse(&format!("ap-token-{at:04}")).unwrap()).collect()
}

fn is_refused<T>(outcome: &Outcome<T>, cause: RefusedCause) -> bool {
    matches!(outcome, Outcome::Refused(refused) if refused.cause == cause)
}

fn is_doubtful<T>(outcome: &Outcome<T>, cause: DoubtfulCause) -> bool {
    matches!(outcome, Outcome::Doubtful(doubtful) if doubtful.cause == cause)
}

// Servers

#[derive(Clone)]
struct Seen {
    line: String,
    headers: HeaderMap,
    body: String,
}

struct Server {
    api_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers every request by what `answer` says.
    async fn start(answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let diary = seen.clone();
        let router = Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let request = Seen {
                line: format!("{} {}", parts.method, parts.uri),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let response = answer(&request);
            diary.lock().unwrap().push(request);
            response
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}/v3", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { api_url, seen }
    }

    fn rig(&self) -> Rig {
        Rig::new(options(&self.api_url))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A server that knows nothing of HTTP beyond where a request ends.
struct Wire {
    listener: TcpListener,
    api_url: String,
}

impl Wire {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}/v3", listener.local_addr().unwrap());
        Self { listener, api_url }
    }

    /// The next connection, after one whole registration of one token was read from it.
    async fn next_request(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream
    }
}

async fn read_request(stream: &mut TcpStream) -> usize {
    let mut read = Vec::new();
    while !read.ends_with(b"]}") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend_from_slice(&bytes[..count]),
        }
    }
    read.len()
}

/// Waits until the other side has closed, and says whether it did so before saying anything more.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut bytes = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut bytes));
    matches!(read.await, Ok(Ok(0) | Err(_)))
}

fn ok(body: &'static str) -> Response {
    (StatusCode::OK, body).into_response()
}

// What is said

#[tokio::test]
async fn every_call_is_said_as_the_contract_shows_it() {
    let server = Server::start(|seen| match seen.line.split_once('?') {
        None if seen.line.starts_with("GET") => ok(
            r#"{"data":["ap-token-0001"],"nextPageKeyId":"ap-token-0001","nextPageKeyTime":"a b"}"#,
        ),
        None => ok(r#"{"success":true,"summary":{"totalSubmitted":2,"currentCount":7}}"#),
        Some((_, "type=count")) => ok(r#"{"success":true,"count":7}"#),
        Some((_, query)) if query.starts_with("tokenId=") => {
            ok(r#"{"success":true,"data":{"tokenId":"ap-token-0000"}}"#)
        }
        Some(_) => ok(r#"{"data":[]}"#),
    })
    .await;
    let Rig { argos, .. } = server.rig();

    assert_eq!(argos.register(tokens(2)).await, Outcome::Settled(Registered { count: Some(7) }));
    assert_eq!(argos.delete(tokens(2)).await, Outcome::Settled(()));
    assert_eq!(argos.count().await, Outcome::Settled(7));
    assert_eq!(argos.find(tokens(1).remove(0)).await, Outcome::Settled(true));
    let Outcome::Settled(first) = argos.list_page(None).await else { panic!("no page") };
    let Outcome::Settled(second) = argos.list_page(first.next).await else { panic!("no page") };
    assert_eq!((first.entries.len(), second.entries.len()), (1, 0));

    let seen = server.seen();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /v3/submission/tokens",
            "DELETE /v3/submission/tokens",
            "GET /v3/submission/tokens?type=count",
            "GET /v3/submission/tokens?tokenId=ap-token-0000",
            "GET /v3/submission/tokens",
            "GET /v3/submission/tokens?nextPageKeyId=ap-token-0001&nextPageKeyTime=a%20b",
        ]
    );
    for (at, request) in seen.iter().enumerate() {
        let carries_ids = at < 2;
        assert_eq!(request.headers["x-api-key"], KEY);
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("argospool/"));
        let content_type = request.headers.get("content-type").map(|value| value.to_str().unwrap());
        assert_eq!(content_type, carries_ids.then_some("text/plain"));
        let body =
            if carries_ids { r#"{"tokenId":["ap-token-0000","ap-token-0001"]}"# } else { "" };
        assert_eq!(request.body, body);
    }
}

#[tokio::test]
async fn an_id_that_is_named_twice_is_sent_once() {
    let server = Server::start(|_| ok(r#"{"success":true,"summary":{"processed":1}}"#)).await;
    let Rig { argos, .. } = server.rig();
    let twice = [tokens(1), tokens(1)].concat();
    assert_eq!(argos.register(twice).await, Outcome::Settled(Registered { count: None }));
}

#[tokio::test]
async fn a_batch_that_argos_cannot_take_never_leaves() {
    let server = Server::start(|_| ok(r#"{"success":true}"#)).await;
    let Rig { argos, .. } = server.rig();
    assert!(is_refused(&argos.register(tokens(501)).await, RefusedCause::TooMany));
    assert!(is_refused(&argos.delete(tokens(501)).await, RefusedCause::TooMany));
    assert!(is_refused(&argos.register(Vec::new()).await, RefusedCause::Request));
    assert!(server.seen().is_empty());
    assert_eq!(argos.batch_limit(), 500);
}

#[tokio::test]
async fn batches_shrink_when_argos_finds_them_too_large() {
    let server = Server::start(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response()).await;
    let Rig { argos, .. } = server.rig();
    let mut limits = Vec::new();
    for _ in 0..9 {
        limits.push(argos.batch_limit());
        let batch = tokens(argos.batch_limit() as usize);
        assert!(is_refused(&argos.register(batch).await, RefusedCause::TooMany));
    }
    assert_eq!(limits, [500, 250, 100, 50, 25, 12, 6, 3, 1]);
    assert_eq!(argos.batch_limit(), 1);
}

// What is remembered

#[tokio::test]
async fn what_argos_asks_for_holds_back_the_calls_after() {
    let server = Server::start(|_| {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response()
    })
    .await;
    let rig = server.rig();
    rig.pass(3_600);
    assert_eq!(rig.argos.admit(Purpose::Refill), Ok(()));
    let outcome = rig.argos.register(tokens(1)).await;
    let pause = Duration::from_secs(120);
    assert_eq!(
        outcome,
        Outcome::Refused(Refused { cause: RefusedCause::Throttled, retry_after: Some(pause) })
    );
    assert_eq!(rig.argos.admit(Purpose::Refill), Err(Hold { retry_after: pause }));

    let health = rig.argos.health();
    assert_eq!((health.condition, health.last_success), (Condition::Throttled, None));
    assert_eq!(health.budget_remaining, 100_000 - 1);
    assert_eq!(health.next_attempt, Some(rig.hands.now().plus(pause)));
    assert_eq!(rig.results(), [(Operation::Register, "throttled")]);
}

#[tokio::test]
async fn a_date_to_wait_for_counts_from_the_date_of_the_answer() {
    let server = Server::start(|_| {
        let date = ("date", "Sun, 06 Nov 2044 08:49:37 GMT");
        let wait = ("retry-after", "Sun, 06 Nov 2044 08:50:07 GMT");
        (StatusCode::SERVICE_UNAVAILABLE, [date, wait]).into_response()
    })
    .await;
    let outcome = server.rig().argos.count().await;
    let retry_after = Some(Duration::from_secs(30));
    let cause = DoubtfulCause::Unanswered;
    assert_eq!(outcome, Outcome::Doubtful(Doubtful { cause, retry_after }));
}

#[tokio::test]
async fn a_success_is_remembered_and_the_clock_hears_what_time_argos_told() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = Server::start(move |_| ([("date", date)], r#"{"count":7}"#).into_response()).await;
    let rig = server.rig();
    assert_eq!(rig.argos.count().await, Outcome::Settled(7));
    let told = Timestamp::from_millis(784_111_777_000);
    assert_eq!(*rig.hands.told.lock().unwrap(), [told]);
    assert!(rig.argos.health().last_success.is_some());
    assert_eq!(rig.results(), [(Operation::Count, "settled")]);
}

// What is not told

#[test]
fn an_address_or_key_that_cannot_be_used_is_refused_without_being_repeated() {
    let surroundings = || Surroundings {
        project: ProjectName::parse("default").unwrap(),
        clock: Arc::new(Hands::default()),
        entropy: Box::new(Zero),
        keys: Arc::new(|| None),
        envelopes: Arc::new(|| Arc::new(keyring())),
        observer: Arc::new(Calls::default()),
    };
    for api_url in [
        "told-not.example/v3",
        "ftp://told-not.example/v3",
        "https://told-not.example/v3?key=told-not",
        "https://me:told-not@example.com/v3",
        "https://",
        "",
    ] {
        let error = Argos::new(options(api_url), surroundings()).unwrap_err();
        assert!(matches!(error, UnusableOptions::Address), "{api_url}");
        assert!(!format!("{error} {error:?}").contains("told-not"));
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = Secret::new("told-not\n".to_owned());
    let error = Argos::new(ArgosOptions { key, ..options("http://127.0.0.1/v3") }, surroundings())
        .unwrap_err();
    assert!(matches!(error, UnusableOptions::Key));
    assert!(!format!("{error} {error:?}").contains("told-not"));
}

#[tokio::test]
async fn nothing_that_can_be_printed_repeats_a_secret() {
    let token = TokenId::parse(TOKEN).unwrap();
    let echo = Server::start(|seen| {
        let ids = format!(r#"{{"tokenId":"{TOKEN}","tokens":["{TOKEN}"],"count":1,"#);
        let next = format!(r#""nextPageKeyId":"{TOKEN}","nextPageKeyTime":"{TOKEN}"}}"#);
        let status =
            if seen.line.starts_with("GET") { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        (status, ids + &next).into_response()
    })
    .await;
    let nobody = Wire::bind().await.api_url;
    let mut printed = Vec::new();
    for api_url in [echo.api_url.as_str(), nobody.as_str()] {
        let rig = Rig::new(options(api_url));
        printed.push(format!("{:?}", rig.argos.register(vec![token.clone()]).await));
        printed.push(format!("{:?}", rig.argos.delete(vec![token.clone()]).await));
        printed.push(format!("{:?}", rig.argos.count().await));
        printed.push(format!("{:?}", rig.argos.find(token.clone()).await));
        printed.push(format!("{:?}", rig.argos.look_up(&token).await));
        printed.push(format!("{:?}", rig.argos.list_page(None).await));
        printed.push(format!("{:?} {:?}", rig.argos, rig.argos.health()));
        printed.push(format!("{:?}", options(api_url)));
    }
    let doubt: Outcome<()> =
        Outcome::Doubtful(Doubtful { cause: DoubtfulCause::Unclear, retry_after: None });
    assert_eq!(printed[1], format!("{doubt:?}"));
    for text in printed {
        assert!(!text.contains("not-to-be-told"), "{text}");
    }
}
