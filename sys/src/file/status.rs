//! What is known of a file without reading it.

use rustix::fs::FileType;

use crate::Errno;
use crate::file::BorrowedFd;
use crate::text::{Room, c};

/// What is known of a file without opening it (stat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of file it is.
    pub kind: Kind,
    /// Permission bits, with set-uid, set-gid and sticky.
    pub mode: u32,
    /// Device that holds it, as the kernel encodes it.
    pub device: u64,
    /// Inode number on that device.
    pub inode: u64,
    /// Length in bytes; of a link, that of the text it holds. Without meaning for [`Kind::Directory`] and [`Kind::Other`].
    pub size: u64,
    /// When its content last changed, in seconds since 1970.
    pub modified: u64,
}

/// Kinds of file that surefoot tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

impl From<rustix::fs::Stat> for Status {
    fn from(status: rustix::fs::Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(status.st_mode).into(),
            mode: status.st_mode & 0o7777,
            device: status.st_dev,
            inode: status.st_ino,
            size: u64::try_from(status.st_size).unwrap_or(0),
            modified: u64::try_from(status.st_mtime).unwrap_or(0),
        }
    }
}

/// The status of an open file or handle.
pub fn status(file: BorrowedFd<'_>) -> Result<Status, Errno> {
    rustix::fs::fstat(file).map(Status::from)
}

/// The status of what is at `path`, links followed.
pub fn status_of(path: &str) -> Result<Status, Errno> {
    rustix::fs::stat(c(path, &mut Room::new())?).map(Status::from)
}
