//! `make tamper`: a thousand altered disks judged by the host tool, and a hundred booted. `OFFLINE` and `BOOTS` say how many,
//! `SUREFOOT_SEED` repeats the mutations of an earlier run.

use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use surefoot_ci::random::{self, Random, SEED};
use surefoot_ci::tamper::booted::Booted;
use surefoot_ci::tamper::{Kind, Tally, Victim, offline};

const OFFLINE: u64 = 1000;
const BOOTS: u64 = 100;

fn main() -> Result<()> {
    let (mutations, boots, seed) =
        (random::count("OFFLINE", OFFLINE)?, random::count("BOOTS", BOOTS)?, random::seed()?);
    println!("{mutations} altered disks judged and {boots} booted, {SEED}={seed}");
    let start = Instant::now();
    let results: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..).zip(Kind::ALL).map(|lane| scope.spawn(move || one(lane, mutations, boots, seed))).collect();
        let join =
            |lane: thread::ScopedJoinHandle<'_, _>| lane.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        lanes.into_iter().map(join).collect()
    });
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
    let (minutes, seconds) = (start.elapsed().as_secs() / 60, start.elapsed().as_secs() % 60);
    println!("\n{} altered disks judged, {} booted, in {minutes} min {seconds} s", judged.total(), booted.total());
    println!("surefoot explain and surefoot verity verify:\n{judged}booted:\n{booted}");
    ensure!(failed == 0, "{failed} kinds failed; {SEED}={seed} repeats the mutations");
    Ok(())
}

/// One kind's share.
fn one((number, kind): (u64, Kind), mutations: u64, boots: u64, seed: u64) -> Result<(Tally, Tally)> {
    let share = |all| random::share(all, number, 4);
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
