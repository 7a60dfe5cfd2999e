//! `make tamper`: a thousand altered disks judged by the host tool, and a hundred booted. `OFFLINE` and `BOOTS` say how many,
//! `SUREFOOT_SEED` repeats the mutations of an earlier run.

use std::time::Instant;

use anyhow::{Result, ensure};
use surefoot_ci::batch::{self, Since};
use surefoot_ci::random::{self, Random, SEED};
use surefoot_ci::tamper::booted::Booted;
use surefoot_ci::tamper::{Kind, Tally, Victim, offline};

const OFFLINE: u64 = 1000;
const BOOTS: u64 = 100;

fn main() -> Result<()> {
    let (mutations, boots, seed) = (batch::count("OFFLINE", OFFLINE)?, batch::count("BOOTS", BOOTS)?, random::seed()?);
    println!("{mutations} altered disks judged and {boots} booted, {SEED}={seed}");
    let start = Since(Instant::now());
    let results = batch::each((0..).zip(Kind::ALL), |lane| one(lane, mutations, boots, seed));
    let (mut judged, mut booted) = (Tally::default(), Tally::default());
    let mut failed = 0;
    for result in results {
        match result {
            Ok((first, second)) => {
                judged.merge(first);
                booted.merge(second);
            }
            Err(why) => {
                failed += 1;
                println!("\nfailure {failed}: {why:?}");
            }
        }
    }
    println!("\n{} altered disks judged, {} booted, in {start}", judged.total(), booted.total());
    println!("surefoot explain and surefoot verity verify:\n{judged}booted:\n{booted}");
    ensure!(failed == 0, "{failed} kinds failed; {SEED}={seed} repeats the mutations");
    Ok(())
}

/// One kind's share.
fn one((number, kind): (u64, Kind), mutations: u64, boots: u64, seed: u64) -> Result<(Tally, Tally)> {
    let share = |all| batch::share(all, number, 4);
    let victim = Victim::new(kind, &format!("tamper-{kind}"))?;
    let mut random = Random::new(seed.wrapping_add(number));
    let judged = offline::run(&victim, &mut random, share(mutations))?;
    println!("{kind}: {} altered disks judged", judged.total());
    if share(boots) == 0 {
        return Ok((judged, Tally::default()));
    }
    let booted = Booted::new(&victim)?.run(&mut random, share(boots), &|line| println!("{line}"))?;
    Ok((judged, booted))
}
