use std::{collections::BTreeMap, time::Duration};

use tokio::time::timeout;
use tonic::Streaming;

use super::*;
use crate::{
    api::{
        proto::{
            LeaseEnding, LeaseFilter, LeaseState, ReplaceLeaseRequest, RevokeLeaseRequest,
            WatchLeasesRequest, WatchLeasesResponse, watch_leases_response::Event,
        },
        stand::{Stand, eventually},
        watch::STREAMS_MAX,
    },
    domain::{ids::Revision, seal::Position, submission::FactKind, token::Decision},
};

/// Never waited for when all is well.
const BOUND: Duration = Duration::from_secs(20);

/// A stream, and the token to go on with.
struct Reader {
    messages: Streaming<WatchLeasesResponse>,
    token: String,
}

impl Reader {
    async fn next(&mut self) -> Event {
        let message = timeout(BOUND, self.messages.message()).await.expect("a message comes");
        let message = message.unwrap().expect("the stream goes on");
        self.token = message.resume_token;
        let event = message.event.unwrap();
        if let Event::Lease(lease) = &event {
            assert!(lease.url.is_empty() && lease.token_id.is_empty(), "a secret was told");
        }
        event
    }

    async fn lease(&mut self) -> Lease {
        let Event::Lease(lease) = self.next().await else { panic!("something else is told") };
        lease
    }

    /// Every lease that is told before everything is.
    async fn until_synced(&mut self) -> Vec<Lease> {
        let mut leases = Vec::new();
        loop {
            match self.next().await {
                Event::Lease(lease) => leases.push(lease),
                Event::Synced(_) => return leases,
                Event::Heartbeat(_) | Event::Lagged(_) => panic!("it is not in sync yet"),
            }
        }
    }
}

fn from(token: &str) -> WatchLeasesRequest {
    WatchLeasesRequest { resume_token: token.to_owned(), ..WatchLeasesRequest::default() }
}

async fn watch(pool: &mut Pool, request: impl tonic::IntoRequest<WatchLeasesRequest>) -> Reader {
    let messages = pool.watch_leases(request).await.unwrap().into_inner();
    Reader { messages, token: String::new() }
}

async fn made(pool: &mut Pool) -> Lease {
    lease(pool, CreateLeaseRequest::default()).await.unwrap()
}

async fn revoke(pool: &mut Pool, lease: &Lease) {
    let lease_id = lease.lease_id.clone();
    let request = RevokeLeaseRequest { lease_id, wait: seconds(0), ..Default::default() };
    pool.revoke_lease(request).await.unwrap();
}

fn ids(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.lease_id.as_str()).collect()
}

#[tokio::test]
async fn a_watcher_is_told_what_is_open_and_then_everything_that_happens() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let (one, two) = (made(&mut pool).await, made(&mut pool).await);
    let gone = made(&mut pool).await;
    revoke(&mut pool, &gone).await;

    let mut reader = watch(&mut pool, from("")).await;
    let open = reader.until_synced().await;
    assert_eq!(ids(&open), [one.lease_id.as_str(), two.lease_id.as_str()]);

    // Nobody waits for its deletion to be confirmed here.
    stand.argos("default").hold_deletions(true);
    let three = made(&mut pool).await;
    let told = reader.lease().await;
    assert_eq!((told.lease_id, told.state), (three.lease_id, LeaseState::Issued.into()));
    stand.tell(&one.token_id, FactKind::Started, Some("sub-1")).await;
    let told = reader.lease().await;
    assert_eq!((&told.lease_id, told.state()), (&one.lease_id, LeaseState::Started));
    stand.tell(&one.token_id, FactKind::Decided(Decision::Pending), Some("sub-1")).await;
    let told = reader.lease().await;
    assert_eq!((&told.lease_id, told.ending()), (&one.lease_id, LeaseEnding::Decided));
    let lease_id = two.lease_id.clone();
    let request = ReplaceLeaseRequest { lease_id, ..Default::default() };
    let next = pool.replace_lease(request).await.unwrap().into_inner().lease.unwrap();
    let told = [reader.lease().await, reader.lease().await];
    assert_eq!(ids(&told), [next.lease_id.as_str(), two.lease_id.as_str()]);
    assert_eq!(told[0].replaces_lease_id, two.lease_id);
    assert_eq!(told[1].replaced_by_lease_id, next.lease_id);

    // That the link is dead for certain is news too.
    stand.argos("default").hold_deletions(false);
    let told = reader.lease().await;
    assert_eq!(told.lease_id, two.lease_id);
    assert!(told.link_dead_time.is_some());
}

#[tokio::test]
async fn a_watcher_that_resumes_is_told_what_it_missed_and_nothing_else() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let (quiet, busy, over) = (made(&mut pool).await, made(&mut pool).await, made(&mut pool).await);
    stand.tell(&over.token_id, FactKind::Decided(Decision::Pending), Some("sub-1")).await;
    let mut reader = watch(&mut pool, from("")).await;
    assert_eq!(reader.token, "");
    reader.until_synced().await;
    let token = reader.token.clone();
    drop(reader);

    stand.tell(&busy.token_id, FactKind::Started, None).await;
    let new = made(&mut pool).await;
    // What ARGOS decides after the end changes a line of history.
    stand.tell(&over.token_id, FactKind::Decided(Decision::Approved), None).await;
    let mut reader = watch(&mut pool, from(&token)).await;
    let missed = reader.until_synced().await;
    assert_eq!(ids(&missed)[..2], [busy.lease_id.as_str(), new.lease_id.as_str()]);
    assert!(!ids(&missed).contains(&quiet.lease_id.as_str()));
    assert_ne!(reader.token, token);

    let token = reader.token.clone();
    let mut again = watch(&mut pool, from(&token)).await;
    assert_eq!(ids(&again.until_synced().await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_decision_after_the_end_reaches_a_watcher_that_was_away() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let over = made(&mut pool).await;
    stand.tell(&over.token_id, FactKind::Decided(Decision::Pending), Some("sub-1")).await;
    let mut reader = watch(&mut pool, from("")).await;
    reader.until_synced().await;
    stand.tell(&over.token_id, FactKind::Decided(Decision::Approved), Some("sub-2")).await;
    let approved = crate::api::proto::Decision::Approved;
    let resumed = from(&reader.token);
    assert_eq!(reader.lease().await.decision(), approved);
    let missed = watch(&mut pool, resumed).await.until_synced().await;
    assert_eq!((ids(&missed), missed[0].decision()), (vec![over.lease_id.as_str()], approved));
}

/// P2.
#[tokio::test]
async fn a_watcher_sees_its_own_leases_and_an_admin_everybody_s() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let denied = pool.watch_leases(from("")).await.map(|_| ());
    assert_eq!(refusal(denied), (Code::Unauthenticated, "IDENTITY_MISSING".to_owned()));
    let of = |owner: &str| WatchLeasesRequest {
        filter: Some(LeaseFilter { owner: owner.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let denied = pool.watch_leases(by("app", of("token:web"))).await.map(|_| ());
    assert_eq!(refusal(denied), (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));

    let before = pool.create_lease(by("web", CreateLeaseRequest::default())).await.unwrap();
    let before = before.into_inner().lease.unwrap();
    let mut app = watch(&mut pool, by("app", from(""))).await;
    let mut ops = watch(&mut pool, by("ops", from(""))).await;
    let mut ops_of_app = watch(&mut pool, by("ops", of("token:app"))).await;
    assert!(app.until_synced().await.is_empty());
    assert_eq!(ids(&ops.until_synced().await), [before.lease_id.as_str()]);
    assert!(ops_of_app.until_synced().await.is_empty());

    for caller in ["web", "app"] {
        pool.create_lease(by(caller, CreateLeaseRequest::default())).await.unwrap();
    }
    assert_eq!(app.lease().await.owner, "token:app");
    assert_eq!(ops.lease().await.owner, "token:web");
    assert_eq!(ops.lease().await.owner, "token:app");
    assert_eq!(ops_of_app.lease().await.owner, "token:app");
    // A token is no key to what another may see.
    let mut resumed = watch(&mut pool, by("app", from(&ops_of_app.token))).await;
    assert!(resumed.until_synced().await.is_empty());
}

#[tokio::test]
async fn a_filter_narrows_what_is_told() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let labelled = |team: &str| CreateLeaseRequest {
        labels: [("team".to_owned(), team.to_owned())].into(),
        ..CreateLeaseRequest::default()
    };
    let filter = LeaseFilter { labels: labelled("a").labels, ..LeaseFilter::default() };
    let request = WatchLeasesRequest { filter: Some(filter), ..WatchLeasesRequest::default() };
    lease(&mut pool, labelled("b")).await.unwrap();
    let mut reader = watch(&mut pool, request).await;
    assert!(reader.until_synced().await.is_empty());
    lease(&mut pool, labelled("b")).await.unwrap();
    let wanted = lease(&mut pool, labelled("a")).await.unwrap();
    assert_eq!(reader.lease().await.lease_id, wanted.lease_id);

    let filter = Some(LeaseFilter { states: vec![0], ..LeaseFilter::default() });
    let status =
        pool.watch_leases(WatchLeasesRequest { filter, ..from("page-2") }).await.unwrap_err();
    assert_eq!(fields(&status), ["resume_token", "filter.states[0]"]);
}

#[tokio::test]
async fn a_token_from_elsewhere_or_ahead_of_the_ledger_means_to_list_anew() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut reader = watch(&mut pool, from("")).await;
    reader.until_synced().await;
    let seal = stand.handle("default").seal();
    let here = seal.open_position(&reader.token).unwrap();
    let ahead = Position { revision: Revision(here.revision.0 + 1_000), ..here };
    let newer = Position { epoch: here.epoch + 1, ..here };
    for token in
        [seal.position(ahead), seal.position(newer), "watch-0000000000000000000000".to_owned()]
    {
        let refused = pool.watch_leases(from(&token)).await.map(|_| ());
        assert_eq!(refusal(refused), (Code::OutOfRange, "RESUME_TOO_OLD".to_owned()));
    }
}

/// S2.
#[tokio::test]
async fn a_stream_ends_in_order_when_the_daemon_stops() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut reader = watch(&mut pool, from("")).await;
    reader.until_synced().await;
    made(&mut pool).await;
    reader.lease().await;
    let seal = stand.handle("default").seal().clone();
    stand.pools.begin_stop();
    assert!(matches!(reader.next().await, Event::Heartbeat(_)));
    assert!(seal.open_position(&reader.token).is_some());
    let ended = timeout(BOUND, reader.messages.message()).await.expect("it ends").map(|_| ());
    assert_eq!(refusal(ended), (Code::Unavailable, "DRAINING".to_owned()));

    // The trailers say how it ended, and are counted so.
    let line = r#"grpc_server_handled_total{grpc_code="Unavailable",grpc_method="WatchLeases",grpc_service="argospool.v1.TokenPoolService"} 1"#;
    eventually(async || stand.scraped().await.lines().any(|it| it == line)).await;
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut readers = Vec::new();
    for _ in 0..STREAMS_MAX {
        readers.push(watch(&mut pool, from("")).await);
    }
    let status = pool.watch_leases(from("")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "WAITING_FULL")
    );
    assert!(status.get_details_retry_info().is_some());
    // Whoever leaves makes room, and is counted as gone.
    readers.truncate(STREAMS_MAX - 1);
    eventually(async || pool.watch_leases(from("")).await.is_ok()).await;
    let line = r#"grpc_server_handled_total{grpc_code="Canceled",grpc_method="WatchLeases",grpc_service="argospool.v1.TokenPoolService"} 1"#;
    let text = stand.scraped().await;
    assert!(text.lines().any(|it| it == line), "{text}");
}

#[tokio::test]
async fn nothing_that_is_told_holds_a_secret() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut reader = watch(&mut pool, from("")).await;
    reader.until_synced().await;
    let params = crate::api::proto::LiveformParams {
        email: "kim@example.com".to_owned(),
        ..Default::default()
    };
    let request = CreateLeaseRequest { params: Some(params), ..Default::default() };
    let made = lease(&mut pool, request).await.unwrap();
    let message = timeout(BOUND, reader.messages.message()).await.unwrap().unwrap().unwrap();
    let bytes = prost::Message::encode_to_vec(&message);
    let told = String::from_utf8_lossy(&bytes);
    assert!(told.contains(&made.lease_id));
    for secret in [made.token_id.as_str(), "http", "kim", "example"] {
        assert!(!told.contains(secret), "{secret}");
    }
}

/// However often it is cut off, and wherever, in the end it knows what a list knows.
#[tokio::test]
async fn a_watcher_that_is_cut_off_again_and_again_misses_no_lease() {
    let stand = Stand::ready().await;
    let channel = stand.serve(Access::default()).await;
    let mut pool = Pool::new(channel.clone());
    let mut reader = watch(&mut pool, from("")).await;
    assert!(reader.until_synced().await.is_empty());
    let world = {
        let mut pool = pool.clone();
        let argos = stand.handle("default").clone();
        tokio::spawn(async move {
            for number in 0..60 {
                argos.ring(crate::engine::Bell::Floor);
                let request = CreateLeaseRequest { wait: seconds(20), ..Default::default() };
                let made = lease(&mut pool, request).await.unwrap();
                match number % 3 {
                    0 => revoke(&mut pool, &made).await,
                    1 => {
                        let lease_id = made.lease_id.clone();
                        let wait = seconds(20);
                        let request = ReplaceLeaseRequest { lease_id, wait, ..Default::default() };
                        pool.replace_lease(request).await.unwrap();
                    }
                    _ => (),
                }
            }
        })
    };
    let mut known: BTreeMap<String, Lease> = BTreeMap::new();
    let (mut token, mut cuts) = (reader.token, 0_usize);
    loop {
        let over = world.is_finished();
        let mut reader = watch(&mut pool, from(&token)).await;
        // Cut off in the middle of catching up, or of what happens.
        cuts += 1;
        let mut synced = false;
        for _ in 0..cuts * 37 % 101 + 1 {
            let Ok(event) = timeout(Duration::from_millis(200), reader.next()).await else { break };
            token.clone_from(&reader.token);
            match event {
                Event::Lease(lease) => {
                    known.insert(lease.lease_id.clone(), lease);
                }
                Event::Synced(_) => synced = true,
                Event::Heartbeat(_) | Event::Lagged(_) => (),
            }
        }
        assert!(cuts < 5_000, "it never comes to an end");
        if over && synced {
            break;
        }
    }
    world.await.unwrap();
    // The last confirmations of deletions are told too.
    stand.until("default", |status| status.census.doomed == 0).await;
    for lease in watch(&mut pool, from(&token)).await.until_synced().await {
        known.insert(lease.lease_id.clone(), lease);
    }
    let request = crate::api::proto::ListLeasesRequest { page_size: 500, ..Default::default() };
    let listed = pool.list_leases(request).await.unwrap().into_inner();
    assert!(listed.next_page_token.is_empty());
    let listed: BTreeMap<_, _> =
        listed.leases.into_iter().map(|lease| (lease.lease_id.clone(), lease)).collect();
    assert!(listed.len() >= 80);
    // Whoever closed before it was told open is missing from neither.
    assert_eq!(known, listed);
}
