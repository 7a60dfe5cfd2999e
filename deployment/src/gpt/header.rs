//! The header of a GUID partition table: the checked view of its 92 bytes.

use core::fmt;

use crate::bytes::Bytes;
use crate::crc32::Crc32;
use crate::read::{ReadAt, ReadError};

/// Most entries that a table may have. Every common tool writes 128.
pub const MAX_ENTRIES: u32 = 1024;
/// Largest entry in bytes. Every common tool writes 128.
pub const MAX_ENTRY_SIZE: u32 = 4096;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION_1_0: u32 = 0x0001_0000;
const HEADER_SIZE: u32 = 92;
const CHECKSUM_OFFSET: usize = 16;
const MIN_ENTRY_SIZE: u32 = 128;

/// A header whose every field was checked against the device, with the entries whose checksum it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Byte at which the array of entries begins.
    pub(super) entries_offset: u64,
    pub(super) entry_count: u32,
    pub(super) entry_size: u32,
}

/// Why a header, or the table behind it, is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    /// The header or its entries cannot be read.
    Unreadable(ReadError),
    /// `EFI PART` is missing: there is no header.
    NoSignature,
    /// A revision other than 1.0.
    Revision(u32),
    /// A header size in bytes that is not 92 up to the sector's size.
    HeaderSize(u32),
    /// The header's bytes are not those that its checksum was made of.
    HeaderChecksum,
    /// The header says that it lies at this sector, but it lies elsewhere.
    Position(u64),
    /// The sectors that partitions may use are not a range of the device.
    UsableRange {
        /// First of them.
        first: u64,
        /// Last of them.
        last: u64,
    },
    /// An entry size in bytes that is not 128 times a power of two, at most [`MAX_ENTRY_SIZE`].
    EntrySize(u32),
    /// A number of entries that is not 1 to [`MAX_ENTRIES`].
    EntryCount(u32),
    /// The array of entries begins at this sector and does not fit on the device.
    EntriesPosition(u64),
    /// The entries are not those that their checksum was made of.
    EntriesChecksum,
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::NoSignature => f.write_str("has no \"EFI PART\" signature"),
            Self::Revision(found) => write!(f, "has revision {found:#x}, allowed is 0x10000"),
            Self::HeaderSize(found) => write!(f, "has size {found}, allowed is 92 up to the sector size"),
            Self::HeaderChecksum => f.write_str("does not match its checksum"),
            Self::Position(found) => write!(f, "says it is sector {found}, which it is not"),
            Self::UsableRange { first, last } => {
                write!(f, "has usable sectors {first} to {last}, no range of this disk")
            }
            Self::EntrySize(found) => write!(f, "has entries of {found} bytes, allowed is 128, 256 … {MAX_ENTRY_SIZE}"),
            Self::EntryCount(found) => write!(f, "has {found} entries, allowed are 1 to {MAX_ENTRIES}"),
            Self::EntriesPosition(found) => write!(f, "has its entries at sector {found}, past the end of the disk"),
            Self::EntriesChecksum => f.write_str("has entries that do not match their checksum"),
        }
    }
}

impl core::error::Error for HeaderProblem {}

impl From<ReadError> for HeaderProblem {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl Header {
    /// Reads and checks the header at sector `lba` of a disk whose last sector is `last_lba` (UEFI specification,
    /// 5.3.2: a header is valid when signature, checksum, position and the checksum of its entries are).
    pub(super) fn read(reader: &dyn ReadAt, sector_size: u32, lba: u64, last_lba: u64) -> Result<Self, HeaderProblem> {
        let offset = lba.checked_mul(sector_size.into()).ok_or(ReadError::OutOfRange)?;
        let mut raw = [0; HEADER_SIZE as usize];
        reader.read_exact_at(offset, &mut raw)?;
        let raw = Bytes(&raw);
        check_header(reader, offset, sector_size, raw)?;
        check_range(raw, lba, last_lba)?;
        let header = locate_entries(reader, sector_size, raw)?;
        let mut checksum = Crc32::new();
        checksum.update_from(reader, header.entries_offset, header.entries_length())?;
        if checksum.finish() != raw.le32(88) {
            return Err(HeaderProblem::EntriesChecksum);
        }
        Ok(header)
    }

    /// The size of the array of entries in bytes.
    pub(super) fn entries_length(&self) -> u64 {
        u64::from(self.entry_count).saturating_mul(self.entry_size.into())
    }
}

fn check_header(reader: &dyn ReadAt, offset: u64, sector_size: u32, raw: Bytes<'_>) -> Result<(), HeaderProblem> {
    if !raw.has(0, SIGNATURE) {
        return Err(HeaderProblem::NoSignature);
    }
    let revision = raw.le32(8);
    if revision != REVISION_1_0 {
        return Err(HeaderProblem::Revision(revision));
    }
    let size = raw.le32(12);
    if !(HEADER_SIZE..=sector_size).contains(&size) {
        return Err(HeaderProblem::HeaderSize(size));
    }
    // The checksum was made with zeros in its own place.
    let mut checksum = Crc32::new();
    checksum.update(&raw.array::<CHECKSUM_OFFSET>(0));
    checksum.update(&[0; 4]);
    let behind = (CHECKSUM_OFFSET as u64).saturating_add(4);
    checksum.update_from(reader, offset.saturating_add(behind), u64::from(size).saturating_sub(behind))?;
    if checksum.finish() == raw.le32(CHECKSUM_OFFSET) { Ok(()) } else { Err(HeaderProblem::HeaderChecksum) }
}

fn check_range(raw: Bytes<'_>, lba: u64, last_lba: u64) -> Result<(), HeaderProblem> {
    let position = raw.le64(24);
    if position != lba {
        return Err(HeaderProblem::Position(position));
    }
    let (first, last) = (raw.le64(40), raw.le64(48));
    if first <= last && last <= last_lba { Ok(()) } else { Err(HeaderProblem::UsableRange { first, last }) }
}

fn locate_entries(reader: &dyn ReadAt, sector_size: u32, raw: Bytes<'_>) -> Result<Header, HeaderProblem> {
    let (entries_lba, entry_count, entry_size) = (raw.le64(72), raw.le32(80), raw.le32(84));
    if !(entry_size.is_power_of_two() && (MIN_ENTRY_SIZE..=MAX_ENTRY_SIZE).contains(&entry_size)) {
        return Err(HeaderProblem::EntrySize(entry_size));
    }
    if !(1..=MAX_ENTRIES).contains(&entry_count) {
        return Err(HeaderProblem::EntryCount(entry_count));
    }
    let entries_offset = entries_lba.saturating_mul(sector_size.into());
    let header = Header { entries_offset, entry_count, entry_size };
    if entries_offset.saturating_add(header.entries_length()) > reader.size() {
        return Err(HeaderProblem::EntriesPosition(entries_lba));
    }
    Ok(header)
}
