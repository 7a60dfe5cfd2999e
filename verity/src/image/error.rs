//! Why an image could not be worked on.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::superblock::SuperblockError;

/// Why an image could not be worked on. That it is found not to verify is a report, not an error.
#[derive(Debug)]
pub enum ImageError {
    /// The system refused.
    Io {
        /// What was being done, such as `cannot read`.
        doing: &'static str,
        /// To which file or device.
        path: PathBuf,
        /// At which byte, for reading and writing.
        offset: Option<u64>,
        /// The system's reason.
        error: io::Error,
    },
    /// There is no superblock, or a damaged one.
    Superblock {
        /// The hash device.
        path: PathBuf,
        /// What is wrong with it.
        error: SuperblockError,
    },
    /// A file or device ends before what it must hold.
    TooShort {
        /// The file or device.
        path: PathBuf,
        /// What it must hold, such as `hash tree`.
        what: &'static str,
        /// The size that it must have, in bytes.
        needed: u64,
        /// The size that it has, in bytes.
        found: u64,
    },
    /// Data and hash device are one, and the data reaches into the tree or its superblock.
    Overlap {
        /// The device.
        path: PathBuf,
        /// Where the data ends, in bytes.
        data_end: u64,
        /// Where superblock or tree start, in bytes.
        hash_start: u64,
    },
}

impl ImageError {
    pub(super) fn io(doing: &'static str, path: &Path, offset: Option<u64>, error: io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), offset, error }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, path, offset: None, error } => write!(f, "{doing} {}: {error}", path.display()),
            Self::Io { doing, path, offset: Some(offset), error } => {
                write!(f, "{doing} {} at byte {offset}: {error}", path.display())
            }
            Self::Superblock { path, error } => write!(f, "{}: {error}", path.display()),
            Self::TooShort { path, what, needed, found } => {
                write!(f, "{} is too short: the {what} needs {needed} bytes, it has {found}", path.display())
            }
            Self::Overlap { path, data_end, hash_start } => write!(
                f,
                "data and hash area overlap on {}: the data ends at byte {data_end}, the hash area starts at {hash_start}",
                path.display()
            ),
        }
    }
}

impl core::error::Error for ImageError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Superblock { error, .. } => Some(error),
            Self::TooShort { .. } | Self::Overlap { .. } => None,
        }
    }
}
