//! The `surefoot` command on this machine.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};

use crate::command::{self, command};
use crate::paths;

/// How long a command may take that is expected to fail, in seconds: a hang is a fault.
const PATIENCE: &str = "60";

/// Runs a command about a disk to its end, and gives what it printed.
///
/// # Errors
/// What the tool says.
pub fn run(words: &[&str], disk: &Path) -> Result<String> {
    let tool = paths::program("surefoot")?;
    command::run(command(&tool.to_string_lossy()).args(words).arg("--disk").arg(disk))
}

/// Runs a command, which may fail; one that hangs ends with timeout(1)'s own exit code.
///
/// # Errors
/// When it cannot be started.
pub fn output(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
    let tool = paths::program("surefoot")?;
    command("timeout").args(["--kill-after=5", PATIENCE]).arg(tool).args(words).output().context("run surefoot")
}

/// The lines of `surefoot status`, which must have nothing to complain of; `list` is the option that says of what.
///
/// # Errors
/// What it complains of.
pub fn status(list: &str, disk: &Path) -> Result<Vec<String>> {
    let output = output(["status".as_ref(), list.as_ref(), "--disk".as_ref(), disk.as_os_str()])?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && complaint.is_empty(), "surefoot status: {}: {complaint}", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// The tries of a deployment that are left, by the lines of `surefoot status --deployments`.
///
/// # Errors
/// When they do not tell.
pub fn tries_left(lines: &[String], name: &str) -> Result<u8> {
    // Name, kind, device, priority, tries.
    let mut lines_of = lines.iter().map(|line| line.split('\t')).filter_map(|mut fields| {
        let is_it = fields.next()? == name;
        is_it.then_some(fields)
    });
    let tries = lines_of.next().and_then(|mut fields| fields.nth(3)?.parse().ok());
    tries.with_context(|| format!("no tries of {name}: {lines:#?}"))
}
