//! Sends one call, once: [`Transport`] says what that means, [`Http`] does it.
//!
//! **One call is one request.** A second copy of a registration that arrives after its token was used
//! would re-arm it (B1), so nothing below this may repeat a request by itself. reqwest's own retries are
//! off, redirects are not followed, a proxy in the environment is not used, and there is no pool of
//! connections: every call has one of its own. On a pooled connection hyper sends a request again
//! when the other side had closed it; on a new one it cannot. The price is a handshake for each of a
//! few calls a second, and what it buys besides is that an attempt which was given up is over: its
//! connection is closed.
//!
//! *Not sent* is said only where no connection came about. Whatever breaks off after that, in
//! whatever phase, is *unanswered*.
//!
//! No `traceparent` is sent on: ARGOS belongs to somebody else, whom it would tell which requests belong together
//! and what they are called here (P1). A trace ends with the span of the call.
//!
//! The errors of the HTTP library carry the address of the call, which carries a token id; they are
//! looked at and dropped (P1).

use std::{error::Error, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response, Url,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};

use super::{
    judge,
    wire::{self, Operation, settings::SETTINGS_PATH, submissions::SUBMISSIONS_PATH},
};
use crate::{
    domain::{secret::Secret, time::Timestamp},
    port::Pending,
};

const USER_AGENT: &str = concat!("argospool/", env!("CARGO_PKG_VERSION"));
const API_KEY: &str = "x-api-key";

/// Bytes of an answer that are read at most: a listing has 10,000 entries a page, or 1,000 submissions
/// with everything that was read from a document.
const LISTING_BYTES_MAX: usize = 16 << 20;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Options that no client can be made of.
#[derive(Debug, thiserror::Error)]
pub enum UnusableOptions {
    #[error("api_url is not an http or https address without query and credentials")]
    Address,
    #[error("api key cannot be sent in a header")]
    Key,
    #[error("set up the HTTP client")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

/// The way to one project at ARGOS.
pub trait Transport: Send + Sync {
    /// Makes a call, and waits for the end of it. What comes of it is one request at most, also when
    /// the caller stops waiting.
    fn send<'a>(&'a self, call: Call, key: &'a Secret) -> Pending<'a, Result<Heard, BrokenOff>>;
}

/// Over HTTP.
pub struct Http {
    client: Client,
    tokens_url: Url,
    submissions_url: Url,
    settings_url: Url,
}

impl Http {
    /// Connects to nobody yet. The time-outs are those of connecting, and of the call as a whole.
    pub fn new(
        api_url: &str,
        (connect, total): (Duration, Duration),
    ) -> Result<Self, UnusableOptions> {
        let tokens_url = url_below(api_url, wire::TOKENS_PATH)?;
        let submissions_url = url_below(api_url, SUBMISSIONS_PATH)?;
        let settings_url = url_below(api_url, SETTINGS_PATH)?;
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .referer(false)
            .connect_timeout(connect)
            .timeout(total);
        if tokens_url.scheme() == "http" {
            // There is nothing to verify, so a machine without certificates will do.
            builder = builder.tls_certs_only([]);
        }
        let client =
            builder.build().map_err(|error| UnusableOptions::Client(error.without_url().into()))?;
        Ok(Self { client, tokens_url, submissions_url, settings_url })
    }

    fn request(&self, call: Call, key: &Secret) -> Option<RequestBuilder> {
        let (method, url) = match call.operation {
            Operation::Register => (Method::POST, &self.tokens_url),
            Operation::Delete => (Method::DELETE, &self.tokens_url),
            Operation::Count | Operation::Find | Operation::List => (Method::GET, &self.tokens_url),
            Operation::FindSubmission | Operation::ListSubmissions => {
                (Method::GET, &self.submissions_url)
            }
            Operation::Settings => (Method::GET, &self.settings_url),
        };
        let mut url = url.clone();
        url.set_query(Some(call.query.as_str()).filter(|query| !query.is_empty()));
        let mut request = self.client.request(method, url).header(API_KEY, header_of(key)?);
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, wire::CONTENT_TYPE).body(body);
        }
        Some(request)
    }
}

impl Transport for Http {
    fn send<'a>(&'a self, call: Call, key: &'a Secret) -> Pending<'a, Result<Heard, BrokenOff>> {
        let bytes_max = match call.operation {
            Operation::List | Operation::ListSubmissions => LISTING_BYTES_MAX,
            Operation::Register
            | Operation::Delete
            | Operation::Count
            | Operation::Find
            | Operation::FindSubmission
            | Operation::Settings => ANSWER_BYTES_MAX,
        };
        Box::pin(async move {
            // Both were checked when they were set.
            let request = self.request(call, key).ok_or(BrokenOff::NotSent)?;
            match request.send().await {
                Ok(response) => Heard::read(response, bytes_max).await,
                Err(error) if error.is_connect() || error.is_builder() => Err(BrokenOff::NotSent),
                Err(_) => Err(BrokenOff::Unanswered),
            }
        })
    }
}

/// Whether a key can be put on the wire at all.
pub fn can_send(key: &Secret) -> bool {
    header_of(key).is_some()
}

/// One request in the making.
pub struct Call {
    pub operation: Operation,
    pub query: String,
    pub body: Option<String>,
}

impl Call {
    /// One without a body.
    pub fn asking(operation: Operation, query: String) -> Self {
        Self { operation, query, body: None }
    }
}

/// How a call ended without an answer.
pub enum BrokenOff {
    NotSent,
    Unanswered,
}

/// An answer that arrived whole.
pub struct Heard {
    pub status: u16,
    pub retry_after: Option<String>,
    pub date: Option<Timestamp>,
    /// Whether the simulator says that it is one.
    pub simulated: bool,
    /// Empty where it was longer than anything we expect: then the status alone speaks.
    pub body: Vec<u8>,
}

impl Heard {
    async fn read(mut response: Response, bytes_max: usize) -> Result<Self, BrokenOff> {
        let status = response.status().as_u16();
        let retry_after = text(response.headers(), &RETRY_AFTER).map(str::to_owned);
        let date = text(response.headers(), &DATE).and_then(judge::http_date);
        let simulated = response.headers().contains_key(wire::SIMULATOR_MARK);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| BrokenOff::Unanswered)? {
            if body.len() + chunk.len() > bytes_max {
                body = Vec::new();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, retry_after, date, simulated, body })
    }
}

fn url_below(api_url: &str, path: &str) -> Result<Url, UnusableOptions> {
    let base = Url::parse(api_url).map_err(|_| UnusableOptions::Address)?;
    let bare = base.query().is_none() && base.fragment().is_none();
    let open = base.username().is_empty() && base.password().is_none();
    if !(matches!(base.scheme(), "http" | "https") && bare && open) {
        return Err(UnusableOptions::Address);
    }
    let text = format!("{}{}", base.as_str().trim_end_matches('/'), path);
    Url::parse(&text).map_err(|_| UnusableOptions::Address)
}

fn header_of(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(key.expose()).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
