//! The sockets in front of the [`World`]: every request is translated, answered by it and sent.
//!
//! The lock is held for the decision alone, never while something waits. An answer that the world
//! calls lost is a body that fails before its first byte, which makes the server close the connection
//! without writing its head; a test at the bottom of `sim` holds that.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;

use super::{
    control::{Command, ControlError},
    crowd::{Crowd, CrowdReport},
    delivery::Postman,
    liveform::Decision,
    page,
    refusal::Refusal,
    wire::{ApiRequest, Exchange, MARK, Millis, Reply, millis, parameters},
    world::World,
};

/// A body that no rule of a project can let through.
const BODY_MAX: usize = 32 * 1024 * 1024;
/// People of a crowd who act before others may.
const CROWD_STEP: usize = 100;
/// How often the clock is looked at while nobody calls.
const TICK: Duration = Duration::from_millis(50);
/// Pieces of a slow body.
const PIECES: usize = 8;
const COOKIE: &str = "argos_sim_visitor";

/// What all requests share.
pub(super) struct Shared {
    world: Mutex<World>,
    postman: Postman,
    born: (Millis, Instant),
    stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        world: World,
        postman: Postman,
        born: (Millis, Instant),
        stop: CancellationToken,
    ) -> Self {
        Self { world: Mutex::new(world), postman, born, stop }
    }

    /// Lets `act` work on the world, then sends the webhooks that came of it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut World, Millis) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = self.born.0.saturating_add(millis(self.born.1.elapsed()));
        let result = act(&mut world, wall);
        // Queued under the lock, so that webhooks leave in the order in which they were made.
        for delivery in world.take_deliveries() {
            let pid = delivery.pid.clone();
            if !self.postman.post(delivery) {
                world.delivered(&pid, &[]);
            }
        }
        result
    }

    /// Carries a command out. A crowd lets others in between its people.
    pub(super) fn control(&self, command: Command) -> Result<Value, ControlError> {
        if let Command::Crowd(crowd) = &command {
            return Ok(json!(self.crowd(crowd)));
        }
        self.with(|world, wall| world.control(wall, command))
    }

    pub(super) fn crowd(&self, crowd: &Crowd) -> CrowdReport {
        let mut report = CrowdReport::default();
        for links in crowd.links.chunks(CROWD_STEP) {
            report.extend(self.with(|world, wall| world.crowd(wall, links, crowd.plan)));
            std::thread::yield_now();
        }
        report
    }

    /// Lets happen what is due by now, whether or not anybody calls.
    pub(super) async fn tick(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.with(|world, wall| world.advance(wall));
        }
    }

    /// Sleeps, unless the simulator stops before; false when it does.
    async fn pause(&self, span: Duration) -> bool {
        span.is_zero() || self.stop.run_until_cancelled(tokio::time::sleep(span)).await.is_some()
    }
}

/// One call in flight; it departs when its answer is out or its caller is gone.
struct InFlight {
    shared: Arc<Shared>,
    pid: String,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.with(|world, _| world.depart(&self.pid));
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let mark = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    let marked = move |mut response: Response| {
        response.headers_mut().insert(MARK, mark.clone());
        async { response }
    };
    Router::new().fallback(serve).with_state(shared).layer(map_response(marked))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return respond(Reply::json(413, &json!({"message": "Request Entity Too Large"})));
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    match (parts.method.clone(), path.as_str()) {
        (_, path) if path.starts_with("/v3/") => {
            let key = parts.headers.get("x-api-key").and_then(|key| key.to_str().ok());
            let request = ApiRequest {
                method: parts.method.to_string(),
                path: path.to_owned(),
                query,
                key: key.map(str::to_owned),
                body: body.into(),
            };
            api(shared, request).await
        }
        (method, path) if path.starts_with("/_sim/") => {
            let name = path["/_sim/".len()..].to_owned();
            let act = move || control(&shared, &method, &name, &query, &body);
            // A crowd takes its time, and the calls of others do not wait for it.
            let reply = tokio::task::spawn_blocking(act).await;
            respond(reply.unwrap_or_else(|_| Reply::text(500, "text/plain", String::new())))
        }
        (Method::GET, "/") => open(&shared, &parts.headers, &query),
        (Method::POST, "/liveform/start") => start(&shared, &parts.headers, &body),
        (Method::POST, "/liveform/decide") => decide(&shared, &body),
        (Method::GET, path) if path.starts_with(page::SESSION) => {
            session(&shared, &path[page::SESSION.len()..])
        }
        _ => respond(Reply::json(404, &json!({"message": "Not Found"}))),
    }
}

// --- The REST side ---

async fn api(shared: Arc<Shared>, request: ApiRequest) -> Response {
    let arrived = Instant::now();
    let Exchange { pid, latency, drip, reply } =
        shared.with(|world, wall| world.answer(wall, &request));
    let flight = pid.map(|pid| InFlight { shared: Arc::clone(&shared), pid });
    // Our own work is part of it.
    let awake = shared.pause(latency.saturating_sub(arrived.elapsed())).await;
    let Some(reply) = reply.filter(|_| awake) else { return hang_up() };
    match drip {
        Some(pause) => slowly(reply, pause, flight),
        None => respond(reply),
    }
}

/// Closes the connection without a byte of an answer.
fn hang_up() -> Response {
    let failure: Result<Vec<u8>, io::Error> = Err(io::ErrorKind::ConnectionAborted.into());
    Response::new(Body::from_stream(tokio_stream::once(failure)))
}

/// Sends the body piece by piece; the call is in flight until the last one is out.
fn slowly(reply: Reply, pause: Duration, flight: Option<InFlight>) -> Response {
    let (out, pieces) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    let body = reply.body.clone().into_bytes();
    tokio::spawn(async move {
        for piece in body.chunks(body.len().div_ceil(PIECES).max(1)) {
            let awake = match &flight {
                Some(flight) => flight.shared.pause(pause).await,
                None => true,
            };
            if !awake || out.send(piece.to_vec()).await.is_err() {
                return;
            }
        }
    });
    let mut response = respond(Reply { body: String::new(), ..reply });
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from_stream(ReceiverStream::new(pieces).map(Ok::<_, Infallible>));
    response
}

// --- The Liveform ---

fn open(shared: &Shared, headers: &HeaderMap, query: &str) -> Response {
    let link = parameters(query);
    let (visitor, entered) = shared.with(|world, wall| {
        let visitor = visitor(headers).unwrap_or_else(|| world.new_visitor());
        let entered = world.open(wall, &link, &visitor);
        (visitor, entered)
    });
    let html = match entered {
        Ok(said) => Reply::html(200, page::welcome(&link, &said)),
        Err(refusal) => error_page(refusal),
    };
    let mut response = respond(html);
    let cookie = format!("{COOKIE}={visitor}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn start(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    let link = parameters(&String::from_utf8_lossy(body));
    let started = shared.with(|world, wall| {
        let visitor = visitor(headers).unwrap_or_else(|| world.new_visitor());
        world.start(wall, &link, &visitor)
    });
    match started {
        Ok(submission_id) => see_other(&submission_id),
        Err(refusal) => respond(error_page(refusal)),
    }
}

fn decide(shared: &Shared, body: &[u8]) -> Response {
    let form = parameters(&String::from_utf8_lossy(body));
    let submission_id = form.get("submission_id").cloned().unwrap_or_default();
    let decision = form.get("decision").cloned().unwrap_or_default();
    let Ok(decision) = serde_json::from_value::<Decision>(Value::String(decision)) else {
        return respond(error_page(Refusal::SessionUnknown));
    };
    match shared.with(|world, wall| world.decide(wall, &submission_id, decision, false)) {
        Some(_) => see_other(&submission_id),
        None => respond(error_page(Refusal::SessionUnknown)),
    }
}

fn session(shared: &Shared, submission_id: &str) -> Response {
    respond(match shared.with(|world, _| world.inside(submission_id)) {
        Some(inside) => Reply::html(200, page::session(&inside)),
        None => error_page(Refusal::SessionUnknown),
    })
}

/// The visitor that the browser brings along.
fn visitor(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let fits = !value.is_empty() && value.len() <= 64 && value.is_ascii();
        (name == COOKIE && fits).then(|| value.to_owned())
    })
}

fn error_page(refusal: Refusal) -> Reply {
    Reply::html(403, page::refusal(refusal))
}

fn see_other(submission_id: &str) -> Response {
    let to = format!("{}{submission_id}", page::SESSION);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

// --- The control side ---

fn control(shared: &Shared, method: &Method, name: &str, query: &str, body: &[u8]) -> Reply {
    let query: BTreeMap<String, String> = parameters(query);
    let pid = query.get("pid").map(String::as_str);
    let offset = query.get("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
    let answer = match (method.as_str(), name) {
        ("GET", "state") => shared.with(|world, wall| world.state(wall, pid, offset)),
        ("GET", "counters") => shared.with(|world, _| match pid {
            Some(pid) => world
                .counters(pid)
                .map(|counters| json!(counters))
                .ok_or(ControlError::ProjectUnknown),
            None => Ok(json!({
                "projects": world.all_counters(), "forbidden_calls": world.forbidden_calls(),
            })),
        }),
        ("GET", "record") => shared.with(|world, wall| world.record_page(wall, pid, offset)),
        ("POST", name) => Command::read(name, body).and_then(|command| shared.control(command)),
        _ => Err(ControlError::Malformed("no such thing under /_sim/".into())),
    };
    match answer {
        Ok(body) => Reply::json(200, &body),
        Err(ControlError::Refused { cause }) => Reply::json(409, &json!({"cause": cause})),
        Err(error) => Reply::json(400, &json!({"error": error.to_string()})),
    }
}

fn respond(reply: Reply) -> Response {
    let Reply { status, content_type, retry_after_seconds, body } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
