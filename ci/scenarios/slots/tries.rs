//! What a try costs, and that cgpt and surefoot read each other.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use surefoot_ci::cgpt::Counters;
use surefoot_ci::machine::End;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine};

use crate::Scenario;
use crate::judge::{actions, boot_report, same, text};
use crate::slots::judge::{counters, fallback, in_slot, in_slot_until, ran};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::untried_slot_is_charged", untried_slot_is_charged),
    ("slots::panics_use_up_the_tries", panics_use_up_the_tries),
    ("slots::power_cycle_of_a_slot_that_hangs", power_cycle_of_a_slot_that_hangs),
    ("slots::cgpt_is_obeyed", cgpt_is_obeyed),
];

/// The first boot of a new machine: the try is spent before the slot comes up.
fn untried_slot_is_charged(name: &str) -> Result<()> {
    let a = image("1", &[])?;
    let machine = SlotMachine::new(name, &[Slot::new("root-a", &a, Counters::untried(1, 3)), Slot::empty()])?;
    let report = in_slot(&machine.boot("1", "")?, "root-a")?;
    let slot = boot_report(&report)?.pointer("/deployment/slot").cloned().unwrap_or_default();
    let expected = json!({
        "disk": "vda", "partition": 1, "priority": 1, "tries_left": 2, "successful": false, "once_good": false,
    });
    same("the slot in boot.json", &slot, &expected)?;
    same("what was meant", &fallback(&report)?, &None)?;
    counters(&machine, "root-a", Counters::untried(1, 2))
}

const STATUS: &str = "/usr/bin/surefoot status --slots";
const NOTICE: &str = "/usr/bin/surefoot notice";
const MOTD: &str = "/run/motd.d/60-surefoot";

/// A slot whose system brings the kernel down is given up after its tries, and the running one says so.
fn panics_use_up_the_tries(name: &str) -> Result<()> {
    let (good, broken) = (image("1", &[])?, image("2", &["probe.then=panic"])?);
    let slots = [Slot::new("root-a", &good, Counters::good(1)), Slot::new("root-b", &broken, Counters::untried(2, 2))];
    let machine = SlotMachine::new(name, &slots)?;
    for left in [1, 0] {
        in_slot_until(&machine.boot(&format!("{left}-left"), "")?, "root-b", End::Rebooted)?;
        counters(&machine, "root-b", Counters::untried(2, left))?;
    }
    let words = format!("probe.run=\"{STATUS}\" probe.run=\"{NOTICE}\" probe.read={MOTD}");
    let report = in_slot(&machine.boot("given-up", &words)?, "root-a")?;
    let (meant, why) = fallback(&report)?.context("boot.json should tell of a fallback")?;
    ensure!(meant == "root-b" && why.contains("tries"), "what was meant, and why not: {meant}, {why}");
    let slots = &ran(&report, STATUS, 0)?.stdout;
    let expected = "root-a\t1\t1\t0\tgood\trunning\nroot-b\t3\t2\t0\tspent\t-\n";
    same("the slots", slots.as_str(), expected)?;
    let notice = &ran(&report, NOTICE, 0)?.stdout;
    ensure!(notice.contains("root-b") && notice.contains(&why), "the notice should say why:\n{notice}\nit was: {why}");
    actions(&report, &[(&format!("probe.read={MOTD}"), text(notice))])?;
    counters(&machine, "root-b", Counters::untried(2, 0))?;
    counters(&machine, "root-a", Counters::good(1))
}

/// A system that stands still until somebody pulls the plug.
fn power_cycle_of_a_slot_that_hangs(name: &str) -> Result<()> {
    let (good, broken) = (image("1", &[])?, image("2", &["probe.then=sleep"])?);
    let slots = [Slot::new("root-a", &good, Counters::good(1)), Slot::new("root-b", &broken, Counters::untried(2, 1))];
    let machine = SlotMachine::new(name, &slots)?;
    let hangs = machine.vm("hangs").append(&machine.disk.accept_all()).cut_power("probe: sleeping", Duration::ZERO);
    in_slot_until(&hangs.run()?, "root-b", End::PowerCut)?;
    counters(&machine, "root-b", Counters::untried(2, 0))?;
    in_slot(&machine.boot("after", "")?, "root-a").map(drop)
}

/// Debian's cgpt decides: what it writes between two boots is what the next one goes by.
fn cgpt_is_obeyed(name: &str) -> Result<()> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::good(2)), Slot::new("root-b", &b, Counters::good(1))];
    let machine = SlotMachine::new(name, &slots)?;
    in_slot(&machine.boot("first", "")?, "root-a")?;
    machine.disk.set_counters("root-b", Counters::untried(3, 15))?;
    in_slot(&machine.boot("higher", "")?, "root-b")?;
    counters(&machine, "root-b", Counters::untried(3, 14))?;
    machine.disk.set_counters("root-b", Counters { priority: 0, tries: 15, successful: true })?;
    in_slot(&machine.boot("never", "")?, "root-a")?;
    counters(&machine, "root-b", Counters { priority: 0, tries: 15, successful: true })
}
