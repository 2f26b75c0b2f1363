//! Bars on stderr for what takes a while: the first fill of a pool, a measurement.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far something is; nothing at all where stderr is no terminal.
pub struct Progress(ProgressBar);

/// A bar towards `target` tokens that may be leased.
pub fn first_fill(target: u32) -> Progress {
    bar(u64::from(target), "first fill {bar:32} {pos} of {len} ready, {eta} to go")
}

/// A bar towards the end of a measurement, in milliseconds.
pub(super) fn measurement(millis: u64) -> Progress {
    bar(millis, "measuring {bar:32} {msg}")
}

fn bar(length: u64, template: &str) -> Progress {
    let draw = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(length), draw);
    // A template that cannot be read costs the looks of the bar and nothing else.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Progress(bar)
}

impl Progress {
    /// How far it is; more than the whole counts as the whole.
    pub fn set(&self, position: impl Into<u64>) {
        self.0.set_position(position.into().min(self.0.length().unwrap_or(0)));
    }

    /// What stands beside the bar.
    pub(super) fn say(&self, message: String) {
        self.0.set_message(message);
    }

    /// Takes the bar away, full or not.
    pub fn finish(self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_above_its_target_is_a_full_bar() {
        let progress = first_fill(500);
        progress.set(800_u32);
        assert_eq!(progress.0.position(), 500);
        progress.finish();
    }
}
