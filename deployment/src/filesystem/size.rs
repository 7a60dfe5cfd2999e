//! How far a filesystem reaches, for those that images are made of.

use super::FilesystemKind;
use crate::bytes::Bytes;
use crate::read::{ReadAt, ReadError};

/// Where the fields of the superblocks that tell a size lie, at the most.
const HEAD_SIZE: usize = 2048;
/// Where ext4 and EROFS have their superblock.
const BEHIND_LOADER: usize = 1024;
/// ext4's `INCOMPAT_64BIT`, and EROFS's `FEATURE_INCOMPAT_48BIT`: numbers of blocks have a second half.
const LARGE: u32 = 0x80;

/// The size in bytes of the filesystem of this kind that `reader` holds, as its superblock says; `None` where it does not, or
/// where it cannot be. Nothing vouches for the number.
pub fn size(reader: &dyn ReadAt, kind: FilesystemKind) -> Result<Option<u64>, ReadError> {
    let mut head = [0; HEAD_SIZE];
    super::read_as_far_as_possible(reader, 0, &mut head)?;
    let superblock = Bytes(&head).from(BEHIND_LOADER);
    let (blocks, log) = match kind {
        // Linux, fs/squashfs/squashfs_fs.h: `bytes_used`.
        FilesystemKind::Squashfs => (Bytes(&head).le64(40), 0),
        // Linux, fs/erofs/erofs_fs.h: `blocks_lo`, `blkszbits`, `feature_incompat`.
        FilesystemKind::Erofs if superblock.le32(80) & LARGE == 0 => {
            (superblock.le32(36).into(), u32::from(superblock.u8(12)))
        }
        // Linux, Documentation/filesystems/ext4, "Super Block": `s_blocks_count_lo`, `_hi`, `s_log_block_size`.
        FilesystemKind::Ext4 => {
            let high = if superblock.le32(96) & LARGE == 0 { 0 } else { superblock.le32(0x150) };
            (u64::from(high) << 32 | u64::from(superblock.le32(4)), superblock.le32(24).saturating_add(10))
        }
        _ => return Ok(None),
    };
    let size = 1_u64.checked_shl(log).and_then(|block| blocks.checked_mul(block));
    Ok(size.filter(|size| *size > 0 && *size <= reader.size()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::vec;

    use super::*;
    use crate::filesystem::Filesystem;

    fn superblock(fields: &[(usize, &[u8])]) -> vec::Vec<u8> {
        let mut bytes = vec![0; 8192];
        for (offset, field) in fields {
            bytes[*offset..*offset + field.len()].copy_from_slice(field);
        }
        bytes
    }

    fn told(bytes: &[u8], kind: FilesystemKind) -> Option<u64> {
        size(&bytes, kind).unwrap()
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        let squashfs = superblock(&[(40, &4096_u64.to_le_bytes())]);
        assert_eq!(told(&squashfs, FilesystemKind::Squashfs), Some(4096));
        let erofs = superblock(&[(1024 + 36, &2_u32.to_le_bytes()), (1024 + 12, &[12])]);
        assert_eq!(told(&erofs, FilesystemKind::Erofs), Some(8192));
        let large = superblock(&[(1024 + 36, &2_u32.to_le_bytes()), (1024 + 12, &[12]), (1024 + 80, &[0x80])]);
        assert_eq!(told(&large, FilesystemKind::Erofs), None);
        let ext4 = superblock(&[(1024 + 4, &[3])]);
        assert_eq!(told(&ext4, FilesystemKind::Ext4), Some(3072));
        let high = superblock(&[(1024 + 4, &[3]), (1024 + 96, &[0x80]), (1024 + 0x150, &[1])]);
        assert_eq!(told(&high, FilesystemKind::Ext4), None);
        assert_eq!(told(&ext4, FilesystemKind::Xfs), None);
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        for fields in [
            &[(1024 + 4, &[9][..])],
            &[(1024 + 24, &[54][..])],
            &[(1024 + 24, &[0xff; 4][..])],
            &[(1024 + 4, &[0xff; 4][..])],
            &[(0, &[][..])],
        ] {
            assert_eq!(told(&superblock(fields), FilesystemKind::Ext4), None, "{fields:?}");
        }
        assert_eq!(told(&[], FilesystemKind::Squashfs), None);
    }

    /// Needs `mke2fs`; without it, it tests nothing.
    #[test]
    fn a_real_filesystem_tells_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::write(&image, vec![0; 4 << 20]).unwrap();
        match Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&image).arg("3M").status() {
            Ok(status) if status.success() => {}
            _ => return,
        }
        let bytes = std::fs::read(&image).unwrap();
        let kind = Filesystem::probe(&bytes.as_slice()).unwrap().unwrap().kind;
        assert_eq!(told(&bytes, kind), Some(3 << 20));
    }
}
