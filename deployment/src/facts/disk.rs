//! Probing one disk and its partitions.

use core::fmt::Write;

use super::device::{BlockDevice, DeviceNumber, Name};
use super::{Facts, Full};
use crate::filesystem::Filesystem;
use crate::read::{ReadAt, ReadError, Window};
use crate::table::{Partition, PartitionTable, Table};

/// What the kernel says about a whole disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskIdentity<'a> {
    /// Its kernel name. What is longer than [`super::MAX_NAME`] is cut off; the kernel gives no such name.
    pub name: &'a str,
    /// Its number.
    pub number: DeviceNumber,
    /// The size of its logical blocks in bytes, 512 or 4096.
    pub sector_size: u32,
    /// Whether it refuses writes.
    pub read_only: bool,
}

/// What the kernel says about a partition that it shows.
#[derive(Clone, Copy, Debug)]
pub struct PartitionIdentity<'a> {
    /// Its kernel name.
    pub name: &'a str,
    /// Its device number.
    pub number: DeviceNumber,
    /// Its number in the table, from 1.
    pub index: u32,
    /// The byte of the disk at which it begins.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it refuses writes.
    pub read_only: bool,
}

/// A disk whose partition table has been read.
pub struct Disk<'r> {
    reader: &'r dyn ReadAt,
    table: Table,
    device: BlockDevice,
}

impl<'r> Disk<'r> {
    /// Reads the partition table or, where there is none, finds out what the whole disk holds.
    #[inline(never)]
    pub fn probe(reader: &'r dyn ReadAt, identity: &DiskIdentity<'_>) -> Self {
        let mut device = BlockDevice {
            name: name(identity.name),
            number: identity.number,
            size: reader.size(),
            sector_size: identity.sector_size,
            read_only: identity.read_only,
            disk: None,
            partition: None,
            table: PartitionTable::None,
            filesystem: None,
            read_error: None,
        };
        let table = unless_failing(Table::read(reader, identity.sector_size), &mut device).unwrap_or(Table::None);
        device.table = table.kind();
        if table == Table::None {
            device.filesystem = unless_failing(Filesystem::probe(reader), &mut device).flatten();
        }
        Self { reader, table, device }
    }

    /// The disk itself.
    pub const fn device(&self) -> &BlockDevice {
        &self.device
    }

    /// Its partition table.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The partition that the kernel shows on this disk, with what the table says about it and what it holds.
    #[inline(never)]
    pub fn partition(&self, identity: &PartitionIdentity<'_>) -> BlockDevice {
        let described = self.table.partition(self.reader, identity.index, identity.start);
        self.describe(identity, described)
    }

    #[inline(never)]
    fn describe(
        &self,
        identity: &PartitionIdentity<'_>,
        described: Result<Option<Partition>, ReadError>,
    ) -> BlockDevice {
        let mut device = BlockDevice {
            name: name(identity.name),
            number: identity.number,
            size: identity.size,
            read_only: identity.read_only,
            disk: Some(self.device.name.clone()),
            table: PartitionTable::None,
            partition: None,
            filesystem: None,
            read_error: None,
            ..self.device
        };
        let described = unless_failing(described, &mut device).flatten();
        device.partition = Some(described.unwrap_or_else(|| Partition::unknown(identity.index, identity.start)));
        let content = Window::new(self.reader, identity.start, identity.size);
        device.filesystem = unless_failing(Filesystem::probe(&content), &mut device).flatten();
        device
    }

    /// Calls `found` with each partition that the kernel would show by this disk's own table, numbered after the disk
    /// itself. Of a table that only its backup is left of, the kernel shows none unless `gpt` is on its command line.
    fn partitions(&mut self, found: &mut dyn FnMut(BlockDevice)) {
        let DeviceNumber { major, minor } = self.device.number;
        let listed = self.table.partitions(self.reader, &mut |partition, size| {
            let left = self.device.size.saturating_sub(partition.start);
            // The kernel cuts a partition that goes past the end of its disk, and drops one that begins there.
            if left == 0 {
                return;
            }
            let index = partition.number;
            found(self.describe(
                &PartitionIdentity {
                    name: &partition_name(&self.device.name, index),
                    number: DeviceNumber { major, minor: minor.saturating_add(index) },
                    index,
                    start: partition.start,
                    size: size.min(left),
                    read_only: self.device.read_only,
                },
                Ok(Some(partition)),
            ));
        });
        self.device.read_error = self.device.read_error.or(listed.err());
    }
}

/// Adds a disk of which only its content is at hand, and its partitions, named and numbered as the kernel would. With
/// `backup_table`, also those of a table of which only the backup is sound: the kernel shows them only with `gpt` on
/// its command line.
pub fn scan_disk(
    facts: &mut Facts,
    reader: &dyn ReadAt,
    identity: &DiskIdentity<'_>,
    backup_table: bool,
) -> Result<(), Full> {
    let mut disk = Disk::probe(reader, identity);
    let mut added = Ok(());
    if disk.device.table != PartitionTable::GptFromBackup || backup_table {
        disk.partitions(&mut |partition| added = added.and(facts.insert(partition)));
    }
    added.and(facts.insert(disk.device))
}

/// The kernel's name of a partition: a disk's name that ends in a digit is followed by `p`.
pub fn partition_name(disk: &str, number: u32) -> Name {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    let mut partition = name(disk);
    // The kernel has no partition whose name would not fit.
    let _ = write!(partition, "{separator}{number}");
    partition
}

fn name(text: &str) -> Name {
    let mut name = Name::new();
    for character in text.chars() {
        if name.push(character).is_err() {
            break;
        }
    }
    name
}

/// What was read, or `None` with the device's failure noted.
fn unless_failing<T>(read: Result<T, ReadError>, device: &mut BlockDevice) -> Option<T> {
    read.map_err(|error| device.read_error = device.read_error.or(Some(error))).ok()
}

#[cfg(test)]
mod tests;
