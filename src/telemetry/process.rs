//! The metrics of the process, as every client library of Prometheus has them.
//!
//! The collector of the library counts time of the processor in whole seconds, which makes a rate over half
//! a minute useless; that one number is read from the process's own clock in its place.

use prometheus::{
    Counter,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};
use rustix::time::{ClockId, clock_gettime};

const CPU_SECONDS: &str = "process_cpu_seconds_total";

pub(super) struct ProcessMetrics {
    library: ProcessCollector,
    cpu_seconds: Counter,
}

impl ProcessMetrics {
    pub(super) fn new() -> Self {
        let help = "Total user and system CPU time spent in seconds.";
        let cpu_seconds = Counter::new(CPU_SECONDS, help).expect("the name is valid");
        Self { library: ProcessCollector::for_self(), cpu_seconds }
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.library.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of a process need fewer than 53 bits"
        )]
        let spent = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
        // Whoever reads at the same time may have been later.
        self.cpu_seconds.inc_by((spent - self.cpu_seconds.get()).max(0.0));
        let mut families = self.library.collect();
        families.retain(|family| family.name() != CPU_SECONDS);
        families.extend(self.cpu_seconds.collect());
        families
    }
}
