//! What is in an image file, and what vouches for it.

use core::fmt;

use boot_config::Config;
use verity::superblock::SUPERBLOCK_SIZE;
use verity::{Geometry, RootHash, RootHashError, Superblock};

use super::{Path, sidecar};
use crate::discoverable::{PartitionType, is_unfinished};
use crate::filesystem::{self, Filesystem, FilesystemKind};
use crate::gpt::{Gpt, GptEntry, GptError};
use crate::read::{ReadAt, ReadError, Window};
use crate::table::Table;
use crate::tree::{FileKind, Tree, TreeError};

/// The sizes of sectors that a partition table in an image may count in.
const SECTOR_SIZES: [u32; 2] = [512, 4096];
/// What loop devices count in, in bytes.
const SECTOR: u64 = 512;
/// A hash tree begins at a multiple of this behind a filesystem.
const ALIGNMENT: u64 = 4096;
/// The largest block of a hash tree that the kernel takes, in bytes: a page.
const MAX_BLOCK: usize = 4096;
/// The longest text of a root hash: the digits of the longest one, and room for the end of the line.
const MAX_ROOT_HASH: usize = 130;

/// What an image file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// Where the root filesystem is in it.
    pub(super) data: Range,
    /// What kind of filesystem it seems to be.
    pub(super) filesystem: Option<FilesystemKind>,
    /// The hash tree that an accepted root hash goes with.
    pub(super) verity: Option<Verity>,
}

/// A hash tree, with the superblock in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verity {
    /// The root hash, which is an accepted one.
    pub(super) root_hash: RootHash,
    /// The file, where it is another one.
    pub(super) file: Option<Path>,
    /// Where it is in the file.
    pub(super) range: Range,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The first byte.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) size: u64,
}

/// Why a file is no image that boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It cannot be seen or read.
    Unread(TreeError),
    /// What belongs to it cannot be read: what it is called besides.
    Beside(&'static str, TreeError),
    /// Reading it failed.
    Failed(ReadError),
    /// It is no regular file.
    NoFile,
    /// It, or the hash tree beside it, is not even one sector long.
    Short,
    /// It begins with neither.
    Unknown,
    /// The partition table in it is damaged.
    Table(GptError),
    /// The partition table in it names no root partition.
    NoRoot,
    /// The partition with the root hash's other half is not in it.
    NoHashPartition,
    /// The text of its root hash is none.
    RootHash(RootHashError),
    /// The hash tree that its root hash belongs to is not there.
    NoHashTree,
}

impl Problem {
    /// Whether there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        *self == Self::Unread(TreeError::Missing)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(why) => why.fmt(f),
            Self::Beside(suffix, why) => write!(f, "cannot read the {suffix} file beside it: {why}"),
            Self::Failed(why) => write!(f, "cannot read it: {why}"),
            Self::NoFile => f.write_str("it is no regular file"),
            Self::Short => f.write_str("it, or the hash tree beside it, is too short to hold anything"),
            Self::Unknown => f.write_str("it holds neither a partition table nor a filesystem that is known"),
            Self::Table(why) => why.fmt(f),
            Self::NoRoot => f.write_str("its partition table names no root partition for this architecture"),
            Self::NoHashPartition => {
                f.write_str("its root partition has an accepted root hash, but the hash partition is missing")
            }
            Self::RootHash(why) => write!(f, "the {ROOT_HASH} file beside it: {why}"),
            Self::NoHashTree => write!(
                f,
                "its root hash is accepted, but there is no hash tree: neither a {HASH_TREE} file beside it nor one \
                 right behind the filesystem"
            ),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// What the file with a root hash ends in.
const ROOT_HASH: &str = ".roothash";
/// What the file with a hash tree ends in.
const HASH_TREE: &str = ".verity";

/// A file of a tree, as something to read.
struct File<'t> {
    tree: &'t dyn Tree,
    path: &'t str,
    size: u64,
}

impl ReadAt for File<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(ReadError::OutOfRange);
        }
        self.tree.read_exact_at(self.path, offset, buffer).map_err(|why| match why {
            TreeError::Failed(errno) => ReadError::Device(errno),
            // EIO: it was a file a moment ago.
            _ => ReadError::Device(5),
        })
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Looks at the image file at `path`.
#[inline(never)]
pub(super) fn content(tree: &dyn Tree, path: &str, config: &Config<'_>) -> Result<Content, Problem> {
    let status = tree.status(path).map_err(Problem::Unread)?;
    match status.kind {
        FileKind::File => {}
        FileKind::Link => return Err(Problem::Unread(TreeError::Link)),
        FileKind::Directory | FileKind::Other => return Err(Problem::NoFile),
    }
    let file = File { tree, path, size: whole_sectors(status.size)? };
    match table(&file)? {
        Some(table) => partitions(&file, &table, config),
        None => filesystem(&file, config),
    }
}

/// As much of a file of `size` bytes as a loop device shows.
fn whole_sectors(size: u64) -> Result<u64, Problem> {
    Some(size & !SECTOR.saturating_sub(1)).filter(|size| *size > 0).ok_or(Problem::Short)
}

/// The GUID partition table of the image, if it has one.
fn table(file: &File<'_>) -> Result<Option<Gpt>, Problem> {
    let mut damage = None;
    for sector_size in SECTOR_SIZES {
        match Table::read(file, sector_size)? {
            Table::Gpt(table) => return Ok(Some(table)),
            Table::DamagedGpt(why) => damage = damage.filter(|why| *why != GptError::Absent).or(Some(why)),
            Table::None | Table::Mbr(_) => {}
        }
    }
    damage.map_or(Ok(None), |why| Err(Problem::Table(why)))
}

/// The root of an image with partitions (Discoverable Disk Image): that of an accepted root hash, else the first one.
#[inline(never)]
fn partitions(file: &File<'_>, table: &Gpt, config: &Config<'_>) -> Result<Content, Problem> {
    let mut found = None;
    for number in 1..=table.entry_count() {
        let Some(entry) = table.entry(file, number)? else { continue };
        if !is_usable(&entry, PartitionType::Root) {
            continue;
        }
        let root_hash = config.accepted_hashes().find(|hash| hash.data_partition() == Some(entry.uuid));
        if root_hash.is_some() || found.is_none() {
            found = Some((entry, root_hash));
        }
        if root_hash.is_some() {
            break;
        }
    }
    let (entry, root_hash) = found.ok_or(Problem::NoRoot)?;
    let data = range(table, &entry);
    let verity = match root_hash {
        Some(root_hash) => {
            let range = hash_partition(file, table, root_hash)?.ok_or(Problem::NoHashPartition)?;
            Some(Verity { root_hash, file: None, range })
        }
        None => None,
    };
    let filesystem = Filesystem::probe(&Window::new(file, data.offset, data.size))?;
    Ok(Content { data, filesystem: filesystem.map(|filesystem| filesystem.kind), verity })
}

fn is_usable(entry: &GptEntry, meaning: PartitionType) -> bool {
    entry.type_uuid == meaning.uuid() && !entry.attributes.no_auto() && !is_unfinished(&entry.label)
}

/// Where a partition lies in the image. The table's reader has made sure that it does.
fn range(table: &Gpt, entry: &GptEntry) -> Range {
    let (offset, size) = table.range(entry);
    Range { offset, size }
}

/// The hash partition of a root hash.
fn hash_partition(file: &File<'_>, table: &Gpt, root_hash: RootHash) -> Result<Option<Range>, Problem> {
    for number in 1..=table.entry_count() {
        if let Some(entry) = table.entry(file, number)?
            && is_usable(&entry, PartitionType::RootVerity)
            && root_hash.hash_partition() == Some(entry.uuid)
        {
            return Ok(Some(range(table, &entry)));
        }
    }
    Ok(None)
}

/// An image that is a filesystem.
#[inline(never)]
fn filesystem(file: &File<'_>, config: &Config<'_>) -> Result<Content, Problem> {
    let found = Filesystem::probe(file)?.filter(|found| found.kind.kernel_name().is_some());
    let kind = found.map(|found| found.kind).ok_or(Problem::Unknown)?;
    let tree = match beside(file, HASH_TREE)? {
        Some((path, size)) => Some((Some(path), Range { offset: 0, size: whole_sectors(size)? })),
        None => appended(file, kind)?.map(|offset| (None, Range { offset, size: file.size.saturating_sub(offset) })),
    };
    let found = match root_hash(file)? {
        Some(root_hash) => accepted(config, root_hash).map(|root_hash| (root_hash, tree.ok_or(Problem::NoHashTree))),
        None => tree.and_then(|tree| Some((accepted(config, top(file, &tree)?)?, Ok(tree)))),
    };
    let size = file.size;
    let Some((root_hash, tree)) = found else {
        return Ok(Content { data: Range { offset: 0, size }, filesystem: Some(kind), verity: None });
    };
    let (path, range) = tree?;
    let data = Range { offset: 0, size: if path.is_some() { size } else { range.offset } };
    Ok(Content { data, filesystem: Some(kind), verity: Some(Verity { root_hash, file: path, range }) })
}

fn accepted(config: &Config<'_>, root_hash: RootHash) -> Option<RootHash> {
    config.accepted_hashes().find(|accepted| *accepted == root_hash)
}

/// The root hash that a hash tree ends in, where none is told: the digest of its topmost block. `None` where it cannot be
/// told. That it is an accepted one is not believed before the whole tree has been seen.
#[inline(never)]
fn top(data: &File<'_>, (path, range): &(Option<Path>, Range)) -> Option<RootHash> {
    let path = path.as_deref().unwrap_or(data.path);
    let hash = File { tree: data.tree, path, size: range.offset.checked_add(range.size)? };
    let mut bytes = [0; SUPERBLOCK_SIZE];
    hash.read_exact_at(range.offset, &mut bytes).ok()?;
    let superblock = Superblock::parse(&bytes).ok()?;
    let geometry = Geometry::with_superblock(&superblock, 0).ok()?;
    let parameters = geometry.parameters();
    let (file, offset, size) = if geometry.hash_blocks() == 0 {
        // A single data block has no tree over it.
        (data, 0, parameters.data_block_size)
    } else {
        let size = parameters.hash_block_size;
        let start = geometry.hash_start_block().checked_mul(size.into())?;
        (&hash, range.offset.checked_add(start)?, size)
    };
    let mut block = [0; MAX_BLOCK];
    let block = block.get_mut(..usize::try_from(size).ok()?)?;
    file.read_exact_at(offset, block).ok()?;
    Some(parameters.hasher().digest(block).into())
}

/// The root hash in the file beside the image, if there is one.
fn root_hash(file: &File<'_>) -> Result<Option<RootHash>, Problem> {
    let Some((path, _)) = beside(file, ROOT_HASH)? else { return Ok(None) };
    let mut buffer = [0; MAX_ROOT_HASH];
    let text = file.tree.read_text(&path, &mut buffer).map_err(|why| Problem::Beside(ROOT_HASH, why))?;
    text.trim_ascii().parse().map(Some).map_err(Problem::RootHash)
}

/// The path and the size of the file that belongs to the image by its name.
fn beside(file: &File<'_>, suffix: &'static str) -> Result<Option<(Path, u64)>, Problem> {
    for with_raw in [false, true] {
        let Some(path) = sidecar(file.path, with_raw, suffix) else { continue };
        match file.tree.status(&path) {
            Ok(status) if status.kind == FileKind::File => return Ok(Some((path, status.size))),
            Ok(status) if status.kind == FileKind::Link => return Err(Problem::Beside(suffix, TreeError::Link)),
            Ok(_) => return Err(Problem::Beside(suffix, TreeError::WrongKind)),
            Err(TreeError::Missing) => {}
            Err(why) => return Err(Problem::Beside(suffix, why)),
        }
    }
    Ok(None)
}

/// Where the hash tree begins that was appended to the filesystem: its superblock must say that all before it is data.
fn appended(file: &File<'_>, kind: FilesystemKind) -> Result<Option<u64>, Problem> {
    let Some(end) = filesystem::size(file, kind)? else { return Ok(None) };
    let Some(offset) = end.checked_next_multiple_of(ALIGNMENT) else { return Ok(None) };
    let mut bytes = [0; SUPERBLOCK_SIZE];
    match file.read_exact_at(offset, &mut bytes) {
        Err(ReadError::OutOfRange) => return Ok(None),
        read => read?,
    }
    let fits =
        |superblock: &Superblock| superblock.data_blocks.checked_mul(superblock.data_block_size.into()) == Some(offset);
    Ok(Superblock::parse(&bytes).is_ok_and(|superblock| fits(&superblock)).then_some(offset))
}
