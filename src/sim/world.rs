//! The whole simulated ARGOS as one synchronous value: a request and a time go in, an answer comes out.
//!
//! **Law.** Nothing here reads a clock, draws luck without a seed, sleeps or opens a socket. Time is the
//! caller's wall clock plus what was skipped; late effects, expiries and whatever else is due happen
//! when the next call looks. So the same calls at the same times give the same world, with sockets in
//! front of it or without.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    faults::{Effect, Fault, FaultBody, Operation},
    links::{Said, TOKEN},
    liveform::Decision,
    project::{Project, ProjectOptions},
    record::TokenRecord,
    refusal::Refusal,
    submissions::{Person, Status, Submission},
    token_api,
    webhooks::Delivery,
    wire::{ApiRequest, Exchange, Millis, Reply, millis},
    witness::Counters,
};

/// One ARGOS with one or more projects.
pub struct World {
    projects: BTreeMap<String, Project>,
    /// The project of callers that name none.
    first: String,
    base_latency: Duration,
    skipped: Millis,
    latest: Millis,
    late: Vec<LateEffect>,
    /// Marks the submissions of this world, so that two runs never share an id.
    run: Millis,
    submissions: u64,
    visitors: u64,
    forbidden_calls: u64,
}

struct LateEffect {
    due: Millis,
    pid: String,
    operation: Operation,
    /// Opened, if it was sealed: its key may be another by then.
    request: ApiRequest,
}

/// What a visitor finds inside the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) pid: String,
    pub(super) submission_id: String,
    pub(super) status: Status,
    pub(super) attempts: u32,
    /// Why it was rejected.
    pub(super) reason: Option<&'static str>,
    pub(super) deleted: bool,
}

impl World {
    /// `wall` is the time of birth. Without projects there is the one of
    /// [`ProjectOptions::default`].
    pub fn new(projects: Vec<ProjectOptions>, base_latency: Duration, wall: Millis) -> Self {
        let projects = if projects.is_empty() { vec![ProjectOptions::default()] } else { projects };
        let first = projects[0].pid.clone();
        let projects =
            projects.into_iter().map(|options| (options.pid.clone(), Project::new(options)));
        Self {
            projects: projects.collect(),
            first,
            base_latency,
            skipped: 0,
            latest: Millis::MIN,
            late: Vec::new(),
            run: wall,
            submissions: 0,
            visitors: 0,
            forbidden_calls: 0,
        }
    }

    /// One call to the REST side. Its effect, if any, is there when this returns; the caller holds
    /// the answer back for the latency and then tells [`World::depart`].
    pub fn answer(&mut self, wall: Millis, request: &ApiRequest) -> Exchange {
        let now = self.advance(wall);
        let project = request
            .key
            .as_ref()
            .and_then(|key| self.projects.values_mut().find(|project| project.keys.api() == key));
        let Some(project) = project else {
            self.forbidden_calls += 1;
            return Exchange {
                pid: None,
                latency: self.base_latency,
                drip: None,
                reply: Some(Reply::forbidden_key()),
            };
        };
        let operation = operation(request);
        let request = project.receive(operation, request);
        let ids = request.as_ref().map_or(0, |request| token_api::ids_named(&request.body));
        project.witness.arrived(now, operation, ids);
        let draw = project.faults.draw(operation);
        let fault = draw.fault.as_ref();
        let reply = match (fault.and_then(replacement), request) {
            (None, Err(code)) => Some(code.into()),
            (None, Ok(request)) => Some(perform(project, now, operation, &request, fault)),
            (Some((_, reply)), Err(_)) => reply,
            (Some((effect, reply)), Ok(request)) => {
                match effect {
                    Effect::None => {}
                    Effect::Done => {
                        perform(project, now, operation, &request, None);
                    }
                    Effect::LateMs(ms) => self.late.push(LateEffect {
                        due: now.saturating_add_unsigned(ms),
                        pid: project.pid.clone(),
                        operation,
                        request: request.into_owned(),
                    }),
                }
                reply
            }
        };
        let reply = reply.map(|reply| project.send(reply));
        project.witness.answered(operation, reply.as_ref().map(|reply| reply.status));
        Exchange {
            pid: Some(project.pid.clone()),
            latency: self.base_latency + draw.latency,
            drip: draw.drip,
            reply,
        }
    }

    /// The call of this project is over: answered, or given up by its caller.
    pub fn depart(&mut self, pid: &str) {
        if let Some(project) = self.projects.get_mut(pid) {
            project.witness.departed();
        }
    }

    /// Opens the Liveform with the parameters of a link; returns what the link says.
    pub(super) fn open(
        &mut self,
        wall: Millis,
        link: &BTreeMap<String, String>,
        visitor: &str,
    ) -> Result<Said, Refusal> {
        let now = self.advance(wall);
        let (project, said) = self.linked(now, link)?;
        for parameter in &said.in_vain {
            project.witness.said_in_vain(parameter);
        }
        project.enter(now, said.get(TOKEN).unwrap_or_default(), visitor)?;
        Ok(said)
    }

    /// Passes step 1 of the Liveform; returns the submission's id.
    pub(super) fn start(
        &mut self,
        wall: Millis,
        link: &BTreeMap<String, String>,
        visitor: &str,
    ) -> Result<String, Refusal> {
        let now = self.advance(wall);
        self.submissions += 1;
        let submission_id = format!("sub-{:x}-{}", self.run, self.submissions);
        let (project, said) = self.linked(now, link)?;
        let token = said.get(TOKEN).unwrap_or_default();
        project.start(now, token, visitor, Person::who_said(&said), submission_id)
    }

    /// Decides a submission, whichever project it is of; `None` when there is no such submission.
    pub(super) fn decide(
        &mut self,
        wall: Millis,
        submission_id: &str,
        decision: Decision,
        by_admin: bool,
    ) -> Option<Status> {
        let now = self.advance(wall);
        let project = self
            .projects
            .values_mut()
            .find(|project| project.submissions.get(submission_id).is_some())?;
        project.decide(now, submission_id, decision, by_admin)
    }

    pub(super) fn inside(&self, submission_id: &str) -> Option<Inside> {
        self.projects.values().find_map(|project| {
            let submission = project.submissions.get(submission_id)?;
            Some(Inside {
                pid: project.pid.clone(),
                submission_id: submission.id.clone(),
                status: submission.status,
                attempts: submission.attempts,
                reason: submission.comment,
                deleted: submission.deleted,
            })
        })
    }

    /// The webhooks that are to be sent, in the order in which they are to leave.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        self.projects.values_mut().flat_map(|project| project.outbox.take()).collect()
    }

    /// A delivery ended after these answers to its tries; `None` is a try without an answer, and it
    /// arrived when the last one is 2xx.
    pub fn delivered(&mut self, pid: &str, answers: &[Option<u16>]) {
        if let Some(project) = self.projects.get_mut(pid) {
            project.witness.carried(answers);
            project.outbox.ended();
        }
    }

    /// Up to `n` records of what became of each token, from `offset` on, and how many there are;
    /// `None` when there is no such project. Absent, `pid` is the first project.
    pub fn record(
        &mut self,
        wall: Millis,
        pid: Option<&str>,
        offset: usize,
        n: usize,
    ) -> Option<(Vec<TokenRecord>, usize)> {
        self.advance(wall);
        let project = self.project(pid)?;
        Some((project.records(offset, n), project.records.len()))
    }

    /// The witness of one project; `None` when there is no such project.
    pub fn counters(&self, pid: &str) -> Option<Counters> {
        self.projects.get(pid).map(Project::counters)
    }

    /// The witness of every project.
    pub fn all_counters(&self) -> BTreeMap<&str, Counters> {
        self.projects.iter().map(|(pid, project)| (pid.as_str(), project.counters())).collect()
    }

    /// Calls with a key that no project has.
    pub fn forbidden_calls(&self) -> u64 {
        self.forbidden_calls
    }

    /// A name for a visitor who brings none; no two are equal.
    pub(super) fn new_visitor(&mut self) -> String {
        self.visitors += 1;
        format!("visitor-{:x}-{}", self.run, self.visitors)
    }

    /// The time here, after all that is due by then has happened. It never goes back.
    pub(super) fn advance(&mut self, wall: Millis) -> Millis {
        let now = wall.saturating_add(self.skipped).max(self.latest);
        self.latest = now;
        let mut due: Vec<LateEffect> = self.late.extract_if(.., |late| late.due <= now).collect();
        due.sort_by_key(|late| late.due);
        for late in due {
            if let Some(project) = self.projects.get_mut(&late.pid) {
                project.advance(late.due);
                perform(project, late.due, late.operation, &late.request, None);
            }
        }
        for project in self.projects.values_mut() {
            project.advance(now);
        }
        now
    }

    pub(super) fn skip(&mut self, span: Duration) {
        self.skipped = self.skipped.saturating_add(millis(span));
    }

    /// The named project, or the first one.
    pub(super) fn project(&mut self, pid: Option<&str>) -> Option<&mut Project> {
        self.projects.get_mut(pid.unwrap_or(&self.first))
    }

    /// The submissions on the token of a link that fit, as ARGOS's own people find them: whether or
    /// not the link still opens anything.
    pub(super) fn submissions_of(
        &self,
        link: &BTreeMap<String, String>,
        fits: impl Fn(&Submission) -> bool,
    ) -> Result<Vec<String>, Refusal> {
        let project = link.get("pid").and_then(|pid| self.projects.get(pid));
        let project = project.ok_or(Refusal::ProjectUnknown)?;
        let token = project.token_of(link)?;
        let places = project.records.submissions(&token).iter();
        let submissions = places.map(|place| project.submissions.at(*place));
        Ok(submissions.filter(|each| fits(each)).map(|each| each.id.clone()).collect())
    }

    /// Whether another project has this API key, by which calls find theirs.
    pub(super) fn is_key_of_another(&self, key: &str, pid: &str) -> bool {
        self.projects.values().any(|project| project.pid != pid && project.keys.api() == key)
    }

    /// The project of a link, and all the link says, sealed or plain.
    fn linked(
        &mut self,
        now: Millis,
        link: &BTreeMap<String, String>,
    ) -> Result<(&mut Project, Said), Refusal> {
        let project = link.get("pid").and_then(|pid| self.projects.get_mut(pid));
        let project = project.ok_or(Refusal::ProjectUnknown)?;
        let said = project.read_link(now, link)?;
        Ok((project, said))
    }
}

fn operation(request: &ApiRequest) -> Operation {
    match (request.method.as_str(), request.path.as_str()) {
        (_, token_api::PATH) => token_api::operation(request),
        ("GET", "/v3/submission") => Operation::Submission,
        ("GET", "/v3/projects/settings") => Operation::Settings,
        _ => Operation::Unknown,
    }
}

fn perform(
    project: &mut Project,
    now: Millis,
    operation: Operation,
    request: &ApiRequest,
    fault: Option<&Fault>,
) -> Reply {
    if request.path == token_api::PATH {
        return token_api::answer(project, now, operation, request, fault);
    }
    match operation {
        Operation::Submission => project.submissions.answer(&request.query, &project.rules, fault),
        Operation::Settings => project.settings(&request.query),
        Operation::Post
        | Operation::Get
        | Operation::List
        | Operation::Count
        | Operation::Delete
        | Operation::Unknown => Reply::json(404, &json!({"message": "Not Found"})),
    }
}

/// What a fault answers instead of the truth, and what it does to the request; `None` for a fault
/// that only bends an honest answer.
fn replacement(fault: &Fault) -> Option<(Effect, Option<Reply>)> {
    match fault {
        Fault::Status { status, body, error_code, retry_after_seconds, effect } => {
            let code = error_code.as_deref().unwrap_or("internal_server_error");
            let mut reply = made_up(*status, *body, code);
            reply.retry_after_seconds = *retry_after_seconds;
            Some((*effect, Some(reply)))
        }
        Fault::LostAnswer { effect } => Some((*effect, None)),
        Fault::NotSuccess { effect } => {
            let body = json!({"success": false, "message": "The request was not processed"});
            Some((*effect, Some(Reply::json(200, &body))))
        }
        Fault::ForbiddenKey => Some((Effect::None, Some(Reply::forbidden_key()))),
        Fault::ForbiddenAddress => Some((Effect::None, Some(Reply::forbidden_address()))),
        Fault::Latency { .. }
        | Fault::SlowBody { .. }
        | Fault::Partial { .. }
        | Fault::Contradiction { .. }
        | Fault::Stale { .. }
        | Fault::LoopingList
        | Fault::CircularList
        | Fault::PageTwice
        | Fault::EmptyPage => None,
    }
}

fn made_up(status: u16, body: FaultBody, code: &str) -> Reply {
    match body {
        FaultBody::Json => {
            Reply::json(status, &json!({"errorCode": code, "errorMessage": "Simulated fault."}))
        }
        FaultBody::Html => Reply::html(
            status,
            format!("<html><head><title>{status}</title></head><body>Bad Gateway</body></html>"),
        ),
        FaultBody::Empty => Reply::text(status, "application/json", String::new()),
        FaultBody::Garbage => {
            Reply::text(status, "application/json", "{\"success\":tru".to_owned())
        }
    }
}
