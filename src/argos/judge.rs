//! What the end of a call means: settled, refused, or doubtful. A pure table (contract 1.3, 1.4, 1.5,
//! 6 and 7), and the one place that reads a status or an error code.
//!
//! The rule behind the rows: a call is *refused* only where the contract says in so many words that
//! nothing was done. Whatever is not listed, and every 5xx, is doubtful, and so is a 200 that cannot
//! be read, says no, or contains any count that contradicts the batch. A 502, 503 or 504 is no answer
//! at all: what stood behind the gateway may still be at work.

use std::time::Duration;

use super::wire::{
    Entry, Figure, Operation, Page, Reply, settings::ManagementSettings,
    submissions::SubmissionList,
};
use crate::{
    domain::{
        ids::{SubmissionId, TokenId},
        submission::Report,
        time::Timestamp,
    },
    port::{Doubtful, DoubtfulCause, Outcome, Refused, RefusedCause, Registered},
};

/// No answer can send us away for longer than this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Parts of messages that say that ARGOS is full, for answers without a code we know. The exact text
/// is not documented (contract 1.3).
const FULL_MESSAGES: [&str; 5] =
    ["token limit", "token_limit", "limit exceeded", "pool is full", "maximum number of tokens"];

/// What a code or message says when ARGOS could not open what we sent (contract 1.6) …
const UNOPENED_MESSAGE: &str = "decryption is failed";
/// … and what it may say then, and for other reasons as well.
const UNPROCESSED_MESSAGE: &str = "data processing error";

/// Codes whose meaning is known, so that their messages need no reading.
const OTHER_CODES: [&str; 12] = [
    "internal_server_error",
    "invalid_order",
    "invalid_path",
    "invalid_payload",
    "invalid_project",
    "invalid_query_parameters",
    "invalid_token_id",
    "invalid_token_id_format",
    "invalid_token_id_length",
    "request_token_limit_exceeded",
    "token_id_not_found",
    "token_not_found",
];

/// How a call ended.
#[derive(Clone, Copy)]
pub enum Exchange<'a> {
    /// No connection came about, so no byte of the request left.
    NotSent,
    /// It broke off, or took too long, at any moment after that.
    Unanswered,
    Answered(Answer<'a>),
}

/// An answer, as far as it matters.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    /// The header as it came.
    pub retry_after: Option<&'a str>,
    /// When it was given: what a date in `retry_after` counts from.
    pub at: Timestamp,
    /// What was inside, where it came in an envelope that a key opened.
    pub body: &'a [u8],
    /// Whether the request or the answer came in an envelope. A body of ours that ARGOS cannot read
    /// is then one that it cannot open, or did not expect to be sealed.
    pub sealed: bool,
}

/// Judges the registration of `batch` ids.
pub fn register(exchange: Exchange<'_>, batch: usize) -> Outcome<Registered> {
    conclude(Operation::Register, exchange, |reply| {
        let batch = batch as u64;
        let count = reply.figures("currentCount").next();
        let all = |name| reply.figures(name).all(|figure| figure == Figure::Number(batch));
        let none = |name| reply.figures(name).all(|figure| figure == Figure::Number(0));
        let agrees = says_done(reply, &["totalSubmitted", "processed"])
            && all("totalSubmitted")
            && all("processed")
            && none("failed")
            && !reply.details_beside(None)
            && reply
                .figures("currentCount")
                .all(|count| matches!(count, Figure::Number(count) if count >= batch));
        let count = match count {
            Some(Figure::Number(count)) => u32::try_from(count).ok(),
            Some(Figure::Garbled) | None => None,
        };
        agrees.then_some(Registered { count })
    })
}

/// Judges the deletion of `batch` ids. Ids that were unknown already are done.
pub fn delete(exchange: Exchange<'_>, batch: usize) -> Outcome<()> {
    if absent(Operation::Delete, &exchange) {
        return Outcome::Settled(());
    }
    conclude(Operation::Delete, exchange, |reply| {
        let batch = batch as u64;
        let submitted =
            reply.figures("totalSubmitted").all(|figure| figure == Figure::Number(batch));
        let failed = reply.figures("failed").any(|figure| figure != Figure::Number(0));
        let unknown = reply.figures("notFound").next().or_else(|| reply.listed("notFound"));
        let gone = match (reply.figures("deleted").next(), unknown) {
            (None, None) => true,
            (Some(Figure::Number(deleted)), None) => deleted == batch,
            (None, Some(Figure::Number(unknown))) => unknown <= batch,
            (Some(Figure::Number(deleted)), Some(Figure::Number(unknown))) => {
                deleted.checked_add(unknown) == Some(batch)
            }
            (Some(Figure::Garbled), _) | (_, Some(Figure::Garbled)) => false,
        };
        let done = says_done(reply, &["totalSubmitted", "deleted", "notFound"]);
        (done && submitted && !failed && gone && !reply.details_beside(Some("notFound")))
            .then_some(())
    })
}

/// Judges the question how many ids there are.
pub fn count(exchange: Exchange<'_>) -> Outcome<u32> {
    conclude(Operation::Count, exchange, Reply::count)
}

/// Judges the look-up of one id. An answer about another id is none.
pub fn find(exchange: Exchange<'_>, token: &TokenId) -> Outcome<Option<Entry>> {
    if absent(Operation::Find, &exchange) {
        return Outcome::Settled(None);
    }
    conclude(Operation::Find, exchange, |reply| {
        reply.entry().filter(|entry| entry.token == *token).map(Some)
    })
}

/// Judges one page of the listing.
pub fn list(exchange: Exchange<'_>) -> Outcome<Page> {
    conclude(Operation::List, exchange, Reply::page)
}

/// Judges one page of the submissions, which arrived at `now` of our time.
pub fn submissions(exchange: Exchange<'_>, now: Timestamp) -> Outcome<SubmissionList> {
    conclude(Operation::ListSubmissions, exchange, |reply| reply.submissions(now))
}

/// Judges the question about one submission, whose answer arrived at `now` of our time.
pub fn submission(
    exchange: Exchange<'_>,
    asked: &SubmissionId,
    now: Timestamp,
) -> Outcome<Option<Report>> {
    if absent(Operation::FindSubmission, &exchange) {
        return Outcome::Settled(None);
    }
    conclude(Operation::FindSubmission, exchange, |reply| reply.submission(asked, now))
}

/// Judges the question how the project is set.
pub fn settings(exchange: Exchange<'_>) -> Outcome<ManagementSettings> {
    conclude(Operation::Settings, exchange, Reply::settings)
}

/// How long a `Retry-After` asks to stay away: seconds or an HTTP date. `None` where it is neither.
pub fn retry_after(header: &str, at: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let asked = match header.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(header)?.since(at),
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

/// The moment that an HTTP date names.
pub fn http_date(header: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(header).ok()?;
    Some(Timestamp::from_millis(u64::try_from(date.timestamp().as_millisecond()).ok()?))
}

/// The meaning of everything but a success, which `read` understands, or finds at odds with the call.
fn conclude<T>(
    operation: Operation,
    exchange: Exchange<'_>,
    read: impl FnOnce(&Reply) -> Option<T>,
) -> Outcome<T> {
    let answer = match exchange {
        Exchange::NotSent => return refused(RefusedCause::NotSent, None),
        Exchange::Unanswered => return doubtful(DoubtfulCause::Unanswered, None),
        Exchange::Answered(answer) => answer,
    };
    let reply = Reply::parse(answer.body);
    let pause = answer.retry_after.and_then(|header| retry_after(header, answer.at));
    if operation.carries_ids()
        && matches!(answer.status, 400..=500)
        && reply.as_ref().is_some_and(|reply| says_unopened(reply, &answer))
    {
        return refused(RefusedCause::Transfer, pause);
    }
    let full = reply.as_ref().is_some_and(|reply| says_full(operation, reply));
    match answer.status {
        200 => match reply {
            Some(reply) if !reply.says_no() && reply.error_code().is_none() => read(&reply)
                .map_or_else(|| doubtful(DoubtfulCause::Unclear, pause), Outcome::Settled),
            Some(_) if full => doubtful(DoubtfulCause::CapReached, pause),
            Some(_) | None => doubtful(DoubtfulCause::Unclear, pause),
        },
        400 if full => doubtful(DoubtfulCause::CapReached, pause),
        400 => match reply.as_ref().and_then(|reply| turned_down(operation, reply)) {
            Some(cause) => refused(cause, pause),
            None => doubtful(DoubtfulCause::Unclear, pause),
        },
        403 if explicit_deny(answer.body) => refused(RefusedCause::Address, pause),
        403 => refused(RefusedCause::Key, pause),
        413 if operation.carries_ids() => refused(RefusedCause::TooMany, pause),
        413 => refused(RefusedCause::Request, pause),
        429 => refused(RefusedCause::Throttled, pause),
        500 if full => doubtful(DoubtfulCause::CapReached, pause),
        500 => doubtful(DoubtfulCause::Failed, pause),
        // 408 and the rest of 5xx come from something between us and ARGOS.
        408 | 501..=599 => doubtful(DoubtfulCause::Unanswered, pause),
        _ => doubtful(DoubtfulCause::Unclear, pause),
    }
}

/// Whether there is any sign in it that the call was done: `success`, or a count. An object without
/// either, such as a sealed envelope or the remark of a gateway, agrees with everything.
fn says_done(reply: &Reply, counts: &[&str]) -> bool {
    reply.says_yes() || counts.iter().any(|name| reply.figures(name).next().is_some())
}

/// Why a 400 certainly did nothing; `None` where it is not certain.
fn turned_down(operation: Operation, reply: &Reply) -> Option<RefusedCause> {
    match reply.error_code() {
        Some("invalid_project") => Some(RefusedCause::Key),
        Some("request_token_limit_exceeded") if operation.carries_ids() => {
            Some(RefusedCause::TooMany)
        }
        Some(
            "invalid_payload"
            | "invalid_path"
            | "invalid_query_parameters"
            | "invalid_order"
            | "invalid_token_id",
        ) => Some(RefusedCause::Request),
        // A batch is handled id by id: the well-formed ones may be done (contract 1.3).
        Some("invalid_token_id_format" | "invalid_token_id_length") => {
            (!operation.carries_ids()).then_some(RefusedCause::Request)
        }
        Some(_) => None,
        None => {
            let known = reply.error_message().contains("invalid query string parameters");
            known.then_some(RefusedCause::Request)
        }
    }
}

/// Whether an error says that the body of the request could not be opened, or was sealed and should not
/// have been: then nothing was done. A body around an envelope is JSON that names no ids.
fn says_unopened(reply: &Reply, answer: &Answer<'_>) -> bool {
    let code = reply.error_code().unwrap_or_default();
    let texts = [code.to_lowercase(), reply.error_message()];
    let says = |part: &str| texts.iter().any(|text| text.contains(part));
    // Where nothing was sealed, or at a 500, that may have come of anything.
    let unprocessed = || answer.status < 500 && says(UNPROCESSED_MESSAGE);
    let unexpected = || matches!(code, "invalid_payload" | "invalid_token_id");
    says(UNOPENED_MESSAGE) || (answer.sealed && (unexpected() || unprocessed()))
}

/// Whether an error says that there is no room for more ids.
fn says_full(operation: Operation, reply: &Reply) -> bool {
    match reply.error_code() {
        Some("token_limit_exceeded") => true,
        Some(code) if OTHER_CODES.contains(&code) => false,
        Some(_) | None => {
            let message = reply.error_message();
            operation == Operation::Register
                && FULL_MESSAGES.iter().any(|part| message.contains(part))
        }
    }
}

/// Whether the answer says that the id, or none of the ids, is known. Only the code tells: the status
/// is documented as 400 or 500 for a look-up, and 404 is what one would expect (contract 1.4). For
/// submissions the code is not documented either, so that of tokens is taken as the pattern.
fn absent(operation: Operation, exchange: &Exchange<'_>) -> bool {
    let Exchange::Answered(answer) = exchange else {
        return false;
    };
    let listed = match answer.status {
        400 | 404 => true,
        500 => operation == Operation::Find,
        _ => false,
    };
    listed
        && Reply::parse(answer.body).is_some_and(|reply| match (operation, reply.error_code()) {
            (Operation::FindSubmission, Some(code)) => {
                matches!(code, "submission_not_found" | "submission_id_not_found")
            }
            (_, code) => matches!(code, Some("token_not_found" | "token_id_not_found")),
        })
}

/// The two kinds of 403: an address that is not on ARGOS's list, and anything else, a wrong key
/// above all (contract 6).
fn explicit_deny(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_lowercase().contains("explicit deny")
}

fn refused<T>(cause: RefusedCause, retry_after: Option<Duration>) -> Outcome<T> {
    Outcome::Refused(Refused { cause, retry_after })
}

fn doubtful<T>(cause: DoubtfulCause, retry_after: Option<Duration>) -> Outcome<T> {
    Outcome::Doubtful(Doubtful { cause, retry_after })
}

#[cfg(test)]
mod tests;
