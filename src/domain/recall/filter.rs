//! Says of most names that they were never heard, at the price of one look into memory.

/// A line of the processor's cache, so that one look tells.
const BLOCK_BITS: usize = 512;
const WORDS: usize = BLOCK_BITS / 64;
/// Bits set for each name.
const MARKS: u32 = 6;
/// Below this many bits for each name the filter is made anew, twice as large. Then one in a hundred names that
/// were never heard passes all the same.
const BITS_PER_NAME: usize = 12;
const BLOCKS_MIN: usize = 64;

/// A Bloom filter in blocks, over 48 bits of a keyed hash. It never holds back a name that it was given.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    blocks: Box<[[u64; WORDS]]>,
    names: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl Filter {
    /// Empty, with room for at least twice as many names.
    pub(super) fn with_room(names: usize) -> Self {
        let blocks = (2 * names * BITS_PER_NAME).div_ceil(BLOCK_BITS).max(BLOCKS_MIN);
        Self { blocks: vec![[0; WORDS]; blocks].into_boxed_slice(), names: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.names * BITS_PER_NAME >= self.blocks.len() * BLOCK_BITS
    }

    pub(super) fn insert(&mut self, name: u64) {
        let block = &mut self.blocks[place(name, self.blocks.len())];
        for bit in bits(name) {
            block[bit / 64] |= 1 << (bit % 64);
        }
        self.names += 1;
    }

    /// False: the name was never inserted.
    pub(super) fn passes(&self, name: u64) -> bool {
        let block = &self.blocks[place(name, self.blocks.len())];
        bits(name).all(|bit| block[bit / 64] & (1 << (bit % 64)) != 0)
    }
}

/// The block of a name, by its 48 bits, which lie evenly.
fn place(name: u64, blocks: usize) -> usize {
    ((u128::from(name >> 16) * blocks as u128) >> 48) as usize
}

/// Other bits of the same hash than those that chose the block, by way of a product that mixes them.
fn bits(name: u64) -> impl Iterator<Item = usize> {
    let mixed = (name >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = mixed ^ (mixed >> 32);
    (0..MARKS).map(move |mark| (mixed >> (9 * mark)) as usize % BLOCK_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread, as keyed hashes are.
    fn name(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn what_was_heard_passes_and_of_the_rest_hardly_any_even_when_it_is_full() {
        let mut filter = Filter::with_room(10_000);
        let mut heard = 0;
        while !filter.is_full() {
            filter.insert(name(heard));
            heard += 1;
        }
        assert!(heard >= 20_000, "{heard}");
        assert!((0..heard).all(|number| filter.passes(name(number))));
        let wrong = (0..100_000).filter(|number| filter.passes(name(heard + number))).count();
        assert!(wrong < 2_000, "{wrong} of 100,000 pass");
    }

    #[test]
    fn an_empty_one_lets_nothing_pass() {
        assert!((0..1_000).all(|number| !Filter::default().passes(name(number))));
    }
}
