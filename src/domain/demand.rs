//! How fast tokens are asked for.
//!
//! Attempts are counted, served or not: otherwise an empty pool would teach that demand fell.

use std::time::Duration;

use super::time::Timestamp;

/// Half-lives of the two horizons: what happens now, and what is usual at this time of day.
const FAST: Duration = Duration::from_secs(30);
const SLOW: Duration = Duration::from_secs(30 * 60);

/// Two exponentially weighted rates of attempts per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    fast: f64,
    slow: f64,
    counted: u64,
    since: Option<Timestamp>,
}

impl Demand {
    /// Takes note of attempts. Rates move in steps of at least a second.
    pub fn observe(&mut self, attempts: u64, now: Timestamp) {
        self.counted += attempts;
        self.advance(now);
    }

    /// Attempts per second over the fast horizon.
    pub fn fast(&self) -> f64 {
        self.fast
    }

    /// Attempts per second over the slow horizon.
    pub fn slow(&self) -> f64 {
        self.slow
    }

    fn advance(&mut self, now: Timestamp) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.since(since);
        if elapsed < Duration::from_secs(1) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = self.counted as f64 / elapsed.as_secs_f64();
        let towards = |old: f64, half_life: Duration| {
            let keep = 0.5_f64.powf(elapsed.as_secs_f64() / half_life.as_secs_f64());
            let new = old * keep + rate * (1.0 - keep);
            // Less than one attempt a day is none.
            if new < 1e-5 { 0.0 } else { new }
        };
        self.fast = towards(self.fast, FAST);
        self.slow = towards(self.slow, SLOW);
        self.counted = 0;
        self.since = Some(now);
    }
}

/// How long `stock` lasts at `rate` per second; `None` without demand.
pub fn lasts(stock: u32, rate: f64) -> Option<Duration> {
    if rate <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(f64::from(stock) / rate).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64, per_second: u64) -> Demand {
        let mut demand = Demand::default();
        demand.observe(0, Timestamp::ZERO);
        for second in 1..=seconds {
            demand.observe(per_second, Timestamp::from_millis(second * 1_000));
        }
        demand
    }

    #[test]
    fn a_steady_demand_is_learned_within_a_few_half_lives() {
        let demand = after(300, 20);
        assert!((demand.fast() - 20.0).abs() < 0.1, "{}", demand.fast());
        // A sixth of its half-life.
        let learned = 20.0 * (1.0 - 0.5_f64.powf(1.0 / 6.0));
        assert!((demand.slow() - learned).abs() < 0.01, "{}", demand.slow());
    }

    #[test]
    fn a_rate_is_per_second_however_long_its_step_was() {
        let mut demand = after(1, 20);
        let first = 20.0 * (1.0 - 0.5_f64.powf(1.0 / 30.0));
        assert!((demand.fast() - first).abs() < 1e-9, "{}", demand.fast());
        demand.observe(20 * 59, Timestamp::from_millis(60_000));
        let all = 20.0 * (1.0 - 0.5_f64.powf(2.0));
        assert!((demand.fast() - all).abs() < 1e-9, "{}", demand.fast());
    }

    #[test]
    fn demand_that_ends_fades_to_none() {
        let mut demand = after(60, 20);
        demand.observe(0, Timestamp::from_millis(86_400_000));
        assert_eq!(lasts(100, demand.fast()), None);
        assert_eq!(lasts(100, demand.slow()), None);
    }

    #[test]
    fn a_stock_lasts_as_long_as_the_rate_says() {
        assert_eq!(lasts(100, 20.0), Some(Duration::from_secs(5)));
        assert_eq!(lasts(0, 20.0), Some(Duration::ZERO));
        assert_eq!(lasts(100, 0.0), None);
    }
}
