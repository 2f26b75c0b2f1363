//! Webhooks at the real port that are broken, hostile, replayed, sealed, or too many: each has its
//! answer and is counted, and nothing else is the worse for it.

use argospool::{
    api::proto::{
        Decision as Decided, GetLeaseRequest, Lease, LeaseEnding, LeaseState,
        get_lease_request::Key,
    },
    sim::{Command, Crowd, Decision, Plan, Simulator, SimulatorOptions, WebhookSettings},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::daemon::{Daemon, Home, PID, counts, text, until};

const SECRET: &str = "a-secret-of-the-test";
const BODY_MAX: usize = 64 << 10;
/// Connections that say half of a request and wait.
const IDLE: usize = 200;
/// More than are read at the same time.
const AT_ONCE: usize = 300;

/// The same home with an address for webhooks.
pub fn taking_webhooks(home: Home) -> Home {
    let secret = home.secret("webhook", SECRET);
    home.with("webhook.allowed_sources", "[]")
        .with("projects.default.webhook.secret_file", text(secret.display()))
}

/// Where ARGOS sends webhooks.
pub fn address(daemon: &Daemon) -> String {
    format!("http://{}/webhooks/argos/{SECRET}", daemon.http_address())
}

/// A sender who writes what he likes, and reads the status.
struct Sender {
    stream: TcpStream,
}

impl Sender {
    async fn dial(daemon: &Daemon) -> Self {
        Self { stream: TcpStream::connect(daemon.http_address()).await.unwrap() }
    }

    /// A server that has refused already does not read on.
    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// `None`: hung up on without an answer.
    async fn status(mut self) -> Option<u16> {
        let mut answer = Vec::new();
        let _ = self.stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).ok()?.split(' ').nth(1)?.parse().ok()
    }
}

fn head(path: &str, headers: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n"
    )
}

fn path(secret: &str) -> String {
    format!("/webhooks/argos/{secret}")
}

async fn send(daemon: &Daemon, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Option<u16> {
    let body = body.as_ref();
    let mut sender = Sender::dial(daemon).await;
    sender.say([head(path, headers, body.len()).as_bytes(), body].concat()).await;
    sender.status().await
}

pub async fn post(daemon: &Daemon, body: impl AsRef<[u8]>) -> Option<u16> {
    send(daemon, &path(SECRET), "", body).await
}

pub fn about(trigger: &str, lease: &Lease, more: &str) -> String {
    let token = &lease.token_id;
    format!(
        r#"{{"webhook_trigger":"{trigger}","submission_id":"sub-{token}","tokenId":"{token}",
            "email":"person@example.com"{more}}}"#
    )
}

async fn counted(daemon: &Daemon, project: &str, trigger: &str, result: &str) -> u64 {
    let sample = format!(
        r#"argospool_webhooks_total{{project="{project}",result="{result}",trigger="{trigger}"}}"#
    );
    daemon.metric(&sample).await.unwrap_or_default() as u64
}

async fn told(daemon: &Daemon, lease: &Lease) -> (LeaseState, LeaseEnding, Decided) {
    let key = Some(Key::LeaseId(lease.lease_id.clone()));
    let request = GetLeaseRequest { key, ..Default::default() };
    let lease = daemon.pool().get_lease(request).await.unwrap().into_inner().lease.unwrap();
    (lease.state(), lease.ending(), lease.decision())
}

const ISSUED: (LeaseState, LeaseEnding, Decided) =
    (LeaseState::Issued, LeaseEnding::Unspecified, Decided::Unspecified);

async fn daemon(home: &Home) -> Daemon {
    let daemon = home.serve().await;
    daemon.filled().await;
    daemon
}

fn home(simulator: &Simulator) -> Home {
    taking_webhooks(Home::beside(simulator))
        .with("webhook.body_max", text("64KiB"))
        .with("defaults.life.decided_grace", text("0s"))
        .with("defaults.life.overdue_after", text("1s"))
}

#[tokio::test]
async fn a_hostile_webhook_has_its_answer_and_moves_no_lease() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = daemon(&home).await;
    let lease = daemon.lease().await.unwrap();
    let approved = about("approved", &lease, "");
    let nested = format!(r#"{{"webhook_trigger":{}"#, "[".repeat(BODY_MAX / 2));
    let long = format!(r#"{{"webhook_trigger":"{}"#, "x".repeat(BODY_MAX));
    let broken: [&[u8]; 5] = [
        b"",
        b"\x00\xff\xfe garbage",
        &approved.as_bytes()[..approved.len() - 1],
        nested.as_bytes(),
        br#"{"webhook_trigger":17}"#,
    ];
    for body in broken {
        assert_eq!(post(&daemon, body).await, Some(400), "{:?}", body.get(..20));
    }
    assert_eq!(post(&daemon, &long).await, Some(413));
    let mut endless = Sender::dial(&daemon).await;
    endless.say(head(&path(SECRET), "", 2 << 20)).await;
    endless.say(vec![b'x'; BODY_MAX + 1]).await;
    assert_eq!(endless.status().await, Some(413), "before all of it was sent");
    assert_eq!(counted(&daemon, "default", "none", "malformed").await, 5);
    assert_eq!(counted(&daemon, "default", "none", "too_large").await, 2);

    let header = |secret: &str| format!("x-webhook-secret: {secret}\r\n");
    let (right, wrong) = (header(SECRET), header("guessed"));
    for (path, headers) in [
        (path("guessed").as_str(), ""),
        (path("").as_str(), ""),
        (path(&SECRET[..SECRET.len() - 1]).as_str(), ""),
        ("/webhooks/argos", ""),
        ("/webhooks/argos", wrong.as_str()),
        (path("guessed").as_str(), right.as_str()),
    ] {
        assert_eq!(send(&daemon, path, headers, &approved).await, Some(404), "{path}");
    }
    assert_eq!(daemon.get(&path(SECRET)).await.0, 405);

    for unrelated in [
        about("deleted", &lease, ""),
        about("delete", &lease, ""),
        about("made_up_yesterday", &lease, ""),
        about("approved", &lease, r#","service":"faceAuth""#),
        about("token_expired", &lease, r#","expired_condition":"count","service":"faceAuth""#),
    ] {
        assert_eq!(post(&daemon, &unrelated).await, Some(200), "{unrelated}");
    }
    assert_eq!(counted(&daemon, "default", "delete", "ignored").await, 2);
    assert_eq!(counted(&daemon, "default", "other", "ignored").await, 1);
    assert_eq!(counted(&daemon, "default", "approved", "ignored").await, 1);
    let stranger = approved.replace(&lease.token_id, "somebody-elses-token");
    assert_eq!(post(&daemon, &stranger).await, Some(200));
    assert_eq!(told(&daemon, &lease).await, ISSUED, "none of it was about this lease");

    assert_eq!(send(&daemon, "/webhooks/argos", &right, &approved).await, Some(200));
    let ended = (LeaseState::Closed, LeaseEnding::Decided, Decided::Approved);
    assert_eq!(told(&daemon, &lease).await, ended);
    daemon.until("its token is deleted", |status| counts(status).doomed == 0).await;
    // ARGOS, or whoever listened, sends what was true once.
    for replayed in [&approved, &about("created", &lease, ""), &about("submit", &lease, "")] {
        assert_eq!(post(&daemon, replayed).await, Some(200));
    }
    assert_eq!(told(&daemon, &lease).await, ended);
    let counters = simulator.counters(PID).unwrap();
    assert_eq!((counters.delete_tokens, counters.overwrites_total), (1, 0));
    assert!(!home.log().contains(SECRET), "P1");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_webhooks_holds_up_neither_probes_nor_leases() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = daemon(&home).await;
    let (slow, mut leases) = (daemon.lease().await.unwrap(), Vec::new());
    for _ in 0..AT_ONCE {
        leases.push(daemon.lease().await.unwrap());
    }

    // One who sends a byte now and then, in time or not, and many who say half of a request.
    let body = about("approved", &slow, "");
    let mut drip = Sender::dial(&daemon).await;
    drip.say(head(&path(SECRET), "", body.len())).await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut sender = Sender::dial(&daemon).await;
        sender.say(format!("POST {} HTTP/1.1\r\nhost:", path(SECRET))).await;
        idle.push(sender);
    }
    let mut flood = JoinSet::new();
    for lease in &leases {
        let body = about("approved", lease, "");
        let mut sender = Sender::dial(&daemon).await;
        sender.say(head(&path(SECRET), "", body.len())).await;
        // All of them are there before any of them is whole.
        flood.spawn(async move {
            sender.say(&body).await;
            (body, sender.status().await)
        });
    }
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.lease().await.unwrap();
    let mut recorded = 0;
    while let Some(sent) = flood.join_next().await {
        let (body, status) = sent.unwrap();
        match status {
            Some(200) => recorded += 1,
            // Too many at once: ARGOS sends it again.
            Some(503) => {
                until("it is taken", async || {
                    (post(&daemon, &body).await == Some(200)).then_some(())
                })
                .await;
                recorded += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(recorded, AT_ONCE);
    for lease in &leases {
        let ended = (LeaseState::Closed, LeaseEnding::Decided, Decided::Approved);
        assert_eq!(told(&daemon, lease).await, ended);
    }
    drop(idle);

    // Nobody waits for ever for the rest of a body.
    let mut left = body.bytes().take(body.len() - 1);
    until("the slow one is refused", async || {
        if let Some(byte) = left.next() {
            drip.say([byte]).await;
        }
        (counted(&daemon, "default", "none", "malformed").await == 1).then_some(())
    })
    .await;
    assert_eq!(drip.status().await, Some(400));
    assert_eq!(told(&daemon, &slow).await, ISSUED);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_that_are_sealed_in_mid_run_are_read_like_any_other() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = daemon(&home).await;
    let url = Some(address(&daemon));
    let change = |settings| simulator.control(Command::Webhooks(settings)).unwrap();
    change(WebhookSettings { url, tries: Some(2), ..WebhookSettings::default() });
    for (round, sealed) in (1..).zip([false, true, false]) {
        change(WebhookSettings { sealed: Some(sealed), ..WebhookSettings::default() });
        let lease = daemon.lease().await.unwrap();
        let plan = Plan::Submits { decision: Decision::Rejected };
        let report = simulator.crowd(&Crowd { links: vec![lease.url.clone()], plan });
        assert!(report.refused.is_empty());
        // Whoever was asked meanwhile knew it before.
        let taken = async |trigger| {
            counted(&daemon, "default", trigger, "recorded").await
                + counted(&daemon, "default", trigger, "known").await
        };
        until("both webhooks are taken", async || {
            let both = (taken("created").await, taken("rejected").await);
            (both == (round, round)).then_some(())
        })
        .await;
        let ended = (LeaseState::Closed, LeaseEnding::Decided, Decided::Rejected);
        assert_eq!(told(&daemon, &lease).await, ended);
    }
    assert_eq!(counted(&daemon, "default", "none", "sealed").await, 0);
    daemon.until("their tokens are deleted", |status| counts(status).doomed == 0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_key_opens_the_webhooks_results_come_by_asking() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let home = home(&simulator);
    let daemon = daemon(&home).await;
    let lease = daemon.lease().await.unwrap();
    // Letters that an envelope may have, and nothing inside.
    let body = format!(r#"{{"data":"{}"}}"#, "sealed++".repeat(8));
    assert_eq!(post(&daemon, &body).await, Some(503));
    assert_eq!(counted(&daemon, "default", "none", "sealed").await, 1);
    let plan = Plan::Submits { decision: Decision::Rejected };
    let report = simulator.crowd(&Crowd { links: vec![lease.url.clone()], plan });
    assert!(report.refused.is_empty());
    until("the result is known", async || {
        let ended = (LeaseState::Closed, LeaseEnding::Decided, Decided::Rejected);
        (told(&daemon, &lease).await == ended).then_some(())
    })
    .await;
    let log = home.log();
    assert!(log.contains("webhook is sealed and cannot be opened"), "{log}");
    assert!(!log.contains("sealed++"), "P1");
    daemon.stop().await;
}
