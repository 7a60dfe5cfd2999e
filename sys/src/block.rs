//! Block devices.

use rustix::fs::{Mode, OFlags};

use crate::Errno;
use crate::file::{BorrowedFd, OwnedFd};
use crate::text::{Room, c};

/// Opens the block device at `path` for reading.
pub fn open(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(c(path, &mut Room::new())?, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

/// Logical sector size in bytes (`BLKSSZGET`, ioctl_blk(2)).
pub fn sector_size(device: BorrowedFd<'_>) -> Result<u32, Errno> {
    rustix::fs::ioctl_blksszget(device)
}

/// Splits the kernel's encoding of a device number into major and minor (makedev(3)).
pub fn number_parts(device: u64) -> (u32, u32) {
    (rustix::fs::major(device), rustix::fs::minor(device))
}
