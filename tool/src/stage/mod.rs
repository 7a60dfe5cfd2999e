//! `surefoot stage`: writes an image to the slot that is spare.

mod progress;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use verity::RootHash;

use crate::error::Error;
use crate::ledger::TRIES;
use crate::output;
use crate::slots::{Access, Context, DiskOptions, attributes, name, number};
use progress::Progress;
use source::Source;
use target::hash_label;
use write::{Places, Update, write};

const EXAMPLES: &str = "\
Examples:
  surefoot stage root.erofs
  surefoot stage root.erofs --verity root.verity --root-hash-file root.hash --tries 1
  surefoot stage root.erofs --slot root-b --label 2026.11

Killed at any moment it leaves the running slot next and the one that is written no candidate.";

/// Writes an image and its hash tree to the slot that is spare, checks them, and makes that slot the next one.
///
/// The hash tree is the one that is given or lies beside the image (IMAGE.verity, IMAGE.roothash), else it is made.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Image of the root filesystem: a file or a block device.
    image: PathBuf,

    /// Write to this slot [default: the only one that is empty or unfinished, else bad, else has the lowest priority].
    #[arg(long, value_name = "NAME")]
    slot: Option<String>,

    /// What the slot is called from now on [default: what it was called, or as the image is].
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// How often it may be tried.
    #[arg(long, value_name = "N", default_value_t = TRIES, value_parser = clap::value_parser!(u8).range(1..=15))]
    tries: u8,

    /// Hash tree of the image, with its superblock.
    #[arg(long, value_name = "FILE")]
    verity: Option<PathBuf>,

    /// Root hash that the hash tree must have.
    #[arg(long, value_name = "HASH", conflicts_with = "root_hash_file")]
    root_hash: Option<RootHash>,

    /// Read that root hash from this file.
    #[arg(long, value_name = "FILE")]
    root_hash_file: Option<PathBuf>,

    /// Write no hash tree: for systems that boot with surefoot.verity=off.
    #[arg(long, conflicts_with_all = ["verity", "root_hash", "root_hash_file"])]
    no_verity: bool,

    /// Print the result in JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    disk: DiskOptions,
}

/// Stages the image.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let source = Source::open(args)?;
    let mut context = args.disk.open(Access::Write)?;
    let staged = stage(args, &source, &mut context)?;
    if args.json {
        let json = serde_json::to_string_pretty(&staged).map_err(|why| Error::system("cannot print", "JSON", why))?;
        return output::print(json + "\n");
    }
    output::print(staged)
}

fn stage(args: &Args, source: &Source, context: &mut Context) -> Result<Staged, Error> {
    let slot = target::slot(context, args.slot.as_deref())?;
    let label = target::label_for(context, slot, args)?;
    check_size(slot, source)?;
    let hash = match target::hash_partition(context, slot, source) {
        _ if args.no_verity => None,
        Ok(hash) => Some(hash),
        Err(_) if context.command_line.is_insecure() && source.tree.is_none() => None,
        Err(why) => {
            return Err(Error::bad("cannot find a hash partition on", context.disk.path().display(), why)
                .advice("A system that boots with surefoot.verity=off needs none: --no-verity."));
        }
    };
    let numbers = (number(slot), hash.map(number));
    if let (Some(root_hash), Some(hash)) = (&source.root_hash, numbers.1) {
        target::check_no_twin(context, root_hash, &[numbers.0, hash])?;
    }
    let data = context.disk.open_partition(slot, Access::Exclusive)?;
    let tree = hash.map(|hash| context.disk.open_partition(hash, Access::Exclusive)).transpose()?;
    let places = Places {
        table: context.disk.medium(),
        sector_size: context.disk.medium().sector_size(),
        data: (numbers.0, &*data),
        hash: numbers.1.zip(tree.as_deref()),
    };
    let update = Update {
        image: &source.image,
        geometry: source.geometry.clone(),
        superblock: source.superblock.clone(),
        tree: source.tree.as_ref().filter(|_| hash.is_some()).map(|tree| tree as _),
        root_hash: source.root_hash,
        label,
        tries: args.tries,
    };
    let root_hash = write(&places, &update, &Progress::new())?;
    drop((data, tree));
    context.disk.read()?;
    Ok(Staged::new(context, numbers, source.geometry.data_size(), &root_hash))
}

fn check_size(slot: &deployment::BlockDevice, source: &Source) -> Result<(), Error> {
    let needed = source.geometry.data_size();
    if slot.size >= needed {
        return Ok(());
    }
    Err(Error::bad("cannot write to", name(slot), format!("the image needs {needed} bytes, it has {}", slot.size)))
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Staged {
    /// What the slot is called.
    slot: String,
    /// The number of its partition.
    partition: u32,
    /// The number of its hash partition; null without a hash tree.
    hash_partition: Option<u32>,
    priority: u8,
    tries_left: u8,
    /// How much of the partition the image takes, in bytes.
    data_size: u64,
    /// Null without a hash tree.
    root_hash: Option<String>,
    /// Whether the running command line accepts it; null where no list of root hashes is known.
    accepted: Option<bool>,
    /// The word for the command line with which it is accepted; null where it is, and without a hash tree.
    command_line: Option<String>,
}

impl Staged {
    fn new(context: &Context, (slot, hash): (u32, Option<u32>), data_size: u64, root_hash: &RootHash) -> Self {
        let device = context.disk.slot(slot);
        let attributes = device.map(attributes).unwrap_or_default();
        let accepted = hash.and(device).and_then(|device| context.command_line.accepts(device));
        let known = context.command_line.accepted().unwrap_or_default();
        let running = || context.running.and_then(|running| target::root_hash_of(context, context.disk.slot(running)?));
        let known = if known.is_empty() { Vec::from_iter(context.running_hash.or_else(running)) } else { known };
        let all: Vec<_> = known.iter().chain([root_hash]).map(ToString::to_string).collect();
        let words = || format!("surefoot.roothash={}", all.join(","));
        Self {
            slot: device.map(name).unwrap_or_default(),
            partition: slot,
            hash_partition: hash,
            priority: attributes.priority(),
            tries_left: attributes.tries(),
            data_size,
            root_hash: hash.map(|_| root_hash.to_string()),
            accepted,
            command_line: (hash.is_some() && accepted != Some(true)).then(words),
        }
    }
}

impl fmt::Display for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.tries_left == 1 { "try" } else { "tries" };
        writeln!(f, "{} is next: priority {}, {} {tries} left", self.slot, self.priority, self.tries_left)?;
        self.root_hash.as_ref().map_or(Ok(()), |hash| writeln!(f, "root hash     {hash}"))?;
        let Some(words) = &self.command_line else { return Ok(()) };
        let not = if self.accepted == Some(false) { " (it does not accept it yet)" } else { "" };
        writeln!(f, "command line  {words}{not}")
    }
}
