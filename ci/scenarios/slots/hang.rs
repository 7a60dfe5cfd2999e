//! A slot that hangs in the initramfs: the watchdog resets the machine, and the slot has lost a try.

use anyhow::{Result, ensure};
use surefoot_ci::cgpt::Counters;
use surefoot_ci::machine::End;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine};

use crate::Scenario;
use crate::slots::judge::{counters, in_slot};

pub(crate) const SCENARIOS: &[Scenario] = &[("slots::watchdog_before_the_hand_over", before_the_hand_over)];

/// The disk stops answering while the slot is being set up.
fn before_the_hand_over(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(1)), Slot::new("root-b", &b, Counters::untried(2, 1))];
    let machine = SlotMachine::new(name, &slots)?;
    let words = format!("{} debug surefoot.watchdog=15", machine.disk.accept_all());
    let hangs = machine.vm("hangs").watchdog().append(&words).starve("surefoot: root-b takes", 0);
    let outcome = hangs.run()?;
    ensure!(outcome.end == End::Watchdog, "the watchdog should have reset it\n{}", outcome.tail());
    ensure!(outcome.report.is_empty(), "it should not have started the real init\n{}", outcome.tail());
    counters(&machine, "root-b", Counters::untried(2, 0))?;
    in_slot(&machine.vm("after").watchdog().append(&words).run()?, "root-a").map(drop)
}
