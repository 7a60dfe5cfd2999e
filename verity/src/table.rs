//! The device-mapper table line of a verity target.
//!
//! Grammar and meaning: Documentation/admin-guide/device-mapper/verity.rst, "Construction Parameters":
//! `<version> <dev> <hash_dev> <data_block_size> <hash_block_size> <num_data_blocks> <hash_start_block> <algorithm>
//! <digest> <salt> [<#opt_params> <opt_params>]`, which follows `<start> <length> verity` in a table.

use core::fmt;
use core::str::{FromStr, SplitAsciiWhitespace};

use heapless::String;

use crate::digest::HashType;
use crate::hash_tree::Geometry;
use crate::parameters::{self, Parameters};
use crate::root_hash::RootHash;
use crate::table_options::TableOptions;

#[cfg(test)]
mod tests;

/// The longest text of a device in a table, in bytes.
pub const MAX_DEVICE_NAME: usize = 64;

/// What a table calls a device: `MAJOR:MINOR` or a path.
pub type DeviceName = String<MAX_DEVICE_NAME>;

/// The parameters of a verity target. `Display` and `FromStr` are the text after `<start> <length> verity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// How the tree is computed.
    pub parameters: Parameters,
    /// The device that is verified.
    pub data_device: DeviceName,
    /// The device that holds the tree.
    pub hash_device: DeviceName,
    /// Where the tree starts, in hash blocks from the start of the hash device.
    pub hash_start_block: u64,
    /// The trusted digest of the topmost block.
    pub root_hash: RootHash,
    /// What the target does on corruption, and other options.
    pub options: TableOptions,
}

impl Table {
    /// The table of a tree.
    #[inline(never)]
    pub fn new(
        geometry: &Geometry,
        root_hash: RootHash,
        data_device: &str,
        hash_device: &str,
        options: TableOptions,
    ) -> Result<Self, TableError> {
        let parameters = geometry.parameters().clone();
        check_root_hash(&parameters, &root_hash)?;
        Ok(Self {
            parameters,
            data_device: device_name("data device", data_device)?,
            hash_device: device_name("hash device", hash_device)?,
            hash_start_block: geometry.hash_start_block(),
            root_hash,
            options,
        })
    }

    /// The length of the verified device in sectors of 512 bytes: `<length>` of the table.
    pub const fn length_sectors(&self) -> u64 {
        let sectors = self.parameters.data_block_size / 512;
        self.parameters.data_blocks.saturating_mul(sectors as u64)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt } = &self.parameters;
        let Self { data_device, hash_device, hash_start_block, root_hash, .. } = self;
        write!(f, "{hash_type} {data_device} {hash_device} {data_block_size} {hash_block_size} {data_blocks} ")?;
        write!(f, "{hash_start_block} {algorithm} {root_hash} {salt}{}", self.options)
    }
}

impl FromStr for Table {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let mut words = Words(text.split_ascii_whitespace());
        let hash_type = words.number("hash type")?;
        let hash_type = u32::try_from(hash_type).ok().and_then(HashType::from_number);
        let hash_type = hash_type.ok_or(TableError::Word { field: "hash type", allowed: "0 and 1" })?;
        let data_device = device_name("data device", words.next("data device")?)?;
        let hash_device = device_name("hash device", words.next("hash device")?)?;
        let data_block_size = words.block_size("data block size")?;
        let hash_block_size = words.block_size("hash block size")?;
        let data_blocks = words.number("number of data blocks")?;
        if data_blocks.checked_mul(u64::from(data_block_size)).is_none_or(|size| size == 0) {
            return Err(TableError::Word { field: "number of data blocks", allowed: "1 to 2^64 bytes' worth" });
        }
        let hash_start_block = words.number("hash start block")?;
        let algorithm = words.parse("algorithm", "sha1, sha256 and sha512")?;
        let root_hash = words.parse("root hash", "40, 64 or 128 hexadecimal digits")?;
        let salt = words.parse("salt", "- and up to 256 bytes in hexadecimal")?;
        let options = words.options()?;
        let parameters = Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt };
        check_root_hash(&parameters, &root_hash)?;
        Ok(Self { parameters, data_device, hash_device, hash_start_block, root_hash, options })
    }
}

fn device_name(field: &'static str, name: &str) -> Result<DeviceName, TableError> {
    let allowed = "1 to 64 bytes without white space";
    let error = TableError::Word { field, allowed };
    // The kernel's table parser splits at white space and takes a backslash for an escape.
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace() || byte == b'\\') {
        return Err(error);
    }
    DeviceName::try_from(name).map_err(|_| error)
}

fn check_root_hash(parameters: &Parameters, root_hash: &RootHash) -> Result<(), TableError> {
    let (found, needed) = (root_hash.as_bytes().len(), parameters.algorithm.digest_size());
    if found == needed { Ok(()) } else { Err(TableError::RootHashLength { found, needed }) }
}

/// The words of a table, each asked for by the name of its field.
struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self, field: &'static str) -> Result<&'a str, TableError> {
        self.0.next().ok_or(TableError::Missing { field })
    }

    fn parse<T: FromStr>(&mut self, field: &'static str, allowed: &'static str) -> Result<T, TableError> {
        self.next(field)?.parse().map_err(|_| TableError::Word { field, allowed })
    }

    fn number(&mut self, field: &'static str) -> Result<u64, TableError> {
        self.parse(field, "decimal numbers up to 2^64 - 1")
    }

    fn block_size(&mut self, field: &'static str) -> Result<u32, TableError> {
        let allowed = "powers of two from 512 to 524288";
        let size = self.parse(field, allowed)?;
        if parameters::is_block_size(size) { Ok(size) } else { Err(TableError::Word { field, allowed }) }
    }

    /// `[<#opt_params> <opt_params>]`, to the end of the table.
    fn options(mut self) -> Result<TableOptions, TableError> {
        let Some(count) = self.0.next() else { return Ok(TableOptions::default()) };
        let field = "number of options";
        let words = self.0.clone().count();
        if count.parse() != Ok(words) {
            return Err(TableError::Word { field, allowed: "exactly the number of words that follow" });
        }
        TableOptions::from_words(self.0)
    }
}

/// Why a text is no verity table, or why a table cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The text ends before this field.
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field has a value that is not allowed.
    Word {
        /// The field.
        field: &'static str,
        /// The values that are.
        allowed: &'static str,
    },
    /// The root hash is not as long as the algorithm's digests.
    RootHashLength {
        /// Its length, in bytes.
        found: usize,
        /// The length of a digest, in bytes.
        needed: usize,
    },
    /// An option that is not known, or not known to be safe.
    Option,
    /// Two options contradict each other, or one stands twice.
    OptionConflict,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("verity table: ")?;
        match self {
            Self::Missing { field } => write!(f, "{field} is missing"),
            Self::Word { field, allowed } => {
                write!(f, "{field} has a value that is not allowed; allowed are {allowed}")
            }
            Self::RootHashLength { found, needed } => {
                write!(f, "root hash has {found} bytes; allowed are {needed}, the length of the algorithm's digests")
            }
            Self::Option => write!(f, "unknown option; allowed are {}", TableOptions::ALLOWED),
            Self::OptionConflict => f.write_str("an option stands twice or contradicts an earlier one"),
        }
    }
}

impl core::error::Error for TableError {}
