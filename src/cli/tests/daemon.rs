//! A daemon of canned answers that remembers what it heard. It is as talkative as it can be: tokens
//! and URLs are in every field that can hold them.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::super::proto::{
    admin_service_server::{AdminService, AdminServiceServer},
    token_pool_service_server::{TokenPoolService, TokenPoolServiceServer},
    *,
};

pub(super) const TOKEN: &str = "ap-0123456789abcdefghijkl";
pub(super) const URL: &str = "https://form.example/?pid=p&token=ap-0123456789abcdefghijkl";

/// What the last call said.
#[derive(Clone, Default)]
pub(super) struct Heard {
    pub(super) authorization: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) project: String,
    pub(super) request_ids: Vec<String>,
    pub(super) filter: Option<LeaseFilter>,
}

#[derive(Clone, Default)]
struct Canned {
    heard: Arc<Mutex<Heard>>,
    refuse_leases: Arc<Mutex<Option<Status>>>,
    breaches: Arc<Mutex<Vec<Breach>>>,
}

pub(super) struct Daemon {
    pub(super) address: String,
    canned: Canned,
    _stop: DropGuard,
}

impl Daemon {
    pub(super) async fn on_loopback() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (canned, stop) = (Canned::default(), CancellationToken::new());
        let incoming = TcpListenerStream::new(listener);
        let told = stop.clone().cancelled_owned();
        tokio::spawn(canned.router().serve_with_incoming_shutdown(incoming, told));
        Self { address, canned, _stop: stop.drop_guard() }
    }

    pub(super) fn on_socket(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (canned, stop) = (Canned::default(), CancellationToken::new());
        let incoming = UnixListenerStream::new(listener);
        let told = stop.clone().cancelled_owned();
        tokio::spawn(canned.router().serve_with_incoming_shutdown(incoming, told));
        Self { address: format!("unix:{}", path.display()), canned, _stop: stop.drop_guard() }
    }

    pub(super) fn heard(&self) -> Heard {
        self.canned.heard.lock().unwrap().clone()
    }

    pub(super) fn answer_leases_with(&self, status: Status) {
        *self.canned.refuse_leases.lock().unwrap() = Some(status);
    }

    pub(super) fn break_promise(&self, promise: &str) {
        let breach = Breach { promise: promise.into(), evidence: "seen twice".into() };
        self.canned.breaches.lock().unwrap().push(breach);
    }
}

/// A listener that takes calls and says nothing.
pub(super) async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// A refusal in the daemon's own words.
pub(super) fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "argospool", HashMap::new());
    Status::with_error_details(code, "no", details)
}

impl Canned {
    fn router(&self) -> tonic::transport::server::Router {
        Server::builder()
            .add_service(AdminServiceServer::new(self.clone()))
            .add_service(TokenPoolServiceServer::new(self.clone()))
    }

    fn hear<M>(&self, request: &Request<M>, project: &str, request_ids: Vec<String>) {
        let header = |name| {
            let value = request.metadata().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        *self.heard.lock().unwrap() = Heard {
            authorization: header("authorization"),
            timeout: header("grpc-timeout"),
            project: project.to_owned(),
            request_ids,
            filter: None,
        };
    }

    fn lease(request_id: &str) -> Lease {
        Lease {
            lease_id: "l-1".into(),
            token_id: TOKEN.into(),
            url: URL.into(),
            request_id: request_id.into(),
            state: LeaseState::Issued as i32,
            ..Lease::default()
        }
    }

    fn may_lease(&self) -> Result<(), Status> {
        self.refuse_leases.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

type Answer<M> = Result<Response<M>, Status>;

#[tonic::async_trait]
impl AdminService for Canned {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        self.hear(&request, &request.get_ref().project, Vec::new());
        Ok(Response::new(GetStatusResponse::default()))
    }

    async fn get_chronicle(&self, _: Request<GetChronicleRequest>) -> Answer<GetChronicleResponse> {
        Ok(Response::new(GetChronicleResponse::default()))
    }

    async fn list_tokens(&self, _: Request<ListTokensRequest>) -> Answer<ListTokensResponse> {
        let tokens = vec![Token { token_ref: "t-1".into(), ..Token::default() }];
        Ok(Response::new(ListTokensResponse { tokens, next_page_token: String::new() }))
    }

    async fn refill(&self, _: Request<RefillRequest>) -> Answer<RefillResponse> {
        Ok(Response::new(RefillResponse::default()))
    }

    async fn reconcile(&self, _: Request<ReconcileRequest>) -> Answer<ReconcileResponse> {
        Ok(Response::new(ReconcileResponse::default()))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Answer<PauseResponse> {
        Ok(Response::new(PauseResponse::default()))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Answer<ResumeResponse> {
        Ok(Response::new(ResumeResponse::default()))
    }

    async fn audit(&self, _: Request<AuditRequest>) -> Answer<AuditResponse> {
        let breaches = self.breaches.lock().unwrap().clone();
        Ok(Response::new(AuditResponse { breaches, ..AuditResponse::default() }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Answer<ExplainResponse> {
        let ExplainRequest { project, lease_id, reason } = request.get_ref();
        self.hear(&request, project, vec![lease_id.clone(), reason.clone()]);
        let lines = vec!["Leasing works: 5 tokens can be leased.".to_owned()];
        Ok(Response::new(ExplainResponse { lines, plan: None }))
    }

    async fn preflight(&self, request: Request<PreflightRequest>) -> Answer<PreflightResponse> {
        self.hear(&request, &request.get_ref().project, Vec::new());
        let result = PreflightResult::Passed.into();
        let check = PreflightCheck { name: "clock".into(), result, ..PreflightCheck::default() };
        Ok(Response::new(PreflightResponse { checks: vec![check] }))
    }

    async fn revoke_leases(
        &self,
        request: Request<RevokeLeasesRequest>,
    ) -> Answer<RevokeLeasesResponse> {
        self.hear(&request, &request.get_ref().project, Vec::new());
        let RevokeLeasesRequest { filter, dry_run, .. } = request.into_inner();
        self.heard.lock().unwrap().filter = filter;
        let revoked_leases = if dry_run { 0 } else { 3 };
        Ok(Response::new(RevokeLeasesResponse { matched_leases: 3, revoked_leases }))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Answer<SetLogLevelResponse> {
        let SetLogLevelRequest { directives, duration, .. } = request.into_inner();
        let configured = "info".to_owned();
        let (directives, falls_back_in) =
            if directives.is_empty() { (configured.clone(), None) } else { (directives, duration) };
        Ok(Response::new(SetLogLevelResponse { directives, configured, falls_back_in }))
    }
}

#[tonic::async_trait]
impl TokenPoolService for Canned {
    async fn create_lease(
        &self,
        request: Request<CreateLeaseRequest>,
    ) -> Answer<CreateLeaseResponse> {
        let CreateLeaseRequest { project, request_id, .. } = request.get_ref();
        self.hear(&request, project, vec![request_id.clone()]);
        self.may_lease()?;
        let lease = Some(Self::lease(request_id));
        Ok(Response::new(CreateLeaseResponse { lease }))
    }

    async fn batch_create_leases(
        &self,
        request: Request<BatchCreateLeasesRequest>,
    ) -> Answer<BatchCreateLeasesResponse> {
        let BatchCreateLeasesRequest { project, requests, .. } = request.get_ref();
        let ids: Vec<_> = requests.iter().map(|request| request.request_id.clone()).collect();
        self.hear(&request, project, ids.clone());
        self.may_lease()?;
        let leases = ids.iter().map(|id| Self::lease(id)).collect();
        Ok(Response::new(BatchCreateLeasesResponse { leases }))
    }

    async fn get_lease(&self, _: Request<GetLeaseRequest>) -> Answer<GetLeaseResponse> {
        Ok(Response::new(GetLeaseResponse { lease: Some(Self::lease("")) }))
    }

    async fn list_leases(&self, _: Request<ListLeasesRequest>) -> Answer<ListLeasesResponse> {
        let leases = vec![Self::lease("")];
        Ok(Response::new(ListLeasesResponse { leases, next_page_token: String::new() }))
    }

    async fn release_lease(&self, _: Request<ReleaseLeaseRequest>) -> Answer<ReleaseLeaseResponse> {
        Ok(Response::new(ReleaseLeaseResponse { lease: Some(Self::lease("")) }))
    }

    async fn revoke_lease(
        &self,
        request: Request<RevokeLeaseRequest>,
    ) -> Answer<RevokeLeaseResponse> {
        let RevokeLeaseRequest { project, request_id, .. } = request.get_ref();
        self.hear(&request, project, vec![request_id.clone()]);
        self.may_lease()?;
        Ok(Response::new(RevokeLeaseResponse { lease: Some(Self::lease("")) }))
    }

    async fn replace_lease(
        &self,
        request: Request<ReplaceLeaseRequest>,
    ) -> Answer<ReplaceLeaseResponse> {
        let ReplaceLeaseRequest { project, request_id, .. } = request.get_ref();
        self.hear(&request, project, vec![request_id.clone()]);
        self.may_lease()?;
        let lease = Some(Self::lease(request_id));
        Ok(Response::new(ReplaceLeaseResponse { lease, replaced: Some(Self::lease("")) }))
    }

    type WatchLeasesStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<WatchLeasesResponse, Status>>>;

    async fn watch_leases(
        &self,
        request: Request<WatchLeasesRequest>,
    ) -> Answer<Self::WatchLeasesStream> {
        use watch_leases_response::Event;

        let WatchLeasesRequest { project, resume_token, filter } = request.get_ref();
        self.hear(&request, project, vec![resume_token.clone()]);
        self.heard.lock().unwrap().filter = filter.clone();
        let events = [
            Event::Lease(Self::lease("")),
            Event::Synced(WatchSynced {}),
            Event::Heartbeat(WatchHeartbeat {}),
            Event::Lagged(WatchLagged { reason: "too slow".into() }),
        ];
        let message = |(number, event)| {
            Ok(WatchLeasesResponse { resume_token: format!("watch-{number}"), event: Some(event) })
        };
        let messages: Vec<_> = events.into_iter().enumerate().map(message).collect();
        Ok(Response::new(tokio_stream::iter(messages)))
    }
}
