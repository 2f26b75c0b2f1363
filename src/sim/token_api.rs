//! The rules of `/v3/submission/tokens` (contract 1.2 to 1.5), over one project's pool.

mod listing;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value, json};

use self::listing::{list, row_json};
use super::{
    faults::{Fault, Operation},
    pool::{Row, Version},
    project::Project,
    rules::Overflow,
    wire::{ApiRequest, ErrorCode, Millis, Reply, parameters},
};

pub(super) const PATH: &str = "/v3/submission/tokens";

/// Ids that a deletion in order of time may take at once (contract 1.5).
const ORDERED_DELETE_MAX: usize = 5_000;

/// Which of the token calls this is.
pub(super) fn operation(request: &ApiRequest) -> Operation {
    let query = parameters(&request.query);
    match request.method.as_str() {
        "POST" => Operation::Post,
        "DELETE" => Operation::Delete,
        "GET" if query.contains_key("tokenId") => Operation::Get,
        "GET" if query.contains_key("type") => Operation::Count,
        "GET" => Operation::List,
        _ => Operation::Unknown,
    }
}

/// How many ids a body names, readable or not by the rules.
pub(super) fn ids_named(body: &[u8]) -> usize {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.and_then(|body| body.get("tokenId")?.as_array().map(Vec::len)).unwrap_or(0)
}

/// Does what the request asks and answers it, bent by a fault that bends and does not replace.
pub(super) fn answer(
    project: &mut Project,
    now: Millis,
    operation: Operation,
    request: &ApiRequest,
    fault: Option<&Fault>,
) -> Reply {
    if request.body.len() > project.rules.body_bytes {
        return Reply::json(413, &json!({"message": "Request Entity Too Large"}));
    }
    let answer = match operation {
        Operation::Post => post(project, now, &request.body, fault),
        Operation::Delete if request.query.is_empty() => delete(project, now, &request.body, fault),
        Operation::Delete => delete_in_order(project, now, &request.query),
        Operation::Get => get(project, now, &request.query, fault),
        Operation::List => list(project, now, &request.query, fault),
        Operation::Count => count(project, now, &request.query, fault),
        Operation::Submission | Operation::Settings | Operation::Unknown => {
            Err(ErrorCode::InvalidPath)
        }
    };
    match answer {
        Ok(mut body) => {
            if let Some(Fault::Contradiction { members }) = fault {
                contradict(&mut body, members);
            }
            Reply::json(200, &body)
        }
        Err(code) => code.into(),
    }
}

fn post(
    project: &mut Project,
    now: Millis,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Value, ErrorCode> {
    let ids = read_ids(body, project.rules.ids_per_call)?;
    let processed = processed(&ids, fault);
    let distinct: BTreeSet<&str> = ids[..processed].iter().map(String::as_str).collect();
    let (known, fresh): (Vec<&str>, Vec<&str>) =
        distinct.into_iter().partition(|id| project.pool.get(id).is_some());
    let room = project.rules.cap.saturating_sub(project.pool.len());
    let overflows = fresh.len() > room;
    let stored: Vec<&str> = match project.rules.overflow {
        Overflow::Refuse if overflows => Vec::new(),
        Overflow::Refuse | Overflow::StorePart => {
            known.into_iter().chain(fresh.into_iter().take(room)).collect()
        }
    };
    for id in &stored {
        project.witness.registers(id, project.pool.get(id));
    }
    project.register(now, stored, false);
    if overflows {
        project.witness.counters_mut().cap_overruns += 1;
        return Err(ErrorCode::TokenLimitExceeded);
    }
    let failed = ids.len() - processed;
    let mut answer = json!({
        "success": true,
        "message": "All tokens are now in the pool",
        "summary": {
            "totalSubmitted": ids.len(), "currentCount": project.pool.len(),
            "processed": processed, "failed": failed,
        },
    });
    if failed > 0 {
        answer["message"] = json!("Some tokens could not be processed");
        if names_failed(fault) {
            answer["details"] = json!({"failed": ids[processed..]});
        }
    }
    Ok(answer)
}

fn delete(
    project: &mut Project,
    now: Millis,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Value, ErrorCode> {
    let ids = read_ids(body, project.rules.ids_per_call)?;
    let processed = processed(&ids, fault);
    let (named, failed) = ids.split_at(processed);
    let deleted: BTreeSet<Arc<str>> =
        project.delete(now, named.iter().map(String::as_str)).into_iter().collect();
    if deleted.is_empty() && failed.is_empty() {
        return Err(ErrorCode::TokenIdNotFound);
    }
    let missing: Vec<&String> = named.iter().filter(|id| !deleted.contains(id.as_str())).collect();
    let mut answer = json!({
        "success": true,
        "message": format!("Successfully deleted {} tokens", deleted.len()),
        "summary": {
            "totalSubmitted": ids.len(), "deleted": deleted.len(),
            "notFound": missing.len(), "failed": failed.len(),
        },
    });
    let mut details = Map::new();
    if !missing.is_empty() {
        details.insert("notFound".into(), json!(missing));
    }
    if !failed.is_empty() && names_failed(fault) {
        details.insert("failed".into(), json!(failed));
    }
    if !details.is_empty() {
        answer["details"] = Value::Object(details);
    }
    Ok(answer)
}

/// The oldest or newest n. The names of the parameters are our reading (contract 1.5).
fn delete_in_order(project: &mut Project, now: Millis, query: &str) -> Result<Value, ErrorCode> {
    let query = parameters(query);
    let newest = match query.get("order").map(String::as_str) {
        Some("asc") => false,
        Some("desc") => true,
        None => return Err(ErrorCode::InvalidQueryParameters),
        Some(_) => return Err(ErrorCode::InvalidOrder),
    };
    let count = query
        .get("count")
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|count| (1..=ORDERED_DELETE_MAX).contains(count))
        .ok_or(ErrorCode::InvalidQueryParameters)?;
    let ids = project.pool.first(count, newest);
    let deleted = project.delete(now, ids.iter().map(|id| &**id)).len();
    Ok(json!({
        "success": true,
        "message": format!("Successfully deleted {deleted} tokens"),
        "summary": {"totalSubmitted": count, "deleted": deleted, "notFound": 0, "failed": 0},
    }))
}

fn get(
    project: &Project,
    now: Millis,
    query: &str,
    fault: Option<&Fault>,
) -> Result<Value, ErrorCode> {
    let id = parameters(query).remove("tokenId").unwrap_or_default();
    let row = match past(project, now, fault) {
        Some(version) => project.pool.past(version).into_iter().find(|row| *row.id == *id),
        None => project.pool.get(&id).map(|token| Row {
            id: Arc::from(id.as_str()),
            updated_at: token.updated_at,
            expired: token.expired,
        }),
    };
    let row = row.ok_or(ErrorCode::TokenNotFound)?;
    Ok(json!({"success": true, "tokenId": id, "data": row_json(&row, &project.rules)}))
}

fn count(
    project: &Project,
    now: Millis,
    query: &str,
    fault: Option<&Fault>,
) -> Result<Value, ErrorCode> {
    if parameters(query).get("type").map(String::as_str) != Some("count") {
        return Err(ErrorCode::InvalidQueryParameters);
    }
    let count = match past(project, now, fault) {
        Some(version) => project.pool.past(version).len(),
        None => project.pool.len(),
    };
    Ok(json!({"success": true, "count": count}))
}

/// The whole array or the first malformed id; which code wins where several fit is unknown.
fn read_ids(body: &[u8], max: usize) -> Result<Vec<String>, ErrorCode> {
    let body: Value = serde_json::from_slice(body).map_err(|_| ErrorCode::InvalidPayload)?;
    let ids = body.get("tokenId").and_then(Value::as_array).ok_or(ErrorCode::InvalidTokenId)?;
    if ids.is_empty() {
        return Err(ErrorCode::InvalidTokenId);
    }
    if ids.len() > max {
        return Err(ErrorCode::RequestTokenLimitExceeded);
    }
    ids.iter()
        .map(|id| {
            let id = id.as_str().ok_or(ErrorCode::InvalidTokenIdFormat)?;
            judge_id(id)?;
            Ok(id.to_owned())
        })
        .collect()
}

/// Contract 1.2.
fn judge_id(id: &str) -> Result<(), ErrorCode> {
    if !(8..=64).contains(&id.len()) {
        return Err(ErrorCode::InvalidTokenIdLength);
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let bytes = id.as_bytes();
    let edges = [bytes[0], bytes[bytes.len() - 1]];
    if !bytes.iter().copied().all(inner) || !edges.iter().all(u8::is_ascii_alphanumeric) {
        return Err(ErrorCode::InvalidTokenIdFormat);
    }
    Ok(())
}

/// The version a stale answer shows; `None` for an honest one.
fn past(project: &Project, now: Millis, fault: Option<&Fault>) -> Option<Version> {
    let Some(Fault::Stale { ms, changes }) = fault else { return None };
    let by_time = ms.map(|ms| project.pool.version_at(now.saturating_sub_unsigned(ms)));
    let by_changes = changes.map(|changes| project.pool.version_before(changes));
    by_time.into_iter().chain(by_changes).min()
}

fn processed(ids: &[String], fault: Option<&Fault>) -> usize {
    match fault {
        Some(Fault::Partial { processed, .. }) => ids.len().min(*processed),
        _ => ids.len(),
    }
}

fn names_failed(fault: Option<&Fault>) -> bool {
    matches!(fault, Some(Fault::Partial { details: true, .. }))
}

fn contradict(body: &mut Value, members: &Map<String, Value>) {
    let target = match body.get_mut("summary") {
        Some(summary) => summary,
        None => body,
    };
    for (name, value) in members {
        target[name.as_str()] = value.clone();
    }
}

#[cfg(test)]
mod tests;
