//! The boot ledger of deployments that have no partition of their own: one file in the filesystem that holds them.
//!
//! The file has two copies of the ledger, each with a generation and a checksum. A change is written over the copy that is
//! not in force and takes effect when all of it is on the medium: a power cut at any moment leaves the old ledger or the new
//! one. What a copy says of a deployment has the form of the bits in a partition table ([`Attributes`]), so that every kind
//! is judged by the same rules.
//!
//! | offset | bytes | field of a copy, little-endian |
//! |---|---|---|
//! | 0 | 8 | `SUREFOOT` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | CRC-32 (IEEE 802.3) of the whole copy, this field taken as 0 |
//! | 16 | 8 | generation: of two sound copies the later one is in force; 0 comes after 2^64 - 1 |
//! | 24 | 1 | automatic reboots in a row |
//! | 32 | 8 × 4 | what each kind put first when the ledger was last gone through: CRC-32 of kind, NUL, name; 0 for none |
//! | 64 | 63 × 64 | records: attributes (8 bytes), name (56 bytes, NUL-padded; empty where nothing is recorded) |

use core::fmt::{self, Write as _};

use heapless::String;

use super::MAX_REBOOTS;
use crate::bytes::Bytes;
use crate::crc32::Crc32;
use crate::gpt::{Attributes, MAX_PRIORITY};
use crate::read::{ReadAt, ReadError};
use crate::write::{WriteAt, WriteError};

/// Where the file lies in its filesystem.
pub const PATH: &str = "surefoot/ledger";
/// The folder that it lies in.
pub const FOLDER: &str = "surefoot";
/// Bytes of the file: two copies.
pub const FILE_SIZE: usize = 2 * COPY_SIZE;
/// Most deployments that are recorded.
pub const MAX_RECORDS: usize = 63;
/// The longest name of a deployment that is recorded, in bytes.
pub const MAX_RECORDED_NAME: usize = 56;
/// How often a deployment that has not proved itself is tried, where nothing else is written down.
pub const TRIES: u8 = 3;

/// What is left of a longer name beside its checksum.
const MAX_BEGINNING: usize = MAX_RECORDED_NAME - 9;
/// Bytes of one copy.
pub(super) const COPY_SIZE: usize = 4096;
const MAGIC: &[u8; 8] = b"SUREFOOT";
const VERSION: u32 = 1;
const VERSION_AT: usize = 8;
const CHECKSUM_AT: usize = 12;
const GENERATION_AT: usize = 16;
const REBOOTS_AT: usize = 24;
const HIGHEST_AT: usize = 25;
const FIRSTS_AT: usize = 32;
const MAX_FIRSTS: usize = 8;
const RECORDS_AT: usize = 64;
const RECORD_SIZE: usize = 64;
const NAME_AT: usize = 8;

/// One copy, whole and aligned as a device takes it.
#[repr(align(4096))]
#[derive(Clone)]
pub struct LedgerFile([u8; COPY_SIZE]);

/// Why the ledger was not changed. What is in the file is then still the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// It cannot be read.
    Read(ReadError),
    /// It cannot be written.
    Write(WriteError),
    /// More than [`MAX_RECORDS`] deployments would be recorded.
    Full,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read it: {error}"),
            Self::Write(WriteError(errno)) => write!(f, "cannot write it: {}", ReadError::Device(*errno)),
            Self::Full => write!(f, "MAX_RECORDS allows {MAX_RECORDS} deployments"),
        }
    }
}

impl core::error::Error for LedgerError {}

impl Default for LedgerFile {
    fn default() -> Self {
        Self([0; COPY_SIZE])
    }
}

impl fmt::Debug for LedgerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.records()).finish()
    }
}

impl LedgerFile {
    /// The ledger in force; an empty one where there is none that is sound. Also gives the place of the other copy. One that
    /// cannot be read is as good as damaged where the other is sound: drives give a sector a new place when it is written.
    #[inline(never)]
    fn read_into(&mut self, file: &dyn ReadAt) -> Result<u64, ReadError> {
        let (mut best, mut unreadable) = (None, None);
        for place in [0, COPY_SIZE as u64] {
            match self.load(file, place) {
                Ok(Some(generation)) if best.is_none_or(|(other, _)| is_after(generation, other)) => {
                    best = Some((generation, place));
                }
                Ok(_) => {}
                Err(why) => unreadable = Some(why),
            }
        }
        let Some((_, place)) = best else {
            self.0.fill(0);
            return unreadable.map_or(Ok(0), Err);
        };
        self.load(file, place)?;
        Ok(if place == 0 { COPY_SIZE as u64 } else { 0 })
    }

    /// Reads one copy; gives its generation if it is sound. A file that ends before it has none.
    fn load(&mut self, file: &dyn ReadAt, place: u64) -> Result<Option<u64>, ReadError> {
        match file.read_exact_at(place, &mut self.0) {
            Ok(()) => {}
            Err(ReadError::OutOfRange) => return Ok(None),
            Err(error) => return Err(error),
        }
        let view = Bytes(&self.0);
        let sound = view.has(0, MAGIC) && view.le32(VERSION_AT) == VERSION && view.le32(CHECKSUM_AT) == self.checksum();
        Ok(sound.then(|| view.le64(GENERATION_AT)))
    }

    /// The ledger in force; an empty one where there is none that is sound.
    pub fn read(&mut self, file: &dyn ReadAt) -> Result<(), ReadError> {
        self.read_into(file).map(|_| ())
    }

    /// Whether it is one that was written, and not what stands for none.
    pub(super) fn was_written(&self) -> bool {
        Bytes(&self.0).has(0, MAGIC)
    }

    fn checksum(&self) -> u32 {
        let (before, rest) = self.0.split_at_checked(CHECKSUM_AT).unwrap_or_default();
        let mut sum = Crc32::new();
        sum.update(before);
        sum.update(&[0; 4]);
        sum.update(rest.get(4..).unwrap_or_default());
        sum.finish()
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(field) = self.0.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) {
            field.copy_from_slice(bytes);
        }
    }

    /// How often in a row the machine has rebooted by itself because nothing could be booted.
    pub fn reboots(&self) -> u8 {
        Bytes(&self.0).u8(REBOOTS_AT).min(MAX_REBOOTS)
    }

    /// Writes down how often that was.
    pub fn set_reboots(&mut self, count: u8) {
        self.put(REBOOTS_AT, &[count.min(MAX_REBOOTS)]);
    }

    /// The deployments that are recorded, with what is written down of each.
    pub fn records(&self) -> impl Iterator<Item = (&str, Attributes)> {
        self.places().filter(|(_, name, _)| !name.is_empty()).map(|(_, name, attributes)| (name, attributes))
    }

    /// What is written down of a deployment.
    pub fn find(&self, name: &str) -> Option<Attributes> {
        let name = &*recorded(name);
        self.records().find(|(known, _)| *known == name).map(|(_, attributes)| attributes)
    }

    /// Whether a deployment has ever been marked good here. Until then nothing is counted: a machine on which nobody marks
    /// deployments good must not run out of tries.
    pub fn is_in_use(&self) -> bool {
        self.records().any(|(_, attributes)| attributes.once_good())
    }

    /// What the ledger says of a deployment, whether it is recorded or not, and whether that binds. One that is not recorded
    /// may be tried [`TRIES`] times. Tries bind once the ledger [is in use](Self::is_in_use); that one is bad binds at once.
    pub fn standing(&self, name: &str) -> (Attributes, bool) {
        let new = Attributes::default().with_priority(1).with_tries(TRIES);
        let attributes = self.find(name).unwrap_or(new);
        (attributes, self.is_in_use() || attributes.priority() == 0)
    }

    /// The highest priority that is recorded; 0 where nothing is.
    pub fn highest_priority(&self) -> u8 {
        self.records().map(|(_, attributes)| attributes.priority()).max().unwrap_or(0)
    }

    /// Whether a kind has come to put this deployment first since [`set_firsts`](Self::set_firsts), which the program that
    /// looks after its deployments may do when it rolls back. `false` where that was never called.
    pub fn is_newly_first(&self, kind: &str, name: &str) -> bool {
        let mut firsts = self.firsts().filter(|first| *first != 0).peekable();
        firsts.peek().is_some() && !firsts.any(|first| first == first_of(kind, name))
    }

    /// The priority of what is new since [`set_firsts`](Self::set_firsts): right above all that was recorded then. What is
    /// recorded since by a boot does not count, for it may be as new, and of another kind.
    pub fn news_priority(&self) -> u8 {
        Bytes(&self.0).u8(HIGHEST_AT).min(MAX_PRIORITY).saturating_add(1)
    }

    /// Writes down which deployment each kind puts first, by kind and name, and the highest priority that is recorded. Of more
    /// than there is room for, the last ones are newly first for ever, which matters only if they are not the ones of the
    /// highest priority.
    pub fn set_firsts<'n>(&mut self, firsts: impl Iterator<Item = (&'n str, &'n str)>) {
        self.put(HIGHEST_AT, &[self.highest_priority()]);
        self.put(FIRSTS_AT, &[0; MAX_FIRSTS * 4]);
        for (index, (kind, name)) in firsts.take(MAX_FIRSTS).enumerate() {
            self.put(FIRSTS_AT.saturating_add(index.saturating_mul(4)), &first_of(kind, name).to_le_bytes());
        }
    }

    fn firsts(&self) -> impl Iterator<Item = u32> {
        (0..MAX_FIRSTS).map(|index| Bytes(&self.0).le32(FIRSTS_AT.saturating_add(index.saturating_mul(4))))
    }

    fn places(&self) -> impl Iterator<Item = (usize, &str, Attributes)> {
        (0..MAX_RECORDS).map(|index| {
            let offset = RECORDS_AT.saturating_add(index.saturating_mul(RECORD_SIZE));
            let record = Bytes(&self.0).from(offset);
            let name = record.0.get(NAME_AT..RECORD_SIZE).unwrap_or_default();
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            let name = core::str::from_utf8(name.get(..end).unwrap_or_default()).unwrap_or_default();
            (offset, name, Attributes(record.le64(0)))
        })
    }

    /// Writes down `attributes` of a deployment, in the place of what was there. Where there is no room, one that is not
    /// `kept` makes way: one that was never good before one that was, and of these the one of the lowest priority.
    pub fn set(&mut self, name: &str, attributes: Attributes, kept: &dyn Fn(&str) -> bool) -> Result<(), LedgerError> {
        let name = &*recorded(name);
        let same = self.places().find(|(_, known, _)| *known == name);
        let place = same.or_else(|| self.places().find(|(_, known, _)| known.is_empty()));
        let place = place.or_else(|| {
            let others = self.places().filter(|(_, known, _)| !kept(known));
            others.min_by_key(|(_, _, attributes)| (attributes.once_good(), attributes.priority()))
        });
        let (offset, ..) = place.ok_or(LedgerError::Full)?;
        self.put(offset, &attributes.0.to_le_bytes());
        let mut field = [0; MAX_RECORDED_NAME];
        if let Some(room) = field.get_mut(..name.len()) {
            room.copy_from_slice(name.as_bytes());
        }
        self.put(offset.saturating_add(NAME_AT), &field);
        Ok(())
    }
}

/// Whether a generation comes after another one. They go round, so that one follows whatever a file says.
const fn is_after(generation: u64, other: u64) -> bool {
    generation.wrapping_sub(other).cast_signed() > 0
}

/// What stands for the deployment that a kind puts first.
fn first_of(kind: &str, name: &str) -> u32 {
    let mut sum = Crc32::new();
    for part in [kind, "\0", name] {
        sum.update(part.as_bytes());
    }
    sum.finish()
}

/// The name that a deployment is recorded by: its own, or where that is too long its beginning and the checksum of all of it.
pub fn recorded(name: &str) -> String<MAX_RECORDED_NAME> {
    if let Ok(whole) = String::try_from(name) {
        return whole;
    }
    let end = (0..=MAX_BEGINNING).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    let mut sum = Crc32::new();
    sum.update(name.as_bytes());
    let mut recorded = String::new();
    // It fits.
    let _ = write!(recorded, "{}~{:08x}", name.get(..end).unwrap_or_default(), sum.finish());
    recorded
}

/// Changes the ledger in `file` and has it on the medium.
#[inline(never)]
pub fn rewrite(
    file: &dyn WriteAt,
    edit: &mut dyn FnMut(&mut LedgerFile) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut ledger = LedgerFile::default();
    let place = ledger.read_into(file).map_err(LedgerError::Read)?;
    edit(&mut ledger)?;
    let generation = Bytes(&ledger.0).le64(GENERATION_AT).wrapping_add(1);
    ledger.put(0, MAGIC);
    ledger.put(VERSION_AT, &VERSION.to_le_bytes());
    ledger.put(GENERATION_AT, &generation.to_le_bytes());
    let checksum = ledger.checksum();
    ledger.put(CHECKSUM_AT, &checksum.to_le_bytes());
    file.write_all_at(place, &ledger.0).map_err(LedgerError::Write)?;
    file.flush().map_err(LedgerError::Write)
}

#[cfg(test)]
mod tests;
