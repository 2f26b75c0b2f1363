//! The ids that a request brings with it: `traceparent` as W3C Trace Context has it, and `x-request-id`.
//! What is malformed counts as not said.

use std::fmt;

use uuid::Uuid;

/// 16 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// 8 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// Which of the traces that begin here are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sampling {
    /// Of the 56 bits of a trace id that W3C calls random.
    below: u64,
}

const RANDOM_BITS: u32 = 56;

/// Where a request belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// `None`: the caller named none, and traces are not exported.
    pub trace: Option<TraceId>,
    /// The caller's span.
    pub parent: Option<SpanId>,
    /// Whether its spans are exported.
    pub sampled: bool,
}

/// A caller's own name for its request, repeated in the log. Whatever is not a UUID, with its dashes or
/// without them, counts as not said: it could be anything, also something about a person (P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    pub fn parse(text: &str) -> Option<Self> {
        // Braces and URNs are forms of a UUID, too, and nobody sends them.
        matches!(text.len(), 32 | 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sampling {
    pub(super) fn of(ratio: f64) -> Self {
        Self { below: (ratio * (1_u64 << RANDOM_BITS) as f64) as u64 }
    }

    /// The same for everybody who decides about this trace.
    pub(super) fn keeps(self, trace: TraceId) -> bool {
        let random = trace.0 & ((1 << RANDOM_BITS) - 1);
        random < u128::from(self.below)
    }
}

impl TraceId {
    pub(super) fn draw() -> Self {
        // A UUID of version 4 is random but for six bits, which are not among those that decide.
        Self(Uuid::new_v4().as_u128())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = hex(text, 32)?;
        u128::from_str_radix(digits, 16).ok().filter(|id| *id != 0).map(Self)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl SpanId {
    pub(super) fn draw() -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self(high ^ low.rotate_left(32))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = hex(text, 16)?;
        u64::from_str_radix(digits, 16).ok().filter(|id| *id != 0).map(Self)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Context {
    pub(super) fn of(traceparent: Option<&str>, sampling: Option<Sampling>) -> Self {
        if let Some((trace, parent, sampled)) = traceparent.and_then(parse) {
            let sampled = sampled && sampling.is_some();
            return Self { trace: Some(trace), parent: Some(parent), sampled };
        }
        let Some(sampling) = sampling else { return Self::default() };
        let trace = TraceId::draw();
        Self { trace: Some(trace), parent: None, sampled: sampling.keeps(trace) }
    }
}

/// `00-<trace>-<span>-<flags>`; what a later version puts behind it is not looked at.
fn parse(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = TraceId::parse(parts.next()?)?;
    let parent = SpanId::parse(parts.next()?)?;
    let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
    let known = version == "00";
    if version == "ff" || (known && parts.next().is_some()) {
        return None;
    }
    Some((trace, parent, flags & 1 == 1))
}

/// So many small hex digits.
fn hex(text: &str, length: usize) -> Option<&str> {
    let small = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (text.len() == length && small).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn all() -> Option<Sampling> {
        Some(Sampling::of(1.0))
    }

    #[test]
    fn a_request_goes_on_in_the_trace_of_its_caller() {
        let context = Context::of(Some(&format!("00-{TRACE}-{SPAN}-01")), all());
        assert_eq!(context.trace.unwrap().to_string(), TRACE);
        assert_eq!(context.parent.unwrap().to_string(), SPAN);
        assert!(context.sampled);
        let unsampled = Context::of(Some(&format!("00-{TRACE}-{SPAN}-00")), all());
        assert_eq!((unsampled.trace, unsampled.sampled), (context.trace, false));
        let later = Context::of(Some(&format!("01-{TRACE}-{SPAN}-03-more")), all());
        assert_eq!(later, context);
    }

    #[test]
    fn a_malformed_traceparent_is_not_said() {
        let zero = "0".repeat(32);
        for wrong in [
            "",
            "person@example.com",
            &format!("00-{TRACE}-{SPAN}"),
            &format!("00-{TRACE}-{SPAN}-1"),
            &format!("00-{TRACE}-{SPAN}-01-more"),
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            &format!("00-{zero}-{SPAN}-01"),
            &format!("00-{TRACE}-{}-01", &zero[..16]),
            &format!("00-{SPAN}-{TRACE}-01"),
            &format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(Context::of(Some(wrong), None), Context::default(), "{wrong:?}");
            assert_eq!(Context::of(Some(wrong), all()).parent, None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_is_drawn_and_nothing_sampled_while_nobody_exports() {
        assert_eq!(Context::of(None, None), Context::default());
        let context = Context::of(Some(&format!("00-{TRACE}-{SPAN}-01")), None);
        assert_eq!((context.trace.is_some(), context.sampled), (true, false));
    }

    #[test]
    fn a_ratio_samples_as_many_of_the_traces_that_begin_here() {
        let sampled = |ratio| {
            let sampling = Some(Sampling::of(ratio));
            (0..2_000).filter(|_| Context::of(None, sampling).sampled).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 2_000));
        let quarter = sampled(0.25);
        assert!((350..650).contains(&quarter), "{quarter}");
    }

    /// P1.
    #[test]
    fn a_request_id_is_a_uuid_or_it_is_nothing() {
        let id = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        assert_eq!(RequestId::parse(id).unwrap().to_string(), id);
        assert_eq!(RequestId::parse(&id.replace('-', "")).unwrap().to_string(), id);
        let urn = format!("urn:uuid:{id}");
        for other in
            ["", "person@example.com", "01012345678", &id[1..], &urn, "ap-0123456789abcdefghijkl"]
        {
            assert_eq!(RequestId::parse(other), None, "{other:?}");
        }
    }
}
