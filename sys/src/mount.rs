//! Mounts: the filesystem context of Linux 5.2 for new filesystems, mount(2) for the tree that they hang in.

use core::fmt::Write as _;

use heapless::String;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags as KernelFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind, mount_change,
    mount_move, mount_remount, move_mount, unmount as kernel_unmount,
};

use crate::Errno;
use crate::file::{AsFd, BorrowedFd};
use crate::text::{Room, c};

/// Bytes of the kernel's own words that are kept of a mount that failed.
pub const MAX_MESSAGE: usize = 200;

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

    /// Both sets of attributes.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn as_mount_attributes(self) -> MountAttrFlags {
        MountAttrFlags::from_bits_retain(self.0)
    }

    /// The same attributes as flags of mount(2).
    fn as_mount_flags(self) -> KernelFlags {
        const PAIRS: [(Attributes, KernelFlags); 8] = [
            (Attributes::READ_ONLY, KernelFlags::RDONLY),
            (Attributes::NO_SUID, KernelFlags::NOSUID),
            (Attributes::NO_DEVICES, KernelFlags::NODEV),
            (Attributes::NO_EXECUTION, KernelFlags::NOEXEC),
            (Attributes::NO_LINKS, KernelFlags::NOSYMFOLLOW),
            (Attributes::NO_ACCESS_TIME, KernelFlags::NOATIME),
            (Attributes::STRICT_ACCESS_TIME, KernelFlags::STRICTATIME),
            (Attributes::NO_DIRECTORY_ACCESS_TIME, KernelFlags::NODIRATIME),
        ];
        let all = PAIRS.iter().filter(|(attribute, _)| self.has(*attribute));
        all.fold(KernelFlags::empty(), |flags, (_, flag)| flags | *flag)
    }
}

/// Why a filesystem could not be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountError {
    /// The system call that failed.
    pub call: &'static str,
    /// What it answered.
    pub errno: Errno,
}

/// The kernel's own words about a mount, where the filesystem has any (fsopen(2), "message retrieval").
pub type Message = String<MAX_MESSAGE>;

/// Mounts a filesystem at `target` (fsopen(2), fsconfig(2), fsmount(2), move_mount(2)).
///
/// `source` is a device path or a name to show; `options` are the filesystem's own, `key` or `key=value`, among them
/// `ro` where the filesystem itself is not to write. What the kernel says of a mount that fails goes to `message`.
pub fn filesystem(
    kind: &str,
    source: &str,
    options: &mut dyn Iterator<Item = &str>,
    attributes: Attributes,
    target: &str,
    message: &mut Message,
) -> Result<(), MountError> {
    let failed = |call| move |errno| MountError { call, errno };
    let context = c(kind, &mut Room::new())
        .and_then(|kind| fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC))
        .map_err(failed("fsopen"))?;
    let configure = || -> Result<(), Errno> {
        set_string(context.as_fd(), "source", source)?;
        for option in options {
            set_option(context.as_fd(), option)?;
        }
        fsconfig_create(context.as_fd())
    };
    let create = || {
        configure().map_err(failed("fsconfig"))?;
        let attributes = attributes.as_mount_attributes();
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("fsmount"))
    };
    let mount = create().inspect_err(|_| read_message(context.as_fd(), message))?;
    c(target, &mut Room::new())
        .and_then(|target| {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(&mount, c"", rustix::fs::CWD, target, flags)
        })
        .map_err(failed("move_mount"))
}

fn set_option(context: BorrowedFd<'_>, option: &str) -> Result<(), Errno> {
    match option.split_once('=') {
        Some((key, value)) => set_string(context, key, value),
        None => fsconfig_set_flag(context, c(option, &mut Room::new())?),
    }
}

fn set_string(context: BorrowedFd<'_>, key: &str, value: &str) -> Result<(), Errno> {
    fsconfig_set_string(context, c(key, &mut Room::new())?, c(value, &mut Room::new())?)
}

/// Appends the messages that the filesystem left in its context, joined: lines `e …`, `w …`, `i …`, one for each read(2).
fn read_message(context: BorrowedFd<'_>, all: &mut Message) {
    let mut buffer = [0; MAX_MESSAGE];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let text = buffer.get(..length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default();
        let text = text.get(2..).unwrap_or_default().trim_end();
        if !text.is_empty() {
            // A message that does not fit any more is left out; the first one tells the cause.
            let separator = if all.is_empty() { "" } else { "; " };
            let _ = write!(all, "{separator}{text}");
        }
    }
}

/// Makes the directory at `source` visible at `target` too, with `attributes` of its own.
pub fn bind(source: &str, target: &str, attributes: Attributes) -> Result<(), Errno> {
    let mut room = Room::new();
    let c_target = c(target, &mut room)?;
    mount_bind(c(source, &mut Room::new())?, c_target)?;
    let flags = attributes.as_mount_flags() | KernelFlags::BIND;
    mount_remount(c_target, flags, c"").inspect_err(|_| {
        // A mount without the attributes that were asked for must not stay.
        let _ = unmount(target);
    })
}

/// Moves the mount at `source`, with all that is mounted in it, to `target` (`MS_MOVE`).
pub fn relocate(source: &str, target: &str) -> Result<(), Errno> {
    mount_move(c(source, &mut Room::new())?, c(target, &mut Room::new())?)
}

/// Makes every mount private, so that no move below spreads or is refused (`MS_REC | MS_PRIVATE`).
pub fn make_all_private() -> Result<(), Errno> {
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
}

/// Unmounts what is at `target`, no link followed (umount2(2)).
pub fn unmount(target: &str) -> Result<(), Errno> {
    kernel_unmount(c(target, &mut Room::new())?, UnmountFlags::NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_the_flags_of_both_calls() {
        let attributes = Attributes::NO_SUID.with(Attributes::NO_DEVICES);
        assert!(attributes.has(Attributes::NO_SUID));
        assert!(!attributes.has(Attributes::READ_ONLY));
        assert_eq!(attributes.as_mount_flags(), KernelFlags::NOSUID | KernelFlags::NODEV);
        assert_eq!(attributes.as_mount_attributes().bits(), 2 | 4);
    }
}
