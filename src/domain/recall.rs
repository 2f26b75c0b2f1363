//! What is remembered of the past: names, and the sequences they stood for.
//!
//! A million leases may have closed within the memory of request ids, and memory follows the live
//! tokens and not the history. So nothing of a closed lease is kept here but 48 bits of a name and
//! 16 of its sequence: enough to say for certain that a name was never heard, and otherwise which line of
//! history to read. The line says the rest, and whether it was that name at all.
//!
//! Nearly every name that is looked for was never heard: it comes with a new wish. A filter says so of all but
//! one in a hundred of them, so that the leaves, dozens where the past is long, are looked through for the rest
//! alone.
//!
//! Names must be keyed hashes. They lie evenly then, so that a place among them is guessed and not
//! searched for, and nobody can make two of them meet.

mod filter;

use std::{collections::BTreeMap, iter, time::Duration};

use self::filter::Filter;

use super::{ids::Sequence, time::Timestamp, token::ClosedLease};

/// Names are forgotten by whole periods: at most so much later than asked for.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Neighbouring sequences that share a leaf, so that 16 bits tell one from another.
const SEQUENCES_PER_LEAF: u64 = 1 << 16;
/// Names that are merged into their leaves at once.
const FRESH_MAX: usize = 4_096;

/// An index of the past by 64 bits of a keyed hash. It never misses a name that it was given, and
/// gives one that it was not in one of 2^48 cases for each name that it has.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    /// By name; what is not in a leaf yet.
    fresh: BTreeMap<(u64, Sequence), Timestamp>,
    leaves: BTreeMap<Place, Leaf>,
    filter: Filter,
}

/// Where a name is kept. Later periods come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    period: u64,
    stretch: u64,
}

/// Columns in the order of names: 8 bytes for each.
#[derive(Clone, Debug, Default)]
struct Leaf {
    /// The highest 32 bits of each name, ascending.
    heads: Box<[u32]>,
    /// The 16 bits that follow.
    tails: Box<[u16]>,
    /// What is added to the first sequence of the stretch.
    offsets: Box<[u16]>,
}

impl Recall {
    /// Remembers a name for a sequence, from `at` on.
    pub fn insert(&mut self, name: u64, sequence: Sequence, at: Timestamp) {
        self.filter.insert(name);
        self.fresh.insert((name, sequence), at);
        if self.filter.is_full() {
            self.sift();
        }
        if self.fresh.len() >= FRESH_MAX {
            self.merge();
        }
    }

    /// Remembers a closed lease by its requests.
    pub fn remember(&mut self, line: &ClosedLease) {
        for request in line.requests() {
            self.insert(request.key.name(), line.sequence, line.closed);
        }
    }

    /// The sequences that a name may stand for, those of later periods first.
    pub fn find(&self, name: u64) -> impl Iterator<Item = Sequence> {
        self.filter.passes(name).then(|| self.search(name)).into_iter().flatten()
    }

    fn search(&self, name: u64) -> impl Iterator<Item = Sequence> {
        let fresh = self.fresh.range((name, Sequence::ZERO)..=(name, Sequence::MAX)).rev();
        let leaves = self.leaves.iter().rev();
        fresh
            .map(|((_, sequence), _)| *sequence)
            .chain(leaves.flat_map(move |(place, leaf)| leaf.find(*place, name)))
    }

    /// Forgets the periods that ended before a moment.
    pub fn forget(&mut self, before: Timestamp) {
        self.merge();
        let first = Place { period: period(before), stretch: 0 };
        self.leaves = self.leaves.split_off(&first);
        self.sift();
    }

    pub fn len(&self) -> usize {
        self.fresh.len() + self.leaves.values().map(|leaf| leaf.heads.len()).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.leaves.is_empty()
    }

    /// Makes the filter anew, of what is remembered and with room for as much again.
    fn sift(&mut self) {
        let mut filter = Filter::with_room(self.len());
        self.fresh.keys().for_each(|(name, _)| filter.insert(*name));
        self.leaves.values().flat_map(Leaf::names).for_each(|name| filter.insert(name));
        self.filter = filter;
    }

    fn merge(&mut self) {
        let mut added: BTreeMap<Place, Vec<(u64, u16)>> = BTreeMap::new();
        for ((name, sequence), at) in std::mem::take(&mut self.fresh) {
            let (stretch, offset) =
                (sequence.get() / SEQUENCES_PER_LEAF, sequence.get() % SEQUENCES_PER_LEAF);
            let place = Place { period: period(at), stretch };
            added.entry(place).or_default().push((name, offset as u16));
        }
        for (place, names) in added {
            let leaf = self.leaves.entry(place).or_default();
            *leaf = leaf.merged(&names);
        }
    }
}

impl Leaf {
    fn find(&self, place: Place, name: u64) -> impl Iterator<Item = Sequence> {
        let from = self.first_at_least(head(name));
        let same = iter::zip(&self.heads[from..], &self.tails[from..]);
        iter::zip(same, &self.offsets[from..])
            .take_while(move |((have, _), _)| **have == head(name))
            .filter(move |((_, have), _)| **have == tail(name))
            .map(move |(_, offset)| {
                Sequence::new(place.stretch * SEQUENCES_PER_LEAF + u64::from(*offset))
            })
    }

    /// Every name, without the bits that are not kept.
    fn names(&self) -> impl Iterator<Item = u64> {
        let rows = iter::zip(&self.heads, &self.tails);
        rows.map(|(head, tail)| u64::from(*head) << 32 | u64::from(*tail) << 16)
    }

    /// The first place whose head is not below this one. Heads lie evenly, so that it is near where
    /// they would have it.
    fn first_at_least(&self, head: u32) -> usize {
        let heads = &self.heads;
        let guess = ((u64::from(head) * heads.len() as u64) >> 32) as usize;
        let mut reach = 64;
        loop {
            let (from, to) = (guess.saturating_sub(reach), heads.len().min(guess + reach));
            let begins = from == 0 || heads[from - 1] < head;
            let ends = to == heads.len() || heads[to] >= head;
            if begins && ends {
                return from + heads[from..to].partition_point(|have| *have < head);
            }
            reach *= 4;
        }
    }

    fn merged(&self, names: &[(u64, u16)]) -> Self {
        let old = iter::zip(iter::zip(&self.heads, &self.tails), &self.offsets);
        let old = old.map(|((head, tail), offset)| (*head, *tail, *offset));
        let new = names.iter().map(|(name, offset)| (head(*name), tail(*name), *offset));
        let mut rows: Vec<_> = old.chain(new).collect();
        // Two runs in order, which this sort finds.
        rows.sort();
        Self {
            heads: rows.iter().map(|row| row.0).collect(),
            tails: rows.iter().map(|row| row.1).collect(),
            offsets: rows.iter().map(|row| row.2).collect(),
        }
    }
}

fn period(at: Timestamp) -> u64 {
    at.as_millis() / PERIOD.as_millis() as u64
}

fn head(name: u64) -> u32 {
    (name >> 32) as u32
}

fn tail(name: u64) -> u16 {
    (name >> 16) as u16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    /// Evenly spread, as keyed hashes are.
    fn name(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    fn found(recall: &Recall, name: u64) -> BTreeSet<Sequence> {
        recall.find(name).collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// How many names, how far their sequences lie apart, and how many seconds.
        Insert {
            names: u16,
            apart: u32,
            seconds: u16,
        },
        Forget {
            ago: u16,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..3_000_u16, 1..60_u32, 0..20_000_u16)
                .prop_map(|(names, apart, seconds)| Step::Insert { names, apart, seconds }),
            1 => (0..40_000_u16).prop_map(|ago| Step::Forget { ago }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_what_a_plain_map_finds(steps in prop::collection::vec(step(), 1..8)) {
            let mut recall = Recall::default();
            let mut plain: BTreeMap<u64, (Sequence, Timestamp)> = BTreeMap::new();
            let (mut number, mut sequence, mut now) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Insert { names, apart, seconds } => {
                        for _ in 0..names {
                            (number, sequence) = (number + 1, sequence + u64::from(apart));
                            let sequence = Sequence::new(sequence);
                            recall.insert(name(number), sequence, at(now));
                            plain.insert(name(number), (sequence, at(now)));
                        }
                        now += u64::from(seconds);
                    }
                    Step::Forget { ago } => {
                        let before = at(now.saturating_sub(ago.into()));
                        recall.forget(before);
                        plain.retain(|_, (_, at)| period(*at) >= period(before));
                    }
                }
                prop_assert_eq!(recall.len(), plain.len());
                prop_assert_eq!(recall.is_empty(), plain.is_empty());
            }
            for known in (1..=number).step_by(11) {
                let expected = plain.get(&name(known)).map(|(sequence, _)| *sequence);
                prop_assert_eq!(found(&recall, name(known)), expected.into_iter().collect());
                prop_assert_eq!(found(&recall, name(known + number)), BTreeSet::new());
            }
        }
    }

    #[test]
    fn a_name_that_stood_for_two_sequences_gives_both_and_the_later_period_first() {
        let mut recall = Recall::default();
        let (old, new) = (Sequence::new(70_000), Sequence::new(3));
        recall.insert(name(1), old, at(0));
        for number in 2..5_000 {
            recall.insert(name(number), Sequence::new(number), at(1));
        }
        recall.insert(name(1), new, at(90_000));
        assert_eq!(recall.find(name(1)).collect::<Vec<_>>(), [new, old]);
        recall.forget(at(90_000));
        assert_eq!(recall.find(name(1)).collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn a_name_is_kept_until_its_whole_period_is_past() {
        let mut recall = Recall::default();
        recall.insert(name(1), Sequence::ZERO, at(10));
        recall.insert(name(2), Sequence::new(1), at(3_599));
        recall.forget(at(3_599));
        assert_eq!(recall.len(), 2);
        recall.forget(at(3_600));
        assert_eq!(recall.len(), 0);
    }

    #[test]
    fn names_that_begin_alike_are_told_apart() {
        let mut recall = Recall::default();
        let alike = |number: u64| 0x1234_5678_0000_0000 | number << 16;
        for number in 0..10 {
            recall.insert(alike(number), Sequence::new(number), at(0));
        }
        recall.forget(at(0));
        for number in 0..10 {
            assert_eq!(found(&recall, alike(number)), BTreeSet::from([Sequence::new(number)]));
        }
    }

    #[test]
    fn names_that_crowd_at_either_end_are_found_all_the_same() {
        for crowded in [|number| number << 32, |number| u64::MAX - (number << 32)] {
            let crowded: fn(u64) -> u64 = crowded;
            let mut recall = Recall::default();
            for number in 0..5_000 {
                recall.insert(crowded(number), Sequence::new(number), at(0));
            }
            recall.forget(at(0));
            for number in 0..5_000 {
                let sequences: Vec<_> = recall.find(crowded(number)).collect();
                assert_eq!(sequences, [Sequence::new(number)]);
            }
            assert_eq!(recall.find(1 << 63).count(), 0);
        }
    }

    #[test]
    fn names_that_lie_unevenly_are_found_all_the_same() {
        let mut recall = Recall::default();
        for number in 0..20_000 {
            recall.insert(u64::MAX - (number << 16), Sequence::new(number), at(0));
        }
        for number in 0..20_000 {
            let sequences: Vec<_> = recall.find(u64::MAX - (number << 16)).collect();
            assert_eq!(sequences, [Sequence::new(number)]);
        }
        assert_eq!(recall.find(0).count(), 0);
    }
}
