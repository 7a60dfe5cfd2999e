//! `make soak`: power cuts by the hundred, on several machines at once. `CYCLES` says how many, `SUREFOOT_SEED` repeats
//! the moments of an earlier run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use surefoot_ci::random::{self, SEED};
use surefoot_ci::slots::cuts::{Cuts, Cycle};

const CYCLES: u64 = 200;

fn main() -> Result<()> {
    let cycles = match std::env::var("CYCLES") {
        Ok(text) => text.parse().with_context(|| format!("CYCLES={text}: a number is wanted"))?,
        Err(_) => CYCLES,
    };
    let machines = thread::available_parallelism().map_or(1, |count| count.get() as u64).min(cycles.max(1));
    let seed = random::seed()?;
    println!("{cycles} power cuts on {machines} machines, {SEED}={seed}");
    let (start, done) = (Instant::now(), AtomicU64::new(0));
    let lanes: Vec<_> = thread::scope(|scope| {
        let lane = |machine| {
            let done = &done;
            let share = cycles / machines + u64::from(machine < cycles % machines);
            scope.spawn(move || lane(machine, seed.wrapping_add(machine), share, (done, cycles)))
        };
        let lanes: Vec<_> = (0..machines).map(lane).collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a machine's thread panicked"))))
            .collect()
    });
    let failures = lanes.iter().filter_map(|lane| lane.as_ref().err());
    for (number, why) in (1..).zip(failures) {
        println!("\nfailure {number}: {why:?}");
    }
    let failed = lanes.iter().filter(|lane| lane.is_err()).count();
    let all: Vec<_> = lanes.into_iter().flatten().flatten().collect();
    summary(&all, start.elapsed().as_secs());
    (failed == 0).then_some(()).with_context(|| format!("{failed} machines failed; {SEED}={seed} repeats the moments"))
}

/// One machine's share of the cycles; `progress` is how many are done on all machines, and of how many.
fn lane(machine: u64, seed: u64, share: u64, progress: (&AtomicU64, u64)) -> Result<Vec<Cycle>> {
    let mut cuts = Cuts::new(&format!("soak-{machine}"), seed)?;
    let mut all = Vec::new();
    for _ in 0..share {
        let cycle = cuts.cycle().with_context(|| format!("machine {machine}"))?;
        println!("{}/{} {cycle}", progress.0.fetch_add(1, Ordering::Relaxed) + 1, progress.1);
        all.push(cycle);
    }
    Ok(all)
}

fn summary(cycles: &[Cycle], seconds: u64) {
    let count = |of: fn(&Cycle) -> bool| cycles.iter().filter(|cycle| of(cycle)).count();
    println!("\n{} cycles in {} min {} s, each followed by a good boot:", cycles.len(), seconds / 60, seconds % 60);
    println!("  {} cut, {} done before", count(|cycle| cycle.cut), count(|cycle| !cycle.cut));
    println!("  {} left one partition table damaged, which the boot repaired", count(|cycle| cycle.damaged));
    println!("  {} came up in the update, {} as before", count(|cycle| cycle.changed), count(|cycle| !cycle.changed));
}
