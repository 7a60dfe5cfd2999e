//! Updates: staged by the running system, tried, and found good; or refused.

use anyhow::Result;
use surefoot_ci::cgpt::{self, Counters};
use surefoot_ci::slots::machine::{image, update};
use surefoot_ci::slots::{Slot, SlotMachine, accept};

use crate::Scenario;
use crate::judge::{actions, same, text};
use crate::slots::judge::{counters, in_slot, ran};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::staged_slot_is_tried_and_stays", staged_slot_is_tried_and_stays),
    ("slots::damaged_update_is_not_staged", damaged_update_is_not_staged),
];

const MARK_GOOD: &str = "/usr/bin/surefoot mark-good";
const STAGE: &str = "/usr/bin/surefoot stage /mnt/update --label root-b --tries 2";

/// The whole way of an update: staged from the running slot, tried, found good, and there to stay.
fn staged_slot_is_tried_and_stays(name: &str) -> Result<()> {
    let (old, new) = (image("1", &[])?, image("2", &[])?);
    let machine = SlotMachine::new(name, &[Slot::new("root-a", &old, Counters::good(1)), Slot::empty()])?;
    let accept = accept([&old, &new]);
    let words = format!("{accept} probe.mount=/dev/vdb:/mnt:erofs probe.run=\"{STAGE}\"");
    let outcome = machine.vm("stage").drive(SlotMachine::medium(&update(&new)?)?).append(&words).run()?;
    let report = in_slot(&outcome, "root-a")?;
    ran(&report, STAGE, 0)?;
    counters(&machine, "root-a", Counters::good(1))?;
    counters(&machine, "_empty", Counters::untried(2, 2))?;
    let number = machine.disk.root_number("_empty")?;
    same("the label", cgpt::label(&machine.disk.disk.path, number)?.as_str(), "root-b")?;

    let words = format!("{accept} probe.run=\"{MARK_GOOD}\" probe.read=/etc/os-release");
    let report = in_slot(&machine.vm("try").append(&words).run()?, "root-b")?;
    ran(&report, MARK_GOOD, 0)?;
    let release = "ID=surefoot-probe\nNAME=\"surefoot probe\"\nVERSION_ID=2\n";
    actions(&report, &[("probe.read=/etc/os-release", text(release))])?;
    counters(&machine, "_empty", Counters::good(2))?;

    in_slot(&machine.vm("stay").append(&accept).run()?, "root-b")?;
    counters(&machine, "_empty", Counters::good(2))
}

/// An image that its hash tree does not vouch for ends on the disk, but not among the candidates.
fn damaged_update_is_not_staged(name: &str) -> Result<()> {
    let (old, new) = (image("1", &[])?, image("2", &[])?);
    let machine = SlotMachine::new(name, &[Slot::new("root-a", &old, Counters::good(1)), Slot::empty()])?;
    let accept = accept([&old, &new]);
    let mut damaged = std::fs::read(&new.data)?;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let medium = SlotMachine::medium(&update(&new)?.file("update", damaged, 0o644))?;
    let words = format!("{accept} probe.mount=/dev/vdb:/mnt:erofs probe.run=\"{STAGE}\"");
    let report = in_slot(&machine.vm("stage").drive(medium).append(&words).run()?, "root-a")?;
    ran(&report, STAGE, 1)?;
    counters(&machine, "_empty", Counters::default())?;
    in_slot(&machine.vm("after").append(&accept).run()?, "root-a")?;
    counters(&machine, "_empty", Counters::default())
}
