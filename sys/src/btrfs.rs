//! Subvolumes of a mounted btrfs (linux/btrfs.h, linux/btrfs_tree.h). All of this needs `CAP_SYS_ADMIN`.
//!
//! A `filesystem` is any directory of it, open for reading, not a mere handle (`O_PATH`).

use heapless::String;

use crate::Errno;
use crate::call::ioctl;
use crate::file::BorrowedFd;

/// The number of the top-level subvolume (`BTRFS_FS_TREE_OBJECTID`), which has neither name nor parent.
pub const TOP_LEVEL: u64 = 5;
/// Longest path of a subvolume below the top level, in bytes.
pub const MAX_PATH: usize = 255;
/// Most subvolumes that one lies in.
pub const MAX_DEPTH: usize = 16;

/// `BTRFS_IOC_TREE_SEARCH`.
const TREE_SEARCH: u32 = 0xd000_9411;
/// `BTRFS_IOC_INO_LOOKUP`.
const INODE_LOOKUP: u32 = 0xd000_9412;
/// `BTRFS_IOC_SUBVOL_GETFLAGS`.
const GET_FLAGS: u32 = 0x8008_9419;
/// `BTRFS_SUBVOL_RDONLY`.
const READ_ONLY: u64 = 1 << 1;

/// `BTRFS_ROOT_TREE_OBJECTID`: the tree that knows all others.
const ROOT_TREE: u64 = 1;
/// `BTRFS_ROOT_TREE_DIR_OBJECTID`: the directory in it that names the default subvolume.
const ROOT_TREE_DIRECTORY: u64 = 6;
/// `BTRFS_DIR_ITEM_KEY`.
const DIRECTORY_ITEM: u32 = 84;
/// `BTRFS_ROOT_BACKREF_KEY`: where a subvolume lies.
const ROOT_BACK_REFERENCE: u32 = 144;
/// `BTRFS_FIRST_FREE_OBJECTID`: the root directory of every subvolume.
const ROOT_DIRECTORY: u64 = 256;

/// `struct btrfs_ioctl_search_args`: `struct btrfs_ioctl_search_key`, then what was found.
#[repr(C)]
struct Search {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transaction: u64,
    max_transaction: u64,
    min_kind: u32,
    max_kind: u32,
    item_count: u32,
    unused: [u32; 9],
    items: [u8; 3992],
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[repr(C)]
struct Lookup {
    tree: u64,
    object: u64,
    path: [u8; 4080],
}

const _: () = assert!(size_of::<Search>() == 4096 && core::mem::offset_of!(Search, items) == 104);
const _: () = assert!(size_of::<Lookup>() == 4096);

/// The number of the subvolume that is mounted where no other is asked for (`BTRFS_IOC_TREE_SEARCH` for the item
/// `default` of the root tree's directory).
pub fn default_subvolume(filesystem: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut found = None;
    search(filesystem, ROOT_TREE_DIRECTORY, DIRECTORY_ITEM, &mut |_, item| found = found.or(default_of(item)))?;
    // A filesystem that no default was ever set of has none, or the top level.
    Ok(found.unwrap_or(TOP_LEVEL))
}

/// The path of `subvolume` below the top level, without a slash at its beginning; empty for the top level itself
/// (`BTRFS_IOC_TREE_SEARCH` for its place in its parent, `BTRFS_IOC_INO_LOOKUP` for the directory there).
///
/// # Errors
/// `ENOENT` where there is no such subvolume, `ENAMETOOLONG` where the path is longer than [`MAX_PATH`], `ELOOP` where it
/// lies deeper than [`MAX_DEPTH`], `EBADMSG` where a name is not UTF-8.
pub fn subvolume_path(filesystem: BorrowedFd<'_>, subvolume: u64) -> Result<String<MAX_PATH>, Errno> {
    let mut path = String::new();
    let mut child = subvolume;
    for _ in 0..=MAX_DEPTH {
        if child == TOP_LEVEL {
            return Ok(path);
        }
        let mut place = Err(Errno::NOENT);
        search(filesystem, child, ROOT_BACK_REFERENCE, &mut |parent, item| {
            place = place_of(item, &path).map(|(directory, path)| (parent, directory, path));
        })?;
        let (parent, directory, below) = place?;
        path = below;
        if directory != ROOT_DIRECTORY {
            let mut lookup = Lookup { tree: parent, object: directory, path: [0; 4080] };
            look_up(filesystem, &mut lookup)?;
            // The kernel ends this path in a slash and a NUL.
            let above = lookup.path.split(|byte| *byte == 0).next().unwrap_or_default();
            path = joined(above, "", &path)?;
        }
        child = parent;
    }
    Err(Errno::LOOP)
}

/// Whether a subvolume is read-only as such (`BTRFS_IOC_SUBVOL_GETFLAGS`).
///
/// # Errors
/// `EINVAL` where the open directory is not the root of a subvolume, `ENOTTY` where it is on no btrfs.
pub fn is_read_only(subvolume: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut flags = 0u64;
    // SAFETY: the kernel writes eight bytes to the address, which is that of a `u64`.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(subvolume, GET_FLAGS, &raw mut flags as usize)?;
    }
    Ok(flags & READ_ONLY != 0)
}

fn look_up(file: BorrowedFd<'_>, lookup: &mut Lookup) -> Result<(), Errno> {
    // SAFETY: the kernel reads and writes a `struct btrfs_ioctl_ino_lookup_args` at the address, which has the size of
    // `Lookup` and is borrowed for the call alone; any bytes that it writes are valid.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(file, INODE_LOOKUP, &raw mut *lookup as usize).map(|_| ())
    }
}

/// Calls `visit` with the offset and the bytes of each item of the root tree that has this object number and kind. What
/// does not fit into one answer is left out: a subvolume lies in one place, and the directory has one entry.
#[inline(never)]
fn search(filesystem: BorrowedFd<'_>, object: u64, kind: u32, visit: &mut dyn FnMut(u64, &[u8])) -> Result<(), Errno> {
    let mut search = Search {
        tree: ROOT_TREE,
        min_object: object,
        max_object: object,
        min_offset: 0,
        max_offset: u64::MAX,
        min_transaction: 0,
        max_transaction: u64::MAX,
        min_kind: kind,
        max_kind: kind,
        item_count: u32::MAX,
        unused: [0; 9],
        items: [0; 3992],
    };
    // SAFETY: the kernel reads and writes a `struct btrfs_ioctl_search_args` at the address, which has the size of `Search`
    // and is borrowed for the call alone; any bytes that it writes are valid.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(filesystem, TREE_SEARCH, &raw mut search as usize)?;
    }
    let mut rest = search.items.as_slice();
    for _ in 0..search.item_count {
        let (offset, item, after) = first_item(rest).ok_or(Errno::BADMSG)?;
        visit(offset, item);
        rest = after;
    }
    Ok(())
}

/// The offset and the bytes of the first item, and the items after it (`struct btrfs_ioctl_search_header`).
fn first_item(items: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let offset = u64::from_ne_bytes(*items.get(16..)?.first_chunk()?);
    let length = u32::from_ne_bytes(*items.get(28..)?.first_chunk()?);
    let (item, rest) = items.get(32..)?.split_at_checked(usize::try_from(length).ok()?)?;
    Some((offset, item, rest))
}

/// The subvolume that the entry `default` among the entries of an item leads to (`struct btrfs_dir_item`). Names with
/// one hash share an item.
fn default_of(mut entries: &[u8]) -> Option<u64> {
    const HEADER: usize = 30;
    loop {
        let subvolume = u64::from_le_bytes(*entries.first_chunk()?);
        let data_length = u16::from_le_bytes(*entries.get(25..)?.first_chunk()?);
        let name_length = u16::from_le_bytes(*entries.get(27..)?.first_chunk()?);
        let (name, rest) = entries.get(HEADER..)?.split_at_checked(name_length.into())?;
        if name == b"default" {
            return Some(subvolume);
        }
        entries = rest.get(data_length.into()..)?;
    }
}

/// The directory in the parent that a subvolume lies in, and its name with `below` behind it (`struct btrfs_root_ref`).
fn place_of(item: &[u8], below: &str) -> Result<(u64, String<MAX_PATH>), Errno> {
    let place = || {
        let directory = u64::from_le_bytes(*item.first_chunk()?);
        let length = u16::from_le_bytes(*item.get(16..)?.first_chunk()?);
        Some((directory, item.get(18..)?.get(..length.into())?))
    };
    let (directory, name) = place().ok_or(Errno::BADMSG)?;
    // Whoever wrote the disk may have called it what is no name.
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(Errno::BADMSG);
    }
    let separator = if below.is_empty() { "" } else { "/" };
    Ok((directory, joined(name, separator, below)?))
}

fn joined(first: &[u8], second: &str, third: &str) -> Result<String<MAX_PATH>, Errno> {
    let mut text = String::new();
    for part in [core::str::from_utf8(first).map_err(|_| Errno::BADMSG)?, second, third] {
        text.push_str(part).map_err(|_| Errno::NAMETOOLONG)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
