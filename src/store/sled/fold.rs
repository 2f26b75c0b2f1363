//! Moves committed groups into blocks, a little at a time, behind the answers.
//!
//! Blocks first, then the head that says how far they go, then the groups are removed. sled keeps a
//! prefix of what it was given, so a crash in between leaves groups that are replayed over blocks
//! which know them already, and the newest wins again.

use std::collections::BTreeMap;

use prost::Message;

use super::{
    TOKENS_PER_BLOCK,
    database::put,
    group,
    history::Fault,
    project::{Backlog, Project, Trees},
};
use crate::store::record::{OrderRecord, TokenBlockRecord};

/// Enough to write a block once for many groups, little enough to be read again at open.
const GROUPS_MAX: usize = 256;
const RECORDS_MAX: usize = 4_096;
/// Small writes of one step.
const STEP_RECORDS: usize = 16;

/// A fold under way: what is left of it.
pub(super) struct Folding {
    through: u64,
    tokens: Vec<u64>,
    lines: Vec<u64>,
    orders: Vec<(u64, Option<OrderRecord>)>,
    groups: Vec<(u64, u32)>,
    /// The head says that the groups are in the blocks.
    told: bool,
}

impl Project {
    /// Whether there is anything to fold at this moment.
    pub(super) fn wants_fold(&self) -> bool {
        let Backlog { groups, tokens, orders } = &self.backlog;
        self.folding.is_some()
            || groups.len() >= GROUPS_MAX
            || tokens.len() + orders.len() >= RECORDS_MAX
            || groups.len() > STEP_RECORDS && self.shelf.unfolded() >= RECORDS_MAX
    }

    /// How often what waits to be folded would fill a fold.
    pub(super) fn folds_waiting(&self) -> usize {
        let Backlog { groups, tokens, orders } = &self.backlog;
        let records = tokens.len() + orders.len() + self.shelf.unfolded();
        (records / RECORDS_MAX).max(groups.len() / GROUPS_MAX)
    }

    /// Whether a group up to this one would be replayed at open.
    pub(super) fn lags_behind(&self, group: u64) -> bool {
        self.backlog.groups.first_key_value().is_some_and(|(first, _)| *first <= group)
    }

    /// One bounded step.
    pub(super) fn fold(&mut self) -> Result<(), Fault> {
        let mut folding = self.folding.take().unwrap_or_else(|| self.begin());
        if let Some(block) = folding.tokens.pop() {
            fold_tokens(&self.trees, &mut self.backlog, block)?;
        } else if let Some(block) = folding.lines.pop() {
            self.shelf.fold(block)?;
        } else if !folding.orders.is_empty() {
            let step = folding.orders.len().saturating_sub(STEP_RECORDS);
            for (key, order) in folding.orders.drain(step..) {
                fold_order(&self.trees, key, order.as_ref())?;
            }
        } else if !folding.told {
            self.put_head(folding.through)?;
            folding.told = true;
        } else {
            let step = folding.groups.len().saturating_sub(STEP_RECORDS);
            for (number, parts) in folding.groups.drain(step..) {
                for part in 0..parts {
                    self.trees.groups.remove(group::key(number, part))?;
                }
                self.backlog.groups.remove(&number);
            }
            if folding.groups.is_empty() {
                return Ok(());
            }
        }
        self.folding = Some(folding);
        Ok(())
    }

    fn begin(&mut self) -> Folding {
        let mut tokens: Vec<u64> =
            self.backlog.tokens.keys().map(|sequence| sequence / TOKENS_PER_BLOCK).collect();
        tokens.dedup();
        Folding {
            through: self.last_group(),
            tokens,
            lines: self.shelf.unfolded_blocks(),
            orders: std::mem::take(&mut self.backlog.orders).into_iter().collect(),
            groups: self.backlog.groups.iter().map(|(number, parts)| (*number, *parts)).collect(),
            told: false,
        }
    }
}

fn fold_tokens(trees: &Trees, backlog: &mut Backlog, block: u64) -> Result<(), Fault> {
    let range = block * TOKENS_PER_BLOCK..(block + 1) * TOKENS_PER_BLOCK;
    let key = block.to_be_bytes();
    let mut tokens = BTreeMap::new();
    if let Some(value) = trees.tokens.get(key)? {
        let old = TokenBlockRecord::decode(&*value)?.tokens.into_iter();
        tokens.extend(old.map(|token| (token.sequence, token)));
    }
    let fresh: Vec<u64> = backlog.tokens.range(range).map(|(sequence, _)| *sequence).collect();
    for sequence in fresh {
        match backlog.tokens.remove(&sequence).flatten() {
            Some(token) => tokens.insert(sequence, token),
            None => tokens.remove(&sequence),
        };
    }
    if tokens.is_empty() {
        trees.tokens.remove(key)?;
        return Ok(());
    }
    let block = TokenBlockRecord { tokens: tokens.into_values().collect() };
    Ok(put(&trees.tokens, &key, block.encode_to_vec())?)
}

fn fold_order(trees: &Trees, key: u64, order: Option<&OrderRecord>) -> Result<(), Fault> {
    match order {
        Some(order) => put(&trees.orders, &key.to_be_bytes(), order.encode_to_vec())?,
        None => drop(trees.orders.remove(key.to_be_bytes())?),
    }
    Ok(())
}
