//! Every system call by which a root is set up fails once, on the kernel of this machine; `make faults` has each fail with
//! every error number.

use std::path::Path;

use anyhow::Result;
use surefoot_ci::calls::{self, Depth, LANES};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[("calls::each_fails_once", each_fails_once)];

fn each_fails_once(name: &str) -> Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_carry-out"));
    let totals = calls::run(program, Depth::One, LANES, "", &|_, _| ())?;
    eprintln!("{name}: {totals}");
    totals.judge()
}
