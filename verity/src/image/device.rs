//! A file or block device that holds data or a hash tree.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::ImageError;

/// A file or block device that is read and written at offsets, by several threads at once.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    size: u64,
    identity: Identity,
}

/// What makes two opened paths the same device.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// The number of a block device.
    Block(u64),
    /// A regular file: its filesystem's device and its inode.
    File(u64, u64),
}

impl Device {
    /// Opens an existing file or block device for reading.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Self::with_options(path, OpenOptions::new().read(true))
    }

    /// Opens a file or block device for reading and writing; a file that is not there is made, readable for its owner
    /// alone, as veritysetup does.
    pub fn open_writable(path: &Path) -> Result<Self, ImageError> {
        Self::with_options(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))
    }

    fn with_options(path: &Path, options: &OpenOptions) -> Result<Self, ImageError> {
        let refused = |error| ImageError::io("cannot open", path, None, error);
        let mut file = options.open(path).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        let identity = if metadata.file_type().is_block_device() {
            Identity::Block(metadata.rdev())
        } else {
            Identity::File(metadata.dev(), metadata.ino())
        };
        // The metadata of a block device knows no size.
        let size = file.seek(SeekFrom::End(0)).map_err(refused)?;
        Ok(Self { file, path: path.to_path_buf(), size, identity })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes when it was opened.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether writing can make it longer: a regular file grows, a block device does not.
    pub const fn grows(&self) -> bool {
        matches!(self.identity, Identity::File(..))
    }

    /// Checks that it is at least `needed` bytes long; `what` it must hold, such as `data`, is for the error.
    pub fn require(&self, what: &'static str, needed: u64) -> Result<(), ImageError> {
        if self.size >= needed {
            return Ok(());
        }
        Err(ImageError::TooShort { path: self.path.clone(), what, needed, found: self.size })
    }

    /// Checks that data which ends at byte `data_end` does not reach into the hash area of the same device.
    pub(super) fn check_apart(&self, hash: &Self, data_end: u64, hash_start: u64) -> Result<(), ImageError> {
        if self.identity == hash.identity && data_end > hash_start {
            return Err(ImageError::Overlap { path: self.path.clone(), data_end, hash_start });
        }
        Ok(())
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), ImageError> {
        let refused = |error| ImageError::io("cannot read", &self.path, Some(offset), error);
        self.file.read_exact_at(bytes, offset).map_err(refused)
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), ImageError> {
        let refused = |error| ImageError::io("cannot write to", &self.path, Some(offset), error);
        self.file.write_all_at(bytes, offset).map_err(refused)
    }

    /// Makes a regular file at least `size` bytes long, with zeros; leaves a block device as it is.
    pub(super) fn extend(&self, size: u64) -> Result<(), ImageError> {
        let refused = |error| ImageError::io("cannot extend", &self.path, None, error);
        let length = self.file.metadata().map_err(refused)?.len();
        if self.grows() && length < size { self.file.set_len(size).map_err(refused) } else { Ok(()) }
    }

    /// Waits until all that was written is on the disk.
    pub(super) fn flush(&self) -> Result<(), ImageError> {
        self.file.sync_data().map_err(|error| ImageError::io("cannot flush", &self.path, None, error))
    }
}
