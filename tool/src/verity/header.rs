//! What `format` and `dump` print: veritysetup's fields, in veritysetup's words.

use std::fmt;
use std::path::PathBuf;

use ::verity::{Geometry, RootHash, Uuid};
use serde::Serialize;

/// All that is known about a tree.
#[derive(Debug, Serialize)]
pub(super) struct Header {
    /// The hash device.
    hash_device: PathBuf,
    /// UUID of the superblock; none without superblock.
    uuid: Option<String>,
    /// 1, or 0 for Chrome OS.
    hash_type: u32,
    data_blocks: u64,
    /// In bytes.
    data_block_size: u32,
    hash_blocks: u64,
    /// In bytes.
    hash_block_size: u32,
    hash_algorithm: &'static str,
    /// In hexadecimal digits, `-` for none.
    salt: String,
    /// In hexadecimal digits; known to `format` alone.
    root_hash: Option<String>,
    /// From the start of the device to the end of the tree, in bytes.
    hash_device_size: u64,
    /// Where superblock and tree start, in bytes.
    hash_offset: u64,
}

impl Header {
    pub(super) fn new(hash_device: PathBuf, hash_offset: u64, uuid: Option<Uuid>, geometry: &Geometry) -> Self {
        let parameters = geometry.parameters();
        Self {
            hash_device,
            uuid: uuid.map(|uuid| uuid.to_string()),
            hash_type: parameters.hash_type.number(),
            data_blocks: parameters.data_blocks,
            data_block_size: parameters.data_block_size,
            hash_blocks: geometry.hash_blocks(),
            hash_block_size: parameters.hash_block_size,
            hash_algorithm: parameters.algorithm.name(),
            salt: parameters.salt.to_string(),
            root_hash: None,
            hash_device_size: geometry.hash_device_size(),
            hash_offset,
        }
    }

    pub(super) fn with_root_hash(self, root_hash: &RootHash) -> Self {
        Self { root_hash: Some(root_hash.to_string()), ..self }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "VERITY header information for {}", self.hash_device.display())?;
        writeln!(f, "UUID:            \t{}", self.uuid.as_deref().unwrap_or_default())?;
        writeln!(f, "Hash type:       \t{}", self.hash_type)?;
        writeln!(f, "Data blocks:     \t{}", self.data_blocks)?;
        writeln!(f, "Data block size: \t{}", self.data_block_size)?;
        writeln!(f, "Hash blocks:     \t{}", self.hash_blocks)?;
        writeln!(f, "Hash block size: \t{}", self.hash_block_size)?;
        writeln!(f, "Hash algorithm:  \t{}", self.hash_algorithm)?;
        writeln!(f, "Salt:            \t{}", self.salt)?;
        if let Some(root_hash) = &self.root_hash {
            writeln!(f, "Root hash:      \t{root_hash}")?;
        }
        // veritysetup says it only of a device that holds nothing in front of the hash area.
        if self.hash_offset == 0 {
            writeln!(f, "Hash device size: \t{} [bytes]", self.hash_device_size)?;
        }
        Ok(())
    }
}
