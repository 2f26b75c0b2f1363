//! Lines of history: where readers find them, how they are folded, and how they go.
//!
//! Lines lie in blocks of neighbouring sequences. What was committed and is not folded yet is in
//! memory, so that a reader sees it at once. Beside the blocks a [`SpanRecord`] for every stretch of
//! 1,024 sequences says how many lines it has and when they closed: the look for recent requests at
//! open and the sweep of old lines read those, and only the stretches that matter.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost::Message;
use sled::Tree;

use super::{LINES_PER_BLOCK, database::put};
use crate::{
    domain::{
        ids::{Revision, Sequence},
        pool::Unfinished,
        recall::Recall,
        time::Timestamp,
        token::ClosedLease,
    },
    port::{LedgerError, Resumable},
    store::record::{LineBlockRecord, LineRecord, SpanRecord},
};

pub(super) type Fault = Box<dyn Error + Send + Sync>;

const BLOCKS_PER_SPAN: u64 = 32;

/// The history of one project, as readers and the committer share it.
#[derive(Default)]
pub(super) struct Shelf(Mutex<View>);

#[derive(Default)]
struct View {
    trees: Option<Trees>,
    /// Committed and not in a block yet, by sequence.
    recent: BTreeMap<u64, LineRecord>,
}

#[derive(Clone)]
pub(super) struct Trees {
    pub lines: Tree,
    pub spans: Tree,
}

// What readers ask.
impl Shelf {
    pub(super) fn line(&self, sequence: Sequence) -> Result<Option<ClosedLease>, LedgerError> {
        let look = || -> Result<Option<ClosedLease>, Fault> {
            let (trees, recent) = {
                let view = self.lock();
                (view.trees()?, view.recent.get(&sequence.get()).cloned())
            };
            let line = match recent {
                Some(line) => Some(line),
                None => trees
                    .block(sequence.get() / LINES_PER_BLOCK)?
                    .into_iter()
                    .find(|line| line.sequence == sequence.get()),
            };
            Ok(line.map(ClosedLease::try_from).transpose()?)
        };
        look().map_err(LedgerError::Unreadable)
    }

    pub(super) fn lines(
        &self,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<ClosedLease>, LedgerError> {
        let look = || -> Result<Vec<ClosedLease>, Fault> {
            let (trees, recent) = {
                let view = self.lock();
                let recent = view.recent.range(from.get()..).take(limit);
                (view.trees()?, recent.map(|(_, line)| line.clone()).collect::<Vec<_>>())
            };
            let mut found: BTreeMap<u64, LineRecord> = BTreeMap::new();
            let first = (from.get() / LINES_PER_BLOCK).to_be_bytes();
            for entry in trees.lines.range(first..) {
                let block = LineBlockRecord::decode(&*entry?.1)?.lines.into_iter();
                found.extend(
                    block
                        .filter(|line| line.sequence >= from.get())
                        .map(|line| (line.sequence, line)),
                );
                if found.len() >= limit {
                    break;
                }
            }
            for line in recent {
                // Folded and changed again since we looked: the newest wins.
                let newer =
                    found.get(&line.sequence).is_none_or(|old| old.revision <= line.revision);
                if newer {
                    found.insert(line.sequence, line);
                }
            }
            found.into_values().take(limit).map(|line| Ok(line.try_into()?)).collect()
        };
        look().map_err(LedgerError::Unreadable)
    }
}

// What watchers ask.
impl Shelf {
    pub(super) fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Result<Vec<ClosedLease>, LedgerError> {
        let sequences: BTreeSet<_> = sequences.into_iter().collect();
        let lines = sequences.into_iter().map(|sequence| self.line(sequence));
        lines.filter_map(Result::transpose).collect()
    }

    pub(super) fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<ClosedLease>, LedgerError> {
        let mut lines = self.lines(from, usize::MAX)?;
        lines.retain(|line| line.revision > after);
        lines.truncate(limit);
        Ok(lines)
    }

    pub(super) fn resumable(&self) -> Resumable {
        Resumable::default()
    }
}

// What the committer does.
impl Shelf {
    /// Gives readers the trees of an open database.
    pub(super) fn attach(&self, trees: Trees) {
        *self.lock() = View { trees: Some(trees), recent: BTreeMap::new() };
    }

    /// Takes the trees back before the database is closed.
    pub(super) fn detach(&self) {
        *self.lock() = View::default();
    }

    pub(super) fn absorb(&self, lines: Vec<LineRecord>) {
        if !lines.is_empty() {
            self.lock().recent.extend(lines.into_iter().map(|line| (line.sequence, line)));
        }
    }

    /// How many lines are not in a block yet.
    pub(super) fn unfolded(&self) -> usize {
        self.lock().recent.len()
    }

    /// The blocks that lines wait for.
    pub(super) fn unfolded_blocks(&self) -> Vec<u64> {
        let mut blocks: Vec<u64> =
            self.lock().recent.keys().map(|sequence| sequence / LINES_PER_BLOCK).collect();
        blocks.dedup();
        blocks
    }

    /// Moves the lines that wait for one block into it.
    pub(super) fn fold(&self, block: u64) -> Result<(), Fault> {
        let range = block * LINES_PER_BLOCK..(block + 1) * LINES_PER_BLOCK;
        let (trees, fresh) = {
            let view = self.lock();
            let fresh = view.recent.range(range.clone()).map(|(_, line)| line.clone());
            (view.trees()?, fresh.collect::<Vec<_>>())
        };
        let mut lines: BTreeMap<u64, LineRecord> =
            trees.block(block)?.into_iter().map(|line| (line.sequence, line)).collect();
        let before = lines.len();
        let mut span = trees.span(block / BLOCKS_PER_SPAN)?.unwrap_or(EMPTY_SPAN);
        for line in fresh {
            span.widen(line.closed);
            lines.insert(line.sequence, line);
        }
        // A fold that is done again after a crash counts its lines once too little; a sweep that comes
        // by counts anew.
        span.lines += (lines.len() - before) as u64;
        trees.put_block(block, lines.into_values().collect())?;
        trees.put_span(block / BLOCKS_PER_SPAN, span)?;
        // Only this thread adds lines, so these are the ones that were just written.
        self.lock().recent.retain(|sequence, _| !range.contains(sequence));
        Ok(())
    }

    /// Leases that closed at or after a moment, by their requests, and those of which ARGOS may have
    /// more to tell.
    pub(super) fn past(&self, after: Timestamp) -> Result<(Recall, Vec<Unfinished>), Fault> {
        let (trees, recent) = {
            let view = self.lock();
            (view.trees()?, view.recent.clone())
        };
        let (mut past, mut unfinished) = (Recall::default(), Vec::new());
        let mut remember = |line: LineRecord| -> Result<(), Fault> {
            if line.closed >= after.as_millis() {
                let line = line.try_into()?;
                past.remember(&line);
                unfinished.extend(Unfinished::of(&line));
            }
            Ok(())
        };
        for entry in &trees.spans {
            let (key, span) = entry?;
            if SpanRecord::decode(&*span)?.closed_last < after.as_millis() {
                continue;
            }
            for line in trees.span_lines(number(&key)?)? {
                if !recent.contains_key(&line.sequence) {
                    remember(line)?;
                }
            }
        }
        recent.into_values().try_for_each(remember)?;
        Ok((past, unfinished))
    }

    /// Begins to drop what closed before a moment, and the lowest sequences beyond `lines_max`. Only
    /// lines in blocks are swept.
    pub(super) fn sweep(&self, before: Timestamp, lines_max: u64) -> Sweep {
        Sweep { before, lines_max, plan: None, dropped: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sweep of old lines under way. Its steps are bounded, because commits wait for them.
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

impl Sweep {
    /// Goes one step on: `Some` with the number of lines that went once it is through.
    pub(super) fn step(&mut self, shelf: &Shelf) -> Result<Option<u64>, Fault> {
        let trees = shelf.lock().trees()?;
        let Some(plan) = &mut self.plan else {
            let old = trees.spans_where(|span| span.closed_first < self.before.as_millis())?;
            self.plan = Some(Plan { spans: old, excess: None });
            return Ok(None);
        };
        if let Some(span) = plan.spans.pop_front() {
            let lines = trees.span_lines(span)?;
            let total = lines.len();
            let mut kept = lines;
            match &mut plan.excess {
                None => kept.retain(|line| line.closed >= self.before.as_millis()),
                Some(excess) => {
                    let surplus = usize::try_from(*excess).unwrap_or(usize::MAX).min(total);
                    kept.drain(..surplus);
                    *excess -= surplus as u64;
                }
            }
            self.dropped += (total - kept.len()) as u64;
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

const EMPTY_SPAN: SpanRecord = SpanRecord { lines: 0, closed_first: u64::MAX, closed_last: 0 };

impl SpanRecord {
    fn widen(&mut self, closed: u64) {
        self.closed_first = self.closed_first.min(closed);
        self.closed_last = self.closed_last.max(closed);
    }
}

impl View {
    fn trees(&self) -> Result<Trees, Fault> {
        self.trees.clone().ok_or_else(|| "the ledger is not open".into())
    }
}

impl Trees {
    fn block(&self, block: u64) -> Result<Vec<LineRecord>, Fault> {
        let value = self.lines.get(block.to_be_bytes())?;
        Ok(value.map_or(Ok(Vec::new()), |value| {
            LineBlockRecord::decode(&*value).map(|block| block.lines)
        })?)
    }

    fn put_block(&self, block: u64, lines: Vec<LineRecord>) -> Result<(), Fault> {
        let key = block.to_be_bytes();
        if lines.is_empty() {
            self.lines.remove(key)?;
            return Ok(());
        }
        Ok(put(&self.lines, &key, LineBlockRecord { lines }.encode_to_vec())?)
    }

    fn span(&self, span: u64) -> Result<Option<SpanRecord>, Fault> {
        let value = self.spans.get(span.to_be_bytes())?;
        Ok(value.map(|value| SpanRecord::decode(&*value)).transpose()?)
    }

    fn put_span(&self, span: u64, record: SpanRecord) -> Result<(), Fault> {
        Ok(put(&self.spans, &span.to_be_bytes(), record.encode_to_vec())?)
    }

    /// In sequence order. Block by block and not as a range: sled counts the accesses to its pages and
    /// looks into its cache for what to evict after thousands of them only, by when a range would have
    /// read the whole history into memory.
    fn span_lines(&self, span: u64) -> Result<Vec<LineRecord>, Fault> {
        let mut lines = Vec::new();
        for block in span * BLOCKS_PER_SPAN..(span + 1) * BLOCKS_PER_SPAN {
            lines.extend(self.block(block)?);
        }
        Ok(lines)
    }

    /// Puts what is left of a stretch in its place.
    fn replace_span(&self, span: u64, kept: Vec<LineRecord>) -> Result<(), Fault> {
        let mut record = EMPTY_SPAN;
        let mut blocks: BTreeMap<u64, Vec<LineRecord>> = (span * BLOCKS_PER_SPAN
            ..(span + 1) * BLOCKS_PER_SPAN)
            .map(|block| (block, Vec::new()))
            .collect();
        for line in kept {
            record.lines += 1;
            record.widen(line.closed);
            blocks.entry(line.sequence / LINES_PER_BLOCK).or_default().push(line);
        }
        for (block, lines) in blocks {
            self.put_block(block, lines)?;
        }
        if record.lines == 0 {
            self.spans.remove(span.to_be_bytes())?;
            return Ok(());
        }
        self.put_span(span, record)
    }

    fn spans_where(
        &self,
        mut wanted: impl FnMut(&SpanRecord) -> bool,
    ) -> Result<VecDeque<u64>, Fault> {
        let mut spans = VecDeque::new();
        for entry in &self.spans {
            let (key, span) = entry?;
            if wanted(&SpanRecord::decode(&*span)?) {
                spans.push_back(number(&key)?);
            }
        }
        Ok(spans)
    }
}

/// The number that a key of eight bytes is.
fn number(key: &[u8]) -> Result<u64, Fault> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| "a key has the wrong length".into())
}
