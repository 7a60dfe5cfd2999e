//! The unit of work: a run of consecutive blocks whose digests stand side by side in the level above.

use core::ops::Range;
use std::vec::Vec;

use rayon::iter::{ParallelBridge, ParallelIterator};

use crate::digest::BlocksHasher;
use crate::hash_tree::{Geometry, Level};

use super::device::Device;
use super::error::ImageError;
use super::progress::Progress;

/// How much is read at once by each thread, in bytes: little enough to be digested while it is in the processor's
/// cache. Both it and every block size are powers of two.
pub(super) const RUN_BYTES: u32 = 256 * 1024;

/// One level of a tree and the blocks whose digests it holds.
pub(super) struct Pass<'a> {
    geometry: &'a Geometry,
    hasher: BlocksHasher<'a>,
    level: Level,
    /// The level below, or `None` for the data.
    below: Option<Level>,
    source: &'a Device,
    block_size: u32,
}

/// Some consecutive blocks of the level below.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Index of the first, counted in the level below.
    pub(super) first: u64,
    blocks: u32,
}

/// What one thread works with.
#[derive(Default)]
pub(super) struct Buffers {
    blocks: Vec<u8>,
    /// The part of the level that holds the digests of a run, with all padding.
    pub(super) digests: Vec<u8>,
    /// The same part as it stands on the hash device; for checking only.
    pub(super) stored: Vec<u8>,
}

impl<'a> Pass<'a> {
    /// One pass for each level, the data first.
    pub(super) fn all(geometry: &'a Geometry, data: &'a Device, hash: &'a Device) -> impl Iterator<Item = Self> {
        let parameters = geometry.parameters();
        let hasher = BlocksHasher::new(parameters);
        let below = core::iter::once(None).chain(geometry.levels().iter().copied().map(Some));
        geometry.levels().iter().zip(below).map(move |(level, below)| Self {
            geometry,
            hasher: hasher.clone(),
            level: *level,
            below,
            source: if below.is_none() { data } else { hash },
            block_size: if below.is_none() { parameters.data_block_size } else { parameters.hash_block_size },
        })
    }

    /// The level whose blocks are digested, or `None` for the data.
    pub(super) const fn below(&self) -> Option<Level> {
        self.below
    }

    /// Digests every block of the level below. `work` is called from all threads, in the order of the runs but for
    /// what is under way at the same time, with the digests laid out as they stand on the hash device.
    pub(super) fn for_each_run(
        &self,
        progress: &dyn Progress,
        work: impl Fn(Run, &mut Buffers) -> Result<(), ImageError> + Sync,
    ) -> Result<(), ImageError> {
        self.runs().par_bridge().try_for_each_init(Buffers::default, |buffers, run| {
            self.digest(run, buffers)?;
            work(run, buffers)?;
            progress.advance(u64::from(run.blocks) * u64::from(self.block_size));
            Ok(())
        })
    }

    fn runs(&self) -> impl Iterator<Item = Run> + Send + use<> {
        let per_run = (RUN_BYTES / self.block_size).max(1);
        let total = self.total();
        (0..total.div_ceil(per_run.into())).map(move |index| {
            let first = index * u64::from(per_run);
            Run { first, blocks: u32::try_from(total - first).unwrap_or(per_run).min(per_run) }
        })
    }

    /// How many blocks the level below has.
    fn total(&self) -> u64 {
        self.below.map_or(self.geometry.parameters().data_blocks, |level| level.blocks)
    }

    /// Where the digests of a run stand on the hash device, in bytes: start and end, with the padding that follows
    /// them in their hash block when the run is the last of it.
    pub(super) fn extent(&self, run: Run) -> Range<u64> {
        let next = run.first + u64::from(run.blocks);
        let end = if next == self.total() {
            (self.level.start_block + self.level.blocks) * u64::from(self.geometry.parameters().hash_block_size)
        } else {
            self.geometry.digest_offset(self.level, next)
        };
        self.geometry.digest_offset(self.level, run.first)..end
    }

    /// Each block's index, and where its digest stands in the run's digests.
    pub(super) fn digests(&self, run: Run) -> impl Iterator<Item = (u64, Range<usize>)> {
        let start = self.extent(run).start;
        let size = self.geometry.parameters().algorithm.digest_size();
        (run.first..run.first + u64::from(run.blocks)).map(move |index| {
            let at = length(start..self.geometry.digest_offset(self.level, index));
            (index, at..at + size)
        })
    }

    fn digest(&self, run: Run, buffers: &mut Buffers) -> Result<(), ImageError> {
        let block_size = self.block_size as usize;
        buffers.blocks.resize(run.blocks as usize * block_size, 0);
        let start = self.below.map_or(0, |level| level.start_block) + run.first;
        self.source.read(&mut buffers.blocks, start * u64::from(self.block_size))?;
        buffers.digests.clear();
        buffers.digests.resize(length(self.extent(run)), 0);
        for ((_, place), digest) in self.digests(run).zip(self.hasher.digests(&buffers.blocks, block_size)) {
            buffers.digests[place].copy_from_slice(digest.as_bytes());
        }
        Ok(())
    }
}

/// The length of a part of a device that is in memory, and so fits.
pub(super) fn length(part: Range<u64>) -> usize {
    usize::try_from(part.end - part.start).unwrap_or(usize::MAX)
}
