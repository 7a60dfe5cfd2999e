//! A real distribution with two slots that RAUC updates: what `dist/rauc` ships, in a booted Debian.

use anyhow::Result;
use surefoot_ci::demo::story::{Boot, Stage, Story};

use crate::Scenario;
use crate::judge::same;

pub(crate) const SCENARIOS: &[Scenario] = &[("rauc::update", update), ("rauc::broken_update", broken_update)];

/// What every story begins with.
const BEGINNING: [&str; 4] = ["version 1 runs", "slot 1 runs", "slot 1 is good", "RAUC: slot 1 booted"];

fn update(name: &str) -> Result<()> {
    let boots = Stage::build(Story::RaucUpdate)?.play(name, |_| ())?;
    let installed = ["RAUC installs the update", "slot 3 is untested", "RAUC: slot 3 is primary"];
    let after = [
        "version 2 runs",
        "slot 3 runs",
        "slot 3 is good",
        "RAUC: slot 3 booted",
        "RAUC: slot 3 is good",
        "RAUC: slot 3 is primary",
        "RAUC marks slot 1 active",
        "slot 1 is next",
        "RAUC marks slot 1 bad",
        "slot 1 is bad",
        "RAUC: slot 3 is primary",
        "RAUC marks slot 3 good",
    ];
    same("the boots", &checks(&boots), &vec![[&BEGINNING[..], &installed].concat(), after.to_vec()])
}

fn broken_update(name: &str) -> Result<()> {
    let boots = Stage::build(Story::RaucBroken)?.play(name, |_| ())?;
    let installed = ["RAUC installs the update", "slot 3 is untested", "RAUC: slot 3 is primary"];
    let panic = || vec!["panic"];
    let after = [
        "version 1 runs",
        "slot 1 runs",
        "slot 1 is good",
        "slot 3 is spent",
        "RAUC: slot 1 booted",
        "RAUC: slot 3 is bad",
        "surefoot status says why",
        "the message of the day says why",
    ];
    let expected = vec![[&BEGINNING[..], &installed].concat(), panic(), panic(), panic(), after.to_vec()];
    same("the boots", &checks(&boots), &expected)
}

/// What each boot has checked; "panic" for one that did not get there.
fn checks(boots: &[Boot]) -> Vec<Vec<&str>> {
    let passed = boots.iter().map(|boot| match boot {
        Boot::Panicked => vec!["panic"],
        Boot::Up(lines) => lines.iter().filter_map(|line| line.strip_prefix("ok ")).collect(),
    });
    passed.collect()
}
