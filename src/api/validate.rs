//! Whether a request is well formed. Every field at fault is named, and no value is repeated.

mod link;

use std::time::Duration;

use tonic::metadata::MetadataMap;

use super::{proto, status::Failure};
use crate::{
    domain::{
        ids::{Owner, RequestId, Sequence, TokenId},
        limits::{
            BATCH_MAX, LABEL_KEY_MAX, LABEL_VALUE_MAX, LABELS_MAX, PAGE_DEFAULT, PAGE_MAX,
            SEALED_SYMBOLS,
        },
        liveform::Violation,
        pool::Wanted,
        seal::{Position, Seal},
        time::Timestamp,
        token::{Grant, Labels, Request},
    },
    engine::Handle,
};

/// What a project lets callers ask for. Values were checked when the configuration was read.
#[derive(Clone)]
pub struct ProjectRules {
    pub ttl_default: Duration,
    pub ttl_min: Duration,
    pub ttl_max: Duration,
    pub wait_default: Duration,
    pub wait_max: Duration,
    pub links: Links,
}

pub use self::link::Links;

/// The answer needs some time on its way: so much of the caller's own deadline is not waited for.
const DEADLINE_MARGIN: Duration = Duration::from_millis(100);
/// Bytes of a reason for the log.
const REASON_BYTES_MAX: usize = 256;

/// Collects what is wrong with a request.
#[derive(Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    pub(super) fn add(&mut self, field: impl Into<String>, rule: impl Into<String>) {
        self.0.push(Violation { field: field.into(), rule: rule.into() });
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The request is well formed, or it ends here.
    pub(super) fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::invalid(self.0)) }
    }
}

/// Whose wishes are read, and for which pool.
pub(super) struct Asker<'a> {
    pub handle: &'a Handle,
    pub rules: &'a ProjectRules,
    pub owner: &'a Owner,
}

impl Asker<'_> {
    /// One wish. `at` leads to it inside a batch, such as `requests[3].`; what it returns stands only
    /// if no fault was added. What is wrong with its link goes to `unwritten`, because a repeat is
    /// answered all the same: the configuration may have changed since (L3).
    pub(super) fn wish(
        &self,
        request: proto::CreateLeaseRequest,
        at: &str,
        faults: &mut Faults,
        unwritten: &mut Faults,
    ) -> Wanted {
        let id = request_id(&request.request_id, &format!("{at}request_id"), faults);
        let ttl_asked = duration(request.ttl, &format!("{at}ttl"), faults);
        let ttl = ttl(ttl_asked, self.rules, at, faults);
        let labels = labels(request.labels, at, faults);
        let params = request.params.unwrap_or_default();
        let mut wish = Wish::new("CreateLease");
        wish.duration(ttl_asked);
        for value in
            [&params.email, &params.userid, &params.cf1, &params.cf2, &params.cf3, &params.lang]
        {
            wish.text(value);
        }
        for (key, value) in &labels {
            wish.text(key);
            wish.text(value);
        }
        link::tell(&mut wish, &params, &request.template);
        let token_bytes = self.handle.policy().token_bytes();
        let drafted = self.rules.links.draft(params, &request.template, token_bytes);
        let draft = drafted.map_err(|violations| {
            for Violation { field, rule } in violations {
                unwritten.add(format!("{at}{field}"), rule);
            }
        });
        let request = id.map(|id| self.request(id, &wish));
        Wanted {
            grant: Grant { owner: self.owner.clone(), request, labels },
            ttl,
            draft: draft.ok(),
        }
    }

    /// A request that can be repeated (L3).
    pub(super) fn request(&self, id: RequestId, wish: &Wish) -> Request {
        let seal = self.handle.seal();
        Request { id, key: seal.request_key(self.owner, id), digest: seal.digest(&wish.0) }
    }
}

/// What a caller asked for, in an encoding in which different wishes differ: every text carries its
/// length. The wait is not part of it, nor is anything that the configuration fills in, so that a
/// repeat is recognised after a change of defaults.
pub(super) struct Wish(Vec<u8>);

impl Wish {
    pub(super) fn new(method: &str) -> Self {
        let mut wish = Self(Vec::with_capacity(128));
        wish.text(method);
        wish
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// No text is so long: what follows is of another kind.
    fn divide(&mut self) {
        self.number(u64::MAX);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn duration(&mut self, span: Option<Duration>) {
        let Some(span) = span else { return self.0.push(0) };
        self.0.push(1);
        self.number(span.as_secs());
        self.number(span.subsec_nanos().into());
    }
}

/// A UUID, or nothing.
pub(super) fn request_id(text: &str, field: &str, faults: &mut Faults) -> Option<RequestId> {
    if text.is_empty() {
        return None;
    }
    let id = RequestId::parse(text);
    id.map_err(|malformed| faults.add(field, malformed.to_string())).ok()
}

/// The sequence in a lease id of this ledger; `None` for one that is well formed and not ours.
pub(super) fn lease_id(text: &str, seal: &Seal, faults: &mut Faults) -> Option<Sequence> {
    if !is_sealed(text, "lease-") {
        faults.add("lease_id", "must be a lease_id as an answer of this service gave it");
        return None;
    }
    seal.open_lease(text)
}

/// How long a lease may stay unused.
pub(super) fn ttl(
    asked: Option<Duration>,
    rules: &ProjectRules,
    at: &str,
    faults: &mut Faults,
) -> Duration {
    let ttl = asked.unwrap_or(rules.ttl_default);
    let (least, most) = (rules.ttl_min, rules.ttl_max);
    if !(least..=most).contains(&ttl) {
        faults.add(format!("{at}ttl"), format!("must be {least:?} to {most:?}"));
    }
    ttl
}

/// A reason that goes to the log, where nobody may find a secret or a person (P1). Log lines are kept
/// longer, and read by more people, than whoever writes a reason thinks of.
pub(super) fn reason(text: &str, seal: &Seal, faults: &mut Faults) {
    if text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        let rule = format!("must have at most {REASON_BYTES_MAX} bytes, none of them control");
        faults.add("reason", rule);
        return;
    }
    let mut words =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"._-".contains(letter));
    let is_token = |word: &str| TokenId::parse(word).is_ok_and(|id| seal.open_token(&id).is_some());
    if text.contains("://") || text.contains('@') || words.any(is_token) {
        faults.add("reason", "must not hold a URL, a token or an e-mail address");
    }
}

/// A position to resume from: `None` for an empty token, and inside it `None` for one that is well
/// formed and not of this ledger.
pub(super) fn resume_token(
    text: &str,
    seal: &Seal,
    faults: &mut Faults,
) -> Option<Option<Position>> {
    if text.is_empty() {
        return None;
    }
    if !is_sealed(text, "watch-") {
        faults.add("resume_token", "must be a resume_token as a message of this service gave it");
    }
    Some(seal.open_position(text))
}

/// How long to wait for a token.
pub(super) fn wait(
    asked: Option<prost_types::Duration>,
    rules: &ProjectRules,
    metadata: &MetadataMap,
    faults: &mut Faults,
) -> Duration {
    let wait = duration(asked, "wait", faults).unwrap_or(rules.wait_default);
    if wait > rules.wait_max {
        faults.add("wait", format!("must be at most {:?}", rules.wait_max));
    }
    deadline(metadata).map_or(wait, |left| wait.min(left.saturating_sub(DEADLINE_MARGIN)))
}

pub(super) fn duration(
    asked: Option<prost_types::Duration>,
    field: &str,
    faults: &mut Faults,
) -> Option<Duration> {
    let asked = asked?;
    let (seconds, nanos) = (u64::try_from(asked.seconds), u32::try_from(asked.nanos));
    match (seconds, nanos) {
        // What the specification of google.protobuf.Duration allows: ten thousand years.
        (Ok(seconds @ ..=315_576_000_000), Ok(nanos @ ..=999_999_999)) => {
            Some(Duration::new(seconds, nanos))
        }
        _ => {
            faults.add(field, "must be a duration that is not negative");
            None
        }
    }
}

pub(super) fn timestamp(
    asked: Option<prost_types::Timestamp>,
    field: &str,
    faults: &mut Faults,
) -> Option<Timestamp> {
    let asked = asked?;
    match (u64::try_from(asked.seconds), u64::try_from(asked.nanos)) {
        // The end of the year 9999.
        (Ok(seconds @ ..=253_402_300_799), Ok(nanos @ ..=999_999_999)) => {
            Some(Timestamp::from_millis(seconds * 1_000 + nanos / 1_000_000))
        }
        _ => {
            faults.add(field, "must be a time of the years 1970 to 9999");
            None
        }
    }
}

/// How many leases one batch asks for.
pub(super) fn batch_size(requests: usize, faults: &mut Faults) {
    if !(1..=BATCH_MAX).contains(&requests) {
        faults.add("requests", format!("must have 1 to {BATCH_MAX} entries"));
    }
}

/// Where a page begins, and how many entries it has at most.
pub(super) fn page(size: i32, token: &str, seal: &Seal, faults: &mut Faults) -> (Sequence, usize) {
    let size = match usize::try_from(size) {
        Ok(0) => PAGE_DEFAULT,
        Ok(size @ ..=PAGE_MAX) => size,
        Ok(_) | Err(_) => {
            faults.add("page_size", format!("must be 0 to {PAGE_MAX}"));
            PAGE_DEFAULT
        }
    };
    if token.is_empty() {
        return (Sequence::ZERO, size);
    }
    let from = seal.open_lease(token).unwrap_or_else(|| {
        faults.add("page_token", "must be a next_page_token as an answer gave it");
        Sequence::ZERO
    });
    (from, size)
}

/// The token of the page that begins at `next`: sealed as a lease id is, so that nobody makes one up.
pub(super) fn page_token(seal: &Seal, next: Option<Sequence>) -> String {
    next.map(|next| seal.lease_id(next).as_str().to_owned()).unwrap_or_default()
}

fn is_sealed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|sealed| {
        sealed.len() == SEALED_SYMBOLS && sealed.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn labels(asked: Labels, at: &str, faults: &mut Faults) -> Labels {
    let field = format!("{at}labels");
    if asked.len() > LABELS_MAX {
        faults.add(&field, format!("must have at most {LABELS_MAX} entries"));
    }
    for (key, value) in &asked {
        let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=LABEL_KEY_MAX).contains(&key.len()) || !printable {
            let rule = format!("a key must have 1 to {LABEL_KEY_MAX} printable ASCII characters");
            faults.add(&field, rule);
        } else if value.len() > LABEL_VALUE_MAX || value.chars().any(char::is_control) {
            let rule = format!("must have at most {LABEL_VALUE_MAX} bytes, none of them control");
            faults.add(format!("{field}[{key}]"), rule);
        }
    }
    asked
}

/// What is left of the caller's deadline. tonic itself would cut the call off with another code.
fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
