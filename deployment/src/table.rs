//! The partition table of a disk, of whichever kind, as the kernel would read it.

use boot_config::spec::PartUuid;
use verity::Uuid;

use crate::gpt::{Attributes, Gpt, GptEntry, GptError, PartLabel};
use crate::mbr::{MAX_NUMBER, MBR_SIZE, Mbr, MbrPartition};
use crate::read::{ReadAt, ReadError};

/// A disk's partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// None that the kernel knows: the disk may hold a filesystem itself.
    None,
    /// A GUID partition table.
    Gpt(Gpt),
    /// A protective MBR with no valid GUID partition table behind it.
    DamagedGpt(GptError),
    /// The old kind.
    Mbr(Mbr),
}

/// Which kind of partition table a disk has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionTable {
    /// None.
    #[default]
    None,
    /// A GUID partition table.
    Gpt,
    /// A GUID partition table whose primary header is damaged, read from its backup. The kernel itself shows the
    /// partitions of such a disk only with `gpt` on its command line.
    GptFromBackup,
    /// A GUID partition table that is damaged in both places: no partition can be found.
    GptDamaged,
    /// The old kind.
    Mbr,
}

/// What a partition table says about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its PARTUUID. The kernel gives none to the extended partition of an MBR, nor do we.
    pub uuid: Option<PartUuid>,
    /// What it is for (GPT only); see [`crate::discoverable`].
    pub type_uuid: Option<Uuid>,
    /// Its PARTLABEL (GPT only), empty when it has none.
    pub label: PartLabel,
    /// Its attribute bits (GPT only).
    pub attributes: Attributes,
    /// The byte of the disk at which it begins.
    pub start: u64,
}

impl Table {
    /// Reads the table of a disk with sectors of `sector_size` bytes. As for the kernel, only a protective MBR makes it
    /// a GUID partition table; a disk too small for a table has none.
    #[inline(never)]
    pub fn read(reader: &dyn ReadAt, sector_size: u32) -> Result<Self, ReadError> {
        let mut first = [0; MBR_SIZE];
        match reader.read_exact_at(0, &mut first) {
            Err(ReadError::OutOfRange) => return Ok(Self::None),
            read => read?,
        }
        Ok(match Mbr::parse(&first, sector_size) {
            None => Self::None,
            Some(mbr) if !mbr.is_protective() => Self::Mbr(mbr),
            Some(_) => Gpt::read(reader, sector_size).map_or_else(Self::DamagedGpt, Self::Gpt),
        })
    }

    /// Which kind it is.
    pub const fn kind(&self) -> PartitionTable {
        match self {
            Self::None => PartitionTable::None,
            Self::Gpt(gpt) if gpt.primary_problem().is_some() => PartitionTable::GptFromBackup,
            Self::Gpt(_) => PartitionTable::Gpt,
            Self::DamagedGpt(_) => PartitionTable::GptDamaged,
            Self::Mbr(_) => PartitionTable::Mbr,
        }
    }

    /// Calls `found` with each partition and its size in bytes, in no promised order.
    pub fn partitions(&self, reader: &dyn ReadAt, found: &mut dyn FnMut(Partition, u64)) -> Result<(), ReadError> {
        match self {
            Self::None | Self::DamagedGpt(_) => Ok(()),
            Self::Gpt(gpt) => {
                for number in 1..=gpt.entry_count().min(MAX_NUMBER) {
                    if let Some(entry) = gpt.entry(reader, number)? {
                        let (start, size) = gpt.range(&entry);
                        found(Partition::from_gpt(entry, start), size);
                    }
                }
                Ok(())
            }
            Self::Mbr(mbr) => mbr.partitions(reader, &mut |partition| {
                found(Partition::from_mbr(mbr, &partition), partition.size);
            }),
        }
    }

    /// What it says about the partition that the kernel shows with this number at this byte; `None` when it has no such
    /// partition there.
    pub fn partition(&self, reader: &dyn ReadAt, number: u32, start: u64) -> Result<Option<Partition>, ReadError> {
        let mut wanted = None;
        match self {
            Self::None | Self::DamagedGpt(_) => {}
            // The shortest way: one entry, not all of them.
            Self::Gpt(gpt) => {
                wanted = gpt.entry(reader, number)?.map(|entry| {
                    let (start, _) = gpt.range(&entry);
                    Partition::from_gpt(entry, start)
                });
            }
            Self::Mbr(mbr) => mbr.partitions(reader, &mut |partition| {
                if partition.number == number {
                    wanted = Some(Partition::from_mbr(mbr, &partition));
                }
            })?,
        }
        Ok(wanted.filter(|partition| partition.start == start))
    }
}

impl Partition {
    /// A partition of which nothing but its place is known.
    pub(crate) fn unknown(number: u32, start: u64) -> Self {
        let attributes = Attributes::default();
        Self { number, uuid: None, type_uuid: None, label: PartLabel::new(), attributes, start }
    }

    fn from_gpt(entry: GptEntry, start: u64) -> Self {
        Self {
            number: entry.number,
            uuid: Some(PartUuid::Gpt(entry.uuid)),
            type_uuid: Some(entry.type_uuid),
            label: entry.label,
            attributes: entry.attributes,
            start,
        }
    }

    fn from_mbr(mbr: &Mbr, partition: &MbrPartition) -> Self {
        Self { uuid: mbr.part_uuid(partition), ..Self::unknown(partition.number, partition.start) }
    }
}

#[cfg(test)]
mod tests;
