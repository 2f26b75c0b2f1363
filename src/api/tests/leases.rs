use std::collections::BTreeSet;

use super::*;
use crate::{
    api::{
        proto::{
            BatchCreateLeasesRequest, GetLeaseRequest, LeaseEnding, LeaseFilter, LeaseState,
            ListLeasesRequest, LiveformParams, ReleaseLeaseRequest, get_lease_request::Key,
        },
        stand::{STOCK, Stand},
    },
    domain::{submission::FactKind, time::Timestamp},
    port::Condition,
};

fn wish(request_id: &str) -> CreateLeaseRequest {
    let params = LiveformParams { userid: "user-1".to_owned(), ..LiveformParams::default() };
    CreateLeaseRequest {
        request_id: request_id.to_owned(),
        params: Some(params),
        labels: [("team".to_owned(), "kyc".to_owned())].into(),
        ..CreateLeaseRequest::default()
    }
}

fn number(of: u32) -> String {
    format!("00000000-0000-4000-8000-{of:012}")
}

async fn started(stand: &Stand, lease: &Lease) {
    stand.tell(&lease.token_id, FactKind::Started, None).await;
}

#[tokio::test]
async fn a_lease_is_a_url_that_carries_its_token_and_what_the_caller_said() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let lease = lease(&mut pool, wish("")).await.unwrap();
    let url =
        format!("https://form.example.com?pid=pid_default&token={}&userid=user-1", lease.token_id);
    assert_eq!(lease.url, url);
    assert_eq!(lease.project, "default");
    assert_eq!(lease.owner, "anonymous");
    assert_eq!(lease.state(), LeaseState::Issued);
    assert_eq!(lease.labels["team"], "kyc");
    let (issued, expires) = (lease.create_time.unwrap(), lease.expire_time.unwrap());
    assert_eq!(expires.seconds - issued.seconds, 600);
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_lease_byte_for_byte() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let first = lease(&mut pool, wish(SOME_ID)).await.unwrap();
    // Neither the wait nor the default ttl spelled otherwise is part of what was asked.
    let again = CreateLeaseRequest { wait: seconds(3), ..wish(SOME_ID) };
    assert_eq!(lease(&mut pool, again).await.unwrap(), first);
}

#[tokio::test]
async fn a_request_id_stands_for_one_wish() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    lease(&mut pool, wish(SOME_ID)).await.unwrap();
    let reused = (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned());
    for other in [
        CreateLeaseRequest { ttl: seconds(600), ..wish(SOME_ID) },
        CreateLeaseRequest { params: None, ..wish(SOME_ID) },
        CreateLeaseRequest {
            labels: [("team".to_owned(), "kyd".to_owned())].into(),
            ..wish(SOME_ID)
        },
        CreateLeaseRequest {
            params: Some(LiveformParams {
                age_limit: Some(false),
                ..wish(SOME_ID).params.unwrap_or_default()
            }),
            ..wish(SOME_ID)
        },
        // What cannot be written is compared like anything else.
        CreateLeaseRequest { template: "nobody_knows".to_owned(), ..wish(SOME_ID) },
    ] {
        assert_eq!(refusal(lease(&mut pool, other).await), reused);
    }
}

#[tokio::test]
async fn every_field_at_fault_is_named_and_no_value_repeated() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let request = CreateLeaseRequest {
        request_id: "secret-1".to_owned(),
        ttl: seconds(5),
        wait: seconds(-1),
        params: Some(LiveformParams {
            email: "secret-2".to_owned(),
            lang: "secret-3".to_owned(),
            ..LiveformParams::default()
        }),
        labels: [("sécret-4".to_owned(), String::new()), ("a".to_owned(), "secret-5\n".to_owned())]
            .into(),
        ..CreateLeaseRequest::default()
    };
    let status = lease(&mut pool, request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "INVALID_REQUEST");
    let expected =
        ["wait", "request_id", "ttl", "labels[a]", "labels", "params.email", "params.lang"];
    assert_eq!(fields(&status), expected);
    assert!(!format!("{:?}", status.get_error_details()).contains("cret-"), "{status:?}");
    assert!(!status.message().contains("cret-"));
}

#[tokio::test]
async fn an_empty_pool_says_when_to_come_back() {
    let stand = Stand::closed(&["default"]);
    stand.argos("default").set(Condition::Failing);
    stand.open().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let status = lease(&mut pool, wish("")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::ResourceExhausted, "POOL_EMPTY".to_owned())
    );
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn the_caller_s_deadline_ends_the_wait_with_our_own_answer() {
    let stand = Stand::closed(&["default"]);
    stand.argos("default").set(Condition::Failing);
    stand.open().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut request = Request::new(CreateLeaseRequest { wait: seconds(30), ..wish("") });
    request.metadata_mut().insert("grpc-timeout", "2S".parse().unwrap());
    let status = pool.create_lease(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::ResourceExhausted, "POOL_EMPTY".to_owned())
    );
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_in_the_order_of_its_requests() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let batch = |size: u32| BatchCreateLeasesRequest {
        requests: (1..=size).map(|of| wish(&number(of))).collect(),
        ..BatchCreateLeasesRequest::default()
    };
    stand.argos("default").set(Condition::Failing);
    let too_many = pool.batch_create_leases(batch(STOCK + 1)).await;
    assert_eq!(refusal(too_many), (Code::ResourceExhausted, "POOL_EMPTY".to_owned()));
    stand.until("default", |status| status.leasable == STOCK).await;

    let leases = pool.batch_create_leases(batch(7)).await.unwrap().into_inner().leases;
    let ids: Vec<_> = leases.iter().map(|lease| lease.request_id.clone()).collect();
    assert_eq!(ids, (1..=7).map(number).collect::<Vec<_>>());
    let urls: BTreeSet<_> = leases.iter().map(|lease| &lease.url).collect();
    assert_eq!(urls.len(), 7);
    // A lost batch can be asked for again, whole or one by one.
    assert_eq!(pool.batch_create_leases(batch(7)).await.unwrap().into_inner().leases, leases);
    assert_eq!(lease(&mut pool, wish(&number(3))).await.unwrap(), leases[2]);
}

#[tokio::test]
async fn faults_inside_a_batch_lead_to_their_entry() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let params = LiveformParams { email: "nobody".to_owned(), ..LiveformParams::default() };
    let requests = vec![
        wish(SOME_ID),
        CreateLeaseRequest { wait: seconds(1), ..wish("") },
        CreateLeaseRequest { project: "other".to_owned(), ..wish(SOME_ID) },
        CreateLeaseRequest { params: Some(params), ..wish("") },
    ];
    let batch = BatchCreateLeasesRequest { requests, ..BatchCreateLeasesRequest::default() };
    let status = pool.batch_create_leases(batch).await.unwrap_err();
    let expected = [
        "requests[1].wait",
        "requests[2].project",
        "requests[2].request_id",
        "requests[3].params.email",
    ];
    assert_eq!(fields(&status), expected);
    let none = pool.batch_create_leases(BatchCreateLeasesRequest::default()).await.unwrap_err();
    assert_eq!(fields(&none), ["requests"]);
}

#[tokio::test]
async fn a_lease_is_found_by_its_id_and_by_its_request() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, wish(SOME_ID)).await.unwrap();
    let mut get = async |key| {
        let request = GetLeaseRequest { key: Some(key), ..GetLeaseRequest::default() };
        pool.get_lease(request).await.map(|answer| answer.into_inner().lease.unwrap())
    };
    // Nobody vouches for `anonymous`, so a read shows it no secret.
    let hidden = Lease { token_id: String::new(), url: String::new(), ..made.clone() };
    assert_eq!(get(Key::LeaseId(made.lease_id.clone())).await.unwrap(), hidden);
    assert_eq!(get(Key::RequestId(SOME_ID.to_owned())).await.unwrap(), hidden);

    let unknown = (Code::NotFound, "LEASE_NOT_FOUND".to_owned());
    assert_eq!(refusal(get(Key::RequestId(number(9))).await), unknown);
    let nobody_s = "lease-0000000000000000000000".to_owned();
    assert_eq!(refusal(get(Key::LeaseId(nobody_s)).await), unknown);
    for (malformed, field) in [
        (Key::LeaseId("lease-1".to_owned()), "lease_id"),
        (Key::LeaseId(made.token_id.clone()), "lease_id"),
        (Key::RequestId("1".to_owned()), "request_id"),
        (Key::RequestId(String::new()), "key"),
    ] {
        assert_eq!(fields(&get(malformed).await.unwrap_err()), [field]);
    }
}

#[tokio::test]
async fn a_lease_that_was_never_shown_is_given_back_once() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, wish(SOME_ID)).await.unwrap();
    let mut release = async |lease_id: &str, request_id: &str| {
        let request = ReleaseLeaseRequest {
            lease_id: lease_id.to_owned(),
            request_id: request_id.to_owned(),
            ..ReleaseLeaseRequest::default()
        };
        pool.release_lease(request).await.map(|answer| answer.into_inner().lease.unwrap())
    };
    let closed = release(&made.lease_id, &number(1)).await.unwrap();
    assert_eq!((closed.state(), closed.ending()), (LeaseState::Closed, LeaseEnding::Released));
    assert_eq!((closed.token_id.as_str(), closed.url.as_str()), ("", ""));
    assert_eq!(release(&made.lease_id, &number(1)).await.unwrap(), closed);

    let again = release(&made.lease_id, &number(2)).await;
    assert_eq!(refusal(again), (Code::FailedPrecondition, "LEASE_CLOSED".to_owned()));
    let nobody_s = release("lease-0000000000000000000000", "").await;
    assert_eq!(refusal(nobody_s), (Code::NotFound, "LEASE_NOT_FOUND".to_owned()));

    // The request that created it is answered with what became of it, without the URL.
    let replayed = lease(&mut pool, wish(SOME_ID)).await.unwrap();
    assert_eq!(replayed, closed);
}

#[tokio::test]
async fn a_lease_in_use_is_not_given_back() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, wish("")).await.unwrap();
    started(&stand, &made).await;
    let request = ReleaseLeaseRequest { lease_id: made.lease_id, ..ReleaseLeaseRequest::default() };
    let refused = pool.release_lease(request).await;
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "LEASE_STARTED".to_owned()));
}

#[tokio::test]
async fn a_listing_walks_open_and_closed_leases_in_order_without_secrets() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(lease(&mut pool, wish("")).await.unwrap());
    }
    started(&stand, &made[3]).await;
    let request = ReleaseLeaseRequest {
        lease_id: made[2].lease_id.clone(),
        ..ReleaseLeaseRequest::default()
    };
    pool.release_lease(request).await.unwrap();

    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            ListLeasesRequest { page_size: 3, page_token, ..ListLeasesRequest::default() };
        let page = pool.list_leases(request).await.unwrap().into_inner();
        assert!(page.leases.len() <= 3);
        assert!(page.leases.iter().all(|lease| lease.url.is_empty() && lease.token_id.is_empty()));
        seen.extend(page.leases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let ids =
        |leases: &[Lease]| leases.iter().map(|lease| lease.lease_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&seen), ids(&made));

    let mut narrowed = async |filter| {
        let request = ListLeasesRequest { filter: Some(filter), ..ListLeasesRequest::default() };
        ids(&pool.list_leases(request).await.unwrap().into_inner().leases)
    };
    let states = vec![LeaseState::Started.into()];
    let filter = LeaseFilter { states, ..LeaseFilter::default() };
    assert_eq!(narrowed(filter).await, ids(&made[3..4]));
    let endings = vec![LeaseEnding::Released.into(), LeaseEnding::Lapsed.into()];
    let filter = LeaseFilter { endings, ..LeaseFilter::default() };
    assert_eq!(narrowed(filter).await, ids(&made[2..3]));
    let labels = [("team".to_owned(), "other".to_owned())].into();
    assert!(narrowed(LeaseFilter { labels, ..LeaseFilter::default() }).await.is_empty());
    let created_before = made[0].create_time;
    assert!(narrowed(LeaseFilter { created_before, ..LeaseFilter::default() }).await.is_empty());
    let created_after = made[0].create_time;
    let filter = LeaseFilter { created_after, ..LeaseFilter::default() };
    assert_eq!(narrowed(filter).await, ids(&made));
}

#[tokio::test]
async fn a_listing_names_what_is_wrong_with_it() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let filter = LeaseFilter {
        states: vec![1, 0],
        endings: vec![99],
        created_after: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
        ..LeaseFilter::default()
    };
    let request = ListLeasesRequest {
        page_size: 501,
        page_token: "page-2".to_owned(),
        filter: Some(filter),
        ..ListLeasesRequest::default()
    };
    let status = pool.list_leases(request).await.unwrap_err();
    let expected = [
        "page_size",
        "page_token",
        "filter.states[1]",
        "filter.endings[0]",
        "filter.created_after",
    ];
    assert_eq!(fields(&status), expected);
}

#[tokio::test]
async fn a_started_lease_says_when_its_link_is_dead() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, wish("")).await.unwrap();
    assert_eq!(made.link_dead_time, None);
    started(&stand, &made).await;
    let key = Some(Key::LeaseId(made.lease_id));
    let request = GetLeaseRequest { key, ..GetLeaseRequest::default() };
    let lease = pool.get_lease(request).await.unwrap().into_inner().lease.unwrap();
    let at = |time: Option<prost_types::Timestamp>| {
        let time = time.unwrap();
        Timestamp::from_millis(
            u64::try_from(time.seconds * 1_000 + i64::from(time.nanos / 1_000_000)).unwrap(),
        )
    };
    let window = at(lease.link_dead_time).since(at(lease.first_use_time));
    assert_eq!(window, std::time::Duration::from_secs(180));
}
