//! Filesystem images mounted on this machine, for tools that work on nothing else. This takes root.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::command::{command, is_root, run};

/// A filesystem that is mounted until this is dropped.
#[derive(Debug)]
pub struct Mounted {
    folder: PathBuf,
    mounted: bool,
}

impl Mounted {
    /// Mounts the filesystem in an image file with these options of mount(8); `loop` is added.
    ///
    /// # Errors
    /// Without root, and what mount(8) says.
    pub fn new(image: &Path, options: &str) -> Result<Self> {
        ensure!(is_root()?, "{} cannot be mounted: only root may", image.display());
        let mut mounted = Self { folder: tempfile::tempdir()?.keep(), mounted: false };
        let options = if options.is_empty() { "loop".to_owned() } else { format!("loop,{options}") };
        run(command("mount").args(["-o", &options]).args([image, mounted.path()]))?;
        mounted.mounted = true;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Unmounts it: what was written is in the image then.
    ///
    /// # Errors
    /// When something still uses it.
    pub fn unmount(mut self) -> Result<()> {
        // Whoever has a mount namespace of its own may keep the filesystem: unmounting does not write it out then.
        run(command("sync").arg("--file-system").arg(self.path()))?;
        run(command("umount").arg(self.path()))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            // An error came first: the filesystem goes away as soon as nobody uses it.
            let _ = run(command("umount").arg("--lazy").arg(self.path()));
        }
        // Nothing but an empty folder is removed: where it is still mounted, that is the image's own content.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn what_cannot_be_unmounted_keeps_its_content() -> Result<()> {
        let scratch = tempfile::tempdir()?;
        let (image, tree) = (scratch.path().join("image"), scratch.path().join("tree"));
        fs::create_dir(&tree)?;
        fs::write(tree.join("file"), "")?;
        File::create(&image)?.set_len(16 << 20)?;
        run(command("mkfs.ext4").args(["-q", "-F", "-d"]).args([&tree, &image]))?;
        let mounted = Mounted::new(&image, "")?;
        let used = File::open(mounted.path().join("file"))?;
        assert!(mounted.unmount().is_err());
        drop(used);
        let mounted = Mounted::new(&image, "")?;
        assert!(mounted.path().join("file").exists());
        mounted.unmount()
    }
}
