//! Secure Data Transfer: the envelopes around what ARGOS and we say to each other (contract 1.6, 3.4
//! and 5.3).
//!
//! A switch at ARGOS turns it on for a whole project. What we send is then sealed because our settings
//! say so; what comes in is looked at, because nothing else tells whether it is an envelope: not the
//! content type, and not the settings while the switch is being turned. An envelope is opened once. What
//! was inside it takes its place and is read as if it had come in the clear; what no key opens stays as
//! it is, and nobody can find anything in it.
//!
//! Pure, and used for answers and webhooks alike.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::domain::envelope::{Cipher, Gcm, Keyring, Nonce};

/// What travels under Secure Data Transfer is sealed like this, as far as it leaves from here.
pub const CIPHER: Cipher = Cipher::Ecb;

/// Beside a `data` text any of these says what the object is: no envelope.
const TELLING_NAMES: [&str; 8] =
    ["success", "errorCode", "webhook_trigger", "Items", "items", "tokens", "tokenId", "summary"];

/// Symbols of the shortest envelope there is: one block in base64.
const ENVELOPE_SYMBOLS_MIN: usize = 24;

/// How a project's requests travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Whether bodies are sealed; ARGOS takes only what agrees with its own switch.
    pub seal_requests: bool,
    pub request_shape: RequestShape,
}

/// What stands around the envelope in a request. Samples of ARGOS show the first; the answers of ARGOS
/// itself have the second (contract 10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestShape {
    /// Nothing: the body is the envelope.
    #[default]
    Raw,
    /// `{"data":"…"}`.
    Data,
}

impl Transfer {
    /// The body of a request as it leaves. `nonce` is one that the keyring's cipher gave.
    pub fn seal(self, body: String, keyring: &Keyring, nonce: &Nonce) -> String {
        if !self.seal_requests {
            return body;
        }
        let envelope = keyring.seal(body.as_bytes(), nonce);
        match self.request_shape {
            RequestShape::Raw => envelope,
            RequestShape::Data => json!({ "data": envelope }).to_string(),
        }
    }
}

/// A body that came in, as it looks from outside.
#[derive(Clone, PartialEq, Eq)]
pub enum Arrived {
    /// A JSON object and no envelope.
    Plain,
    /// An envelope, and the JSON object that was inside.
    Opened(Vec<u8>),
    /// An envelope that none of our keys opens.
    Unopened,
    /// Neither.
    Neither,
}

/// Nothing of what was inside (P1).
impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Opened(_) => "Opened(…)",
            Self::Unopened => "Unopened",
            Self::Neither => "Neither",
        })
    }
}

/// Looks at a body, and into it where it is an envelope.
///
/// Every key is tried with every cipher. A wrong one gives noise at best, and noise is no JSON object.
pub fn open(body: &[u8], keyring: &Keyring) -> Arrived {
    let value = serde_json::from_slice(body);
    let envelope = match &value {
        Ok(Value::Object(fields)) => match enveloped(fields) {
            Some(envelope) => envelope,
            None => return Arrived::Plain,
        },
        Ok(Value::String(text)) => text.trim(),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Arrived::Neither;
        }
        Err(_) => str::from_utf8(body).unwrap_or_default().trim(),
    };
    if !may_be_envelope(envelope) {
        return Arrived::Neither;
    }
    let others: Vec<Cipher> = every_cipher().filter(|it| *it != keyring.cipher()).collect();
    match keyring.open(envelope, &others, object) {
        Some(opened) => Arrived::Opened(opened.content),
        None => Arrived::Unopened,
    }
}

/// What the answers of one project have shown of ARGOS's switch.
#[derive(Debug, Default)]
pub struct Shown {
    sealed: Option<bool>,
    unopened: u64,
    told: Vec<Surprise>,
}

/// What a person should hear of, once in the life of a process: settings and switch are mended by
/// people, and until then every answer says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surprise {
    SealedAnswers,
    PlainAnswers,
    UnopenedAnswers,
}

impl Shown {
    /// Hears how an answer came. In the clear only a success counts: gateways and failures may be
    /// plain whatever the switch says.
    pub fn hear(&mut self, arrived: &Arrived, status: u16, ours: Transfer) -> Option<Surprise> {
        let surprise = match arrived {
            Arrived::Opened(_) => {
                self.sealed = Some(true);
                (!ours.seal_requests).then_some(Surprise::SealedAnswers)
            }
            Arrived::Unopened => {
                self.sealed = Some(true);
                self.unopened = self.unopened.saturating_add(1);
                Some(Surprise::UnopenedAnswers)
            }
            Arrived::Plain if status == 200 => {
                self.sealed = Some(false);
                ours.seal_requests.then_some(Surprise::PlainAnswers)
            }
            Arrived::Plain | Arrived::Neither => None,
        };
        let surprise = surprise.filter(|surprise| !self.told.contains(surprise))?;
        self.told.push(surprise);
        Some(surprise)
    }

    /// Whether the last answer that could be either came sealed; `None` before the first.
    pub const fn sealed(&self) -> Option<bool> {
        self.sealed
    }

    /// Answers that no key opened.
    pub const fn unopened(&self) -> u64 {
        self.unopened
    }
}

impl Surprise {
    /// What it is and what to do about it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SealedAnswers => {
                "ARGOS seals its answers and transfer.seal_requests is off: switch it on, or \
                 registrations are refused as long as Data Protection in ARGOS's dashboard says so"
            }
            Self::PlainAnswers => {
                "ARGOS answers in the clear and transfer.seal_requests is on: switch it off, or \
                 switch on Secure Data Transfer under Data Protection in ARGOS's dashboard"
            }
            Self::UnopenedAnswers => {
                "ARGOS seals its answers and no key of ours opens them: compare the API key with \
                 the one in ARGOS's dashboard; what was asked stays in doubt"
            }
        }
    }
}

/// The envelope in an object that is nothing but one.
fn enveloped(fields: &Map<String, Value>) -> Option<&str> {
    let envelope = fields.get("data")?.as_str()?.trim();
    let telling =
        TELLING_NAMES.iter().any(|name| fields.get(*name).is_some_and(|it| !it.is_null()));
    (!telling && may_be_envelope(envelope)).then_some(envelope)
}

/// Whether a text has the letters and the length of base64 or hex. Words in the clear do not come this
/// long without a space.
fn may_be_envelope(text: &str) -> bool {
    let length = text.len();
    let base64 = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/' | b'=');
    length >= ENVELOPE_SYMBOLS_MIN
        && ((length.is_multiple_of(4) && text.bytes().all(base64))
            || (length.is_multiple_of(2) && text.bytes().all(|it| it.is_ascii_hexdigit())))
}

fn object(plain: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<Map<String, Value>>(plain).ok().map(|_| plain.to_vec())
}

fn every_cipher() -> impl Iterator<Item = Cipher> {
    [Cipher::Ecb].into_iter().chain(Gcm::all().map(Cipher::Gcm))
}

#[cfg(test)]
mod tests;
