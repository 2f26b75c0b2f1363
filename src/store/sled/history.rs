//! Lines of history: where readers find them, and how they are folded.
//!
//! Lines lie in blocks of neighbouring sequences. What was committed and is not folded yet is in
//! memory, so that a reader sees it at once. Beside the blocks a [`SpanRecord`] for every stretch of
//! 1,024 sequences says how many lines it has, when they closed and when they changed last: the look
//! for recent requests at open, the sweep of old lines and a watcher who comes back read those, and
//! only the stretches that matter.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error,
    ops::Range,
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

const BLOCKS_PER_SPAN: u64 = 128;

/// The history of one project, as readers and the committer share it.
#[derive(Default)]
pub(super) struct Shelf(Mutex<View>);

#[derive(Default)]
struct View {
    trees: Option<Trees>,
    /// Committed and not in a block yet, by sequence.
    recent: BTreeMap<u64, LineRecord>,
    resumable: Resumable,
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
        let look = || {
            let (trees, recent) = self.recent(from, |_| true, limit)?;
            let mut found = BTreeMap::new();
            let first = (from.get() / LINES_PER_BLOCK).to_be_bytes();
            for entry in trees.lines.range(first..) {
                let block = LineBlockRecord::decode(&*entry?.1)?.lines.into_iter();
                let block = block.filter(|line| line.sequence >= from.get());
                found.extend(block.map(|line| (line.sequence, line)));
                if found.len() >= limit {
                    break;
                }
            }
            merged(found, recent, limit)
        };
        look().map_err(LedgerError::Unreadable)
    }

    pub(super) fn lines_of(
        &self,
        sequences: Vec<Sequence>,
    ) -> Result<Vec<ClosedLease>, LedgerError> {
        let look = || -> Result<Vec<ClosedLease>, Fault> {
            let mut wanted: BTreeSet<u64> =
                sequences.iter().map(|sequence| sequence.get()).collect();
            let (trees, mut found) = {
                let view = self.lock();
                let recent = wanted.iter().filter_map(|sequence| view.recent.get(sequence));
                let recent = recent.map(|line| (line.sequence, line.clone()));
                (view.trees()?, recent.collect::<BTreeMap<_, _>>())
            };
            wanted.retain(|sequence| !found.contains_key(sequence));
            // Neighbours share a block, which is read once.
            let mut blocks: Vec<u64> =
                wanted.iter().map(|sequence| sequence / LINES_PER_BLOCK).collect();
            blocks.dedup();
            for block in blocks {
                let lines = trees.block(block)?.into_iter();
                let lines = lines.filter(|line| wanted.contains(&line.sequence));
                found.extend(lines.map(|line| (line.sequence, line)));
            }
            found.into_values().map(|line| Ok(line.try_into()?)).collect()
        };
        look().map_err(LedgerError::Unreadable)
    }

    /// Reads the stretches in which something changed, and no others.
    pub(super) fn lines_changed(
        &self,
        after: Revision,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<ClosedLease>, LedgerError> {
        let changed = |line: &LineRecord| line.revision > after.0;
        let wanted = |line: &LineRecord| changed(line) && line.sequence >= from.get();
        let look = || {
            let (trees, recent) = self.recent(from, changed, limit)?;
            let mut found = BTreeMap::new();
            let first = from.get() / LINES_PER_BLOCK;
            for entry in trees.spans.range((first / BLOCKS_PER_SPAN).to_be_bytes()..) {
                let (key, span) = entry?;
                if SpanRecord::decode(&*span)?.changed_last.is_some_and(|last| last <= after.0) {
                    continue;
                }
                for block in blocks_of(number(&key)?).filter(|block| *block >= first) {
                    if found.len() >= limit {
                        break;
                    }
                    let block = trees.block(block)?.into_iter().filter(wanted);
                    found.extend(block.map(|line| (line.sequence, line)));
                }
                if found.len() >= limit {
                    break;
                }
            }
            merged(found, recent, limit)
        };
        look().map_err(LedgerError::Unreadable)
    }

    pub(super) fn resumable(&self) -> Resumable {
        self.lock().resumable
    }

    /// The trees, and after them nothing is missed: the first lines of interest that are in no block
    /// yet at this moment.
    fn recent(
        &self,
        from: Sequence,
        wanted: impl Fn(&LineRecord) -> bool,
        limit: usize,
    ) -> Result<(Trees, Vec<LineRecord>), Fault> {
        let view = self.lock();
        let recent = view.recent.range(from.get()..).map(|(_, line)| line);
        let recent = recent.filter(|line| wanted(line)).take(limit).cloned().collect();
        Ok((view.trees()?, recent))
    }
}

// What the committer does.
impl Shelf {
    /// Gives readers the trees of an open database.
    pub(super) fn attach(&self, trees: Trees, resumable: Resumable) {
        *self.lock() = View { trees: Some(trees), recent: BTreeMap::new(), resumable };
    }

    /// Takes the trees back before the database is closed. Whoever has read just before still asks
    /// whether that was everything.
    pub(super) fn detach(&self) {
        let mut view = self.lock();
        (view.trees, view.recent) = (None, BTreeMap::new());
    }

    /// From where on all changes are there.
    pub(super) fn announce(&self, resumable: Resumable) {
        self.lock().resumable = resumable;
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
            span.widen(&line);
            lines.insert(line.sequence, line);
        }
        // A fold that is done again after a crash counts its lines once too little; a sweep that comes
        // by counts anew.
        span.lines += (lines.len() - before) as u64;
        trees.put_block(block, lines.into_values().collect())?;
        trees.put_span(block / BLOCKS_PER_SPAN, span)?;
        // Only this thread adds lines, so these are the ones that were just written.
        self.lock().recent.extract_if(range, |_, _| true).for_each(drop);
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

    pub(super) fn trees(&self) -> Result<Trees, Fault> {
        self.lock().trees()
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const EMPTY_SPAN: SpanRecord =
    SpanRecord { lines: 0, closed_first: u64::MAX, closed_last: 0, changed_last: Some(0) };

impl SpanRecord {
    fn widen(&mut self, line: &LineRecord) {
        self.closed_first = self.closed_first.min(line.closed);
        self.closed_last = self.closed_last.max(line.closed);
        self.changed_last = self.changed_last.map(|last| last.max(line.revision));
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
    pub(super) fn span_lines(&self, span: u64) -> Result<Vec<LineRecord>, Fault> {
        let mut lines = Vec::new();
        for block in blocks_of(span) {
            lines.extend(self.block(block)?);
        }
        Ok(lines)
    }

    /// Puts what is left of a stretch in its place.
    pub(super) fn replace_span(&self, span: u64, kept: Vec<LineRecord>) -> Result<(), Fault> {
        let mut record = EMPTY_SPAN;
        let mut blocks: BTreeMap<u64, Vec<LineRecord>> =
            blocks_of(span).map(|block| (block, Vec::new())).collect();
        for line in kept {
            record.lines += 1;
            record.widen(&line);
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

    pub(super) fn spans_where(
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

/// What was found in blocks, and what is newer.
fn merged(
    mut found: BTreeMap<u64, LineRecord>,
    recent: Vec<LineRecord>,
    limit: usize,
) -> Result<Vec<ClosedLease>, Fault> {
    for line in recent {
        // Folded and changed again since we looked: the newest wins.
        if found.get(&line.sequence).is_none_or(|old| old.revision <= line.revision) {
            found.insert(line.sequence, line);
        }
    }
    found.into_values().take(limit).map(|line| Ok(line.try_into()?)).collect()
}

fn blocks_of(span: u64) -> Range<u64> {
    span * BLOCKS_PER_SPAN..(span + 1) * BLOCKS_PER_SPAN
}

/// The number that a key of eight bytes is.
fn number(key: &[u8]) -> Result<u64, Fault> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| "a key has the wrong length".into())
}
