//! What is shipped can be made again by anyone, byte for byte.

use anyhow::{Result, ensure};
use surefoot_ci::command::{command, run};
use surefoot_ci::kernel::{self, Package};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[("supply::reproducible", reproducible)];

fn reproducible(name: &str) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reproducible");
    let said = run(command(script).arg(kernel::fetch(Package::Cloud612)?.tree))?;
    ensure!(said.contains(" are the same from two folders"), "{said}");
    eprint!("{name}: {said}");
    Ok(())
}
