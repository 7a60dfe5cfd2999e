//! New filesystems (fsopen(2)).

use core::fmt::Write as _;

use heapless::String;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use super::{Attributes, MountError, attach, failed};
use crate::Errno;
use crate::file::{AsFd as _, OwnedFd};
use crate::text::{Room, c};

/// Bytes of the kernel's own words that are kept of a mount that failed.
pub const MAX_MESSAGE: usize = 200;

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
    attach(detached(kind, source, options, attributes, message)?.as_fd(), target)
}

/// Mounts a read-only image, without making it visible yet; [`attach`] does that. Dropped before, it is unmounted.
///
/// `source` is a block device, or the [path of an open file](crate::file::descriptor_path) (erofs, Linux 6.12).
///
/// # Errors
/// `ENOTBLK` where the kernel mounts no files of this kind: a [loop device](crate::loop_device) can be put between.
pub fn image(
    kind: &str,
    source: &str,
    options: &mut dyn Iterator<Item = &str>,
    attributes: Attributes,
    message: &mut Message,
) -> Result<OwnedFd, MountError> {
    let attributes = attributes.with(Attributes::READ_ONLY);
    detached(kind, source, &mut core::iter::once("ro").chain(options), attributes, message)
}

fn detached(
    kind: &str,
    source: &str,
    options: &mut dyn Iterator<Item = &str>,
    attributes: Attributes,
    message: &mut Message,
) -> Result<OwnedFd, MountError> {
    let context = Context::new(kind)?;
    let configure = || -> Result<(), Errno> {
        context.set("source", source)?;
        for option in options {
            match option.split_once('=') {
                Some((key, value)) => context.set(key, value)?,
                None => context.set_flag(option)?,
            }
        }
        Ok(())
    };
    let mounted = configure().map_err(failed("fsconfig")).and_then(|()| context.mount(attributes));
    mounted.inspect_err(|_| context.read_message(message))
}

/// A filesystem that is being configured.
pub(super) struct Context(OwnedFd);

impl Context {
    pub(super) fn new(kind: &str) -> Result<Self, MountError> {
        c(kind, &mut Room::new())
            .and_then(|kind| fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC))
            .map(Self)
            .map_err(failed("fsopen"))
    }

    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), Errno> {
        fsconfig_set_string(self.0.as_fd(), c(key, &mut Room::new())?, c(value, &mut Room::new())?)
    }

    pub(super) fn set_flag(&self, key: &str) -> Result<(), Errno> {
        fsconfig_set_flag(self.0.as_fd(), c(key, &mut Room::new())?)
    }

    /// Makes the filesystem, and a detached mount of it.
    pub(super) fn mount(&self, attributes: Attributes) -> Result<OwnedFd, MountError> {
        fsconfig_create(self.0.as_fd()).map_err(failed("fsconfig"))?;
        fsmount(self.0.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes.as_mount_attributes())
            .map_err(failed("fsmount"))
    }

    /// Appends the messages that the filesystem left, joined: lines `e …`, `w …`, `i …`, one for each read(2).
    pub(super) fn read_message(&self, all: &mut Message) {
        let mut buffer = [0; MAX_MESSAGE];
        while let Ok(length @ 1..) = rustix::io::read(&self.0, &mut buffer) {
            let text = buffer.get(..length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default();
            let text = text.get(2..).unwrap_or_default().trim_end();
            if !text.is_empty() {
                // A message that does not fit any more is left out; the first one tells the cause.
                let separator = if all.is_empty() { "" } else { "; " };
                let _ = write!(all, "{separator}{text}");
            }
        }
    }
}
