//! The way between the daemon and ARGOS: what is lost, late, doubled or bent on it.
//!
//! A request that left is on its way whatever becomes of its sender. What arrives late arrives within the
//! span for which the daemon waits (B3); a network that keeps copies longer is beyond every promise.

use std::{future::ready, time::Duration};

use argospool::{
    argos::{
        Operation,
        transport::{BrokenOff, Call, Heard, Transport},
    },
    domain::{
        ids::TokenId,
        secret::Secret,
        time::Timestamp,
        token::{Holder, Stage},
    },
    port::Pending,
    sim::{ApiRequest, Command, Effect, Fault, FaultBody, Operation as Asked, Reply, Script},
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    outside::{Event, Outside, PID, Shared},
    process::{CALLS_BURST, CALLS_PER_SECOND},
    script::Outage,
};

/// How long the daemon waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long it waits for late copies, after an answer and without one.
pub const SETTLE_MS: u64 = 3_000;
pub const LATE_COPY_MS: u64 = 120_000;

/// A request on its way.
pub struct Parcel {
    operation: Operation,
    request: ApiRequest,
    ids: Vec<TokenId>,
    /// How ARGOS bends its answer.
    fault: Option<Fault>,
    /// Who waits for the answer, and how long it takes to come back.
    answer: Option<(oneshot::Sender<Heard>, u64)>,
}

/// An answer on its way; without one the connection closes.
pub struct Answer {
    waiting: oneshot::Sender<Heard>,
    heard: Option<Heard>,
}

impl Answer {
    pub fn arrive(self) {
        if let Some(heard) = self.heard {
            let _ = self.waiting.send(heard);
        }
    }
}

/// What becomes of a call.
enum Fate {
    NotSent,
    /// It arrives and is answered, perhaps bent.
    Answered(Option<Fault>),
    /// As that, and a copy arrives later.
    Doubled,
    /// It arrives after this time if at all, and the connection closes soon or never.
    Lost {
        arrives_ms: Option<u64>,
        silent: bool,
    },
    /// A gateway answers in ARGOS's place, and the request arrives after this time if at all.
    Gateway {
        status: u16,
        arrives_ms: Option<u64>,
    },
}

/// The daemon's way to ARGOS.
pub struct Wire(pub Shared);

impl Transport for Wire {
    fn send<'a>(&'a self, call: Call, key: &'a Secret) -> Pending<'a, Result<Heard, BrokenOff>> {
        let Some((wait, ids)) = self.0.lock().leave(call, key) else {
            return Box::pin(ready(Err(BrokenOff::NotSent)));
        };
        let attempt = Attempt { outside: self.0.clone(), ids };
        Box::pin(async move {
            let heard = tokio::time::timeout(ANSWER_MAX, wait).await;
            drop(attempt);
            heard.map_err(|_| BrokenOff::Unanswered)?.map_err(|_| BrokenOff::Unanswered)
        })
    }
}

/// Ids are out until the attempt has ended, be it with the process.
struct Attempt {
    outside: Shared,
    ids: Vec<TokenId>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut outside = self.outside.lock();
        for id in &self.ids {
            outside.registering.remove(id);
            outside.deleting.remove(id);
        }
    }
}

impl Outside {
    /// A call leaves the daemon. `None`: there was no connection.
    fn leave(
        &mut self,
        call: Call,
        key: &Secret,
    ) -> Option<(oneshot::Receiver<Heard>, Vec<TokenId>)> {
        let operation = call.operation;
        let ids = ids_in(call.body.as_deref());
        self.tally.calls += 1;
        self.judge_pace();
        self.trace(&[1, operation as u64, ids.len() as u64]);
        self.judge_leaving(operation, &ids);
        let fate = self.fate(operation);
        if let Fate::NotSent = fate {
            return None;
        }
        let out = match operation {
            Operation::Register => Some(&mut self.registering),
            Operation::Delete => Some(&mut self.deleting),
            Operation::Count
            | Operation::Find
            | Operation::List
            | Operation::FindSubmission
            | Operation::ListSubmissions
            | Operation::Settings => None,
        };
        if let Some(out) = out {
            out.extend(ids.iter().cloned());
        }
        let parcel = Parcel {
            operation,
            request: request(call, key),
            ids: ids.clone(),
            fault: None,
            answer: None,
        };
        let (waiting, wait) = oneshot::channel();
        let (there, back) = (self.below(self.latency()), self.below(self.latency()));
        match fate {
            Fate::NotSent => (),
            Fate::Answered(fault) => {
                let answer = Some((waiting, back));
                self.after(there, Event::Arrive(Parcel { fault, answer, ..parcel }));
            }
            Fate::Doubled => {
                let copy = parcel.copy();
                self.after(
                    there,
                    Event::Arrive(Parcel { answer: Some((waiting, back)), ..parcel }),
                );
                let span = self.below(SETTLE_MS);
                self.after(there + back + span, Event::Arrive(copy));
            }
            Fate::Lost { arrives_ms, silent } => {
                if let Some(arrives) = arrives_ms {
                    self.after(arrives, Event::Arrive(parcel));
                }
                let closes = if silent { 2 * ANSWER_MAX.as_millis() as u64 } else { there + back };
                self.after(closes, Event::Answer(Answer { waiting, heard: None }));
            }
            Fate::Gateway { status, arrives_ms } => {
                if let Some(arrives) = arrives_ms {
                    self.after(arrives, Event::Arrive(parcel));
                }
                let page = Reply::html(status, "<html>Bad Gateway</html>".to_owned());
                let heard = Some(self.heard(page));
                self.after(there + back, Event::Answer(Answer { waiting, heard }));
            }
        }
        Some((wait, ids))
    }

    /// R2: within no minute more calls than the budget has, also where processes die in it.
    fn judge_pace(&mut self) {
        let now = self.time.elapsed();
        self.left.push_back(now);
        while self.left.front().is_some_and(|at| now - *at >= Duration::from_secs(60)) {
            self.left.pop_front();
        }
        let budget = CALLS_BURST as usize + 60 * CALLS_PER_SECOND as usize;
        self.demand(self.left.len() <= budget, "R2: more calls than the budget has");
    }

    /// The process has died: what it left on the way arrives within the span that it will wait for, or
    /// never.
    pub fn cut_off(&mut self) {
        let last = self.time.elapsed() + Duration::from_millis(LATE_COPY_MS);
        self.forget(|at, event| at > last && matches!(event, Event::Arrive(_)));
    }

    fn latency(&self) -> u64 {
        u64::from(self.weather.latency_ms) / 2 + 1
    }

    /// B1, B2, B3: what may leave, by what is durable at this moment.
    fn judge_leaving(&mut self, operation: Operation, ids: &[TokenId]) {
        for id in ids {
            let stage = self.books.token(id).map(|token| &token.stage);
            let breach = match (operation, stage) {
                (_, None) => Some("B2: an id leaves that is not written down"),
                (Operation::Register, Some(Stage::Minted { .. })) => None,
                (Operation::Register, Some(_)) => {
                    Some("B1: an id is registered that is not minted")
                }
                (_, Some(Stage::Doomed(_))) => None,
                (_, Some(_)) => Some("an id is deleted that is not doomed"),
            };
            if let Some(breach) = breach {
                self.object(breach);
            }
            if self.registering.contains(id) || self.deleting.contains(id) {
                self.object("B3: two attempts of one id at once");
            }
        }
    }

    fn fate(&mut self, operation: Operation) -> Fate {
        match self.weather.outage {
            Some(Outage::Unreachable) => return Fate::NotSent,
            Some(Outage::Silent) => return Fate::Lost { arrives_ms: None, silent: true },
            Some(Outage::Failing) => return Fate::Gateway { status: 503, arrives_ms: None },
            Some(Outage::Throttled) => return Fate::Answered(Some(throttled(20))),
            Some(Outage::KeyRefused) => return Fate::Answered(Some(Fault::ForbiddenKey)),
            Some(Outage::AddressRefused) => return Fate::Answered(Some(Fault::ForbiddenAddress)),
            None => (),
        }
        if !self.chance.percent(f64::from(self.weather.calls)) {
            return Fate::Answered(None);
        }
        let late = self.below(LATE_COPY_MS);
        match self.below(12) {
            0 => Fate::NotSent,
            1 => Fate::Lost { arrives_ms: None, silent: true },
            2 => Fate::Lost { arrives_ms: Some(0), silent: true },
            3 => Fate::Lost { arrives_ms: Some(late), silent: false },
            4 => Fate::Lost { arrives_ms: Some(late + 29_000), silent: true },
            5 => Fate::Gateway { status: 504, arrives_ms: Some(late) },
            6 => Fate::Answered(Some(throttled(self.chance.up_to(30) as u32))),
            7 => Fate::Doubled,
            _ if matches!(operation, Operation::Register | Operation::Delete) => {
                Fate::Answered(Some(self.bent_change()))
            }
            _ => Fate::Answered(Some(self.bent_answer())),
        }
    }

    /// What ARGOS may make of a registration or a deletion.
    fn bent_change(&mut self) -> Fault {
        let effect = if self.chance.percent(50.0) { Effect::Done } else { Effect::None };
        let some = self.below(10);
        match self.below(6) {
            0 => status(500, FaultBody::Json, effect),
            1 => status(200, FaultBody::Html, effect),
            2 => status(200, FaultBody::Garbage, effect),
            3 => Fault::NotSuccess { effect },
            4 => Fault::Partial { processed: some as usize, details: some.is_multiple_of(2) },
            _ => {
                let members =
                    json!({"processed": some, "failed": 1, "deleted": some, "notFound": 0});
                let Value::Object(members) = members else { unreachable!("an object") };
                Fault::Contradiction { members }
            }
        }
    }

    /// What it may make of a question.
    fn bent_answer(&mut self) -> Fault {
        let past = self.below(3_000_000);
        match self.below(7) {
            0 => status(500, FaultBody::Json, Effect::None),
            1 => status(200, FaultBody::Html, Effect::None),
            2 => Fault::Stale { ms: Some(past), changes: None },
            3 => Fault::LoopingList,
            4 => Fault::CircularList,
            5 => Fault::PageTwice,
            _ => Fault::EmptyPage,
        }
    }

    /// A request reaches ARGOS, which does what it asks for.
    pub fn arrive(&mut self, parcel: Parcel) {
        let Parcel { operation, request, ids, fault, answer } = parcel;
        if operation == Operation::Register {
            self.judge_arrival(&ids);
        }
        let now = self.time.truth();
        if let Some(fault) = fault {
            let script = Script::next(asked(operation), fault);
            self.argos.control(now, Command::Faults(script)).unwrap();
        }
        let exchange = self.argos.answer(now, &request);
        self.argos.depart(PID);
        self.judge();
        self.collect_mail();
        if let Some((waiting, back)) = answer {
            let heard = exchange.reply.map(|reply| self.heard(reply));
            self.after(back, Event::Answer(Answer { waiting, heard }));
        }
    }

    /// B3: a registration must not meet a token that may be used, or that nobody knows any more.
    fn judge_arrival(&mut self, ids: &[TokenId]) {
        for id in ids {
            let harm = match self.books.token(id).map(|token| &token.stage) {
                Some(Stage::Minted { .. } | Stage::Doomed(_)) => None,
                Some(Stage::Leased(lease)) if lease.holder == Holder::Presumed => None,
                Some(Stage::Leased(_)) => Some("B3: a registration arrives of a leased token"),
                Some(Stage::Ready { .. }) => Some("B3: a registration arrives of a ready token"),
                None => Some("B3: a registration arrives of a token that was forgotten"),
            };
            if let Some(harm) = harm {
                self.object(harm);
            }
        }
    }

    fn heard(&self, reply: Reply) -> Heard {
        let seconds = self.time.truth() / 1_000 * 1_000;
        Heard {
            status: reply.status,
            retry_after: reply.retry_after_seconds.map(|seconds| seconds.to_string()),
            date: Some(Timestamp::from_millis(seconds.unsigned_abs())),
            simulated: true,
            body: reply.body.into_bytes(),
        }
    }
}

impl Parcel {
    /// The same request once more; nobody waits for its answer.
    fn copy(&self) -> Self {
        Self {
            operation: self.operation,
            request: self.request.clone(),
            ids: self.ids.clone(),
            fault: None,
            answer: None,
        }
    }
}

fn ids_in(body: Option<&str>) -> Vec<TokenId> {
    let Some(body) = body else { return Vec::new() };
    let body: Value = serde_json::from_str(body).unwrap();
    let ids = body["tokenId"].as_array().unwrap().iter();
    ids.map(|id| TokenId::parse(id.as_str().unwrap()).unwrap()).collect()
}

fn request(call: Call, key: &Secret) -> ApiRequest {
    let (method, path) = match call.operation {
        Operation::Register => ("POST", "submission/tokens"),
        Operation::Delete => ("DELETE", "submission/tokens"),
        Operation::Count | Operation::Find | Operation::List => ("GET", "submission/tokens"),
        Operation::FindSubmission | Operation::ListSubmissions => ("GET", "submission"),
        Operation::Settings => ("GET", "projects/settings"),
    };
    ApiRequest {
        method: method.to_owned(),
        path: format!("/v3/{path}"),
        query: call.query,
        key: Some(key.expose().to_owned()),
        body: call.body.unwrap_or_default().into_bytes(),
    }
}

/// The simulated ARGOS has words of its own.
fn asked(operation: Operation) -> Asked {
    match operation {
        Operation::Register => Asked::Post,
        Operation::Delete => Asked::Delete,
        Operation::Count => Asked::Count,
        Operation::Find => Asked::Get,
        Operation::List => Asked::List,
        Operation::FindSubmission | Operation::ListSubmissions => Asked::Submission,
        Operation::Settings => Asked::Settings,
    }
}

fn status(status: u16, body: FaultBody, effect: Effect) -> Fault {
    Fault::Status { status, body, error_code: None, retry_after_seconds: None, effect }
}

fn throttled(seconds: u32) -> Fault {
    Fault::Status {
        status: 429,
        body: FaultBody::Json,
        error_code: None,
        retry_after_seconds: Some(seconds),
        effect: Effect::None,
    }
}
