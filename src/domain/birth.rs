//! The hour in which a token was ordered, in the open.
//!
//! A pod that is killed leaves its tokens at ARGOS, and the ledger that could open their ids dies with
//! it. So the ids of such a ledger say when they were made, in four symbols between prefix and seal that
//! any other ledger can read: enough to tell the slices of dead pods from those of living ones, too
//! little to guess an id by. The hour binds nothing and is asked for only when an operator wants ids gone
//! that are not ours.

use std::time::Duration;

use super::{
    ids::{TokenId, TokenPrefix},
    limits::{BIRTH_SYMBOLS, SEALED_SYMBOLS},
    seal::{SYMBOLS, digit},
    time::Timestamp,
};

const HOUR: Duration = Duration::from_hours(1);
const HOUR_MILLIS: u64 = 3_600_000;
/// 2024-01-01 00:00 UTC. No id with an hour in it is older, so what says so is no hour.
const EARLIEST: Birth = Birth(473_352);
/// 62 symbols in four places: the hours of some 1,700 years.
const LAST: Birth = Birth(62_u32.pow(4) - 1);

/// An hour, counted from the Unix epoch, by the clock of whoever ordered the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Birth(u32);

impl Birth {
    /// The hour that this moment lies in.
    pub fn at(moment: Timestamp) -> Self {
        let hours = u32::try_from(moment.as_millis() / HOUR_MILLIS).unwrap_or(u32::MAX);
        Self(hours).min(LAST)
    }

    /// When the hour begins.
    pub fn begins(self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.0) * HOUR_MILLIS)
    }

    /// Whether whatever was born in this hour was certainly born before `time`: all of it lies before.
    pub fn is_before(self, time: Timestamp) -> bool {
        self.begins().plus(HOUR) <= time
    }

    /// What stands in an id.
    pub(super) fn symbols(self) -> [u8; BIRTH_SYMBOLS] {
        let mut symbols = [0; BIRTH_SYMBOLS];
        let mut hours = self.0;
        for symbol in symbols.iter_mut().rev() {
            *symbol = SYMBOLS[(hours % 62) as usize];
            hours /= 62;
        }
        symbols
    }

    /// The hour in an id that has this prefix. `None` where it has another shape, or where the symbols
    /// can be no hour: from before 2024, or more than an hour after `now`, which no clock is ahead.
    pub fn read(token: &TokenId, prefix: &TokenPrefix, now: Timestamp) -> Option<Self> {
        let rest = token.expose().strip_prefix(prefix.as_str())?.as_bytes();
        let (hours, sealed) = rest.split_at_checked(BIRTH_SYMBOLS)?;
        if sealed.len() != SEALED_SYMBOLS || !sealed.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut hour = 0;
        for symbol in hours {
            hour = hour * 62 + u32::from(digit(*symbol)?);
        }
        let plausible = EARLIEST..=Self::at(now.plus(HOUR));
        Some(Self(hour)).filter(|birth| plausible.contains(birth))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        ids::Sequence,
        seal::{LedgerIdentity, Salt, Seal},
    };

    /// 2026-03-01 12:34 UTC.
    const NOW: Timestamp = Timestamp::from_millis(1_772_368_440_000);

    fn prefix(text: &str) -> TokenPrefix {
        TokenPrefix::parse(text).unwrap()
    }

    fn hour(text: &str) -> Option<Birth> {
        Birth::read(&TokenId::parse(text).unwrap(), &prefix("ap-"), NOW)
    }

    fn seal(key: u8) -> Seal {
        Seal::new(&LedgerIdentity { id: 1, tag: [key; 4], id_key: [key; 16], digest_key: [7; 32] })
    }

    proptest! {
        /// U1.
        #[test]
        fn an_id_tells_its_hour_to_every_ledger_and_its_sequence_to_its_own(
            text in "[A-Za-z0-9][A-Za-z0-9._-]{0,31}",
            number in 0..=Sequence::MAX.get(),
            salt: Salt,
            // From 2024 to the year 3000.
            minutes in 28_401_120_u64..541_755_360,
        ) {
            let (prefix, sequence) = (prefix(&text), Sequence::new(number));
            let now = Timestamp::from_millis(minutes * 60_000);
            let birth = Birth::at(now);
            let id = seal(1).token_id(&prefix.born_in(birth), sequence, salt);
            prop_assert_eq!(id.expose().len(), text.len() + BIRTH_SYMBOLS + SEALED_SYMBOLS);
            prop_assert_eq!(Birth::read(&id, &prefix, now), Some(birth));
            prop_assert_eq!(seal(1).open_token(&id), Some(sequence));
            prop_assert_eq!(seal(2).open_token(&id), None);
            prop_assert!(birth.begins() <= now && now < birth.begins().plus(HOUR));
        }

        #[test]
        fn a_later_hour_never_reads_as_an_earlier_one(one in 0_u64..1 << 50, other in 0_u64..1 << 50) {
            let [one, other] = [one, other].map(|at| Birth::at(Timestamp::from_millis(at)));
            prop_assert_eq!(one.cmp(&other), one.symbols().cmp(&other.symbols()));
        }
    }

    #[test]
    fn a_birth_is_before_a_time_only_when_its_whole_hour_is() {
        let birth = Birth::at(NOW);
        let noon = Timestamp::from_millis(1_772_366_400_000);
        assert_eq!(birth.begins(), noon);
        assert!(!birth.is_before(noon.plus(HOUR).minus(Duration::from_millis(1))));
        assert!(birth.is_before(noon.plus(HOUR)));
    }

    #[test]
    fn what_has_another_shape_or_an_hour_that_cannot_be_has_none() {
        let sealed = "0".repeat(SEALED_SYMBOLS);
        let symbols = |birth: Birth| String::from_utf8(birth.symbols().to_vec()).unwrap();
        let now = Birth::at(NOW);
        assert_eq!(hour(&format!("ap-{}{sealed}", symbols(now))), Some(now));
        assert_eq!(hour(&format!("ap-{}{sealed}", symbols(EARLIEST))), Some(EARLIEST));
        let next = Birth(now.0 + 1);
        assert_eq!(hour(&format!("ap-{}{sealed}", symbols(next))), Some(next));
        for none in [
            // Without an hour, and with more than one.
            format!("ap-{sealed}"),
            format!("ap-{0}{0}{sealed}", symbols(now)),
            // Of another prefix, and of another alphabet.
            format!("op-{}{sealed}", symbols(now)),
            format!("ap-{}-{}", symbols(now), &sealed[1..]),
            format!("ap--{}{sealed}", &symbols(now)[1..]),
            // From before 2024, and from the hour after the next.
            format!("ap-{}{sealed}", symbols(Birth(EARLIEST.0 - 1))),
            format!("ap-{}{sealed}", symbols(Birth(now.0 + 2))),
            format!("ap-{}{sealed}", symbols(LAST)),
            "ap-short".to_owned(),
        ] {
            assert_eq!(hour(&none), None, "{none}");
        }
    }

    #[test]
    fn a_time_past_all_hours_is_the_last_one() {
        assert_eq!(Birth::at(Timestamp::from_millis(u64::MAX)), LAST);
    }
}
