//! The superblock: 512 bytes in front of the hash tree that say how the tree was built.
//!
//! Layout, little-endian (cryptsetup wiki, "DMVerity": "Verity superblock format"): signature 0..8, version 8..12,
//! hash type 12..16, UUID 16..32, algorithm 32..64, data block size 64..68, hash block size 68..72, data blocks
//! 72..80, salt size 80..82, padding 82..88, salt 88..344, padding 344..512.

use core::fmt;

use crate::digest::{Algorithm, HashType};
use crate::parameters::{self, Parameters};
use crate::salt::{MAX_SALT_SIZE, Salt};
use crate::uuid::Uuid;

#[cfg(test)]
mod tests;

/// The size of a superblock in bytes. The tree starts at the next hash block.
pub const SUPERBLOCK_SIZE: usize = 512;

const SIGNATURE: [u8; 8] = *b"verity\0\0";
const VERSION: u32 = 1;
const ALGORITHM_OFFSET: usize = 32;
const SALT_OFFSET: usize = 88;
const TAIL_OFFSET: usize = SALT_OFFSET + MAX_SALT_SIZE;

/// How a tree was built, as its superblock says. Nothing vouches for it but a root hash that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How digests are made and laid out.
    pub hash_type: HashType,
    /// Identifies the device; nothing is computed from it.
    pub uuid: Uuid,
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

impl Superblock {
    /// Reads a superblock strictly: every field has an allowed value and every byte that means nothing is zero, so
    /// that a damaged superblock is told from a sound one wherever that is possible without the tree.
    #[inline(never)]
    pub fn parse(bytes: &[u8; SUPERBLOCK_SIZE]) -> Result<Self, SuperblockError> {
        let mut fields = Fields(bytes);
        if fields.take::<8>() != SIGNATURE {
            return Err(SuperblockError::Signature);
        }
        let version = fields.u32();
        if version != VERSION {
            return Err(SuperblockError::Version { found: version });
        }
        let hash_type = fields.u32();
        let hash_type = HashType::from_number(hash_type).ok_or(SuperblockError::HashType { found: hash_type })?;
        let uuid = Uuid(fields.take());
        let algorithm = parse_algorithm(fields.take())?;
        let data_block_size = parse_block_size("data block size", fields.u32())?;
        let hash_block_size = parse_block_size("hash block size", fields.u32())?;
        let data_blocks = u64::from_le_bytes(fields.take());
        if data_blocks == 0 {
            return Err(SuperblockError::NoDataBlocks);
        }
        let salt_size = u16::from_le_bytes(fields.take());
        zero(82, fields.bytes(6))?;
        let salt = parse_salt(salt_size, fields.bytes(MAX_SALT_SIZE))?;
        zero(TAIL_OFFSET, fields.bytes(SUPERBLOCK_SIZE - TAIL_OFFSET))?;
        Ok(Self { hash_type, uuid, algorithm, data_block_size, hash_block_size, data_blocks, salt })
    }

    /// The superblock of a tree with these parameters.
    pub fn new(uuid: Uuid, parameters: &Parameters) -> Self {
        let Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt } =
            parameters.clone();
        Self { hash_type, uuid, algorithm, data_block_size, hash_block_size, data_blocks, salt }
    }

    /// What it says about the tree, without the UUID.
    pub fn parameters(&self) -> Parameters {
        Parameters {
            hash_type: self.hash_type,
            algorithm: self.algorithm,
            data_block_size: self.data_block_size,
            hash_block_size: self.hash_block_size,
            data_blocks: self.data_blocks,
            salt: self.salt.clone(),
        }
    }

    /// The bytes that stand on disk.
    pub fn to_bytes(&self) -> [u8; SUPERBLOCK_SIZE] {
        let salt = self.salt.as_bytes();
        let name = self.algorithm.name().as_bytes();
        // A salt has at most 256 bytes.
        let salt_size = u16::try_from(salt.len()).unwrap_or_default();
        let mut bytes = [0; SUPERBLOCK_SIZE];
        put(&mut bytes, 0, &SIGNATURE);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 12, &self.hash_type.number().to_le_bytes());
        put(&mut bytes, 16, &self.uuid.0);
        put(&mut bytes, ALGORITHM_OFFSET, name);
        put(&mut bytes, 64, &self.data_block_size.to_le_bytes());
        put(&mut bytes, 68, &self.hash_block_size.to_le_bytes());
        put(&mut bytes, 72, &self.data_blocks.to_le_bytes());
        put(&mut bytes, 80, &salt_size.to_le_bytes());
        put(&mut bytes, SALT_OFFSET, salt);
        bytes
    }
}

/// The bytes not yet read, from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next `size` bytes. The sizes of all fields together are that of the superblock.
    fn bytes(&mut self, size: usize) -> &'a [u8] {
        let (field, rest) = self.0.split_at_checked(size).unwrap_or_default();
        self.0 = rest;
        field
    }

    /// The next `N` bytes, as a value.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(offset).zip(field) {
        *to = *from;
    }
}

fn parse_algorithm(name: [u8; 32]) -> Result<Algorithm, SuperblockError> {
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let (text, padding) = name.split_at_checked(length).unwrap_or((&name, &[]));
    let algorithm = core::str::from_utf8(text).ok().and_then(|name| name.parse().ok());
    let algorithm = algorithm.ok_or(SuperblockError::Algorithm { found: name })?;
    zero(ALGORITHM_OFFSET.saturating_add(length), padding)?;
    Ok(algorithm)
}

fn parse_block_size(field: &'static str, size: u32) -> Result<u32, SuperblockError> {
    if parameters::is_block_size(size) { Ok(size) } else { Err(SuperblockError::BlockSize { field, found: size }) }
}

fn parse_salt(size: u16, field: &[u8]) -> Result<Salt, SuperblockError> {
    let too_large = SuperblockError::SaltSize { found: size };
    let (salt, padding) = field.split_at_checked(usize::from(size)).ok_or(too_large)?;
    zero(SALT_OFFSET.saturating_add(salt.len()), padding)?;
    Salt::from_bytes(salt).map_err(|_| too_large)
}

/// Checks that the padding that starts at `offset` is zero.
#[inline(never)]
fn zero(offset: usize, padding: &[u8]) -> Result<(), SuperblockError> {
    match padding.iter().enumerate().find(|(_, byte)| **byte != 0) {
        Some((index, byte)) => Err(SuperblockError::Padding { offset: offset.saturating_add(index), found: *byte }),
        None => Ok(()),
    }
}

/// Why 512 bytes are no superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuperblockError {
    /// The first eight bytes are not `verity\0\0`.
    Signature,
    /// The version is not 1.
    Version {
        /// The version found.
        found: u32,
    },
    /// The hash type is neither 0 nor 1.
    HashType {
        /// The hash type found.
        found: u32,
    },
    /// The algorithm is not among [`Algorithm::ALL`].
    Algorithm {
        /// The name found, padded with zeros.
        found: [u8; 32],
    },
    /// A block size is not a power of two from 512 to 524288.
    BlockSize {
        /// Which: `data block size` or `hash block size`.
        field: &'static str,
        /// The size found, in bytes.
        found: u32,
    },
    /// The number of data blocks is 0.
    NoDataBlocks,
    /// The salt is said to be longer than [`MAX_SALT_SIZE`].
    SaltSize {
        /// The size found, in bytes.
        found: u16,
    },
    /// A byte that means nothing is not zero.
    Padding {
        /// Where it stands in the superblock.
        offset: usize,
        /// Its value.
        found: u8,
    },
}

impl fmt::Display for SuperblockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("verity superblock: ")?;
        match self {
            Self::Signature => f.write_str("not one, for it does not start with \"verity\""),
            Self::Version { found } => write!(f, "version is {found}; allowed is {VERSION}"),
            Self::HashType { found } => write!(f, "hash type is {found}; allowed are 0 (Chrome OS) and 1"),
            Self::Algorithm { found } => {
                let text = found.split(|byte| *byte == 0).next().unwrap_or_default();
                write!(f, "hash algorithm is \"{}\"; allowed are sha1, sha256 and sha512", text.escape_ascii())
            }
            Self::BlockSize { field, found } => {
                write!(f, "{field} is {found}; allowed are powers of two from 512 to 524288")
            }
            Self::NoDataBlocks => f.write_str("number of data blocks is 0; allowed are 1 and more"),
            Self::SaltSize { found } => write!(f, "salt size is {found}; allowed are 0 to {MAX_SALT_SIZE}"),
            Self::Padding { offset, found } => {
                write!(f, "byte {offset}, which is padding, is {found:#04x}; allowed is 0")
            }
        }
    }
}

impl core::error::Error for SuperblockError {}
