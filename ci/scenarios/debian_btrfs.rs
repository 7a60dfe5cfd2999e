//! A Debian with systemd in snapshots, which asks its own snapper what was booted, and has it roll the system back.

use anyhow::Result;
use surefoot_ci::demo::btrfs::{Machine, Roots};

use crate::Scenario;
use crate::debian_ostree::went_well;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("debian_btrfs::rolled_back_by_snapper", rolled_back_by_snapper),
    ("debian_btrfs::rolled_back_by_snapper_to_a_copy", rolled_back_by_snapper_to_a_copy),
];

const WORDS: &str = "root=PARTLABEL=sysroot surefoot.verity=optional surefoot.deployment=auto";
const CHECKS: [&str; 3] = ["no unit has failed", "snapper knows what was booted", "surefoot status names it"];
const KEPT: [&str; 2] = ["/var was kept", "/home was kept"];

/// On a read-only root, as transactional systems have it, a rollback makes the earlier snapshot the default. It is followed
/// although the ledger knows both, and has the other one at a higher priority.
fn rolled_back_by_snapper(name: &str) -> Result<()> {
    let boots: [_; 3] = Machine::build(Roots::ReadOnly)?.play(name, &format!("{WORDS} surefoot-demo.back"))?;
    let told = ["surefoot mark-good", "snapper rollback"];
    for (lines, (version, more)) in boots.iter().zip([(2, &told[..]), (1, &told[..]), (2, &[])]) {
        let runs = format!("version {version} runs");
        went_well(lines, &[&[runs.as_str(), "/usr refuses writes"], &CHECKS[..], more].concat())?;
    }
    boots[1..].iter().try_for_each(|lines| went_well(lines, &KEPT))
}

/// On a root that takes writes it makes a writable copy of the earlier one the default.
fn rolled_back_by_snapper_to_a_copy(name: &str) -> Result<()> {
    let [first, second] = Machine::build(Roots::Writable)?.play(name, &format!("{WORDS} rw "))?;
    went_well(&first, &[&["version 2 runs", "/usr takes writes", "snapper rollback"], &CHECKS[..]].concat())?;
    went_well(&second, &[&["version 1 runs", "/usr takes writes"], &CHECKS[..], &KEPT].concat())
}
