//! `surefoot verity verify`.

use std::fs;
use std::iter;
use std::path::PathBuf;

use ::verity::image::{self, Device, Report};
use ::verity::{Geometry, RootHash, RootHashError};
use serde::Serialize;

use super::options::TreeOptions;
use super::progress::Bar;
use crate::error::Error;

/// How many bad blocks are named to people; JSON names all that the report holds.
const SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  surefoot verity verify root.erofs root.verity --root-hash-file root.hash
  surefoot verity verify disk.img disk.img 7f3a… --hash-offset 104857600

Says nothing and exits with 0 if every block is as the root hash vouches.";

/// Checks all data against its hash tree and the root hash.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Args {
    /// File or block device that is protected.
    data_device: PathBuf,

    /// File or block device with superblock and hash tree.
    hash_device: PathBuf,

    /// Trusted root hash, in hexadecimal digits.
    #[arg(required_unless_present = "root_hash_file", conflicts_with = "root_hash_file")]
    root_hash: Option<RootHash>,

    /// Read the root hash from this file.
    #[arg(long, value_name = "FILE")]
    root_hash_file: Option<PathBuf>,

    #[command(flatten)]
    tree: TreeOptions,

    /// Print what was found in JSON.
    #[arg(long)]
    json: bool,

    /// Print help.
    #[arg(short = '?', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Checks the data.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let data = Device::open(&args.data_device)?;
    let hash = Device::open(&args.hash_device)?;
    let geometry = geometry(args, &data, &hash)?;
    let root_hash = root_hash(args, &geometry)?;
    let bar = Bar::new("verifying", &geometry);
    let report = image::verify(&data, &hash, &geometry, &root_hash, &bar)?;
    drop(bar);
    if args.json {
        super::print_json(&Found::new(&report))?;
    }
    if report.is_good() {
        return Ok(());
    }
    Err(Error::bad("cannot verify", args.data_device.display(), describe(&report)))
}

fn geometry(args: &Args, data: &Device, hash: &Device) -> Result<Geometry, Error> {
    if args.tree.no_superblock {
        let salt = args.tree.salt.clone().ok_or_else(|| {
            Error::usage("cannot verify with", "--no-superblock", "--salt is missing").advice("--salt - means no salt.")
        })?;
        return args.tree.bare(args.tree.parameters(data, salt)?);
    }
    let superblock = image::read_superblock(hash, args.tree.hash_offset)?;
    args.tree.agree_with(&superblock)?;
    args.tree.behind(&superblock)
}

/// The root hash given on the command line or in a file.
fn root_hash(args: &Args, geometry: &Geometry) -> Result<RootHash, Error> {
    let root_hash = match (&args.root_hash, &args.root_hash_file) {
        (Some(root_hash), _) => *root_hash,
        (None, Some(path)) => {
            let text = fs::read_to_string(path).map_err(|why| Error::file("cannot read", path, &why))?;
            text.trim_end().parse().map_err(|why: RootHashError| Error::usage("cannot use", path.display(), why))?
        }
        (None, None) => return Err(Error::usage("cannot verify without", "a root hash", "none is given")),
    };
    let algorithm = geometry.parameters().algorithm;
    if root_hash.algorithm() == algorithm {
        return Ok(root_hash);
    }
    let (found, needed) = (root_hash.as_bytes().len(), algorithm.digest_size());
    let why = format!("it has {found} bytes, a digest of the tree's algorithm {algorithm} has {needed}");
    Err(Error::bad("cannot use", format_args!("root hash {root_hash}"), why))
}

/// The verdict and the first bad blocks, for people.
fn describe(report: &Report) -> String {
    let summary = match (report.verdict.is_sound(), report.bad_count) {
        (false, _) => report.verdict.to_string(),
        (true, 1) => "1 block is bad".to_owned(),
        (true, count) => format!("{count} blocks are bad"),
    };
    let blocks = report.bad_blocks.iter().take(SHOWN).map(|bad| format!("  {bad}"));
    let more = report.bad_count.saturating_sub(SHOWN as u64);
    let more = (more > 0).then(|| format!("  and {more} more"));
    iter::once(summary).chain(blocks).chain(more).collect::<Vec<_>>().join("\n")
}

/// A [`Report`] in JSON.
#[derive(Serialize)]
struct Found {
    verified: bool,
    /// What the root hash says about the tree.
    verdict: String,
    /// How many blocks are bad.
    bad_count: u64,
    /// The first of them.
    bad_blocks: Vec<FoundBlock>,
}

#[derive(Serialize)]
struct FoundBlock {
    /// Level of the tree, 0 right above the data; null for data.
    level: Option<usize>,
    /// In blocks from the start of its device.
    block: u64,
    /// In bytes from the start of its device.
    position: u64,
    /// `digest` or `padding`.
    fault: &'static str,
}

impl Found {
    fn new(report: &Report) -> Self {
        let bad_blocks = report.bad_blocks.iter().map(|bad| FoundBlock {
            level: match bad.place {
                image::Place::Data => None,
                image::Place::Level(level) => Some(level),
            },
            block: bad.block,
            position: bad.position,
            fault: match bad.fault {
                image::Fault::Digest => "digest",
                image::Fault::Padding => "padding",
            },
        });
        Self {
            verified: report.is_good(),
            verdict: report.verdict.to_string(),
            bad_count: report.bad_count,
            bad_blocks: bad_blocks.collect(),
        }
    }
}
