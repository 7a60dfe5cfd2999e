//! What a candidate is called.

use core::fmt::{self, Write};

use heapless::String;

use crate::facts::BlockDevice;

/// The longest name of a candidate in bytes; a longer one is cut off.
pub const MAX_CANDIDATE_NAME: usize = 64;
/// What a candidate is called: one word's worth of printable characters, never empty. It may be any text that a
/// partition's label can be.
pub type CandidateName = String<MAX_CANDIDATE_NAME, u8>;

/// The label of the partition that holds the filesystem or, where it has none, `otherwise`.
pub(super) fn of(device: &BlockDevice, otherwise: fmt::Arguments<'_>) -> CandidateName {
    let label = device.partition.as_ref().map_or("", |partition| partition.label.as_str());
    let mut name = Printable(CandidateName::new());
    // A text that does not fit ends where the room does.
    let _ = if label.is_empty() { name.write_fmt(otherwise) } else { name.write_str(label) };
    name.0
}

/// A text as a name.
pub(super) fn of_text(text: fmt::Arguments<'_>) -> CandidateName {
    let mut name = Printable(CandidateName::new());
    let _ = name.write_fmt(text);
    name.0
}

/// Writes `-` for what would break a line or a path.
struct Printable(CandidateName);

impl Write for Printable {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let breaks = character.is_control() || matches!(character, '/' | ' ');
            self.0.push(if breaks { '-' } else { character }).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
