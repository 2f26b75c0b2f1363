//! The words of `GET /v3/submission` (contract 7).
//!
//! A list names no tokens; a question about one submission does. One entry that cannot be read does
//! not spoil the others.

use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use super::{QUERY, Reply, object, present, text};
use crate::{
    argos::statement::{Named, Statement, Status},
    domain::{
        ids::SubmissionId,
        paging::{Cursor, Days},
        submission::{Fact, FactKind, Report},
        time::Timestamp,
    },
};

/// Below the base address of the interface.
pub const SUBMISSIONS_PATH: &str = "/submission";
/// Submissions that one page may hold; ARGOS once allowed twice as many.
pub const PAGE_SUBMISSIONS: u32 = 1_000;

const LIST_NAMES: [&str; 3] = ["Items", "items", "data"];
const NEXT_NAMES: [&str; 3] = ["nextpageKey", "nextPageKey", "nextpage_key"];
/// What stands in the place of a submission that was deleted, and under which names it was seen or can
/// be expected. None of them belongs to whoever wrote the link.
const DELETED: &str = "Deleted Submission";
const DELETED_NAMES: [&str; 5] = ["comment", "kyc", "kyc_result", "result", "status"];

/// The query that asks for a page of the submissions that were created on these days.
///
/// In which zone ARGOS's days begin is not documented, and no zone is a whole day from UTC: so the
/// day before and the day after are asked for too.
pub fn submissions_query(days: Days, cursor: Option<&Cursor>) -> String {
    let first = date(days.first);
    let last = date(days.last);
    let first = first.yesterday().unwrap_or(first);
    let last = last.tomorrow().unwrap_or(last);
    let mut query = format!("start_date={first}&end_date={last}&count={PAGE_SUBMISSIONS}");
    if let Some(cursor) = cursor {
        let [id, time] = [&cursor.id, &cursor.time].map(|text| utf8_percent_encode(text, QUERY));
        query += &format!("&nextpage_id={id}&nextpage_date={time}");
    }
    query
}

/// The query that asks for one submission.
pub fn submission_query(id: &SubmissionId) -> String {
    format!("submission_id={}", utf8_percent_encode(id.as_str(), QUERY))
}

/// One page of submissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmissionList {
    pub reports: Vec<Report>,
    /// Entries of which nobody can say which submission they mean.
    pub unreadable: u32,
    /// `None` after the last page. Whoever walks must also stop when a page repeats.
    pub next: Option<Cursor>,
}

impl Reply {
    /// A page that arrived at `now`; `None` where there is no list in it. What was deleted, and what
    /// names a token that cannot be ours, is passed over.
    pub fn submissions(&self, now: Timestamp) -> Option<SubmissionList> {
        let mut list = SubmissionList::default();
        for item in self.items()?.iter().filter(|item| !is_deleted(item)) {
            let named = item.as_object().and_then(|fields| {
                let statement = Statement::of(fields);
                Some((statement, statement.submission()?))
            });
            match named {
                Some((statement, id)) => list.reports.extend(report(statement, id, now)),
                None => list.unreadable = list.unreadable.saturating_add(1),
            }
        }
        list.next = NEXT_NAMES.iter().find_map(|name| {
            let key = object(&self.0, name)?;
            let id = text(present(key, "id")?)?;
            let time = text(present(key, "created_at")?)?;
            Some(Cursor { id, time })
        });
        Some(list)
    }

    /// The submission that was asked for, as it arrived at `now`: `Some(None)` where there is none,
    /// where it was deleted, and where its token cannot be ours. An answer about another one is none.
    pub fn submission(&self, asked: &SubmissionId, now: Timestamp) -> Option<Option<Report>> {
        let about = |fields: &Map<String, Value>| {
            let id = Statement::of(fields).submission().filter(|id| id == asked)?;
            Some(if is_gone(fields) { None } else { report(Statement::of(fields), id, now) })
        };
        let Some(items) = self.items() else {
            let places = [Some(&self.0), object(&self.0, "data")];
            return places.into_iter().flatten().find_map(about);
        };
        match items.as_slice() {
            [] => Some(None),
            // It may have lost its id as well.
            [only] if is_deleted(only) => Some(None),
            items => items.iter().filter_map(Value::as_object).find_map(about),
        }
    }

    fn items(&self) -> Option<&Vec<Value>> {
        LIST_NAMES.iter().find_map(|name| self.0.get(*name)?.as_array())
    }
}

/// `None` where it names a token that cannot be ours.
fn report(statement: Statement<'_>, id: SubmissionId, now: Timestamp) -> Option<Report> {
    let token = match statement.token() {
        Named::Token(token) => Some(token),
        Named::Nobody => None,
        Named::Stranger => return None,
    };
    // Whoever has a submission is or was on the page, whatever else is said about it.
    let kind = match statement.status() {
        Some(Status::Decided(decision)) => FactKind::Decided(decision),
        Some(Status::Incomplete) | None => FactKind::Started,
    };
    let fact = Fact {
        kind,
        at: statement.earliest(now),
        submission: Some(id),
        updated: statement.updated(),
        asked: false,
    };
    Some(Report { token, marks: statement.marks(), fact })
}

fn is_deleted(item: &Value) -> bool {
    match item {
        Value::Object(fields) => is_gone(fields),
        Value::String(_) => says_deleted(item),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}

fn is_gone(fields: &Map<String, Value>) -> bool {
    let below = ["kyc", "kyc_result"].into_iter().filter_map(|name| object(fields, name));
    let mut places = below.chain([fields]);
    places.any(|place| DELETED_NAMES.iter().any(|name| place.get(*name).is_some_and(says_deleted)))
}

/// Comments come as a text or as a list of them (contract 9).
fn says_deleted(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().eq_ignore_ascii_case(DELETED),
        Value::Array(texts) => texts
            .iter()
            .filter_map(Value::as_str)
            .any(|text| text.trim().eq_ignore_ascii_case(DELETED)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn date(at: Timestamp) -> jiff::civil::Date {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
