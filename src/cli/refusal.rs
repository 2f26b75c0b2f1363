//! What a gRPC status means to the person at the keyboard.
//!
//! A status with an `ErrorInfo` of ours is the daemon's own word. One without can be anything between
//! here and there, and then nobody knows whether the call took effect.

use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Exit, Failure, words};

const DOMAIN: &str = "argospool";

/// What a call was refused for, in one word: the daemon's reason, or the code where it gave none.
pub(super) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    match details.error_info().filter(|info| info.domain == DOMAIN) {
        Some(info) => info.reason.clone(),
        None => format!("{:?}", status.code()),
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        if info.is_none() {
            if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
                return Self::new(Exit::Unreachable, "the daemon did not answer in time")
                    .hint("the call may have taken effect all the same")
                    .hint("--timeout gives it longer");
            }
            // Only what was made on this side has a source.
            if status.source().is_some() {
                return Self::new(Exit::Unreachable, "the connection broke before the answer came")
                    .hint("the call may have taken effect all the same");
            }
        }
        let message = match status.message() {
            "" => "the daemon refused and did not say why",
            message => message,
        };
        let mut failure = Self::new(Exit::Refused, message);
        failure = match info {
            Some(info) => failure.fact("reason", &info.reason),
            None => failure.fact("code", format!("{:?}", status.code())),
        };
        for field in details.bad_request().into_iter().flat_map(|bad| &bad.field_violations) {
            failure = failure.fact("field", format!("{}: {}", field.field, field.description));
        }
        for quota in details.quota_failure().into_iter().flat_map(|quota| &quota.violations) {
            failure = failure.fact("quota", format!("{}: {}", quota.subject, quota.description));
        }
        if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            failure = failure.fact("retry after", words::duration(delay));
        }
        let hint = match info {
            Some(info) => hint_for(&info.reason),
            None if status.code() == Code::Unimplemented => {
                Some("is this an argospool daemon, and as new as this command line?")
            }
            None => None,
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What helps against a reason, where the message alone does not tell.
fn hint_for(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "POOL_EMPTY" => {
            "`argospool status` tells why it is empty; --wait lets the call wait longer"
        }
        "CAP_REACHED" => "`argospool status` tells what holds the slots at ARGOS",
        "PAUSED" => "`argospool status` tells who paused it; `argospool resume` ends that",
        "ARGOS_DOWN" | "ARGOS_KEY_REFUSED" | "ARGOS_ADDRESS_REFUSED" => {
            "`argospool status` tells how ARGOS looks from the daemon"
        }
        "REQUEST_ID_REUSED" => "leave --request-id out for something new",
        "COMMIT_DOUBTFUL" => "it may have happened: repeat with the same --request-id to find out",
        "PROJECT_NOT_FOUND" => "`argospool status` lists the projects; choose one with --project",
        "IDENTITY_MISSING" => {
            "say who calls: --token-file, ARGOSPOOL_TOKEN_FILE, or the unix socket"
        }
        "NOT_ALLOWED" => "this needs another identity: --token-file or ARGOSPOOL_TOKEN_FILE",
        "LEASE_REPLACED" => "`argospool show` tells how the one in its place stands",
        "RESUME_TOO_OLD" => "`argospool list --all` tells how things stand; then watch anew",
        "STARTING" | "DRAINING" => "try again in a moment",
        "HALTED" => "`argospool audit` names the broken promise",
        "LEDGER_UNAVAILABLE" => {
            "look at the daemon's log and at the free space of its data directory"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(
        code: Code,
        message: &str,
        reason: &str,
        fill: impl FnOnce(&mut ErrorDetails),
    ) -> Failure {
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        fill(&mut details);
        Status::with_error_details(code, message, details).into()
    }

    #[test]
    fn a_refusal_is_told_with_reason_time_and_a_hint() {
        let failure =
            refused(Code::ResourceExhausted, "no token is ready", "POOL_EMPTY", |details| {
                details.set_retry_info(Some(Duration::from_secs(90)));
            });
        assert_eq!(failure.exit(), Exit::Refused);
        assert_eq!(
            failure.to_text(),
            "error: no token is ready\n  reason       POOL_EMPTY\n  retry after  1m 30s\n\
             hint: `argospool status` tells why it is empty; --wait lets the call wait longer\n"
        );
    }

    #[test]
    fn every_field_at_fault_is_named() {
        let failure = refused(Code::InvalidArgument, "2 fields", "INVALID_REQUEST", |details| {
            details.add_bad_request_violation("ttl", "at least 30s");
            details.add_bad_request_violation("params.email", "not an address");
        });
        assert_eq!(
            failure.to_text(),
            "error: 2 fields\n  reason  INVALID_REQUEST\n  field   ttl: at least 30s\n  \
             field   params.email: not an address\n"
        );
    }

    #[test]
    fn a_status_that_is_not_the_daemons_word_shows_its_code() {
        let failure = Failure::from(Status::unimplemented(""));
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(failure.to_text().contains("code  Unimplemented"), "{}", failure.to_text());
        assert!(!failure.is_doubtful());
    }

    #[test]
    fn silence_and_a_broken_connection_leave_the_outcome_open() {
        let broken = Status::from_error("connection reset".into());
        for status in [Status::deadline_exceeded("late"), Status::cancelled("late"), broken] {
            let failure = Failure::from(status);
            assert_eq!(failure.exit(), Exit::Unreachable);
            assert!(failure.is_doubtful());
        }
    }

    #[test]
    fn a_doubtful_commit_is_refused_and_yet_may_have_happened() {
        let failure = refused(Code::Unknown, "cannot tell", "COMMIT_DOUBTFUL", |_| ());
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(failure.is_doubtful());
    }
}
