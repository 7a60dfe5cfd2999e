//! The one way in which this crate sees what is inside a filesystem.

use core::fmt;

mod below;
mod watched;

use crate::read::ReadError;

pub use below::Below;
pub use watched::{Failure, Watched};

/// A directory with all that is below it: the top of a mounted filesystem, or the initramfs.
///
/// Paths are relative to it, without a leading slash; the empty path is the directory itself. No symbolic link is followed,
/// neither at the end of a path nor on the way there ([`TreeError::Link`]), and nothing outside of the directory is reached:
/// whoever wrote the filesystem cannot lead a reader elsewhere. Where a format has links, its reader takes them one by one,
/// from [`read_link`](Self::read_link).
pub trait Tree {
    /// The content of a regular file. One that is longer than `buffer` is an error, for half a text is none.
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError>;

    /// Fills `buffer` with the bytes of a regular file from `offset` on.
    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError>;

    /// Where a symbolic link leads.
    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError>;

    /// Calls `visit` with the name of every entry of a directory, in any order, until it gives `false`. Names that are not
    /// UTF-8 are passed over.
    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError>;

    /// What is at a path; a symbolic link is told as such.
    fn status(&self, path: &str) -> Result<Status, TreeError>;

    /// The fs-verity digest of a regular file (`FS_IOC_MEASURE_VERITY`, Documentation/filesystems/fsverity.rst), written to
    /// the beginning of `digest`; gives its length, which tells SHA-256 from SHA-512.
    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError>;

    /// Where the subvolume of a btrfs that has this number lies below its top, empty if it is the top itself; without a
    /// number, the default one (btrfs-subvolume(8)).
    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError>;

    /// Whether a btrfs subvolume is marked read-only; [`TreeError::WrongKind`] for what is not the top of one.
    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError>;
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// The device that holds it, as stat(2) encodes it.
    pub device: u64,
    /// Its inode number there.
    pub inode: u64,
    /// When its content last changed, in seconds since 1970. Whoever writes the filesystem can make it anything.
    pub modified: u64,
}

/// Kinds of file that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// Why something in a filesystem could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// Nothing is there.
    Missing,
    /// A symbolic link is in the way, or leads out.
    Link,
    /// It is longer than there is room for, in bytes.
    TooLong(usize),
    /// It is something else than a file, directory or link where one is wanted.
    WrongKind,
    /// It is no UTF-8 text.
    NoText,
    /// This kind of filesystem has no such thing, or it is not turned on.
    Unsupported,
    /// The filesystem failed, with this error number (errno(3)).
    Failed(i32),
    /// It cannot be told without a look inside (`surefoot explain --look-inside`).
    Unknown,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is nothing by that name"),
            Self::Link => f.write_str("a symbolic link is in the way, and none is followed here"),
            Self::TooLong(room) => write!(f, "it is longer than {room} bytes"),
            Self::WrongKind => f.write_str("it is not the kind of file that is wanted"),
            Self::NoText => f.write_str("it is no UTF-8 text"),
            Self::Unsupported => f.write_str("the filesystem does not have that turned on"),
            Self::Failed(errno) => ReadError::Device(*errno).fmt(f),
            Self::Unknown => f.write_str("only a mounted filesystem can tell (--look-inside)"),
        }
    }
}

impl core::error::Error for TreeError {}

impl dyn Tree + '_ {
    /// The content of a regular file as text.
    pub fn read_text<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        core::str::from_utf8(self.read(path, buffer)?).map_err(|_| TreeError::NoText)
    }

    /// Whether a directory, and no link to one, is at a path.
    pub fn has_directory(&self, path: &str) -> bool {
        self.status(path).is_ok_and(|status| status.kind == FileKind::Directory)
    }
}

#[cfg(test)]
pub(crate) mod fixture;
