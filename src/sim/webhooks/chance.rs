//! A seeded generator (SplitMix64): the same seed draws the same luck, webhook by webhook.

/// What is drawn from.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, percent: f64) -> bool {
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.draw() >> 11) as f64) / STEPS * 100.0 < percent
    }

    /// From 1 to `max`, which is at least 1.
    pub fn up_to(&mut self, max: u64) -> u64 {
        1 + self.draw() % max
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_met_and_a_seed_repeats_itself() {
        let hits = |seed| {
            let mut chance = Chance::new(seed);
            (0..100_000).filter(|_| chance.percent(5.0)).count()
        };
        assert!((4_700..5_300).contains(&hits(1)), "{}", hits(1));
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
        let mut chance = Chance::new(0);
        assert!((0..100).all(|_| !chance.percent(0.0)) && (0..100).all(|_| chance.percent(100.0)));
    }
}
