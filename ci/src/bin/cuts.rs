//! `make cuts`: a thousand power cuts by replay of recorded writes, over all keepers of a boot ledger. `CUTS` says how many,
//! `SUREFOOT_SEED` repeats the moments of an earlier run.

use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use surefoot_ci::power::replay::{self, Replayed};
use surefoot_ci::power::{Keeper, Subject};
use surefoot_ci::random::{self, Random, SEED};

const CUTS: u64 = 1000;

fn main() -> Result<()> {
    let (cuts, seed, start) = (random::count("CUTS", CUTS)?, random::seed()?, Instant::now());
    println!("{cuts} power cuts by replay, {SEED}={seed}");
    let results: Vec<_> = thread::scope(|scope| {
        let lane = |(number, keeper): (u64, Keeper)| {
            scope.spawn(move || {
                let subject = Subject::new(keeper, &format!("cuts-{number}"))?;
                replay::run_all(&subject, &mut Random::new(seed.wrapping_add(number)), random::share(cuts, number, 4))
            })
        };
        let lanes: Vec<_> = (0..).zip(Keeper::ALL).map(lane).collect();
        let join =
            |lane: thread::ScopedJoinHandle<'_, _>| lane.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        lanes.into_iter().map(join).collect()
    });
    println!();
    for result in &results {
        match result {
            Ok(replayed) => println!("{replayed}"),
            Err(why) => println!("FAILED: {why:?}"),
        }
    }
    let (minutes, seconds) = (start.elapsed().as_secs() / 60, start.elapsed().as_secs() % 60);
    let done: u64 = results.iter().flatten().map(Replayed::cuts).sum();
    println!(
        "{done} cuts in {minutes} min {seconds} s; after each the ledger was the old or the new one, and what would boot was whole"
    );
    let failed = results.iter().filter(|result| result.is_err()).count();
    ensure!(failed == 0, "{failed} keepers failed; {SEED}={seed} repeats the moments");
    Ok(())
}
