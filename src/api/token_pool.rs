//! The service that callers use.
//!
//! A handler reads the request, asks the engine once, and puts the answer into words. Nothing is
//! decided in a handler, so a call that is cut off loses no more than its answer: the engine either
//! never saw it, or keeps what it decided for the next one under the same request id (L3).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use super::{
    convert::{self, Secrets},
    desk::{Desk, Visit},
    listing::{self, Filter},
    proto::{self, token_pool_service_server::TokenPoolService},
    revocation,
    status::Failure,
    validate::{self, Faults, Wish},
    watch,
};
use crate::{
    domain::{fault::Reason, pool::Wanted},
    engine::{LeaseView, Rejection, Which},
};

pub(super) struct TokenPool(pub Arc<Desk>);

impl TokenPool {
    async fn create_batch(
        &self,
        request: Request<proto::BatchCreateLeasesRequest>,
    ) -> Result<proto::BatchCreateLeasesResponse, Failure> {
        let (metadata, extensions, request) = request.into_parts();
        let visit = self.0.visit(&extensions, &metadata, &request.project)?;
        let asked = batch(&visit, request);
        let leases = visit.noted(lease(&visit, asked).await)?;
        Ok(proto::BatchCreateLeasesResponse { leases: shown(&visit, &leases).collect() })
    }

    async fn read<Req, Res>(
        &self,
        request: Request<Req>,
        project: impl Fn(&Req) -> &str,
        answer: impl AsyncFn(&Visit<'_>, Req) -> Result<Res, Failure>,
    ) -> Result<Response<Res>, Status> {
        let (metadata, extensions, request): (MetadataMap, Extensions, Req) = request.into_parts();
        let result = match self.0.visit(&extensions, &metadata, project(&request)) {
            Ok(visit) => visit.noted(answer(&visit, request).await),
            Err(failure) => Err(failure),
        };
        result.map(Response::new).map_err(Failure::into_status)
    }
}

#[tonic::async_trait]
impl TokenPoolService for TokenPool {
    async fn create_lease(
        &self,
        request: Request<proto::CreateLeaseRequest>,
    ) -> Result<Response<proto::CreateLeaseResponse>, Status> {
        create(&self.0, request).await
    }

    async fn batch_create_leases(
        &self,
        request: Request<proto::BatchCreateLeasesRequest>,
    ) -> Result<Response<proto::BatchCreateLeasesResponse>, Status> {
        let project = request.get_ref().project.clone();
        self.0.count(&project, self.create_batch(request).await)
    }

    async fn get_lease(
        &self,
        request: Request<proto::GetLeaseRequest>,
    ) -> Result<Response<proto::GetLeaseResponse>, Status> {
        self.read(request, |request| &request.project, get).await
    }

    async fn list_leases(
        &self,
        request: Request<proto::ListLeasesRequest>,
    ) -> Result<Response<proto::ListLeasesResponse>, Status> {
        self.read(request, |request| &request.project, list).await
    }

    async fn release_lease(
        &self,
        request: Request<proto::ReleaseLeaseRequest>,
    ) -> Result<Response<proto::ReleaseLeaseResponse>, Status> {
        self.read(request, |request| &request.project, release).await
    }

    async fn revoke_lease(
        &self,
        request: Request<proto::RevokeLeaseRequest>,
    ) -> Result<Response<proto::RevokeLeaseResponse>, Status> {
        self.read(request, |request| &request.project, revocation::revoke).await
    }

    async fn replace_lease(
        &self,
        request: Request<proto::ReplaceLeaseRequest>,
    ) -> Result<Response<proto::ReplaceLeaseResponse>, Status> {
        self.read(request, |request| &request.project, revocation::replace).await
    }

    type WatchLeasesStream = watch::Messages;

    async fn watch_leases(
        &self,
        request: Request<proto::WatchLeasesRequest>,
    ) -> Result<Response<watch::Messages>, Status> {
        self.read(request, |request| &request.project, watch::begin).await
    }
}

/// Answers `CreateLease`.
pub(super) async fn create(
    desk: &Desk,
    request: Request<proto::CreateLeaseRequest>,
) -> Result<Response<proto::CreateLeaseResponse>, Status> {
    let project = request.get_ref().project.clone();
    desk.count(&project, create_one(desk, request).await)
}

async fn create_one(
    desk: &Desk,
    request: Request<proto::CreateLeaseRequest>,
) -> Result<proto::CreateLeaseResponse, Failure> {
    let (metadata, extensions, request) = request.into_parts();
    let visit = desk.visit(&extensions, &metadata, &request.project)?;
    let asked = one(&visit, request);
    let leases = visit.noted(lease(&visit, asked).await)?;
    Ok(proto::CreateLeaseResponse { lease: shown(&visit, &leases).next() })
}

/// What was asked for, and what is wrong with it. It is read before anything is waited for: a future
/// holds what stands in it at every step, and is moved with it.
struct Asked {
    wanted: Vec<Wanted>,
    wait: Duration,
    faults: Faults,
    /// What is wrong with the links alone.
    unwritten: Faults,
}

fn one(visit: &Visit<'_>, request: proto::CreateLeaseRequest) -> Asked {
    let mut faults = Faults::default();
    let mut unwritten = Faults::default();
    let wait = validate::wait(request.wait, visit.rules, visit.metadata, &mut faults);
    let wanted = visit.asker().wish(request, "", &mut faults, &mut unwritten);
    Asked { wanted: vec![wanted], wait, faults, unwritten }
}

fn batch(visit: &Visit<'_>, request: proto::BatchCreateLeasesRequest) -> Asked {
    let mut faults = Faults::default();
    let mut unwritten = Faults::default();
    let wait = validate::wait(request.wait, visit.rules, visit.metadata, &mut faults);
    validate::batch_size(request.requests.len(), &mut faults);
    let project = visit.handle.project().as_str();
    let mut wanted = Vec::with_capacity(request.requests.len());
    let mut seen = BTreeSet::new();
    for (number, inner) in request.requests.into_iter().enumerate() {
        let at = format!("requests[{number}].");
        if inner.wait.is_some() {
            faults.add(format!("{at}wait"), "must be unset: the batch waits as one");
        }
        if !inner.project.is_empty() && inner.project != project {
            faults.add(format!("{at}project"), "must be empty or the project of the batch");
        }
        let wish = visit.asker().wish(inner, &at, &mut faults, &mut unwritten);
        if let Some(request) = wish.grant.request
            && !seen.insert(request.id)
        {
            faults.add(format!("{at}request_id"), "must not be that of another entry");
        }
        wanted.push(wish);
    }
    Asked { wanted, wait, faults, unwritten }
}

/// Leases, if nothing is at fault. Whose link cannot be written is asked for all the same where a
/// request is named, because it may be a repeat; if it is none, it is the link that is at fault.
async fn lease(visit: &Visit<'_>, asked: Asked) -> Result<Vec<LeaseView>, Failure> {
    let Asked { wanted, wait, mut faults, unwritten } = asked;
    let repeatable = |wish: &Wanted| wish.draft.is_some() || wish.grant.request.is_some();
    if !faults.is_empty() || !wanted.iter().all(repeatable) {
        faults.append(unwritten);
        faults.check()?;
        return Ok(Vec::new());
    }
    visit.caller.spend(u32::try_from(wanted.len()).unwrap_or(u32::MAX))?;
    match visit.handle.lease(wanted, wait).await {
        Err(rejection) if rejection.reason == Reason::InvalidRequest && !unwritten.is_empty() => {
            unwritten.check()?;
            Err(rejection.into())
        }
        leases => Ok(leases?),
    }
}

/// Answers that create leases show what they created, and so do their replays: the request id of one
/// owner never leads to another's lease.
fn shown(visit: &Visit<'_>, leases: &[LeaseView]) -> impl Iterator<Item = proto::Lease> {
    leases.iter().map(|view| convert::lease(visit.handle, view, Secrets::Shown))
}

async fn get(
    visit: &Visit<'_>,
    request: proto::GetLeaseRequest,
) -> Result<proto::GetLeaseResponse, Failure> {
    use proto::get_lease_request::Key;

    let seal = visit.handle.seal();
    let mut faults = Faults::default();
    let which = match request.key {
        Some(Key::LeaseId(text)) => {
            validate::lease_id(&text, seal, &mut faults).map(Which::Sequence)
        }
        Some(Key::RequestId(text)) if !text.is_empty() => {
            let id = validate::request_id(&text, "request_id", &mut faults);
            id.map(|id| Which::Request(seal.request_key(visit.caller.owner(), id)))
        }
        Some(Key::RequestId(_)) | None => {
            faults.add("key", "must be a lease_id or a request_id");
            None
        }
    };
    faults.check()?;
    let found = match which {
        Some(which) => visit.handle.find(which).await?,
        None => None,
    };
    let view =
        found.filter(|view| visit.caller.sees(convert::owner(view))).ok_or_else(lease_not_found)?;
    let shown = visit.caller.is_shown(convert::owner(&view));
    let secrets = if shown { Secrets::Shown } else { Secrets::Hidden };
    Ok(proto::GetLeaseResponse { lease: Some(convert::lease(visit.handle, &view, secrets)) })
}

async fn list(
    visit: &Visit<'_>,
    request: proto::ListLeasesRequest,
) -> Result<proto::ListLeasesResponse, Failure> {
    let seal = visit.handle.seal();
    let mut faults = Faults::default();
    let (from, size) = validate::page(request.page_size, &request.page_token, seal, &mut faults);
    let filter = Filter::read(request.filter.unwrap_or_default(), &mut faults);
    faults.check()?;
    let filter = filter.of(&visit.caller)?;
    let page = listing::leases(visit.handle, from, size, &filter).await?;
    let leases = page.items.iter();
    Ok(proto::ListLeasesResponse {
        leases: leases.map(|view| convert::lease(visit.handle, view, Secrets::Hidden)).collect(),
        next_page_token: validate::page_token(seal, page.next),
    })
}

async fn release(
    visit: &Visit<'_>,
    request: proto::ReleaseLeaseRequest,
) -> Result<proto::ReleaseLeaseResponse, Failure> {
    let mut faults = Faults::default();
    let sequence = validate::lease_id(&request.lease_id, visit.handle.seal(), &mut faults);
    let id = validate::request_id(&request.request_id, "request_id", &mut faults);
    faults.check()?;
    let sequence = sequence.ok_or_else(lease_not_found)?;
    // Taking and giving back in a loop costs calls to ARGOS just as taking does.
    visit.caller.spend(1)?;
    let repeatable = id.map(|id| {
        let mut wish = Wish::new("ReleaseLease");
        wish.number(sequence.get());
        visit.asker().request(id, &wish)
    });
    let owner = (!visit.caller.is_admin()).then(|| visit.caller.owner().clone());
    let view = match visit.handle.release(sequence, owner, repeatable).await {
        Ok(view) => view,
        Err(rejection) if rejection.reason == Reason::LeaseNotFound => {
            let found = visit.handle.find(Which::Sequence(sequence)).await?;
            return Err(match found {
                Some(view @ LeaseView::Closed(_)) if visit.caller.sees(convert::owner(&view)) => {
                    Rejection::new(Reason::LeaseClosed, "the lease has closed already").into()
                }
                Some(_) | None => lease_not_found(),
            });
        }
        Err(rejection) => return Err(rejection.into()),
    };
    let lease = convert::lease(visit.handle, &view, Secrets::Hidden);
    Ok(proto::ReleaseLeaseResponse { lease: Some(lease) })
}

pub(super) fn lease_not_found() -> Failure {
    // The same for a lease of somebody else, so that its existence is not given away (P2).
    Rejection::new(Reason::LeaseNotFound, "no such lease").into()
}
