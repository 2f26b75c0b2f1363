//! How values are written: durations, sizes, counts, URLs, log filters, schedules.
//!
//! Reading is strict, because a value that is bent into shape is a value the operator did not choose.
//! Printing gives the shortest text that reads back as the same value.

use std::{net::IpAddr, time::Duration};

use croner::parser::{CronParser, Seconds};

use crate::domain::limits::TOKEN_PREFIX_MAX;

const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIME_UNITS: [(&str, u128); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// `250ms`, `30s`, `1h 30m`.
pub(super) fn read_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// In the largest unit that divides it; whole milliseconds are the finest that a setting needs.
pub(super) fn print_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return humantime::format_duration(duration).to_string();
    }
    print_in(duration.as_millis(), &TIME_UNITS)
}

/// `32MiB`, `512 KiB`, `0B`.
pub(super) fn read_size(text: &str) -> Option<u64> {
    SIZE_UNITS.iter().find_map(|(unit, bytes)| {
        let digits = text.strip_suffix(unit)?;
        read_count(digits.trim_end())?.checked_mul(*bytes)
    })
}

pub(super) fn print_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    print_in(u128::from(bytes), &SIZE_UNITS.map(|(unit, size)| (unit, u128::from(size))))
}

/// `100_000`: digits, and an underscore only between two of them.
pub(super) fn read_count(text: &str) -> Option<u64> {
    let groups = text.split('_');
    if groups.clone().any(|group| group.is_empty() || !group.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    groups.collect::<String>().parse().ok()
}

/// `100_000`, grouped by thousands.
pub(super) fn print_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// `scheme://host[:port][/path]` and nothing behind it: paths and queries of ours are appended, so a
/// slash, a query or a fragment at the end would turn every call into another one. The reason of a
/// refusal never repeats the text, which may hold a password.
pub(super) fn check_url(text: &str) -> Result<(), &'static str> {
    if is_open(text)? {
        return Err(
            "http:// sends the API key and personal data in the open; only loopback may use it",
        );
    }
    Ok(())
}

/// The same where nothing is said that others may not read.
pub(super) fn check_endpoint(text: &str) -> Result<(), &'static str> {
    is_open(text).map(drop)
}

/// Whether what is sent to a URL can be read on its way: neither TLS nor loopback hides it.
pub(super) fn is_open(text: &str) -> Result<bool, &'static str> {
    let (plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("it starts with neither https:// nor http://"),
    };
    if rest.contains(['?', '#']) {
        return Err("a query or a fragment is never part of it");
    }
    if rest.contains('@') {
        return Err("a user or a password is never part of it");
    }
    if rest.ends_with('/') {
        return Err("it ends with a slash");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if path.contains("//")
        || !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~%-".contains(&b))
    {
        return Err("its path holds something that no path of an API holds");
    }
    let host = check_host(authority)?;
    Ok(plain && !is_loopback(host))
}

/// The text before the sealed sequence number of a token id (contract 1.1: letters, digits, `.`, `_`
/// and `-`, the first a letter or digit, 8 to 64 bytes in all).
pub(super) fn is_token_prefix(text: &str) -> bool {
    text.len() <= TOKEN_PREFIX_MAX
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The form of an ISO 3166-1 alpha-3 code, whether or not the code is given to a country.
pub(super) fn is_country(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// `info`, or `info,argospool::engine=debug`. A bare word that is no level would be taken for a
/// module name by the log filter, so that `inof` switched all logging off; here it is refused.
pub(super) fn is_log_filter(text: &str) -> bool {
    text.split(',').all(|directive| match directive.split_once('=') {
        None => LEVELS.contains(&directive),
        Some((module, level)) => {
            LEVELS.contains(&level)
                && !module.is_empty()
                && module.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b))
        }
    })
}

/// Six fields, seconds first, read by the parser and the dialect that the scheduler itself uses.
pub(super) fn check_schedule(text: &str) -> Result<(), String> {
    let fields = text.split_whitespace().count();
    if fields != 6 {
        return Err(format!("it has {fields} fields"));
    }
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    parser.parse(text).map(drop).map_err(|reason| reason.to_string())
}

fn print_in(amount: u128, units: &[(&str, u128)]) -> String {
    units
        .iter()
        .find(|(_, size)| amount.is_multiple_of(*size))
        .map(|(unit, size)| format!("{}{unit}", amount / size))
        .unwrap_or_else(|| amount.to_string())
}

fn check_host(authority: &str) -> Result<&str, &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or("its host is not a name or an address")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let bracketed = authority.starts_with('[');
    let well_formed = if bracketed {
        matches!(host.parse(), Ok(IpAddr::V6(_)))
    } else {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    if !well_formed {
        return Err("its host is not a name or an address");
    }
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port > 0)
        }
    };
    if !port_fits {
        return Err("its port is not a number from 1 to 65535");
    }
    Ok(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_counts_print_as_the_shortest_text_that_reads_back() {
        for text in ["0s", "250ms", "1500ms", "30s", "90s", "2m", "24h", "720h"] {
            assert_eq!(print_duration(read_duration(text).unwrap()), text);
        }
        assert_eq!(print_duration(read_duration("1h 30m").unwrap()), "90m");
        let uneven = Duration::new(1, 500);
        assert_eq!(read_duration(&print_duration(uneven)), Some(uneven));
        for text in ["0B", "1B", "1025B", "32MiB", "3GiB"] {
            assert_eq!(print_size(read_size(text).unwrap()), text);
        }
        for (text, count) in [("0", 0), ("999", 999), ("1_024", 1_024), ("1_000_000", 1_000_000)] {
            assert_eq!(read_count(text), Some(count));
            assert_eq!(print_count(count), text);
        }
    }

    #[test]
    fn an_amount_that_could_be_misread_is_refused() {
        for text in ["", "30", "-1s", "fast", "1 fortnight"] {
            assert_eq!(read_duration(text), None, "{text:?}");
        }
        for text in ["", "32", "32MB", "32mib", "-1B", "1.5GiB", "99999999999GiB"] {
            assert_eq!(read_size(text), None, "{text:?}");
        }
        for text in ["", "_1", "1_", "1__0", "1.0", "+1", "-1", "1e3", "99999999999999999999"] {
            assert_eq!(read_count(text), None, "{text:?}");
        }
    }

    #[test]
    fn plain_http_reaches_loopback_only() {
        for url in [
            "https://rest-api.argosidentity.com/v3",
            "http://127.0.0.1:8099/v3",
            "http://127.8.9.1",
            "http://localhost:8099",
            "http://[::1]:8099/v3",
            "https://[2001:db8::1]",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "http://rest-api.argosidentity.com/v3",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://[2001:db8::1]",
        ] {
            assert!(check_url(url).unwrap_err().contains("only loopback"), "{url}");
        }
    }

    #[test]
    fn nothing_stands_behind_the_path_of_a_url() {
        for (url, reason) in [
            ("ftp://example.com", "neither"),
            ("example.com", "neither"),
            ("https://example.com/v3/", "slash"),
            ("https://example.com/v3?pid=1", "query"),
            ("https://example.com/v3#top", "fragment"),
            ("https://user:pass@example.com", "password"),
            ("https://example.com/v3 ", "path"),
            ("https://example.com//v3", "path"),
            ("https://", "host"),
            ("https://:443", "host"),
            ("https://exa mple.com", "host"),
            ("https://[::1", "host"),
            ("https://[1.2.3.4]", "host"),
            ("https://example.com:0", "port"),
            ("https://example.com:+1", "port"),
            ("https://example.com:70000", "port"),
            ("https://[::1]8080", "port"),
        ] {
            let refusal = check_url(url).unwrap_err();
            assert!(refusal.contains(reason), "{url}: {refusal}");
        }
    }

    #[test]
    fn a_token_prefix_keeps_every_token_id_within_the_rules_of_argos() {
        let longest = "a".repeat(TOKEN_PREFIX_MAX);
        for prefix in ["ap-", "a", "9._-", &longest] {
            assert!(is_token_prefix(prefix), "{prefix:?}");
        }
        let too_long = "a".repeat(TOKEN_PREFIX_MAX + 1);
        for prefix in ["", "-ap", ".a", "_a", "a b", "a/", "ä", &too_long] {
            assert!(!is_token_prefix(prefix), "{prefix:?}");
        }
    }

    #[test]
    fn a_misspelt_log_level_is_not_taken_for_a_module() {
        for filter in ["info", "off", "warn,argospool::engine=debug"] {
            assert!(is_log_filter(filter), "{filter:?}");
        }
        for filter in ["", "inof", "INFO", "info,", "info, warn", "=debug", "a b=debug", "a=loud"] {
            assert!(!is_log_filter(filter), "{filter:?}");
        }
    }

    #[test]
    fn a_schedule_has_six_fields() {
        for schedule in ["*/10 * * * * *", "0 37 * * * *", "0 0 3 * * MON"] {
            assert_eq!(check_schedule(schedule), Ok(()), "{schedule}");
        }
        for schedule in ["", "* * * * *", "0 0 0 1 1 * 2030", "every minute", "61 * * * * *"] {
            assert!(check_schedule(schedule).is_err(), "{schedule}");
        }
    }
}
