//! How far the wall clock is from pool time, read at the moment somebody asks.

use std::sync::Arc;

use prometheus::{
    Gauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::port::Clock;

/// One number for the process, because all projects share a clock.
#[derive(Clone)]
pub(super) struct ClockSkew {
    clock: Arc<dyn Clock>,
    gauge: Gauge,
}

impl ClockSkew {
    pub(super) fn of(clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let gauge = Gauge::new(
            "argospool_clock_skew_seconds",
            "Wall clock less pool time; beyond 60 the wall clock is not believed (T1).",
        )?;
        Ok(Self { clock, gauge })
    }
}

impl Collector for ClockSkew {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (wall, now) = (self.clock.wall(), self.clock.now());
        self.gauge.set(wall.since(now).as_secs_f64() - now.since(wall).as_secs_f64());
        self.gauge.collect()
    }
}
