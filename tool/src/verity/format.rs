//! `surefoot verity format`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ::verity::image::{self, Device};
use ::verity::{RootHash, Salt, Superblock, Uuid};

use super::header::Header;
use super::options::TreeOptions;
use super::progress::Bar;
use crate::error::Error;

/// Salt of a tree whose salt is not given, in bytes.
const DEFAULT_SALT_SIZE: usize = 32;
/// The largest block that the kernel takes on x86-64, in bytes.
const PAGE_SIZE: u32 = 4096;

const EXAMPLES: &str = "\
Examples:
  surefoot verity format root.erofs root.verity --root-hash-file root.hash
  surefoot verity format disk.img disk.img --data-blocks 25600 --hash-offset 104857600
  surefoot verity format root.erofs root.verity --salt - --uuid 4ec27e96-5d1b-4f8a-9b3c-0f1d2a3b4c5d";

/// Makes the hash tree of a data device and prints its root hash.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Args {
    /// File or block device to be protected.
    data_device: PathBuf,

    /// File or block device for superblock and hash tree; a file is made if it is not there.
    hash_device: PathBuf,

    #[command(flatten)]
    tree: TreeOptions,

    /// UUID for the superblock [default: a random one].
    #[arg(long, value_name = "UUID", conflicts_with = "no_superblock")]
    uuid: Option<Uuid>,

    /// Also write the root hash to this file, as text without a newline.
    #[arg(long, value_name = "FILE")]
    root_hash_file: Option<PathBuf>,

    /// Print the fields in JSON.
    #[arg(long)]
    json: bool,

    /// Print help.
    #[arg(short = '?', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Makes the tree.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let data = Device::open(&args.data_device)?;
    let parameters = args.tree.parameters(&data, salt(args.tree.salt.as_ref())?)?;
    let uuid = (!args.tree.no_superblock).then(|| args.uuid.unwrap_or_else(random_uuid));
    let superblock = uuid.map(|uuid| Superblock::new(uuid, &parameters));
    let geometry = match &superblock {
        Some(superblock) => args.tree.behind(superblock)?,
        None => args.tree.bare(parameters)?,
    };
    // Before a hash file is made for nothing.
    data.require("data", geometry.data_size())?;
    warn_of_large_blocks("data block size", geometry.parameters().data_block_size);
    warn_of_large_blocks("hash block size", geometry.parameters().hash_block_size);

    let hash = Device::open_writable(&args.hash_device)?;
    let bar = Bar::new("hashing", &geometry);
    let placed = superblock.as_ref().map(|superblock| (superblock, args.tree.hash_offset));
    let root_hash = image::format(&data, &hash, &geometry, placed, &bar)?;
    drop(bar);

    if let Some(path) = &args.root_hash_file {
        write_root_hash(path, &root_hash).map_err(|why| Error::file("cannot write root hash to", path, &why))?;
    }
    let header = Header::new(args.hash_device.clone(), args.tree.hash_offset, uuid, &geometry);
    super::print(args.json, &header.with_root_hash(&root_hash))
}

/// The salt asked for, or a random one.
fn salt(given: Option<&Salt>) -> Result<Salt, Error> {
    if let Some(salt) = given {
        return Ok(salt.clone());
    }
    random_salt()
}

/// A salt that nobody could have known.
pub(crate) fn random_salt() -> Result<Salt, Error> {
    let mut bytes = [0; DEFAULT_SALT_SIZE];
    getrandom::fill(&mut bytes).map_err(|why| Error::system("cannot read", "random bytes for the salt", why))?;
    Salt::from_bytes(&bytes).map_err(|why| Error::usage("cannot use", "--salt", why))
}

/// A UUID for a superblock.
pub(crate) fn random_uuid() -> Uuid {
    Uuid(uuid::Uuid::new_v4().into_bytes())
}

fn warn_of_large_blocks(what: &str, size: u32) {
    if size > PAGE_SIZE {
        anstream::eprintln!("surefoot: {what} {size}: a kernel with pages of {PAGE_SIZE} bytes cannot use this tree");
    }
}

/// As veritysetup writes it: readable for its owner alone, no newline.
fn write_root_hash(path: &Path, root_hash: &RootHash) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    write!(file, "{root_hash}")
}
