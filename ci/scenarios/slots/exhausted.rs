//! No slot is left: `surefoot.on-exhausted=` decides, and no policy reboots for ever.

use anyhow::{Result, ensure};
use surefoot_ci::cgpt::Counters;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::paths;
use surefoot_ci::slots::machine::image;
use surefoot_ci::slots::{Slot, SlotMachine};

use crate::Scenario;
use crate::slots::judge::{counters, in_slot};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("slots::exhausted_reboots_then_last_good", reboots_then_last_good),
    ("slots::exhausted_reboots_then_halts", reboots_then_halts),
    ("slots::exhausted_last_good", last_good),
    ("slots::exhausted_shell", shell),
    ("slots::exhausted_poweroff", |name| ends(name, "poweroff", End::PoweredOff)),
    ("slots::exhausted_halt", |name| ends(name, "halt", End::Halted)),
];

/// The attribute bit of what has been marked good once.
const ONCE_GOOD: u64 = 1 << 58;

/// Two slots whose tries are all spent; neither was ever good.
fn spent(name: &str) -> Result<SlotMachine> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let slots = [Slot::new("root-a", &a, Counters::untried(1, 0)), Slot::new("root-b", &b, Counters::untried(2, 0))];
    SlotMachine::new(name, &slots)
}

/// A slot that was good once and has since been marked bad, and one that is spent.
fn once_good(name: &str) -> Result<SlotMachine> {
    let (a, b) = (image("1", &[])?, image("2", &[])?);
    let once_good = Slot::new("root-a", &a, Counters::default()).attributes(ONCE_GOOD);
    SlotMachine::new(name, &[once_good, Slot::new("root-b", &b, Counters::untried(1, 0))])
}

fn without_init(outcome: &Outcome, end: End) -> Result<()> {
    ensure!(outcome.end == end, "it should have ended {end:?}\n{}", outcome.tail());
    ensure!(outcome.report.is_empty(), "it should not have started the real init\n{}", outcome.tail());
    Ok(())
}

/// As often as is allowed, and then whatever was good once.
fn reboots_then_last_good(name: &str) -> Result<()> {
    let machine = once_good(name)?;
    let policy = "surefoot.on-exhausted=reboot:2";
    for boot in ["1", "2"] {
        without_init(&machine.boot(boot, policy)?, End::Rebooted)?;
    }
    in_slot(&machine.boot("3", policy)?, "root-a")?;
    // The ledger still lets no slot boot: what helped once is done at once.
    in_slot(&machine.boot("4", policy)?, "root-a").map(drop)
}

/// Where nothing was ever good, the machine stands still in the end, and stays so when it is switched on again.
fn reboots_then_halts(name: &str) -> Result<()> {
    let machine = spent(name)?;
    let policy = "surefoot.on-exhausted=reboot:1";
    without_init(&machine.boot("1", policy)?, End::Rebooted)?;
    without_init(&machine.boot("2", policy)?, End::Halted)?;
    counters(&machine, "root-a", Counters::untried(1, 0))?;
    counters(&machine, "root-b", Counters::untried(2, 0))
}

fn last_good(name: &str) -> Result<()> {
    in_slot(&once_good(name)?.boot("1", "surefoot.on-exhausted=last-good")?, "root-a").map(drop)
}

fn ends(name: &str, policy: &str, end: End) -> Result<()> {
    let machine = spent(name)?;
    without_init(&machine.boot("1", &format!("surefoot.on-exhausted={policy}"))?, end)
}

/// A shell that is packed is opened.
fn shell(name: &str) -> Result<()> {
    let probe = paths::program("surefoot-probe")?;
    let machine = spent(name)?.packing(&["--add", &format!("{}:/bin/sh", probe.display())])?;
    let outcome = machine.boot("1", "surefoot.on-exhausted=shell")?;
    without_init(&outcome, End::Rebooted)?;
    ensure!(outcome.console.contains("probe: started as a shell"), "there should be a shell\n{}", outcome.tail());
    Ok(())
}
