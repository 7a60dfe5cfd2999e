//! Filesystem images mounted on this machine, for tools that work on nothing else. This takes root.

use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::command::{command, is_root, run};

/// A filesystem that is mounted until this is dropped.
#[derive(Debug)]
pub struct Mounted {
    folder: TempDir,
    mounted: bool,
}

impl Mounted {
    /// Mounts the filesystem in an image file with these options of mount(8); `loop` is added.
    ///
    /// # Errors
    /// Without root, and what mount(8) says.
    pub fn new(image: &Path, options: &str) -> Result<Self> {
        ensure!(is_root()?, "{} cannot be mounted: only root may", image.display());
        let mut mounted = Self { folder: tempfile::tempdir()?, mounted: false };
        let options = if options.is_empty() { "loop".to_owned() } else { format!("loop,{options}") };
        run(command("mount").args(["-o", &options]).args([image, mounted.folder.path()]))?;
        mounted.mounted = true;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Unmounts it: what was written is in the image then.
    ///
    /// # Errors
    /// When something still uses it.
    pub fn unmount(mut self) -> Result<()> {
        // Whoever has a mount namespace of its own may keep the filesystem: unmounting does not write it out then.
        run(command("sync").arg("--file-system").arg(self.path()))?;
        self.mounted = false;
        run(command("umount").arg(self.path())).map(drop)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            // An error came first: the folder goes away, the filesystem as soon as nobody uses it.
            let _ = run(command("umount").arg("--lazy").arg(self.path()));
        }
    }
}
