//! Altered disks; `make tamper` does a thousand, and boots a hundred.

use anyhow::{Context, Result};
use surefoot_ci::random::{self, Random, SEED};
use surefoot_ci::tamper::booted::Booted;
use surefoot_ci::tamper::{Kind, Victim, offline};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("tamper::slots", |name| tamper(name, Kind::Slots)),
    ("tamper::images", |name| tamper(name, Kind::Images)),
    ("tamper::composefs", |name| tamper(name, Kind::Composefs)),
    ("tamper::ostree", |name| tamper(name, Kind::Ostree)),
];

/// Of each kind.
const JUDGED: u64 = 40;
const BOOTED: u64 = 3;

fn tamper(name: &str, kind: Kind) -> Result<()> {
    let seed = random::seed()?;
    let mut random = Random::new(seed);
    let victim = Victim::new(kind, name)?;
    let judged = offline::run(&victim, &mut random, JUDGED).with_context(|| format!("{SEED}={seed}"))?;
    let told = |line: &str| eprintln!("{name}: {line}");
    let booted = Booted::new(&victim)?.run(&mut random, BOOTED, &told).with_context(|| format!("{SEED}={seed}"))?;
    eprintln!("{name}: {SEED}={seed}; judged:\n{judged}booted:\n{booted}");
    Ok(())
}
