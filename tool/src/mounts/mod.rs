//! Mounts that this process alone sees. Whatever way it ends, nothing of them stays.

mod loop_device;

use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, unshare};

use crate::error::Error;

pub(crate) use loop_device::LoopDevice;

/// Filesystems that would write to their device before they are mounted read-only, and the option that keeps them from it.
pub(crate) const NO_REPLAY: [(&str, &str); 4] =
    [("btrfs", "rescue=nologreplay"), ("ext4", "noload"), ("f2fs", "norecovery"), ("xfs", "norecovery")];

/// What is unmounted when it is dropped.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Should it fail, it is gone with the namespace of this process.
        let _ = nix::mount::umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Gives this process mounts of its own; refuses, with what was to be done, where it may not have them. To be called before
/// there is a second thread.
pub(crate) fn enter_namespace(doing: &str, object: &str) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::system(doing, object, "only root can attach and mount them"));
    }
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .map_err(|why| Error::system(doing, object, format!("cannot make a mount namespace: {}", why.desc())))
}
