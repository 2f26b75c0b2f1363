//! A bar for the first fill of a pool, for whoever watches a daemon start.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows on stderr how far the stock is; nothing at all where stderr is no terminal.
pub struct Progress(ProgressBar);

/// A bar towards `target` tokens that may be leased.
pub fn first_fill(target: u32) -> Progress {
    let draw = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(u64::from(target)), draw);
    // A template that cannot be read costs the looks of the bar and nothing else.
    if let Ok(style) =
        ProgressStyle::with_template("first fill {bar:32} {pos} of {len} ready, {eta} to go")
    {
        bar.set_style(style);
    }
    Progress(bar)
}

impl Progress {
    /// How many tokens are ready; more than the target counts as the target.
    pub fn set(&self, ready: u32) {
        self.0.set_position(u64::from(ready).min(self.0.length().unwrap_or(0)));
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
        progress.set(800);
        assert_eq!(progress.0.position(), 500);
        progress.finish();
    }
}
