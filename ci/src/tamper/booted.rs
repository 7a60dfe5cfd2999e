//! How machines boot whose disk was altered.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use surefoot_probe::Outcome as Done;

use crate::machine::{BOOT_FAILED, End, Outcome, STARTING, boot_report};
use crate::random::Random;
use crate::tamper::mutation::{self, Altered};
use crate::tamper::{Tally, Victim};

/// What the probe does, which is the real init: read all of the root.
const READ: &str = "probe.digest=/";
/// The kernel's words when it finds a block that is other than its hash (dm-verity-target.c, fs/verity/verify.c).
const CORRUPTED: [&str; 2] = ["is corrupted", "FILE CORRUPTED!"];

/// How a machine with an altered disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What comes first came up, and was read whole as it was made.
    FirstChoice,
    /// The other deployment came up, and was read whole as it was made.
    FellBack,
    /// The real init was given an error for what was altered.
    ReadError,
    /// The kernel ended the machine when something was read that was altered.
    Restarted,
    /// PID 1 refused to go on, and said why.
    Refused,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstChoice => "came up in the first choice, which was read as it was made",
            Self::FellBack => "fell back, and what came up was read as it was made",
            Self::ReadError => "came up; reading what was altered was an error",
            Self::Restarted => "came up; the kernel ended the machine at what was altered",
            Self::Refused => "refused, with the reason on the console",
        })
    }
}

/// A machine that is booted with altered disks.
#[derive(Debug)]
pub struct Booted<'v> {
    victim: &'v Victim,
    /// What the real init reads where nothing was altered, by the deployment's name; the first choice is told apart.
    digests: BTreeMap<String, String>,
    first: String,
}

impl<'v> Booted<'v> {
    /// Boots each deployment of the machine as it was made.
    ///
    /// # Errors
    /// When they do not come up, or cannot be told apart.
    pub fn new(victim: &'v Victim) -> Result<Self> {
        let mut booted = Self { victim, digests: BTreeMap::new(), first: String::new() };
        for (number, name) in (1..).zip(&victim.names) {
            let outcome = victim.vm(&format!("unaltered-{number}"), &only(&victim.words, name)).run()?;
            let (name, read) = came_up(&outcome)?;
            let Done::Text(digest) = read else { bail!("{name} cannot be read: {read:?}\n{}", outcome.tail()) };
            booted.digests.insert(name, digest);
        }
        let differ = booted.digests.values().collect::<std::collections::BTreeSet<_>>().len() == 2;
        ensure!(differ, "the two deployments should differ: {:?}", booted.digests);
        let outcome = victim.vm("unaltered", &victim.words).run()?;
        booted.first = came_up(&outcome)?.0;
        Ok(booted)
    }

    /// Alters the disk `count` times, one change at a time, and boots each.
    ///
    /// # Errors
    /// When altered content was read, or something came up that is not verified, or nothing is said.
    pub fn run(&self, random: &mut Random, count: u64, told: &dyn Fn(&str)) -> Result<Tally> {
        let mut tally = Tally::default();
        while tally.total() < count {
            let mutation = mutation::draw(random, &self.victim.regions)?;
            let altered = Altered::new(&self.victim.disk, mutation.change)?;
            if altered.is_other() {
                let number = tally.total();
                let ending = self.once(number);
                let ending = ending.with_context(|| format!("{} mutation {number}, {mutation}", self.victim.kind))?;
                told(&format!("{}: {mutation}: {ending}", self.victim.kind));
                tally.add(self.victim.kind, &mutation, &ending);
            }
            altered.take_back()?;
        }
        Ok(tally)
    }

    fn once(&self, number: u64) -> Result<Ending> {
        let outcome = self.victim.vm(&format!("altered-{number}"), &self.victim.words).run()?;
        self.judge(&outcome).with_context(|| outcome.tail())
    }

    fn judge(&self, outcome: &Outcome) -> Result<Ending> {
        ensure!(outcome.end != End::TimedOut, "it hangs");
        if !outcome.report.is_empty() {
            let (name, read) = came_up(outcome)?;
            let Done::Text(digest) = read else { return Ok(Ending::ReadError) };
            let made = self.digests.get(&name).with_context(|| format!("{name} is not known"))?;
            ensure!(*made == digest, "{name} was read other than it was made");
            return Ok(if name == self.first { Ending::FirstChoice } else { Ending::FellBack });
        }
        if outcome.console.contains(BOOT_FAILED) {
            return Ok(Ending::Refused);
        }
        let corrupted = CORRUPTED.iter().any(|words| outcome.console.contains(words));
        let handed_over = outcome.console.contains(STARTING);
        ensure!(corrupted && handed_over && outcome.end == End::Rebooted, "it ended without a reason");
        Ok(Ending::Restarted)
    }
}

/// The words by which only this deployment may boot.
fn only(words: &str, name: &str) -> String {
    let words = words.split(' ').filter(|word| !word.starts_with("surefoot.deployment="));
    format!("{} surefoot.deployment={name}", words.collect::<Vec<_>>().join(" "))
}

/// The deployment that came up, which must be verified, and what became of reading it.
fn came_up(outcome: &Outcome) -> Result<(String, Done)> {
    let report = outcome.probe()?;
    let boot = boot_report(&report)?;
    let trust = boot.pointer("/deployment/trust").and_then(Value::as_str);
    ensure!(trust == Some("verified"), "what came up is not verified: {boot}");
    let name = boot.pointer("/deployment/name").and_then(Value::as_str).context("what came up has no name")?;
    let read = report.outcome(READ).cloned().context("the probe was not told to read its root")?;
    Ok((name.to_owned(), read))
}
