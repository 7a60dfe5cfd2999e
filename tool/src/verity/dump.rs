//! `surefoot verity dump`.

use std::path::PathBuf;

use ::verity::Geometry;
use ::verity::image::{self, Device};

use super::header::Header;
use crate::error::Error;

/// Shows what the superblock of a hash device says.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// File or block device with superblock and hash tree.
    hash_device: PathBuf,

    /// Where the superblock stands on the hash device.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    hash_offset: u64,

    /// Print the fields in JSON.
    #[arg(long)]
    json: bool,

    /// Print help.
    #[arg(short = '?', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Shows the fields.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let hash = Device::open(&args.hash_device)?;
    let superblock = image::read_superblock(&hash, args.hash_offset)?;
    let geometry = Geometry::with_superblock(&superblock, args.hash_offset)
        .map_err(|why| Error::bad("cannot use", args.hash_device.display(), why))?;
    let header = Header::new(args.hash_device.clone(), args.hash_offset, Some(superblock.uuid), &geometry);
    super::print(args.json, &header)
}
