//! Callers that stand in line for a token.
//!
//! A waiter holds a place, not a decision: when its turn comes its command is decided again from the
//! start. A repeated request therefore joins the one that waits already, and both get one lease (L3).

use std::collections::VecDeque;

use tokio::time::Instant;
use tracing::Span;

use super::{
    mailbox::{Answer, Call},
    steps::Steps,
};
use crate::domain::pool::Command;

pub(super) struct Waiter {
    pub command: Command,
    pub since: Instant,
    pub until: Instant,
    pub answer: Answer,
    pub steps: Steps,
}

#[derive(Default)]
pub(super) struct Waiting {
    line: VecDeque<Waiter>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn join(&mut self, call: Call, since: Instant, until: Instant) {
        let Call { command, answer, mut steps, .. } = call;
        steps.waits();
        self.line.push_back(Waiter { command, since, until, answer, steps });
    }

    /// The requests that wait, as far as somebody looks at them.
    pub(super) fn requests(&self) -> impl Iterator<Item = &Span> {
        self.line.iter().filter_map(|waiter| waiter.steps.request())
    }

    /// Everybody, in order; those who are not served are put back with [`Self::put_back`].
    pub(super) fn take(&mut self) -> VecDeque<Waiter> {
        std::mem::take(&mut self.line)
    }

    pub(super) fn put_back(&mut self, line: VecDeque<Waiter>) {
        debug_assert!(self.line.is_empty(), "nobody joins while the line is served");
        self.line = line;
    }

    /// When the first of them will not wait any longer.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.line.iter().map(|waiter| waiter.until).min()
    }
}
