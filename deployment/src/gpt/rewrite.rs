//! Changing entries of a table so that a power cut at any moment leaves the old table or the new one.

use core::fmt;

use super::header::Header;
use super::{Attributes, Gpt, GptError, LABEL_UNITS, PRIMARY_LBA};
use crate::bytes::Bytes;
use crate::crc32::Crc32;
use crate::read::ReadError;
use crate::write::{WriteAt, WriteError};

use verity::Uuid;

/// Largest logical sector in bytes of a disk whose table can be changed.
const MAX_SECTOR: usize = 4096;
/// One sector, where a device can take it from.
#[repr(align(4096))]
struct Sector([u8; MAX_SECTOR]);

/// Sector at which the entries of a primary table begin, when a lost one is made again.
const PRIMARY_ENTRIES_LBA: u64 = 2;

/// Why a table was not changed, or not to its end. What is on the disk is then still the old table or the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteError {
    /// There is no sound table to change.
    Unusable(GptError),
    /// A sector cannot be read.
    Read(ReadError),
    /// A sector cannot be written.
    Write(WriteError),
    /// The table lies in a way in which it cannot be changed safely.
    Layout(&'static str),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot read the partition table: {error}"),
            Self::Write(WriteError(errno)) => {
                write!(f, "cannot write the partition table: {}", ReadError::Device(*errno))
            }
            Self::Layout(why) => write!(f, "cannot change the partition table safely: {why}"),
        }
    }
}

impl core::error::Error for RewriteError {}

impl From<GptError> for RewriteError {
    fn from(error: GptError) -> Self {
        Self::Unusable(error)
    }
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<WriteError> for RewriteError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// One entry that may be changed.
pub struct EntryMut<'b> {
    /// Its number, from 1.
    pub number: u32,
    raw: &'b mut [u8],
}

impl EntryMut<'_> {
    /// What the partition is for; all zeros in an entry that is not in use.
    pub fn type_uuid(&self) -> Uuid {
        Uuid::from_mixed_endian(Bytes(self.raw).array(0))
    }

    /// Its attribute bits.
    pub fn attributes(&self) -> Attributes {
        Attributes(Bytes(self.raw).le64(48))
    }

    /// Changes its attribute bits.
    pub fn set_attributes(&mut self, attributes: Attributes) {
        put(self.raw, 48, &attributes.0.to_le_bytes());
    }

    /// Changes its PARTUUID.
    pub fn set_uuid(&mut self, uuid: Uuid) {
        put(self.raw, 16, &uuid.to_mixed_endian());
    }

    /// Changes its label, of which the first 36 UTF-16 code units are kept.
    pub fn set_label(&mut self, label: &str) {
        let mut units = label.encode_utf16();
        for unit in 0..LABEL_UNITS {
            let value = units.next().unwrap_or(0);
            put(self.raw, unit.saturating_mul(2).saturating_add(56), &value.to_le_bytes());
        }
    }
}

/// Changes entries. It is called with every entry in order, several times over, and must do the same each time.
pub type Edit<'e> = &'e mut dyn FnMut(&mut EntryMut<'_>);

/// Changes the table of a disk with sectors of `sector_size` bytes: the backup table, a flush, the primary table, a
/// flush. A damaged copy is made again from the sound one before that, so that there always is a sound one. Gives
/// whether anything was written; an edit that changes nothing repairs a table, and leaves a sound one as it is.
#[inline(never)]
pub fn rewrite(disk: &dyn WriteAt, sector_size: u32, edit: Edit<'_>) -> Result<bool, RewriteError> {
    let table = Gpt::read(disk, sector_size)?;
    let mut rewrite = Rewrite::new(disk, &table)?;
    let (primary, backup) = rewrite.places(&table)?;
    if table.primary_problem().is_some() {
        rewrite.copy(&backup, &primary, &backup, &mut |_| ())?;
    }
    rewrite.copy(&primary, &backup, &primary, edit)?;
    rewrite.copy(&primary, &primary, &backup, edit)?;
    Ok(rewrite.wrote)
}

/// Where one copy of the table is.
struct Place {
    header: u64,
    entries: u64,
}

struct Rewrite<'d> {
    disk: &'d dyn WriteAt,
    sector_size: usize,
    header: Header,
    wrote: bool,
}

impl<'d> Rewrite<'d> {
    fn new(disk: &'d dyn WriteAt, table: &Gpt) -> Result<Self, RewriteError> {
        let sector_size = usize::try_from(table.sector_size).unwrap_or(usize::MAX);
        if sector_size > MAX_SECTOR || u64::from(table.header.entry_size) > u64::from(table.sector_size) {
            return Err(RewriteError::Layout("its sectors or its entries are too large"));
        }
        Ok(Self { disk, sector_size, header: table.header, wrote: false })
    }

    /// Where the two copies are, or are to be. They overlap neither each other nor a partition.
    fn places(&self, table: &Gpt) -> Result<(Place, Place), RewriteError> {
        let damaged = table.primary_problem().is_some();
        let mut sector = Sector([0; MAX_SECTOR]);
        let sound = self.read(if damaged { table.backup_lba } else { PRIMARY_LBA }, &mut sector)?;
        let (alternate, entries) = (sound.le64(32), sound.le64(72));
        let (first_usable, last_usable) = (sound.le64(40), sound.le64(48));
        let behind = last_usable.saturating_add(1);
        let primary = Place { header: PRIMARY_LBA, entries: if damaged { PRIMARY_ENTRIES_LBA } else { entries } };
        let is_placed = !damaged && (behind..=table.last_lba).contains(&alternate);
        let header = if is_placed { alternate } else { table.backup_lba };
        let sectors = self.sectors();
        // Every tool puts the backup's entries right before its header, and the primary's behind its own.
        let backup = Place { header, entries: if damaged { entries } else { header.saturating_sub(sectors) } };
        let primary_fits = primary.entries > PRIMARY_LBA && primary.entries.saturating_add(sectors) <= first_usable;
        let backup_fits = backup.entries >= behind && backup.entries.saturating_add(sectors) <= backup.header;
        if primary_fits && backup_fits {
            Ok((primary, backup))
        } else {
            Err(RewriteError::Layout("one of its copies would lie where partitions may be"))
        }
    }

    /// The number of sectors that the entries take.
    fn sectors(&self) -> u64 {
        self.header.entries_length().div_ceil(self.sector_size as u64)
    }

    /// Makes `to` what the sound table at `from` is after `edit`, with `other` as its other copy, and flushes it.
    fn copy(&mut self, from: &Place, to: &Place, other: &Place, edit: Edit<'_>) -> Result<(), RewriteError> {
        let before = core::mem::take(&mut self.wrote);
        let mut buffer = Sector([0; MAX_SECTOR]);
        let mut checksum = Crc32::new();
        let mut left = self.header.entries_length();
        let mut number = 1_u32;
        for sector in 0..self.sectors() {
            self.read(from.entries.saturating_add(sector), &mut buffer)?;
            let used = usize::try_from(left).unwrap_or(usize::MAX).min(self.sector_size);
            let entries = buffer.0.get_mut(..used).unwrap_or_default();
            for raw in entries.chunks_exact_mut(self.header.entry_size as usize) {
                edit(&mut EntryMut { number, raw });
                number = number.saturating_add(1);
            }
            checksum.update(entries);
            left = left.saturating_sub(used as u64);
            self.write(to.entries.saturating_add(sector), &buffer)?;
        }
        self.read(from.header, &mut buffer)?;
        put(&mut buffer.0, 24, &to.header.to_le_bytes());
        put(&mut buffer.0, 32, &other.header.to_le_bytes());
        put(&mut buffer.0, 72, &to.entries.to_le_bytes());
        put(&mut buffer.0, 88, &checksum.finish().to_le_bytes());
        put(&mut buffer.0, 16, &[0; 4]);
        let size = Bytes(&buffer.0).le32(12) as usize;
        let mut checksum = Crc32::new();
        checksum.update(buffer.0.get(..size).unwrap_or_default());
        put(&mut buffer.0, 16, &checksum.finish().to_le_bytes());
        self.write(to.header, &buffer)?;
        if self.wrote {
            self.disk.flush()?;
        }
        self.wrote |= before;
        Ok(())
    }

    fn read<'b>(&self, lba: u64, Sector(buffer): &'b mut Sector) -> Result<Bytes<'b>, ReadError> {
        let sector = buffer.get_mut(..self.sector_size).unwrap_or_default();
        self.disk.read_exact_at(lba.saturating_mul(self.sector_size as u64), sector)?;
        Ok(Bytes(sector))
    }

    /// Writes a sector, unless it is that already.
    fn write(&mut self, lba: u64, Sector(buffer): &Sector) -> Result<(), RewriteError> {
        let mut present = Sector([0; MAX_SECTOR]);
        let wanted = buffer.get(..self.sector_size).unwrap_or_default();
        // A sector that cannot be read may yet be writable: drives give it a new place then.
        if self.read(lba, &mut present).is_ok_and(|present| present.0 == wanted) {
            return Ok(());
        }
        self.wrote = true;
        Ok(self.disk.write_all_at(lba.saturating_mul(self.sector_size as u64), wanted)?)
    }
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    let place = bytes.get_mut(offset..).and_then(|rest| rest.get_mut(..value.len()));
    if let Some(place) = place {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
