//! One block device, and what was found on it.

use core::fmt;

use heapless::String;

use crate::filesystem::Filesystem;
use crate::read::ReadError;
use crate::table::{Partition, PartitionTable};

/// The longest kernel name of a block device in bytes (BDEVNAME_SIZE).
pub const MAX_NAME: usize = 32;
/// A block device's kernel name, as in `/sys/class/block`: `vda3`, `nvme0n1p1`, `cciss!c0d0`.
pub type Name = String<MAX_NAME, u8>;

/// The number by which the kernel knows a block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    /// Writes `8:3`, as sysfs does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One block device of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDevice {
    /// Its kernel name.
    pub name: Name,
    /// Its number.
    pub number: DeviceNumber,
    /// Its size in bytes.
    pub size: u64,
    /// The size of its logical blocks in bytes.
    pub sector_size: u32,
    /// Whether the device itself refuses writes.
    pub read_only: bool,
    /// The disk that it is a partition of; `None` for a whole disk.
    pub disk: Option<Name>,
    /// What the disk's partition table says about it; `None` for a whole disk.
    pub partition: Option<Partition>,
    /// A whole disk's partition table.
    pub table: PartitionTable,
    /// What it holds; `None` when that is unknown, and for a disk with a partition table.
    pub filesystem: Option<Filesystem>,
    /// Why its table or content could not be read, when the device failed.
    pub read_error: Option<ReadError>,
}

impl BlockDevice {
    /// The name of the disk that it is or lies on.
    pub fn disk_name(&self) -> &Name {
        self.disk.as_ref().unwrap_or(&self.name)
    }

    /// Whether `path` (`/dev/…`) is its node. The kernel writes `!` in a name where the node's path has `/`.
    pub fn has_path(&self, path: &str) -> bool {
        let Some(name) = path.strip_prefix("/dev/") else { return false };
        let as_node = self.name.bytes().map(|byte| if byte == b'!' { b'/' } else { byte });
        as_node.eq(name.bytes())
    }
}
