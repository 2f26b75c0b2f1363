//! What durability costs: a gRPC call that leases from the sled ledger, beside one that only echoes.
//!
//! Everything runs interleaved in one process, so that ratios hold on a machine whose absolute
//! figures do not: `cargo test --release --test trial`. The service is written by hand and the pool is
//! a counter; what remains is tonic, group commit, and the ledger.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use argospool::{
    domain::{
        ids::{Owner, ProjectName, RequestId, Revision, Sequence, TokenId},
        seal::{Digest, LedgerIdentity, RequestKey},
        time::Timestamp,
        token::{Grant, Holder, Labels, Lease, Request, Stage, Token},
    },
    port::{Group, Ledger, Opening},
    store::sled::{Settings, Volume},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tonic::{
    body::Body,
    codegen::http::{self, uri::PathAndQuery},
    server::{NamedService, UnaryService},
    transport::{Endpoint, Server},
};
use tonic_prost::ProstCodec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(150);
const RUN: Duration = Duration::from_millis(850);
/// Connections, and calls in flight on each.
const LOADS: [(usize, usize); 3] = [(4, 16), (64, 1), (1, 1)];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Variant {
    EchoOneThread,
    LeaseOneThread,
    EchoTwoThreads,
    LeaseTwoThreads,
}

use Variant::{EchoOneThread, EchoTwoThreads, LeaseOneThread, LeaseTwoThreads};

fn main() {
    let variants = [EchoOneThread, LeaseOneThread, EchoTwoThreads, LeaseTwoThreads];
    let servers: Vec<_> = variants.into_iter().map(|variant| (variant, serve(variant))).collect();
    let mut results: BTreeMap<(usize, Variant), Vec<(f64, Duration, Duration)>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (load, (connections, in_flight)) in LOADS.into_iter().enumerate() {
            for (variant, address) in &servers {
                let result = drive(*address, connections, in_flight);
                results.entry((load, *variant)).or_default().push(result);
            }
        }
    }
    for (load, (connections, in_flight)) in LOADS.into_iter().enumerate() {
        println!("\n{connections} connections x {in_flight} in flight, median of {ROUNDS} rounds");
        for variant in variants {
            let echo = if matches!(variant, EchoTwoThreads | LeaseTwoThreads) {
                EchoTwoThreads
            } else {
                EchoOneThread
            };
            let rounds = results[&(load, variant)].iter().zip(&results[&(load, echo)]);
            let ratio = median(rounds.map(|(own, echo)| own.0 / echo.0));
            let of = |pick: fn(&(f64, Duration, Duration)) -> f64| {
                median(results[&(load, variant)].iter().map(pick))
            };
            println!(
                "  {:20} {:8.0}/s  {ratio:.2} of its echo  p50 {:6.0} us  p99 {:6.0} us",
                format!("{variant:?}"),
                of(|round| round.0),
                of(|round| round.1.as_secs_f64() * 1e6),
                of(|round| round.2.as_secs_f64() * 1e6),
            );
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    #[prost(string, tag = "1")]
    request_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Lent {
    #[prost(string, tag = "1")]
    lease: String,
    #[prost(string, tag = "2")]
    url: String,
}

fn lent(number: u64) -> Lent {
    let url =
        format!("https://form.example/?pid=0123456789&token=ap-{number:022}&{}", "p".repeat(120));
    Lent { lease: format!("lease-{number:022}"), url }
}

/// The service: one method, whatever the path.
#[derive(Clone)]
struct Counter(Option<mpsc::Sender<oneshot::Sender<u64>>>);

impl NamedService for Counter {
    const NAME: &'static str = "trial.Counter";
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl tower::Service<http::Request<Body>> for Counter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Lent, Ask>::default());
            Ok(grpc.unary(method, request).await)
        })
    }
}

impl UnaryService<Ask> for Counter {
    type Response = Lent;
    type Future = Boxed<Result<tonic::Response<Lent>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<Ask>) -> Self::Future {
        let pool = self.0.clone();
        Box::pin(async move {
            let Some(pool) = pool else { return Ok(tonic::Response::new(lent(0))) };
            let (answer, answered) = oneshot::channel();
            pool.send(answer).await.unwrap();
            Ok(tonic::Response::new(lent(answered.await.unwrap())))
        })
    }
}

/// Starts a server on a thread of its own; it ends with the process.
fn serve(variant: Variant) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = if matches!(variant, EchoTwoThreads | LeaseTwoThreads) {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        } else {
            tokio::runtime::Builder::new_current_thread().enable_all().build()
        };
        runtime.unwrap().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let ledger: Option<Box<dyn Ledger>> = match variant {
                EchoOneThread | EchoTwoThreads => None,
                LeaseOneThread | LeaseTwoThreads => {
                    let volume = Volume::open(Settings::at(dir.path().join("data"))).unwrap();
                    Some(Box::new(volume.ledger(&ProjectName::parse("trial").unwrap())))
                }
            };
            let pool = ledger.map(|ledger| {
                let (pool, asked) = mpsc::channel(1_024);
                tokio::spawn(lend(ledger, asked));
                pool
            });
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let server = Server::builder().add_service(Counter(pool));
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
    told.recv().unwrap()
}

/// Group commit at its smallest: whatever queued up shares the next write.
async fn lend(mut ledger: Box<dyn Ledger>, mut asked: mpsc::Receiver<oneshot::Sender<u64>>) {
    let identity = LedgerIdentity { id: 1, tag: [1; 4], id_key: [1; 16], digest_key: [1; 32] };
    let opening = Opening { pid: "pid".to_owned(), identity, remember_after: Timestamp::ZERO };
    ledger.open(opening).await.unwrap();
    let (mut next, mut revision, mut waiting) = (0, 0, Vec::new());
    while asked.recv_many(&mut waiting, 256).await > 0 {
        let numbers = next..next + waiting.len() as u64;
        (next, revision) = (numbers.end, revision + 1);
        let sequence = Sequence::new(next);
        let group = Group {
            revision: Revision(revision),
            next: sequence,
            granted: sequence,
            tokens: numbers.clone().map(token).collect(),
            ..Group::default()
        };
        ledger.commit(group).await.unwrap();
        for (answer, number) in waiting.drain(..).zip(numbers) {
            let _ = answer.send(number);
        }
    }
}

fn token(number: u64) -> Token {
    let at = Timestamp::from_millis(1_700_000_000_000 + number);
    let request = Request {
        id: RequestId(number.into()),
        key: RequestKey(u128::MAX / 3 + u128::from(number)),
        digest: Digest(number),
    };
    let grant = Grant {
        owner: Owner::parse("token:kyc_web").unwrap(),
        request: Some(request),
        labels: Labels::new(),
    };
    let url = lent(number).url[..140].into();
    let holder = Holder::Caller { grant, url, sealed: Box::default() };
    Token {
        sequence: Sequence::new(number),
        id: TokenId::parse(&format!("ap-{number:022}")).unwrap(),
        minted: at,
        revision: Revision(number),
        stage: Stage::Leased(Arc::new(Lease { issued: at, deadline: at, started: None, holder })),
    }
}

/// Calls as fast as the answers come. Gives the rate, the median and the 99th percentile.
fn drive(address: SocketAddr, connections: usize, in_flight: usize) -> (f64, Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let begin = Instant::now() + WARM_UP;
        let mut callers = Vec::new();
        for _ in 0..connections {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            let channel = endpoint.tcp_nodelay(true).connect().await.unwrap();
            for _ in 0..in_flight {
                callers.push(tokio::spawn(call(channel.clone(), begin)));
            }
        }
        let mut spans = Vec::new();
        for caller in callers {
            spans.extend(caller.await.unwrap());
        }
        spans.sort();
        let rate = spans.len() as f64 / RUN.as_secs_f64();
        (rate, spans[spans.len() / 2], spans[spans.len() * 99 / 100])
    })
}

async fn call(channel: tonic::transport::Channel, begin: Instant) -> Vec<Duration> {
    let mut grpc = tonic::client::Grpc::new(channel);
    let (end, mut spans) = (begin + RUN, Vec::new());
    loop {
        let start = Instant::now();
        grpc.ready().await.unwrap();
        let ask = Ask { request_id: "00000000-0000-4000-8000-000000000000".to_owned() };
        let path = PathAndQuery::from_static("/trial.Counter/Create");
        let codec = ProstCodec::<Ask, Lent>::default();
        let _: tonic::Response<Lent> =
            grpc.unary(tonic::Request::new(ask), path, codec).await.unwrap();
        if start >= end {
            return spans;
        }
        if start >= begin {
            spans.push(start.elapsed());
        }
    }
}
