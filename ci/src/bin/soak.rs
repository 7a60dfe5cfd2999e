//! `make soak`: the power of running machines is cut by the hundred, over all keepers of a boot ledger, on several machines at
//! once. `CYCLES` says how many, `SUREFOOT_SEED` repeats the moments of an earlier run.

use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use surefoot_ci::batch::{self, Since};
use surefoot_ci::power::Keeper;
use surefoot_ci::power::kills::{Kill, Kills};
use surefoot_ci::random::{self, SEED};
use surefoot_ci::slots::cuts::{Cuts, Cycle};

const CYCLES: u64 = 200;
/// Cycles of one machine before another one is made.
const EACH: u64 = 25;

/// What became of the cycles of all machines.
#[derive(Default)]
struct Soak {
    slots: Vec<Cycle>,
    files: Vec<Kill>,
    failures: Vec<anyhow::Error>,
}

fn main() -> Result<()> {
    let cycles = batch::count("CYCLES", CYCLES)?;
    let (seed, start) = (random::seed()?, Since(Instant::now()));
    let jobs = jobs(cycles);
    let machines = thread::available_parallelism().map_or(1, usize::from).min(jobs.len().max(1));
    println!("{cycles} power cuts on {machines} machines at once, {SEED}={seed}");
    let (jobs, done, soak) = (Mutex::new(jobs), AtomicU64::new(0), Mutex::new(Soak::default()));
    thread::scope(|scope| {
        for _ in 0..machines {
            scope.spawn(|| {
                while let Some(job) = locked(&jobs).pop() {
                    let say = |cycle: &dyn Display| {
                        println!("{}/{cycles} {cycle}", done.fetch_add(1, Ordering::Relaxed) + 1);
                    };
                    if let Err(why) = run(job, seed, &soak, &say) {
                        locked(&soak).failures.push(why);
                    }
                }
            });
        }
    });
    let soak = soak.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (number, why) in (1..).zip(&soak.failures) {
        println!("\nfailure {number}: {why:?}");
    }
    soak.summary(start);
    ensure!(soak.failures.is_empty(), "{} machines failed; {SEED}={seed} repeats the moments", soak.failures.len());
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The machines: number, keeper and cycles. Half of the cycles fall to slots, which write to the table in most ways.
fn jobs(cycles: u64) -> Vec<(u64, Keeper, u64)> {
    let [table, files @ ..] = Keeper::ALL;
    let slots = cycles.div_ceil(2);
    let others = (0..).zip(files).map(|(number, keeper)| (keeper, batch::share(cycles - slots, number, 3)));
    let mut jobs = Vec::new();
    for (keeper, mut left) in others.chain([(table, slots)]) {
        while left > 0 {
            let share = left.min(EACH);
            jobs.push((jobs.len() as u64, keeper, share));
            left -= share;
        }
    }
    jobs
}

/// All cycles of one machine.
fn run(
    (number, keeper, share): (u64, Keeper, u64),
    seed: u64,
    soak: &Mutex<Soak>,
    say: &dyn Fn(&dyn Display),
) -> Result<()> {
    let (name, seed) = (format!("soak-{number}"), seed.wrapping_add(number));
    if keeper == Keeper::Table {
        let mut cuts = Cuts::new(&name, seed)?;
        for _ in 0..share {
            let cycle = cuts.cycle().with_context(|| format!("machine {number}"))?;
            say(&cycle);
            locked(soak).slots.push(cycle);
        }
        return Ok(());
    }
    let mut kills = Kills::new(keeper, &name, seed)?;
    for _ in 0..share {
        let kill = kills.cycle().with_context(|| format!("machine {number}"))?;
        say(&kill);
        locked(soak).files.push(kill);
    }
    Ok(())
}

impl Soak {
    fn summary(&self, start: Since) {
        let slots = |of: fn(&Cycle) -> bool| self.slots.iter().filter(|cycle| of(cycle)).count();
        let all = self.slots.len() + self.files.len();
        println!("\n{all} cycles in {start}, each followed by a good boot:");
        println!("slots: {} cut, {} done before", slots(|cycle| cycle.cut), slots(|cycle| !cycle.cut));
        println!("  {} left one partition table damaged, which the boot repaired", slots(|cycle| cycle.damaged));
        println!(
            "  {} came up in the update, {} as before",
            slots(|cycle| cycle.changed),
            slots(|cycle| !cycle.changed)
        );
        for keeper in Keeper::ALL.into_iter().filter(|keeper| *keeper != Keeper::Table) {
            let of = |cut| self.files.iter().filter(|kill| kill.keeper == keeper && kill.cut == cut).count();
            println!("{keeper}: {} cut, {} done before", of(true), of(false));
        }
    }
}
