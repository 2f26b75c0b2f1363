//! One project's pool of registered tokens: what is in it, in which order, and what was in it.
//!
//! The pool stores; the rules of the API are in `token_api`. Ids are ordered by `updateTime`, the
//! order in which ARGOS lists and deletes them. What was removed is remembered for a while, so that a
//! listing can show the past, as a store without snapshots does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::wire::Millis;

/// How many removed ids and how many moments are remembered for stale answers.
const PAST_MAX: usize = 200_000;

/// One registered token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// The version of the pool that first held it; an overwrite does not move it.
    born: u64,
    pub(super) updated_at: Millis,
    /// Put there by the control side, as by another writer of the same project.
    pub(super) foreign: bool,
    pub(super) first_use: Option<Millis>,
    pub(super) expired: bool,
    /// Submissions started on it since it was last registered.
    pub(super) submissions: Vec<String>,
}

struct Grave {
    id: Arc<str>,
    born: u64,
    died: u64,
    updated_at: Millis,
}

/// A point in the pool's past: everything up to and including this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u64);

/// A place in the order of listing.
pub(super) type Cursor = (Millis, Arc<str>);

/// One row of a listing.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: Arc<str>,
    pub(super) updated_at: Millis,
    pub(super) expired: bool,
}

#[derive(Default)]
pub(super) struct Pool {
    tokens: BTreeMap<Arc<str>, Token>,
    order: BTreeSet<Cursor>,
    version: u64,
    /// When each version began, oldest first.
    moments: VecDeque<(Millis, u64)>,
    graves: VecDeque<Grave>,
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Token> {
        self.tokens.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Token> {
        self.tokens.get_mut(id)
    }

    /// All tokens with their ids, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Token)> {
        self.tokens.iter()
    }

    /// Registers or overwrites. Overwriting arms the token anew: what ARGOS does there is unknown
    /// (contract 1.3), and this is the answer that hurts a caller who re-registers a used id.
    pub(super) fn register<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
        foreign: bool,
    ) {
        self.turn(now);
        for id in ids {
            let id: Arc<str> = Arc::from(id);
            let older = self.tokens.get(&id);
            let born = older.map_or(self.version, |token| token.born);
            let foreign = foreign || older.is_some_and(|token| token.foreign);
            if let Some(older) = older {
                self.order.remove(&(older.updated_at, Arc::clone(&id)));
            }
            self.order.insert((now, Arc::clone(&id)));
            let token = Token {
                born,
                updated_at: now,
                foreign,
                first_use: None,
                expired: false,
                submissions: Vec::new(),
            };
            self.tokens.insert(id, token);
        }
    }

    /// Removes what is there and returns it; unknown ids are passed over.
    pub(super) fn remove<'a>(
        &mut self,
        now: Millis,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Vec<(Arc<str>, Token)> {
        self.turn(now);
        let mut removed = Vec::new();
        for id in ids {
            let Some((id, token)) = self.tokens.remove_entry(id) else { continue };
            self.order.remove(&(token.updated_at, Arc::clone(&id)));
            self.graves.push_back(Grave {
                id: Arc::clone(&id),
                born: token.born,
                died: self.version,
                updated_at: token.updated_at,
            });
            removed.push((id, token));
        }
        while self.graves.len() > PAST_MAX {
            self.graves.pop_front();
        }
        removed
    }

    /// The first `n` ids in the order of listing, or the last `n` when `newest`.
    pub(super) fn first(&self, n: usize, newest: bool) -> Vec<Arc<str>> {
        let id = |(_, id): &Cursor| Arc::clone(id);
        if newest {
            self.order.iter().rev().take(n).map(id).collect()
        } else {
            self.order.iter().take(n).map(id).collect()
        }
    }

    /// Up to `n` rows after the cursor, of today's pool.
    pub(super) fn page(&self, after: Option<&Cursor>, n: usize) -> Vec<Row> {
        let row = |place: &Cursor| self.row(place);
        match after {
            None => self.order.iter().take(n).map(row).collect(),
            Some(cursor) => {
                let rest = (Bound::Excluded(cursor.clone()), Bound::Unbounded);
                self.order.range(rest).take(n).map(row).collect()
            }
        }
    }

    /// The last `n` rows up to and with the cursor, of today's pool.
    pub(super) fn page_before(&self, until: &Cursor, n: usize) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.order.range(..=until.clone()).rev().take(n).map(|place| self.row(place)).collect();
        rows.reverse();
        rows
    }

    fn row(&self, (updated_at, id): &Cursor) -> Row {
        Row {
            id: Arc::clone(id),
            updated_at: *updated_at,
            expired: self.tokens.get(id).is_some_and(|token| token.expired),
        }
    }

    /// Everything the pool held at a version of the past, in the order of listing.
    pub(super) fn past(&self, at: Version) -> Vec<Row> {
        let living =
            self.tokens.iter().filter(|(_, token)| token.born <= at.0).map(|(id, token)| Row {
                id: Arc::clone(id),
                updated_at: token.updated_at,
                expired: token.expired,
            });
        let dead = self.graves.iter().filter(|grave| grave.born <= at.0 && at.0 < grave.died).map(
            |grave| Row { id: Arc::clone(&grave.id), updated_at: grave.updated_at, expired: false },
        );
        let mut rows: Vec<Row> = living.chain(dead).collect();
        rows.sort_by(|a, b| (a.updated_at, &a.id).cmp(&(b.updated_at, &b.id)));
        rows
    }

    /// The version that stood at this time.
    pub(super) fn version_at(&self, at: Millis) -> Version {
        Version(self.moments.iter().rev().find(|(began, _)| *began <= at).map_or(0, |(_, v)| *v))
    }

    /// The version before the last `changes` registrations and removals.
    pub(super) fn version_before(&self, changes: u64) -> Version {
        Version(self.version.saturating_sub(changes))
    }

    fn turn(&mut self, now: Millis) {
        self.version += 1;
        self.moments.push_back((now, self.version));
        if self.moments.len() > PAST_MAX {
            self.moments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| &*row.id).collect()
    }

    /// Whoever reads the state page by page would else meet a token twice, or never.
    #[test]
    fn all_tokens_come_in_the_order_of_their_ids() {
        let mut pool = Pool::default();
        let ids: Vec<String> =
            (0..50).map(|number| format!("token-{:02}", number * 7 % 50)).collect();
        pool.register(1, ids.iter().map(String::as_str), false);
        assert!(pool.iter().map(|(id, _)| &**id).is_sorted());
    }

    #[test]
    fn registering_again_keeps_one_token_and_moves_it_to_the_end() {
        let mut pool = Pool::default();
        pool.register(1, ["token-aa", "token-bb"], false);
        pool.register(2, ["token-aa"], false);
        assert_eq!(pool.len(), 2);
        assert_eq!(ids(&pool.page(None, 10)), ["token-bb", "token-aa"]);
    }

    #[test]
    fn the_past_shows_what_was_removed_and_hides_what_came_later() {
        let mut pool = Pool::default();
        pool.register(10, ["token-aa", "token-bb"], false);
        pool.remove(20, ["token-aa"]);
        pool.register(30, ["token-cc"], false);
        assert_eq!(ids(&pool.past(pool.version_at(19))), ["token-aa", "token-bb"]);
        assert_eq!(ids(&pool.past(pool.version_at(29))), ["token-bb"]);
        assert_eq!(ids(&pool.past(pool.version_before(2))), ["token-aa", "token-bb"]);
        assert_eq!(ids(&pool.past(pool.version_before(0))), ["token-bb", "token-cc"]);
        assert!(pool.past(pool.version_at(9)).is_empty());
    }
}
