//! A damaged partition table: the boot repairs one copy from the other, and goes no further where there is none.

use anyhow::{Result, ensure};
use surefoot_ci::cgpt::{self, Counters};
use surefoot_ci::drive::Drive;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine};

use crate::Scenario;
use crate::judge::{boot_report, refusal, same};
use crate::slots::judge::{counters, in_slot, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::primary_header_damaged", |name| repaired(name, Damage::PrimaryHeader)),
    ("slots::primary_entries_damaged", |name| repaired(name, Damage::PrimaryEntries)),
    ("slots::backup_header_damaged", |name| repaired(name, Damage::BackupHeader)),
    ("slots::both_tables_damaged", both_damaged),
    ("slots::both_tables_damaged_and_pinned", both_damaged_and_pinned),
];

#[derive(Clone, Copy)]
enum Damage {
    PrimaryHeader,
    PrimaryEntries,
    BackupHeader,
}

fn machine(name: &str) -> Result<SlotMachine> {
    SlotMachine::new(name, &[Slot::new("root-a", &image("1", &[])?, Counters::untried(1, 3)), Slot::empty()])
}

fn damage(machine: &SlotMachine, damage: Damage) -> Result<()> {
    let disk = &machine.disk.disk;
    let last = disk.path.metadata()?.len() - 512;
    let place = match damage {
        Damage::PrimaryHeader => 512,
        Damage::PrimaryEntries => 1024,
        Damage::BackupHeader => last,
    };
    disk.overwrite_at(place, &[0xff; 64])
}

fn repaired(name: &str, place: Damage) -> Result<()> {
    let machine = machine(name)?;
    damage(&machine, place)?;
    ensure!(!cgpt::damaged(&machine.disk.disk.path)?.is_empty(), "cgpt should see the damage");
    in_slot(&machine.boot("1", "")?, "root-a")?;
    same("what is damaged", &cgpt::damaged(&machine.disk.disk.path)?, &Vec::new())?;
    counters(&machine, "root-a", Counters::untried(1, 2))
}

fn both_damaged(name: &str) -> Result<()> {
    let machine = machine(name)?;
    damage(&machine, Damage::PrimaryHeader)?;
    damage(&machine, Damage::BackupHeader)?;
    let before = std::fs::read(&machine.disk.disk.path)?;
    let outcome = machine.vm("1").append(&machine.disk.accept_all()).append("rd.timeout=5").run()?;
    let reason = refusal(&outcome)?;
    ensure!(
        reason.contains("vda (both its partition tables are damaged)"),
        "the reason should name the disk: {reason}"
    );
    ensure!(before == std::fs::read(&machine.disk.disk.path)?, "nothing should have been written");
    Ok(())
}

/// A command line that pins what boots asks no ledger: the same machine boots from where it is told.
fn both_damaged_and_pinned(name: &str) -> Result<()> {
    let image = image("1", &[])?;
    let machine = machine(name)?;
    damage(&machine, Damage::PrimaryHeader)?;
    damage(&machine, Damage::BackupHeader)?;
    let [data, tree] = [&image.data, &image.tree.image].map(|image| Drive::of_image(image, 512).read_only());
    let words = format!(
        "roothash={} systemd.verity_root_data=/dev/vdb systemd.verity_root_hash=/dev/vdc surefoot.etc=tmpfs \
         surefoot.var=tmpfs surefoot.home=tmpfs",
        image.tree.root_hash
    );
    let outcome = machine.vm("1").drive(data).drive(tree).append(&words).run()?;
    let boot = boot_report(&outcome.probe()?)?;
    same("the kind", text(&boot, "/deployment/kind")?, "configured")?;
    same("the trust", text(&boot, "/deployment/trust")?, "verified")
}
