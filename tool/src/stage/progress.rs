//! How far the work is: a bar on a terminal, a few lines elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// How many lines a piece of work has at most, besides its first.
const LINES: u64 = 4;

/// What people are told on standard error.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: bool,
    done: Cell<u64>,
    total: Cell<u64>,
    work: Cell<&'static str>,
}

impl Progress {
    /// A bar if standard error is a terminal, else lines.
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, lines: !is_terminal, done: Cell::new(0), total: Cell::new(0), work: Cell::new("") }
    }

    /// Nothing is shown.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        let mut silent = Self::new();
        silent.lines = false;
        silent
    }

    /// So many bytes of this work are ahead.
    pub(super) fn begins(&self, work: &'static str, bytes: u64) {
        self.work.set(work);
        self.done.set(0);
        self.total.set(bytes);
        self.bar.set_message(work);
        self.bar.set_length(bytes);
        self.bar.reset();
        self.line();
    }

    /// So many more are done.
    pub(super) fn advance(&self, bytes: usize) {
        let before = self.done.get();
        let now = before + bytes as u64;
        self.done.set(now);
        self.bar.inc(bytes as u64);
        let lines = |done: u64| done.saturating_mul(LINES).checked_div(self.total.get()).unwrap_or(0);
        if lines(before) != lines(now) {
            self.line();
        }
    }

    fn line(&self) {
        if self.lines {
            let [done, total] = [&self.done, &self.total].map(|bytes| bytes.get().div_ceil(1 << 20));
            anstream::eprintln!("surefoot: {}: {done} of {total} MiB", self.work.get());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
