//! The command line: unknown and bad words, its other sources, and its greatest lengths.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use surefoot_ci::drive::Drive;
use surefoot_ci::machine::End;

use crate::Scenario;
use crate::judge::{boot_report, booted, mount, refused, said, same};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("cmdline::unknown_key", unknown_key),
    ("cmdline::bad_value", bad_value),
    ("cmdline::given_twice", given_twice),
    ("cmdline::nothing_to_boot", nothing_to_boot),
    ("cmdline::drop_in_of_4096_bytes", drop_in_of_4096_bytes),
    ("cmdline::longest_that_the_kernel_takes", longest_that_the_kernel_takes),
    ("cmdline::quiet", quiet),
    ("cmdline::on_failure_poweroff", on_failure_poweroff),
    ("cmdline::on_failure_halt", on_failure_halt),
    ("cmdline::shell_that_is_not_packed", shell_that_is_not_packed),
];

/// An older surefoot has to come up under a newer command line.
fn unknown_key(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.boot("surefoot.vra=tmpfs")?;
    let report = boot_report(&booted(&outcome)?)?;
    let expected = json!([{ "key": "surefoot.vra", "nearest": "surefoot.var" }]);
    same("unknown keys of the report", report.get("unknown_keys").context("no list")?, &expected)?;
    said(&outcome, "unknown key surefoot.vra ignored; the nearest valid one is surefoot.var")
}

fn bad_value(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let reason = "surefoot.etc=overlya in /proc/cmdline: ";
    crate::judge::refused_with(&setup.boot("surefoot.etc=overlya")?, reason, &["allowed: overlay"])
}

fn given_twice(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let reason = "surefoot.etc=ro in /proc/cmdline: given twice, before as surefoot.etc=bind; once is allowed";
    refused(&setup.boot("surefoot.etc=bind surefoot.etc=ro")?, reason)
}

fn nothing_to_boot(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.bare().drive(Drive::new(&setup.disk)).run()?;
    let reason = "nothing names a root: give roothash=, or surefoot.roothash=, or root= with surefoot.verity=optional, \
        or usrhash= with systemd.volatile=yes";
    refused(&outcome, reason)
}

/// The last word of a file in `/etc/cmdline.d` that is longer than the kernel's own command line can be.
fn drop_in_of_4096_bytes(name: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("long.conf");
    let last = " surefoot.var=tmpfs:size=3M\n";
    fs::write(
        &file,
        format!("{}{last}", "filler=x ".repeat(512).get(..4096 - last.len()).unwrap_or_default().trim_end()),
    )?;
    ensure!((4080..=4096).contains(&file.metadata()?.len()), "the file has {} bytes", file.metadata()?.len());
    let setup = Layout::new().initramfs(&["--config", &file.to_string_lossy()]).prepare(name)?;
    let report = booted(&setup.boot("")?)?;
    mount(&report, "/var tmpfs tmpfs / rw,relatime rw,size=3072k,mode=755")
}

/// 2047 bytes on x86 (`COMMAND_LINE_SIZE` less the final NUL), the last word of which counts.
fn longest_that_the_kernel_takes(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let last = " surefoot.var=tmpfs:size=3M";
    let vm = setup.vm();
    let room = 2047 - vm.cmdline().len() - 1 - last.len();
    let filler = "filler.x=y ".repeat(200);
    let vm = vm.append(&format!("{}{last}", filler.get(..room).unwrap_or_default()));
    same("the length", &vm.cmdline().len(), &2047)?;
    let report = booted(&vm.run()?)?;
    same("the length that arrives", &report.cmdline.len(), &2047)?;
    mount(&report, "/var tmpfs tmpfs / rw,relatime rw,size=3072k,mode=755")
}

/// Under `quiet` the console has no more than what went wrong.
fn quiet(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.boot("quiet")?;
    booted(&outcome)?;
    same("lines of surefoot", &outcome.console.matches("surefoot").count(), &0)?;
    refused(
        &setup.boot("quiet init=/none")?,
        "cannot start init=/none in the new root: No such file or directory (ENOENT)",
    )
}

fn on_failure(name: &str, words: &str, end: End, next: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.boot(&format!("init=/none {words}"))?;
    same("the end", &outcome.end, &end)?;
    ensure!(outcome.report.is_empty(), "it should not have started the real init");
    said(
        &outcome,
        &format!("boot failed: cannot start init=/none in the new root: No such file or directory (ENOENT); {next}"),
    )
}

fn on_failure_poweroff(name: &str) -> Result<()> {
    on_failure(name, "surefoot.on-failure=poweroff", End::PoweredOff, "powering off in 10 seconds")
}

fn on_failure_halt(name: &str) -> Result<()> {
    on_failure(name, "rd.emergency=halt", End::Halted, "halting")
}

fn shell_that_is_not_packed(name: &str) -> Result<()> {
    let next = "no /bin/sh was packed into the initramfs, rebooting in 10 seconds";
    on_failure(name, "surefoot.on-failure=shell", End::Rebooted, next)
}
