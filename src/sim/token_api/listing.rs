//! The pages of a token listing (contract 1.4), honest or bent by a fault.

use std::sync::Arc;

use serde_json::{Value, json};

use super::past;
use crate::sim::{
    faults::Fault,
    pool::{Cursor, Row},
    project::Project,
    rules::{ExpiredShape, Rules},
    wire::{ErrorCode, Millis, from_iso, iso, parameters},
};

pub(super) fn list(
    project: &Project,
    now: Millis,
    query: &str,
    fault: Option<&Fault>,
) -> Result<Value, ErrorCode> {
    let sent = match fault {
        Some(Fault::LoopingList) => None,
        _ => read_cursor(query)?,
    };
    let source = Source::new(project, now, fault);
    let size = project.rules.list_page;
    let (rows, next) = match (fault, sent) {
        (Some(Fault::PageTwice), Some(cursor)) => (source.before(&cursor, size), Some(cursor)),
        (Some(Fault::EmptyPage), Some(cursor)) => (Vec::new(), Some(cursor)),
        (Some(Fault::EmptyPage), None) => {
            let first = source.first().unwrap_or_else(|| (now, Arc::from("none")));
            (Vec::new(), Some((first.0 - 1, first.1)))
        }
        (_, sent) => {
            let mut rows = source.after(sent.as_ref(), size + 1);
            let more = rows.len() > size;
            rows.truncate(size);
            let last = rows.last().map(place);
            let next = match fault {
                Some(Fault::LoopingList) => last,
                Some(Fault::CircularList) if !more => source.first(),
                _ => last.filter(|_| more),
            };
            (rows, next)
        }
    };
    let data: Vec<Value> = rows.iter().map(|row| row_json(row, &project.rules)).collect();
    let mut answer = json!({"success": true, "count": source.len()});
    answer[project.rules.list_name.as_str()] = Value::Array(data);
    if let Some((time, id)) = next {
        answer["nextPageKeyId"] = json!(*id);
        answer["nextPageKeyTime"] = json!(iso(time));
    }
    Ok(answer)
}

/// One token as a listing and a question for it alone show it.
pub(super) fn row_json(row: &Row, rules: &Rules) -> Value {
    let mut body = json!({"tokenId": *row.id, "updateTime": iso(row.updated_at)});
    if row.expired {
        body["expired"] = match rules.expired_as {
            ExpiredShape::Bool => json!(true),
            ExpiredShape::Text => json!("true"),
            ExpiredShape::Number => json!(1),
        };
    }
    body
}

/// What is listed: the pool as it is, or as it was.
enum Source<'a> {
    Today(&'a Project),
    Past(Vec<Row>),
}

impl<'a> Source<'a> {
    fn new(project: &'a Project, now: Millis, fault: Option<&Fault>) -> Self {
        match past(project, now, fault) {
            Some(version) => Self::Past(project.pool.past(version)),
            None => Self::Today(project),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Today(project) => project.pool.len(),
            Self::Past(rows) => rows.len(),
        }
    }

    fn first(&self) -> Option<Cursor> {
        self.after(None, 1).first().map(place)
    }

    fn after(&self, cursor: Option<&Cursor>, n: usize) -> Vec<Row> {
        match self {
            Self::Today(project) => project.pool.page(cursor, n),
            Self::Past(rows) => {
                let start =
                    cursor.map_or(0, |cursor| rows.partition_point(|row| place(row) <= *cursor));
                rows[start..].iter().take(n).cloned().collect()
            }
        }
    }

    fn before(&self, cursor: &Cursor, n: usize) -> Vec<Row> {
        match self {
            Self::Today(project) => project.pool.page_before(cursor, n),
            Self::Past(rows) => {
                let end = rows.partition_point(|row| place(row) <= *cursor);
                rows[end.saturating_sub(n)..end].to_vec()
            }
        }
    }
}

fn place(row: &Row) -> Cursor {
    (row.updated_at, Arc::clone(&row.id))
}

fn read_cursor(query: &str) -> Result<Option<Cursor>, ErrorCode> {
    let query = parameters(query);
    match (query.get("nextPageKeyId"), query.get("nextPageKeyTime")) {
        (None, None) => Ok(None),
        (Some(id), Some(time)) => {
            let at = from_iso(time).ok_or(ErrorCode::InvalidQueryParameters)?;
            Ok(Some((at, Arc::from(id.as_str()))))
        }
        _ => Err(ErrorCode::InvalidQueryParameters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{
        project::ProjectOptions,
        rules::{Expiration, ListName},
    };

    fn project() -> Project {
        let mut project = Project::new(ProjectOptions::default());
        project.rules.list_page = 2;
        let ids: Vec<String> = (0..5).map(|n| format!("token-{n:04}")).collect();
        project.register(1_000, ids.iter().map(String::as_str), false);
        project
    }

    /// Follows the cursor for at most six pages; `fault` says what becomes of each.
    fn follow(project: &Project, fault: impl Fn(usize) -> Option<Fault>) -> Vec<String> {
        let (mut seen, mut query) = (Vec::new(), String::new());
        for page in 0..6 {
            let body = list(project, 2_000, &query, fault(page).as_ref()).unwrap();
            let rows = body["data"].as_array().unwrap().clone();
            let last = |row: &Value| row["tokenId"].as_str().unwrap()[9..].to_owned();
            seen.push(rows.iter().map(last).collect::<String>());
            let Some(id) = body["nextPageKeyId"].as_str() else { return seen };
            let time = body["nextPageKeyTime"].as_str().unwrap();
            query = format!("nextPageKeyId={id}&nextPageKeyTime={time}");
        }
        seen.push("…".to_owned());
        seen
    }

    #[test]
    fn small_pages_show_a_small_pool_whole() {
        assert_eq!(follow(&project(), |_| None), ["01", "23", "4"]);
    }

    #[test]
    fn a_page_may_come_twice_and_the_rest_still_follows() {
        let project = project();
        let twice = |n| move |page| (page == n).then_some(Fault::PageTwice);
        assert_eq!(follow(&project, twice(1)), ["01", "01", "23", "4"]);
        assert_eq!(follow(&project, twice(2)), ["01", "23", "23", "4"]);
        assert_eq!(follow(&project, twice(0)), ["01", "23", "4"], "there is none before the first");
    }

    #[test]
    fn an_empty_page_with_a_cursor_hides_nothing_for_good() {
        let project = project();
        let empty = |n| move |page| (page == n).then_some(Fault::EmptyPage);
        assert_eq!(follow(&project, empty(0)), ["", "01", "23", "4"]);
        assert_eq!(follow(&project, empty(2)), ["01", "23", "", "4"]);
    }

    #[test]
    fn a_circular_list_goes_round_and_a_looping_one_stands() {
        let project = project();
        let round = follow(&project, |_| Some(Fault::CircularList));
        assert_eq!(round, ["01", "23", "4", "12", "34", "12", "…"]);
        let stands = follow(&project, |_| Some(Fault::LoopingList));
        assert_eq!(stands, ["01", "01", "01", "01", "01", "01", "…"]);
    }

    #[test]
    fn the_past_has_pages_too() {
        let mut project = project();
        project.delete(1_500, ["token-0000", "token-0003"]);
        let stale = |_| Some(Fault::Stale { ms: None, changes: Some(1) });
        assert_eq!(follow(&project, stale), ["01", "23", "4"]);
        assert_eq!(follow(&project, |_| None), ["12", "4"]);
    }

    #[test]
    fn the_array_and_the_flag_have_the_names_of_the_rules() {
        let mut project = project();
        project.rules.expiration = Expiration::Count { delete: false };
        project.used_up(1_500, "token-0000");
        for (name, word) in
            [(ListName::Data, "data"), (ListName::Tokens, "tokens"), (ListName::Items, "items")]
        {
            project.rules.list_name = name;
            let body = list(&project, 2_000, "", None).unwrap();
            assert_eq!(body[word].as_array().unwrap().len(), 2);
        }
        project.rules.list_name = ListName::Data;
        for (shape, value) in [
            (ExpiredShape::Bool, json!(true)),
            (ExpiredShape::Text, json!("true")),
            (ExpiredShape::Number, json!(1)),
        ] {
            project.rules.expired_as = shape;
            let body = list(&project, 2_000, "", None).unwrap();
            assert_eq!(body["data"][0]["expired"], value);
            assert!(body["data"][1].get("expired").is_none());
        }
    }
}
