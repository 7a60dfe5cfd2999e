//! Telling how far the work is.

use crate::hash_tree::Geometry;

/// Is told how far the work is, from any thread.
pub trait Progress: Sync {
    /// So many more of the [`bytes_read`] have been digested.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// How many bytes are digested to make or to check a tree: the data and all hash blocks but the topmost.
pub fn bytes_read(geometry: &Geometry) -> u64 {
    let hash_blocks = geometry.hash_blocks().saturating_sub(1);
    geometry.data_size().saturating_add(hash_blocks.saturating_mul(geometry.parameters().hash_block_size.into()))
}
