use super::*;
use crate::{
    api::{
        proto::{
            GetLeaseRequest, LeaseEnding, LeaseFilter, LeaseState, ListLeasesRequest,
            LiveformParams, PauseRequest, ReplaceLeaseRequest, RevokeLeaseRequest,
            RevokeLeasesRequest, get_lease_request::Key,
        },
        stand::{STOCK, Stand},
    },
    domain::{submission::FactKind, token::Decision},
    port::Condition,
};

const OTHER_ID: &str = "6b3f2f4e-0d5a-4a53-9c1e-3c6e2f9b1a02";

fn revocation(lease: &Lease) -> RevokeLeaseRequest {
    RevokeLeaseRequest {
        lease_id: lease.lease_id.clone(),
        wait: seconds(0),
        ..RevokeLeaseRequest::default()
    }
}

fn replacement(lease: &Lease, request_id: &str) -> ReplaceLeaseRequest {
    ReplaceLeaseRequest {
        lease_id: lease.lease_id.clone(),
        request_id: request_id.to_owned(),
        ..ReplaceLeaseRequest::default()
    }
}

async fn revoke(pool: &mut Pool, request: RevokeLeaseRequest) -> Result<Lease, Status> {
    Ok(pool.revoke_lease(request).await?.into_inner().lease.unwrap())
}

async fn replace(pool: &mut Pool, request: ReplaceLeaseRequest) -> Result<[Lease; 2], Status> {
    let answer = pool.replace_lease(request).await?.into_inner();
    Ok([answer.lease.unwrap(), answer.replaced.unwrap()])
}

async fn read(pool: &mut Pool, lease: &Lease) -> Lease {
    let key = Some(Key::LeaseId(lease.lease_id.clone()));
    let request = GetLeaseRequest { key, ..GetLeaseRequest::default() };
    pool.get_lease(request).await.unwrap().into_inner().lease.unwrap()
}

/// The query of a URL without its token.
fn parameters(lease: &Lease) -> String {
    lease.url.replace(&lease.token_id, "…")
}

#[tokio::test]
async fn a_revoked_link_is_dead_for_certain_when_argos_has_deleted_it() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    let request = RevokeLeaseRequest { wait: seconds(20), ..revocation(&made) };
    let closed = revoke(&mut pool, request).await.unwrap();
    assert_eq!((closed.state(), closed.ending()), (LeaseState::Closed, LeaseEnding::Revoked));
    assert!(closed.link_dead_time.is_some(), "{closed:?}");
    assert!(closed.url.is_empty() && closed.token_id.is_empty());
}

#[tokio::test]
async fn a_revocation_waits_no_longer_than_asked_and_is_repeated_without_harm() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    stand.argos("default").hold_deletions(true);
    let request = RevokeLeaseRequest { request_id: SOME_ID.to_owned(), ..revocation(&made) };
    let closed = revoke(&mut pool, request.clone()).await.unwrap();
    assert_eq!((closed.ending(), closed.link_dead_time), (LeaseEnding::Revoked, None));
    // With the same id, with none, and with the caller's own deadline for the wait.
    assert_eq!(revoke(&mut pool, request.clone()).await.unwrap(), closed);
    assert_eq!(revoke(&mut pool, revocation(&made)).await.unwrap(), closed);
    let mut waiting = Request::new(RevokeLeaseRequest { wait: seconds(30), ..revocation(&made) });
    waiting.metadata_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let answer = pool.revoke_lease(waiting).await.unwrap().into_inner().lease.unwrap();
    assert_eq!(answer, closed);

    stand.argos("default").hold_deletions(false);
    let request = RevokeLeaseRequest { wait: seconds(20), ..request };
    assert!(revoke(&mut pool, request).await.unwrap().link_dead_time.is_some());
}

/// Hard on whoever is on the page, and nothing is forgotten of it.
#[tokio::test]
async fn a_session_in_progress_may_still_be_decided_after_its_link_is_dead() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    stand.tell(&made.token_id, FactKind::Started, Some("sub-1")).await;
    let request = RevokeLeaseRequest { wait: seconds(20), ..revocation(&made) };
    let closed = revoke(&mut pool, request).await.unwrap();
    assert!(closed.link_dead_time.unwrap().seconds < closed.first_use_time.unwrap().seconds + 180);
    stand.tell(&made.token_id, FactKind::Decided(Decision::Approved), Some("sub-1")).await;
    let found = read(&mut pool, &made).await;
    assert_eq!(found.ending(), LeaseEnding::Revoked);
    assert_eq!(found.decision(), crate::api::proto::Decision::Approved);
    assert_eq!(found.submission_id, "sub-1");
    assert!(found.decision_time.is_some());
}

#[tokio::test]
async fn a_lease_that_has_closed_keeps_its_ending_and_its_link_dies_sooner() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    stand.tell(&made.token_id, FactKind::Decided(Decision::Rejected), Some("sub-1")).await;
    let before = stand.handle("default").status().await.unwrap().census.doomed;
    assert_eq!(before, 1, "a decided token is left alone for a while");
    let request = RevokeLeaseRequest { wait: seconds(20), ..revocation(&made) };
    let closed = revoke(&mut pool, request).await.unwrap();
    assert_eq!(closed.ending(), LeaseEnding::Decided);
    stand.until("default", |status| status.census.doomed == 0).await;
}

/// P2.
#[tokio::test]
async fn nobody_but_the_owner_and_an_admin_kills_or_replaces_a_link() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let mut made = async || {
        let made = pool.create_lease(by("web", CreateLeaseRequest::default())).await.unwrap();
        made.into_inner().lease.unwrap()
    };
    let (first, second, third) = (made().await, made().await, made().await);
    let gone = (Code::NotFound, "LEASE_NOT_FOUND".to_owned());
    assert_eq!(refusal(pool.revoke_lease(by("app", revocation(&first))).await), gone);
    let taken = pool.replace_lease(by("app", replacement(&first, ""))).await;
    assert_eq!(refusal(taken), gone);
    pool.revoke_lease(by("web", revocation(&first))).await.unwrap();
    // Also of a lease that has closed.
    assert_eq!(refusal(pool.revoke_lease(by("app", revocation(&first))).await), gone);
    pool.revoke_lease(by("ops", revocation(&second))).await.unwrap();

    // An admin replaces for the owner, who is found with the new link.
    let answer = pool.replace_lease(by("ops", replacement(&third, ""))).await.unwrap();
    let next = answer.into_inner().lease.unwrap();
    assert_eq!(next.owner, "token:web");
    let key = Some(Key::LeaseId(next.lease_id.clone()));
    let request = GetLeaseRequest { key, ..GetLeaseRequest::default() };
    let found = pool.get_lease(by("web", request)).await.unwrap().into_inner().lease.unwrap();
    assert_eq!(found, next);
}

#[tokio::test]
async fn a_reason_for_the_log_may_hold_no_secret_and_no_person() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    for reason in [
        made.url.clone(),
        format!("token {} was seen", made.token_id),
        "kim@example.com asked".to_owned(),
        "two\nlines".to_owned(),
        "x".repeat(257),
    ] {
        let request = RevokeLeaseRequest { reason, ..revocation(&made) };
        let status = revoke(&mut pool, request).await.unwrap_err();
        assert_eq!(fields(&status), ["reason"]);
    }
    let reason = "ticket KYC-1234: phone was stolen".to_owned();
    revoke(&mut pool, RevokeLeaseRequest { reason, ..revocation(&made) }).await.unwrap();
}

#[tokio::test]
async fn a_replacement_is_the_same_wish_with_another_token_and_the_first_link_dies() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let params = LiveformParams { email: "kim@example.com".to_owned(), ..Default::default() };
    let request = CreateLeaseRequest {
        params: Some(params),
        labels: [("team".to_owned(), "kyc".to_owned())].into(),
        ..CreateLeaseRequest::default()
    };
    let first = lease(&mut pool, request).await.unwrap();
    let [next, replaced] = replace(&mut pool, replacement(&first, SOME_ID)).await.unwrap();
    assert_ne!(next.token_id, first.token_id);
    assert_eq!(parameters(&next), parameters(&first));
    assert_eq!((&next.labels, &next.owner), (&first.labels, &first.owner));
    assert_eq!(next.request_id, SOME_ID);
    assert_eq!(next.replaces_lease_id, first.lease_id);
    assert_eq!(replaced.ending(), LeaseEnding::Replaced);
    assert_eq!(replaced.replaced_by_lease_id, next.lease_id);
    assert!(replaced.url.is_empty() && replaced.token_id.is_empty());
    stand.until("default", |status| status.census.doomed == 0).await;

    // A replay answers both, byte for byte.
    let [again, before] = replace(&mut pool, replacement(&first, SOME_ID)).await.unwrap();
    assert_eq!(again, next);
    assert_eq!(before.lease_id, first.lease_id);
    assert_eq!(read(&mut pool, &first).await.replaced_by_lease_id, next.lease_id);
}

#[tokio::test]
async fn a_replacement_that_cannot_be_says_what_took_its_place() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let first = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    let [next, _] = replace(&mut pool, replacement(&first, SOME_ID)).await.unwrap();
    for request_id in [OTHER_ID, ""] {
        let status = replace(&mut pool, replacement(&first, request_id)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "LEASE_REPLACED")
        );
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["replaced_by_lease_id"], next.lease_id);
        assert!(status.message().contains(&next.lease_id));
    }
    // Another ttl, or another lease, is another wish.
    let other = ReplaceLeaseRequest { ttl: seconds(60), ..replacement(&first, SOME_ID) };
    let reused = (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned());
    assert_eq!(refusal(replace(&mut pool, other).await), reused);
    assert_eq!(refusal(replace(&mut pool, replacement(&next, SOME_ID)).await), reused);
    let revoked = RevokeLeaseRequest { request_id: SOME_ID.to_owned(), ..revocation(&next) };
    assert_eq!(refusal(revoke(&mut pool, revoked).await), reused);

    revoke(&mut pool, revocation(&next)).await.unwrap();
    let closed = replace(&mut pool, replacement(&next, OTHER_ID)).await;
    assert_eq!(refusal(closed), (Code::FailedPrecondition, "LEASE_CLOSED".to_owned()));
    let status =
        replace(&mut pool, ReplaceLeaseRequest { ttl: seconds(1), ..replacement(&next, "1") });
    assert_eq!(fields(&status.await.unwrap_err()), ["request_id", "ttl"]);
}

#[tokio::test]
async fn an_empty_pool_replaces_nothing_and_leaves_the_first_as_it_is() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    stand.argos("default").set(Condition::Failing);
    let mut made = Vec::new();
    for _ in 0..STOCK {
        made.push(lease(&mut pool, CreateLeaseRequest::default()).await.unwrap());
    }
    let refused = replace(&mut pool, replacement(&made[0], SOME_ID)).await;
    assert_eq!(refusal(refused), (Code::ResourceExhausted, "POOL_EMPTY".to_owned()));
    assert_eq!(read(&mut pool, &made[0]).await.state(), LeaseState::Issued);
    // It waits as any caller does, and is served when there is stock.
    let request = ReplaceLeaseRequest { wait: seconds(20), ..replacement(&made[0], SOME_ID) };
    let mut patient = pool.clone();
    let waiting = tokio::spawn(async move { replace(&mut patient, request).await });
    stand.until("default", |status| status.waiting_callers == 1).await;
    stand.argos("default").set(Condition::Up);
    stand.handle("default").ring(crate::engine::Bell::Floor);
    let [next, replaced] = waiting.await.unwrap().unwrap();
    assert_eq!(
        (next.replaces_lease_id, replaced.lease_id.clone()),
        (made[0].lease_id.clone(), replaced.lease_id)
    );
}

#[tokio::test]
async fn a_replacement_counts_against_the_quota_and_a_revocation_does_not() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let made = pool.create_lease(by("app", CreateLeaseRequest::default())).await.unwrap();
    let mut made = made.into_inner().lease.unwrap();
    for _ in 0..2 {
        let answer = pool.replace_lease(by("app", replacement(&made, ""))).await.unwrap();
        made = answer.into_inner().lease.unwrap();
    }
    let exhausted = (Code::ResourceExhausted, "CALLER_QUOTA".to_owned());
    let refused = pool.replace_lease(by("app", replacement(&made, ""))).await;
    assert_eq!(refusal(refused), exhausted);
    pool.revoke_lease(by("app", revocation(&made))).await.unwrap();
}

#[tokio::test]
async fn links_can_be_killed_while_nothing_new_is_handed_out() {
    let stand = Stand::ready().await;
    let channel = stand.serve(Access::default()).await;
    let mut pool = Pool::new(channel.clone());
    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    Admin::new(channel).pause(PauseRequest::default()).await.unwrap();
    let refused = lease(&mut pool, CreateLeaseRequest::default()).await;
    assert_eq!(refusal(refused), (Code::Unavailable, "PAUSED".to_owned()));
    assert_eq!(revoke(&mut pool, revocation(&made)).await.unwrap().ending(), LeaseEnding::Revoked);
}

#[tokio::test]
async fn many_links_are_killed_by_what_they_have_in_common() {
    let stand = Stand::ready().await;
    let channel = stand.serve(callers()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    let mut made = async |caller: &str, team: &str| {
        let labels = [("team".to_owned(), team.to_owned())].into();
        let request = CreateLeaseRequest { labels, ..CreateLeaseRequest::default() };
        pool.create_lease(by(caller, request)).await.unwrap().into_inner().lease.unwrap()
    };
    let leases = [
        made("web", "a").await,
        made("web", "b").await,
        made("web", "b").await,
        made("app", "b").await,
    ];
    stand.tell(&leases[1].token_id, FactKind::Started, None).await;
    let of = |owner: &str, team: &str, states: &[LeaseState]| {
        let labels: std::collections::BTreeMap<_, _> = [("team".to_owned(), team.to_owned())]
            .into_iter()
            .filter(|_| !team.is_empty())
            .collect();
        let states = states.iter().map(|state| (*state).into()).collect();
        LeaseFilter { owner: owner.to_owned(), labels, states, ..LeaseFilter::default() }
    };
    let mut revoke = async |filter: LeaseFilter, dry_run| {
        let filter = Some(filter);
        let request = RevokeLeasesRequest { filter, dry_run, ..RevokeLeasesRequest::default() };
        let answer = admin.revoke_leases(by("ops", request)).await.unwrap().into_inner();
        (answer.matched_leases, answer.revoked_leases)
    };
    assert_eq!(revoke(of("token:web", "b", &[]), true).await, (2, 0));
    assert_eq!(revoke(of("", "b", &[LeaseState::Started]), false).await, (1, 1));
    assert_eq!(revoke(of("token:web", "b", &[]), false).await, (1, 1));
    assert_eq!(revoke(of("token:web", "b", &[]), false).await, (0, 0));
    // All of them, when that is said.
    let all = [LeaseState::Issued, LeaseState::Started];
    assert_eq!(revoke(of("", "", &all), false).await, (2, 2));
    let listed = pool.list_leases(by("ops", ListLeasesRequest::default())).await.unwrap();
    let listed = listed.into_inner().leases;
    assert!(listed.iter().all(|lease| lease.ending() == LeaseEnding::Revoked), "{listed:?}");
}

#[tokio::test]
async fn an_admin_kills_all_links_only_by_saying_so() {
    let stand = Stand::ready().await;
    let channel = stand.serve(callers()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    pool.create_lease(by("web", CreateLeaseRequest::default())).await.unwrap();
    let mut fields_of = async |filter: Option<LeaseFilter>| {
        let request = RevokeLeasesRequest { filter, ..RevokeLeasesRequest::default() };
        fields(&admin.revoke_leases(by("ops", request)).await.unwrap_err())
    };
    assert_eq!(fields_of(None).await, ["filter"]);
    assert_eq!(fields_of(Some(LeaseFilter::default())).await, ["filter"]);
    let closed = LeaseFilter {
        states: vec![LeaseState::Closed.into()],
        endings: vec![LeaseEnding::Lapsed.into()],
        decisions: vec![0],
        ..LeaseFilter::default()
    };
    let at_fault = ["filter.states[0]", "filter.endings", "filter.decisions"];
    assert_eq!(fields_of(Some(closed)).await, at_fault);
    let filter = Some(LeaseFilter { owner: "token:web".to_owned(), ..LeaseFilter::default() });
    let request = RevokeLeasesRequest { filter, ..RevokeLeasesRequest::default() };
    let denied = admin.revoke_leases(by("web", request)).await;
    assert_eq!(refusal(denied), (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));
    stand.until("default", |status| status.census.leased == 1).await;
}
