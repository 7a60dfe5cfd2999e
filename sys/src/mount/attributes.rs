//! What one mount of a filesystem forbids or does.

use linux_raw_sys::general::{
    __NR_mount_setattr, AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW, MOUNT_ATTR__ATIME, mount_attr,
};
use rustix::fd::AsRawFd as _;
use rustix::mount::MountAttrFlags;

use crate::Errno;
use crate::call::system_call;
use crate::file::BorrowedFd;
use crate::text::{Room, c};

/// Attributes of one mount, as bits of mount_setattr(2) (`MOUNT_ATTR_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    /// Nothing special: writable, `relatime`.
    pub const NONE: Self = Self(0);
    /// `ro`.
    pub const READ_ONLY: Self = Self(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    /// `nosuid`.
    pub const NO_SUID: Self = Self(MountAttrFlags::MOUNT_ATTR_NOSUID.bits());
    /// `nodev`.
    pub const NO_DEVICES: Self = Self(MountAttrFlags::MOUNT_ATTR_NODEV.bits());
    /// `noexec`.
    pub const NO_EXECUTION: Self = Self(MountAttrFlags::MOUNT_ATTR_NOEXEC.bits());
    /// `noatime`.
    pub const NO_ACCESS_TIME: Self = Self(MountAttrFlags::MOUNT_ATTR_NOATIME.bits());
    /// `strictatime`.
    pub const STRICT_ACCESS_TIME: Self = Self(MountAttrFlags::MOUNT_ATTR_STRICTATIME.bits());
    /// `nodiratime`.
    pub const NO_DIRECTORY_ACCESS_TIME: Self = Self(MountAttrFlags::MOUNT_ATTR_NODIRATIME.bits());
    /// `nosymfollow`.
    pub const NO_LINKS: Self = Self(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW.bits());

    /// The bits that say how access times are kept.
    const TIMES: u32 = MOUNT_ATTR__ATIME | Self::NO_DIRECTORY_ACCESS_TIME.0;

    /// Every bit that is an attribute here.
    const ALL: Self = Self(
        Self::READ_ONLY.0
            | Self::NO_SUID.0
            | Self::NO_DEVICES.0
            | Self::NO_EXECUTION.0
            | MOUNT_ATTR__ATIME
            | Self::NO_DIRECTORY_ACCESS_TIME.0
            | Self::NO_LINKS.0,
    );

    /// Both sets of attributes.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn as_mount_attributes(self) -> MountAttrFlags {
        MountAttrFlags::from_bits_retain(self.0)
    }
}

/// Which mounts an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submounts {
    /// The one mount alone.
    Leave,
    /// It and all mounts below it.
    Include,
}

/// Adds attributes to the mount at `target` and takes others away; all others stay, and so does what other mounts of the
/// same filesystem have (mount_setattr(2), Linux 5.12). No link is followed at the end of `target`.
///
/// # Errors
/// `EINVAL` where no mount is at `target`, `EBUSY` where a file is open for writing that would become read-only.
pub fn change_attributes(target: &str, add: Attributes, take: Attributes) -> Result<(), Errno> {
    set(rustix::fs::CWD, target, AT_SYMLINK_NOFOLLOW, add, take)
}

/// Gives a detached tree exactly `attributes`, but for the way in which access times are kept: where none is among them,
/// that of the source stays, as mount(2) has it. The mounts below it, if any, get them beside their own.
pub(super) fn give(tree: BorrowedFd<'_>, attributes: Attributes, submounts: Submounts) -> Result<(), Errno> {
    let take =
        if attributes.0 & Attributes::TIMES == 0 { Attributes::ALL.0 & !Attributes::TIMES } else { Attributes::ALL.0 };
    set(tree, "", AT_EMPTY_PATH, attributes, Attributes(take))?;
    match submounts {
        Submounts::Leave => Ok(()),
        Submounts::Include => set(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes, Attributes::NONE),
    }
}

fn set(directory: BorrowedFd<'_>, path: &str, flags: u32, add: Attributes, take: Attributes) -> Result<(), Errno> {
    // The ways to keep access times are one field, which is set only as a whole.
    let field = if (add.0 | take.0) & MOUNT_ATTR__ATIME == 0 { 0 } else { MOUNT_ATTR__ATIME };
    let change = mount_attr { attr_set: add.0.into(), attr_clr: (take.0 | field).into(), propagation: 0, userns_fd: 0 };
    let mut room = Room::new();
    let path = c(path, &mut room)?;
    // The kernel reads the low 32 bits: CWD is a negative number.
    #[allow(clippy::cast_sign_loss)]
    let descriptor = directory.as_raw_fd() as u32 as usize;
    let address = &raw const change as usize;
    // SAFETY: the kernel reads a NUL-terminated path (a `CStr`) and as many bytes of a `struct mount_attr` as it is told,
    // which is its size. It writes to no memory of this process.
    #[allow(unsafe_code)]
    unsafe {
        let arguments = [descriptor, path.as_ptr() as usize, flags as usize, address, size_of::<mount_attr>()];
        system_call(__NR_mount_setattr, &arguments).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_the_kernel() {
        let attributes = Attributes::NO_SUID.with(Attributes::NO_DEVICES);
        assert!(attributes.has(Attributes::NO_SUID));
        assert!(!attributes.has(Attributes::READ_ONLY));
        assert_eq!(attributes.as_mount_attributes().bits(), 2 | 4);
    }
}
