//! Standard output: in colour on a terminal only, and a reader that has gone away (`surefoot … | head`) is no failure.

use std::fmt::Display;
use std::io::{self, Write};

use crate::error::Error;

/// Writes `text` to standard output as it is, without adding a newline.
pub(crate) fn print(text: impl Display) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system("cannot write to", "standard output", why))
        }
        _ => Ok(()),
    }
}

/// The text without what could steer a terminal: it was written by whoever had the disk.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
