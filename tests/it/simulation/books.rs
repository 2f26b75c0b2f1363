//! What is durable at this moment, copied commit by commit on its way to the disk.
//!
//! The judge's own books: it holds against them what leaves the daemon, so that nothing rests on what the
//! daemon says about itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use argospool::{
    domain::{
        ids::{Sequence, TokenId},
        time::Timestamp,
        token::{ClosedLease, Stage, Token},
    },
    port::Group,
};

#[derive(Default)]
pub struct Books {
    pub tokens: BTreeMap<Sequence, Token>,
    pub lines: BTreeMap<Sequence, ClosedLease>,
    /// Every token that was ever written down.
    sequences: HashMap<TokenId, Sequence>,
    /// Whatever was leased in some commit.
    leased: BTreeSet<Sequence>,
    /// The time of the last commit.
    pub at: Timestamp,
    pub commits: u64,
}

impl Books {
    /// Takes down a group that has become durable. The sentence says what must not be.
    pub fn take(&mut self, group: &Group) -> Result<(), String> {
        self.commits += 1;
        for token in &group.tokens {
            self.sequences.entry(token.id.clone()).or_insert(token.sequence);
            if let Stage::Leased(_) = token.stage {
                self.leased.insert(token.sequence);
            }
            let was_shown = self.leased.contains(&token.sequence);
            if was_shown && let Stage::Ready { .. } | Stage::Minted { .. } = token.stage {
                return Err("L2: a token that was leased is to be used again".to_owned());
            }
            self.tokens.insert(token.sequence, token.clone());
        }
        for sequence in &group.tokens_gone {
            self.tokens.remove(sequence);
        }
        self.lines.extend(group.lines.iter().map(|line| (line.sequence, line.clone())));
        if group.at < self.at {
            return Err(format!("T1: time went back from {:?} to {:?}", self.at, group.at));
        }
        self.at = group.at;
        Ok(())
    }

    /// The token with this id, as far as it holds a slot still.
    pub fn token(&self, id: &TokenId) -> Option<&Token> {
        self.tokens.get(self.sequences.get(id)?).filter(|token| token.id == *id)
    }

    /// Whether the use of a token is written down, and whether a decision about it is; nothing of a token
    /// that is forgotten.
    pub fn known(&self, id: &str) -> Option<(bool, bool)> {
        let sequence = self.sequences.get(&TokenId::parse(id).ok()?)?;
        if let Some(line) = self.lines.get(sequence) {
            return Some((line.started.is_some(), line.decided().is_some()));
        }
        match &self.tokens.get(sequence)?.stage {
            Stage::Leased(lease) => {
                Some((lease.started.is_some(), lease.submissions.decided().is_some()))
            }
            Stage::Minted { .. } | Stage::Ready { .. } => Some((false, false)),
            Stage::Doomed(_) => None,
        }
    }

    /// Whether a lease of this token is durable, or was.
    pub fn has_leased(&self, sequence: Sequence, id: &TokenId) -> bool {
        self.leased.contains(&sequence) && self.sequences.get(id) == Some(&sequence)
    }
}
