//! Sends spans to a collector, from a thread of its own: the one that waits for callers writes no bodies.
//!
//! A batch is sent once. What the queue has no room for and what the collector does not take is counted as
//! dropped, and said once until it goes well again. Neither the answer of a collector nor an error of the HTTP
//! library is repeated: both may hold anything, addresses and headers too (P1).

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use percent_encoding::percent_decode_str;
use prometheus::IntCounter;
use prost::Message as _;
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    TraceOptions,
    otlp::{self, Resource},
    spans::Finished,
    spans_counted,
};
use crate::domain::secret::Secret;

pub(super) const SENT: &str = "sent";
pub(super) const DROPPED: &str = "dropped";

const PATH: &str = "/v1/traces";
/// Spans that wait at most, some 1 MiB of them.
const QUEUE_MAX: usize = 2_048;
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER_FOR: Duration = Duration::from_secs(1);
/// How long the end of the process waits for what is left.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// An answer says how many spans were rejected, and why, in a text that nobody reads.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Options that nothing can be exported with.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTraces {
    #[error("telemetry.otlp_endpoint is not an http or https address")]
    Endpoint,
    #[error(
        "telemetry.otlp_headers is not a list such as \"authorization=Bearer%20abc,x-tenant=kyc\""
    )]
    Headers,
    #[error("set up the HTTP client for traces")]
    Client(#[source] reqwest::Error),
    #[error("start the thread that exports traces")]
    Thread(#[source] io::Error),
}

pub(super) enum Item {
    Span(Box<Finished>),
    /// Everything before this is to be sent at once.
    Flush(oneshot::Sender<()>),
}

/// The near end of the way to the collector. Nobody waits at it.
pub(super) struct Queue {
    items: mpsc::Sender<Item>,
    /// Spans that found no room.
    overflown: Arc<AtomicU64>,
    dropped: IntCounter,
}

impl Queue {
    pub(super) fn new(room: usize) -> (Self, mpsc::Receiver<Item>) {
        let (items, far_end) = mpsc::channel(room);
        let dropped = spans_counted().with_label_values(&[DROPPED]);
        (Self { items, overflown: Arc::default(), dropped }, far_end)
    }

    pub(super) fn push(&self, span: Finished) {
        if self.items.try_send(Item::Span(Box::new(span))).is_err() {
            self.overflown.fetch_add(1, Ordering::Relaxed);
            self.dropped.inc();
        }
    }
}

/// Sends what is left, at the end of the process.
pub struct Flush(mpsc::Sender<Item>);

impl Flush {
    /// Waits for a moment, whatever the collector does.
    pub async fn finish(self) {
        let (done, sent) = oneshot::channel();
        let all = async {
            if self.0.send(Item::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_WITHIN, all).await;
    }
}

/// Starts the thread.
pub(super) fn start(collector: Collector) -> Result<(Queue, Flush), UnusableTraces> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(UnusableTraces::Thread)?;
    let (queue, items) = Queue::new(QUEUE_MAX);
    let flush = Flush(queue.items.clone());
    let overflown = queue.overflown.clone();
    thread::Builder::new()
        .name("traces".to_owned())
        .spawn(move || runtime.block_on(Sending::new(collector, overflown).run(items)))
        .map_err(UnusableTraces::Thread)?;
    Ok((queue, flush))
}

/// Who takes the spans.
pub(super) struct Collector {
    client: Client,
    url: Url,
    headers: HeaderMap,
    headers_again: Box<dyn Fn() -> Option<Secret> + Send + Sync>,
    resource: Resource,
}

impl Collector {
    pub(super) fn new(options: TraceOptions) -> Result<Self, UnusableTraces> {
        let url = Url::parse(&format!("{}{PATH}", options.endpoint.trim_end_matches('/')));
        let url = url.map_err(|_| UnusableTraces::Endpoint)?;
        let headers = match &options.headers {
            Some(text) => read_headers(text.expose()).ok_or(UnusableTraces::Headers)?,
            None => HeaderMap::new(),
        };
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(options.timeout);
        if url.scheme() == "http" {
            // There is nothing to verify, so a machine without certificates will do.
            builder = builder.tls_certs_only([]);
        }
        let client =
            builder.build().map_err(|error| UnusableTraces::Client(error.without_url()))?;
        let resource = Resource::of(options.version);
        Ok(Self { client, url, headers, headers_again: options.headers_again, resource })
    }

    /// How many spans it did not take. Where it refuses who we are the file of the headers is read again, and
    /// what changed is tried at once: somebody may have replaced a secret.
    async fn take(&mut self, spans: &[Finished]) -> Result<u64, Failed> {
        let refused = match self.offer(spans).await {
            Err(failed @ Failed::Refused(401 | 403)) => failed,
            answered => return answered,
        };
        let fresh = (self.headers_again)().and_then(|text| read_headers(text.expose()));
        match fresh {
            Some(fresh) if fresh != self.headers => {
                self.headers = fresh;
                self.offer(spans).await
            }
            Some(_) | None => Err(refused),
        }
    }

    async fn offer(&self, spans: &[Finished]) -> Result<u64, Failed> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf");
        let answer = request.body(otlp::request(&self.resource, spans)).send().await;
        let mut answer = answer.map_err(|error| Failed::of(&error))?;
        if !answer.status().is_success() {
            return Err(Failed::Refused(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Failed::of(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Ok(0);
            }
            body.extend_from_slice(&chunk);
        }
        // A collector that says nothing took all.
        let told = otlp::Answer::decode(body.as_slice()).unwrap_or_default();
        let rejected = told.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0).min(spans.len() as u64))
    }
}

/// Why a batch did not arrive.
#[derive(Debug, PartialEq, Eq)]
enum Failed {
    Unreachable,
    Late,
    BrokenOff,
    Refused(u16),
}

impl Failed {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::Unreachable
        } else if error.is_timeout() {
            Self::Late
        } else {
            Self::BrokenOff
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no connection"),
            Self::Late => f.write_str("no answer in time"),
            Self::BrokenOff => f.write_str("the connection broke off"),
            Self::Refused(status) => write!(f, "answered with status {status}"),
        }
    }
}

/// What is sent together.
#[derive(Default)]
struct Batch {
    spans: Vec<Finished>,
    /// Whoever waits for it.
    flush: Option<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, item: Item) {
        match item {
            Item::Span(span) => self.spans.push(*span),
            Item::Flush(done) => self.flush = Some(done),
        }
    }

    fn has_room(&self) -> bool {
        self.flush.is_none() && self.spans.len() < BATCH_MAX
    }
}

struct Sending {
    collector: Collector,
    overflown: Arc<AtomicU64>,
    /// What of it was seen.
    seen: u64,
    /// It was said that spans are lost.
    warned: bool,
    sent: IntCounter,
    dropped: IntCounter,
}

impl Sending {
    fn new(collector: Collector, overflown: Arc<AtomicU64>) -> Self {
        let counted = spans_counted();
        let of = |result| counted.with_label_values(&[result]);
        Self { collector, overflown, seen: 0, warned: false, sent: of(SENT), dropped: of(DROPPED) }
    }

    async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        while let Some(first) = items.recv().await {
            let mut batch = Batch::default();
            batch.add(first);
            let gather = async {
                while batch.has_room()
                    && let Some(item) = items.recv().await
                {
                    batch.add(item);
                }
            };
            let _ = tokio::time::timeout(GATHER_FOR, gather).await;
            self.send(&batch.spans).await;
            if let Some(done) = batch.flush {
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, batch: &[Finished]) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let (rejected, why) = match self.collector.take(batch).await {
            Ok(0) => (0, None),
            Ok(rejected) => (rejected, Some("the collector rejected some".to_owned())),
            Err(failed) => (count, Some(failed.to_string())),
        };
        self.sent.inc_by(count - rejected);
        self.dropped.inc_by(rejected);
        let overflown = self.overflown.load(Ordering::Relaxed);
        let overflows = std::mem::replace(&mut self.seen, overflown) != overflown;
        let why = why.or_else(|| overflows.then(|| "more spans than can be sent".to_owned()));
        match &why {
            Some(why) if !self.warned => tracing::warn!(why, "spans are dropped"),
            None if self.warned => tracing::info!("spans are exported again"),
            Some(_) | None => (),
        }
        self.warned = why.is_some();
    }
}

/// `name=value` behind commas, values percent-encoded, as `OTEL_EXPORTER_OTLP_HEADERS` has them.
fn read_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A collector that wants this in a header, and the header of every request it was sent.
    async fn collector(listener: TcpListener, wanted: &str, seen: mpsc::Sender<bool>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let knows = String::from_utf8_lossy(&request).contains(wanted);
            seen.send(knows).await.unwrap();
            let status = if knows { "200 OK" } else { "401 Unauthorized" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn headers_that_are_refused_are_read_again_and_what_was_refused_is_sent() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (seen, mut told) = mpsc::channel(8);
        tokio::spawn(collector(listener, "authorization: new", seen));
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        let mut collector = Collector::new(TraceOptions {
            endpoint,
            headers: secret("authorization=old"),
            headers_again: Box::new(move || secret("authorization=new")),
            timeout: Duration::from_secs(5),
            sampling_ratio: 1.0,
            version: "1.2.3",
        })
        .unwrap();
        assert_eq!(collector.take(&[]).await, Ok(0));
        assert_eq!(collector.take(&[]).await, Ok(0));
        let mut known = Vec::new();
        while let Ok(knows) = told.try_recv() {
            known.push(knows);
        }
        assert_eq!(known, [false, true, true], "the fresh ones are kept");
        collector.headers_again = Box::new(|| None);
        collector.headers = read_headers("authorization=other").unwrap();
        assert_eq!(collector.take(&[]).await, Err(Failed::Refused(401)));
    }

    #[test]
    fn headers_are_read_as_other_exporters_read_them() {
        let headers = read_headers("authorization=Bearer%20abc, x-tenant = kyc").unwrap();
        assert_eq!(headers["authorization"], "Bearer abc");
        assert_eq!(headers["x-tenant"], "kyc");
        assert!(!format!("{headers:?}").contains("abc"));
        for wrong in ["", "name", "na me=x", "x=%0a", "x=%ff"] {
            assert!(read_headers(wrong).is_none(), "{wrong:?}");
        }
    }
}
