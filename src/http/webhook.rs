//! The receiver of webhooks: thin on purpose.
//!
//! It decides whom to believe and which pool is meant; what the news means is for the pool to judge,
//! because webhooks arrive twice, late and out of order. ARGOS hears 200 only when what it told is
//! durable (W1), or when it does not concern us; anything that it should send again is a 503.
//!
//! The secret is the last part of the path, because ARGOS takes an address and nothing else. A proxy
//! in front that logs paths can put it into the header `x-webhook-secret` instead, and send the
//! request to the path without it.
//!
//! A body that comes sealed is opened with the keys of the project that the secret names, and is then
//! read as any other (contract 3.4). One that comes in the clear is read as it is, whatever ARGOS was
//! told to do: an envelope in ECB proves a key only weakly, so nothing is believed for having had one.
//!
//! A body is full of personal data. It is read, and gone with the request.

pub mod notice;
mod source;

use std::{future::poll_fn, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{ConnectInfo, Path, Request, State},
    http::StatusCode,
    routing::post,
};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument as _, field};

use self::notice::{Notice, Trigger};
pub use self::source::Allow;
use crate::{
    argos::transfer::{self, Arrived},
    domain::{envelope::Keyring, ids::ProjectName, pool::Heard, secret::Secret, time::Timestamp},
    engine::Pools,
    port::{Clock, Current},
    telemetry::Metrics,
};

/// Webhooks that are read at the same time; each may be as long as a body may be.
const AT_ONCE: usize = 64;
/// How long a sender may take to send one: ARGOS waits this long for its answer (contract 3.1).
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

const PATH: &str = "/webhooks/argos";
const SECRET_PATH: &str = "/webhooks/argos/{secret}";
const SECRET_HEADER: &str = "x-webhook-secret";

/// What the receiver is made of.
pub struct ReceiverParts {
    pub pools: Arc<Pools>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Each project that takes webhooks, more than once while its secret is changed.
    pub receiving: Vec<Receiving>,
    /// Addresses that may send.
    pub allowed: Allow,
    /// Addresses whose word about the sender's address is believed.
    pub trusted_proxies: Allow,
    pub body_max: usize,
    /// How long ARGOS waits for us, less its way.
    pub answer_timeout: Duration,
}

/// One project that takes webhooks.
pub struct Receiving {
    pub project: ProjectName,
    /// The last part of the path, or the header in its place.
    pub secret: Secret,
    /// What opens those that come sealed.
    pub envelopes: Current<Keyring>,
}

/// Takes webhooks.
struct Receiver {
    parts: ReceiverParts,
    /// Of the secrets, in their order.
    hashes: Vec<[u8; 32]>,
    places: Semaphore,
}

/// The route for webhooks.
pub fn webhooks(parts: ReceiverParts) -> Router {
    parts.metrics.expect_webhooks(parts.pools.projects(), &End::all_labels());
    let secrets = parts.receiving.iter().map(|receiving| &receiving.secret);
    let hashes = secrets.map(|secret| Sha256::digest(secret.expose().as_bytes()).into()).collect();
    let receiver = Receiver { parts, hashes, places: Semaphore::new(AT_ONCE) };
    Router::new()
        .route(SECRET_PATH, post(receive_by_path))
        .route(PATH, post(receive_by_header))
        .with_state(Arc::new(receiver))
}

async fn receive_by_path(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(secret): Path<String>,
    request: Request,
) -> StatusCode {
    receiver.receive(peer, &secret, request).await
}

async fn receive_by_header(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> StatusCode {
    let secret = request.headers().get(SECRET_HEADER).and_then(|value| value.to_str().ok());
    let secret = secret.unwrap_or_default().to_owned();
    receiver.receive(peer, &secret, request).await
}

impl Receiver {
    async fn receive(&self, peer: SocketAddr, secret: &str, request: Request) -> StatusCode {
        let count = |project: Option<&ProjectName>, trigger: Trigger, end: End| {
            let now = self.parts.clock.wall();
            self.parts.metrics.webhook(project, trigger.as_str(), end.as_str(), now);
        };
        let source = source::of(peer.ip(), request.headers(), &self.parts.trusted_proxies);
        if !(self.parts.allowed)(source) {
            count(None, Trigger::None, End::WrongSource);
            return End::WrongSource.code();
        }
        let Some(receiving) = self.receiving(secret) else {
            count(None, Trigger::None, End::WrongSecret);
            return End::WrongSecret.code();
        };
        // ARGOS names no trace, so it is one of its own.
        let span = tracing::debug_span!(
            parent: None,
            "webhook",
            project = %receiving.project,
            trigger = field::Empty,
            heard = field::Empty,
        );
        let (trigger, end) =
            self.take(receiving, request.into_body()).instrument(span.clone()).await;
        span.record("trigger", trigger.as_str());
        span.record("heard", end.as_str());
        count(Some(&receiving.project), trigger, end);
        end.code()
    }

    /// Looks at every secret, found or not, so that time tells nothing.
    fn receiving(&self, secret: &str) -> Option<&Receiving> {
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let mut found = None;
        for (receiving, expected) in self.parts.receiving.iter().zip(&self.hashes) {
            if bool::from(expected.ct_eq(&hash)) {
                found = Some(receiving);
            }
        }
        found
    }

    async fn take(&self, receiving: &Receiving, body: Body) -> (Trigger, End) {
        let project = &receiving.project;
        let Ok(_place) = self.places.try_acquire() else {
            return (Trigger::None, End::Unavailable);
        };
        let bytes = match timeout(BODY_TIMEOUT, whole(body, self.parts.body_max)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(end)) => return (Trigger::None, end),
            Err(_) => return (Trigger::None, End::Malformed),
        };
        let now = self.parts.clock.now();
        let (trigger, notice) = read(&bytes, &(receiving.envelopes)(), now);
        let report = match notice {
            Notice::Report(report) => report,
            Notice::Unrelated => return (trigger, End::Ignored),
            Notice::Foreign => return (trigger, End::Foreign),
            Notice::Sealed => {
                tracing::warn!(
                    %project,
                    "webhook is sealed and cannot be opened: compare the API key with the one in \
                     ARGOS's dashboard, and keep the key before it while keys are changed; ARGOS \
                     is asked for what the webhook told"
                );
                return (trigger, End::Sealed);
            }
            Notice::Malformed => return (trigger, End::Malformed),
        };
        // An engine that finishes takes facts still, so the pool is not asked whether it stops.
        let open = self.parts.pools.open().find(|handle| handle.project() == project);
        let Some(handle) = open else { return (trigger, End::Unavailable) };
        let end = match timeout(self.parts.answer_timeout, handle.report(report)).await {
            Ok(Ok(Heard::News)) => End::Recorded,
            Ok(Ok(Heard::Known)) => End::Known,
            Ok(Ok(Heard::TooLate)) => End::TooLate,
            Ok(Ok(Heard::Foreign)) => End::Foreign,
            Ok(Ok(Heard::Asked)) => End::Asked,
            Ok(Ok(Heard::Unnamed)) => End::NoToken,
            Ok(Err(_)) | Err(_) => End::Unavailable,
        };
        (trigger, end)
    }
}

/// Reads a body, or what is inside where it is an envelope. An envelope within an envelope is no
/// webhook, and sending it again would make it none.
pub fn read(body: &[u8], envelopes: &Keyring, now: Timestamp) -> (Trigger, Notice) {
    match transfer::open(body, envelopes) {
        Arrived::Plain | Arrived::Neither => notice::read(body, now),
        Arrived::Unopened => (Trigger::None, Notice::Sealed),
        Arrived::Opened(content) => match notice::read(&content, now) {
            (trigger, Notice::Sealed) => (trigger, Notice::Malformed),
            read => read,
        },
    }
}

/// A body to its end; none that is longer than `bytes_max`, or that its sender broke off.
async fn whole(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, End> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|waker| Pin::new(&mut body).poll_frame(waker)).await {
        let frame = frame.map_err(|_| End::Malformed)?;
        let chunk = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        if bytes.len() + chunk.len() > bytes_max {
            return Err(End::TooLarge);
        }
        bytes.extend_from_slice(chunk);
    }
    Ok(bytes)
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Committed.
    Recorded,
    /// Known already.
    Known,
    /// About a token of ours that was forgotten long ago.
    TooLate,
    /// About a token that is not ours.
    Foreign,
    /// ARGOS is asked whom it is about.
    Asked,
    /// It names neither token nor submission.
    NoToken,
    /// Moves no token.
    Ignored,
    /// Cannot be committed at this moment.
    Unavailable,
    Sealed,
    Malformed,
    TooLarge,
    WrongSource,
    WrongSecret,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Known => "known",
            Self::TooLate => "too_late",
            Self::Foreign => "foreign",
            Self::Asked => "asked",
            Self::NoToken => "no_token",
            Self::Ignored => "ignored",
            Self::Unavailable => "unavailable",
            Self::Sealed => "sealed",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::WrongSource => "wrong_source",
            Self::WrongSecret => "wrong_secret",
        }
    }

    const fn code(self) -> StatusCode {
        match self {
            Self::Recorded
            | Self::Known
            | Self::TooLate
            | Self::Foreign
            | Self::Asked
            | Self::NoToken
            | Self::Ignored => StatusCode::OK,
            Self::Unavailable | Self::Sealed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongSource => StatusCode::FORBIDDEN,
            Self::WrongSecret => StatusCode::NOT_FOUND,
        }
    }

    /// Every pair of trigger and result that can be counted.
    fn all_labels() -> Vec<(&'static str, &'static str)> {
        let told = [
            Self::Recorded,
            Self::Known,
            Self::TooLate,
            Self::Foreign,
            Self::Asked,
            Self::NoToken,
            Self::Unavailable,
        ];
        let untold = [
            Self::Unavailable,
            Self::Sealed,
            Self::Malformed,
            Self::TooLarge,
            Self::WrongSource,
            Self::WrongSecret,
        ];
        let mut pairs = Vec::new();
        for trigger in Trigger::ALL {
            let ends: &[Self] = if trigger == Trigger::None {
                &untold
            } else if trigger.tells() {
                &told
            } else {
                &[]
            };
            pairs.extend(ends.iter().map(|end| (trigger.as_str(), end.as_str())));
            if trigger != Trigger::None {
                pairs.push((trigger.as_str(), Self::Ignored.as_str()));
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests;
