//! The URL a caller receives (contract 4): what it may say, and how it says it.
//!
//! [`Rules`] hold what a caller asks against what ARGOS accepts, and leave [`Params`]; a [`Form`] writes
//! them into a link, in the open or inside of `encrypted`, each parameter in one of the two places
//! and never in both.

mod asked;
mod countries;
mod parameter;
mod params;
mod rules;
mod shape;

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub use asked::{Asked, Value};
pub use parameter::{Kind, Parameter, Pipeline, Secrecy};
pub use params::Params;
pub use rules::Rules;

use self::params::{Name, Said, Until};
use super::{
    entropy::Entropy,
    envelope::{BLOCK_BYTES, Cipher, Encoding, Gcm, Keyring, Nonce},
    ids::TokenId,
    limits::MARK_BYTES,
    time::Timestamp,
};

/// What JavaScript's `encodeURIComponent` leaves alone, as ARGOS's own samples use it.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Symbols of base64 that hold a bit of one block, at most.
const SYMBOLS_PER_BLOCK: usize = BLOCK_BYTES * 8 / 6 + 2;
/// `2027-01-15T08:10:00Z`.
const TIME_BYTES: usize = 20;

/// How much of a link is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: what must be is refused.
    Plain,
    /// What must be, and what is passed on unchecked.
    Mixed,
    /// Everything but `pid` and `lang`, the token too: ARGOS's encryption-only mode.
    Sealed,
}

impl Mode {
    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mixed => "mixed",
            Self::Sealed => "sealed",
        }
    }
}

/// A field that breaks a rule. The value, which may be personal, is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: String,
    pub rule: String,
}

/// How the links of a project are written.
#[derive(Clone, Debug)]
pub struct Form {
    /// Up to and with the pid.
    head: String,
    mode: Mode,
    keyring: Keyring,
    /// The parameter that carries a mark of ours when the caller leaves it empty.
    mark: Option<Parameter>,
    until_deadline: bool,
}

/// A link in the making: everything of it but token, deadline and mark.
#[derive(Clone, Debug)]
pub struct Draft {
    pub form: Arc<Form>,
    pub params: Params,
    /// From [`Form::nonce`], and for one link.
    pub nonce: Nonce,
}

/// What a link is made for.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    pub token: &'a TokenId,
    pub issued: Timestamp,
    pub deadline: Timestamp,
}

impl Form {
    /// `base_url` without query, such as `https://form.argosidentity.com`.
    pub fn new(base_url: &str, pid: &str, mode: Mode, keyring: Keyring) -> Self {
        let base_url = base_url.trim_end_matches('/');
        let head = format!("{base_url}?pid={}", utf8_percent_encode(pid, COMPONENT));
        Self { head, mode, keyring, mark: None, until_deadline: false }
    }

    /// The same, with marks in one of [`Parameter::MARKABLE`].
    #[must_use]
    pub fn marked_by(mut self, parameter: Option<Parameter>) -> Self {
        self.mark = parameter;
        self
    }

    /// The same, with the deadline of the lease in every link that says no other last start.
    #[must_use]
    pub fn until_deadline(mut self, always: bool) -> Self {
        self.until_deadline = always;
        self
    }

    /// Randomness for the next link.
    pub fn nonce(&self, entropy: &mut dyn Entropy) -> Nonce {
        self.keyring.cipher().nonce(entropy)
    }

    /// The parameters inside an envelope that this form sealed, as JSON.
    pub fn open(&self, sealed: &str) -> Option<String> {
        self.keyring.open(sealed, &[], said_inside).map(|opened| opened.content)
    }

    /// The most bytes of a URL that says this, with a token of this length. What of an envelope must
    /// be percent-encoded is chance: it is counted as in all but one of a billion links.
    fn length(&self, params: &Params, token_bytes: usize) -> usize {
        let (token, mark) = ("-".repeat(token_bytes), "-".repeat(MARK_BYTES));
        let until = Timestamp::ZERO;
        let parts = self.parts(params, &token, (until, until), || mark);
        let sealed = if parts.sealed.is_empty() {
            0
        } else {
            "&encrypted=".len() + self.escaped_length(&parts)
        };
        self.head.len() + parts.open.len() + sealed
    }

    /// Bytes of a percent-encoded envelope, at most.
    fn escaped_length(&self, parts: &Parts) -> usize {
        let cipher = self.keyring.cipher();
        match cipher {
            // Blocks that say the same look the same, so that chance strikes a text that repeats itself all
            // at once: it is sealed, and chance left to the blocks that are not known yet.
            Cipher::Ecb => {
                let sealed = self.keyring.seal(parts.sealed.as_bytes(), &Nonce::default());
                let known: usize = utf8_percent_encode(&sealed, COMPONENT).map(str::len).sum();
                known + room_for_escapes(parts.blocks_to_come * SYMBOLS_PER_BLOCK)
            }
            Cipher::Gcm(Gcm { encoding: Encoding::Base64, .. }) => {
                let symbols = cipher.sealed_length(parts.sealed.len());
                symbols + room_for_escapes(symbols)
            }
            Cipher::Gcm(Gcm { encoding: Encoding::Hex, .. }) => {
                cipher.sealed_length(parts.sealed.len())
            }
        }
    }

    /// The places of a link, each parameter in one of them.
    fn parts(
        &self,
        params: &Params,
        token: &str,
        times: (Timestamp, Timestamp),
        mark: impl FnOnce() -> String,
    ) -> Parts {
        let mut parts = Parts::default();
        let envelope = self.has_envelope(params);
        if self.mode == Mode::Sealed {
            parts.seal("token", token.into());
            parts.expect(token.len());
        } else {
            parts.say("token", token);
        }
        for (name, said) in params.entries() {
            if self.seals(name, envelope) {
                parts.seal(name.as_str(), said.sealed(times));
                if let Said::Until(_) = said {
                    parts.expect(TIME_BYTES);
                }
            } else {
                parts.say(name.as_str(), &said.open(times));
            }
        }
        let mark_field = self.mark.filter(|parameter| !params.says(*parameter));
        if let Some(parameter) = mark_field {
            parts.marked = true;
            if self.seals(&Name::Known(parameter), envelope) {
                parts.seal(parameter.name(), mark().into());
                parts.expect(MARK_BYTES);
            } else {
                parts.say(parameter.name(), &mark());
            }
        }
        if self.until_deadline && !params.says(Parameter::StartValidUntil) {
            let until = Said::Until(Until::Deadline);
            parts.seal(Parameter::StartValidUntil.name(), until.sealed(times));
            parts.expect(TIME_BYTES);
        }
        if !parts.sealed.is_empty() {
            parts.sealed.push('}');
        }
        parts
    }

    /// What of this is said inside of the envelope.
    fn sealed(&self, params: &Params) -> Params {
        let envelope = self.has_envelope(params);
        params.those(|name| self.seals(name, envelope))
    }

    fn has_envelope(&self, params: &Params) -> bool {
        self.until_deadline
            || self.mode == Mode::Sealed
            || params.entries().any(|(name, _)| self.seals(name, false))
    }

    fn seals(&self, name: &Name, beside_envelope: bool) -> bool {
        match name {
            // Beside an envelope, which is ignored unless they are inside of it.
            Name::Known(Parameter::Sid | Parameter::Action) => beside_envelope,
            Name::Known(parameter) => match parameter.secrecy() {
                Secrecy::Open => false,
                Secrecy::Either => self.mode == Mode::Sealed,
                // Also in plain mode: an older lease whose link is made anew may say it.
                Secrecy::Sealed => true,
            },
            Name::Other(_) => self.mode != Mode::Plain,
        }
    }
}

impl Draft {
    /// The link (U1), with a mark of ours where the form has a place for it and the caller left that
    /// empty.
    pub fn link(&self, occasion: Occasion<'_>, mark: impl FnOnce() -> String) -> Link {
        let Occasion { token, issued, deadline } = occasion;
        let form = &*self.form;
        let parts = form.parts(&self.params, token.expose(), (issued, deadline), mark);
        let mut url = form.head.clone() + &parts.open;
        if !parts.sealed.is_empty() {
            let sealed = form.keyring.seal(parts.sealed.as_bytes(), &self.nonce);
            url.push_str("&encrypted=");
            url.extend(utf8_percent_encode(&sealed, COMPONENT));
        }
        let sealed = form.sealed(&self.params).to_text();
        Link { url: url.into(), sealed, marked: parts.marked }
    }

    /// What the link and what is kept of it take together, at most.
    pub fn length(&self, token_bytes: usize) -> Length {
        let url = self.form.length(&self.params, token_bytes);
        Length { url, kept: url + self.form.sealed(&self.params).to_text().len() }
    }
}

/// A link, as a caller gets it and as its lease keeps it.
pub struct Link {
    pub url: Box<str>,
    /// What the caller said inside of the envelope, as text: with the URL it tells
    /// [`Params::of_link`] everything, whatever becomes of the keys.
    pub sealed: Box<str>,
    /// It carries the mark.
    pub marked: bool,
}

/// Bytes of a link, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    pub url: usize,
    /// With what is kept beside it.
    pub kept: usize,
}

/// What an envelope around parameters holds, to the byte: a JSON object, or it was opened with the wrong
/// key.
pub fn said_inside(plain: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(plain).ok()?;
    serde_json::from_str::<serde_json::Map<_, _>>(text).ok()?;
    Some(text.to_owned())
}

/// The envelope in a link, in the value of its `encrypted`, or in what is the envelope itself, however
/// somebody copied it; `None` for a link without one.
pub fn envelope_of(text: &str) -> Option<String> {
    let text = text.trim();
    let copied = match text.split_once("encrypted=") {
        Some((_, behind)) => behind.split(['&', '#']).next().unwrap_or_default(),
        None if text.contains("://") || text.contains("pid=") => return None,
        None => text,
    };
    Some(percent_decode_str(copied).decode_utf8_lossy().into_owned())
}

/// A link, without its head and before it is sealed.
#[derive(Default)]
struct Parts {
    /// `&name=value`, percent-encoded.
    open: String,
    /// A JSON object, its closing brace last.
    sealed: String,
    /// Blocks of the cipher with something in them that is another in every link, at most.
    blocks_to_come: usize,
    marked: bool,
}

impl Parts {
    fn say(&mut self, name: &str, value: &str) {
        self.open.push('&');
        self.open.push_str(name);
        self.open.push('=');
        self.open.extend(utf8_percent_encode(value, COMPONENT));
    }

    fn seal(&mut self, name: &str, value: serde_json::Value) {
        self.sealed.push(if self.sealed.is_empty() { '{' } else { ',' });
        self.sealed.push_str(&serde_json::Value::from(name).to_string());
        self.sealed.push(':');
        self.sealed.push_str(&value.to_string());
    }

    /// What was sealed last is another text of the same length in every link.
    const fn expect(&mut self, bytes: usize) {
        self.blocks_to_come += (bytes + BLOCK_BYTES - 2) / BLOCK_BYTES + 1;
    }
}

impl Said {
    /// As it stands in the query.
    fn open(&self, times: (Timestamp, Timestamp)) -> String {
        let value = self.sealed(times);
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// As it stands in an envelope, at the time of issue and with the deadline given.
    fn sealed(&self, (issued, deadline): (Timestamp, Timestamp)) -> serde_json::Value {
        match self {
            Self::Text(text) => serde_json::Value::from(&**text),
            Self::Flag(flag) => serde_json::Value::from(*flag),
            Self::Texts(texts) => {
                texts.iter().map(|(name, text)| (name.clone(), text.as_str())).collect()
            }
            Self::Until(Until::Time(at)) if *at > issued => utc(*at).into(),
            Self::Until(Until::Time(_) | Until::Deadline) => utc(deadline).into(),
        }
    }
}

/// In whole seconds, as ARGOS's own sample has it; never later than the moment itself.
fn utc(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_millis() / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Bytes that percent-encoding adds to so many symbols of base64, of which it adds two to each of two
/// in 64, and to the padding.
const fn room_for_escapes(symbols: usize) -> usize {
    let expected = symbols / 32;
    // Six standard deviations, what few symbols are beyond them, and two symbols of padding.
    2 * (expected + 6 * (expected.isqrt() + 1) + 6)
}

#[cfg(test)]
mod tests;
