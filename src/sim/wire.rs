//! What goes in and out of the simulator, as plain values: requests, replies, error codes, times.
//!
//! Written from contract 1, 6 and 7 and from nothing else of this crate: a simulator that shared the
//! daemon's wire code would agree with its mistakes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// A header of every answer, so that nobody takes this for ARGOS by mistake.
pub(super) const MARK: &str = "x-argospool-simulator";

/// Unix time in milliseconds, the resolution of ARGOS's own `updateTime`.
pub type Millis = i64;

/// One call to the REST side, as it came from the socket or from a simulation.
#[derive(Clone)]
pub struct ApiRequest {
    pub method: String,
    /// Path without the query, e.g. `/v3/submission/tokens`.
    pub path: String,
    /// Raw query, without `?`; empty when there is none.
    pub query: String,
    /// Value of `x-api-key`; it chooses the project.
    pub key: Option<String>,
    pub body: Vec<u8>,
}

/// What the world decided about one call.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The project whose call is in flight until [`World::depart`](super::World::depart) is told.
    pub pid: Option<String>,
    /// How long the answer stays out; the effect is there at once.
    pub latency: Duration,
    /// Time between two pieces of the body, for a slow one.
    pub drip: Option<Duration>,
    /// `None`: the connection closes without a byte.
    pub reply: Option<Reply>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub retry_after_seconds: Option<u32>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub fn html(status: u16, body: String) -> Self {
        Self::text(status, "text/html; charset=utf-8", body)
    }

    pub fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, retry_after_seconds: None, body }
    }

    /// The 403 for a wrong or missing key (contract 6).
    pub fn forbidden_key() -> Self {
        Self::json(403, &json!({"message": "Forbidden"}))
    }

    /// The 403 for a caller that is not on the list of allowed addresses (contract 6).
    pub fn forbidden_address() -> Self {
        let message = "User is not authorized to access this resource with an explicit deny";
        Self::json(403, &json!({"Message": message}))
    }
}

/// The code is our own: contract 1.6 knows the message that goes with it.
const DECRYPTION_FAILED: &str = "decryption_failed";

/// The error table of contract 1.3, as far as the simulator produces it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    InvalidPayload,
    /// A body that Secure Data Transfer cannot open (contract 1.6).
    DecryptionFailed,
    InvalidPath,
    InvalidQueryParameters,
    InvalidOrder,
    InvalidTokenId,
    InvalidTokenIdFormat,
    InvalidTokenIdLength,
    RequestTokenLimitExceeded,
    TokenLimitExceeded,
    TokenNotFound,
    TokenIdNotFound,
}

impl ErrorCode {
    /// The code and a message of our own: the exact messages are unknown (contract 1.3).
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidPayload => ("invalid_payload", "The request body is missing or invalid."),
            Self::DecryptionFailed => {
                (DECRYPTION_FAILED, "Decryption is Failed. Please check the api-key.")
            }
            Self::InvalidPath => ("invalid_path", "The HTTP method is not supported."),
            Self::InvalidQueryParameters => {
                ("invalid_query_parameters", "The query parameters are missing or malformed.")
            }
            Self::InvalidOrder => ("invalid_order", "The order must be asc or desc."),
            Self::InvalidTokenId => ("invalid_token_id", "The tokenId must be a non-empty array."),
            Self::InvalidTokenIdFormat => {
                ("invalid_token_id_format", "A tokenId contains characters that are not allowed.")
            }
            Self::InvalidTokenIdLength => {
                ("invalid_token_id_length", "A tokenId must be between 8 and 64 bytes long.")
            }
            Self::RequestTokenLimitExceeded => {
                ("request_token_limit_exceeded", "Too many tokens in one request.")
            }
            Self::TokenLimitExceeded => {
                ("token_limit_exceeded", "The maximum number of tokens in the pool is exceeded.")
            }
            Self::TokenNotFound => ("token_not_found", "Token not found."),
            Self::TokenIdNotFound => ("token_id_not_found", "None of the tokens was found."),
        }
    }
}

impl From<ErrorCode> for Reply {
    fn from(code: ErrorCode) -> Self {
        let (code, message) = code.words();
        Self::json(400, &json!({"errorCode": code, "errorMessage": message}))
    }
}

/// Query string or form body as a map; the last of equal names wins, `+` is a space.
pub(super) fn parameters(text: &str) -> BTreeMap<String, String> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// `2026-01-15T10:30:45.123Z`, as in the samples of contract 1.4 and 3.3.
pub(super) fn iso(at: Millis) -> String {
    // A time outside jiff's years cannot be reached: skips are bounded by `control`.
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// The inverse of [`iso`]; `None` for anything else.
pub(super) fn from_iso(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// The placeholder of contract 7 taken by its word.
const DASHED: &str = "%Y-%m-%d-%H-%M-%S-UTC";

/// `2026-01-15-10-30-45-UTC`, as contract 7 prints times.
pub(super) fn dashed(at: Millis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime(DASHED).to_string()
}

/// The inverse of [`dashed`], to the second; `None` for anything else.
pub(super) fn from_dashed(text: &str) -> Option<Millis> {
    let time = DateTime::strptime(DASHED, text).ok()?;
    Offset::UTC.to_timestamp(time).ok().map(Timestamp::as_millisecond)
}

/// A span of time in milliseconds, saturating where nobody will ever wait.
pub(super) fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_wire_to_the_millisecond() {
        let at = 1_768_473_045_123;
        assert_eq!(iso(at), "2026-01-15T10:30:45.123Z");
        assert_eq!(from_iso(&iso(at)), Some(at));
        assert_eq!(iso(1_768_473_045_000), "2026-01-15T10:30:45.000Z");
        assert_eq!(dashed(at), "2026-01-15-10-30-45-UTC");
        assert_eq!(from_dashed(&dashed(at)), Some(at - 123));
    }

    #[test]
    fn parameters_are_decoded_as_a_browser_encodes_them() {
        let read = parameters("pid=a%26b&email=x%2By%40example.com&name=a+b&empty=&flag");
        assert_eq!(read["pid"], "a&b");
        assert_eq!(read["email"], "x+y@example.com");
        assert_eq!(read["name"], "a b");
        assert_eq!((read["empty"].as_str(), read["flag"].as_str()), ("", ""));
    }
}
