//! Power cuts at ten random moments; `make soak` does hundreds.

use anyhow::{Context, Result};
use surefoot_ci::random::{self, SEED};
use surefoot_ci::slots::cuts::Cuts;

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] =
    &[("slots::power_cuts_1", |name| cuts(name, 0)), ("slots::power_cuts_2", |name| cuts(name, 1))];

/// On each of the machines.
const CYCLES: usize = 5;

fn cuts(name: &str, machine: u64) -> Result<()> {
    let seed = random::seed()?;
    eprintln!("{name}: {SEED}={seed}");
    let mut cuts = Cuts::new(name, seed.wrapping_add(machine))?;
    for _ in 0..CYCLES {
        let cycle = cuts.cycle().with_context(|| format!("{SEED}={seed}"))?;
        eprintln!("{name}: {cycle}");
    }
    Ok(())
}
