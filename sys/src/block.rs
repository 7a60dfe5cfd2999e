//! Block devices.

use rustix::fs::{Mode, OFlags, SeekFrom};

use crate::Errno;
use crate::call::ioctl;
use crate::file::{BorrowedFd, OwnedFd};
use crate::text::{Room, c};

/// Opens the block device at `path` for reading.
pub fn open(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(c(path, &mut Room::new())?, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

/// Opens the block device at `path` for writing past the page cache: what is written must be whole sectors, at an address
/// that 4096 divides (`O_DIRECT`, open(2)). The caches of a disk and of its partitions know nothing of each other, and a
/// page of the disk's would carry old bytes into the partition that ends in it.
pub fn open_writable(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(c(path, &mut Room::new())?, flags, Mode::empty())
}

/// Puts all that was written to the device on its medium (fdatasync(2), which flushes the drive's own cache too).
pub fn flush(device: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fdatasync(device)
}

/// Makes the kernel read the partition table of the disk anew (`BLKRRPART`, ioctl_blk(2)).
pub fn reread_partitions(device: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: this ioctl takes no argument beyond its number.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(device, BLKRRPART, 0).map(|_| ())
    }
}

/// `_IO(0x12, 95)` of linux/fs.h.
const BLKRRPART: u32 = 0x125f;

/// Logical sector size in bytes (`BLKSSZGET`, ioctl_blk(2)).
pub fn sector_size(device: BorrowedFd<'_>) -> Result<u32, Errno> {
    rustix::fs::ioctl_blksszget(device)
}

/// Bytes of the device: where its end is (lseek(2)).
pub fn size(device: BorrowedFd<'_>) -> Result<u64, Errno> {
    rustix::fs::seek(device, SeekFrom::End(0))
}

/// Splits the kernel's encoding of a device number into major and minor (makedev(3)).
pub fn number_parts(device: u64) -> (u32, u32) {
    (rustix::fs::major(device), rustix::fs::minor(device))
}
