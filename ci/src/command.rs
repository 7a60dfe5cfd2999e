//! Runs programs and turns their failures into errors that can be read.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command whose search path includes the system directories, where mkfs and its like live.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Whether this process may do anything.
///
/// # Errors
/// When /proc is not mounted.
pub fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").context("read /proc/self")?.uid() == 0)
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started or does not succeed: the error holds the whole command and all it said.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} cannot be run; `ci/install` installs it"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{text}{said}", words.join(" "), output.status);
    }
    Ok(text)
}
