//! The slots of the boot disk: root partitions of which an updater writes the spare one.

use core::cmp::Reverse;

use boot_config::policy::{DeploymentChoice, VerityPolicy};
use boot_config::spec::PartUuid;
use boot_config::{Config, DeviceSpec};
use verity::{RootHash, Uuid};

use super::configured::{self, verity_source};
use super::error::{CandidateError, MissingDevice, Refusal, Role, TwoDisks};
use super::{
    Candidate, Candidates, DeviceSource, Insecurity, Kind, RootSource, Slot, Standing, Trust, UsrSource, name,
};
use crate::discoverable::{PartitionType, is_unfinished};
use crate::facts::{BlockDevice, Facts};
use crate::ledger::{self, Entry};
use crate::table::Partition;

/// Adds the slots that may boot, in the order in which they are to be tried, and those that are left to fall back on.
#[inline(never)]
pub(super) fn find<'a>(
    config: &Config<'a>,
    facts: &Facts,
    candidates: &mut Candidates,
) -> Result<(), CandidateError<'a>> {
    if !config.wants_slots() {
        return Ok(());
    }
    if config.verity == VerityPolicy::Required && config.accepted_hashes().next().is_none() {
        return Err(CandidateError::Refused(Refusal::NoRoot));
    }
    let usr = configured::usr(config, facts)?;
    let disk = slot_disk(config, facts)?.ok_or(CandidateError::NoSlot)?;
    refuse_twins(config, facts, disk)?;
    if !ledger::slots(facts, disk).any(|device| is_slot(config, device).is_ok()) {
        return Err(CandidateError::NoSlot);
    }
    // The best one comes first. Those behind it are what the machine falls back to: what is known to be good, first.
    while let Some((device, standing)) = next(config, facts, disk, candidates) {
        let Some(candidate) = candidate(config, facts, device, standing, usr.clone())? else { break };
        candidates.push(candidate).map_err(|_| CandidateError::TooMany)?;
    }
    Ok(())
}

/// The best of the slots that may boot and are not among `candidates` yet.
#[inline(never)]
fn next<'f>(
    config: &Config<'_>,
    facts: &'f Facts,
    disk: &str,
    candidates: &[Candidate],
) -> Option<(&'f BlockDevice, Standing)> {
    let mut best: Option<(Rank, &BlockDevice, Standing)> = None;
    for device in ledger::slots(facts, disk) {
        let Ok(standing) = judge(config, facts, device) else { continue };
        if candidates.iter().any(|known| known.device() == Some(&device.name)) {
            continue;
        }
        let rank = rank(device, standing, !candidates.is_empty());
        if best.is_none_or(|(least, ..)| rank < least) {
            best = Some((rank, device, standing));
        }
    }
    best.map(|(_, device, standing)| (device, standing))
}

/// Last good, unproven, priority, number.
type Rank = (bool, bool, Reverse<u8>, u32);

/// Where a slot comes: the smallest is the first. To fall back on, a good one comes before one that is yet to be proven.
fn rank(device: &BlockDevice, standing: Standing, fallback: bool) -> Rank {
    let (attributes, number) =
        device.partition.as_ref().map(|partition| (partition.attributes, partition.number)).unwrap_or_default();
    let unproven = fallback && !attributes.successful();
    (standing == Standing::LastGood, unproven, Reverse(attributes.priority()), number)
}

/// The disk that has the slots: that of `surefoot.disk=`, else the one that the firmware booted from, else the only one
/// that has a slot with an accepted root hash. `None` while it is not there.
#[inline(never)]
pub fn slot_disk<'a, 'f>(config: &Config<'a>, facts: &'f Facts) -> Result<Option<&'f str>, CandidateError<'a>> {
    if let Some(spec) = config.disk {
        let Some(disk) = facts.find(&spec, None)? else {
            return Err(CandidateError::missing(MissingDevice { spec, role: Role::Disk }));
        };
        return Ok(Some(disk.disk_name()));
    }
    if let Some(disk) = facts.boot_disk() {
        return Ok(Some(disk));
    }
    let mut slots = facts.devices().iter().filter(|device| is_slot(config, device).is_ok());
    let Some(first) = slots.next() else { return Ok(None) };
    match slots.find(|other| other.disk_name() != first.disk_name()) {
        Some(second) => Err(CandidateError::TwoDisks(TwoDisks { slots: [first.name.clone(), second.name.clone()] })),
        None => Ok(Some(first.disk_name())),
    }
}

/// Whether the slot may boot and how it comes to that, or why it is no candidate.
#[inline(never)]
pub fn judge(config: &Config<'_>, facts: &Facts, device: &BlockDevice) -> Result<Standing, &'static str> {
    let partition = is_slot(config, device)?;
    if let Some(hash) = accepted(config, partition)
        && hash_partition(facts, device, &hash).ok().flatten().is_none()
    {
        return Err("the hash partition of its root hash is not there");
    }
    let attributes = partition.attributes;
    if attributes.may_boot() || matches!(config.deployment, Some(DeploymentChoice::Slot(_))) {
        return Ok(Standing::Bootable);
    }
    if attributes.once_good() {
        return Ok(Standing::LastGood);
    }
    Err(if attributes.priority() == 0 { "its priority is 0" } else { "its tries are spent" })
}

/// The partition, if it is a slot that the configuration lets boot, whatever the ledger says of it.
fn is_slot<'f>(config: &Config<'_>, device: &'f BlockDevice) -> Result<&'f Partition, &'static str> {
    let partition = device.partition.as_ref().ok_or("it is no partition")?;
    if partition.type_uuid != Some(PartitionType::Root.uuid()) {
        return Err("it is no root partition");
    }
    if is_unfinished(&partition.label) {
        return Err("it is empty or unfinished");
    }
    if partition.attributes.no_auto() {
        return Err("it is marked no-auto");
    }
    if matches!(config.deployment, Some(DeploymentChoice::Slot(label)) if partition.label != label) {
        return Err("another slot is chosen");
    }
    if config.verity == VerityPolicy::Required && accepted(config, partition).is_none() {
        return Err("its root hash is not accepted");
    }
    Ok(partition)
}

/// The accepted root hash that belongs to the partition.
fn accepted(config: &Config<'_>, partition: &Partition) -> Option<RootHash> {
    let Some(PartUuid::Gpt(uuid)) = partition.uuid else { return None };
    config.accepted_hashes().find(|hash| hash.data_partition() == Some(uuid))
}

/// Two partitions of the disk that go by the name of one slot: nothing tells which of them is meant.
#[inline(never)]
fn refuse_twins<'a>(config: &Config<'a>, facts: &Facts, disk: &str) -> Result<(), CandidateError<'a>> {
    if let Some(DeploymentChoice::Slot(label)) = config.deployment {
        facts.find(&DeviceSpec::PartLabel(label), Some(disk))?;
    }
    for hash in config.accepted_hashes() {
        for uuid in [hash.data_partition(), hash.hash_partition()].into_iter().flatten() {
            facts.find(&part_uuid(uuid), Some(disk))?;
        }
    }
    Ok(())
}

fn hash_partition<'f>(
    facts: &'f Facts,
    device: &BlockDevice,
    hash: &RootHash,
) -> Result<Option<&'f BlockDevice>, CandidateError<'static>> {
    let Some(uuid) = hash.hash_partition() else { return Ok(None) };
    Ok(facts.find(&part_uuid(uuid), Some(device.disk_name()))?)
}

const fn part_uuid(uuid: Uuid) -> DeviceSpec<'static> {
    DeviceSpec::PartUuid { uuid: PartUuid::Gpt(uuid), offset: 0 }
}

#[inline(never)]
fn candidate<'a>(
    config: &Config<'a>,
    facts: &Facts,
    device: &BlockDevice,
    standing: Standing,
    usr: Option<UsrSource>,
) -> Result<Option<Candidate>, CandidateError<'a>> {
    let (Some(partition), Some(entry)) = (&device.partition, Entry::of(device)) else { return Ok(None) };
    let options = config.root_verity.as_ref().map(|verity| verity.options).unwrap_or_default();
    let root = match accepted(config, partition) {
        Some(hash) => match hash_partition(facts, device, &hash)? {
            Some(tree) => RootSource::Verity(verity_source(device, tree, hash, options)),
            None => return Ok(None),
        },
        None => RootSource::Plain(DeviceSource::new(device)),
    };
    let trust = match (&root, &usr) {
        (RootSource::Plain(_), _) => Trust::Insecure(Insecurity::Root),
        (_, Some(UsrSource::Plain(_))) => Trust::Insecure(Insecurity::Usr),
        _ => Trust::Verified,
    };
    let name = name::of(device, format_args!("{}", device.name));
    let slot = Some(Slot { disk: device.disk_name().clone(), entry, standing });
    Ok(Some(Candidate { name, kind: Kind::Slot, root, usr, trust, slot }))
}
