//! What went wrong, as one line for people and one exit code for scripts.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Which of the documented exit codes an error ends in (a wrong command line is reported by clap, with 2 as well).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: the thing asked about is bad: it does not verify, would not boot, lacks something.
    Bad = 1,
    /// 2: the request makes no sense as it was put.
    Usage = 2,
    /// 3: the system refused: reading, writing or permission failed.
    System = 3,
}

/// One failure: what was being done, to which object, why it failed, and what the user can do about it.
#[derive(Debug)]
pub(crate) struct Error {
    exit: Exit,
    doing: String,
    object: String,
    why: String,
    advice: Option<String>,
}

impl Error {
    /// The thing asked about is bad (exit code 1): `Error::bad("cannot read module", path.display(), "not an ELF file")`.
    pub(crate) fn bad(doing: impl Into<String>, object: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Exit::Bad, doing, object, why)
    }

    /// The request makes no sense as it was put (exit code 2).
    pub(crate) fn usage(doing: impl Into<String>, object: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, doing, object, why)
    }

    /// The system refused (exit code 3); `why` is usually an [`io::Error`].
    pub(crate) fn system(doing: impl Into<String>, object: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Exit::System, doing, object, why)
    }

    /// The system refused to do something to a file (exit code 3).
    pub(crate) fn file(doing: impl Into<String>, path: &Path, why: &io::Error) -> Self {
        Self::new(Exit::System, doing, path.display(), plain(why))
    }

    /// Adds what the user can do about it, a sentence of its own.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    fn new(exit: Exit, doing: impl Into<String>, object: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { exit, doing: doing.into(), object: object.to_string(), why: why.to_string(), advice: None }
    }

    /// Says it as a warning: the command goes on without what failed.
    pub(crate) fn warn(&self) {
        anstream::eprintln!("surefoot: warning: {self}");
    }

    /// Writes the error to standard error (in colour on a terminal only) and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        anstream::eprintln!("{red}surefoot:{red:#} {self}");
        ExitCode::from(self.exit as u8)
    }
}

/// The system's own words, without Rust's ` (os error N)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.doing, self.object, self.why)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_and_its_advice_another() {
        let error = Error::file("cannot read", Path::new("/a"), &io::Error::from_raw_os_error(13));
        assert_eq!(error.to_string(), "cannot read /a: Permission denied");
        assert_eq!(error.advice("Run as root.").to_string(), "cannot read /a: Permission denied\n  Run as root.");
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!([Exit::Bad as u8, Exit::Usage as u8, Exit::System as u8], [1, 2, 3]);
    }
}
