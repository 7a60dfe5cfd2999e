//! Mutations of a disk image, each of which can be taken back.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::random::Random;

/// The unit in which content is moved about, in bytes.
pub const BLOCK: u64 = 4096;

/// A part of a disk that means something.
#[derive(Clone, Debug)]
pub struct Region {
    /// What it holds.
    pub name: &'static str,
    /// Where it is: offset and length in bytes.
    pub extents: Vec<(u64, u64)>,
    /// How far away older content of the same meaning is, in bytes.
    pub older: Option<i64>,
}

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Turns one bit of the byte there over.
    Bit(u64, u8),
    /// Exchanges two blocks.
    Swap(u64, u64),
    /// Puts an older block, or another one, in the place of one: from, to.
    Replay(u64, u64),
    /// Writes zeros over this many bytes.
    Zero(u64, u64),
    /// Ends the disk there.
    Truncate(u64),
}

/// A change of a disk in one region.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// What the region holds.
    pub region: &'static str,
    /// What is done.
    pub change: Change,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.region)?;
        match self.change {
            Change::Bit(at, bit) => write!(f, "bit {bit} of byte {at:#x}"),
            Change::Swap(a, b) => write!(f, "blocks {a:#x} and {b:#x} exchanged"),
            Change::Replay(from, to) => write!(f, "block {from:#x} written to {to:#x}"),
            Change::Zero(at, length) => write!(f, "{length} bytes of zeros at {at:#x}"),
            Change::Truncate(at) => write!(f, "ends at {at:#x}"),
        }
    }
}

impl Region {
    /// One extent.
    pub fn new(name: &'static str, offset: u64, length: u64) -> Self {
        Self { name, extents: vec![(offset, length)], older: None }
    }

    /// Any byte of it.
    fn byte(&self, random: &mut Random) -> u64 {
        let total = self.extents.iter().map(|(_, length)| length).sum();
        let mut left = random.below(total);
        for (offset, length) in &self.extents {
            if left < *length {
                return offset + left;
            }
            left -= length;
        }
        0
    }

    /// The beginning of any block of it, whose length is also given: a region may be shorter than a block.
    fn block(&self, random: &mut Random) -> (u64, u64) {
        let byte = self.byte(random);
        let extent = self.extents.iter().find(|(offset, length)| (*offset..offset + length).contains(&byte));
        let (offset, length) = extent.copied().unwrap_or((byte, 1));
        let start = offset + (byte - offset) / BLOCK * BLOCK;
        (start, BLOCK.min(offset + length - start))
    }
}

/// Any change of any of these regions, each being as likely as another.
///
/// # Errors
/// Without a region.
pub fn draw(random: &mut Random, regions: &[Region]) -> Result<Mutation> {
    let number = usize::try_from(random.below(regions.len() as u64))?;
    let region = regions.get(number).context("there is no region to alter")?;
    let (block, length) = region.block(random);
    let change = match random.below(8) {
        0..=2 => Change::Bit(region.byte(random), u8::try_from(random.below(8))?),
        3 => Change::Swap(block, region.block(random).0),
        4..=5 => {
            let older = region.older.and_then(|distance| block.checked_add_signed(distance));
            Change::Replay(older.unwrap_or(region.block(random).0), block)
        }
        6 => Change::Zero(block, length),
        // Where the end of the disk is within a region is a region's own matter, too.
        _ if random.below(2) == 0 => Change::Truncate(region.byte(random)),
        _ => Change::Zero(region.byte(random) / 512 * 512, 512),
    };
    Ok(Mutation { region: region.name, change })
}

/// A disk that is altered, until this is taken back.
#[derive(Debug)]
pub struct Altered {
    file: File,
    length: u64,
    saved: Vec<(u64, Vec<u8>)>,
    is_other: bool,
}

impl Altered {
    /// Alters the disk.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn new(disk: &Path, change: Change) -> Result<Self> {
        let file = File::options().read(true).write(true).open(disk)?;
        let length = file.metadata()?.len();
        let mut altered = Self { file, length, saved: Vec::new(), is_other: false };
        match change {
            Change::Bit(at, bit) => {
                let byte = altered.read(at, 1)?;
                altered.write(at, &[byte.first().copied().unwrap_or_default() ^ 1 << bit])?;
            }
            Change::Swap(a, b) => {
                let (first, second) = (altered.read(a, BLOCK)?, altered.read(b, BLOCK)?);
                altered.write(a, &second)?;
                altered.write(b, &first)?;
            }
            Change::Replay(from, to) => {
                let block = altered.read(from, BLOCK)?;
                altered.write(to, &block)?;
            }
            Change::Zero(at, length) => altered.write(at, &vec![0; usize::try_from(length)?])?,
            Change::Truncate(at) => {
                let tail = altered.read(at, length.saturating_sub(at))?;
                altered.saved.push((at, tail));
                altered.file.set_len(at)?;
                altered.is_other = true;
            }
        }
        Ok(altered)
    }

    /// Whether anything is other than it was.
    pub fn is_other(&self) -> bool {
        self.is_other
    }

    /// Makes it again what it was.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(self) -> Result<()> {
        self.file.set_len(self.length)?;
        self.saved.iter().rev().try_for_each(|(at, bytes)| self.file.write_all_at(bytes, *at))?;
        Ok(())
    }

    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        let end = self.length.min(at.saturating_add(length));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(at))?];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Writes what of it the disk has room for: the last region may end within a block.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        ensure!(at < self.length, "{at:#x} is behind the end of the disk");
        let old = self.read(at, bytes.len() as u64)?;
        let bytes = bytes.get(..old.len()).unwrap_or(bytes);
        self.is_other |= old != bytes;
        self.saved.push((at, old));
        Ok(self.file.write_all_at(bytes, at)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_one_and_can_be_taken_back() -> Result<()> {
        let disk = tempfile::NamedTempFile::new()?;
        let mut source = Random::new(4);
        let content: Vec<_> = (0..8 * BLOCK).flat_map(|_| source.number().to_le_bytes()).collect();
        std::fs::write(disk.path(), &content)?;
        let regions = [
            Region { older: Some(-8192), ..Region::new("a", 16 * BLOCK, 8 * BLOCK) },
            Region::new("b", 1024, 100),
            Region::new("end", 64 * BLOCK - 1024, 1024),
        ];
        let mut random = Random::new(5);
        let mut seen = [0; 5];
        for _ in 0..500 {
            let mutation = draw(&mut random, &regions)?;
            let altered = Altered::new(disk.path(), mutation.change)?;
            assert_eq!(altered.is_other(), std::fs::read(disk.path())? != content, "{mutation}");
            altered.take_back()?;
            assert!(std::fs::read(disk.path())? == content, "{mutation}");
            seen[match mutation.change {
                Change::Bit(..) => 0,
                Change::Swap(..) => 1,
                Change::Replay(..) => 2,
                Change::Zero(..) => 3,
                Change::Truncate(..) => 4,
            }] += 1;
        }
        assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
        Ok(())
    }
}
