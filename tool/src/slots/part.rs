//! One partition, read and written.

use std::path::{Path, PathBuf};

use deployment::facts::partition_name;
use deployment::{BlockDevice, ReadAt, ReadError, WriteAt, WriteError};

use super::{Access, Medium, SlotDisk, number};
use crate::error::Error;

/// A part of a disk.
pub(crate) struct Part<'d> {
    disk: &'d dyn WriteAt,
    start: u64,
    size: u64,
}

impl<'d> Part<'d> {
    /// The `size` bytes of `disk` from `start` on.
    pub(crate) fn new(disk: &'d dyn WriteAt, start: u64, size: u64) -> Self {
        Self { disk, start, size }
    }

    fn contains(&self, offset: u64, length: usize) -> bool {
        offset.checked_add(length as u64).is_some_and(|end| end <= self.size)
    }
}

impl ReadAt for Part<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if !self.contains(offset, buffer.len()) {
            return Err(ReadError::OutOfRange);
        }
        self.disk.read_exact_at(self.start.saturating_add(offset), buffer)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl WriteAt for Part<'_> {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        if !self.contains(offset, bytes.len()) {
            return Err(WriteError(nix::errno::Errno::ENOSPC as i32));
        }
        self.disk.write_all_at(self.start.saturating_add(offset), bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.disk.flush()
    }
}

impl SlotDisk {
    /// Opens a partition: that of an image as a part of it, that of a disk by its own device, for the kernel caches the
    /// two apart and says who uses it.
    pub(crate) fn open_partition(
        &self,
        partition: &BlockDevice,
        access: Access,
    ) -> Result<Box<dyn WriteAt + '_>, Error> {
        let start = partition.partition.as_ref().map_or(0, |partition| partition.start);
        if !self.medium().is_block_device() {
            return Ok(Box::new(Part::new(self.medium(), start, partition.size)));
        }
        let name = partition_name(self.name(), number(partition));
        check_place(&name, start, partition.size)?;
        Ok(Box::new(Medium::open(&node(&name), access)?))
    }
}

/// Checks that the kernel knows the partition as the table has it.
fn check_place(name: &str, start: u64, size: u64) -> Result<(), Error> {
    let folder = Path::new("/sys/class/block").join(name);
    let number = |file: &str| {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).map_err(|why| Error::file("cannot read", &path, &why))?;
        // Sysfs counts sectors of 512 bytes, whatever the disk does.
        Ok::<_, Error>(text.trim().parse::<u64>().unwrap_or(u64::MAX).saturating_mul(512))
    };
    if (number("start")?, number("size")?) == (start, size) {
        return Ok(());
    }
    let why = "the kernel knows it at another place than the partition table says";
    Err(Error::bad("cannot use", node(name).display(), why)
        .advice("The table was changed while the disk was in use: boot anew."))
}

/// The device node with this kernel name.
pub(super) fn node(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}
