//! The hash tree: where each level stands on the hash device and how digests stand in a hash block.
//!
//! Level 0 holds the digests of the data blocks, each further level those of the blocks of the level below; the root
//! hash is the digest of the one block of the topmost level. That level stands first on disk, level 0 last
//! (Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree"). One data block needs no tree: the root hash is
//! its digest.

use core::fmt;

use heapless::Vec;

use crate::digest::HashType;
use crate::parameters::{self, Parameters};
use crate::superblock::{SUPERBLOCK_SIZE, Superblock};

#[cfg(test)]
mod tests;

/// The most levels that a tree can have: a hash block has room for at least 8 digests (512 bytes, SHA-512), and there
/// are fewer than 2^55 data blocks.
pub const MAX_LEVELS: usize = 19;

/// One level of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its first block, counted in hash blocks from the start of the hash device.
    pub start_block: u64,
    /// How many hash blocks it has.
    pub blocks: u64,
}

/// Where the blocks of one tree stand. All sizes are proven to fit: nothing computed from a geometry overflows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    parameters: Parameters,
    start_block: u64,
    end_block: u64,
    levels: Vec<Level, MAX_LEVELS>,
}

impl Geometry {
    /// The tree behind a superblock that stands at `hash_offset` bytes of the hash device, a multiple of 512. It
    /// starts at the first hash block after the superblock.
    #[inline(never)]
    pub fn with_superblock(superblock: &Superblock, hash_offset: u64) -> Result<Self, GeometryError> {
        if !hash_offset.is_multiple_of(SUPERBLOCK_SIZE as u64) {
            return Err(GeometryError::HashOffset { found: hash_offset });
        }
        let parameters = superblock.parameters();
        let block_size = checked_block_size("hash block size", parameters.hash_block_size)?;
        let end = hash_offset.checked_add(SUPERBLOCK_SIZE as u64).ok_or(GeometryError::TooLarge)?;
        Self::new(parameters, end.div_ceil(block_size))
    }

    /// A tree without superblock. It starts at the hash block in which byte `hash_offset` of the hash device lies, as
    /// veritysetup has it: an offset that is no multiple of the hash block size is rounded **down**.
    pub fn without_superblock(parameters: Parameters, hash_offset: u64) -> Result<Self, GeometryError> {
        let block_size = checked_block_size("hash block size", parameters.hash_block_size)?;
        Self::new(parameters, hash_offset / block_size)
    }

    fn new(parameters: Parameters, start_block: u64) -> Result<Self, GeometryError> {
        let data_block_size = checked_block_size("data block size", parameters.data_block_size)?;
        if parameters.data_blocks == 0 {
            return Err(GeometryError::NoDataBlocks);
        }
        parameters.data_blocks.checked_mul(data_block_size).ok_or(GeometryError::TooLarge)?;
        let mut geometry = Self { parameters, start_block, end_block: start_block, levels: Vec::new() };
        let mut blocks = geometry.parameters.data_blocks;
        while blocks > 1 {
            blocks = blocks.div_ceil(geometry.digests_per_block());
            geometry.levels.push(Level { start_block: 0, blocks }).map_err(|_| GeometryError::TooLarge)?;
        }
        for level in geometry.levels.iter_mut().rev() {
            level.start_block = geometry.end_block;
            geometry.end_block = geometry.end_block.checked_add(level.blocks).ok_or(GeometryError::TooLarge)?;
        }
        let block_size = u64::from(geometry.parameters.hash_block_size);
        geometry.end_block.checked_mul(block_size).ok_or(GeometryError::TooLarge)?;
        Ok(geometry)
    }

    /// How the tree is computed.
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The first block of the tree, in hash blocks from the start of the hash device: `hash_start_block` of the
    /// device-mapper table. It is the topmost block, if there is any.
    pub const fn hash_start_block(&self) -> u64 {
        self.start_block
    }

    /// The block after the tree, in hash blocks from the start of the hash device.
    pub const fn hash_end_block(&self) -> u64 {
        self.end_block
    }

    /// The number of hash blocks, 0 for a single data block.
    pub const fn hash_blocks(&self) -> u64 {
        self.end_block.saturating_sub(self.start_block)
    }

    /// The size that the hash device must have at least, in bytes, from its very start.
    pub const fn hash_device_size(&self) -> u64 {
        self.end_block.saturating_mul(self.parameters.hash_block_size as u64)
    }

    /// The size that the data device must have at least, in bytes.
    pub const fn data_size(&self) -> u64 {
        self.parameters.data_blocks.saturating_mul(self.parameters.data_block_size as u64)
    }

    /// The levels, the one over the data first, the topmost last; none for a single data block.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Where on the hash device the digest of block `index` of the level below stands, in bytes; for the index after
    /// the last of a hash block, where the next hash block starts.
    pub const fn digest_offset(&self, level: Level, index: u64) -> u64 {
        let per_block = self.digests_per_block();
        let block = level.start_block.saturating_add(index / per_block);
        let start = block.saturating_mul(self.parameters.hash_block_size as u64);
        start.saturating_add((index % per_block).saturating_mul(self.digest_spacing() as u64))
    }

    /// How many digests stand in a hash block: a power of two, at least 8.
    pub const fn digests_per_block(&self) -> u64 {
        match (self.parameters.hash_block_size as usize / self.parameters.algorithm.digest_size()).checked_ilog2() {
            Some(bits) => 1 << bits,
            None => 1,
        }
    }

    /// How many bytes of a hash block each digest takes, the digest itself first, then zeros.
    pub const fn digest_spacing(&self) -> usize {
        let size = self.parameters.algorithm.digest_size();
        match self.parameters.hash_type {
            HashType::ChromeOs => size,
            HashType::Normal => size.next_power_of_two(),
        }
    }
}

fn checked_block_size(field: &'static str, size: u32) -> Result<u64, GeometryError> {
    if parameters::is_block_size(size) {
        Ok(u64::from(size))
    } else {
        Err(GeometryError::BlockSize { field, found: size })
    }
}

/// Why no tree has these parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// A block size is not a power of two from 512 to 524288.
    BlockSize {
        /// Which: `data block size` or `hash block size`.
        field: &'static str,
        /// The size found, in bytes.
        found: u32,
    },
    /// There is no data.
    NoDataBlocks,
    /// The superblock would not stand at a multiple of 512 bytes.
    HashOffset {
        /// The offset, in bytes.
        found: u64,
    },
    /// Data or tree end beyond 2^64 bytes.
    TooLarge,
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockSize { field, found } => {
                write!(f, "{field} is {found}; allowed are powers of two from 512 to 524288")
            }
            Self::NoDataBlocks => f.write_str("number of data blocks is 0; allowed are 1 and more"),
            Self::HashOffset { found } => write!(f, "hash offset is {found}; allowed are multiples of 512"),
            Self::TooLarge => f.write_str("data or hash tree would end beyond 2^64 bytes; such a device cannot exist"),
        }
    }
}

impl core::error::Error for GeometryError {}
