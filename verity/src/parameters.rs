//! What one has to know to compute a hash tree.

use crate::digest::{Algorithm, BlockHasher, HashType};
use crate::salt::Salt;

/// The smallest data or hash block, in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;
/// The largest data or hash block that a superblock may name, in bytes (veritysetup's limit). A kernel takes no block
/// larger than its memory page, see [`Parameters::kernel_takes`].
pub const MAX_BLOCK_SIZE: u32 = 512 * 1024;

/// How a tree is computed. Without a superblock all of it must be known from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How digests are made and laid out.
    pub hash_type: HashType,
    /// The hash algorithm.
    pub algorithm: Algorithm,
    /// The size of a data block in bytes: a power of two, 512 to 524288.
    pub data_block_size: u32,
    /// The size of a hash block in bytes: a power of two, 512 to 524288.
    pub hash_block_size: u32,
    /// The number of data blocks, at least 1.
    pub data_blocks: u64,
    /// The salt.
    pub salt: Salt,
}

impl Parameters {
    /// The hasher of this tree's blocks.
    pub fn hasher(&self) -> BlockHasher<'_> {
        BlockHasher::new(self.algorithm, self.hash_type, &self.salt)
    }

    /// Whether a kernel with this page size takes both block sizes over devices with these logical block sizes, all
    /// in bytes. The kernel refuses others when the table is loaded (drivers/md/dm-verity-target.c, `verity_ctr`).
    pub fn kernel_takes(&self, page_size: u32, data_sector: u32, hash_sector: u32) -> bool {
        (data_sector..=page_size).contains(&self.data_block_size)
            && (hash_sector..=page_size).contains(&self.hash_block_size)
    }
}

/// Whether a block may have this size.
pub const fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && MIN_BLOCK_SIZE <= size && size <= MAX_BLOCK_SIZE
}
