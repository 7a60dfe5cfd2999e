//! Power cuts of running machines whose boot ledger is in a filesystem. Those of slots are [`crate::slots::cuts`].

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::drive::Drive;
use crate::host_tool;
use crate::machine::{End, Outcome, boot_report};
use crate::power::{Keeper, Subject};
use crate::random::Random;

const MARK_GOOD: &str = "probe.run=\"/usr/bin/surefoot mark-good\"";
/// The kernel's first line, and the probe's when it starts the first program.
const MARKERS: [&str; 2] = ["Linux version", "probe: running"];
/// How long PID 1 writes at most.
const WRITE: Duration = Duration::from_millis(200);

/// What became of one cut.
#[derive(Clone, Debug)]
pub struct Kill {
    /// What kept the ledger.
    pub keeper: Keeper,
    /// The power was to be cut so long after a console line with this text.
    moment: (&'static str, Duration),
    /// Whether that moment came: the machine may have been done before.
    pub cut: bool,
    /// Tries that were left before, and after the cut.
    tries: [u8; 2],
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keeper, moment: (marker, delay), cut, tries: [before, after] } = self;
        let cut = if *cut { "cut" } else { "was done before its cut" };
        write!(f, "{keeper}: {cut} {:.3} s after \"{marker}\"; tries {before}, then {after}", delay.as_secs_f32())
    }
}

/// A machine whose power is cut again and again.
#[derive(Debug)]
pub struct Kills {
    subject: Subject,
    random: Random,
    lasts: [Duration; 2],
    count: u32,
}

impl Kills {
    /// Makes the machine, and boots it once without a cut.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(keeper: Keeper, name: &str, seed: u64) -> Result<Self> {
        let subject = Subject::new(keeper, name)?;
        let mut kills = Self { subject, random: Random::new(seed), lasts: [Duration::ZERO; 2], count: 0 };
        let outcome = kills.boot("first", None)?;
        kills.came_up(&outcome).with_context(|| outcome.tail())?;
        for (lasts, marker) in kills.lasts.iter_mut().zip(MARKERS) {
            *lasts = outcome.duration_after(marker).with_context(|| format!("no line \"{marker}\""))?;
        }
        Ok(kills)
    }

    /// Cuts the power once, and lets the machine come up again.
    ///
    /// # Errors
    /// When anything does not hold that must.
    pub fn cycle(&mut self) -> Result<Kill> {
        self.count += 1;
        let kill = self.try_cycle();
        kill.with_context(|| format!("{}: cycle {}", self.subject.keeper, self.count))
    }

    fn try_cycle(&mut self) -> Result<Kill> {
        let update = self.subject.names[1].clone();
        self.subject.tell(&["mark-bad", &update])?;
        self.subject.tell(&["set-next", &update, "--tries", "15"])?;
        let before = self.tries()?;
        let moment = self.draw();
        let outcome = self.boot("cut", Some(moment))?;
        let cut = outcome.end == End::PowerCut;
        let after = self.tries()?;
        // A try is counted or it is not; what was marked good has none.
        ensure!(
            [before, before - 1, 0].contains(&after),
            "there were {before} tries, and now {after}\n{}",
            outcome.tail()
        );
        let outcome = self.boot("after", None)?;
        self.came_up(&outcome).with_context(|| outcome.tail())?;
        Ok(Kill { keeper: self.subject.keeper, moment, cut, tries: [before, after] })
    }

    /// When to cut: anywhere in the boot, while PID 1 writes a try down, or while the system marks itself good.
    fn draw(&mut self) -> (&'static str, Duration) {
        let write = if self.subject.keeper == Keeper::Names { ": rename " } else { "write down a try" };
        match self.random.below(4) {
            0 => (MARKERS[0], self.random.shorter_than(self.lasts[0])),
            1 => (write, self.random.shorter_than(WRITE)),
            _ => (MARKERS[1], self.random.shorter_than(self.lasts[1])),
        }
    }

    fn boot(&self, boot: &str, cut: Option<(&str, Duration)>) -> Result<Outcome> {
        let vm = self.subject.vm(&format!("{}-{boot}", self.count), Drive::new(&self.subject.disk).keep_writes());
        let vm = if let Some((marker, delay)) = cut { vm.cut_power(marker, delay) } else { vm };
        vm.append(MARK_GOOD).run()
    }

    /// Fails unless the update came up, as the first candidate, and marked itself good.
    fn came_up(&self, outcome: &Outcome) -> Result<()> {
        let boot = boot_report(&outcome.all_ran()?)?;
        let name = boot.pointer("/deployment/name").and_then(Value::as_str);
        ensure!(name == Some(&self.subject.names[1]), "the update should have come up, not {name:?}");
        ensure!(boot.get("failed") == Some(&json!([])), "a candidate failed before: {boot}");
        Ok(())
    }

    /// Tries of the update that are left. The tool has nothing to complain of.
    fn tries(&self) -> Result<u8> {
        host_tool::tries_left(&self.subject.ledger(&self.subject.disk.path)?, &self.subject.names[1])
    }
}
