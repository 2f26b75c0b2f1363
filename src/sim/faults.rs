//! Faults as data: scripts that say which of the next calls go wrong, and how.
//!
//! A script never runs by chance or by time; it is drawn by calls, one after another, so that the same
//! calls meet the same faults. Latency and slow bodies combine with whatever else is scripted; of the
//! rest the first script that fits takes the call.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a call asks for; the filter of a script and the name of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// POST tokens.
    Post,
    /// GET one token.
    Get,
    /// GET a page of tokens.
    List,
    /// GET the number of tokens.
    Count,
    /// DELETE tokens.
    Delete,
    /// GET submissions.
    Submission,
    /// GET project settings.
    Settings,
    /// Anything that the API does not have.
    Unknown,
}

/// How often something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TimesText", into = "TimesText")]
pub enum Times {
    Next(u32),
    Always,
}

impl Times {
    /// Uses one up; false when none is left.
    pub(super) fn take(&mut self) -> bool {
        match self {
            Self::Always => true,
            Self::Next(0) => false,
            Self::Next(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// On the wire: a number, or the word `always`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TimesText {
    Next(u32),
    Word(Always),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Always {
    Always,
}

impl From<TimesText> for Times {
    fn from(text: TimesText) -> Self {
        match text {
            TimesText::Next(n) => Self::Next(n),
            TimesText::Word(Always::Always) => Self::Always,
        }
    }
}

impl From<Times> for TimesText {
    fn from(times: Times) -> Self {
        match times {
            Times::Next(n) => Self::Next(n),
            Times::Always => Self::Word(Always::Always),
        }
    }
}

/// Which calls, and what happens to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// `None`: the first project.
    #[serde(default)]
    pub pid: Option<String>,
    /// `None`: every operation.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// Fitting calls that pass unharmed before the first that does not.
    #[serde(default)]
    pub skip: u32,
    #[serde(default = "once")]
    pub times: Times,
    pub fault: Fault,
}

impl Script {
    /// The next call of this operation.
    pub fn next(operation: Operation, fault: Fault) -> Self {
        Self { pid: None, operation: Some(operation), skip: 0, times: once(), fault }
    }

    /// Every call of this operation.
    pub fn always(operation: Operation, fault: Fault) -> Self {
        Self { times: Times::Always, ..Self::next(operation, fault) }
    }
}

fn once() -> Times {
    Times::Next(1)
}

/// What becomes of the request itself while its answer goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing happened.
    #[default]
    None,
    /// It was done before the answer went wrong.
    Done,
    /// It is done this many milliseconds later: the late copy that B3 is about.
    LateMs(u64),
}

/// The body of a made-up status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultBody {
    /// `{"errorCode":…,"errorMessage":…}`.
    #[default]
    Json,
    /// A page of a gateway.
    Html,
    Empty,
    /// Half a JSON text.
    Garbage,
}

/// One way in which a call goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The answer comes later. Combines with others.
    Latency { ms: u64 },
    /// The body comes in pieces with this much time between them. Combines with others.
    SlowBody { ms: u64 },
    /// A made-up answer: 429, 500, 503, 504, 413, also a 200 with a page in it.
    Status {
        status: u16,
        #[serde(default)]
        body: FaultBody,
        /// Default: `internal_server_error`.
        #[serde(default)]
        error_code: Option<String>,
        #[serde(default)]
        retry_after_seconds: Option<u32>,
        #[serde(default)]
        effect: Effect,
    },
    /// The connection closes without a byte of an answer.
    LostAnswer {
        #[serde(default)]
        effect: Effect,
    },
    /// Only the first ids of the batch are processed; 200 with honest counts.
    Partial {
        processed: usize,
        /// Whether `details` names the ids that failed.
        #[serde(default)]
        details: bool,
    },
    /// The members are laid over `summary` (POST, DELETE) or over the answer itself (GET), after an
    /// effect that was whole: `{"processed":480,"failed":20}`, `{"count":7}`.
    Contradiction { members: Map<String, Value> },
    /// GET, list and count show the pool of the past: this long ago, or before that many changes.
    Stale {
        #[serde(default)]
        ms: Option<u64>,
        #[serde(default)]
        changes: Option<u64>,
    },
    /// A list, of tokens or of submissions, answers its first page again and again, always with a
    /// cursor.
    LoopingList,
    /// The last page of a list has a cursor too: behind it the list goes round, without end.
    CircularList,
    /// A call with a cursor is answered with the page before it, and with the same cursor. A call
    /// without one is answered honestly.
    PageTwice,
    /// No rows, but a cursor behind which the rows come.
    EmptyPage,
    /// The key is refused: `{"message":"Forbidden"}`.
    ForbiddenKey,
    /// The caller's address is refused: explicit deny.
    ForbiddenAddress,
    /// 200 with `success:false`.
    NotSuccess {
        #[serde(default)]
        effect: Effect,
    },
}

/// What the scripts make of one call.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Draw {
    pub(super) latency: Duration,
    pub(super) drip: Option<Duration>,
    pub(super) fault: Option<Fault>,
}

/// The scripts of one project, in the order in which they were given.
#[derive(Default)]
pub(super) struct Faults {
    scripts: Vec<Script>,
}

impl Faults {
    pub(super) fn add(&mut self, script: Script) {
        self.scripts.push(script);
    }

    pub(super) fn clear(&mut self) {
        self.scripts.clear();
    }

    /// What is left to happen.
    pub(super) fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    pub(super) fn draw(&mut self, operation: Operation) -> Draw {
        let mut draw = Draw::default();
        for script in &mut self.scripts {
            let combines = matches!(script.fault, Fault::Latency { .. } | Fault::SlowBody { .. });
            let fits = script.operation.is_none_or(|wanted| wanted == operation);
            if !fits || (!combines && draw.fault.is_some()) {
                continue;
            }
            if script.skip > 0 {
                script.skip -= 1;
                continue;
            }
            if !script.times.take() {
                continue;
            }
            if let Fault::Latency { ms } = script.fault {
                draw.latency += Duration::from_millis(ms);
            } else if let Fault::SlowBody { ms } = script.fault {
                draw.drip = Some(Duration::from_millis(ms));
            } else {
                draw.fault = Some(script.fault.clone());
            }
        }
        self.scripts.retain(|script| script.times != Times::Next(0));
        draw
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_hits_the_calls_it_names_and_no_others() {
        let mut faults = Faults::default();
        let lost = Fault::LostAnswer { effect: Effect::Done };
        faults.add(Script { skip: 1, ..Script::next(Operation::Post, lost.clone()) });
        assert_eq!(faults.draw(Operation::Delete).fault, None);
        assert_eq!(faults.draw(Operation::Post).fault, None, "skipped");
        assert_eq!(faults.draw(Operation::Post).fault, Some(lost));
        assert_eq!(faults.draw(Operation::Post).fault, None, "used up");
        assert!(faults.scripts().is_empty());
    }

    #[test]
    fn latency_combines_and_of_other_faults_the_first_wins() {
        let mut faults = Faults::default();
        faults.add(Script::always(Operation::List, Fault::Latency { ms: 20 }));
        faults.add(Script::next(Operation::List, Fault::LoopingList));
        faults.add(Script::next(Operation::List, Fault::ForbiddenKey));
        let first = faults.draw(Operation::List);
        assert_eq!(first.fault, Some(Fault::LoopingList));
        assert_eq!(first.latency, Duration::from_millis(20));
        assert_eq!(faults.draw(Operation::List).fault, Some(Fault::ForbiddenKey));
        assert_eq!(faults.draw(Operation::List).latency, Duration::from_millis(20));
    }

    #[test]
    fn a_script_reads_as_it_is_documented() {
        let script: Script = serde_json::from_value(json!({
            "operation": "post", "times": "always",
            "fault": {"kind": "status", "status": 429, "body": "html", "retry_after_seconds": 3,
                      "effect": {"late_ms": 500}}
        }))
        .unwrap();
        assert_eq!(script.times, Times::Always);
        let Fault::Status { status, effect, .. } = script.fault else { panic!("not a status") };
        assert_eq!((status, effect), (429, Effect::LateMs(500)));
        assert!(serde_json::from_value::<Script>(json!({"fault": {"kind": "nonsense"}})).is_err());
    }
}
