//! Lets old history go, a little at a time.
//!
//! Whoever watched up to a revision and comes back is told everything that changed since, or that it
//! cannot be told. So the highest revision of what is about to go is written down first; sled keeps a
//! prefix of what it was given, and with it this order.

use std::{collections::VecDeque, sync::Arc};

use super::{
    history::{Fault, Shelf},
    project::Project,
};
use crate::{
    domain::{ids::Revision, time::Timestamp},
    store::record::LineRecord,
};

/// A sweep under way. Its steps are bounded, because commits wait for them. Only lines in blocks are
/// swept.
pub(super) struct Sweep {
    before: Timestamp,
    lines_max: u64,
    plan: Option<Plan>,
    dropped: u64,
}

struct Plan {
    spans: VecDeque<u64>,
    /// Lines to drop whatever their age, known once the old ones are gone.
    excess: Option<u64>,
}

impl Project {
    /// One step of a sweep of this project's history, as [`Sweep::step`].
    pub(super) fn sweep(&mut self, sweep: &mut Sweep) -> Result<Option<u64>, Fault> {
        let shelf = Arc::clone(&self.shelf);
        sweep.step(&shelf, |newest| self.give_up(newest))
    }

    /// Before lines up to a revision go.
    fn give_up(&mut self, newest: Revision) -> Result<(), Fault> {
        if self.head.dropped < newest.0 {
            self.head.dropped = newest.0;
            self.put_head(self.head.folded)?;
            self.shelf.announce(self.resumable());
        }
        Ok(())
    }
}

impl Sweep {
    /// Begins to drop what closed before a moment, and the lowest sequences beyond `lines_max`.
    pub(super) fn begin(before: Timestamp, lines_max: u64) -> Self {
        Self { before, lines_max, plan: None, dropped: 0 }
    }

    /// Goes one step on: `Some` with the number of lines that went once it is through. `give_up` hears
    /// of the highest revision among the lines of this step before they go.
    fn step(
        &mut self,
        shelf: &Shelf,
        give_up: impl FnOnce(Revision) -> Result<(), Fault>,
    ) -> Result<Option<u64>, Fault> {
        let trees = shelf.trees()?;
        let before = self.before.as_millis();
        let Some(plan) = &mut self.plan else {
            let old = trees.spans_where(|span| span.closed_first < before)?;
            self.plan = Some(Plan { spans: old, excess: None });
            return Ok(None);
        };
        if let Some(span) = plan.spans.pop_front() {
            let mut kept = trees.span_lines(span)?;
            let gone: Vec<LineRecord> = match &mut plan.excess {
                None => kept.extract_if(.., |line| line.closed < before).collect(),
                Some(excess) => {
                    let surplus = usize::try_from(*excess).unwrap_or(usize::MAX).min(kept.len());
                    *excess -= surplus as u64;
                    kept.drain(..surplus).collect()
                }
            };
            if let Some(newest) = gone.iter().map(|line| line.revision).max() {
                give_up(Revision(newest))?;
            }
            self.dropped += gone.len() as u64;
            trees.replace_span(span, kept)?;
            return Ok(None);
        }
        match plan.excess {
            None => {
                let mut total = 0;
                let spans = trees.spans_where(|span| {
                    total += span.lines;
                    true
                })?;
                *plan = Plan { spans, excess: Some(total.saturating_sub(self.lines_max)) };
                if plan.excess == Some(0) { Ok(Some(self.dropped)) } else { Ok(None) }
            }
            Some(_) => Ok(Some(self.dropped)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ids::Sequence, store::sled::history::Trees};

    #[test]
    fn nothing_goes_before_it_is_written_down_that_it_will() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        let tree = |name| db.open_tree(name).unwrap();
        let shelf = Shelf::default();
        let trees = Trees { lines: tree("lines"), spans: tree("spans") };
        shelf.attach(trees, Default::default());
        let line = |number| LineRecord {
            sequence: number,
            revision: 50 - number,
            closed: number,
            ending: 1,
            ..LineRecord::default()
        };
        shelf.absorb((1..=10).map(line).collect());
        for block in shelf.unfolded_blocks() {
            shelf.fold(block).unwrap();
        }
        let left = || shelf.lines(Sequence::ZERO, 100).unwrap().len();

        for (before, lines_max, newest, kept) in [(4, 100, 49, 7), (0, 5, 46, 5)] {
            let before = Timestamp::from_millis(before);
            for disk_is_well in [false, true] {
                let mut sweep = Sweep::begin(before, lines_max);
                let there = left();
                let mut heard = Vec::new();
                let ended = (0..10).find_map(|_| {
                    let step = sweep.step(&shelf, |revision| {
                        heard.push((revision, left()));
                        if disk_is_well { Ok(()) } else { Err("the disk is full".into()) }
                    });
                    step.transpose()
                });
                assert_eq!(heard, [(Revision(newest), there)], "the newest of those that go");
                assert_eq!(ended.unwrap().is_ok(), disk_is_well);
                assert_eq!(left(), if disk_is_well { kept } else { there });
            }
        }
    }
}
