//! The shortest way for the call that is made most often.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::{
        BoxFuture,
        http::{Request, Response},
    },
    server::{Grpc, UnaryService},
    service::Routes,
};
use tower::Service;

use super::{codec::Frugal, desk::Desk, proto, server::REQUEST_BYTES_MAX, token_pool};

const CREATE_LEASE: &str = "/argospool.v1.TokenPoolService/CreateLease";

/// Takes `CreateLease` past the router, and past the layers that are generated around every method: each keeps
/// what it has of a call in a box of its own while the call waits for the disk, and moves it there and back. All
/// other calls take the usual way, where this one would be answered the same.
#[derive(Clone)]
pub(super) struct Front {
    pub desk: Arc<Desk>,
    pub routes: Routes,
}

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != CREATE_LEASE {
            return Box::pin(self.routes.call(request));
        }
        let desk = self.desk.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Frugal::default())
                .apply_max_message_size_config(Some(REQUEST_BYTES_MAX), None);
            Ok(grpc.unary(CreateLease(desk), request).await)
        })
    }
}

struct CreateLease(Arc<Desk>);

impl UnaryService<proto::CreateLeaseRequest> for CreateLease {
    type Response = proto::CreateLeaseResponse;
    type Future = BoxFuture<tonic::Response<proto::CreateLeaseResponse>, Status>;

    fn call(&mut self, request: tonic::Request<proto::CreateLeaseRequest>) -> Self::Future {
        let desk = self.0.clone();
        Box::pin(async move { token_pool::create(&desk, request).await })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Else every call would take the long way, and nobody would notice.
    #[test]
    fn the_short_way_is_that_of_a_method_there_is() {
        let set = FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        let services = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        let mut paths = services.flat_map(|(package, service)| {
            let path = move |name| format!("/{package}.{}/{name}", service.name());
            service.method.iter().map(move |method| path(method.name()))
        });
        assert!(paths.any(|path| path == CREATE_LEASE));
    }
}
