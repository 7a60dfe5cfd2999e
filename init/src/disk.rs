//! Block devices as something to read.

use deployment::read::{ReadAt, ReadError};
use deployment::write::{WriteAt, WriteError};
use sys::errno::Explained;
use sys::file::{self, AsFd, OwnedFd};

use crate::reason;
use crate::text::{Reason, refused};

/// An open block device.
#[derive(Debug)]
pub struct Disk {
    file: OwnedFd,
    size: u64,
}

impl Disk {
    /// Opens the device at `path`.
    pub fn open(path: &str) -> Result<Self, Reason> {
        let file = sys::block::open(path).map_err(|errno| refused("open", path, errno))?;
        let size = sys::block::size(file.as_fd()).unwrap_or(0);
        Ok(Self { file, size })
    }

    /// Makes the kernel read its partition table anew.
    pub fn reread_partitions(&self) -> Result<(), sys::Errno> {
        sys::block::reread_partitions(self.file.as_fd())
    }

    /// Bytes of its logical sectors; what the kernel does not tell is 512.
    pub fn sector_size(&self) -> u32 {
        sys::block::sector_size(self.file.as_fd()).unwrap_or(512)
    }
}

impl ReadAt for Disk {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        file::read_exact_at(self.file.as_fd(), offset, buffer).map_err(|errno| ReadError::Device(errno.raw_os_error()))
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// A block device that is open for writing as well.
#[derive(Debug)]
pub struct WritableDisk {
    /// The device as it is read.
    pub disk: Disk,
    direct: OwnedFd,
}

impl WritableDisk {
    /// Opens the device at `path`.
    pub fn open(path: &str) -> Result<Self, Reason> {
        let direct = sys::block::open_writable(path)
            .map_err(|errno| reason!("cannot open {path} for writing: {}", Explained(errno)))?;
        Ok(Self { disk: Disk::open(path)?, direct })
    }
}

impl ReadAt for WritableDisk {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.disk.read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.disk.size
    }
}

impl WriteAt for WritableDisk {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        file::write_all_at(self.direct.as_fd(), offset, bytes).map_err(|errno| WriteError(errno.raw_os_error()))
    }

    fn flush(&self) -> Result<(), WriteError> {
        sys::block::flush(self.direct.as_fd()).map_err(|errno| WriteError(errno.raw_os_error()))
    }
}
