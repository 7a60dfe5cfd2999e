//! `make faults`: boots with a sector that cannot be read, by the hundred, on several machines at once. `SECTORS` says how
//! many, `SUREFOOT_SEED` repeats those of an earlier run. Every fourth one cannot be read once, all others never.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use surefoot_ci::batch::{self, Since};
use surefoot_ci::drive::Unreadable;
use surefoot_ci::random::{self, SEED};
use surefoot_ci::slots::sectors::{Region, Sectors};

const SECTORS: u64 = 200;

/// How often each region of the disk led to each end.
type Ends = BTreeMap<(Region, &'static str), usize>;

fn main() -> Result<()> {
    let sectors = batch::count("SECTORS", SECTORS)?;
    // Most of a boot that stops is the pause in which its message can be read.
    let machines = (2 * thread::available_parallelism().map_or(1, |count| count.get() as u64)).min(sectors.max(1));
    let seed = random::seed()?;
    println!("{sectors} unreadable sectors on {machines} machines, {SEED}={seed}");
    let (start, done) = (Since(Instant::now()), AtomicU64::new(0));
    let lanes = batch::each(0..machines, |machine| {
        let share = batch::share(sectors, machine, machines);
        lane(machine, seed.wrapping_add(machine), share, (&done, sectors))
    });
    let (mut ends, mut failures) = (Ends::new(), Vec::new());
    for lane in lanes {
        let (lane, why) = lane?;
        failures.extend(why);
        for (key, count) in lane {
            *ends.entry(key).or_default() += count;
        }
    }
    for (number, why) in (1..).zip(&failures) {
        println!("\nfailure {number}: {why:?}");
    }
    println!("\n{} boots in {start}:", ends.values().sum::<usize>());
    for ((region, end), count) in &ends {
        println!("  {region}: {count} {end}");
    }
    let failed = failures.len();
    (failed == 0).then_some(()).with_context(|| format!("{failed} boots failed; {SEED}={seed} repeats the sectors"))
}

/// One machine's share of the sectors; `progress` is how many are done on all machines, and of how many. A boot that is not as
/// it must be does not keep the others from being made.
fn lane(machine: u64, seed: u64, share: u64, progress: (&AtomicU64, u64)) -> Result<(Ends, Vec<anyhow::Error>)> {
    let mut sectors = Sectors::new(&format!("faults-{machine}"), seed)?;
    let (mut ends, mut failures) = (Ends::new(), Vec::new());
    for number in 0..share {
        let region = sectors.draw_region();
        let sector = Unreadable { sector: sectors.draw(region)?, once: number % 4 == 3 };
        let place = sector.sector - sectors.extent(region)?.0;
        let met = sectors.meet(sector).with_context(|| format!("{region}, sector {place} of it"));
        let count = progress.0.fetch_add(1, Ordering::Relaxed) + 1;
        let once = if sector.once { ", once" } else { "" };
        match met {
            Ok(became) => {
                println!("{count}/{} {region}, sector {place} of it{once}: {became}", progress.1);
                *ends.entry((region, became.kind())).or_default() += 1;
            }
            Err(why) => {
                println!("{count}/{} {region}, sector {place} of it{once}: failure: {why:#}", progress.1);
                failures.push(why);
            }
        }
    }
    Ok((ends, failures))
}
