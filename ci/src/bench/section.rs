//! A table of the bench: printed, and as a part of a document.

use std::fmt::Write as _;

/// What was measured in one way, in a table.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// How it was measured: Markdown, in whole sentences.
    pub method: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Section {
    /// A table without rows; the first column names them.
    pub fn new(title: &'static str, method: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title, method: method.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, and shows it.
    pub fn push(&mut self, row: impl IntoIterator<Item = String>) {
        let row: Vec<_> = row.into_iter().collect();
        if self.rows.is_empty() {
            println!("\n{}\n{}", self.title, line(self.columns.iter().copied()));
        }
        println!("{}", line(row.iter().map(String::as_str)));
        self.rows.push(row);
    }

    /// The section of a document.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.method);
        let mut add = |cells: Vec<&str>| {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        add(self.columns.clone());
        add(self.columns.iter().enumerate().map(|(number, _)| if number == 0 { "---" } else { "---:" }).collect());
        for row in &self.rows {
            add(row.iter().map(String::as_str).collect());
        }
        text
    }
}

/// A line for the terminal: names to the left, figures to the right.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (number, cell) in cells.enumerate() {
        let _ = if number == 0 { write!(text, "  {cell:<58}") } else { write!(text, " {cell:>16}") };
    }
    text
}

/// Instructions in millions.
pub(super) fn millions(instructions: u64) -> String {
    in_millions(instructions, "M")
}

/// Instructions in thousands.
pub(super) fn thousands(instructions: u64) -> String {
    format!("{} k", (instructions + 500) / 1000)
}

/// Nanoseconds in milliseconds.
pub(super) fn milliseconds(nanoseconds: u64) -> String {
    in_millions(nanoseconds, "ms")
}

/// A million of something with a name of its own, with one digit.
fn in_millions(number: u64, million: &str) -> String {
    let tenths = (number + 50_000) / 100_000;
    format!("{}.{} {million}", tenths / 10, tenths % 10)
}

/// How many times as much, with two digits; nothing where there is nothing to compare with.
pub(super) fn ratio(figure: u64, other: u64) -> String {
    let Some(hundredths) = (figure * 100 + other / 2).checked_div(other) else { return "-".to_owned() };
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}

/// How much less is free than before, both in KiB; negative where it is more.
pub(super) fn used(free_before_kib: u64, free_kib: u64) -> String {
    let sign = if free_kib > free_before_kib { "-" } else { "" };
    format!("{sign}{} KiB", free_before_kib.abs_diff(free_kib))
}

/// Bytes in KiB.
pub(super) fn kib(bytes: u64) -> String {
    format!("{} KiB", (bytes + 512) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_tables_are_markdown() {
        assert_eq!((ratio(110, 100), ratio(2, 3), ratio(1, 0)), ("1.10 ×".into(), "0.67 ×".into(), "-".into()));
        assert_eq!((milliseconds(345_678_901), millions(45_678_901)), ("345.7 ms".into(), "45.7 M".into()));
        assert_eq!((used(10, 8), used(8, 10)), ("2 KiB".into(), "-2 KiB".into()));
        let mut section = Section::new("Boot", "As it is.", &["way", "time"]);
        section.push(["floor".to_owned(), "1 ms".to_owned()]);
        assert_eq!(section.markdown(), "## Boot\n\nAs it is.\n\n| way | time |\n| --- | ---: |\n| floor | 1 ms |\n");
    }
}
