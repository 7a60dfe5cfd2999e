//! dm-verity: the superblock, the hash tree and the device-mapper table.
//!
//! Bytes come in, values go out: without the feature `std` this crate does no I/O, allocates nothing and cannot panic
//! on any input. What is known about a tree is a chain of types: a [`Superblock`] is well formed, a [`Geometry`] fits
//! on its devices, and only a [`RootHash`] that has been found to match vouches for both.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod diagnose;
pub mod digest;
#[cfg(test)]
mod fixture;
pub mod hash_tree;
mod hex;
#[cfg(feature = "std")]
pub mod image;
pub mod parameters;
pub mod root_hash;
pub mod salt;
pub mod superblock;
pub mod table;
pub mod table_options;
pub mod uuid;
mod verdict;

#[cfg(feature = "std")]
pub use digest::BlocksHasher;
pub use digest::{Algorithm, BlockHasher, Digest, HashType, digest_block};
pub use hash_tree::{Geometry, GeometryError, Level};
pub use parameters::Parameters;
pub use root_hash::{RootHash, RootHashError};
pub use salt::{Salt, SaltError};
pub use superblock::{SUPERBLOCK_SIZE, Superblock, SuperblockError};
pub use table::{Table, TableError};
pub use table_options::{OnCorruption, OnError, TableOptions};
pub use uuid::{Uuid, UuidError};
