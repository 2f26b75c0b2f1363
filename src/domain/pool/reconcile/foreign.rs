//! Ids at ARGOS that are not ours: what they tell of whose they are, and which of them an operator means.

use std::collections::BTreeMap;

use crate::domain::{
    birth::Birth,
    ids::{TokenId, TokenPrefix},
    time::Timestamp,
};

/// Bytes of a foreign id that a report shows, and different beginnings that it shows at most.
const HINT_BYTES: usize = 6;
const HINTS_MAX: usize = 100;

/// Whether a foreign id looks as if it were ours, and the hour of its birth where it tells one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    None,
    Ours { birth: Option<Birth> },
}

impl Likeness {
    /// That of an id which nobody here could open.
    pub(super) fn of(token: &TokenId, prefix: &TokenPrefix, now: Timestamp) -> Self {
        if token.expose().starts_with(prefix.as_str()) {
            Self::of_ours(token, prefix, now)
        } else {
            Self::None
        }
    }

    /// That of an id which is our own and that nobody wrote down.
    pub(super) fn of_ours(token: &TokenId, prefix: &TokenPrefix, now: Timestamp) -> Self {
        Self::Ours { birth: Birth::read(token, prefix, now) }
    }
}

/// Which foreign ids an operator wants gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// Those that do not look like ours.
    Strangers,
    /// All of them.
    All,
    /// Those that look like ours and were certainly born before this.
    BornBefore(Timestamp),
}

impl Unwanted {
    pub(super) fn is_meant(self, likeness: Likeness) -> bool {
        match (self, likeness) {
            (Self::Strangers, Likeness::None) | (Self::All, _) => true,
            (Self::BornBefore(time), Likeness::Ours { birth: Some(birth) }) => {
                birth.is_before(time)
            }
            (Self::Strangers, Likeness::Ours { .. })
            | (Self::BornBefore(_), Likeness::None | Likeness::Ours { birth: None }) => false,
        }
    }
}

/// How many of those that look like ours were born in each hour.
pub(super) fn births<'a>(foreign: impl Iterator<Item = &'a Likeness>) -> BTreeMap<Birth, u32> {
    let mut births = BTreeMap::new();
    for likeness in foreign {
        if let Likeness::Ours { birth: Some(birth) } = likeness {
            *births.entry(*birth).or_default() += 1;
        }
    }
    births
}

/// The beginnings of ids, with how many begin so: enough to see whose they are, too little to use one.
pub(super) fn hints<'a>(tokens: impl Iterator<Item = &'a TokenId>) -> Vec<String> {
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for token in tokens {
        let shown = token.expose().get(..HINT_BYTES).unwrap_or_default();
        *counted.entry(shown).or_default() += 1;
    }
    let hints = counted.into_iter().take(HINTS_MAX);
    hints.map(|(shown, number)| format!("{shown}… ({number})")).collect()
}
