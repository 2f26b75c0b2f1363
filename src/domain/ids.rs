//! Names that are proof: holding one means that it was checked.

use std::{fmt, sync::Arc};

use super::limits::{
    OWNER_BYTES_MAX, SUBMISSION_ID_MAX, TOKEN_ID_BYTES_MAX, TOKEN_ID_BYTES_MIN, TOKEN_PREFIX_MAX,
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

/// The id ARGOS gave to a submission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
