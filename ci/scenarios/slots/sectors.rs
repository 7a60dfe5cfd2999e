//! Boots with a sector that cannot be read; `make faults` meets hundreds.

use anyhow::{Result, ensure};
use surefoot_ci::drive::Unreadable;
use surefoot_ci::slots::sectors::{Became, Region, Sectors};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] =
    &[("slots::unreadable_tables", tables), ("slots::unreadable_slot", slot), ("slots::unreadable_state", state)];

/// What must be said of it.
type Expected = (Region, u64, bool, fn(&Became) -> bool);

/// Boots with each of these sectors, which are counted from the beginning of their region.
fn meet(name: &str, expected: &[Expected]) -> Result<()> {
    let mut sectors = Sectors::new(name, 0)?;
    for &(region, place, once, is_right) in expected {
        let sector = sectors.extent(region)?.0 + place;
        let became = sectors.meet(Unreadable { sector, once })?;
        eprintln!("{name}: {region}, sector {place} of it: {became}");
        ensure!(is_right(&became), "{region}, sector {place} of it: it should not have become {became}");
    }
    Ok(())
}

fn tables(name: &str) -> Result<()> {
    let told: fn(&Became) -> bool =
        |became| matches!(became, Became::Stopped(why) if why.contains("vda (it cannot be read"));
    meet(
        name,
        &[(Region::PrimaryTable, 1, false, told), (Region::BackupTable, 32, false, |became| *became == Became::First)],
    )
}

fn slot(name: &str) -> Result<()> {
    meet(
        name,
        &[
            // The superblock and the topmost block of the hash tree, and the superblock of the filesystem.
            (Region::HashTree, 0, false, |became| matches!(became, Became::Other(_))),
            (Region::HashTree, 8, false, |became| matches!(became, Became::Other(_))),
            (Region::Root, 2, false, |became| matches!(became, Became::Other(_))),
            (Region::HashTree, 0, true, |_| true),
        ],
    )
}

/// The superblock of the filesystem, which both slots need.
fn state(name: &str) -> Result<()> {
    meet(
        name,
        &[(
            Region::State,
            2,
            false,
            |became| matches!(became, Became::Stopped(why) if why.contains("/dev/vda5: input/output error")),
        )],
    )
}
