//! Checking data against its hash tree.

use core::cmp::Reverse;
use core::fmt;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::vec;
use std::vec::Vec;

use crate::diagnose::{Block, Buffers as BlockBuffers, DiagnoseError, Verdict, diagnose};
use crate::hash_tree::Geometry;
use crate::root_hash::RootHash;

use super::device::Device;
use super::error::ImageError;
use super::progress::Progress;
use super::runs::{Buffers, Pass, Run, length};

/// How many bad blocks a [`Report`] lists at most.
pub const MAX_REPORTED: usize = 1000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the root hash vouches for the tree.
    pub verdict: Verdict,
    /// The bad blocks, from the topmost level down and in order: the first [`MAX_REPORTED`] of them.
    pub bad_blocks: Vec<BadBlock>,
    /// How many bad blocks there are.
    pub bad_count: u64,
}

impl Report {
    /// Whether the root hash vouches for every block.
    pub const fn is_good(&self) -> bool {
        self.verdict.is_sound() && self.bad_count == 0
    }
}

/// A block that its hash tree does not vouch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBlock {
    /// Where it stands in the tree.
    pub place: Place,
    /// Its number, in blocks from the start of its device.
    pub block: u64,
    /// Where it starts, in bytes from the start of its device.
    pub position: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Data, or a level of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The data device.
    Data,
    /// The hash device, with the level: 0 is right above the data.
    Level(usize),
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its digest is not the one that the hash block above it holds.
    Digest,
    /// It is a hash block in which something stands beside the digests.
    Padding,
}

impl Ord for BadBlock {
    /// From the topmost level down, since a bad hash block makes the blocks below it look bad.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let key = |bad: &Self| (Reverse(bad.place), bad.block, bad.fault);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for BadBlock {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, block, position, fault } = self;
        match place {
            Place::Data => write!(f, "data block {block} at byte {position}")?,
            Place::Level(level) => write!(f, "hash block {block} at byte {position}, level {level}")?,
        }
        f.write_str(match fault {
            Fault::Digest => ": does not have the digest that the hash tree holds for it",
            Fault::Padding => ": bytes beside its digests are not zero",
        })
    }
}

/// Checks all data and the whole tree against the root hash.
///
/// Where root hash, superblock and tree do not belong together at all, that is the verdict and no block is listed.
pub fn verify(
    data: &Device,
    hash: &Device,
    geometry: &Geometry,
    root_hash: &RootHash,
    progress: &dyn Progress,
) -> Result<Report, ImageError> {
    data.require("data", geometry.data_size())?;
    if geometry.hash_blocks() > 0 {
        hash.require("hash tree", geometry.hash_device_size())?;
    }
    let tree_start = geometry.hash_start_block() * u64::from(geometry.parameters().hash_block_size);
    data.check_apart(hash, geometry.data_size(), tree_start)?;
    let verdict = verdict(data, hash, geometry, root_hash)?;
    let found = Mutex::new(Found::default());
    if blocks_can_tell(&verdict) {
        for (level, pass) in Pass::all(geometry, data, hash).enumerate() {
            let check = Check { geometry, pass: &pass, level, found: &found };
            pass.for_each_run(progress, |run, buffers| {
                let part = pass.extent(run);
                buffers.stored.resize(length(part.clone()), 0);
                hash.read(&mut buffers.stored, part.start)?;
                check.compare(run, buffers);
                Ok(())
            })?;
        }
    }
    let Found { blocks, count } = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Report { verdict, bad_blocks: blocks.into_iter().collect(), bad_count: count })
}

fn verdict(data: &Device, hash: &Device, geometry: &Geometry, root_hash: &RootHash) -> Result<Verdict, ImageError> {
    let parameters = geometry.parameters();
    let size = parameters.data_block_size.max(parameters.hash_block_size) as usize;
    let (mut parent, mut child) = (vec![0; size], vec![0; size]);
    let buffers = BlockBuffers { parent: &mut parent, child: &mut child };
    let read = |block, bytes: &mut [u8]| {
        let (device, index) = match block {
            Block::Data(index) => (data, index),
            Block::Hash(index) => (hash, index),
        };
        device.read(bytes, index * bytes.len() as u64)
    };
    diagnose(geometry, root_hash, buffers, read).map_err(|error| match error {
        DiagnoseError::Read { error, .. } => error,
        DiagnoseError::BufferTooSmall { .. } => unreachable!("the buffers are as large as the larger block"),
    })
}

/// Whether comparing block by block says more than the verdict does.
const fn blocks_can_tell(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Sound
        | Verdict::RootHashWrong { .. }
        | Verdict::RootBlockCorrupt { .. }
        | Verdict::HashBlockCorrupt { .. } => true,
        Verdict::ParametersWrong
        | Verdict::TreeMissing { .. }
        | Verdict::DataBlocksWrong { .. }
        | Verdict::Undecided { .. } => false,
    }
}

/// The bad blocks found so far.
#[derive(Default)]
struct Found {
    blocks: BTreeSet<BadBlock>,
    count: u64,
}

impl Found {
    fn add(&mut self, bad: BadBlock) {
        // Runs that share a hash block report its padding once each.
        self.count += u64::from(self.blocks.insert(bad));
        if self.blocks.len() > MAX_REPORTED {
            self.blocks.pop_last();
        }
    }
}

/// The check of one pass.
struct Check<'a> {
    geometry: &'a Geometry,
    pass: &'a Pass<'a>,
    /// The number of the level whose digests are compared.
    level: usize,
    found: &'a Mutex<Found>,
}

impl Check<'_> {
    /// Compares the digests of a run with those that are stored, and finds out which blocks are bad.
    fn compare(&self, run: Run, buffers: &mut Buffers) {
        let Buffers { digests, stored, .. } = buffers;
        if digests == stored {
            return;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, place) in self.pass.digests(run) {
            let (digest, stored) = (&digests[place.clone()], &mut stored[place]);
            if digest != stored {
                found.add(self.bad_child(index));
                stored.copy_from_slice(digest);
            }
        }
        // All digests are equal now: what still differs stands beside them.
        let hash_block_size = u64::from(self.geometry.parameters().hash_block_size);
        let start = self.pass.extent(run).start;
        let differing = digests.iter().zip(stored).zip(start..).filter(|((zero, stored), _)| zero != stored);
        let mut blocks: Vec<u64> = differing.map(|(_, position)| position / hash_block_size).collect();
        blocks.dedup();
        for block in blocks {
            let position = block * hash_block_size;
            found.add(BadBlock { place: Place::Level(self.level), block, position, fault: Fault::Padding });
        }
    }

    fn bad_child(&self, index: u64) -> BadBlock {
        let parameters = self.geometry.parameters();
        let (place, block, block_size) = match (self.pass.below(), self.level.checked_sub(1)) {
            (Some(below), Some(level)) => (Place::Level(level), below.start_block + index, parameters.hash_block_size),
            _ => (Place::Data, index, parameters.data_block_size),
        };
        BadBlock { place, block, position: block * u64::from(block_size), fault: Fault::Digest }
    }
}
