//! What is known and what the person at the keyboard wants to see: a fold over the daemon's answers and over keys.
//!
//! Pure: nothing here asks, draws or looks at a clock.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::window::{Percentiles, Rates, Reading, Stock, Window};
use crate::cli::{
    proto::{ArgosCall, GetChronicleResponse, GetStatusResponse, Latencies, ProjectStatus},
    words,
};

/// A moment as this side sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Milliseconds since the view was opened, by a clock that does not jump.
    pub(super) at: i64,
    /// What "ago" counts from.
    pub(super) wall: Timestamp,
}

/// One answer of the daemon.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: GetStatusResponse,
    /// `None` from a daemon of a release that keeps none.
    pub(super) chronicle: Option<GetChronicleResponse>,
    /// Why one of the projects stands as it does: its name, and sentences.
    pub(super) why: Option<(String, Vec<String>)>,
}

/// What the person at the keyboard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    NextProject,
    PreviousProject,
    Freeze,
    Help,
    /// Leaves what is open, and else the view.
    Escape,
    Quit,
}

/// Everything that is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    known: Known,
    /// How it stood when the view was frozen; what is heard meanwhile is not lost.
    frozen: Option<(Known, Moment)>,
    selected: String,
    pub(super) help: bool,
}

/// What the daemon has told.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    answer: Option<(i64, Answer)>,
    /// Why the last question was not answered.
    pub(super) missed: Option<String>,
    leasing: Window<Latencies>,
    trails: BTreeMap<String, Trail>,
}

/// What is kept of a project from answer to answer.
#[derive(Clone, Debug, Default)]
struct Trail {
    window: Window<Reading>,
    stock: Stock,
}

/// One project as it is shown.
pub(super) struct Shown<'a> {
    pub(super) status: &'a ProjectStatus,
    /// `None` before there were two answers.
    pub(super) rates: Option<Rates>,
    /// Of all projects together.
    pub(super) leasing: Percentiles,
    /// The newest first, with the time since each ended.
    pub(super) calls: Vec<(Duration, &'a ArgosCall)>,
    /// Why it stands as it does, without what is told as a problem.
    pub(super) why: Vec<&'a str>,
    pub(super) stock: &'a Stock,
}

impl View {
    /// Takes an answer over, or why there is none.
    pub(super) fn hear(&mut self, at: i64, heard: Result<Answer, String>) {
        match heard {
            Ok(answer) => self.known.hear(at, answer),
            Err(why) => self.known.missed = Some(why),
        }
        let names = self.known.projects().map(|project| project.project.as_str());
        if !self.selected.is_empty() && names.clone().any(|name| name == self.selected) {
            return;
        }
        self.selected = names.clone().next().unwrap_or_default().to_owned();
    }

    /// True when the view ends.
    pub(super) fn press(&mut self, key: Key, now: Moment) -> bool {
        match key {
            Key::Quit => return true,
            Key::Escape if self.help => self.help = false,
            Key::Escape => return true,
            Key::Help => self.help = !self.help,
            Key::Freeze => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some((self.known.clone(), now)),
                }
            }
            Key::NextProject => self.select(|at, projects| (at + 1) % projects),
            Key::PreviousProject => self.select(|at, projects| (at + projects - 1) % projects),
        }
        false
    }

    /// The name of the project that is shown; empty before anything is known.
    pub(super) fn selected(&self) -> &str {
        &self.selected
    }

    fn select(&mut self, step: impl FnOnce(usize, usize) -> usize) {
        let names: Vec<_> = self.known.projects().map(|project| &project.project).collect();
        if let Some(at) = names.iter().position(|name| **name == self.selected) {
            self.selected = names[step(at, names.len())].clone();
        }
    }

    /// Since when it is frozen, in milliseconds since the view was opened.
    pub(super) fn frozen_since(&self) -> Option<i64> {
        self.frozen.as_ref().map(|(_, moment)| moment.at)
    }

    /// What is to be drawn, and the moment that it is drawn of.
    pub(super) fn shown(&self, now: Moment) -> (&Known, Moment) {
        match &self.frozen {
            Some((known, moment)) => (known, *moment),
            None => (&self.known, now),
        }
    }
}

impl Known {
    fn hear(&mut self, at: i64, answer: Answer) {
        self.missed = None;
        let before = self.answer.as_ref().map(|(_, answer)| answer.status.start_time);
        if before.is_some_and(|before| before != answer.status.start_time) {
            // Another process counts from zero.
            self.leasing = Window::default();
            self.trails.values_mut().for_each(|trail| trail.window = Window::default());
        }
        for told in answer.chronicle.iter().flat_map(|chronicle| &chronicle.projects) {
            let trail = self.trails.entry(told.project.clone()).or_default();
            trail.window.read(at, Reading::of(told));
            let ago = |age| i64::try_from(words::duration_of(age).unwrap_or_default().as_millis());
            trail.stock.extend(told.samples.iter().map(|sample| {
                (
                    at.saturating_sub(ago(sample.age.as_ref()).unwrap_or(i64::MAX)),
                    sample.leasable_tokens,
                )
            }));
        }
        for status in &answer.status.projects {
            let trail = self.trails.entry(status.project.clone()).or_default();
            trail.stock.extend([(at, status.leasable_tokens)]);
        }
        if let Some(leasing) = answer.chronicle.as_ref().and_then(|it| it.create_lease.clone()) {
            self.leasing.read(at, leasing);
        }
        self.answer = Some((at, answer));
    }

    /// The last answer, and when it came.
    pub(super) fn answer(&self) -> Option<(i64, &GetStatusResponse)> {
        self.answer.as_ref().map(|(at, answer)| (*at, &answer.status))
    }

    pub(super) fn projects(&self) -> impl Iterator<Item = &ProjectStatus> + Clone {
        self.answer.iter().flat_map(|(_, answer)| &answer.status.projects)
    }

    pub(super) fn project(&self, name: &str, now: Moment) -> Option<Shown<'_>> {
        let (at, answer) = self.answer.as_ref()?;
        let status = answer.status.projects.iter().find(|status| status.project == name)?;
        let trail = self.trails.get(name)?;
        let since = Duration::from_millis((now.at - at).unsigned_abs());
        let chronicles = answer.chronicle.iter().flat_map(|it| &it.projects);
        let calls = chronicles.filter(|told| told.project == name).flat_map(|told| &told.calls);
        let age = |call: &ArgosCall| words::duration_of(call.age.as_ref()).unwrap_or_default();
        let why = answer.why.iter().filter(|(project, _)| project == name);
        let a_problem = |line: &&str| {
            let mut reasons = status.problems.iter().map(|problem| problem.reason.as_str());
            let told = line.split_once(": ").map(|(reason, _)| reason);
            told.is_some_and(|told| reasons.any(|reason| reason == told))
        };
        let lines = why.flat_map(|(_, lines)| lines.iter().map(String::as_str));
        Some(Shown {
            status,
            rates: Rates::of(&trail.window),
            leasing: Percentiles::of(&self.leasing),
            calls: calls.map(|call| (age(call) + since, call)).collect(),
            why: lines.filter(|line| !a_problem(line)).collect(),
            stock: &trail.stock,
        })
    }
}

#[cfg(test)]
mod tests;
