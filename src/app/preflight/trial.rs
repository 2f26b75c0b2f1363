//! One token there and back: registered, read back, deleted.
//!
//! It is an order like any other, and while it is Ready it is stock like any other: a caller who waits
//! for a token may be given it. What is not certain in time is left to the engine, which goes on with it
//! as with every order; a token whose trial was cut off stays in the stock.

use std::time::Duration;

use tokio::time::Instant;

use super::{Examiner, LOOK_AGAIN, PATIENCE, failed, not_checkable, passed};
use crate::{
    domain::{
        fault::Reason,
        ids::Sequence,
        limits::PURGE_LINGER,
        order::OrderState,
        token::{Doom, Stage, Token},
    },
    engine::Rejection,
    port::{Condition, Finding, Outcome, Supplier as _},
};

const NAME: &str = "trial_token";

/// What became of the registration.
enum Arrival {
    /// It may be given to a caller.
    Ready(Token),
    /// A caller was faster.
    InUse(Token),
    /// ARGOS confirmed it, and it may be used when no late copy of the call can arrive.
    Late(Token, Duration),
    /// ARGOS has not confirmed it, because it looks like this.
    Unconfirmed(Condition),
    /// ARGOS turned it down, or contradicted itself.
    GivenUp,
}

impl Examiner {
    /// `answers`: ARGOS answered a question a moment ago.
    pub(super) async fn trial(&self, answers: bool) -> Finding {
        if !answers {
            return not_checkable(
                NAME,
                "nothing was ordered: ARGOS does not answer",
                "see api_key",
            );
        }
        let condition = self.argos.health().condition;
        if !condition.is_usable() {
            return unconfirmed(condition);
        }
        let tried = match self.handle.begin_trial().await {
            Ok(sequence) => self.follow(sequence).await,
            Err(rejection) => return not_ordered(&rejection),
        };
        tried.unwrap_or_else(|rejection| {
            let advice = "see the log of the daemon, then run this again";
            not_checkable(NAME, format!("the ledger did not answer: {rejection}"), advice)
        })
    }

    async fn follow(&self, sequence: Sequence) -> Result<Finding, Rejection> {
        let call = self.settings.argos.request_timeout + PATIENCE;
        let arrived = self.arrival(sequence, call + self.settings.tokens.settle_delay).await?;
        let (token, late) = match arrived {
            Arrival::Ready(token) | Arrival::InUse(token) => (token, None),
            Arrival::Late(token, span) => (token, Some(span)),
            Arrival::Unconfirmed(condition) => {
                self.handle.end_trial(sequence).await?;
                return Ok(unconfirmed(condition));
            }
            Arrival::GivenUp => {
                let advice = "see room; `argospool status` and the log of the daemon tell more";
                return Ok(failed(NAME, "ARGOS did not take the registration", advice));
            }
        };
        let found = match self.admitted(|| self.argos.find(token.id.clone())).await {
            Some(Outcome::Settled(found)) => Some(found),
            Some(Outcome::Refused(_) | Outcome::Doubtful(_)) | None => None,
        };
        if let Some(span) = late {
            return Ok(confirmed_late(found, span));
        }
        self.handle.end_trial(sequence).await?;
        let left = self.left(sequence, call + PURGE_LINGER).await?;
        Ok(conclusion(found, left.as_ref()))
    }

    /// Waits until the token can be used, or until it is clear that it cannot in time.
    async fn arrival(&self, sequence: Sequence, span: Duration) -> Result<Arrival, Rejection> {
        let deadline = Instant::now() + span;
        loop {
            let Some((token, order)) = self.handle.token(sequence).await? else {
                return Ok(Arrival::GivenUp);
            };
            match token.stage {
                Stage::Ready { .. } => return Ok(Arrival::Ready(token)),
                Stage::Leased(_) => return Ok(Arrival::InUse(token)),
                Stage::Doomed(_) => return Ok(Arrival::GivenUp),
                Stage::Minted { .. } => (),
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            match order.map(|order| order.state) {
                Some(OrderState::Settled { ripe }) => {
                    let wait = ripe.since(self.clock.now());
                    if wait > rest {
                        return Ok(Arrival::Late(token, wait));
                    }
                }
                Some(OrderState::Open { .. }) | None => {
                    let condition = self.argos.health().condition;
                    if !condition.is_usable() || rest.is_zero() {
                        return Ok(Arrival::Unconfirmed(condition));
                    }
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The stage that the token has in the end; `None`: ARGOS deleted it.
    async fn left(&self, sequence: Sequence, span: Duration) -> Result<Option<Stage>, Rejection> {
        let deadline = Instant::now() + span;
        loop {
            let Some((token, _)) = self.handle.token(sequence).await? else { return Ok(None) };
            let doomed = matches!(token.stage, Stage::Doomed(_));
            if !doomed || Instant::now() >= deadline {
                return Ok(Some(token.stage));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn not_ordered(rejection: &Rejection) -> Finding {
    let reason = rejection.reason;
    if reason == Reason::CapReached {
        return failed(NAME, "nothing was ordered: there is no room for a token", "see room");
    }
    if reason == Reason::Halted {
        let why =
            "nothing was ordered: a promise was found broken, or the key is another project's";
        let advice = "`argospool status` tells which; `argospool resume` when it is mended";
        return failed(NAME, why, advice);
    }
    if reason == Reason::Paused {
        let advice = "`argospool resume`, then run this again";
        return not_checkable(NAME, "nothing was ordered: refill or purge is paused", advice);
    }
    let advice = "run this again; `argospool status` tells more";
    not_checkable(NAME, format!("nothing was ordered: {rejection}"), advice)
}

fn unconfirmed(condition: Condition) -> Finding {
    let (why, advice) = match condition {
        Condition::KeyRefused => ("ARGOS refuses the key", "see api_key"),
        Condition::AddressRefused => ("ARGOS refuses this host's address", "see address"),
        Condition::TransferRefused => ("ARGOS cannot open what is sent", "see secure_transfer"),
        Condition::Throttled => ("ARGOS asks for fewer calls", "run this again in a minute"),
        Condition::Down | Condition::Failing | Condition::Up => (
            "ARGOS has not answered",
            "the order is repeated; `argospool status` tells how it goes",
        ),
    };
    failed(NAME, format!("no registration is confirmed: {why}"), advice)
}

fn confirmed_late(found: Option<bool>, span: Duration) -> Finding {
    let read_back = match found {
        Some(true) => "registered and read back",
        Some(false) => return lost(),
        None => "registered",
    };
    let summary = format!("{read_back}; a call went unanswered, so it was not deleted");
    let advice = format!("it is stock in {} s; run this again then", span.as_secs() + 1);
    not_checkable(NAME, summary, advice)
}

fn conclusion(found: Option<bool>, left: Option<&Stage>) -> Finding {
    if found == Some(false) && !matches!(left, Some(Stage::Leased(_))) {
        return lost();
    }
    let read_back =
        if found == Some(true) { "registered and read back" } else { "registered, not read back" };
    match left {
        None if found == Some(true) => passed(NAME, "registered, read back and deleted"),
        None => not_checkable(NAME, "registered and deleted, not read back", "run this again"),
        Some(Stage::Leased(_)) => {
            passed(NAME, format!("{read_back}; in use: a caller was given it"))
        }
        Some(Stage::Doomed(Doom { attempts: 0, .. })) => {
            let advice = "it is deleted later; `argospool tokens` tells when it is gone";
            not_checkable(NAME, format!("{read_back}; its deletion waits for its turn"), advice)
        }
        Some(Stage::Doomed(_) | Stage::Ready { .. } | Stage::Minted { .. }) => failed(
            NAME,
            format!("{read_back}; ARGOS has not confirmed its deletion"),
            "see that nothing between here and ARGOS takes the body off a DELETE",
        ),
    }
}

fn lost() -> Finding {
    let advice = "see that argos.api_url is ARGOS itself, and that nothing there deletes tokens";
    failed(NAME, "ARGOS confirmed the registration and does not know the token", advice)
}
