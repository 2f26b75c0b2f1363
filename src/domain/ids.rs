//! Names that are proof: holding one means that it was checked.

use std::{fmt, sync::Arc};

use super::{
    birth::Birth,
    limits::{
        OWNER_BYTES_MAX, SUBMISSION_ID_MAX, TOKEN_ID_BYTES_MAX, TOKEN_ID_BYTES_MIN,
        TOKEN_PREFIX_MAX,
    },
};

/// A text that is not what its type demands. It never repeats the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl Malformed {
    pub(super) const fn new(expected: &'static str) -> Self {
        Self(expected)
    }
}

/// The number a token gets when it is minted: the key of its record, of its lease and of its line
/// of history. Tokens are leased in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    pub const ZERO: Self = Self(0);
    /// Six bytes of a sealed id carry the number.
    pub const MAX: Self = Self((1 << 48) - 1);

    pub const fn new(number: u64) -> Self {
        assert!(number <= Self::MAX.0, "a sequence has 48 bits");
        Self(number)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `steps` further on. At a million tokens a second it takes nine years to run out.
    #[must_use]
    pub const fn plus(self, steps: u64) -> Self {
        Self::new(self.0 + steps)
    }
}

/// The order a token was minted in: the sequence of its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub Sequence);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order-{}", self.0.0)
    }
}

/// The number of a commit. Every record carries that of its last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// The name of one one-time token, as ARGOS accepts it.
///
/// U1: 8 to 64 bytes of `[A-Za-z0-9._-]` with a letter or digit at both ends (contract 1.2). A
/// bearer credential: its `Debug` gives nothing away.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Arc<str>);

impl TokenId {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let bytes = text.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let ends = [bytes.first(), bytes.last()];
        let well_formed = (TOKEN_ID_BYTES_MIN..=TOKEN_ID_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(inner)
            && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
        if !well_formed {
            return Err(Malformed(
                "a token id has 8 to 64 bytes of A-Z a-z 0-9 . _ - and begins and ends with a letter or digit",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, for the places that put it on the wire or on the disk.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenId(…)")
    }
}

/// What every token id of this daemon begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPrefix(Box<str>);

impl TokenPrefix {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let well_formed = (1..=TOKEN_PREFIX_MAX).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !well_formed {
            return Err(Malformed(
                "a token prefix has 1 to 32 bytes of A-Z a-z 0-9 . _ - and begins with a letter or digit",
            ));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the ids begin with that are drawn in this hour, where they tell it.
    #[must_use]
    pub fn born_in(&self, birth: Birth) -> Self {
        let symbols = birth.symbols().map(char::from);
        Self(self.0.chars().chain(symbols).collect())
    }
}

/// The public name of a lease. It carries the same sequence as its token, sealed, and gives nothing
/// of the token away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub(super) Box<str>);

impl LeaseId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A caller's own UUID of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

impl RequestId {
    /// Reads the usual form, `8-4-4-4-12` hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        const DASHES: [usize; 4] = [8, 13, 18, 23];
        let bytes = text.as_bytes();
        let mut value = 0;
        if bytes.len() != 36 {
            return Err(Malformed("a UUID of 36 characters is expected"));
        }
        for (at, byte) in bytes.iter().enumerate() {
            if DASHES.contains(&at) {
                if *byte != b'-' {
                    return Err(Malformed("a UUID in the form 8-4-4-4-12 is expected"));
                }
                continue;
            }
            let digit = char::from(*byte)
                .to_digit(16)
                .ok_or(Malformed("a UUID of hexadecimal digits is expected"))?;
            value = (value << 4) | u128::from(digit);
        }
        Ok(Self(value))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b, c, d, e) =
            (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

/// Who was given a lease: `uid:<n>`, `token:<name>` or `anonymous`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() || text.len() > OWNER_BYTES_MAX {
            return Err(Malformed("an owner has 1 to 64 bytes"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id ARGOS gave to a submission. Whoever sends it may write anything there, a token too, so it is
/// not printed (P1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(Box<str>);

impl SubmissionId {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > SUBMISSION_ID_MAX || !printable {
            return Err(Malformed("a submission id has 1 to 128 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SubmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubmissionId(…)")
    }
}

/// The configured name of a project: `[a-z][a-z0-9_]{0,31}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(Arc<str>);

impl ProjectName {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let well_formed = (1..=32).contains(&text.len())
            && text.as_bytes()[0].is_ascii_lowercase()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !well_formed {
            return Err(Malformed(
                "a project name has 1 to 32 characters of a-z 0-9 _ and begins with a letter",
            ));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U1 (contract 1.2).
    #[test]
    fn a_token_id_is_what_argos_takes_and_nothing_else() {
        let bytes = |length: usize| "a".repeat(length);
        for good in [&bytes(8), &bytes(64), "a.b_c-d9", "Z0000000"] {
            assert!(TokenId::parse(good).is_ok(), "{good}");
        }
        let strange = ["", "abc def9", "abc/def9", "abcdefg\u{e9}", "abcdef\n9"];
        let ends = ["-bcdefgh", "abcdefg-", ".bcdefgh", "abcdefg_"];
        for bad in [bytes(7), bytes(65)].iter().map(String::as_str).chain(strange).chain(ends) {
            assert!(TokenId::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// U1.
    #[test]
    fn a_prefix_is_what_a_token_id_may_begin_with() {
        for good in ["a", "0", "ap-", "a.b_c-", &"a".repeat(32)] {
            assert!(TokenPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a\u{e9}", &"a".repeat(33)] {
            assert!(TokenPrefix::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_id_is_a_uuid_in_its_usual_form_and_is_written_as_it_was_read() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        let id = RequestId::parse(text).unwrap();
        assert_eq!(id, RequestId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_eq!(id.to_string(), text);
        assert_eq!(RequestId::parse(&text.to_uppercase()), Ok(id));
        let undashed = text.replace('-', "0");
        for bad in ["", &text[1..], &text.replace('7', "g"), &undashed, &format!("{text}0")] {
            assert!(RequestId::parse(bad).is_err(), "{bad:?}");
        }
        for at in 0..36 {
            let mut swapped = text.to_owned();
            let other = if &text[at..=at] == "-" { "0" } else { "-" };
            swapped.replace_range(at..=at, other);
            assert!(RequestId::parse(&swapped).is_err(), "{swapped:?}");
        }
    }

    #[test]
    fn names_from_outside_are_bounded_and_of_their_alphabet() {
        assert!(Owner::parse("uid:1").is_ok() && Owner::parse(&"a".repeat(64)).is_ok());
        assert!(Owner::parse("").is_err() && Owner::parse(&"a".repeat(65)).is_err());
        assert!(
            SubmissionId::parse("s!1").is_ok() && SubmissionId::parse(&"a".repeat(128)).is_ok()
        );
        for bad in ["", "a b", "a\u{e9}", "a\n", &"a".repeat(129)] {
            assert!(SubmissionId::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "kyc_2", &"a".repeat(32)] {
            assert!(ProjectName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "2a", "_a", "A", "a-b", "aB", &"a".repeat(33)] {
            assert!(ProjectName::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// P1.
    #[test]
    fn a_token_id_is_not_printed() {
        assert_eq!(format!("{:?}", TokenId::parse("secret-token").unwrap()), "TokenId(…)");
        let sent_by_others = SubmissionId::parse("secret-token").unwrap();
        assert_eq!(format!("{sent_by_others:?}"), "SubmissionId(…)");
    }

    #[test]
    fn a_sequence_has_48_bits() {
        assert_eq!(Sequence::MAX.get(), 0xffff_ffff_ffff);
    }

    #[test]
    fn public_names_are_written_as_they_are() {
        let project = ProjectName::parse("kyc_2").unwrap();
        assert_eq!((project.as_str(), project.to_string().as_str()), ("kyc_2", "kyc_2"));
        assert_eq!(LeaseId("9f".into()).to_string(), "9f");
    }

    #[test]
    fn an_order_is_named_after_its_first_token() {
        assert_eq!(OrderId(Sequence::new(500)).to_string(), "order-500");
    }
}
