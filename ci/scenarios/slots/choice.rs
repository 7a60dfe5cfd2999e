//! Which slot boots: pins, accept-lists, labels, and what is never a candidate.

use anyhow::{Context, Result};
use surefoot_ci::cgpt::Counters;
use surefoot_ci::drive::Drive;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine, accept};

use crate::Scenario;
use crate::judge::{boot_report, booted, mount, refused, same};
use crate::slots::judge::{counters, failed, in_slot, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::three_slots", three_slots),
    ("slots::equal_priorities", equal_priorities),
    ("slots::pinned", pinned),
    ("slots::not_on_the_accept_list", not_on_the_accept_list),
    ("slots::labels_that_never_boot", labels_that_never_boot),
    ("slots::same_partuuids", same_partuuids),
    ("slots::unverified_by_label", unverified_by_label),
];

const NO_AUTO: u64 = 1 << 63;

/// The update comes first; when it fails, the best of the good ones is next, whatever its place on the disk.
fn three_slots(name: &str) -> Result<()> {
    let (a, b, c) = (image("1", &[])?, image("2", &[])?, image("3", &[])?);
    let slots = [
        Slot::new("root-a", &a, Counters::good(1)),
        Slot::new("root-b", &b, Counters::good(2)),
        Slot::new("root-c", &c, Counters::untried(3, 2)),
    ];
    let machine = SlotMachine::new(name, &slots)?;
    in_slot(&machine.boot("update", "")?, "root-c")?;
    counters(&machine, "root-c", Counters::untried(3, 1))?;
    machine.disk.disk.overwrite("root-c", 0, &[0; 4096])?;
    let report = in_slot(&machine.boot("good", "")?, "root-b")?;
    same("what failed", &failed(&report)?.len(), &1)?;
    counters(&machine, "root-c", Counters::untried(3, 0))?;
    counters(&machine, "root-b", Counters::good(2))?;
    counters(&machine, "root-a", Counters::good(1))
}

/// The first one on the disk wins.
fn equal_priorities(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(5)), Slot::new("root-b", &b, Counters::good(5))];
    in_slot(&SlotMachine::new(name, &slots)?.boot("1", "")?, "root-a").map(drop)
}

/// The command line names a slot: priorities do not matter, and there is no other candidate.
fn pinned(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(2)), Slot::new("root-b", &b, Counters::good(1))];
    let machine = SlotMachine::new(name, &slots)?;
    in_slot(&machine.boot("1", "surefoot.deployment=slot:root-b")?, "root-b")?;
    counters(&machine, "root-b", Counters::good(1))
}

/// A root hash that the command line does not list may be on the disk, come first there, and still never boots.
fn not_on_the_accept_list(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(1)), Slot::new("root-b", &b, Counters::untried(9, 3))];
    let machine = SlotMachine::new(name, &slots)?;
    let report = in_slot(&machine.vm("1").append(&accept([&a])).run()?, "root-a")?;
    let boot = boot_report(&report)?;
    let slots = boot["slots"].as_array().context("boot.json has no slots")?;
    let other = slots.iter().find(|slot| slot["name"] == "root-b").context("root-b is not reported")?;
    same("why it does not boot", &other["cannot_boot"], &"its root hash is not accepted".into())?;
    counters(&machine, "root-b", Counters::untried(9, 3))
}

/// Empty slots, slots that are being written, and partitions that are not to be used unless named.
fn labels_that_never_boot(name: &str) -> Result<()> {
    let first = Counters::untried(15, 3);
    let slots = [
        Slot::new("_empty", &image("1", &[])?, first),
        Slot::new("PRT#root-b", &image("2", &[])?, first),
        Slot::new("PND#root-c", &image("3", &[])?, first),
        Slot::new("root-d", &image("4", &[])?, first).attributes(NO_AUTO),
        Slot::new("root-e", &image("5", &[])?, Counters::good(1)),
    ];
    let machine = SlotMachine::new(name, &slots)?;
    let report = in_slot(&machine.boot("1", "")?, "root-e")?;
    same("what failed", &failed(&report)?, &Vec::new())?;
    for label in ["_empty", "PRT#root-b", "PND#root-c", "root-d"] {
        counters(&machine, label, first)?;
    }
    Ok(())
}

/// Whose counters would be written to? Both disks are named.
fn same_partuuids(name: &str) -> Result<()> {
    let slots = [Slot::new("root-a", &image("1", &[])?, Counters::untried(1, 3)), Slot::empty()];
    let machine = SlotMachine::new(name, &slots)?;
    let twin = machine.path("twin");
    std::fs::copy(&machine.disk.disk.path, &twin)?;
    let vm = machine.vm("1").drive(Drive::of_image(&twin, 512).keep_writes()).append(&machine.disk.accept_all());
    let reason = "both /dev/vda1 and /dev/vdb1 are slots that may boot, and they are on two disks; detach one of them, \
        or choose the disk by surefoot.disk=/dev/NAME";
    refused(&vm.run()?, reason)?;
    counters(&machine, "root-a", Counters::untried(1, 3))
}

/// Without dm-verity slots are told apart by their labels alone, and every boot says that nothing vouches for them.
fn unverified_by_label(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(1)), Slot::new("root-b", &b, Counters::untried(2, 1))];
    let machine = SlotMachine::new(name, &slots)?;
    for (boot, label, device) in [("try", "root-b", "/dev/vda3"), ("fallback", "root-a", "/dev/vda1")] {
        let report = booted(&machine.vm(boot).append("surefoot.verity=off").run()?)?;
        mount(&report, &format!("/ erofs {device} / ro,relatime ro,user_xattr,acl,cache_strategy=readaround"))?;
        let boot = boot_report(&report)?;
        same("the slot", text(&boot, "/deployment/name")?, label)?;
        same("the trust", text(&boot, "/deployment/trust")?, "insecure")?;
        counters(&machine, "root-b", Counters::untried(2, 0))?;
    }
    Ok(())
}
