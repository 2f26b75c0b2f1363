//! Why a command ended without what was asked for, and the exit code that tells a script.

use std::{fmt::Write as _, process::ExitCode};

/// How a command ended. The numbers are fixed: scripts branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The daemon understood and said no.
    Refused = 3,
    /// The daemon gave no answer.
    Unreachable = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What is told about a command that ended without what was asked for.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    /// Facts about it, each with a name.
    facts: Vec<(&'static str, String)>,
    /// What to try next.
    hints: Vec<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), facts: Vec::new(), hints: Vec::new() }
    }

    /// For whatever went wrong on this side.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    #[must_use]
    pub fn fact(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.facts.push((name, text.into()));
        self
    }

    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// True when the caller cannot know whether the call took effect.
    pub(super) fn is_doubtful(&self) -> bool {
        let in_doubt =
            |(name, text): &(&str, String)| *name == "reason" && text == "COMMIT_DOUBTFUL";
        self.exit == Exit::Unreachable || self.facts.iter().any(in_doubt)
    }

    /// Everything to be told, line by line, without colour.
    pub fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        let width = self.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, fact) in &self.facts {
            let _ = writeln!(text, "  {name:width$}  {fact}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }
}
