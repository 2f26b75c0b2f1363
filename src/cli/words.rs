//! How values are written for people: durations, times, counts, and the names of the proto's enums.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;

pub(super) use crate::engine::in_words as duration;

/// A time as it is seen from now, such as `2 min ago` or `in 40 s`.
pub(super) fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.duration_since(now).as_secs();
    let (amount, unit) = match seconds.unsigned_abs() {
        0 => return "now".to_owned(),
        short @ ..60 => (short, "s"),
        minutes @ ..3_600 => (minutes / 60, "min"),
        hours @ ..86_400 => (hours / 3_600, "h"),
        days => (days / 86_400, "d"),
    };
    if seconds < 0 { format!("{amount} {unit} ago") } else { format!("in {amount} {unit}") }
}

/// A time of the proto; `None` when it is unset or beyond the calendar.
pub(super) fn time_of(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
}

/// As [`relative`]; a dash when unset.
pub(super) fn when(time: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    time_of(time).map_or_else(|| "-".to_owned(), |time| relative(time, now))
}

/// A duration of the proto; `None` when it is unset or negative.
pub(super) fn duration_of(duration: Option<&prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|duration| Duration::try_from(*duration).ok())
}

/// A duration for the proto. What no proto holds is shorter than what any daemon admits.
pub(super) fn to_proto(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration)
        .unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

/// A count with its thousands apart: `100,000`.
pub(super) fn count(count: u32) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 token`, `2 tokens`.
pub(super) fn counted(amount: usize, noun: &str) -> String {
    let amount = u32::try_from(amount).unwrap_or(u32::MAX);
    let ending = if amount == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(amount))
}

/// Keeps a column of a table from looking like the next one.
pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// A size in the largest binary unit it fills: `12.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in units {
        if bytes >= unit {
            let tenths = bytes.saturating_mul(10) / unit;
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// An enum of the proto as a word: `TOKEN_STAGE_READY` is `ready`, what is unspecified is a dash.
pub(super) fn word<E: TryFrom<i32>>(
    value: i32,
    name: fn(&E) -> &'static str,
    prefix: &str,
) -> String {
    let Ok(known) = E::try_from(value) else { return format!("unknown {value}") };
    let name = name(&known);
    match name.strip_prefix(prefix).unwrap_or(name) {
        "UNSPECIFIED" => "-".to_owned(),
        word => word.to_ascii_lowercase().replace('_', " "),
    }
}

/// Reads such words as arguments.
pub(super) fn choice<E>(
    words: &'static [&'static str],
    prefix: &'static str,
    named: fn(&str) -> Option<E>,
) -> impl TypedValueParser<Value = E>
where
    E: Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(move |word| {
        let name = format!("{prefix}{}", word.to_ascii_uppercase().replace('-', "_"));
        named(&name).ok_or("the daemon's language has no such word")
    })
}

/// Reads `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected KEY=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::proto::{DoomCause, TokenStage};

    #[test]
    fn a_time_is_told_from_now_in_either_direction() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let shown = [-90_000, -7_300, -120, -59, 0, 40, 150]
            .map(|seconds| relative(now + jiff::SignedDuration::from_secs(seconds), now));
        let said = ["1 d ago", "2 h ago", "2 min ago", "59 s ago", "now", "in 40 s", "in 2 min"];
        assert_eq!(shown, said);
    }

    #[test]
    fn a_time_that_is_unset_or_beyond_the_calendar_is_a_dash() {
        let now = Timestamp::UNIX_EPOCH;
        let beyond = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!((when(None, now).as_str(), when(Some(&beyond), now).as_str()), ("-", "-"));
    }

    #[test]
    fn counts_and_sizes_are_easy_on_the_eye() {
        assert_eq!([0, 999, 1_000, 100_000].map(count), ["0", "999", "1,000", "100,000"]);
        assert_eq!([1, 2].map(|amount| counted(amount, "token")), ["1 token", "2 tokens"]);
        assert_eq!([900, 1_536, 13_000_000].map(size), ["900 B", "1.5 KiB", "12.3 MiB"]);
    }

    #[test]
    fn a_name_of_a_later_release_is_shown_as_its_number() {
        let stage = |value| word(value, TokenStage::as_str_name, "TOKEN_STAGE_");
        assert_eq!([0, 2, 77].map(stage), ["-", "ready", "unknown 77"]);
        let cause = DoomCause::LeaseClosed as i32;
        assert_eq!(word(cause, DoomCause::as_str_name, "DOOM_CAUSE_"), "lease closed");
    }

    #[test]
    fn a_value_may_hold_what_parts_it_from_its_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
