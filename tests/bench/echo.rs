//! The limit: what gRPC itself can answer, with a lease of the usual size and no work at all behind it.
//!
//! `echo [ADDRESS]…` serves `CreateLease` (and whatever else it is asked) on each HOST:PORT or
//! unix:PATH, on one thread, with the allocator and the server that the daemon has, until it is ended.
//! `argospool bench --burn-real-tokens` measures it like a daemon; `tests/bench/run` puts the two side by side.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
};

use argospool::api::{
    Frugal, Gathering,
    proto::{CreateLeaseRequest, CreateLeaseResponse, Lease, LeaseState},
};
use prost_types::Timestamp;
use tokio::{net::UnixListener, task::JoinSet};
use tokio_stream::{StreamExt as _, wrappers::UnixListenerStream};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::http,
    server::{NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut servers = JoinSet::new();
        for address in std::env::args().skip(1) {
            let server = Server::builder().add_service(Echo);
            match address.strip_prefix("unix:") {
                Some(path) => {
                    let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
                    let incoming = incoming.map(|stream| stream.map(Gathering));
                    servers.spawn(server.serve_with_incoming(incoming));
                }
                None => {
                    let incoming = TcpIncoming::bind(address.parse().unwrap()).unwrap();
                    let incoming = incoming.with_nodelay(Some(true));
                    let incoming = incoming.map(|stream| stream.map(Gathering));
                    servers.spawn(server.serve_with_incoming(incoming));
                }
            }
        }
        while let Some(ended) = servers.join_next().await {
            ended.unwrap().unwrap();
        }
    });
}

/// One method, whatever the path.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "argospool.v1.TokenPoolService";
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = Frugal::<CreateLeaseResponse, CreateLeaseRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Echo, request).await)
        })
    }
}

impl UnaryService<CreateLeaseRequest> for Echo {
    type Response = CreateLeaseResponse;
    type Future = std::future::Ready<Result<Response<CreateLeaseResponse>, Status>>;

    fn call(&mut self, request: Request<CreateLeaseRequest>) -> Self::Future {
        let lease = Some(lease(request.into_inner().request_id));
        ready(Ok(Response::new(CreateLeaseResponse { lease })))
    }
}

/// As long as the one that a daemon gives to `argospool bench` without parameters: 252 bytes with its answer.
fn lease(request_id: String) -> Lease {
    let time = Timestamp { seconds: 1_800_000_000, nanos: 123_000_000 };
    Lease {
        lease_id: "lease-0000000000000000000000".to_owned(),
        project: "default".to_owned(),
        token_id: "ap-0000000000000000000000".to_owned(),
        url: "http://127.0.0.1:50000?pid=pid_demo&token=ap-0000000000000000000000&userid=mark-0000000000000000000000"
            .to_owned(),
        request_id,
        owner: "anonymous".to_owned(),
        labels: BTreeMap::new(),
        state: LeaseState::Issued.into(),
        create_time: Some(time),
        expire_time: Some(time),
        ..Lease::default()
    }
}
