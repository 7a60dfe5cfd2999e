//! Making a hash tree.

use std::vec;

use crate::hash_tree::Geometry;
use crate::root_hash::RootHash;
use crate::superblock::{SUPERBLOCK_SIZE, Superblock};

use super::device::Device;
use super::error::ImageError;
use super::progress::Progress;
use super::runs::Pass;

/// Up to where veritysetup makes a hash file long enough for the block that holds the superblock, in bytes.
const SUPERBLOCK_PAGE: u32 = 4096;

/// Makes the hash tree of `data` on `hash` and gives its root hash. With `superblock`, the superblock and the byte of
/// the hash device at which it stands, that is written last, when the tree is on the disk, and an earlier one is wiped
/// first: no superblock ever stands before a tree that was not finished.
///
/// Nothing else on the hash device is touched.
pub fn format(
    data: &Device,
    hash: &Device,
    geometry: &Geometry,
    superblock: Option<(&Superblock, u64)>,
    progress: &dyn Progress,
) -> Result<RootHash, ImageError> {
    check_sizes(data, hash, geometry, superblock.map(|(_, offset)| offset))?;
    if let Some((_, offset)) = superblock {
        wipe_superblock(hash, offset)?;
    }
    for pass in Pass::all(geometry, data, hash) {
        pass.for_each_run(progress, |run, buffers| hash.write(&buffers.digests, pass.extent(run).start))?;
    }
    let root_hash = root_hash(data, hash, geometry)?;
    hash.flush()?;
    if let Some((superblock, offset)) = superblock {
        hash.write(&superblock.to_bytes(), offset)?;
        hash.extend(offset + u64::from(geometry.parameters().hash_block_size.min(SUPERBLOCK_PAGE)))?;
        hash.flush()?;
    }
    Ok(root_hash)
}

/// Wipes what stands in the superblock's place, if anything does.
fn wipe_superblock(hash: &Device, offset: u64) -> Result<(), ImageError> {
    let mut bytes = [0; SUPERBLOCK_SIZE];
    if hash.size() < offset.saturating_add(SUPERBLOCK_SIZE as u64) {
        return Ok(());
    }
    hash.read(&mut bytes, offset)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    hash.write(&[0; SUPERBLOCK_SIZE], offset)?;
    hash.flush()
}

fn check_sizes(data: &Device, hash: &Device, geometry: &Geometry, offset: Option<u64>) -> Result<(), ImageError> {
    data.require("data", geometry.data_size())?;
    if !hash.grows() {
        hash.require("hash tree", geometry.hash_device_size())?;
    }
    let tree_start = geometry.hash_start_block() * u64::from(geometry.parameters().hash_block_size);
    data.check_apart(hash, geometry.data_size(), offset.unwrap_or(tree_start))
}

/// The digest of the topmost block, or of the single data block.
fn root_hash(data: &Device, hash: &Device, geometry: &Geometry) -> Result<RootHash, ImageError> {
    let parameters = geometry.parameters();
    let (device, block, block_size) = match geometry.hash_blocks() {
        0 => (data, 0, parameters.data_block_size),
        _ => (hash, geometry.hash_start_block(), parameters.hash_block_size),
    };
    let mut bytes = vec![0; block_size as usize];
    device.read(&mut bytes, block * u64::from(block_size))?;
    Ok(parameters.hasher().digest(&bytes).into())
}

/// Reads the superblock that stands at `offset` bytes of the hash device.
pub fn read_superblock(hash: &Device, offset: u64) -> Result<Superblock, ImageError> {
    hash.require("superblock", offset.saturating_add(SUPERBLOCK_SIZE as u64))?;
    let mut bytes = [0; SUPERBLOCK_SIZE];
    hash.read(&mut bytes, offset)?;
    Superblock::parse(&bytes).map_err(|error| ImageError::Superblock { path: hash.path().to_path_buf(), error })
}
