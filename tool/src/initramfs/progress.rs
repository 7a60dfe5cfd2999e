//! Progress on a terminal; nothing at all in a pipe or a file.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that says how far a piece of work is, and goes away with the value.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// So many steps of this work.
    pub(crate) fn new(work: &'static str, steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64).with_message(work);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Work whose steps cannot be counted.
    pub(crate) fn spinner(work: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(work);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Counts one step and hands on what it gave.
    pub(crate) fn step<T>(&self, result: T) -> T {
        self.0.inc(1);
        result
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
