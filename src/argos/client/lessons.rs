//! What the end of one call teaches whoever calls next, and how it is counted.

use crate::{
    argos::{pace::Impression, wire::Operation},
    port::{Doubtful, DoubtfulCause, Outcome, RefusedCause},
};

/// How ARGOS looks after a call. What it writes about submissions is full of things that we know
/// little of, and whoever cannot read it must not stop registering tokens for that. The settings are
/// for people alone, and a gateway that does not know their address may say 403, as to a wrong key.
pub(super) fn impression<T>(operation: Operation, outcome: &Outcome<T>) -> Impression {
    let impression = match (operation, outcome) {
        (
            Operation::FindSubmission | Operation::ListSubmissions,
            Outcome::Doubtful(Doubtful { cause: DoubtfulCause::Unclear, .. }),
        ) => Impression::Nothing,
        (Operation::Settings, Outcome::Doubtful(_)) => Impression::Nothing,
        (Operation::Settings, Outcome::Refused(refused))
            if refused.cause != RefusedCause::Throttled =>
        {
            Impression::Nothing
        }
        (_, outcome) => Impression::of(outcome),
    };
    if impression == Impression::Well && !operation.carries_ids() {
        Impression::Answered
    } else {
        impression
    }
}

/// The result of a call as a metric label.
pub(super) fn label<T>(outcome: &Outcome<T>) -> &'static str {
    match outcome {
        Outcome::Settled(_) => "settled",
        Outcome::Refused(refused) => match refused.cause {
            RefusedCause::NotSent => "not_sent",
            RefusedCause::Key => "key_refused",
            RefusedCause::Address => "address_refused",
            RefusedCause::Transfer => "transfer_refused",
            RefusedCause::Throttled => "throttled",
            RefusedCause::Request => "request_refused",
            RefusedCause::TooMany => "too_many",
        },
        Outcome::Doubtful(doubtful) => match doubtful.cause {
            DoubtfulCause::CapReached => "cap_reached",
            DoubtfulCause::Unanswered => "unanswered",
            DoubtfulCause::Failed => "failed",
            DoubtfulCause::Unclear => "unclear",
        },
    }
}

/// The next smaller batch to try: 250, then the 100 that ARGOS once allowed (contract 1.1), then half.
pub(super) fn smaller(batch: usize) -> u32 {
    match u32::try_from(batch).unwrap_or(u32::MAX) {
        251.. => 250,
        101..=250 => 100,
        batch => (batch / 2).max(1),
    }
}
