//! What the running system says of its slots.

use anyhow::Result;
use surefoot_ci::cgpt::Counters;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine};

use crate::Scenario;
use crate::judge::same;
use crate::slots::judge::{counters, failed, in_slot, ran};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::fresh_slot_marks_itself_good", fresh_slot_marks_itself_good),
    ("slots::marked_bad_from_the_other_slot", marked_bad),
    ("slots::rollback_and_back", rollback_and_back),
];

const MARK_GOOD: &str = "/usr/bin/surefoot mark-good";

/// The first boot of a new machine takes a try; none is taken any more once the system has found itself good.
fn fresh_slot_marks_itself_good(name: &str) -> Result<()> {
    let a = image("1", &[])?;
    let machine = SlotMachine::new(name, &[Slot::new("root-a", &a, Counters::untried(1, 3)), Slot::empty()])?;
    let report = in_slot(&machine.boot("good", &format!("probe.run=\"{MARK_GOOD}\""))?, "root-a")?;
    ran(&report, MARK_GOOD, 0)?;
    counters(&machine, "root-a", Counters::good(1))?;
    let report = in_slot(&machine.boot("again", "")?, "root-a")?;
    same("what failed", &failed(&report)?, &Vec::new())?;
    counters(&machine, "root-a", Counters::good(1))
}

/// A slot that is marked bad does not boot any more, although it was good and came first.
fn marked_bad(name: &str) -> Result<()> {
    const MARK_BAD: &str = "/usr/bin/surefoot mark-bad root-b";
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(1)), Slot::new("root-b", &b, Counters::good(2))];
    let machine = SlotMachine::new(name, &slots)?;
    let pinned = format!("surefoot.deployment=slot:root-a probe.run=\"{MARK_BAD}\"");
    ran(&in_slot(&machine.boot("mark", &pinned)?, "root-a")?, MARK_BAD, 0)?;
    counters(&machine, "root-b", Counters::default())?;
    in_slot(&machine.boot("after", "")?, "root-a").map(drop)
}

/// Back to the slot before, and by name to the new one again.
fn rollback_and_back(name: &str) -> Result<()> {
    const ROLLBACK: &str = "/usr/bin/surefoot rollback";
    const SET_NEXT: &str = "/usr/bin/surefoot set-next root-b";
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(1)), Slot::new("root-b", &b, Counters::good(2))];
    let machine = SlotMachine::new(name, &slots)?;
    let report = in_slot(&machine.boot("new", &format!("probe.run=\"{ROLLBACK}\""))?, "root-b")?;
    ran(&report, ROLLBACK, 0)?;
    let report = in_slot(&machine.boot("old", &format!("probe.run=\"{SET_NEXT}\""))?, "root-a")?;
    ran(&report, SET_NEXT, 0)?;
    in_slot(&machine.boot("new-again", "")?, "root-b").map(drop)
}
