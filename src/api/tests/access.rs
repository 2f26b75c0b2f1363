use super::*;
use crate::{
    api::{
        proto::{
            AuditRequest, GetChronicleRequest, GetLeaseRequest, GetStatusRequest, LeaseFilter,
            ListLeasesRequest, ListTokensRequest, PauseRequest, PreflightRequest, RefillRequest,
            ReleaseLeaseRequest, ResumeRequest, get_lease_request::Key,
        },
        stand::{STOCK, Stand},
    },
    domain::{ids::Sequence, submission::FactKind},
};

fn get(lease_id: &str) -> GetLeaseRequest {
    GetLeaseRequest { key: Some(Key::LeaseId(lease_id.to_owned())), ..GetLeaseRequest::default() }
}

/// P2.
#[tokio::test]
async fn nobody_is_served_without_a_known_identity() {
    let stand = Stand::ready().await;
    let channel = stand.serve(callers()).await;
    let mut pool = Pool::new(channel.clone());
    let missing = pool.create_lease(CreateLeaseRequest::default()).await;
    assert_eq!(refusal(missing), (Code::Unauthenticated, "IDENTITY_MISSING".to_owned()));
    let unknown = pool.create_lease(by("nobody", CreateLeaseRequest::default())).await;
    assert_eq!(refusal(unknown), (Code::Unauthenticated, "IDENTITY_UNKNOWN".to_owned()));
    let mut admin = Admin::new(channel);
    let missing = admin.get_status(GetStatusRequest::default()).await;
    assert_eq!(refusal(missing), (Code::Unauthenticated, "IDENTITY_MISSING".to_owned()));
    admin.get_status(by("ops", GetStatusRequest::default())).await.unwrap();
}

/// P2.
#[tokio::test]
async fn a_lease_of_somebody_else_does_not_exist_for_a_caller() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let request = CreateLeaseRequest { request_id: SOME_ID.to_owned(), ..Default::default() };
    let made = pool.create_lease(by("web", request.clone())).await.unwrap();
    let made = made.into_inner().lease.unwrap();
    assert_eq!(made.owner, "token:web");

    let gone = (Code::NotFound, "LEASE_NOT_FOUND".to_owned());
    assert_eq!(refusal(pool.get_lease(by("app", get(&made.lease_id))).await), gone);
    let release = ReleaseLeaseRequest { lease_id: made.lease_id.clone(), ..Default::default() };
    assert_eq!(refusal(pool.release_lease(by("app", release.clone())).await), gone);
    let key = Some(Key::RequestId(SOME_ID.to_owned()));
    let by_request = GetLeaseRequest { key, ..Default::default() };
    assert_eq!(refusal(pool.get_lease(by("app", by_request)).await), gone);

    // The same request id of another owner is another request.
    let other = pool.create_lease(by("app", request)).await.unwrap().into_inner().lease.unwrap();
    assert_ne!(other.url, made.url);

    pool.release_lease(by("web", release.clone())).await.unwrap();
    assert_eq!(refusal(pool.release_lease(by("app", release)).await), gone);
}

#[tokio::test]
async fn the_owner_and_an_appointed_admin_are_shown_the_url_again() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let made = pool.create_lease(by("web", CreateLeaseRequest::default())).await.unwrap();
    let made = made.into_inner().lease.unwrap();
    for reader in ["web", "ops"] {
        let read = pool.get_lease(by(reader, get(&made.lease_id))).await.unwrap();
        assert_eq!(read.into_inner().lease.unwrap(), made, "{reader}");
    }
}

#[tokio::test]
async fn a_caller_lists_its_own_leases_and_an_admin_everybody_s() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    for caller in ["web", "app"] {
        pool.create_lease(by(caller, CreateLeaseRequest::default())).await.unwrap();
    }
    let of = |owner: &str| ListLeasesRequest {
        filter: Some(LeaseFilter { owner: owner.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let mut owners = async |caller: &str, owner: &str| {
        let listed = pool.list_leases(by(caller, of(owner))).await?.into_inner().leases;
        Ok::<_, Status>(listed.into_iter().map(|lease| lease.owner).collect::<Vec<_>>())
    };
    assert_eq!(owners("web", "").await.unwrap(), ["token:web"]);
    assert_eq!(owners("ops", "").await.unwrap(), ["token:web", "token:app"]);
    assert_eq!(owners("ops", "token:app").await.unwrap(), ["token:app"]);
    let denied = owners("web", "token:app").await;
    assert_eq!(refusal(denied), (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));
}

#[tokio::test]
async fn a_quota_counts_what_is_taken_and_what_is_given_back() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let made = pool.create_lease(by("app", CreateLeaseRequest::default())).await.unwrap();
    let lease_id = made.into_inner().lease.unwrap().lease_id;
    let release = ReleaseLeaseRequest { lease_id, ..Default::default() };
    pool.release_lease(by("app", release)).await.unwrap();
    pool.create_lease(by("app", CreateLeaseRequest::default())).await.unwrap();
    let status = pool.create_lease(by("app", CreateLeaseRequest::default())).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::ResourceExhausted, "CALLER_QUOTA".to_owned())
    );
    let quota = status.get_details_quota_failure().unwrap();
    assert_eq!(quota.violations[0].subject, "caller:token:app");
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn a_caller_keeps_to_its_projects() {
    let stand = Stand::ready_with(&["default", "other"]).await;
    let mut pool = Pool::new(stand.serve(callers()).await);
    let of =
        |project: &str| CreateLeaseRequest { project: project.to_owned(), ..Default::default() };
    pool.create_lease(by("web", of("default"))).await.unwrap();
    let denied = pool.create_lease(by("web", of("other"))).await;
    assert_eq!(refusal(denied), (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));
    for project in ["", "third"] {
        let status = pool.create_lease(by("web", of(project))).await.unwrap_err();
        assert_eq!(reason(&status), "PROJECT_NOT_FOUND");
        assert!(!status.message().contains("other"), "{status:?}");
    }
}

#[tokio::test]
async fn every_order_of_an_admin_needs_the_role() {
    let stand = Stand::ready().await;
    let mut admin = Admin::new(stand.serve(callers()).await);
    let denied = || (Code::PermissionDenied, "NOT_ALLOWED".to_owned());
    let status = admin.get_status(by("web", GetStatusRequest::default())).await;
    assert_eq!(refusal(status), denied());
    let chronicle = admin.get_chronicle(by("web", GetChronicleRequest::default())).await;
    assert_eq!(refusal(chronicle), denied());
    let tokens = admin.list_tokens(by("web", ListTokensRequest::default())).await;
    assert_eq!(refusal(tokens), denied());
    assert_eq!(refusal(admin.refill(by("web", RefillRequest::default())).await), denied());
    assert_eq!(refusal(admin.pause(by("web", PauseRequest::default())).await), denied());
    assert_eq!(refusal(admin.resume(by("web", ResumeRequest::default())).await), denied());
    assert_eq!(refusal(admin.audit(by("web", AuditRequest::default())).await), denied());
    assert_eq!(refusal(admin.preflight(by("web", PreflightRequest::default())).await), denied());
    stand.until("default", |status| status.pauses.is_empty() && status.leasable == STOCK).await;
}

#[tokio::test]
async fn a_presumed_lease_has_no_owner_and_is_shown_to_admins_only() {
    let stand = Stand::ready().await;
    let channel = stand.serve(callers()).await;
    let (mut pool, mut admin) = (Pool::new(channel.clone()), Admin::new(channel));
    // Somebody uses a token that was never handed out.
    let ready = stand.handle("default").tokens(Sequence::ZERO, 1, |_| true).await.unwrap();
    stand.tell(ready.items[0].id.expose(), FactKind::Started, None).await;

    let listed = pool.list_leases(by("ops", ListLeasesRequest::default())).await.unwrap();
    let presumed = listed.into_inner().leases.remove(0);
    assert!(presumed.presumed && presumed.owner.is_empty());
    let read = pool.get_lease(by("ops", get(&presumed.lease_id))).await.unwrap();
    assert_eq!(read.into_inner().lease.unwrap(), presumed);
    assert!(presumed.url.is_empty() && presumed.token_id.is_empty());

    let listed = pool.list_leases(by("web", ListLeasesRequest::default())).await.unwrap();
    assert!(listed.into_inner().leases.is_empty());
    let hidden = pool.get_lease(by("web", get(&presumed.lease_id))).await;
    assert_eq!(refusal(hidden), (Code::NotFound, "LEASE_NOT_FOUND".to_owned()));

    // A broken promise stops hand-outs, and says what to do.
    let refused = pool.create_lease(by("web", CreateLeaseRequest::default())).await;
    assert_eq!(refusal(refused), (Code::Unavailable, "HALTED".to_owned()));
    let status = admin.get_status(by("ops", GetStatusRequest::default())).await.unwrap();
    let problem = &status.into_inner().projects[0].problems[0];
    assert_eq!(problem.reason, "HALTED");
    assert!(problem.summary.contains("L1") && problem.summary.contains("resume"), "{problem:?}");
}

#[tokio::test]
async fn a_lease_can_be_printed_without_giving_its_secrets_away() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let params = crate::api::proto::LiveformParams {
        email: "kim@example.com".to_owned(),
        ..Default::default()
    };
    let request = CreateLeaseRequest { params: Some(params), ..Default::default() };
    assert!(!format!("{request:?}").contains("kim"));
    let lease = lease(&mut pool, request).await.unwrap();
    let printed = format!("{lease:?}");
    assert!(printed.contains(&lease.lease_id));
    assert!(!printed.contains(&lease.token_id) && !printed.contains("kim"), "{printed}");
}
