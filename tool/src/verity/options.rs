//! The options that `format` and `verify` share. Their names are veritysetup's.

use ::verity::image::Device;
use ::verity::{Algorithm, Geometry, GeometryError, HashType, Parameters, Salt, SaltError, Superblock};

use crate::error::Error;

const DEFAULT_BLOCK_SIZE: u32 = 4096;

/// How the tree is computed and where it stands.
#[derive(Debug, clap::Args)]
pub(super) struct TreeOptions {
    /// Hash algorithm: sha1, sha256 or sha512 [default: sha256].
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(super) hash: Option<Algorithm>,

    /// Format type: 1 for today's, 0 for the original Chrome OS one [default: 1].
    #[arg(long, value_name = "NUMBER", value_parser = hash_type)]
    pub(super) format: Option<HashType>,

    /// Salt in hexadecimal digits, up to 256 bytes; - for none.
    #[arg(short, long, value_name = "HEX", value_parser = salt, allow_hyphen_values = true)]
    pub(super) salt: Option<Salt>,

    /// Size of a data block: a power of two from 512 to 524288; a kernel takes up to its page size [default: 4096].
    #[arg(long, value_name = "BYTES")]
    pub(super) data_block_size: Option<u32>,

    /// Size of a hash block: a power of two from 512 to 524288; a kernel takes up to its page size [default: 4096].
    #[arg(long, value_name = "BYTES")]
    pub(super) hash_block_size: Option<u32>,

    /// Number of data blocks [default, and meaning of 0: all that the data device has].
    #[arg(long, value_name = "BLOCKS")]
    data_blocks: Option<u64>,

    /// Where superblock and tree start on the hash device.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(super) hash_offset: u64,

    /// There is no superblock: the tree itself starts at --hash-offset.
    #[arg(long)]
    pub(super) no_superblock: bool,
}

fn hash_type(text: &str) -> Result<HashType, String> {
    let number = text.parse().ok().and_then(HashType::from_number);
    number.ok_or_else(|| "allowed are 1 (today's) and 0 (the original Chrome OS one)".to_owned())
}

fn salt(text: &str) -> Result<Salt, String> {
    // veritysetup takes the empty string for no salt.
    if text.is_empty() { Ok(Salt::default()) } else { text.parse().map_err(|why: SaltError| why.to_string()) }
}

impl TreeOptions {
    /// What the options say about the tree; the number of data blocks may come from the data device.
    pub(super) fn parameters(&self, data: &Device, salt: Salt) -> Result<Parameters, Error> {
        let data_block_size = self.data_block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
        let data_blocks = match self.given_data_blocks() {
            Some(blocks) => blocks,
            None => data.size().checked_div(data_block_size.into()).unwrap_or(0),
        };
        if data_blocks == 0 {
            let why = format!("it has {} bytes, less than one data block", data.size());
            return Err(Error::bad("cannot use", data.path().display(), why));
        }
        Ok(Parameters {
            hash_type: self.format.unwrap_or(HashType::Normal),
            algorithm: self.hash.unwrap_or(Algorithm::Sha256),
            data_block_size,
            hash_block_size: self.hash_block_size.unwrap_or(DEFAULT_BLOCK_SIZE),
            data_blocks,
            salt,
        })
    }

    /// The geometry of a tree behind a superblock.
    pub(super) fn behind(&self, superblock: &Superblock) -> Result<Geometry, Error> {
        Geometry::with_superblock(superblock, self.hash_offset).map_err(unusable)
    }

    /// The geometry of a tree without superblock.
    pub(super) fn bare(&self, parameters: Parameters) -> Result<Geometry, Error> {
        let block_size = u64::from(parameters.hash_block_size);
        let geometry = Geometry::without_superblock(parameters, self.hash_offset).map_err(unusable)?;
        let start = geometry.hash_start_block() * block_size;
        if start != self.hash_offset {
            anstream::eprintln!(
                "surefoot: --hash-offset {} is no multiple of the hash block size: the tree starts at byte {start}",
                self.hash_offset
            );
        }
        Ok(geometry)
    }

    /// Checks that the options say nothing else than the superblock does.
    pub(super) fn agree_with(&self, superblock: &Superblock) -> Result<(), Error> {
        agree("--hash", self.hash.as_ref(), &superblock.algorithm)?;
        agree("--format", self.format.as_ref(), &superblock.hash_type)?;
        agree("--salt", self.salt.as_ref(), &superblock.salt)?;
        agree("--data-block-size", self.data_block_size.as_ref(), &superblock.data_block_size)?;
        agree("--hash-block-size", self.hash_block_size.as_ref(), &superblock.hash_block_size)?;
        agree("--data-blocks", self.given_data_blocks().as_ref(), &superblock.data_blocks)
    }

    fn given_data_blocks(&self) -> Option<u64> {
        self.data_blocks.filter(|blocks| *blocks != 0)
    }
}

fn agree<T: PartialEq + std::fmt::Display>(option: &str, given: Option<&T>, superblock: &T) -> Result<(), Error> {
    match given {
        Some(given) if given != superblock => {
            let why = format!("the superblock says {superblock}");
            Err(Error::usage("cannot verify with", format_args!("{option} {given}"), why))
        }
        _ => Ok(()),
    }
}

fn unusable(error: GeometryError) -> Error {
    let option = match error {
        GeometryError::BlockSize { field: "data block size", .. } => "--data-block-size",
        GeometryError::BlockSize { .. } => "--hash-block-size",
        GeometryError::HashOffset { .. } => "--hash-offset",
        GeometryError::NoDataBlocks | GeometryError::TooLarge => "--data-blocks",
    };
    Error::usage("cannot use", option, error)
}
