//! Partition tables of the old kind: four entries in the first sector, and a chain of further ones.
//!
//! There is no standard; what counts is what the kernel lists (block/partitions/msdos.c).

use boot_config::spec::PartUuid;

use crate::bytes::Bytes;
use crate::read::{ReadAt, ReadError};

/// The size of the part of the first sector that holds the table.
pub const MBR_SIZE: usize = 512;
/// The highest partition number that the kernel gives out (DISK_MAX_PARTS is 256, the disk itself is 0).
pub const MAX_NUMBER: u32 = 255;
/// Most links that are followed in the chain of logical partitions, which may be a loop.
pub const MAX_LINKS: u32 = 512;

const SIGNATURE_OFFSET: usize = 440;
const ENTRIES_OFFSET: usize = 446;
const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
const KIND_GUID_TABLE: u8 = 0xee;
const FIRST_LOGICAL: u32 = 5;

/// The table in the first sector of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mbr {
    signature: u32,
    sector_size: u32,
    entries: [Entry; 4],
}

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbrPartition {
    /// 1 to 4 for primary ones, from 5 for logical ones, as in the kernel's name of the partition.
    pub number: u32,
    /// The kind of its content, as an operating system once numbered it (0x83 Linux, 0x82 Linux swap …).
    pub kind: u8,
    /// The byte at which it begins.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A raw entry, its numbers in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    indicator: u8,
    kind: u8,
    start: u32,
    length: u32,
}

impl Entry {
    fn is_used(self) -> bool {
        self.length != 0
    }

    fn is_extended(self) -> bool {
        self.is_used() && is_extended(self.kind)
    }
}

fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

impl Mbr {
    /// The table in a disk's first bytes, or `None` when they hold none: no boot signature, no partition at all, a boot
    /// indicator other than 0 and 0x80, so that the bytes are a boot loader's or a filesystem's, or the mark of a GUID
    /// partition table in the wrong place.
    pub fn parse(first: &[u8; MBR_SIZE], sector_size: u32) -> Option<Self> {
        let mbr = Self { signature: Bytes(first).le32(SIGNATURE_OFFSET), sector_size, entries: entries(first)? };
        let sound =
            mbr.entries.iter().all(|entry| matches!(entry.indicator, 0 | 0x80) && entry.kind != KIND_GUID_TABLE);
        let used = mbr.entries.iter().any(|entry| entry.is_used());
        if mbr.is_protective() || (sound && used) { Some(mbr) } else { None }
    }

    /// Whether it only protects a GUID partition table from tools that do not know one (UEFI specification, 5.2.3).
    /// Without that protection the kernel reads no GUID partition table.
    pub fn is_protective(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == KIND_GUID_TABLE && entry.start == 1)
    }

    /// The PARTUUID of one of its partitions. An extended partition has none.
    pub fn part_uuid(&self, partition: &MbrPartition) -> Option<PartUuid> {
        let number = u8::try_from(partition.number).ok()?;
        if is_extended(partition.kind) { None } else { Some(PartUuid::Mbr { signature: self.signature, number }) }
    }

    /// Calls `found` with each partition: the primary ones, then the logical ones, as far as the chain that links these
    /// can be followed.
    pub fn partitions(&self, reader: &dyn ReadAt, found: &mut dyn FnMut(MbrPartition)) -> Result<(), ReadError> {
        for (number, entry) in (1..).zip(self.entries) {
            // The kernel shows of an extended partition only the sectors that a boot loader may need.
            let length = if entry.is_extended() { entry.length.min(self.loader_length()) } else { entry.length };
            if entry.is_used() {
                found(self.partition(number, entry.kind, entry.start.into(), length));
            }
        }
        let mut number = FIRST_LOGICAL;
        for extended in self.entries.iter().filter(|entry| entry.is_extended()) {
            self.logical_partitions(reader, extended.start, &mut number, found)?;
        }
        Ok(())
    }

    /// Follows a chain of links: each one's sector holds a partition, relative to that sector, and the next link,
    /// relative to the extended partition, which begins with the first one.
    fn logical_partitions(
        &self,
        reader: &dyn ReadAt,
        first_link: u32,
        number: &mut u32,
        found: &mut dyn FnMut(MbrPartition),
    ) -> Result<(), ReadError> {
        let mut link = u64::from(first_link);
        for _ in 0..MAX_LINKS {
            let mut sector = [0; MBR_SIZE];
            match reader.read_exact_at(self.bytes(link), &mut sector) {
                Err(ReadError::OutOfRange) => return Ok(()),
                read => read?,
            }
            let Some(entries) = entries(&sector) else { return Ok(()) };
            // By custom one of the first two is the partition and the other the next link; the rest may be garbage.
            for entry in entries.iter().take(2).filter(|entry| entry.is_used() && !entry.is_extended()) {
                if *number > MAX_NUMBER {
                    return Ok(());
                }
                found(self.partition(*number, entry.kind, link.saturating_add(entry.start.into()), entry.length));
                *number = number.saturating_add(1);
            }
            let Some(next) = entries.iter().find(|entry| entry.is_extended()) else { return Ok(()) };
            link = u64::from(first_link).saturating_add(next.start.into());
        }
        Ok(())
    }

    fn partition(&self, number: u32, kind: u8, start: u64, length: u32) -> MbrPartition {
        MbrPartition { number, kind, start: self.bytes(start), size: self.bytes(length.into()) }
    }

    fn bytes(&self, sectors: u64) -> u64 {
        sectors.saturating_mul(self.sector_size.into())
    }

    /// 1024 bytes, but at least one sector.
    fn loader_length(&self) -> u32 {
        1024_u32.checked_div(self.sector_size).unwrap_or(0).max(1)
    }
}

/// The four entries of a sector that has the boot signature.
fn entries(sector: &[u8; MBR_SIZE]) -> Option<[Entry; 4]> {
    let bytes = Bytes(sector);
    if bytes.array(510) != BOOT_SIGNATURE {
        return None;
    }
    Some([0_usize, 16, 32, 48].map(|offset| {
        let entry = bytes.from(ENTRIES_OFFSET.saturating_add(offset));
        Entry { indicator: entry.u8(0), kind: entry.u8(4), start: entry.le32(8), length: entry.le32(12) }
    }))
}

#[cfg(test)]
mod tests;
