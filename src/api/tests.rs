//! The services from outside, over a real connection.

mod access;
mod admin;
mod chronicle;
mod leases;
mod links;
mod revocations;
mod server;
mod watches;

use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;

use super::{
    Access, CallerAccess, Proof,
    proto::{
        CreateLeaseRequest, Lease, admin_service_client::AdminServiceClient,
        token_pool_service_client::TokenPoolServiceClient,
    },
};
use crate::domain::secret::Secret;

type Pool = TokenPoolServiceClient<Channel>;
type Admin = AdminServiceClient<Channel>;

const SOME_ID: &str = "6b3f2f4e-0d5a-4a53-9c1e-3c6e2f9b1a01";

/// The reason in an error, which has exactly one.
fn reason(status: &Status) -> String {
    let details = status.get_error_details_vec().into_iter();
    let infos: Vec<_> = details
        .filter_map(|detail| {
            if let tonic_types::ErrorDetail::ErrorInfo(info) = detail { Some(info) } else { None }
        })
        .collect();
    assert_eq!(infos.len(), 1, "{status:?}");
    assert_eq!(infos[0].domain, "argospool");
    infos[0].reason.clone()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), reason(&status))
}

/// The fields at fault, in order.
fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().expect("a bad request");
    bad.field_violations.into_iter().map(|violation| violation.field).collect()
}

async fn lease(pool: &mut Pool, request: CreateLeaseRequest) -> Result<Lease, Status> {
    Ok(pool.create_lease(request).await?.into_inner().lease.unwrap())
}

/// The same request from a caller that shows this token.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

/// `web` and `app` are callers, `ops` is admin; each shows its own name, and `app` has a quota.
fn callers() -> Access {
    let caller = |name: &str, admin, quota| CallerAccess {
        name: name.to_owned(),
        proof: Proof::Bearer(Secret::new(name.to_owned())),
        admin,
        projects: vec!["default".to_owned()],
        leases_per_minute: quota,
    };
    let callers =
        vec![caller("web", false, None), caller("app", false, Some(3)), caller("ops", true, None)];
    Access { callers }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}
