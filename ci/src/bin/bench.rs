//! `make bench`: what surefoot costs, beside what others cost. `PART` names one table; all of them go to docs/performance.md.

use std::cell::LazyCell;
use std::fs;

use anyhow::{Result, anyhow, ensure};
use surefoot_ci::bench::peers::Peers;
use surefoot_ci::bench::subject::Subject;
use surefoot_ci::bench::{boot, growth, images, sizes, verity};
use surefoot_ci::kernel::{self, Package};
use surefoot_ci::paths;

/// The tables, in the order of the document.
const PARTS: [&str; 6] = ["boot", "verity", "initramfs", "programs", "images", "growth"];

/// What the document begins with.
const INTRODUCTION: &str = "# What surefoot costs

`make bench` measures this, and writes it down here. Each table is made in one run on one machine; those of boots with the same
kernel, but where another one is named. What counts is how figures relate to one another: by themselves they tell of the machine, which may be an emulated one.

";

fn main() -> Result<()> {
    let part = std::env::var("PART").unwrap_or_default();
    ensure!(part.is_empty() || PARTS.contains(&&*part), "PART={part}: one of {} is wanted", PARTS.join(", "));
    let wanted: Vec<_> = PARTS.into_iter().filter(|name| part.is_empty() || *name == part).collect();
    // Each is made when it is first wanted.
    let subject = LazyCell::new(|| Subject::new(Package::Cloud61));
    let subject = || subject.as_ref().map_err(|why| anyhow!("{why:#}"));
    let peers = LazyCell::new(|| Peers::new(&kernel::fetch(Package::Cloud61)?));
    let peers = || peers.as_ref().map_err(|why| anyhow!("{why:#}"));
    let (mut text, mut drawing, mut failures) = (INTRODUCTION.to_owned(), None, Vec::new());
    for name in wanted {
        let section = match name {
            "boot" => subject().and_then(|subject| boot::compare(subject, peers()?)),
            "growth" => subject().and_then(growth::compare).map(|(section, curves)| {
                drawing = Some(curves);
                section
            }),
            "initramfs" => peers().and_then(|peers| images::compare(&kernel::fetch(Package::Cloud61)?, peers)),
            "programs" => peers().and_then(sizes::programs),
            "images" => sizes::images(),
            _ => verity::compare(),
        };
        match section {
            Ok(section) => text = text + &section.markdown() + "\n",
            Err(why) => {
                println!("{why:#}\n");
                failures.push(format!("{why:#}"));
            }
        }
    }
    ensure!(failures.is_empty(), "not all was measured, and nothing is written down: {}", failures.join("; "));
    if let Some(drawing) = drawing.filter(|_| part.is_empty()) {
        let document = |name: &str| paths::workspace().join("docs").join(name);
        fs::write(document("performance.md"), text.trim_end().to_owned() + "\n")?;
        fs::write(document("growth.svg"), drawing)?;
    }
    Ok(())
}
