//! Power cuts while a boot ledger is written, by replay of recorded writes, and of running machines. `make cuts` and
//! `make soak` do hundreds.

use anyhow::{Context, Result};
use surefoot_ci::power::kills::Kills;
use surefoot_ci::power::{Keeper, Subject, replay};
use surefoot_ci::random::{self, Random, SEED};

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("power::replay_of_the_partition_table", |name| replay(name, Keeper::Table)),
    ("power::replay_of_a_file_on_ext4", |name| replay(name, Keeper::Ext4)),
    ("power::replay_of_a_file_on_btrfs", |name| replay(name, Keeper::Btrfs)),
    ("power::replay_of_names", |name| replay(name, Keeper::Names)),
    ("power::kills_with_a_file_on_ext4", |name| kills(name, Keeper::Ext4)),
    ("power::kills_with_a_file_on_btrfs", |name| kills(name, Keeper::Btrfs)),
    ("power::kills_with_names", |name| kills(name, Keeper::Names)),
];

/// Of each keeper.
const CUTS: u64 = 30;
const KILLS: u64 = 2;

fn replay(name: &str, keeper: Keeper) -> Result<()> {
    let seed = random::seed()?;
    let subject = Subject::new(keeper, name)?;
    let replayed = replay::run_all(&subject, &mut Random::new(seed), CUTS);
    eprintln!("{name}: {SEED}={seed}: {}", replayed.with_context(|| format!("{SEED}={seed}"))?);
    Ok(())
}

fn kills(name: &str, keeper: Keeper) -> Result<()> {
    let seed = random::seed()?;
    let mut kills = Kills::new(keeper, name, seed)?;
    for _ in 0..KILLS {
        eprintln!("{name}: {SEED}={seed}: {}", kills.cycle().with_context(|| format!("{SEED}={seed}"))?);
    }
    Ok(())
}
