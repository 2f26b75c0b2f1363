//! Sees every call from outside: counts its answer, follows its trail, and turns a panic into an answer.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body as HttpBody, Frame, SizeHint};
use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tokio::time::Instant;
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use super::{proto, status, trail::Trail};
use crate::telemetry::{MethodMetrics, Metrics};

/// Stands in the labels of a call to a method that nobody wrote.
const OTHER: &str = "other";

/// Puts [`Observed`] around a service.
#[derive(Clone)]
pub(super) struct Observe(Arc<Counters>);

struct Counters {
    metrics: Arc<Metrics>,
    /// By path.
    methods: BTreeMap<String, Arc<MethodMetrics>>,
    /// What nobody wrote.
    other: Arc<MethodMetrics>,
}

impl Observe {
    /// Makes the series of every method there is.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let codes = status::all_codes();
        let of = |service: &str, method: &str| Arc::new(metrics.method(service, method, &codes));
        let methods = methods()
            .map(|(service, method)| (format!("/{service}/{method}"), of(&service, &method)));
        let (methods, other) = (methods.collect(), of(OTHER, OTHER));
        Self(Arc::new(Counters { metrics, methods, other }))
    }
}

impl Counters {
    fn method(&self, path: &str) -> Arc<MethodMetrics> {
        self.methods.get(path).unwrap_or(&self.other).clone()
    }

    /// A word of ours, whatever somebody asked for.
    fn name(&self, path: &str) -> String {
        let known = self.methods.get_key_value(path);
        known.map_or(OTHER, |(path, _)| path.trim_start_matches('/')).to_owned()
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, observe: self.clone() }
    }
}

#[derive(Clone)]
pub(super) struct Observed<S> {
    inner: S,
    observe: Observe,
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (counters, path) = (&self.observe.0, request.uri().path());
        let sight = Sight {
            counters: counters.clone(),
            method: counters.method(path),
            trail: Trail::begin(|| counters.name(path), request.headers()),
            began: Instant::now(),
            code: status::label_of_abandoned(),
        };
        sight.method.started();
        // A future that is not there panicked before it could be made.
        let answer = catch_unwind(AssertUnwindSafe(|| self.inner.call(request))).ok();
        Observing { answer, sight: Some(sight) }
    }
}

/// The answer to a call that is observed.
pub(super) struct Observing<F> {
    answer: Option<F>,
    /// Taken with the answer.
    sight: Option<Sight>,
}

impl<F> Future for Observing<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { answer, sight } = &mut *self;
        let trail = sight.as_ref().and_then(|sight| sight.trail.as_deref());
        let within = trail.map(Trail::within);
        let polled = answer
            .as_mut()
            .and_then(|answer| catch_unwind(AssertUnwindSafe(|| Pin::new(answer).poll(cx))).ok());
        let response = match polled {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(response))) => Some(response),
            None => {
                tracing::error!("request panicked");
                None
            }
        };
        drop(within);
        let sight = sight.take().expect("a future is not polled after its end");
        let response = response.unwrap_or_else(|| {
            sight.counters.metrics.panicked();
            status::panicked().into_http()
        });
        Poll::Ready(Ok(sight.follow(response)))
    }
}

/// One call under observation. It is counted when it is over, also if its caller went away.
struct Sight {
    counters: Arc<Counters>,
    method: Arc<MethodMetrics>,
    /// While somebody listens.
    trail: Option<Box<Trail>>,
    began: Instant,
    code: &'static str,
}

impl Sight {
    /// An answer says how it ended in its header where it has no body, else in its trailers.
    fn follow(mut self, response: Response<Body>) -> Response<Body> {
        let told = self.read(response.headers());
        if !told && response.body().is_end_stream() {
            // Nothing comes after the header, and it says nothing bad.
            self.code = status::label_of(b"0");
        } else if !told {
            return response.map(|body| Body::new(Followed { body, sight: self }));
        }
        response
    }

    /// Whether the code is among these headers.
    fn read(&mut self, headers: &HeaderMap) -> bool {
        let code = headers.get("grpc-status");
        if let Some(code) = code {
            self.code = status::label_of(code.as_bytes());
            if let Some(trail) = &mut self.trail {
                trail.read(headers);
            }
        }
        code.is_some()
    }
}

/// A body under observation, to its last frame.
struct Followed {
    body: Body,
    sight: Sight,
}

impl HttpBody for Followed {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.sight.read(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.method.handled(self.code, took);
        if let Some(trail) = &self.trail {
            trail.end(self.code, took);
        }
    }
}

/// Every method of ours, and of the health service: its service and its name.
fn methods() -> impl Iterator<Item = (String, String)> {
    let sets = [proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET].into_iter();
    let sets =
        sets.map(|set| FileDescriptorSet::decode(set).expect("descriptors that the build wrote"));
    sets.flat_map(|set| set.file).flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().flat_map(move |service| {
            let service_name = format!("{package}.{}", service.name());
            let named = move |method: &MethodDescriptorProto| {
                (service_name.clone(), method.name().to_owned())
            };
            service.method.iter().map(named).collect::<Vec<_>>()
        })
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::domain::time::Timestamp;

    #[derive(Clone)]
    struct Inner(fn() -> Response<Body>);

    impl Service<Request<Body>> for Inner {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let answer = self.0;
            Box::pin(async move { Ok(answer()) })
        }
    }

    fn call(
        metrics: &Arc<Metrics>,
        path: &str,
        answer: fn() -> Response<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        Observe::new(metrics.clone()).layer(Inner(answer)).call(request)
    }

    async fn text(metrics: &Metrics) -> String {
        metrics.render(&crate::engine::Pools::new([]), Timestamp::ZERO).await
    }

    const METHOD: &str = "/argospool.v1.AdminService/Audit";

    fn counted(code: &str) -> String {
        format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"Audit\",\
             grpc_service=\"argospool.v1.AdminService\"}} 1\n"
        )
    }

    #[tokio::test]
    async fn a_panic_becomes_an_answer() {
        let metrics = Metrics::new("1", "r");
        let answer = call(&metrics, METHOD, || panic!("on purpose")).await.unwrap();
        let status = tonic::Status::from_header_map(answer.headers()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        let text = text(&metrics).await;
        assert!(text.contains("argospool_panics_total 1\n"), "{text}");
        assert!(text.contains(&counted("Internal")), "{text}");
    }

    #[tokio::test]
    async fn a_panic_before_there_is_anything_to_wait_for_becomes_an_answer_too() {
        #[derive(Clone)]
        struct Hasty;

        impl Service<Request<Body>> for Hasty {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: Request<Body>) -> Self::Future {
                panic!("on purpose")
            }
        }

        let metrics = Metrics::new("1", "r");
        let request = Request::builder().uri(METHOD).body(Body::empty()).unwrap();
        let answer = Observe::new(metrics.clone()).layer(Hasty).call(request).await.unwrap();
        let status = tonic::Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        let text = text(&metrics).await;
        assert!(text.contains("argospool_panics_total 1\n"), "{text}");
    }

    #[tokio::test]
    async fn a_call_whose_caller_went_away_is_counted_too() {
        let metrics = Metrics::new("1", "r");
        drop(call(&metrics, METHOD, || Response::new(Body::empty())));
        let text = text(&metrics).await;
        assert!(text.contains(&counted("Canceled")), "{text}");
    }

    #[tokio::test]
    async fn a_method_that_nobody_wrote_makes_no_label() {
        let metrics = Metrics::new("1", "r");
        call(&metrics, "/made.Up/Name", || Response::new(Body::empty())).await.unwrap();
        let text = text(&metrics).await;
        assert!(!text.contains("made"), "{text}");
        let other = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"other\",grpc_service=\"other\"} 1\n";
        assert!(text.contains(other), "{text}");
    }
}
