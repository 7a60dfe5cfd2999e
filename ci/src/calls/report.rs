//! What `carry-out` says of one run.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// The file whose absence is looked at right before PID 1's work begins.
pub const BEGIN: &str = "/surefoot-begin";
/// The one whose absence is looked at right after it has ended.
pub const END: &str = "/surefoot-end";

/// What became of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The deployment whose root was complete.
    pub started: Option<String>,
    /// The mounts that were there then, those of [`mounts`].
    pub mounts: Vec<String>,
    /// Why no root was complete.
    pub reason: Option<String>,
    /// All else that PID 1 would have said.
    pub said: Vec<String>,
}

/// The mounts of this program, in their order: all of a line of mountinfo (proc_pid_mountinfo(5)) but the numbers.
///
/// # Errors
/// When /proc is not mounted.
pub fn mounts() -> io::Result<Vec<String>> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let shown = |line: &str| line.split(' ').skip(3).map(unnumbered).collect::<Vec<_>>().join(" ");
    Ok(table.lines().map(shown).collect())
}

/// Layers of which the kernel was told by an open file are shown by its number, which says nothing.
fn unnumbered(word: &str) -> String {
    without_numbers(word, "/fd/")
}

/// The text, with `N` in the place of each number that follows this word.
pub(crate) fn without_numbers(text: &str, word: &str) -> String {
    let mut parts = text.split(word);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + word + "N" + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}
