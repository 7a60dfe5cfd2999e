//! The budget of ci/budget.toml.

use anyhow::{Context, Result, ensure};
use surefoot_ci::bench::subject::Subject;
use surefoot_ci::budget::Budget;
use surefoot_ci::kernel::Package;
use surefoot_ci::size;

use crate::Scenario;
use crate::judge::{boot_report, booted};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] =
    &[("size::files", files), ("size::memory_of_pid1", memory), ("size::instructions_of_a_boot", instructions)];

fn files(_: &str) -> Result<()> {
    let over: Vec<_> = size::measure()?.into_iter().filter(|size| size.bytes > size.budget).collect();
    ensure!(over.is_empty(), "over their budget: {over:#?}");
    Ok(())
}

/// What PID 1 itself reports as the most memory that it has had resident.
fn memory(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.boot("")?)?;
    let peak = boot_report(&report)?.pointer("/agent/memory_peak_kib").and_then(serde_json::Value::as_u64);
    let (peak, budget) = (peak.context("boot.json has no agent.memory_peak_kib")?, Budget::read()?.pid1_memory_kib);
    ensure!(peak > 0 && peak <= budget, "PID 1 has had {peak} KiB of memory, its budget is {budget}");
    Ok(())
}

/// Instructions are the same on a busy machine, but for what is waited for: the least of some boots counts.
fn instructions(_: &str) -> Result<()> {
    const RUNS: u64 = 3;
    let (found, budget) = (Subject::new(Package::Cloud61)?.instructions(RUNS)?, Budget::read()?.boot_instructions);
    let difference = found.abs_diff(budget);
    ensure!(
        difference <= budget / 20,
        "a boot takes {found} instructions, which is not {budget} with 5 % more or less"
    );
    Ok(())
}
