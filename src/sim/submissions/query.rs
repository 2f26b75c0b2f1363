//! `GET /v3/submission` (contract 7): one by its id, or a page of those that a person or a day has.
//!
//! A page is found by its place and not by looking from the start, so that a poller who follows the
//! cursor through many submissions pays for what it is shown.

use std::{collections::BTreeMap, ops::Range};

use jiff::civil::Date;
use serde_json::{Value, json};

use super::{Submission, Submissions};
use crate::sim::{
    faults::Fault,
    rules::{Rules, SubmissionOrder, TimestampShape, TokenPlace},
    wire::{Millis, Reply, dashed, from_dashed, from_iso, iso, parameters},
};

/// Submissions in one answer unless `count` says otherwise, and at most (contract 7).
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 2_000;
const DAY: Millis = 24 * 60 * 60 * 1_000;
const SECOND: Millis = 1_000;

impl Submissions {
    /// Answers the query, in the shapes of the rules, bent by a fault that bends.
    pub(in crate::sim) fn answer(
        &self,
        query: &str,
        rules: &Rules,
        fault: Option<&Fault>,
    ) -> Reply {
        let read = Filter::read(&parameters(query), rules.submission_order);
        let Some(page) = read.and_then(|filter| self.page(&filter, fault)) else {
            return Reply::json(400, &json!({"message": "Invalid Query String parameters"}));
        };
        let items = page.places.iter().map(|place| item(&self.all[*place], page.single, rules));
        let mut answer = json!({ "Items": items.collect::<Vec<Value>>() });
        if let Some(Cursor { id, at }) = page.next {
            let shape = match rules.timestamps {
                TimestampShape::Absent => TimestampShape::Rfc3339,
                shape @ (TimestampShape::Rfc3339 | TimestampShape::Dashed) => shape,
            };
            answer["nextpageKey"] = json!({"id": id, "created_at": written(at, shape)});
        }
        Reply::json(200, &answer)
    }

    /// `None` when the cursor leads nowhere.
    fn page(&self, filter: &Filter, fault: Option<&Fault>) -> Option<Page> {
        if let Some(id) = &filter.id {
            let place = self.places.get(id).copied();
            let places = place.filter(|place| filter.fits(&self.all[*place])).into_iter().collect();
            return Some(Page { places, next: None, single: true });
        }
        let (count, sent) = match fault {
            Some(Fault::LoopingList) => (filter.count, None),
            _ => (filter.count, filter.cursor.as_ref()),
        };
        let (before, after) = match sent {
            None => (0..0, self.dated(filter)),
            Some(cursor) => self.divided(filter, cursor)?,
        };
        let page = |places, next| Some(Page { places, next, single: false });
        match (fault, sent) {
            (Some(Fault::PageTwice), Some(cursor)) => {
                let mut places = self.walk(filter, before, true, count);
                places.reverse();
                page(places, Some(cursor.clone()))
            }
            (Some(Fault::EmptyPage), Some(cursor)) => page(Vec::new(), Some(cursor.clone())),
            (Some(Fault::EmptyPage), None) => page(Vec::new(), self.before_first(filter)),
            _ => {
                let mut places = self.walk(filter, after, false, count + 1);
                let more = places.len() > count;
                places.truncate(count);
                let next = match fault {
                    Some(Fault::LoopingList) => places.last().copied(),
                    Some(Fault::CircularList) if !more => {
                        self.walk(filter, self.dated(filter), false, 1).pop()
                    }
                    _ => places.last().copied().filter(|_| more),
                };
                page(places, next.map(|place| self.cursor(place)))
            }
        }
    }

    /// Places within the days asked for.
    fn dated(&self, filter: &Filter) -> Range<usize> {
        let first_at = |at: Millis| self.all.partition_point(|each| each.created_at < at);
        let from = filter.from.map_or(0, first_at);
        from..filter.until.map_or(self.all.len(), first_at).max(from)
    }

    /// What was listed up to the cursor, and what comes after it. A cursor that names no submission
    /// stands by its time alone.
    fn divided(&self, filter: &Filter, cursor: &Cursor) -> Option<(Range<usize>, Range<usize>)> {
        let Range { start, end } = self.dated(filter);
        let place = self.places.get(&cursor.id).copied();
        Some(match filter.order {
            SubmissionOrder::OldestFirst => {
                let by_time = || self.all.partition_point(|each| each.created_at <= cursor.at);
                let next = place.map_or_else(by_time, |place| place + 1).clamp(start, end);
                (start..next, next..end)
            }
            SubmissionOrder::NewestFirst => {
                let by_time = || self.all.partition_point(|each| each.created_at < cursor.at);
                let last = place.unwrap_or_else(by_time).clamp(start, end);
                (last..end, start..last)
            }
        })
    }

    /// Up to `n` fitting places of the range in the order of listing, or against it.
    fn walk(&self, filter: &Filter, range: Range<usize>, back: bool, n: usize) -> Vec<usize> {
        let fits = |place: &usize| filter.fits(&self.all[*place]);
        let newest = (filter.order == SubmissionOrder::NewestFirst) != back;
        match self.of_person(filter) {
            None if newest => range.rev().filter(fits).take(n).collect(),
            None => range.filter(fits).take(n).collect(),
            Some(places) => {
                let bound = |edge: usize| places.partition_point(|place| *place < edge);
                let within = places[bound(range.start)..bound(range.end)].iter().copied();
                if newest {
                    within.rev().filter(fits).take(n).collect()
                } else {
                    within.filter(fits).take(n).collect()
                }
            }
        }
    }

    /// Places of the person asked for; `None` when it is everybody.
    fn of_person(&self, filter: &Filter) -> Option<&[usize]> {
        match (&filter.userid, &filter.email) {
            (Some(userid), _) => Some(self.by_userid.get(userid).map_or(&[], Vec::as_slice)),
            (None, Some(email)) => Some(self.by_email.get(email).map_or(&[], Vec::as_slice)),
            (None, None) => None,
        }
    }

    /// A cursor after which the first page comes.
    fn before_first(&self, filter: &Filter) -> Option<Cursor> {
        let first = self.walk(filter, self.dated(filter), false, 1).pop()?;
        let at = self.all[first].created_at;
        // A second apart, as a dashed time has no milliseconds.
        let at = match filter.order {
            SubmissionOrder::OldestFirst => at - SECOND,
            SubmissionOrder::NewestFirst => at + SECOND,
        };
        Some(Cursor { id: "none".into(), at })
    }

    fn cursor(&self, place: usize) -> Cursor {
        let Submission { id, created_at, .. } = &self.all[place];
        Cursor { id: id.clone(), at: *created_at }
    }
}

struct Page {
    places: Vec<usize>,
    next: Option<Cursor>,
    /// Asked for by its id.
    single: bool,
}

#[derive(Clone)]
struct Cursor {
    id: String,
    at: Millis,
}

struct Filter {
    id: Option<String>,
    userid: Option<String>,
    email: Option<String>,
    from: Option<Millis>,
    /// Exclusive: the end of `end_date`.
    until: Option<Millis>,
    count: usize,
    cursor: Option<Cursor>,
    order: SubmissionOrder,
}

impl Filter {
    fn read(query: &BTreeMap<String, String>, order: SubmissionOrder) -> Option<Self> {
        let text = |name: &str| query.get(name).cloned();
        let date = |name: &str| match query.get(name) {
            None => Some(None),
            Some(text) => day(text).map(Some),
        };
        let count = match query.get("count") {
            None => PAGE_DEFAULT,
            Some(text) => text.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count))?,
        };
        let cursor = match (text("nextpage_id"), query.get("nextpage_date")) {
            (None, None) => None,
            (Some(id), Some(at)) => {
                Some(Cursor { id, at: from_iso(at).or_else(|| from_dashed(at))? })
            }
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Self {
            id: text("submission_id"),
            userid: text("userid"),
            email: text("email"),
            from: date("start_date")?,
            until: date("end_date")?.map(|at| at + DAY),
            count,
            cursor,
            order,
        })
    }

    fn fits(&self, submission: &Submission) -> bool {
        let equal = |wanted: &Option<String>, is: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        equal(&self.userid, submission.person.userid.as_ref())
            && equal(&self.email, submission.person.email.as_ref())
            && self.from.is_none_or(|from| submission.created_at >= from)
            && self.until.is_none_or(|until| submission.created_at < until)
    }
}

/// Contract 7: the token is seen only when asked for by `submission_id`.
fn item(submission: &Submission, single: bool, rules: &Rules) -> Value {
    if submission.deleted {
        return json!({"submission_id": submission.id, "comment": "Deleted Submission"});
    }
    let mut item = json!({
        "submission_id": submission.id,
        "reviewer": submission.reviewer,
        "kyc": {"result": submission.status.as_str()},
        "data": submission.person.custom_fields,
    });
    let times = [
        ("created_at", Some(submission.created_at)),
        ("updated_at", Some(submission.updated_at)),
        ("pending_at", submission.pending_at),
        ("kyc_result_at", submission.result_at),
    ];
    for (name, at) in times {
        if let Some(text) = at.and_then(|at| written(at, rules.timestamps)) {
            item[name] = json!(text);
        }
    }
    let person = [("email", &submission.person.email), ("userid", &submission.person.userid)];
    for (name, text) in person {
        if let Some(text) = text {
            item[name] = json!(text);
        }
    }
    for (name, text) in [("comment", submission.comment), ("commentCode", submission.comment_code)]
    {
        if let Some(text) = text {
            item["kyc"][name] = json!([text]);
        }
    }
    match rules.token_place {
        TokenPlace::Top if single => item["tokenId"] = json!(submission.token),
        TokenPlace::Data if single => item["data"]["tokenId"] = json!(submission.token),
        TokenPlace::Top | TokenPlace::Data | TokenPlace::Absent => {}
    }
    item
}

fn written(at: Millis, shape: TimestampShape) -> Option<String> {
    match shape {
        TimestampShape::Rfc3339 => Some(iso(at)),
        TimestampShape::Dashed => Some(dashed(at)),
        TimestampShape::Absent => None,
    }
}

/// Midnight UTC of `YYYY-MM-DD`, or of the older `YYYYMMDD`.
fn day(text: &str) -> Option<Millis> {
    let date = Date::strptime("%Y-%m-%d", text).or_else(|_| Date::strptime("%Y%m%d", text)).ok()?;
    from_iso(&format!("{date}T00:00:00Z"))
}

#[cfg(test)]
mod tests;
