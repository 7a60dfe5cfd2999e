//! Tries that the name of an image counts.

use std::time::Duration;

use anyhow::{Result, ensure};
use surefoot_ci::edit::Edit;
use surefoot_ci::images::Images;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::slots::machine::tree;
use surefoot_probe::Outcome as Done;

use super::machine::{Machine, came_up};
use crate::Scenario;
use crate::judge::{actions, boot_report, said, same};
use crate::slots::judge::{all_ran, failed, passed_over, runs};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("images::a_try_is_written_down_first", a_try_is_written_down_first),
    ("images::power_cut_leaves_a_spent_try", power_cut_leaves_a_spent_try),
    ("images::new_name_is_taken", new_name_is_taken),
    ("images::rolled_back_by_command", rolled_back_by_command),
    ("images::ledger_that_cannot_be_read", ledger_that_cannot_be_read),
    ("images::damaged_ledger", damaged_ledger),
];

/// Has the probe list the images.
const LIST: &str = "probe.mount=/dev/vda1:/mnt:ext4:rw probe.list=/mnt/images/os.v";

/// Fails unless the images have these names after a boot in which the best one came up.
fn names(machine: &Machine, boot: &str, image: (&str, usize), expected: &[&str]) -> Result<Outcome> {
    let outcome = machine.boot(boot, LIST)?;
    let report = came_up(&outcome, image.0, &machine.files.root_hashes[image.1])?;
    let expected = Done::Names(expected.iter().map(|&name| name.to_owned()).collect());
    actions(&report, &[("probe.list=/mnt/images/os.v", expected)])?;
    Ok(outcome)
}

fn a_try_is_written_down_first(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("images/os.v/os_2+2-0.raw", &new);
    let machine = Machine::new(name, &images)?;
    let outcome = names(&machine, "first", ("os_2", 1), &["os_1.raw", "os_2+1-1.raw"])?;
    said(&outcome, "os_2: rename images/os.v/os_2+2-0.raw to images/os.v/os_2+1-1.raw")?;
    names(&machine, "second", ("os_2", 1), &["os_1.raw", "os_2+0-2.raw"])?;
    // Nobody has called it good.
    let outcome = names(&machine, "third", ("os_1", 0), &["os_1.raw", "os_2+0-2.raw"])?;
    let spent = ("os_2".to_owned(), "its tries are spent".to_owned());
    same("what was passed over", &passed_over(&outcome.probe()?)?, &vec![spent])
}

/// Power is cut when the image has just begun to be used, and again when its init has come up.
fn power_cut_leaves_a_spent_try(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &["probe.then=sleep"])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("images/os.v/os_2+2.raw", &new);
    let machine = Machine::new(name, &images)?;
    for (boot, marker) in [("early", "device-mapper: verity"), ("late", "probe: sleeping")] {
        let vm = machine.vm(boot).append("surefoot.deployment=auto").cut_power(marker, Duration::ZERO);
        let outcome = vm.run()?;
        ensure!(outcome.end == End::PowerCut, "its power should have been cut\n{}", outcome.tail());
    }
    names(&machine, "after", ("os_1", 0), &["os_1.raw", "os_2+0-2.raw"]).map(drop)
}

/// A try that cannot be written down is not made: what is good comes up.
fn new_name_is_taken(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new()
        .appended("images/os.v/os_1.raw", &old)
        .appended("images/os.v/os_2+2-0.raw", &new)
        .appended("images/os.v/os_2+1-1.raw", &old);
    let machine = Machine::new(name, &images)?;
    let outcome = names(&machine, "1", ("os_1", 0), &["os_1.raw", "os_2+1-1.raw", "os_2+2-0.raw"])?;
    let why = "its try cannot be written down: cannot rename images/os.v/os_2+2-0.raw to images/os.v/os_2+1-1.raw: File \
               exists (EEXIST)";
    same("what failed", &failed(&outcome.probe()?)?, &vec![("os_2".to_owned(), why.to_owned())])
}

/// An update is found good, rolled back, and made the next one again, by the system itself.
fn rolled_back_by_command(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("images/os.v/os_2+2-0.raw", &new);
    let machine = Machine::new(name, &images)?;
    let commands = |boot: &str, image: (&str, usize), commands: &[&str]| {
        let outcome = machine.boot(boot, &runs(commands))?;
        all_ran(&came_up(&outcome, image.0, &machine.files.root_hashes[image.1])?, commands)
    };
    commands("update", ("os_2", 1), &["/usr/bin/surefoot mark-good", "/usr/bin/surefoot rollback"])?;
    commands("back", ("os_1", 0), &["/usr/bin/surefoot set-next os_2"])?;
    names(&machine, "again", ("os_2", 1), &["os_1.raw", "os_2.raw"]).map(drop)
}

/// Somebody has put a link in the ledger's place. What boots without it boots, and says so; where nothing boots, reboots are
/// counted in another filesystem.
fn ledger_that_cannot_be_read(name: &str) -> Result<()> {
    let images = Images::new()
        .appended("images/os_1.raw", &tree("1", &[])?)
        .edit(Edit::directory("surefoot"))
        .edit(Edit::symlink("surefoot/ledger", "/etc/passwd"));
    let mut machine = Machine::new(name, &images)?;
    let report = came_up(&machine.boot("1", "")?, "os_1", &machine.files.root_hashes[0])?;
    let degraded = boot_report(&report)?["degraded"].to_string();
    let expected =
        "the boot ledger of /dev/vda1 cannot be read, so that deployments count as unknown: a symbolic link is in";
    ensure!(degraded.contains(expected), "{degraded}");
    machine.files.root_hashes = vec!["0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210".to_owned()];
    let outcome = machine.boot("2", "")?;
    said(&outcome, "automatic reboot 1 of 3")?;
    ensure!(outcome.end == End::Rebooted, "it should have rebooted\n{}", outcome.tail());
    said(&machine.boot("3", "")?, "automatic reboot 2 of 3")
}

fn damaged_ledger(name: &str) -> Result<()> {
    let images = Images::new()
        .appended("images/os_1.raw", &tree("1", &[])?)
        .edit(Edit::directory("surefoot"))
        .edit(Edit::file("surefoot/ledger", vec![1; 8192]));
    let machine = Machine::new(name, &images)?;
    let commands = ["/usr/bin/surefoot mark-good"];
    let report = came_up(&machine.boot("1", &runs(&commands))?, "os_1", &machine.files.root_hashes[0])?;
    let expected = "the boot ledger of /dev/vda1 is damaged, so that deployments count as unknown";
    let degraded = boot_report(&report)?["degraded"].to_string();
    ensure!(degraded.contains(expected), "{degraded}");
    all_ran(&report, &commands)?;
    // That has made it anew.
    let report = came_up(&machine.boot("2", "")?, "os_1", &machine.files.root_hashes[0])?;
    ensure!(boot_report(&report)?["degraded"].as_array().is_none_or(Vec::is_empty), "{report:?}");
    Ok(())
}
