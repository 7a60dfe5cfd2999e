//! GUID partition tables (UEFI specification, 5.3).

mod attributes;
mod header;
mod rewrite;

use core::fmt;

use heapless::String;
use verity::Uuid;

use crate::bytes::Bytes;
use crate::read::{ReadAt, ReadError};

pub use attributes::{Attributes, MAX_PRIORITY};
use header::Header;
pub use header::{HeaderProblem, MAX_ENTRIES, MAX_ENTRY_SIZE};
pub use rewrite::{Edit, EntryMut, RewriteError, rewrite};

/// A partition's label in bytes at most: 36 UTF-16 code units, each up to three bytes of UTF-8.
pub const MAX_LABEL: usize = 108;
/// A partition's label. Units that are no UTF-16 are shown as U+FFFD.
pub type PartLabel = String<MAX_LABEL, u8>;

const ENTRY_SIZE: usize = 128;
const LABEL_UNITS: usize = 36;
const PRIMARY_LBA: u64 = 1;
/// Where in a header the sector of the other one stands. The primary one is in the second sector.
const ALTERNATE_OFFSET: u64 = 32;

/// A valid table. It holds no entries itself: they are read from the disk as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpt {
    header: Header,
    sector_size: u32,
    last_lba: u64,
    /// Where the backup was looked for that this table was read from; the last sector where it was read from the primary one.
    backup_lba: u64,
    primary_problem: Option<HeaderProblem>,
}

/// Why a disk has no usable GUID partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GptError {
    /// Neither place of a header has the signature: there is no such table.
    Absent,
    /// There is a header, but neither is valid.
    Damaged {
        /// What is wrong at sector 1.
        primary: HeaderProblem,
        /// What is wrong at the last sector.
        backup: HeaderProblem,
    },
}

impl fmt::Display for GptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no GUID partition table"),
            Self::Damaged { primary, backup } => write!(
                f,
                "the GUID partition table is damaged: the primary header {primary}; the backup header {backup}"
            ),
        }
    }
}

impl core::error::Error for GptError {}

impl Gpt {
    /// Reads and checks the table of a disk with sectors of `sector_size` bytes (512 or 4096, as the kernel's logical
    /// block size). The backup at the last sector serves when the primary at sector 1 is not valid; where only the primary's
    /// entries cannot be read, or are not what its header was written with, as after a power cut, the backup that this header
    /// names comes first: on a disk that has grown it is not at the end.
    pub fn read(reader: &dyn ReadAt, sector_size: u32) -> Result<Self, GptError> {
        let sectors = reader.size().checked_div(sector_size.into()).unwrap_or(0);
        let last_lba = sectors.checked_sub(1).ok_or(GptError::Absent)?;
        let table =
            |header, backup_lba, primary_problem| Self { header, sector_size, last_lba, backup_lba, primary_problem };
        let primary = match Header::read(reader, sector_size, PRIMARY_LBA, last_lba) {
            Ok(header) => return Ok(table(header, last_lba, None)),
            Err(problem) => problem,
        };
        // Where it is the header itself that cannot be read, neither can this.
        let mut named = [0; 8];
        let place = u64::from(sector_size).saturating_add(ALTERNATE_OFFSET);
        let is_whole = matches!(primary, HeaderProblem::EntriesChecksum | HeaderProblem::Unreadable(_))
            && reader.read_exact_at(place, &mut named).is_ok();
        let places = [if is_whole { u64::from_le_bytes(named) } else { last_lba }, last_lba];
        let mut backup = HeaderProblem::NoSignature;
        for place in places {
            match Header::read(reader, sector_size, place, last_lba) {
                Ok(header) => return Ok(table(header, place, Some(primary))),
                Err(problem) => backup = problem,
            }
        }
        if signed(primary) || signed(backup) {
            Err(GptError::Damaged { primary, backup })
        } else {
            Err(GptError::Absent)
        }
    }

    /// What is wrong with the primary header, when it is the backup that this table was read from.
    pub const fn primary_problem(&self) -> Option<HeaderProblem> {
        self.primary_problem
    }

    /// The number of entries, used or not.
    pub const fn entry_count(&self) -> u32 {
        self.header.entry_count
    }

    /// The entry with this number, from 1. `None` where it is unused, or describes no range of the disk: then the
    /// kernel shows no such partition either (block/partitions/efi.c).
    pub fn entry(&self, reader: &dyn ReadAt, number: u32) -> Result<Option<GptEntry>, ReadError> {
        let Some(index) = number.checked_sub(1).filter(|index| *index < self.header.entry_count) else {
            return Ok(None);
        };
        let offset = u64::from(index).saturating_mul(self.header.entry_size.into());
        let mut raw = [0; ENTRY_SIZE];
        reader.read_exact_at(self.header.entries_offset.saturating_add(offset), &mut raw)?;
        let entry = GptEntry::parse(number, &raw);
        let exists = entry.type_uuid != Uuid([0; 16]);
        let in_range = entry.first_lba <= entry.last_lba && entry.last_lba <= self.last_lba;
        Ok(if exists && in_range { Some(entry) } else { None })
    }

    /// The byte at which an entry's partition begins, and its size in bytes.
    pub fn range(&self, entry: &GptEntry) -> (u64, u64) {
        let sector_size = u64::from(self.sector_size);
        let sectors = entry.last_lba.saturating_sub(entry.first_lba).saturating_add(1);
        (entry.first_lba.saturating_mul(sector_size), sectors.saturating_mul(sector_size))
    }
}

fn signed(problem: HeaderProblem) -> bool {
    !matches!(problem, HeaderProblem::NoSignature | HeaderProblem::Unreadable(_))
}

/// One partition of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptEntry {
    /// Its number, from 1, as in the kernel's name of the partition.
    pub number: u32,
    /// What it is for; see [`crate::discoverable`].
    pub type_uuid: Uuid,
    /// Its PARTUUID.
    pub uuid: Uuid,
    /// First sector.
    pub first_lba: u64,
    /// Last sector, itself included.
    pub last_lba: u64,
    /// Its attribute bits.
    pub attributes: Attributes,
    /// Its PARTLABEL.
    pub label: PartLabel,
}

impl GptEntry {
    fn parse(number: u32, raw: &[u8; ENTRY_SIZE]) -> Self {
        let raw = Bytes(raw);
        Self {
            number,
            type_uuid: Uuid::from_mixed_endian(raw.array(0)),
            uuid: Uuid::from_mixed_endian(raw.array(16)),
            first_lba: raw.le64(32),
            last_lba: raw.le64(40),
            attributes: Attributes(raw.le64(48)),
            label: raw.utf16(56, LABEL_UNITS),
        }
    }
}

#[cfg(test)]
mod tests;
