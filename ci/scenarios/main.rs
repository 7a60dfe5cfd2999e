//! Boots in QEMU: one test for each thing that a user relies on. In the guest the probe is the real init; what it
//! reports is what is asserted on. Where no init may be started, the reason on the console is.
//!
//! `cargo test -p surefoot-ci --test scenarios -- NAME` runs those whose names contain NAME.

mod boot;
mod btrfs;
mod buses;
mod calls;
mod cmdline;
mod composefs;
mod deadline;
mod debian_btrfs;
mod debian_ostree;
mod filesystems;
mod fsverity;
mod handoff;
mod images;
mod judge;
mod layers;
mod mixed;
mod modules;
mod naming;
mod neighbours;
mod ostree;
mod power;
mod rauc;
mod setup;
mod size;
mod slots;
mod state;
mod supply;
mod systemd;
mod tamper;
mod time;
mod verity;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

/// A scenario: its name, and what it does, told its own name.
type Scenario = (&'static str, fn(&str) -> Result<()>);

/// Machines that run at once: most of a failing boot is the pause in which its message can be read.
const MACHINES: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(MACHINES));
    let themes: &[&[Scenario]] = &[
        systemd::SCENARIOS,
        slots::cuts::SCENARIOS,
        calls::SCENARIOS,
        boot::SCENARIOS,
        btrfs::boot::SCENARIOS,
        btrfs::fallback::SCENARIOS,
        btrfs::update::SCENARIOS,
        buses::SCENARIOS,
        cmdline::SCENARIOS,
        composefs::accepted::SCENARIOS,
        composefs::boots::SCENARIOS,
        composefs::peer::SCENARIOS,
        composefs::refusals::SCENARIOS,
        composefs::state::SCENARIOS,
        deadline::SCENARIOS,
        debian_btrfs::SCENARIOS,
        debian_ostree::SCENARIOS,
        filesystems::SCENARIOS,
        fsverity::SCENARIOS,
        handoff::SCENARIOS,
        images::boot::SCENARIOS,
        images::tries::SCENARIOS,
        layers::SCENARIOS,
        mixed::SCENARIOS,
        modules::SCENARIOS,
        naming::SCENARIOS,
        neighbours::SCENARIOS,
        ostree::boot::SCENARIOS,
        ostree::composefs::SCENARIOS,
        ostree::fallback::SCENARIOS,
        ostree::ledger::SCENARIOS,
        ostree::subvolume::SCENARIOS,
        power::SCENARIOS,
        rauc::SCENARIOS,
        size::SCENARIOS,
        slots::choice::SCENARIOS,
        slots::commands::SCENARIOS,
        slots::exhausted::SCENARIOS,
        slots::fallback::SCENARIOS,
        slots::hang::SCENARIOS,
        slots::sectors::SCENARIOS,
        slots::table::SCENARIOS,
        slots::tries::SCENARIOS,
        slots::update::SCENARIOS,
        state::SCENARIOS,
        supply::SCENARIOS,
        tamper::SCENARIOS,
        time::SCENARIOS,
        verity::SCENARIOS,
    ];
    let trials = themes.iter().copied().flatten().map(|&(name, scenario)| {
        Trial::test(name, move || scenario(name).map_err(|why| Failed::from(format!("{why:?}"))))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
