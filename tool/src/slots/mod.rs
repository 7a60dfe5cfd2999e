//! The slots of a disk and what the boot ledger says about them, as the running system's commands read and change them.

mod command_line;
mod context;
mod disk;
mod medium;
mod part;
mod standing;

use boot_config::spec::PartUuid;
use deployment::BlockDevice;
use deployment::gpt::Attributes;
use deployment::table::Partition;
use verity::Uuid;

use crate::output::printable;

pub(crate) use command_line::CommandLine;
pub(crate) use context::{Context, DiskOptions};
pub(crate) use disk::{SlotDisk, kernel_name};
pub(crate) use medium::{Access, Medium};
#[cfg(test)]
pub(crate) use part::Part;
pub(crate) use standing::{Slot, State, survey};

/// What a slot is called, for people: its label or, where it has none, its partition number.
pub(crate) fn name(device: &BlockDevice) -> String {
    match &device.partition {
        Some(partition) if !partition.label.is_empty() => printable(&partition.label),
        Some(partition) => partition.number.to_string(),
        None => device.name.to_string(),
    }
}

/// The number of a partition.
pub(crate) fn number(device: &BlockDevice) -> u32 {
    device.partition.as_ref().map_or(0, |partition| partition.number)
}

/// The attribute bits of a partition.
pub(crate) fn attributes(device: &BlockDevice) -> Attributes {
    device.partition.as_ref().map(|partition: &Partition| partition.attributes).unwrap_or_default()
}

/// The label of a partition, empty when it has none.
pub(crate) fn label(device: &BlockDevice) -> &str {
    device.partition.as_ref().map_or("", |partition| &partition.label)
}

/// The PARTUUID of a partition of a GUID partition table.
pub(crate) fn uuid(device: &BlockDevice) -> Option<Uuid> {
    match device.partition.as_ref()?.uuid? {
        PartUuid::Gpt(uuid) => Some(uuid),
        PartUuid::Mbr { .. } => None,
    }
}
