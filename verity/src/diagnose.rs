//! Why a root hash does not fit: so that a boot can say which thing is wrong, and not only that something is.

use core::fmt;

use crate::digest::BlockHasher;
use crate::hash_tree::{Geometry, Level};
use crate::root_hash::RootHash;

pub use crate::verdict::{Block, Verdict};

#[cfg(test)]
mod tests;

/// The largest block that PID 1 has buffers for, in bytes: the memory page, which is also the kernel's own limit on
/// the machines that surefoot supports.
pub const MAX_BLOCK_SIZE: usize = 4096;

/// Two buffers, each one block long at least: [`MAX_BLOCK_SIZE`] serves every tree that the kernel takes.
#[derive(Debug)]
pub struct Buffers<'a> {
    /// For the block whose digests are compared.
    pub parent: &'a mut [u8],
    /// For the blocks that are digested.
    pub child: &'a mut [u8],
}

/// Why no verdict was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiagnoseError<E> {
    /// A block could not be read.
    Read {
        /// The block.
        block: Block,
        /// The reader's error.
        error: E,
    },
    /// A block is larger than the buffer for it.
    BufferTooSmall {
        /// The size that is needed, in bytes.
        needed: u32,
    },
}

impl<E: fmt::Display> fmt::Display for DiagnoseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { block, error } => write!(f, "cannot read {block}: {error}"),
            Self::BufferTooSmall { needed } => {
                write!(f, "a block has {needed} bytes; allowed are up to {MAX_BLOCK_SIZE}")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for DiagnoseError<E> {}

/// Compares a tree with its root hash, reading the topmost block and, when that one is right, one hash block of each
/// level, otherwise the blocks right below it (at most 256).
///
/// `read` fills the slice, exactly one block long, with the block it is asked for.
#[inline(never)]
pub fn diagnose<E>(
    geometry: &Geometry,
    root_hash: &RootHash,
    buffers: Buffers<'_>,
    read: impl FnMut(Block, &mut [u8]) -> Result<(), E>,
) -> Result<Verdict, DiagnoseError<E>> {
    let parameters = geometry.parameters();
    let mut examination = Examination { geometry, hasher: parameters.hasher(), read };
    let Buffers { parent, child } = buffers;
    let needed = parameters.data_block_size.max(parameters.hash_block_size);
    let fits = |buffer: &[u8]| buffer.len() >= usize::try_from(needed).unwrap_or(usize::MAX);
    if !fits(parent) || !fits(child) {
        return Err(DiagnoseError::BufferTooSmall { needed });
    }
    let Some((top, below)) = geometry.levels().split_last() else {
        return examination.single_data_block(root_hash, child);
    };
    let block = geometry.hash_start_block();
    let root_block = examination.read(Block::Hash(block), &mut *parent)?;
    let computed = RootHash::from(examination.hasher.digest(root_block));
    if computed == *root_hash {
        return examination.right_edge(*top, below, Buffers { parent, child });
    }
    if root_block.iter().all(|byte| *byte == 0) {
        return Ok(Verdict::TreeMissing { block });
    }
    examination.below_root(computed, below.last(), root_block, child)
}

struct Examination<'a, F> {
    geometry: &'a Geometry,
    hasher: BlockHasher<'a>,
    read: F,
}

impl<E, F: FnMut(Block, &mut [u8]) -> Result<(), E>> Examination<'_, F> {
    /// Reads a block into the front of `buffer` and gives just that part.
    fn read<'b>(&mut self, block: Block, buffer: &'b mut [u8]) -> Result<&'b [u8], DiagnoseError<E>> {
        let parameters = self.geometry.parameters();
        let needed = match block {
            Block::Data(_) => parameters.data_block_size,
            Block::Hash(_) => parameters.hash_block_size,
        };
        let size = usize::try_from(needed).unwrap_or(usize::MAX);
        let buffer = buffer.get_mut(..size).ok_or(DiagnoseError::BufferTooSmall { needed })?;
        (self.read)(block, buffer).map_err(|error| DiagnoseError::Read { block, error })?;
        Ok(buffer)
    }

    fn single_data_block(&mut self, root_hash: &RootHash, buffer: &mut [u8]) -> Result<Verdict, DiagnoseError<E>> {
        let block = Block::Data(0);
        let data = self.read(block, buffer)?;
        let computed = RootHash::from(self.hasher.digest(data));
        if computed == *root_hash {
            return Ok(Verdict::Sound);
        }
        let deeper = self.tree_goes_deeper(Some(root_hash.as_bytes()), buffer);
        Ok(if deeper { self.data_blocks_wrong() } else { Verdict::Undecided { computed, block } })
    }

    /// Which thing is wrong when the topmost block does not have the root hash: all of its digests are compared.
    #[inline(never)]
    fn below_root(
        &mut self,
        computed: RootHash,
        children: Option<&Level>,
        root_block: &[u8],
        buffer: &mut [u8],
    ) -> Result<Verdict, DiagnoseError<E>> {
        let count = self.count(children);
        let mut matching: u64 = 0;
        for index in 0..count {
            let child = match children {
                Some(level) => Block::Hash(level.start_block.saturating_add(index)),
                None => Block::Data(index),
            };
            let content = self.read(child, buffer)?;
            if Some(self.hasher.digest(content).as_bytes()) == self.entry(root_block, index) {
                matching = matching.saturating_add(1);
            }
        }
        Ok(if matching == 0 {
            Verdict::ParametersWrong
        } else if matching == count && self.rest_is_zero(root_block, count) {
            Verdict::RootHashWrong { computed }
        } else {
            Verdict::RootBlockCorrupt { block: self.geometry.hash_start_block() }
        })
    }

    /// Walks down the last blocks of all levels. Nothing else vouches for the superblock's number of data blocks: the
    /// kernel would accept a smaller one and cut the device short.
    #[inline(never)]
    fn right_edge(&mut self, top: Level, below: &[Level], buffers: Buffers<'_>) -> Result<Verdict, DiagnoseError<E>> {
        let Buffers { mut parent, mut child } = buffers;
        let mut level = top;
        let mut below = below.iter().rev();
        loop {
            let next = below.next();
            let earlier = level.blocks.saturating_sub(1).saturating_mul(self.geometry.digests_per_block());
            let count = self.count(next).saturating_sub(earlier);
            let last = count.saturating_sub(1);
            let is_zero = |entry: &[u8]| entry.iter().all(|byte| *byte == 0);
            if self.entry(parent, last).is_none_or(is_zero) || !self.rest_is_zero(parent, count) {
                return Ok(self.data_blocks_wrong());
            }
            let Some(next) = next else {
                let deeper = self.tree_goes_deeper(self.entry(parent, last), child);
                return Ok(if deeper { self.data_blocks_wrong() } else { Verdict::Sound });
            };
            let block = next.start_block.saturating_add(next.blocks.saturating_sub(1));
            let content = self.read(Block::Hash(block), child)?;
            if Some(self.hasher.digest(content).as_bytes()) != self.entry(parent, last) {
                return Ok(Verdict::HashBlockCorrupt { block });
            }
            level = *next;
            core::mem::swap(&mut parent, &mut child);
        }
    }

    /// Whether the digest that should be the last data block's is that of a hash block: then the tree has more levels
    /// than the superblock makes it have, and the next of them follows the last.
    fn tree_goes_deeper(&mut self, digest: Option<&[u8]>, buffer: &mut [u8]) -> bool {
        let last = self.geometry.parameters().data_blocks.saturating_sub(1);
        let block = Block::Hash(self.geometry.hash_end_block().saturating_add(last));
        // The device may well end there, or go on with zeros, which data can consist of and digests cannot.
        let content = self.read(block, buffer).ok().filter(|content| content.iter().any(|byte| *byte != 0));
        content.is_some_and(|content| Some(self.hasher.digest(content).as_bytes()) == digest)
    }

    fn data_blocks_wrong(&self) -> Verdict {
        Verdict::DataBlocksWrong { found: self.geometry.parameters().data_blocks }
    }

    /// How many blocks stand in `level`, or in the data below the last level.
    fn count(&self, level: Option<&Level>) -> u64 {
        level.map_or(self.geometry.parameters().data_blocks, |level| level.blocks)
    }

    /// The digest with this index in a hash block; `None` if it would stand outside.
    fn entry<'b>(&self, block: &'b [u8], index: u64) -> Option<&'b [u8]> {
        let start = usize::try_from(index).ok()?.checked_mul(self.geometry.digest_spacing())?;
        block.get(start..start.checked_add(self.geometry.parameters().algorithm.digest_size())?)
    }

    /// Whether nothing stands in a hash block beside its first `count` digests.
    fn rest_is_zero(&self, block: &[u8], count: u64) -> bool {
        let size = usize::try_from(self.geometry.parameters().hash_block_size).unwrap_or(usize::MAX);
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        (0..).zip(block.get(..size).unwrap_or_default().chunks(self.geometry.digest_spacing())).all(|(index, place)| {
            let digest = if index < count { self.geometry.parameters().algorithm.digest_size() } else { 0 };
            is_zero(place.get(digest..).unwrap_or_default())
        })
    }
}
