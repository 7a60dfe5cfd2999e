//! Sectors of a disk with two slots that cannot be read, and what must hold of the boot that meets one.
//!
//! The boot comes up verified in the slot that comes first, or in the other one with the reason reported, or it stops with
//! a reason on the console. It does not hang, and it does not come up as something else without saying so.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cgpt::{self, Counters};
use crate::disk::{self, TABLE_SECTORS};
use crate::drive::{Drive, Unreadable};
use crate::machine::{BOOT_FAILED, End, Outcome, STARTING, boot_report};
use crate::random::Random;
use crate::slots::machine::image;
use crate::slots::{Image, Slot, SlotMachine};

/// Label of the slot that comes first. It has one try.
const FIRST: &str = "root-b";
/// Label of the other one, which is good.
const OTHER: &str = "root-a";
const STATE: &str = "state";
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Devices that are not there after this time do not come any more.
const DEADLINE: &str = "rd.timeout=10";

/// A part of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The protective MBR and the primary partition table.
    PrimaryTable,
    /// The backup partition table.
    BackupTable,
    /// The root filesystem of the slot that comes first.
    Root,
    /// Its hash tree.
    HashTree,
    /// The filesystem of the state partition.
    State,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PrimaryTable, Self::BackupTable, Self::Root, Self::HashTree, Self::State];
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrimaryTable => "primary table",
            Self::BackupTable => "backup table",
            Self::Root => "root",
            Self::HashTree => "hash tree",
            Self::State => "state",
        })
    }
}

/// What became of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// The first slot came up, whole.
    First,
    /// It came up, and reports what is lacking.
    Degraded(String),
    /// The other slot came up and reports why.
    Other(String),
    /// The kernel restarted the machine after the hand-over, and the other slot came up next.
    Restarted,
    /// Nothing came up, and the console says why.
    Stopped(String),
}

impl Became {
    /// What it is, without the reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::First => "first slot",
            Self::Degraded(_) => "first slot, degraded",
            Self::Other(_) => "other slot",
            Self::Restarted => "restarted, then other slot",
            Self::Stopped(_) => "stopped",
        }
    }
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First | Self::Restarted => f.write_str(self.kind()),
            Self::Degraded(why) | Self::Other(why) | Self::Stopped(why) => write!(f, "{}: {why}", self.kind()),
        }
    }
}

/// A disk that is copied for each boot.
#[derive(Debug)]
pub struct Sectors {
    machine: SlotMachine,
    image: Image,
    random: Random,
    /// What is mounted without a fault.
    mounts: Vec<String>,
    count: u32,
}

impl Sectors {
    /// Makes the disk, and boots it once without a fault.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(name: &str, seed: u64) -> Result<Self> {
        let (good, image) = (image("1", &[])?, image("2", &[])?);
        let slots = [Slot::new(OTHER, &good, Counters::good(1)), Slot::new(FIRST, &image, Counters::untried(2, 1))];
        let machine = SlotMachine::new(name, &slots)?;
        let mut sectors = Self { machine, image, random: Random::new(seed), mounts: Vec::new(), count: 0 };
        let disk = sectors.copy()?;
        let outcome = sectors.boot(&disk, None)?;
        sectors.mounts = mounts(&outcome)?;
        let became = sectors.judge(&disk, None, &outcome)?;
        ensure!(became == Became::First, "without a fault: {became}");
        Ok(sectors)
    }

    /// The first sector of a region, and how many it has that hold something.
    ///
    /// # Errors
    /// When an image is gone.
    pub fn extent(&self, region: Region) -> Result<(u64, u64)> {
        let disk = &self.machine.disk.disk;
        let within = |label: &str, length: Option<&Path>| -> Result<_> {
            let (start, bytes) = disk.extent(label)?;
            let bytes = length.map_or(Ok(bytes), |path| path.metadata().map(|metadata| metadata.len()))?;
            Ok((start / SECTOR, bytes / SECTOR))
        };
        let end = disk.path.metadata()?.len() / SECTOR;
        match region {
            Region::PrimaryTable => Ok((0, TABLE_SECTORS)),
            Region::BackupTable => Ok((end - TABLE_SECTORS + 1, TABLE_SECTORS - 1)),
            Region::Root => within(FIRST, Some(&self.image.data)),
            Region::HashTree => within(&format!("{FIRST}-verity"), Some(&self.image.tree.image)),
            Region::State => within(STATE, None),
        }
    }

    /// Any sector of a region.
    ///
    /// # Errors
    /// When an image is gone.
    pub fn draw(&mut self, region: Region) -> Result<u64> {
        let (start, count) = self.extent(region)?;
        Ok(start + self.random.below(count))
    }

    /// Any region.
    pub fn draw_region(&mut self) -> Region {
        let number = self.random.below(Region::ALL.len() as u64);
        usize::try_from(number).ok().and_then(|number| Region::ALL.get(number).copied()).unwrap_or(Region::Root)
    }

    /// Boots a copy of the disk with a sector that cannot be read.
    ///
    /// # Errors
    /// When anything does not hold that must.
    pub fn meet(&mut self, unreadable: Unreadable) -> Result<Became> {
        self.count += 1;
        let disk = self.copy()?;
        let outcome = self.boot(&disk, Some(unreadable))?;
        let became = self.judge(&disk, Some(unreadable), &outcome);
        became.with_context(|| format!("boot {} with {unreadable:?}\n{}", self.count, outcome.tail()))
    }

    fn copy(&self) -> Result<PathBuf> {
        let copy = self.machine.path("copy");
        disk::copy(&self.machine.disk.disk.path, &copy)?;
        Ok(copy)
    }

    fn boot(&self, disk: &Path, unreadable: Option<Unreadable>) -> Result<Outcome> {
        let drive = Drive::of_image(disk, SECTOR).keep_writes();
        let drive = unreadable.into_iter().fold(drive, Drive::unreadable);
        let words = format!("{} {DEADLINE}", self.machine.disk.accept_all());
        self.machine.bare(&self.count.to_string()).drive(drive).append(&words).run()
    }

    fn judge(&self, disk: &Path, unreadable: Option<Unreadable>, outcome: &Outcome) -> Result<Became> {
        let damaged = cgpt::damaged(disk).context("no copy of the partition table is valid")?;
        ensure!(unreadable.is_some() || damaged.is_empty(), "a partition table was damaged: {damaged:?}");
        if !outcome.report.is_empty() {
            return self.came_up(outcome);
        }
        ensure!(matches!(outcome.end, End::Rebooted | End::Halted), "it ended {:?}", outcome.end);
        if let Some((_, why)) = outcome.console.lines().find_map(|line| line.split_once(BOOT_FAILED)) {
            let why = why.split("; rebooting in ").next().unwrap_or_default();
            ensure!(why.contains(": ") || why.contains("vda"), "the reason says nothing: {why}");
            return Ok(Became::Stopped(why.to_owned()));
        }
        ensure!(outcome.console.contains(STARTING), "it restarted before the hand-over, and said nothing");
        let next = self.came_up(&self.boot(disk, unreadable)?).context("the boot after a restart")?;
        ensure!(matches!(next, Became::Other(_)), "the slot whose try was spent came up again: {next}");
        Ok(Became::Restarted)
    }

    fn came_up(&self, outcome: &Outcome) -> Result<Became> {
        ensure!(outcome.end == End::PoweredOff, "it should have powered off");
        let boot = boot_report(&outcome.probe()?)?;
        ensure!(boot.pointer("/deployment/trust") == Some(&json!("verified")), "it is not verified: {boot}");
        let degraded = boot.get("degraded").and_then(Value::as_array).cloned().unwrap_or_default();
        let degraded: Vec<_> = degraded.iter().map(ToString::to_string).collect();
        if degraded.is_empty() {
            let mounts = mounts(outcome)?;
            ensure!(mounts == self.mounts, "other mounts came up without a word: {mounts:?}, not {:?}", self.mounts);
        }
        match boot.pointer("/deployment/name").and_then(Value::as_str) {
            Some(FIRST) if degraded.is_empty() => Ok(Became::First),
            Some(FIRST) => Ok(Became::Degraded(degraded.join("; "))),
            Some(OTHER) => {
                ensure!(
                    boot.pointer("/fallback/from") == Some(&json!(FIRST)),
                    "it does not say what was meant: {boot}"
                );
                let why = boot.pointer("/fallback/reason").and_then(Value::as_str).unwrap_or_default();
                ensure!(!why.is_empty(), "it does not say why the other slot came up: {boot}");
                Ok(Became::Other(why.to_owned()))
            }
            _ => bail!("something else came up: {boot}"),
        }
    }
}

/// The mounts by target, with what is mounted there.
fn mounts(outcome: &Outcome) -> Result<Vec<String>> {
    let report = outcome.probe()?;
    let line = |mount: &surefoot_probe::Mount| format!("{} {} {}", mount.target, mount.filesystem, mount.source);
    let mut lines: Vec<_> = report.mounts.iter().map(line).collect();
    lines.sort();
    Ok(lines)
}
