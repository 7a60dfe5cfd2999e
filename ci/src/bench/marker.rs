//! What a machine that is measured says of itself, and the program that says it: `ci/bench/marker.c`.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::{command, run};
use crate::machine::last_lines;
use crate::paths;
use crate::vm::Vm;

/// How long a machine may take until the marker has run.
const PATIENCE: Duration = Duration::from_mins(2);

/// The moment at which the marker was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marker {
    /// Nanoseconds since the kernel began (`CLOCK_BOOTTIME`).
    pub nanoseconds: u64,
    /// Memory that was free, in KiB.
    pub free_kib: u64,
}

/// Compiles a program of `ci/bench`, linked statically, with these options.
///
/// # Errors
/// What the compiler says.
pub(super) fn compile(source: &str, output: PathBuf, options: &[String]) -> Result<PathBuf> {
    let source = paths::workspace().join("ci/bench").join(source);
    run(command("cc")
        .args(["-Wall", "-Werror", "-static", "-Os", "-s"])
        .args(options)
        .arg("-o")
        .args([&output, &source]))?;
    Ok(output)
}

/// Runs a machine until the marker ends it.
///
/// # Errors
/// When the marker was not started; the console's last lines say more.
pub(super) fn follow(vm: &Vm) -> Result<Marker> {
    let scratch = tempfile::tempdir()?;
    let console = scratch.path().join("console");
    let mut qemu = command("timeout");
    qemu.arg("--signal=KILL").arg(PATIENCE.as_secs().to_string());
    let machine = vm.qemu();
    qemu.arg(machine.get_program()).args(machine.get_args());
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    let status = qemu.stdout(Stdio::null()).status().context("qemu-system-x86_64")?;
    let text = String::from_utf8_lossy(&fs::read(&console)?).into_owned();
    ensure!(status.success(), "{}: QEMU ended {status}:\n    {}", vm.name, last_lines(&text));
    let marker = text.lines().find_map(parse);
    marker.with_context(|| format!("{}: the real init was not started:\n    {}", vm.name, last_lines(&text)))
}

/// Runs a machine so often, and gives the run in which the marker was started first.
///
/// # Errors
/// Those of [`follow`].
pub(super) fn quickest(vm: &Vm, runs: u64) -> Result<Marker> {
    let markers = (0..runs).map(|_| follow(vm)).collect::<Result<Vec<_>>>()?;
    markers.into_iter().min().context("RUNS=0: nothing was run")
}

/// The marker's line.
fn parse(line: &str) -> Option<Marker> {
    let (nanoseconds, free) = line.strip_prefix("marker: ")?.split_once(" ns, ")?;
    let free_kib = free.trim_end().strip_suffix(" KiB free")?.parse().ok()?;
    Some(Marker { nanoseconds: nanoseconds.parse().ok()?, free_kib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read_and_no_other_is() {
        let marker = Marker { nanoseconds: 1_590_792_338, free_kib: 452_952 };
        assert_eq!(parse("marker: 1590792338 ns, 452952 KiB free\r"), Some(marker));
        assert_eq!(parse("[    1.5] surefoot: starting /sbin/init"), None);
    }
}
