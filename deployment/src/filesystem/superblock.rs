//! The superblocks, each told by its magic number and by what must hold beside it.

use super::FilesystemKind::{self, Btrfs, Erofs, Exfat, Ext4, F2fs, Luks, Squashfs, Swap, VerityHash, Vfat, Xfs};
use super::serial::{serial, uuid};
use super::{Filesystem, FilesystemLabel, FilesystemUuid};
use crate::bytes::Bytes;

/// Where ext4, EROFS and F2FS leave room for a boot loader.
const BEHIND_LOADER: usize = 1024;

/// Tells a filesystem from its superblock.
type Read = fn(Bytes<'_>) -> Option<Filesystem>;

/// Where each superblock lies, in the order of the search.
const SUPERBLOCKS: [(usize, Read); 10] = [
    (0, luks),
    (0, verity_hash),
    (0, xfs),
    (0, squashfs),
    (BEHIND_LOADER, erofs),
    (BEHIND_LOADER, ext4),
    (BEHIND_LOADER, f2fs),
    (0, swap),
    (0, exfat),
    (0, vfat),
];

/// What begins within the first 4096 bytes of a device.
pub(super) fn in_head(head: Bytes<'_>) -> Option<Filesystem> {
    SUPERBLOCKS.iter().find_map(|(place, read)| read(head.from(*place)))
}

fn found(plausible: bool, kind: FilesystemKind, uuid: FilesystemUuid, label: FilesystemLabel) -> Option<Filesystem> {
    if plausible { Some(Filesystem { kind, uuid, label }) } else { None }
}

/// Whether `size` is the power of two that `log` says, and one of those allowed.
fn is_block_size(size: u32, log: u32, allowed: core::ops::RangeInclusive<u32>) -> bool {
    allowed.contains(&size) && 1_u32.checked_shl(log) == Some(size)
}

/// LUKS1 On-Disk Format Specification 1.2.3, 2.1; LUKS2 On-Disk Format Specification 1.1, 2.1.
fn luks(head: Bytes<'_>) -> Option<Filesystem> {
    let magic = head.has(0, b"LUKS\xba\xbe");
    let version = head.be16(6);
    let label = if version == 2 { head.text(24, 48) } else { FilesystemLabel::new() };
    found(magic && matches!(version, 1 | 2), Luks, head.text(168, 40), label)
}

/// cryptsetup wiki, "DMVerity". Only enough to know it: `verity::Superblock` reads it in earnest.
fn verity_hash(head: Bytes<'_>) -> Option<Filesystem> {
    let plausible = head.has(0, b"verity\0\0") && head.le32(8) == 1;
    found(plausible, VerityHash, uuid(head.array(16)), FilesystemLabel::new())
}

/// XFS Algorithms & Data Structures, "Superblocks".
fn xfs(head: Bytes<'_>) -> Option<Filesystem> {
    let blocks = is_block_size(head.be32(4), head.u8(120).into(), 512..=65536);
    let sectors = is_block_size(head.be16(102).into(), head.u8(121).into(), 512..=32768);
    let plausible = head.has(0, b"XFSB") && blocks && sectors;
    found(plausible, Xfs, uuid(head.array(32)), head.text(108, 12))
}

/// Linux, fs/squashfs/squashfs_fs.h, `struct squashfs_super_block`.
fn squashfs(head: Bytes<'_>) -> Option<Filesystem> {
    let blocks = is_block_size(head.le32(12), head.le16(22).into(), 4096..=1_048_576);
    let plausible = head.has(0, b"hsqs") && head.le16(28) == 4 && blocks;
    found(plausible, Squashfs, FilesystemUuid::new(), FilesystemLabel::new())
}

/// Linux, fs/erofs/erofs_fs.h, `struct erofs_super_block`.
fn erofs(superblock: Bytes<'_>) -> Option<Filesystem> {
    let plausible = superblock.le32(0) == 0xe0f5_e1e2 && (9..=16).contains(&superblock.u8(12));
    found(plausible, Erofs, uuid(superblock.array(48)), superblock.text(64, 16))
}

/// Linux, Documentation/filesystems/ext4, "Super Block".
fn ext4(superblock: Bytes<'_>) -> Option<Filesystem> {
    const INCOMPAT_JOURNAL_DEVICE: u32 = 0x8;
    let (inodes, blocks_per_group, inodes_per_group) = (superblock.le32(0), superblock.le32(32), superblock.le32(40));
    let plausible = superblock.le16(56) == 0xef53
        && superblock.le32(24) <= 6
        && ![inodes, blocks_per_group, inodes_per_group].contains(&0)
        && superblock.le32(96) & INCOMPAT_JOURNAL_DEVICE == 0;
    found(plausible, Ext4, uuid(superblock.array(104)), superblock.text(120, 16))
}

/// Linux, include/linux/f2fs_fs.h, `struct f2fs_super_block`.
fn f2fs(superblock: Bytes<'_>) -> Option<Filesystem> {
    let plausible =
        superblock.le32(0) == 0xf2f5_2010 && superblock.le16(4) == 1 && (12..=16).contains(&superblock.le32(16));
    found(plausible, F2fs, uuid(superblock.array(108)), superblock.utf16(124, 512))
}

/// Linux, include/linux/swap.h, `union swap_header`, for pages of 4096 bytes.
fn swap(head: Bytes<'_>) -> Option<Filesystem> {
    let plausible = head.has(4086, b"SWAPSPACE2") && head.le32(1024) == 1 && head.le32(1028) != 0;
    found(plausible, Swap, uuid(head.array(1036)), head.text(1052, 16))
}

/// Microsoft, "exFAT file system specification", 3.1.
fn exfat(head: Bytes<'_>) -> Option<Filesystem> {
    let plausible = head.has(3, b"EXFAT   ")
        && head.has(510, &[0x55, 0xaa])
        && (9..=12).contains(&head.u8(108))
        && matches!(head.u8(110), 1 | 2);
    found(plausible, Exfat, serial(head.le32(100)), FilesystemLabel::new())
}

/// Microsoft, "FAT: General Overview of On-Disk Format", 1.03, "Boot Sector and BPB".
fn vfat(head: Bytes<'_>) -> Option<Filesystem> {
    let sector_size = u32::from(head.le16(11));
    let plausible = head.has(510, &[0x55, 0xaa])
        && sector_size.is_power_of_two()
        && (512..=4096).contains(&sector_size)
        && head.u8(13).is_power_of_two()
        && head.le16(14) != 0
        && matches!(head.u8(16), 1 | 2)
        && matches!(head.u8(21), 0xf0 | 0xf8..);
    // FAT32 has no 16-bit count of sectors in a table, and a longer parameter block in front of the rest.
    let extension = if head.le16(22) == 0 { 64 } else { 36 };
    let extension = head.from(extension);
    let named = extension.u8(2) == 0x29 && extension.has(18, b"FAT");
    let label = extension.text::<11>(7, 11);
    let label = label.trim_end_matches(' ');
    let label = FilesystemLabel::try_from(if label == "NO NAME" { "" } else { label }).unwrap_or_default();
    found(plausible && named, Vfat, serial(extension.le32(3)), label)
}

/// btrfs on-disk format documentation, "Superblock".
pub(super) fn btrfs(superblock: Bytes<'_>) -> Option<Filesystem> {
    let plausible = superblock.has(64, b"_BHRfS_M")
        && superblock.le64(48) == super::BTRFS_OFFSET
        && superblock.le32(144).is_power_of_two()
        && superblock.le32(148).is_power_of_two();
    found(plausible, Btrfs, uuid(superblock.array(32)), superblock.text(299, 256))
}
