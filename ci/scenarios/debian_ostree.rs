//! A Debian with systemd as ostree deploys it, which asks its own ostree what was booted.
//!
//! Under composefs it is not asked: Debian's ostree (2022.7) predates composefs. It looks for the deployment whose directory
//! is `/` itself, which is the overlay's then, and takes it for an error that there is none. That the deployment boots to the
//! end without a failed unit is what can be said of it.

use anyhow::{Result, ensure};
use surefoot_ci::demo::ostree::Machine;
use surefoot_ci::initramfs;
use surefoot_ci::ostree::{Composefs, public_key};

use crate::Scenario;
use crate::ostree::CONFIGURATION;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("debian_ostree::upgrades_by_its_boot_entries", upgrades_by_its_boot_entries),
    ("debian_ostree::rolls_back", rolls_back),
    ("debian_ostree::signed_composefs", signed_composefs),
];

const WORDS: &str = "root=PARTLABEL=sysroot rw";

fn machine(composefs: Composefs, files: &[(&str, &str)]) -> Result<Machine> {
    let packed = initramfs::adding(files)?;
    Machine::build(composefs, &packed.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Fails unless every one of these checks was made, and went well.
pub(crate) fn went_well(lines: &[String], checks: &[&str]) -> Result<()> {
    for check in checks {
        ensure!(lines.iter().any(|line| line.strip_prefix("ok ") == Some(check)), "no check {check:?}: {lines:#?}");
    }
    Ok(())
}

/// `ostree admin status` knows what was booted, and `ostree admin upgrade` leads to the next version: the boot loader takes
/// the entry that ostree has made the default.
fn upgrades_by_its_boot_entries(name: &str) -> Result<()> {
    let machine = machine(Composefs::No, &[(CONFIGURATION, "[sysroot]\nreadonly=true\n")])?;
    let [first, second] = machine.upgrade(name, &format!("{WORDS} surefoot.verity=optional"))?;
    went_well(&first, &["version 1 runs", "no unit has failed", "ostree knows what was booted"])?;
    let kept = ["/etc was kept", "/var was kept"];
    went_well(&second, &[&["version 2 runs", "no unit has failed", "ostree knows what was booted"], &kept[..]].concat())
}

/// No word names a deployment, and ostree's generator does nothing: the newest comes up, as complete, until it is rolled back.
fn rolls_back(name: &str) -> Result<()> {
    let machine = machine(Composefs::No, &[])?;
    let boots = machine.roll_back(name, &format!("{WORDS} surefoot.verity=optional surefoot.deployment=auto"))?;
    let changes = [["surefoot mark-good", "ostree admin upgrade"], ["surefoot mark-good", "surefoot rollback"]];
    for ((lines, version), done) in boots.iter().zip([1, 2, 1]).zip(changes.iter().map(|all| &all[..]).chain([&[][..]]))
    {
        let runs = format!("version {version} runs");
        let checks = [&runs, "no unit has failed", "ostree knows what was booted", "surefoot status names it"];
        went_well(lines, &[&checks[..], done].concat())?;
    }
    Ok(())
}

/// Nothing of it is taken as it is: that is the default, so that it boots is what vouches for it.
fn signed_composefs(name: &str) -> Result<()> {
    let keys = public_key()?;
    let files =
        [(CONFIGURATION, "[composefs]\nenabled=signed\n"), ("/etc/ostree/initramfs-root-binding.key", keys.as_str())];
    let lines = machine(Composefs::Signed, &files)?.check(name, WORDS)?;
    went_well(&lines, &["version 1 runs", "no unit has failed", "/ is a composefs", "everything is verified"])
}
