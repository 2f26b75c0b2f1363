//! What the end of one call tells: whether key and address are accepted, what time it is over there,
//! and whether answers come sealed.

use std::time::Duration;

use super::{failed, not_checkable, passed};
use crate::{
    argos::TimeTold,
    domain::pool::KeyCheck,
    port::{Condition, Doubtful, DoubtfulCause, Finding, Outcome, Refused, RefusedCause},
};

const KEY: &str = "api_key";
const ADDRESS: &str = "address";
const CLOCK: &str = "clock";
const TRANSFER: &str = "secure_transfer";

/// A jump that is longer is believed only when ARGOS agrees (T1), and with a clock that is off by more
/// the two never do.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// How ARGOS takes us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reception {
    Answered(u32),
    KeyRefused,
    AddressRefused,
    Throttled,
    /// It answers, and not with what was asked.
    Unreadable,
    Silent,
    /// The call did not leave in time.
    Held,
}

impl Reception {
    fn of(counted: Option<&Outcome<u32>>, condition: Condition) -> Self {
        match counted {
            Some(Outcome::Settled(tokens)) => Self::Answered(*tokens),
            Some(Outcome::Refused(Refused { cause, .. })) => match cause {
                RefusedCause::Key => Self::KeyRefused,
                RefusedCause::Address => Self::AddressRefused,
                RefusedCause::Throttled => Self::Throttled,
                RefusedCause::NotSent => Self::Silent,
                RefusedCause::Transfer | RefusedCause::Request | RefusedCause::TooMany => {
                    Self::Unreadable
                }
            },
            Some(Outcome::Doubtful(Doubtful { cause, .. })) => match cause {
                DoubtfulCause::Unanswered => Self::Silent,
                DoubtfulCause::CapReached | DoubtfulCause::Failed | DoubtfulCause::Unclear => {
                    Self::Unreadable
                }
            },
            // Calls are held back for what an earlier one met.
            None => match condition {
                Condition::KeyRefused => Self::KeyRefused,
                Condition::AddressRefused => Self::AddressRefused,
                Condition::Throttled => Self::Throttled,
                Condition::Down | Condition::Failing => Self::Silent,
                Condition::Up | Condition::TransferRefused => Self::Held,
            },
        }
    }
}

/// Both 403s of ARGOS, told apart (contract 6).
pub(super) fn key_and_address(
    counted: Option<&Outcome<u32>>,
    condition: Condition,
    key_check: Option<KeyCheck>,
    addresses: Option<&[String]>,
) -> [Finding; 2] {
    let unknown = |why| not_checkable(ADDRESS, why, "run this again when api_key has passed");
    match Reception::of(counted, condition) {
        Reception::Answered(_) => {
            let key = match key_check {
                Some(KeyCheck::Failed) => failed(
                    KEY,
                    "ARGOS accepts the key and knows none of our tokens: it is another project's",
                    "configure the key of this pid, then `argospool resume`",
                ),
                Some(KeyCheck::Passed) => {
                    passed(KEY, "accepted, and it belongs to the tokens that are here")
                }
                Some(KeyCheck::Open { .. }) | None => passed(KEY, "accepted"),
            };
            let list = match addresses {
                Some([]) => "; ARGOS has no list of addresses",
                Some(_) => "; it is on ARGOS's list",
                None => "",
            };
            [key, passed(ADDRESS, format!("ARGOS answers this host{list}"))]
        }
        Reception::KeyRefused => {
            let advice =
                "compare the key with Project Settings, Integration Info, in the dashboard";
            [
                failed(KEY, "ARGOS refuses the key", advice),
                unknown("not known while the key is refused"),
            ]
        }
        Reception::AddressRefused => {
            let advice =
                "add this host's address under System Operation, IP Whitelist, for the API";
            [
                not_checkable(KEY, "not known while the address is refused", "see address"),
                failed(ADDRESS, "ARGOS refuses this host's address", advice),
            ]
        }
        Reception::Throttled => [
            not_checkable(KEY, "ARGOS asks for fewer calls", "run this again in a minute"),
            unknown("ARGOS asks for fewer calls"),
        ],
        Reception::Unreadable => {
            let advice = "see argos.api_url, what stands between here and ARGOS, and whether a key \
                          here opens what ARGOS seals";
            [failed(KEY, "the answer cannot be read", advice), unknown("the answer cannot be read")]
        }
        Reception::Silent => {
            let advice = "see argos.api_url, name resolution, and what this host may reach";
            [failed(KEY, "ARGOS does not answer", advice), unknown("ARGOS does not answer")]
        }
        Reception::Held => [
            not_checkable(KEY, "no call could be spared in time", "run this again"),
            unknown("no call could be spared in time"),
        ],
    }
}

/// The wall clock here against the `Date` of ARGOS's last answer, which tells whole seconds.
pub(super) fn clock(told: Option<TimeTold>) -> Finding {
    let Some(TimeTold { by_argos, wall }) = told else {
        return not_checkable(CLOCK, "ARGOS has not told the time", "see api_key");
    };
    let (skew, side) = if wall >= by_argos {
        (wall.since(by_argos), "ahead of")
    } else {
        (by_argos.since(wall), "behind")
    };
    let seconds = skew.as_secs();
    if skew > SKEW_MAX {
        let summary = format!("{seconds} s {side} ARGOS");
        return failed(CLOCK, summary, "set the clock of this host by NTP");
    }
    passed(CLOCK, format!("within {} s of ARGOS", seconds + 1))
}

/// The switch over there against ours.
pub(super) fn transfer(seen: Option<bool>, condition: Condition, configured: bool) -> Finding {
    let there = "Security Settings, Data Protection";
    match (seen, configured) {
        (Some(true), true) if condition == Condition::TransferRefused => {
            let advice = "see that the key is right, and try transfer.request_shape = \"data\"";
            failed(TRANSFER, "on at both sides, and ARGOS cannot open what is sent", advice)
        }
        (Some(true), true) => passed(TRANSFER, "on at ARGOS, and requests are sealed"),
        (Some(false), false) => passed(TRANSFER, "off at ARGOS, and requests are not sealed"),
        (Some(true), false) => {
            let advice =
                format!("set transfer.seal_requests = true, or switch it off under {there}");
            failed(TRANSFER, "on at ARGOS, and requests are not sealed here", advice)
        }
        (Some(false), true) => {
            let advice = format!("switch it on under {there}, or unset transfer.seal_requests");
            failed(TRANSFER, "off at ARGOS, and requests are sealed here", advice)
        }
        (None, _) => not_checkable(TRANSFER, "no answer shows whether it is on", "see api_key"),
    }
}
