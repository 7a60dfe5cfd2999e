//! `make faults`: every system call that PID 1 makes while it sets a root up fails once with every error number, first on the
//! kernel of this machine, then, with dm-verity, in guests. `CALLS` is a part of the names of the cases that are tried;
//! `ERRORS=1` has each call fail with one error number alone. `REASONS=1` shows the reasons.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use surefoot_ci::batch::Since;
use surefoot_ci::calls::{self, Depth, Totals, guest};

/// A guest makes some thousand runs of about a second.
const PATIENCE: Duration = Duration::from_hours(4);

fn main() -> Result<()> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let depth = if variable("ERRORS") == "1" { Depth::One } else { Depth::All };
    let program = std::env::current_exe()?.parent().context("a folder")?.join("carry-out");
    let start = Since(Instant::now());
    let progress = |case: &str, totals: &Totals| {
        println!("{case}: {totals}");
        totals.wrong.iter().for_each(|wrong| println!("  {wrong}"));
    };
    let filter = variable("CALLS");
    let mut totals = calls::run(&program, depth, calls::LANES, &filter, &progress)?;
    totals.add(guest::run("calls", &program, depth, &filter, PATIENCE, &progress)?);
    if variable("REASONS") == "1" {
        let mut reasons = BTreeMap::<_, Vec<_>>::new();
        for said in &totals.reasons {
            reasons.entry((&said.case, &said.what)).or_default().push(said.fault.as_str());
        }
        for ((case, reason), faults) in reasons {
            println!("{case}: {reason}\n    after {}", faults.join(", "));
        }
    }
    println!("\n{totals}, in {start}");
    totals.judge()
}
