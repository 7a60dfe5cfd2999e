//! The timeline for a terminal.

use std::fmt;

use anstyle::Style;

use super::spans::Span;
use crate::output::printable;

const HEADING: Style = Style::new().bold();

/// Microseconds as milliseconds with three digits behind the point.
pub(crate) struct Milliseconds(pub(crate) u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
    }
}

/// The spans, one a line.
pub(crate) struct Table<'s>(pub(crate) &'s [Span]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.first().map_or(0, |span| span.microseconds);
        writeln!(f, "{HEADING}{:>12} {:>12}  {:<7} what{HEADING:#}", "began (ms)", "took (ms)", "kind")?;
        self.0.iter().try_for_each(|span| {
            let (began, took) = (Milliseconds(span.microseconds.saturating_sub(start)), Milliseconds(span.took));
            writeln!(f, "{began:>12} {took:>12}  {:<7} {}", span.kind.name(), printable(span.short_name()))
        })?;
        writeln!(f, "PID 1 began {} ms after the kernel.", Milliseconds(start))
    }
}
