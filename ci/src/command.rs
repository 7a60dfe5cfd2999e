//! Runs programs and turns their failures into errors that can be read.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A command whose search path includes the system directories, where mkfs and its like live.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
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

/// How long a command may run: the longest one downloads and configures a Debian, or builds a program of others.
const PATIENCE: Duration = Duration::from_mins(20);

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot be started, does not succeed or does not end: the error holds the whole command and all it said.
pub fn run(command: &mut Command) -> Result<String> {
    run_within(command, PATIENCE)
}

/// Runs a command to its end, and gives how long that took.
///
/// # Errors
/// Those of [`run`].
pub fn timed(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    run(command)?;
    Ok(start.elapsed())
}

fn run_within(command: &mut Command, patience: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("{program} cannot be run; `ci/install` installs it"))?;
    let number = Pid::from_raw(child.id().cast_signed());
    let (sender, ended) = mpsc::channel();
    // Nobody waits for it any more when its time is up.
    std::thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let Ok(output) = ended.recv_timeout(patience) else {
        kill(number, Signal::SIGKILL).with_context(|| format!("stop {program}"))?;
        bail!("{command:?} had not ended after {} seconds, and was stopped", patience.as_secs());
    };
    let output = output.with_context(|| format!("wait for {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{text}{said}", words.join(" "), output.status);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_by_itself_or_is_stopped() {
        assert_eq!(run(command("sh").args(["-c", "echo said; echo why >&2"])).unwrap(), "said\n");
        let failed = run(command("sh").args(["-c", "echo said; echo why >&2; exit 3"])).unwrap_err();
        assert!(failed.to_string().ends_with("exit status: 3\nsaid\nwhy\n"), "{failed}");
        let hung = run_within(command("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(hung.to_string().ends_with("was stopped"), "{hung}");
    }
}
