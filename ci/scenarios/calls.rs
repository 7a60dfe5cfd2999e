//! System calls by which a root is set up fail once: without dm-verity all of them, on the kernel of this machine, and some of
//! them with dm-verity, in guests. `make faults` has each fail with every error number.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use surefoot_ci::calls::{self, Depth, LANES, guest};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] =
    &[("calls::each_fails_once", each_fails_once), ("calls::each_fails_once_with_verity", each_fails_once_with_verity)];

const CARRY_OUT: &str = env!("CARGO_BIN_EXE_carry-out");
/// Of the calls in a guest, which takes its time, one in so many fails; of those to the device-mapper all do.
const STEP: usize = 7;
/// Far more than the guests take, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);

fn each_fails_once(name: &str) -> Result<()> {
    let totals = calls::run(Path::new(CARRY_OUT), Depth::One, LANES, "", &|_, _| ())?;
    eprintln!("{name}: {totals}");
    totals.judge()
}

fn each_fails_once_with_verity(name: &str) -> Result<()> {
    let totals = guest::run(name, Path::new(CARRY_OUT), Depth::Sample(STEP), "", PATIENCE, &|_, _| ())?;
    eprintln!("{name}: {totals}");
    totals.judge()
}
