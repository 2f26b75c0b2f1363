//! Moments and choices left to chance, which can be had again: the seed is printed.

use std::{env, time::Duration};

/// How many rounds: what the variable says, or so many.
pub fn rounds(variable: &str, unless_asked: usize) -> usize {
    let asked = env::var(variable).ok();
    asked.map_or(unless_asked, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is a number"))
    })
}

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// Of the seed that the variable names, or of a new one.
    pub fn seeded_by(variable: &str) -> Self {
        let asked = env::var(variable).ok();
        let seed = asked.map_or_else(
            || uuid::Uuid::new_v4().as_u64_pair().0,
            |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        );
        println!("{variable}={seed}");
        Self(seed)
    }

    /// Another one, for somebody who works at the same time.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(span.as_micros() as u64 + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
