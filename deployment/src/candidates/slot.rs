//! The slots of the boot disk: root partitions of which an updater writes the spare one.

use boot_config::policy::{SLOT, VerityPolicy};
use boot_config::spec::PartUuid;
use boot_config::{Config, DeviceSpec};
use verity::{RootHash, Uuid};

use super::configured::{self, verity_source};
use super::error::{CandidateError, MissingDevice, Refusal, Role, TwoDisks};
use super::{
    Candidate, Candidates, DeviceSource, Insecurity, Keeper, Kind, Order, Record, RootSource, Standing, Trust,
    UsrSource, name, rank, record,
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
    for device in ledger::slots(facts, disk) {
        let Ok(standing) = judge(config, facts, device) else { continue };
        if let Some(candidate) = candidate(config, facts, device, standing, usr.clone())? {
            rank::offer(candidates, candidate);
        }
    }
    Ok(())
}

/// The disk that has the slots: that of `surefoot.disk=`, else the one that the firmware booted from, else the only one
/// that has a slot with an accepted root hash or, where no root hash is needed and none is accepted, the only one that has a
/// root partition. `None` while it is not there.
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
    // Where some have an accepted root hash, others are no slots: their disks may hold other kinds of deployment.
    match only_disk(config, facts, |partition| accepted(config, partition).is_some()) {
        Ok(None) => {}
        found => return found,
    }
    match only_disk(config, facts, |_| true) {
        // The same goes for those that no updater has written down.
        Err(_) if config.wants_all_of_kind() => only_disk(config, facts, |partition| {
            let attributes = partition.attributes;
            attributes.may_boot() || attributes.once_good()
        }),
        found => found,
    }
}

/// The disk of those slots; `None` where there are none.
fn only_disk<'a, 'f>(
    config: &Config<'a>,
    facts: &'f Facts,
    is_meant: impl Fn(&Partition) -> bool,
) -> Result<Option<&'f str>, CandidateError<'a>> {
    let mut slots = facts.devices().iter().filter(|device| is_slot(config, device).is_ok_and(&is_meant));
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
    if config.named(SLOT).is_some() { Ok(Standing::Bootable) } else { record::standing(attributes, true) }
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
    if config.named(SLOT).is_some_and(|label| partition.label != label) {
        return Err("another slot is chosen");
    }
    if config.verity == VerityPolicy::Required && accepted(config, partition).is_none() {
        return Err("its root hash is not accepted");
    }
    Ok(partition)
}

/// The accepted root hash that belongs to the partition.
pub(super) fn accepted(config: &Config<'_>, partition: &Partition) -> Option<RootHash> {
    let Some(PartUuid::Gpt(uuid)) = partition.uuid else { return None };
    config.accepted_hashes().find(|hash| hash.data_partition() == Some(uuid))
}

/// Two partitions of the disk that go by the name of one slot: nothing tells which of them is meant.
#[inline(never)]
fn refuse_twins<'a>(config: &Config<'a>, facts: &Facts, disk: &str) -> Result<(), CandidateError<'a>> {
    if let Some(label) = config.named(SLOT) {
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
    let order = Order { kind: 1, sysroot: 0, index: entry.number };
    let keeper = Keeper::Table(device.disk_name().clone());
    let record = Some(Record { keeper, entry, standing, counted: true });
    Ok(Some(Candidate { name, kind: Kind::SLOT, root, usr, trust, record, order }))
}
