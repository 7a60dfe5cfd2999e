//! Digests of blocks, and the algorithms that make them.

use core::fmt;
use core::str::FromStr;

use crate::hex;
use crate::salt::Salt;

#[cfg(any(test, not(feature = "compact")))]
mod fast;
#[cfg(feature = "std")]
mod many;
#[cfg(any(test, feature = "compact"))]
mod small;
#[cfg(test)]
mod tests;

#[cfg(not(feature = "compact"))]
use fast::State;
#[cfg(feature = "compact")]
use small::State;

#[cfg(feature = "std")]
pub use many::BlocksHasher;

/// The longest digest of any [`Algorithm`], in bytes.
pub const MAX_DIGEST_SIZE: usize = 64;

/// The hash algorithm of a tree: those that both the kernel and veritysetup are commonly built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-1, 20 bytes. For images that already use it: it no longer resists collisions.
    Sha1,
    /// SHA-256, 32 bytes, the default everywhere.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The kernel's name: `sha1`, `sha256` or `sha512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest in bytes: 20, 32 or 64.
    pub const fn digest_size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hash algorithm that is not among [`Algorithm::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlgorithmError(());

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown hash algorithm; allowed are sha1, sha256 and sha512")
    }
}

impl core::error::Error for AlgorithmError {}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// Reads the kernel's name, in lower case as the kernel wants it.
    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(AlgorithmError(()))
    }
}

/// How digests are made and laid out: `hash_type` of the superblock, `version` of the device-mapper table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashType {
    /// The original Chrome OS form: the salt follows the block, digests stand side by side.
    ChromeOs = 0,
    /// The form of today: the salt precedes the block, each digest is padded with zeros to a power of two.
    Normal = 1,
}

impl HashType {
    /// The type with this number, 0 or 1.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::ChromeOs),
            1 => Some(Self::Normal),
            _ => None,
        }
    }

    /// Its number in the superblock and in the table: 0 or 1.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for HashType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number(), f)
    }
}

/// The digest of one block: 20, 32 or 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; MAX_DIGEST_SIZE],
    algorithm: Algorithm,
}

impl Digest {
    /// The digest with these bytes; `None` unless they are 20, 32 or 64.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.digest_size() == bytes.len())?;
        let mut digest = Self { bytes: [0; MAX_DIGEST_SIZE], algorithm };
        digest.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(digest)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.digest_size()).unwrap_or(&self.bytes)
    }

    /// The one algorithm whose digests are that long.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Display for Digest {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, self.as_bytes())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Digests blocks of one tree. What is the same for all of them, a salt in front, is digested once.
#[derive(Clone)]
pub struct BlockHasher<'a> {
    algorithm: Algorithm,
    salted: State,
    /// What follows each block: the salt of [`HashType::ChromeOs`].
    suffix: &'a [u8],
}

impl<'a> BlockHasher<'a> {
    /// The hasher of a tree with this algorithm, type and salt.
    pub fn new(algorithm: Algorithm, hash_type: HashType, salt: &'a Salt) -> Self {
        let (prefix, suffix): (&[u8], &[u8]) = match hash_type {
            HashType::Normal => (salt.as_bytes(), &[]),
            HashType::ChromeOs => (&[], salt.as_bytes()),
        };
        Self { algorithm, salted: State::after(algorithm, prefix), suffix }
    }

    /// The digest of `block`, a whole data or hash block.
    pub fn digest(&self, block: &[u8]) -> Digest {
        Digest { bytes: self.salted.finish(block, self.suffix), algorithm: self.algorithm }
    }
}

/// The digest of one block: of `salt` and `block`, in the order that `hash_type` says. For many blocks keep a
/// [`BlockHasher`].
pub fn digest_block(algorithm: Algorithm, hash_type: HashType, salt: &Salt, block: &[u8]) -> Digest {
    BlockHasher::new(algorithm, hash_type, salt).digest(block)
}
