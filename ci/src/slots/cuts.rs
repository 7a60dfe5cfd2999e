//! Power cuts at random moments of updates and boots, and what must hold after each.
//!
//! After every cut at least one copy of the partition table is valid, and the next boot comes up verified, in what ran
//! before or in the update, without a candidate that fails: what a cut left half written is no candidate.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use surefoot_probe::Report;

use crate::cgpt::{self, Counters};
use crate::drive::Drive;
use crate::machine::{End, Outcome, boot_report};
use crate::random::Random;
use crate::slots::machine::{image, update};
use crate::slots::{EMPTY, Image, Slot, SlotMachine, accept};

const MARK_GOOD: &str = "/usr/bin/surefoot mark-good";
const STAGE: &str = "/usr/bin/surefoot stage /mnt/update --tries 3";
/// Label of the slot that is partition 1. The other one is made as an empty slot.
const FIRST: &str = "root-a";
/// The kernel's first line, and the probe's when it starts the first program.
const MARKERS: [&str; 2] = ["Linux version", "probe: running"];
/// PID 1's line right before it writes to the partition table, and the time in which that surely is done.
const WRITE: (&str, Duration) = ("write down a try", Duration::from_millis(200));

/// What is done when the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum During {
    /// A good system boots, and stages the image that does not run.
    Update,
    /// A system that has to be tried boots, and marks itself good.
    Trial,
}

/// What became of one cut.
#[derive(Clone, Debug)]
pub struct Cycle {
    /// What was cut.
    pub during: During,
    /// The power was to be cut so long after a console line with this text.
    pub moment: (&'static str, Duration),
    /// Whether that moment came: the machine may have been done before.
    pub cut: bool,
    /// Whether the cut left one copy of the partition table damaged.
    pub damaged: bool,
    /// Whether the next boot came up in another slot than the one before.
    pub changed: bool,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let during = if self.during == During::Update { "update" } else { "trial" };
        let (marker, delay) = self.moment;
        let cut = if self.cut { "cut" } else { "was done before its cut" };
        let damaged = if self.damaged { ", one table damaged" } else { "" };
        let came_up = if self.changed { "the update" } else { "what ran before" };
        write!(f, "{during} {cut} {:.3} s after \"{marker}\"{damaged}; {came_up} came up", delay.as_secs_f32())
    }
}

/// A machine whose power is cut again and again.
#[derive(Debug)]
pub struct Cuts {
    machine: SlotMachine,
    random: Random,
    accept: String,
    images: [Image; 2],
    media: [Drive; 2],
    /// Which of the images runs, and the number of the partition that it is in.
    running: (usize, usize),
    /// How long the machine runs after a marker when nothing disturbs it.
    lasts: BTreeMap<(During, &'static str), Duration>,
    count: u32,
}

impl Cuts {
    /// Makes the machine, and lets it update itself once without a cut.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(name: &str, seed: u64) -> Result<Self> {
        let images = [image("1", &[])?, image("2", &[])?];
        let media = [SlotMachine::medium(&update(&images[0])?)?, SlotMachine::medium(&update(&images[1])?)?];
        let machine = SlotMachine::new(name, &[Slot::new(FIRST, &images[0], Counters::good(1)), Slot::empty()])?;
        let accept = accept(&images);
        let random = Random::new(seed);
        let mut cuts =
            Self { machine, random, accept, images, media, running: (0, 1), lasts: BTreeMap::new(), count: 0 };
        let outcome = cuts.boot(During::Update, None)?;
        ensure!(cuts.done(During::Update, &outcome)?, "the first update should not have been cut\n{}", outcome.tail());
        ensure!(cuts.settle(true)?, "the first update should have come up");
        Ok(cuts)
    }

    /// Cuts the power once, and lets the machine come up again.
    ///
    /// # Errors
    /// When anything does not hold that must.
    pub fn cycle(&mut self) -> Result<Cycle> {
        self.count += 1;
        let (during, moment) = self.draw();
        let mut cycle = Cycle { during, moment, cut: false, damaged: false, changed: false };
        self.try_cycle(&mut cycle).with_context(|| format!("cycle {}: {cycle}", self.count))?;
        Ok(cycle)
    }

    /// When to cut: anywhere in the whole boot, or in the programs at its end, or around the end of an update, where it
    /// becomes the next one, or while PID 1 writes.
    fn draw(&mut self) -> (During, (&'static str, Duration)) {
        let choice = self.random.below(6);
        let (during, marker) = match choice {
            0 => (During::Update, MARKERS[0]),
            1..=3 => (During::Update, MARKERS[1]),
            4 => (During::Trial, MARKERS[1]),
            _ => return (During::Trial, (WRITE.0, self.random.shorter_than(WRITE.1))),
        };
        let lasts = self.lasts.get(&(during, marker)).copied().unwrap_or_default();
        let delay = match choice {
            // The machine is slower at one time than at another: some of these come before the end, some after it.
            2..=3 => lasts * 3 / 4 + self.random.shorter_than(lasts * 3 / 4),
            _ => self.random.shorter_than(lasts),
        };
        (during, (marker, delay))
    }

    fn try_cycle(&mut self, cycle: &mut Cycle) -> Result<()> {
        let disk = self.machine.disk.disk.path.clone();
        if cycle.during == During::Trial {
            let now = cgpt::show(&disk, self.running.1)?;
            cgpt::set(&disk, self.running.1, Counters::untried(now.priority, 15))?;
        }
        let outcome = self.boot(cycle.during, Some(cycle.moment))?;
        cycle.cut = outcome.end == End::PowerCut;
        let done = self.done(cycle.during, &outcome)?;
        cycle.damaged = !cgpt::damaged(&disk).context("no copy of the partition table is valid")?.is_empty();
        cycle.changed = self.settle(done && cycle.during == During::Update)?;
        ensure!(!cycle.changed || cycle.during == During::Update, "another slot came up although nothing was staged");
        Ok(())
    }

    /// The boot whose power is cut.
    fn boot(&self, during: During, cut: Option<(&str, Duration)>) -> Result<Outcome> {
        let vm = self.machine.vm(&format!("{}-cut", self.count)).append(&self.accept);
        let vm = if let Some((marker, delay)) = cut { vm.cut_power(marker, delay) } else { vm };
        let vm = vm.append(&format!("probe.run=\"{MARK_GOOD}\""));
        let spare = &self.media[1 - self.running.0];
        match during {
            During::Trial => vm.run(),
            During::Update => {
                self.erase_spare()?;
                let words = format!("probe.mount=/dev/vdb:/mnt:erofs probe.run=\"{STAGE}\"");
                vm.drive(spare.clone()).append(&words).run()
            }
        }
    }

    /// Fills the slot that does not run with zeros. An update that is written over an older copy of itself would be whole
    /// however little of it was written.
    fn erase_spare(&self) -> Result<()> {
        let label = if self.running.1 == 1 { EMPTY } else { FIRST };
        let disk = &self.machine.disk.disk;
        let length = usize::try_from(disk.extent(label)?.1)?;
        disk.overwrite(label, 0, &vec![0; length])
    }

    /// Whether a machine that might have been cut did all that it was told.
    fn done(&mut self, during: During, outcome: &Outcome) -> Result<bool> {
        if outcome.end == End::PowerCut {
            return Ok(false);
        }
        self.which(&outcome.all_ran().with_context(|| outcome.tail())?)?;
        for marker in MARKERS {
            let lasted = outcome.duration_after(marker).with_context(|| format!("no line \"{marker}\""))?;
            self.lasts.insert((during, marker), lasted);
        }
        Ok(true)
    }

    /// Boots without a cut and marks what came up as good. Whether that is another slot than before; `must_change` where
    /// an update was staged to its end.
    fn settle(&mut self, must_change: bool) -> Result<bool> {
        let words = format!("{} probe.run=\"{MARK_GOOD}\"", self.accept);
        let outcome = self.machine.vm(&format!("{}-after", self.count)).append(&words).run()?;
        ensure!(self.done(During::Trial, &outcome)?, "it should not have been cut");
        let running = self.which(&outcome.probe()?)?;
        let changed = running != self.running;
        ensure!(changed || !must_change, "the update was staged and did not come up\n{}", outcome.tail());
        self.running = running;
        let damaged = cgpt::damaged(&self.machine.disk.disk.path)?;
        ensure!(damaged.is_empty(), "the boot should have repaired the partition table: {damaged:?}");
        Ok(changed)
    }

    /// Which image came up, and from which partition; verified, and as the first candidate.
    fn which(&self, report: &Report) -> Result<(usize, usize)> {
        let boot = boot_report(report)?;
        ensure!(boot.pointer("/deployment/trust") == Some(&json!("verified")), "it is not verified: {boot}");
        ensure!(boot.get("failed") == Some(&json!([])), "a candidate failed before: {boot}");
        let hash = boot.pointer("/deployment/root_hash").and_then(Value::as_str).context("no root hash")?;
        let image =
            self.images.iter().position(|image| image.tree.root_hash == hash).context("an unknown root hash")?;
        let number = boot.pointer("/deployment/slot/partition").and_then(Value::as_u64).context("no slot")?;
        Ok((image, usize::try_from(number)?))
    }
}
