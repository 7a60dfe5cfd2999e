//! Writing an image so that, whatever happens on the way, what runs stays next and what is written is no candidate.

use deployment::discoverable::PartitionType;
use deployment::gpt::{self, EntryMut, Gpt};
use deployment::ledger::{self, Entry};
use deployment::{ReadAt, WriteAt, WriteError};
use verity::{Geometry, RootHash, SUPERBLOCK_SIZE, Superblock};

use super::progress::Progress;
use super::tree::{GrowingTree, Sink};
use crate::error::Error;

/// How much is read and written at once, in bytes: a multiple of every block size.
const CHUNK: usize = 512 * 1024;

/// The places that are written.
pub(super) struct Places<'d> {
    /// The disk with the partition table.
    pub(super) table: &'d dyn WriteAt,
    /// The size of its sectors in bytes.
    pub(super) sector_size: u32,
    /// The number of the slot's partition, and the partition.
    pub(super) data: (u32, &'d dyn WriteAt),
    /// The number of the hash partition, and the partition; `None` where there is no hash tree.
    pub(super) hash: Option<(u32, &'d dyn WriteAt)>,
}

/// What is written.
pub(super) struct Update<'i> {
    /// The filesystem. What it lacks to a whole block is zeros.
    pub(super) image: &'i dyn ReadAt,
    /// The shape of its hash tree. Without a hash partition, that of the tree that its bytes are compared by.
    pub(super) geometry: Geometry,
    /// The superblock that comes before the tree.
    pub(super) superblock: Superblock,
    /// The tree, where it is given with the image.
    pub(super) tree: Option<&'i dyn ReadAt>,
    /// The root hash that the tree must have, where that is known.
    pub(super) root_hash: Option<RootHash>,
    /// What the slot is called from now on.
    pub(super) label: String,
    /// How often it may be tried.
    pub(super) tries: u8,
}

/// Writes the image to the slot, checks what was written, and makes the slot the next one. Gives the root hash.
pub(super) fn write(places: &Places<'_>, update: &Update<'_>, progress: &Progress) -> Result<RootHash, Error> {
    withdraw(places, update)?;
    progress.begins("writing", update.geometry.data_size());
    let written = copy(places, update, progress)?;
    let expected = update.root_hash.unwrap_or(written);
    progress.begins("verifying", update.geometry.data_size());
    verify(places, update, &expected, progress)?;
    activate(places, update, &expected)?;
    Ok(expected)
}

/// The slot is no candidate from here on: its label, its priority and its tries each say so.
fn withdraw(places: &Places<'_>, update: &Update<'_>) -> Result<(), Error> {
    let hash = places.hash.map(|(number, _)| number);
    rewrite(places, &mut |entry| {
        if entry.number == places.data.0 {
            let cleared =
                entry.attributes().with_priority(0).with_tries(0).with_successful(false).with_once_good(false);
            entry.set_attributes(cleared);
            entry.set_label(&format!("PRT#{}", update.label));
        } else if Some(entry.number) == hash {
            entry.set_label(&format!("PRT#{}", super::hash_label(&update.label)));
        }
    })
}

/// Writes data and tree, and gives the root hash that the data has.
fn copy(places: &Places<'_>, update: &Update<'_>, progress: &Progress) -> Result<RootHash, Error> {
    let geometry = &update.geometry;
    let block_size = u64::from(geometry.parameters().hash_block_size);
    let made = places.hash.filter(|_| update.tree.is_none());
    let mut sink = |block: u64, bytes: &[u8]| match made {
        Some((number, hash)) => hash.write_all_at(block * block_size, bytes).map_err(|why| not_written(number, why)),
        None => Ok(()),
    };
    let root_hash = pass(update.image, geometry, &mut sink, &mut |offset, chunk| {
        let (number, data) = places.data;
        progress.advance(chunk.len());
        data.write_all_at(offset, chunk).map_err(|why| not_written(number, why))
    })?;
    if let (Some((number, hash)), Some(tree)) = (places.hash, update.tree) {
        copy_tree(tree, hash, geometry).map_err(|why| why.unwrap_or_else(|why| not_written(number, why)))?;
    }
    if let Some((number, hash)) = made {
        hash.write_all_at(0, &update.superblock.to_bytes()).map_err(|why| not_written(number, why))?;
    }
    for (number, place) in [Some(places.data), places.hash].into_iter().flatten() {
        place.flush().map_err(|why| not_written(number, why))?;
    }
    Ok(root_hash)
}

/// Copies a tree with its superblock.
fn copy_tree(tree: &dyn ReadAt, hash: &dyn WriteAt, geometry: &Geometry) -> Result<(), Result<Error, WriteError>> {
    let mut offset = 0;
    while offset < geometry.hash_device_size() {
        let chunk = padded(tree, offset, geometry.hash_device_size()).map_err(Ok)?;
        hash.write_all_at(offset, &chunk).map_err(Err)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}

/// Reads all that was written, and holds it to the root hash.
fn verify(places: &Places<'_>, update: &Update<'_>, expected: &RootHash, progress: &Progress) -> Result<(), Error> {
    let geometry = &update.geometry;
    let block_size = u64::from(geometry.parameters().hash_block_size);
    let mut sink = |block: u64, bytes: &[u8]| {
        let Some((number, hash)) = places.hash else { return Ok(()) };
        let mut stored = vec![0; bytes.len()];
        hash.read_exact_at(block * block_size, &mut stored).map_err(|why| not_read(number, why))?;
        if stored == bytes {
            Ok(())
        } else {
            Err(differs(number, format!("block {block} of the hash tree is not that of the data")))
        }
    };
    let data = Bounded { inner: places.data.1, size: geometry.data_size() };
    let found = pass(&data, geometry, &mut sink, &mut |_, chunk| {
        progress.advance(chunk.len());
        Ok(())
    })?;
    if found != *expected {
        return Err(differs(places.data.0, format!("it has the root hash {found} instead of {expected}")));
    }
    let Some((number, hash)) = places.hash else { return Ok(()) };
    let mut superblock = [0; SUPERBLOCK_SIZE];
    hash.read_exact_at(0, &mut superblock).map_err(|why| not_read(number, why))?;
    if superblock == update.superblock.to_bytes() {
        Ok(())
    } else {
        Err(differs(number, "the superblock is not as it was written".to_owned()))
    }
}

/// One write makes the slot complete and the next one.
fn activate(places: &Places<'_>, update: &Update<'_>, root_hash: &RootHash) -> Result<(), Error> {
    let mut entries = entries(places)?;
    ledger::set_next(&mut entries, places.data.0, update.tries);
    let hash = places.hash.map(|(number, _)| number);
    rewrite(places, &mut |entry| {
        if let Some(new) = entries.iter().find(|new| new.number == entry.number) {
            entry.set_attributes(new.attributes);
        }
        if entry.number == places.data.0 {
            entry.set_label(&update.label);
        } else if Some(entry.number) == hash {
            entry.set_label(&super::hash_label(&update.label));
        }
        let half = match hash {
            Some(_) if entry.number == places.data.0 => root_hash.data_partition(),
            Some(hash) if entry.number == hash => root_hash.hash_partition(),
            _ => None,
        };
        if let Some(half) = half {
            entry.set_uuid(half);
        }
    })
}

/// What the ledger says of all slots.
fn entries(places: &Places<'_>) -> Result<Vec<Entry>, Error> {
    let failed = |why: &dyn std::fmt::Display| Error::system("cannot read", "the partition table", why);
    let table = Gpt::read(places.table, places.sector_size).map_err(|why| failed(&why))?;
    let mut entries = Vec::new();
    for number in 1..=table.entry_count() {
        let entry = table.entry(places.table, number).map_err(|why| failed(&why))?;
        let slot = entry.filter(|entry| entry.type_uuid == PartitionType::Root.uuid());
        entries.extend(slot.map(|slot| Entry { number, attributes: slot.attributes }));
    }
    Ok(entries)
}

fn rewrite(places: &Places<'_>, edit: &mut dyn FnMut(&mut EntryMut<'_>)) -> Result<(), Error> {
    let written = gpt::rewrite(places.table, places.sector_size, edit);
    written.map(drop).map_err(|why| Error::system("cannot change", "the partition table", why))
}

/// Reads all data once, and gives its root hash.
fn pass(data: &dyn ReadAt, geometry: &Geometry, sink: Sink<'_>, work: Sink<'_>) -> Result<RootHash, Error> {
    let mut tree = GrowingTree::new(geometry);
    let mut offset = 0;
    while offset < geometry.data_size() {
        let chunk = padded(data, offset, geometry.data_size())?;
        work(offset, &chunk)?;
        tree.add(&chunk, sink)?;
        offset += chunk.len() as u64;
    }
    tree.finish(sink)?.ok_or_else(|| Error::bad("cannot use", "the image", "it is empty"))
}

/// The next bytes from `offset` on, up to `end`: zeros where the source has ended.
fn padded(source: &dyn ReadAt, offset: u64, end: u64) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = vec![0; length];
    let there = usize::try_from(source.size().saturating_sub(offset)).unwrap_or(length).min(length);
    let read = source.read_exact_at(offset, &mut chunk[..there]);
    read.map_err(|why| Error::system("cannot read", format_args!("what is staged, at byte {offset}"), why))?;
    Ok(chunk)
}

/// The front of a partition.
struct Bounded<'d> {
    inner: &'d dyn WriteAt,
    size: u64,
}

impl ReadAt for Bounded<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), deployment::ReadError> {
        self.inner.read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

fn not_written(number: u32, WriteError(errno): WriteError) -> Error {
    let why = std::io::Error::from_raw_os_error(errno);
    unfinished(Error::system("cannot write to", format_args!("partition {number}"), why))
}

fn not_read(number: u32, why: deployment::ReadError) -> Error {
    unfinished(Error::system("cannot read back", format_args!("partition {number}"), why))
}

fn differs(number: u32, what: String) -> Error {
    unfinished(Error::bad("cannot verify what was written to", format_args!("partition {number}"), what))
}

fn unfinished(error: Error) -> Error {
    error.advice("The slot is marked unfinished and does not boot; what was next before is still next.")
}
