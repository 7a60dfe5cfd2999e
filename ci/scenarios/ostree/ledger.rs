//! The boot ledger in a file of the sysroot: what the tool writes there on this machine, and what PID 1 makes of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use surefoot_ci::drive::Drive;
use surefoot_ci::edit::Edit;
use surefoot_ci::host_tool;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::ostree::Sysroot;
use surefoot_probe::Report;

use super::{Machine, is_booted, version};
use crate::Scenario;
use crate::judge::{actions, boot_report, booted, said, same, text};
use crate::slots::judge::{failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::ledger_broken_update", broken_update),
    ("ostree::ledger_unproven_update", unproven_update),
    ("ostree::ledger_exhausted", exhausted),
    ("ostree::ledger_survives_power_cuts", survives_power_cuts),
];

const AUTO: &str = "surefoot.verity=optional surefoot.deployment=auto probe.read=/usr/lib/version";
const NO_INIT: &str = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
                       /etc/init, /bin/init, /bin/sh";
const SPENT: &str = "its tries are spent";
const NEVER_GOOD: &str = "its tries are spent: it was tried, and never marked good";

/// Runs a command of the tool on this machine, about the machine's disk.
fn tool(machine: &Machine, words: &[&str]) -> Result<String> {
    host_tool::run(words, &machine.disk.path)
}

fn mark_good(machine: &Machine, number: usize) -> Result<()> {
    tool(machine, &["mark-good", &machine.called(number)?]).map(drop)
}

/// The report of a machine that came up with this deployment.
fn came_up(machine: &Machine, outcome: &Outcome, number: usize) -> Result<Report> {
    let report = booted(outcome)?;
    is_booted(&report, &machine.called(number)?, "insecure")?;
    actions(&report, &[("probe.read=/usr/lib/version", text(&(number + 1).to_string()))])?;
    Ok(report)
}

/// The first deployment was good, the second one is yet to be proven, the newest one has no init.
fn broken_update(name: &str) -> Result<()> {
    let sysroot = Sysroot::new().deploy(&version(1)?).deploy(&version(2)?).deploy(&version(3)?);
    let machine = Machine::new(name, &sysroot.edit_in(2, Edit::remove("sbin/init")), &[])?;
    mark_good(&machine, 0)?;
    let broken = (machine.called(2)?, NO_INIT.to_owned());
    for boot in ["1", "2", "3"] {
        let outcome = machine.boot_keeping(boot, AUTO)?;
        let report = came_up(&machine, &outcome, 0)?;
        said(&outcome, &format!("{}: write down a try", broken.0))?;
        same("what failed", &failed(&report)?, &vec![broken.clone()])?;
        same("what was meant", &fallback(&report)?, &Some(broken.clone()))?;
    }
    // The one that is good is the first choice now: nobody has asked for the second one.
    let report = came_up(&machine, &machine.boot_keeping("4", AUTO)?, 0)?;
    same("what failed", &failed(&report)?, &Vec::new())?;
    let meant = (broken.0.clone(), NEVER_GOOD.to_owned());
    let spent = (broken.0, SPENT.to_owned());
    same("what was passed over", &passed_over(&report)?, &vec![spent])?;
    same("what was meant", &fallback(&report)?, &Some(meant))
}

/// Two deployments come up. Nobody calls the newest one good.
fn unproven_update(name: &str) -> Result<()> {
    let machine = Machine::new(name, &Sysroot::new().deploy(&version(1)?).deploy(&version(2)?), &[])?;
    mark_good(&machine, 0)?;
    for boot in ["1", "2", "3"] {
        let report = came_up(&machine, &machine.boot_keeping(boot, AUTO)?, 1)?;
        same("what was meant", &fallback(&report)?, &None)?;
    }
    let outcome = machine.boot_keeping("4", AUTO)?;
    let report = came_up(&machine, &outcome, 0)?;
    let meant = (machine.called(1)?, NEVER_GOOD.to_owned());
    let spent = (machine.called(1)?, SPENT.to_owned());
    same("what was passed over", &passed_over(&report)?, &vec![spent])?;
    same("what was meant", &fallback(&report)?, &Some(meant))?;
    // A good one costs nothing.
    let written = outcome.console.contains("write down a try");
    ensure!(!written, "a try of a good deployment was written down\n{}", outcome.tail());
    Ok(())
}

/// Neither has an init. Each reboot is counted, and the fourth boot is the last one.
fn exhausted(name: &str) -> Result<()> {
    let without_init = |sysroot: Sysroot, number| sysroot.edit_in(number, Edit::remove("sbin/init"));
    let sysroot = Sysroot::new().deploy(&version(1)?).deploy(&version(2)?);
    let machine = Machine::new(name, &without_init(without_init(sysroot, 0), 1), &[])?;
    mark_good(&machine, 0)?;
    for (boot, log) in (1..).zip(["1", "2", "3"]) {
        let outcome = machine.boot_keeping(log, AUTO)?;
        ensure!(outcome.report.is_empty(), "it should not have started the real init\n{}", outcome.tail());
        ensure!(outcome.end == End::Rebooted, "it should have rebooted\n{}", outcome.tail());
        said(&outcome, &format!("automatic reboot {boot} of 3"))?;
    }
    // Switched off and on again it stays so.
    for log in ["4", "5"] {
        let outcome = machine.boot_keeping(log, AUTO)?;
        ensure!(outcome.end == End::Halted, "it should have halted\n{}", outcome.tail());
        said(&outcome, &format!("boot failed: {NO_INIT}; after 3 automatic reboots nothing is left to try; halting"))?;
    }
    Ok(())
}

/// A try is written down when the power goes. The tool reads the old ledger or the new one, and the next boot goes on from that.
fn survives_power_cuts(name: &str) -> Result<()> {
    const WRITE: &str = "write down a try";
    let machine = Machine::new(name, &Sysroot::new().deploy(&version(1)?).deploy(&version(2)?), &[])?;
    mark_good(&machine, 0)?;
    tool(&machine, &["set-next", &machine.called(1)?, "--tries", "15"])?;
    let mut before = 15;
    for milliseconds in [0, 2, 5, 20, 100] {
        let vm = machine.vm(&format!("{name}-cut-{milliseconds}"), AUTO);
        let vm = vm.drive(Drive::new(&machine.disk).keep_writes());
        let outcome = vm.cut_power(WRITE, Duration::from_millis(milliseconds)).run()?;
        ensure!(outcome.end == End::PowerCut, "its power should have been cut\n{}", outcome.tail());
        let left = tries_left(&machine, 1)?;
        ensure!([before, before - 1].contains(&left), "{milliseconds} ms: there were {before} tries, and now {left}");
        let report = came_up(&machine, &machine.boot_keeping(&format!("after-{milliseconds}"), AUTO)?, 1)?;
        let boot = boot_report(&report)?;
        same("the tries in the next boot", &boot.pointer("/deployment/ledger/tries_left"), &Some(&(left - 1).into()))?;
        before = left - 1;
    }
    Ok(())
}

/// What the tool reads of a deployment's tries. It has nothing to complain of.
fn tries_left(machine: &Machine, number: usize) -> Result<u8> {
    host_tool::tries_left(&host_tool::status("--deployments", &machine.disk.path)?, &machine.called(number)?)
}
