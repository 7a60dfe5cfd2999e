//! Mounts that this process alone sees. Whatever way it ends, nothing of them stays.

mod loop_device;

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, unshare};

use crate::error::Error;

pub(crate) use loop_device::LoopDevice;

/// Filesystems that would write to their device before they are mounted read-only, and the option that keeps them from it.
pub(crate) const NO_REPLAY: [(&str, &str); 4] =
    [("btrfs", "rescue=nologreplay"), ("ext4", "noload"), ("f2fs", "norecovery"), ("xfs", "norecovery")];

/// A folder of its own to mount something on. It is removed when it is dropped, and nothing that is in it: what could not be
/// unmounted is somebody's filesystem.
pub(crate) struct MountPoint(PathBuf);

impl MountPoint {
    /// Below the folder for temporary files, or where that takes none, as before it is mounted, below `/run`.
    pub(crate) fn new() -> io::Result<Self> {
        let below = |parent: &Path| {
            Ok(Self(tempfile::Builder::new().prefix("surefoot-").tempdir_in(parent.canonicalize()?)?.keep()))
        };
        below(&std::env::temp_dir()).or_else(|why| below(Path::new("/run")).map_err(|_: io::Error| why))
    }

    /// Its path, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        // Should it fail, an empty folder stays.
        let _ = std::fs::remove_dir(&self.0);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_in_a_mount_point_is_left_alone() {
        let folder = MountPoint::new().unwrap();
        let place = folder.path().to_owned();
        drop(folder);
        assert!(!place.exists());

        let folder = MountPoint::new().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        drop(folder);
        assert!(file.exists());
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
}
