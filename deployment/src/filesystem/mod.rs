//! What a device holds, told from its superblock.
//!
//! A magic number alone is not believed: the fields beside it must make sense as well. Nothing here vouches for the
//! content; the kernel checks a filesystem when it mounts it, and dm-verity checks every block.

mod serial;
mod size;
mod superblock;

use heapless::String;

use crate::bytes::Bytes;
use crate::read::{ReadAt, ReadError};

pub use size::size;

/// The longest UUID text in bytes.
pub const MAX_UUID: usize = 36;
/// The longest filesystem label in bytes (btrfs: 255). A longer one, which only f2fs can have, is cut off there.
pub const MAX_LABEL: usize = 255;
/// A filesystem's UUID or serial number as blkid shows it, empty when it has none. Compare without regard to case.
pub type FilesystemUuid = String<MAX_UUID, u8>;
/// A filesystem's label, empty when it has none or none that is UTF-8.
pub type FilesystemLabel = String<MAX_LABEL, u8>;

/// What a device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Which kind of filesystem or container it is.
    pub kind: FilesystemKind,
    /// What `UUID=` names it by.
    pub uuid: FilesystemUuid,
    /// What `LABEL=` names it by.
    pub label: FilesystemLabel,
}

/// The kinds that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilesystemKind {
    /// ext2, ext3 or ext4: one driver mounts them all.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// EROFS.
    Erofs,
    /// SquashFS 4. It has neither UUID nor label.
    Squashfs,
    /// FAT12, FAT16 or FAT32, with the label of its boot sector.
    Vfat,
    /// exFAT. Its label, which lies in the root directory, is not read.
    Exfat,
    /// F2FS.
    F2fs,
    /// Swap space.
    Swap,
    /// A LUKS container, version 1 or 2.
    Luks,
    /// The hash tree of a dm-verity device, known by its superblock.
    VerityHash,
}

impl FilesystemKind {
    /// Whether it can be written, so that deployments may lie in it.
    pub const fn may_hold_deployments(self) -> bool {
        matches!(self, Self::Ext4 | Self::Xfs | Self::Btrfs | Self::F2fs)
    }

    /// The type that the kernel mounts it as; `None` for what is no filesystem.
    pub const fn kernel_name(self) -> Option<&'static str> {
        match self {
            Self::Swap | Self::Luks | Self::VerityHash => None,
            _ => Some(self.name()),
        }
    }

    /// What it is called in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
            Self::Vfat => "vfat",
            Self::Exfat => "exfat",
            Self::F2fs => "f2fs",
            Self::Swap => "swap",
            Self::Luks => "LUKS",
            Self::VerityHash => "verity hash",
        }
    }
}

/// Every superblock but that of btrfs lies in the first 4096 bytes.
const HEAD_SIZE: usize = 4096;
const BTRFS_OFFSET: u64 = 0x1_0000;

impl Filesystem {
    /// Finds out what `reader` holds; `None` when it is nothing known. An error means that the device failed, never
    /// that it is too small.
    ///
    /// What begins at byte 0 is looked for first and btrfs, at 64 KiB, last: another filesystem may keep anything
    /// there, the superblock of an image among it.
    pub fn probe(reader: &dyn ReadAt) -> Result<Option<Self>, ReadError> {
        let mut head = [0; HEAD_SIZE];
        read_as_far_as_possible(reader, 0, &mut head)?;
        if let Some(found) = superblock::in_head(Bytes(&head)) {
            return Ok(Some(found));
        }
        read_as_far_as_possible(reader, BTRFS_OFFSET, &mut head)?;
        Ok(superblock::btrfs(Bytes(&head)))
    }

    /// Whether `UUID=uuid` names it.
    pub fn has_uuid(&self, uuid: &str) -> bool {
        !self.uuid.is_empty() && self.uuid.eq_ignore_ascii_case(uuid)
    }

    /// Whether `LABEL=label` names it.
    pub fn has_label(&self, label: &str) -> bool {
        !label.is_empty() && self.label == label
    }
}

/// Fills the front of `buffer` with what the device has from `offset` on, and the rest with zeros.
fn read_as_far_as_possible(reader: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    let left = usize::try_from(reader.size().saturating_sub(offset)).unwrap_or(usize::MAX);
    let (front, behind) = buffer.split_at_mut(left.min(buffer.len()));
    behind.fill(0);
    match reader.read_exact_at(offset, front) {
        Err(ReadError::OutOfRange) => {
            front.fill(0);
            Ok(())
        }
        read => read,
    }
}

#[cfg(test)]
mod tests;
