//! How subvolumes lie to each other.

use core::fmt::{self, Write};

use heapless::String;

use crate::tree::{FileKind, Tree, TreeError};

/// The longest path that is looked at, in bytes.
pub(super) const MAX_PATH: usize = 255;
/// A path below the top of the filesystem, without a slash at its beginning.
pub type Path = String<MAX_PATH, u8>;

/// The folder of snapshots in the subvolume that they are made of.
pub(super) const SNAPSHOTS: &str = ".snapshots";
/// The same as a subvolume of the top.
const FLAT_SNAPSHOTS: &str = "@snapshots";
/// Where snapshots lie that are not in the subvolume that they were made of: in SUSE's layout, and in flat ones.
const FOLDERS: [&str; 3] = ["@/.snapshots", SNAPSHOTS, FLAT_SNAPSHOTS];
/// What each snapshot is called in the folder of its number.
const SNAPSHOT: &str = "snapshot";
/// Any of these makes a directory one that may be a root.
const MARKS: [&str; 3] = ["usr", "etc/os-release", "sbin/init"];
/// Any of these directories makes one that is none a sysroot of ostree or composefs.
const SYSROOTS: [&str; 2] = ["ostree", "composefs"];

/// A path of parts. One that is longer than its room is an error.
pub(super) fn join<const N: usize>(parts: fmt::Arguments<'_>) -> Result<String<N, u8>, TreeError> {
    let mut path = String::new();
    path.write_fmt(parts).map_err(|_| TreeError::TooLong(N)).map(|()| path)
}

/// What is called `name` in the directory `parent`, which may be the top.
pub(super) fn below(parent: &str, name: &str) -> Result<Path, TreeError> {
    join(format_args!("{parent}{}{name}", if parent.is_empty() { "" } else { "/" }))
}

/// The number of a snapshot, as its folder is called.
pub(super) fn number(name: &str) -> Option<u32> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit()) && !name.starts_with('0');
    Some(name).filter(|_| canonical).and_then(|name| name.parse().ok())
}

/// The folder of snapshots that a subvolume lies in, and its number there.
pub(super) fn snapshot(path: &str) -> Option<(&str, u32)> {
    let (numbered, name) = path.rsplit_once('/')?;
    let (folder, number_name) = numbered.rsplit_once('/')?;
    let known =
        name == SNAPSHOT && folder.rsplit('/').next().is_some_and(|last| matches!(last, SNAPSHOTS | FLAT_SNAPSHOTS));
    number(number_name).filter(|_| known).map(|number| (folder, number))
}

/// The folder of snapshots that belongs to a subvolume: a subvolume itself, for a mere directory of that name may be the
/// place where it is mounted.
pub(super) fn snapshots_beside(tree: &dyn Tree, subvolume: &str) -> Option<Path> {
    if let Some((folder, _)) = snapshot(subvolume) {
        return Path::try_from(folder).ok();
    }
    let is_subvolume = |path: &&str| tree.is_read_only_subvolume(path).is_ok();
    let own = below(subvolume, SNAPSHOTS).ok().filter(|own| is_subvolume(&own.as_str()));
    own.or_else(|| FOLDERS.into_iter().find(is_subvolume).and_then(|folder| Path::try_from(folder).ok()))
}

/// Whether there is a writable subvolume at a path.
pub(super) fn is_writable(tree: &dyn Tree, path: &str) -> bool {
    tree.is_read_only_subvolume(path) == Ok(false)
}

/// Checks that there is a subvolume at a path, and gives whether it is marked read-only.
pub(super) fn check_subvolume(tree: &dyn Tree, path: &str) -> Result<bool, Unfit> {
    if tree.status(path).map_err(Unfit::Unseen)?.kind == FileKind::Link {
        return Err(Unfit::Unseen(TreeError::Link));
    }
    tree.is_read_only_subvolume(path).map_err(|why| match why {
        TreeError::WrongKind => Unfit::NoSubvolume,
        why => Unfit::Unseen(why),
    })
}

/// Whether a subvolume that may be a root is marked read-only.
pub(super) fn read_only(tree: &dyn Tree, path: &str) -> Result<bool, Unfit> {
    let read_only = check_subvolume(tree, path)?;
    let has = |mark: &&str| below(path, mark).is_ok_and(|mark| tree.status(&mark).is_ok());
    let is_sysroot = |name: &&str| below(path, name).is_ok_and(|name| tree.has_directory(&name));
    match (MARKS.iter().any(has), SYSROOTS.iter().any(is_sysroot)) {
        (true, _) => Ok(read_only),
        (false, true) => Err(Unfit::Sysroot),
        (false, false) => Err(Unfit::NoRoot),
    }
}

/// Why what is at a path is no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It cannot be seen.
    Unseen(TreeError),
    /// It cannot be told where it lies.
    Unplaced(TreeError),
    /// It is something else.
    NoSubvolume,
    /// It holds something else.
    NoRoot,
    /// It holds deployments of another kind.
    Sysroot,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unseen(why) => write!(f, "there is no such subvolume: {why}"),
            Self::Unplaced(why) => write!(f, "it cannot be told where it lies: {why}"),
            Self::NoSubvolume => f.write_str("it is no subvolume"),
            Self::NoRoot => f.write_str("it holds no operating system: neither usr, nor etc/os-release, nor sbin/init"),
            Self::Sysroot => {
                f.write_str("it holds deployments of ostree or composefs, and no operating system of its own")
            }
        }
    }
}
