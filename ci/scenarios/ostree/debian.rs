//! A Debian with systemd, which asks its own ostree what was booted.

use anyhow::Result;
use surefoot_ci::demo::ostree::Machine;
use surefoot_ci::ostree::{Composefs, public_key};

use super::{CONFIGURATION, packed};
use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::debian_upgrades", debian_upgrades),
    ("ostree::debian_without_its_word", debian_without_its_word),
    ("ostree::debian_composefs", debian_composefs),
];

const WORDS: &str = "root=PARTLABEL=sysroot rw";

fn machine(composefs: Composefs, files: &[(&str, &str)]) -> Result<Machine> {
    let packed = packed(files)?;
    Machine::build(composefs, &packed.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `ostree admin status` knows what was booted, and `ostree admin upgrade` leads to the next version.
fn debian_upgrades(name: &str) -> Result<()> {
    let machine = machine(Composefs::No, &[(CONFIGURATION, "[sysroot]\nreadonly=true\n")])?;
    machine.upgrade(name, &format!("{WORDS} surefoot.verity=optional")).map(|_| ())
}

/// The generator of ostree does nothing without `ostree=`; the boot is as complete.
fn debian_without_its_word(name: &str) -> Result<()> {
    let machine = machine(Composefs::No, &[])?;
    machine.check_without_word(name, &format!("{WORDS} surefoot.verity=optional surefoot.deployment=auto")).map(|_| ())
}

fn debian_composefs(name: &str) -> Result<()> {
    let keys = public_key()?;
    let files =
        [(CONFIGURATION, "[composefs]\nenabled=signed\n"), ("/etc/ostree/initramfs-root-binding.key", keys.as_str())];
    machine(Composefs::Signed, &files)?.check(name, WORDS).map(|_| ())
}
