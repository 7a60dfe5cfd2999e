//! What is written stays over updates and rollbacks.

use anyhow::Result;
use surefoot_ci::btrfs::{Snapshots, subvolume};
use surefoot_ci::edit::Edit;
use surefoot_probe::Outcome as Done;

use super::machine::{AUTO, Machine, came_up, root, two};
use crate::Scenario;
use crate::judge::{actions, same, text};
use crate::setup::state_partition;
use crate::slots::judge::{all_ran, fallback, runs};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("btrfs::state_survives_an_update", state_survives_an_update),
    ("btrfs::etc_of_each_snapshot", etc_of_each_snapshot),
    ("btrfs::rollback_by_snapper", rollback_by_snapper),
    ("btrfs::rolled_back_by_command", rolled_back_by_command),
];

/// The words that boot the first snapshot, as a machine before its update does.
fn before() -> String {
    format!("surefoot.deployment=btrfs:{} surefoot.verity=optional", subvolume(1))
}

/// `/etc` is an overlay on a state partition; `/var` and `/home` are subvolumes beside the snapshots.
fn state_survives_an_update(name: &str) -> Result<()> {
    let snapshots = Snapshots::new().snapshot(&root("1", &[])?).snapshot(&root("2", &[])?);
    let machine = Machine::new(name, &snapshots, &[state_partition()?])?;
    let words = format!("{} probe.write=/etc/kept:e probe.write=/var/kept:v probe.write=/home/kept:h", before());
    let done = ["probe.write=/etc/kept:e", "probe.write=/var/kept:v", "probe.write=/home/kept:h"];
    actions(&came_up(&machine.boot("old", &words)?, "snapshot-1")?, &done.map(|word| (word, Done::Done)))?;
    let words = "probe.read=/etc/hostname probe.read=/etc/kept probe.read=/var/kept probe.read=/home/kept";
    let report = came_up(&machine.boot("new", &format!("{AUTO} {words}"))?, "snapshot-2")?;
    actions(
        &report,
        &[
            ("probe.read=/etc/hostname", text("version-2\n")),
            ("probe.read=/etc/kept", text("e")),
            ("probe.read=/var/kept", text("v")),
            ("probe.read=/home/kept", text("h")),
        ],
    )
}

/// An `/etc` that is part of the snapshot stays with it.
fn etc_of_each_snapshot(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    came_up(&machine.boot("old", &format!("{} probe.write=/etc/kept:e", before()))?, "snapshot-1")?;
    let report = came_up(&machine.boot("new", &format!("{AUTO} probe.read=/etc/kept"))?, "snapshot-2")?;
    actions(&report, &[("probe.read=/etc/kept", Done::Failed(2))])?;
    let report = came_up(&machine.boot("old-again", &format!("{} probe.read=/etc/kept", before()))?, "snapshot-1")?;
    actions(&report, &[("probe.read=/etc/kept", text("e"))])
}

/// snapper has made an older snapshot the default: that one boots, and the newer one is what is fallen back to.
fn rollback_by_snapper(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?.rollback(1), &[])?;
    let report = came_up(&machine.boot("1", &format!("{AUTO} probe.read=/etc/hostname"))?, "snapshot-1")?;
    actions(&report, &[("probe.read=/etc/hostname", text("version-1\n"))])?;
    let machine =
        Machine::new(&format!("{name}-broken"), &two()?.rollback(1).edit_in(1, Edit::remove("sbin/init")), &[])?;
    let report = came_up(&machine.boot("1", AUTO)?, "snapshot-2")?;
    let meant = fallback(&report)?.map(|(name, _)| name);
    same("what was meant", &meant.as_deref(), &Some("snapshot-1"))
}

/// The default snapshot is found good, rolled back, and made the next one again, by the system itself. What snapper calls the
/// default stays what it is.
fn rolled_back_by_command(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let commands = |boot: &str, words: &str, snapshot: &str, commands: &[&str]| {
        let outcome = machine.boot(boot, &format!("{words} {}", runs(commands)))?;
        all_ran(&came_up(&outcome, snapshot)?, commands)
    };
    commands("old", &before(), "snapshot-1", &["/usr/bin/surefoot mark-good"])?;
    commands("new", AUTO, "snapshot-2", &["/usr/bin/surefoot mark-good", "/usr/bin/surefoot rollback"])?;
    commands("back", AUTO, "snapshot-1", &["/usr/bin/surefoot set-next snapshot-2"])?;
    commands("again", AUTO, "snapshot-2", &[])
}
