//! `make cuts`: a thousand power cuts by replay of recorded writes, over all keepers of a boot ledger. `CUTS` says how many,
//! `SUREFOOT_SEED` repeats the moments of an earlier run.

use std::time::Instant;

use anyhow::{Result, ensure};
use surefoot_ci::batch::{self, Since};
use surefoot_ci::power::replay::{self, Replayed};
use surefoot_ci::power::{Keeper, Subject};
use surefoot_ci::random::{self, Random, SEED};

const CUTS: u64 = 1000;

fn main() -> Result<()> {
    let (cuts, seed, start) = (batch::count("CUTS", CUTS)?, random::seed()?, Since(Instant::now()));
    println!("{cuts} power cuts by replay, {SEED}={seed}");
    let results = batch::each((0..).zip(Keeper::ALL), |(number, keeper)| {
        let subject = Subject::new(keeper, &format!("cuts-{number}"))?;
        replay::run_all(&subject, &mut Random::new(seed.wrapping_add(number)), batch::share(cuts, number, 4))
    });
    println!();
    for result in &results {
        match result {
            Ok(replayed) => println!("{replayed}"),
            Err(why) => println!("FAILED: {why:?}"),
        }
    }
    let done: u64 = results.iter().flatten().map(Replayed::cuts).sum();
    println!("{done} cuts in {start}; after each the ledger was the old or the new one, and what would boot was whole");
    let failed = results.iter().filter(|result| result.is_err()).count();
    ensure!(failed == 0, "{failed} keepers failed; {SEED}={seed} repeats the moments");
    Ok(())
}
