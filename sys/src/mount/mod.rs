//! Mounts: the filesystem context of Linux 5.2 for new filesystems, mount(2) for the tree that they hang in.

mod attributes;
mod composefs;
mod filesystem;

use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, mount_move, move_mount,
    open_tree, unmount as kernel_unmount,
};

pub use attributes::{Attributes, Submounts, change_attributes};
pub use composefs::{Composefs, NO_VERITY, Upper, Verity, composefs};
pub use filesystem::{MAX_MESSAGE, Message, filesystem, image};

use crate::Errno;
use crate::file::{AsFd as _, BorrowedFd, OwnedFd};
use crate::text::{Room, c};

/// Why a filesystem could not be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountError {
    /// The system call that failed.
    pub call: &'static str,
    /// What it answered.
    pub errno: Errno,
}

fn failed(call: &'static str) -> impl Fn(Errno) -> MountError {
    move |errno| MountError { call, errno }
}

/// A detached copy of the tree that `source`, a handle on a directory or file, is the root of (open_tree(2)), with
/// `attributes` and no others. Only the way in which access times are kept is that of the source, unless one is among them,
/// as mount(2) has it. Mounts in it that are copied too get them beside their own (mount_setattr(2), Linux 5.12).
///
/// Dropped, it is unmounted, unless it was [attached](attach).
pub fn copy_tree(source: BorrowedFd<'_>, attributes: Attributes, submounts: Submounts) -> Result<OwnedFd, MountError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if submounts == Submounts::Include {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(source, c"", flags).map_err(failed("open_tree"))?;
    attributes::give(tree.as_fd(), attributes, submounts).map_err(failed("mount_setattr"))?;
    Ok(tree)
}

/// Makes the directory that `source` is a handle on visible at `target` too, so that a path that others have written is
/// looked up once; see [`copy_tree`].
pub fn bind_handle(
    source: BorrowedFd<'_>,
    target: &str,
    attributes: Attributes,
    submounts: Submounts,
) -> Result<(), MountError> {
    attach(copy_tree(source, attributes, submounts)?.as_fd(), target)
}

/// Makes a detached mount visible at `target` (move_mount(2)). The handle then stands for the mount there.
pub fn attach(mount: BorrowedFd<'_>, target: &str) -> Result<(), MountError> {
    c(target, &mut Room::new())
        .and_then(|target| {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(mount, c"", rustix::fs::CWD, target, flags)
        })
        .map_err(failed("move_mount"))
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

/// Takes what is mounted at `target` away from there at once, with all that is mounted in it (umount2(2), `MNT_DETACH`).
/// Whoever uses it goes on doing so, and it is unmounted when nobody does.
pub fn unmount_lazily(target: &str) -> Result<(), Errno> {
    kernel_unmount(c(target, &mut Room::new())?, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
}

#[cfg(test)]
mod tests;
