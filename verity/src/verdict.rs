//! What an examination of a tree finds.

use core::fmt;

use crate::root_hash::RootHash;

/// A block of one of the two devices, counted in that device's blocks from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A block of the data device.
    Data(u64),
    /// A block of the hash device.
    Hash(u64),
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(block) => write!(f, "data block {block}"),
            Self::Hash(block) => write!(f, "hash block {block}"),
        }
    }
}

/// What is known about a tree and a root hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The root hash vouches for the topmost block, and the tree has the shape that the superblock says.
    Sound,
    /// The tree is consistent in itself under its topmost block: it is the tree of other data, or the root hash is
    /// mistyped.
    RootHashWrong {
        /// The root hash of the tree that is there.
        computed: RootHash,
    },
    /// The topmost block is damaged: the superblock is right, for some blocks below have the digests it holds.
    RootBlockCorrupt {
        /// The topmost block, in hash blocks from the start of the hash device.
        block: u64,
    },
    /// None of the blocks below has the digest that the topmost block holds: the superblock (salt, algorithm, type or
    /// sizes) is not the one that the tree was built with, or the tree has been overwritten.
    ParametersWrong,
    /// The topmost block is all zeros: there is no tree.
    TreeMissing {
        /// The block that is zero, in hash blocks from the start of the hash device.
        block: u64,
    },
    /// The root hash fits, but a hash block on the way to the last data block does not have its digest: the tree is
    /// damaged there, or the superblock's number of data blocks is wrong.
    HashBlockCorrupt {
        /// The block, in hash blocks from the start of the hash device.
        block: u64,
    },
    /// The root hash fits, but the tree is of another number of data blocks than the superblock says.
    DataBlocksWrong {
        /// The number that the superblock says.
        found: u64,
    },
    /// Root hash, parameters or the only block that could tell is wrong; nothing more can be known.
    Undecided {
        /// The digest that would have to be the root hash.
        computed: RootHash,
        /// The block that does not have it.
        block: Block,
    },
}

impl Verdict {
    /// Whether the tree may be used.
    pub const fn is_sound(&self) -> bool {
        matches!(self, Self::Sound)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("root hash and hash tree fit"),
            Self::RootHashWrong { computed } => {
                write!(f, "root hash is wrong: the hash tree is consistent, and its root hash is {computed}")
            }
            Self::RootBlockCorrupt { block } => {
                write!(f, "hash tree is corrupt: hash block {block}, the topmost, does not have the root hash")
            }
            Self::ParametersWrong => f.write_str(
                "superblock is wrong or hash tree overwritten: no digest in the topmost hash block fits, so salt, \
                 algorithm, hash type or sizes are not those that the tree was built with",
            ),
            Self::TreeMissing { block } => write!(f, "hash tree is missing: hash block {block}, the topmost, is zero"),
            Self::HashBlockCorrupt { block } => {
                write!(f, "hash tree is corrupt: hash block {block} does not have the digest of the block above it")
            }
            Self::DataBlocksWrong { found } => {
                write!(f, "superblock is wrong: it says {found} data blocks, the hash tree is of another number")
            }
            Self::Undecided { computed, block } => {
                write!(f, "root hash, superblock or {block} is wrong: the root hash computed from them is {computed}")
            }
        }
    }
}
