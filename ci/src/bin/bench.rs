//! `make bench`: what surefoot costs, beside what others cost. `PART` names one table; all of them go to docs/performance.md.

use std::fs;

use anyhow::{Result, ensure};
use surefoot_ci::bench::peers::Peers;
use surefoot_ci::bench::section::Section;
use surefoot_ci::bench::subject::Subject;
use surefoot_ci::bench::{boot, growth, images, sizes, verity};
use surefoot_ci::paths;

/// The tables, in the order of the document.
const PARTS: [&str; 5] = ["boot", "growth", "initramfs", "size", "verity"];

/// What the document begins with.
const INTRODUCTION: &str = "# What surefoot costs

`make bench` measures this, and writes it down here. Each table is made in one run on one machine, with the same kernel and
the same disk. What counts is how figures relate to one another: by themselves they tell of the machine, here an emulated one.

";

fn main() -> Result<()> {
    let part = std::env::var("PART").unwrap_or_default();
    ensure!(part.is_empty() || PARTS.contains(&&*part), "PART={part}: one of {} is wanted", PARTS.join(", "));
    let wanted: Vec<_> = PARTS.into_iter().filter(|name| part.is_empty() || *name == part).collect();
    let subject = Subject::new()?;
    let peers = Peers::new(&subject.kernel)?;
    let sections = wanted.into_iter().map(|name| match name {
        "boot" => boot::compare(&subject, &peers),
        "growth" => growth::compare(&subject),
        "initramfs" => images::compare(&subject.kernel, &peers),
        "size" => sizes::compare(&peers),
        _ => verity::compare(),
    });
    let sections: Vec<_> = sections.collect::<Result<_>>()?;
    if part.is_empty() {
        let text: Vec<_> = sections.iter().map(Section::markdown).collect();
        fs::write(paths::workspace().join("docs/performance.md"), INTRODUCTION.to_owned() + &text.join("\n"))?;
    }
    Ok(())
}
