//! A hash tree that is computed while the data passes by.

use rayon::prelude::*;
use verity::{BlocksHasher, Digest, Geometry, RootHash};

use crate::error::Error;

/// How many blocks a thread digests in a row: an even number, for they are digested two at a time.
const RUN_BLOCKS: usize = 16;

/// Takes bytes as they become known, with their place: of the tree whole blocks and each one's number on the hash device, of
/// the data the byte at which they begin.
pub(super) type Sink<'s> = &'s mut dyn FnMut(u64, &[u8]) -> Result<(), Error>;

/// A tree that grows with its data.
pub(super) struct GrowingTree<'g> {
    geometry: &'g Geometry,
    hasher: BlocksHasher<'g>,
    levels: Vec<GrowingLevel>,
    /// The digest of the topmost block, or of the single data block.
    top: Option<Digest>,
}

/// The last block of a level, which is not complete.
struct GrowingLevel {
    block: Vec<u8>,
    /// How many digests the level has.
    digests: u64,
}

impl<'g> GrowingTree<'g> {
    /// A tree without data.
    pub(super) fn new(geometry: &'g Geometry) -> Self {
        let size = geometry.parameters().hash_block_size as usize;
        let levels = geometry.levels().iter().map(|_| GrowingLevel { block: vec![0; size], digests: 0 });
        Self { geometry, hasher: BlocksHasher::new(geometry.parameters()), levels: levels.collect(), top: None }
    }

    /// Adds whole blocks of data.
    pub(super) fn add(&mut self, data: &[u8], sink: Sink<'_>) -> Result<(), Error> {
        let block_size = self.geometry.parameters().data_block_size as usize;
        let digests: Vec<_> = data
            .par_chunks(RUN_BLOCKS * block_size)
            .flat_map_iter(|run| self.hasher.digests(run, block_size))
            .collect();
        digests.iter().try_for_each(|digest| self.put(0, digest, sink))
    }

    /// Completes the last blocks, and gives the root hash. `None` without data.
    pub(super) fn finish(mut self, sink: Sink<'_>) -> Result<Option<RootHash>, Error> {
        for index in 0..self.levels.len() {
            if !self.levels[index].digests.is_multiple_of(self.geometry.digests_per_block()) {
                self.complete(index, sink)?;
            }
        }
        Ok(self.top.map(RootHash::from))
    }

    fn put(&mut self, index: usize, digest: &Digest, sink: Sink<'_>) -> Result<(), Error> {
        let Some(level) = self.levels.get_mut(index) else {
            self.top = Some(*digest);
            return Ok(());
        };
        let per_block = self.geometry.digests_per_block();
        let place = usize::try_from(level.digests % per_block).unwrap_or(0) * self.geometry.digest_spacing();
        level.block[place..place + digest.as_bytes().len()].copy_from_slice(digest.as_bytes());
        level.digests += 1;
        if level.digests.is_multiple_of(per_block) { self.complete(index, sink) } else { Ok(()) }
    }

    fn complete(&mut self, index: usize, sink: Sink<'_>) -> Result<(), Error> {
        let level = &mut self.levels[index];
        let number = (level.digests - 1) / self.geometry.digests_per_block();
        sink(self.geometry.levels()[index].start_block + number, &level.block)?;
        let digest = self.hasher.digest(&level.block);
        level.block.fill(0);
        self.put(index + 1, &digest, sink)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use verity::image::{Device, format};
    use verity::{Algorithm, HashType, Parameters, Salt, Superblock, Uuid};

    use super::*;

    /// The tree is what `surefoot verity format` makes, which is held to veritysetup elsewhere.
    #[test]
    fn the_tree_is_that_of_verity_format() {
        for (blocks, hash_block_size) in [(1, 4096), (2, 4096), (128, 4096), (129, 4096), (300, 512), (16_500, 4096)] {
            let parameters = Parameters {
                hash_type: HashType::Normal,
                algorithm: Algorithm::Sha256,
                data_block_size: 512,
                hash_block_size,
                data_blocks: blocks,
                salt: Salt::from_bytes(b"salt").unwrap(),
            };
            let superblock = Superblock::new(Uuid([7; 16]), &parameters);
            let geometry = Geometry::with_superblock(&superblock, 0).unwrap();
            let data: Vec<u8> = (0..blocks * 512).map(|byte| (byte / 7 % 251) as u8).collect();
            let (mut file, tree) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
            file.write_all(&data).unwrap();
            let hash = Device::open_writable(tree.path()).unwrap();
            let expected = format(&Device::open(file.path()).unwrap(), &hash, &geometry, Some((&superblock, 0)), &());
            let stored = std::fs::read(tree.path()).unwrap();

            let mut made = vec![0; stored.len()];
            let mut sink = |block: u64, bytes: &[u8]| {
                let offset = usize::try_from(block).unwrap() * bytes.len();
                made[offset..offset + bytes.len()].copy_from_slice(bytes);
                Ok(())
            };
            let mut growing = GrowingTree::new(&geometry);
            data.chunks(5 * 512).for_each(|chunk| growing.add(chunk, &mut sink).unwrap());
            assert_eq!(growing.finish(&mut sink).unwrap(), Some(expected.unwrap()), "{blocks}");
            made[..512].copy_from_slice(&superblock.to_bytes());
            assert!(made == stored, "{blocks}");
        }
    }
}
