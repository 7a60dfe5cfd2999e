//! The words of a command line, split by the kernel's own rules (`next_arg` in lib/cmdline.c).
//!
//! * White space separates words, except between double quotes.
//! * The first `=` that is not a word's first character ends the key.
//! * Quotes around the whole word (`"key=a b"`) or around the whole value (`key="a b"`) are taken away; any other
//!   quote stays where it is. A quote cannot be escaped, and one that is never closed lasts to the end of the text.
//! * A word `--` ends the words for the kernel and for us; the words after it are the init's arguments.
//!
//! The kernel also takes the byte 0xA0 (Latin-1's no-break space) for white space. In UTF-8 that byte is a part of
//! other characters, so it separates nothing here.

use core::fmt;

/// What parts a file of words from the next one. A quote that is not closed would take in the words there: it ends with its
/// file.
pub fn end_of(text: &str) -> &'static str {
    let is_open = text.bytes().fold(false, |open, byte| open ^ (byte == b'"'));
    if is_open { "\"\n" } else { "\n" }
}

/// One word of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What stands before the `=`, or the whole word where there is none.
    pub key: &'a str,
    /// What stands after the `=`, without the quotes around it.
    pub value: Option<&'a str>,
}

impl fmt::Display for Word<'_> {
    /// Writes `key` or `key=value`, without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)?;
        self.value.map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

/// The words of a command line, up to a `--`.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a str,
    /// What follows the `--`, once it has been met.
    after_dashes: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// The words of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, after_dashes: None }
    }

    /// The words for the init, which follow the `--`; `None` where the text has no `--`.
    ///
    /// The kernel itself hands them to PID 1 in argv.
    pub fn init_arguments(mut self) -> Option<Self> {
        self.by_ref().for_each(drop);
        self.after_dashes.map(Self::new)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let (word, rest) = split_word(self.rest)?;
        if word == (Word { key: "--", value: None }) {
            self.after_dashes = Some(rest);
            self.rest = "";
            return None;
        }
        self.rest = rest;
        Some(word)
    }
}

/// Whether the kernel's `isspace` holds for this byte (see the module's documentation for 0xA0).
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Splits the first word from the text that follows it.
fn split_word(text: &str) -> Option<(Word<'_>, &str)> {
    let text = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    if text.is_empty() {
        return None;
    }
    let (quoted, text) = text.strip_prefix('"').map_or((false, text), |inner| (true, inner));
    let mut in_quotes = quoted;
    let mut equals = None;
    let mut end = text.len();
    for (index, byte) in text.bytes().enumerate() {
        if is_space(byte) && !in_quotes {
            end = index;
            break;
        }
        if byte == b'=' && index > 0 && equals.is_none() {
            equals = Some(index);
        }
        in_quotes ^= byte == b'"';
    }
    let (word, rest) = text.split_at_checked(end)?;
    let word = match equals.and_then(|index| word.split_at_checked(index)) {
        None => Word { key: if quoted { without_closing_quote(word) } else { word }, value: None },
        Some((key, value)) => {
            let value = value.strip_prefix('=').unwrap_or(value);
            let value = match value.strip_prefix('"') {
                Some(inner) => without_closing_quote(inner),
                None if quoted => without_closing_quote(value),
                None => value,
            };
            Word { key, value: Some(value) }
        }
    };
    Some((word, rest))
}

fn without_closing_quote(text: &str) -> &str {
    text.strip_suffix('"').unwrap_or(text)
}

#[cfg(test)]
mod tests;
