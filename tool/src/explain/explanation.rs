//! What is found out about a boot, as values: printed for people by `text`, for programs as JSON.

use std::borrow::Cow;
use std::fmt;

use boot_config::Config;
use deployment::candidates::{self, Candidate as Found, RootSource, Trust};
use deployment::discoverable::PartitionType;
use deployment::ledger::Change;
use deployment::table::PartitionTable;
use deployment::{BlockDevice, Facts, ledger};
use init::plan::{Plan, StateChoice};
use serde::Serialize;

use crate::disk_image::Disks;
use crate::output::printable;

/// What would happen.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Explanation {
    /// Whether the machine would boot, as far as can be told.
    pub(crate) boots: bool,
    /// Why it would not, in PID 1's own words.
    pub(crate) error: Option<String>,
    /// What PID 1 would do after saying so.
    pub(crate) then: Option<&'static str>,
    /// The program that the root would be handed over to, where a look inside told it.
    pub(crate) init: Option<String>,
    /// Words that have no effect.
    pub(crate) unknown_keys: Vec<UnknownKey>,
    /// What PID 1 would wait for in vain.
    pub(crate) waits: Option<Wait>,
    /// What would run although nothing vouches for it.
    pub(crate) insecure: Vec<String>,
    /// Why the machine would run with less than was asked for.
    pub(crate) degraded: Vec<String>,
    /// The block devices, with the partitions that the kernel would show.
    pub(crate) devices: Vec<Device>,
    /// The deployments that can boot, in the order in which they would be tried.
    pub(crate) candidates: Vec<Candidate>,
    /// The filesystems that would be mounted to look for deployments in them.
    pub(crate) looks: Vec<Look>,
    /// What was found there that is no candidate.
    pub(crate) passed_over: Vec<PassedOver>,
    /// The slots that cannot boot.
    pub(crate) no_candidates: Vec<NoCandidate>,
    /// Where writable layers would go.
    pub(crate) state: Option<String>,
    /// The plans that would be carried out, one after the other, until one succeeds.
    pub(crate) attempts: Vec<Attempt>,
    /// What would be written down in the boot ledger after them.
    pub(crate) afterwards: Vec<String>,
    /// What is worth knowing although nothing fails of it.
    pub(crate) notes: Vec<String>,
    /// What could not be told from what was given.
    pub(crate) not_checked: Vec<Cow<'static, str>>,
}

/// A key that this version does not know.
#[derive(Debug, Serialize)]
pub(crate) struct UnknownKey {
    /// The key.
    pub(crate) key: String,
    /// The valid key that looks most like it.
    pub(crate) nearest: Option<&'static str>,
}

/// A wait that ends without what it was for.
#[derive(Debug, Serialize)]
pub(crate) struct Wait {
    /// What is waited for.
    pub(crate) missing: String,
    /// For how long, in seconds; for ever when `None`.
    pub(crate) seconds: Option<u32>,
}

/// A block device.
#[derive(Debug, Serialize)]
pub(crate) struct Device {
    /// Its kernel name, were the images a machine's only virtio disks.
    pub(crate) name: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// A disk's partition table, or the filesystem.
    pub(crate) content: Option<&'static str>,
    /// The image that is a disk; the PARTLABEL of a partition.
    pub(crate) label: String,
    /// PARTUUID of a partition.
    pub(crate) partition_uuid: Option<String>,
}

/// A deployment that can boot.
#[derive(Debug, Serialize)]
pub(crate) struct Candidate {
    /// What it is called.
    pub(crate) name: String,
    /// How it was found.
    pub(crate) kind: String,
    /// The device that holds it.
    pub(crate) device: Option<String>,
    /// Where it lies in the filesystem there, if it lies in one.
    pub(crate) place: Option<String>,
    /// `verified` or `insecure`.
    pub(crate) trust: &'static str,
    /// What the boot ledger says of it.
    pub(crate) ledger: Option<String>,
    /// Whether it is tried only when nothing else is left.
    pub(crate) last_good: bool,
}

/// A filesystem in which deployments are looked for.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    /// Its number.
    pub(crate) number: u8,
    /// Its device.
    pub(crate) device: String,
    /// Its type.
    pub(crate) filesystem: String,
    /// Whether it was looked into here.
    pub(crate) seen: bool,
    /// How it is mounted.
    pub(crate) steps: Vec<String>,
}

/// Something in a filesystem that is no candidate.
#[derive(Debug, Serialize)]
pub(crate) struct PassedOver {
    /// What it is called.
    pub(crate) what: String,
    /// Why it cannot boot.
    pub(crate) why: String,
}

/// A slot that is no candidate.
#[derive(Debug, Serialize)]
pub(crate) struct NoCandidate {
    /// Its partition.
    pub(crate) device: String,
    /// Its label.
    pub(crate) label: String,
    /// Why it cannot boot.
    pub(crate) why: &'static str,
}

/// A plan that would be carried out.
#[derive(Debug, Serialize)]
pub(crate) struct Attempt {
    /// What is set up.
    pub(crate) deployment: String,
    /// What is written down in the boot ledger first.
    pub(crate) ledger: Vec<String>,
    /// What is done, in order, in PID 1's own words.
    pub(crate) steps: Vec<String>,
    /// The verity devices that the steps make.
    pub(crate) verity: Vec<VerityTable>,
    /// Why it fails.
    pub(crate) error: Option<String>,
}

/// A verity device as the kernel is told of it.
#[derive(Debug, Serialize)]
pub(crate) struct VerityTable {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its size in sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// The parameters of its target (the kernel's `admin-guide/device-mapper/verity`).
    pub(crate) parameters: String,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, " (the nearest valid one is {nearest})"))
    }
}

impl Candidate {
    pub(crate) fn new(found: &Found) -> Self {
        let trust = if found.trust == Trust::Verified { "verified" } else { "insecure" };
        let ledger = found.record.as_ref().map(ToString::to_string);
        let place = match &found.root {
            RootSource::Tree(source) => Some(source.place.to_string()),
            RootSource::Verity(_) | RootSource::Plain(_) | RootSource::Memory => None,
        };
        Self {
            name: found.name.to_string(),
            kind: found.kind.to_string(),
            device: found.device().map(|name| format!("/dev/{name}")),
            place,
            trust,
            ledger,
            last_good: found.is_last_good(),
        }
    }
}

impl Attempt {
    pub(crate) fn new(plan: &Plan<'_>) -> Self {
        let steps = plan.steps.iter().map(ToString::to_string).collect();
        Self { deployment: plan.deployment.to_string(), ledger: Vec::new(), steps, verity: Vec::new(), error: None }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", printable(&self.name), self.kind)?;
        if let (Some(place), Some(device)) = (&self.place, &self.device) {
            write!(f, " {} on {device}", printable(place))?;
        }
        write!(f, ", {}", self.trust)?;
        self.ledger.as_ref().map_or(Ok(()), |ledger| write!(f, ", {ledger}"))?;
        f.write_str(if self.last_good { "; only when nothing else is left, for it was good once)" } else { ")" })
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, device, filesystem, seen, .. } = self;
        write!(f, "{number}. {device} ({filesystem}{})", if *seen { "" } else { ", not looked into" })?;
        self.steps.iter().try_for_each(|step| write!(f, "\n       {step}"))
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.what), printable(&self.why))
    }
}

impl fmt::Display for NoCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.device, self.label, self.why)
    }
}

/// What PID 1 does to a disk with slots before it looks for them: a damaged copy of its table is made anew.
pub(crate) fn repairs(config: &Config<'_>, facts: &Facts) -> Vec<String> {
    let is_ours = |disk: &str| {
        let mut entries = ledger::slots(facts, disk).filter_map(ledger::Entry::of);
        entries.any(|entry| entry.attributes.is_in_ledger())
    };
    let damaged = facts.devices().iter().filter(|device| device.table == PartitionTable::GptFromBackup);
    let repaired = damaged.filter(|device| config.wants_slots() && is_ours(&device.name));
    repaired.map(|device| format!("{}: {}", device.name, Change::Repair)).collect()
}

/// The slots of the boot disk that cannot boot, and why; of all disks where none of them has a slot that may boot.
pub(crate) fn no_candidates(config: &Config<'_>, facts: &Facts) -> Vec<NoCandidate> {
    if !config.wants_slots() {
        return Vec::new();
    }
    let disk = candidates::slot_disk(config, facts).ok().flatten();
    facts
        .by_partition_type(disk, PartitionType::Root.uuid())
        .filter_map(|device| {
            let why = candidates::judge(config, facts, device).err()?;
            let label = device.partition.as_ref().map(|partition| partition.label.to_string()).unwrap_or_default();
            Some(NoCandidate { device: device.name.to_string(), label, why })
        })
        .collect()
}

/// All block devices of the images.
pub(crate) fn devices(disks: &Disks) -> Vec<Device> {
    let facts: &Facts = disks.facts();
    facts.devices().iter().map(|device| Device::new(device, disks)).collect()
}

impl Device {
    fn new(device: &BlockDevice, disks: &Disks) -> Self {
        let content = match device.table {
            PartitionTable::None => device.filesystem.as_ref().map(|filesystem| filesystem.kind.name()),
            PartitionTable::Gpt => Some("GPT"),
            PartitionTable::GptFromBackup => Some("GPT, only its backup is sound"),
            PartitionTable::GptDamaged => Some("GPT, damaged"),
            PartitionTable::Mbr => Some("MBR"),
        };
        let partition = device.partition.as_ref();
        let image = || disks.image(&device.name).map(|image| image.path().display().to_string());
        Self {
            name: device.name.to_string(),
            size: device.size,
            content,
            label: partition.map_or_else(|| image().unwrap_or_default(), |partition| partition.label.to_string()),
            partition_uuid: partition.and_then(|partition| partition.uuid).map(|uuid| uuid.to_string()),
        }
    }
}

/// Where writable layers go, in words.
pub(crate) fn state(choice: &StateChoice<'_>) -> String {
    match choice {
        StateChoice::None => "no layer needs a device".to_owned(),
        StateChoice::Device { name, kind, options: None } => format!("/dev/{name} ({kind})"),
        StateChoice::Device { name, kind, options: Some(options) } => format!("/dev/{name} ({kind}, {options})"),
        StateChoice::Memory => "memory".to_owned(),
        StateChoice::Missing(which) => format!("missing: {which}"),
        StateChoice::Unusable(why) => format!("unusable: {why}"),
    }
}
