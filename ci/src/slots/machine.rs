//! A machine that is booted again and again from one disk with slots.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::drive::Drive;
use crate::guest_tool;
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::machine::Outcome;
use crate::slots::{Image, Slot, SlotDisk};
use crate::tree::Tree;
use crate::vm::Vm;

/// The kernel that is booted. It has a driver of the watchdog.
const KERNEL: Package = Package::Cloud612;

/// Words of `surefoot initramfs`: the drivers of the report port and of the watchdog.
const INITRAMFS: &[&str] = &["--module", "virtio_console", "--module", "i6300esb"];

/// The root of a slot: the probe, which finds `words` in its image, the tool, and a folder for the modules of the kernel
/// that runs. `version` tells it from others.
///
/// # Errors
/// When the probe or the tool has not been built.
pub fn tree(version: &str, words: &[&str]) -> Result<Tree> {
    let release = format!("ID=surefoot-probe\nNAME=\"surefoot probe\"\nVERSION_ID={version}\n");
    let tree = guest_tool::add(Tree::probe()?)?.file("usr/lib/os-release", release, 0o644).directory("mnt");
    let modules = format!("lib/modules/{}", kernel::fetch(KERNEL)?.release);
    let tree = tree.directory("lib/modules").directory(&modules).file(&format!("{modules}/modules.dep"), "", 0o644);
    // One word a line, whatever blanks it holds.
    let lines: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    Ok(tree.file("etc/probe", lines.join("\n"), 0o644))
}

/// The image of [`tree`].
///
/// # Errors
/// When it cannot be made.
pub fn image(version: &str, words: &[&str]) -> Result<Image> {
    Image::of(&tree(version, words)?)
}

/// A disk with slots, and what boots from it.
#[derive(Debug)]
pub struct SlotMachine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    /// The disk.
    pub disk: SlotDisk,
    scratch: TempDir,
}

impl SlotMachine {
    /// A machine with the 6.12 cloud kernel and a disk with these slots; `name` names its logs.
    ///
    /// # Errors
    /// When a part of it cannot be made.
    pub fn new(name: &str, slots: &[Slot]) -> Result<Self> {
        let kernel = kernel::fetch(KERNEL)?;
        let initramfs = initramfs::build(&kernel, INITRAMFS)?;
        let scratch = tempfile::tempdir()?;
        let disk = SlotDisk::create(&scratch.path().join("disk"), slots)?;
        Ok(Self { name: name.to_owned(), kernel, initramfs, disk, scratch })
    }

    /// Adds words to `surefoot initramfs`.
    ///
    /// # Errors
    /// What the tool says.
    pub fn packing(mut self, options: &[&str]) -> Result<Self> {
        self.initramfs = initramfs::build(&self.kernel, &[INITRAMFS, options].concat())?;
        Ok(self)
    }

    /// A path for a further file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The machine without disks and without words; `boot` tells its log from those of other boots.
    pub fn bare(&self, boot: &str) -> Vm {
        Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs)
    }

    /// The machine with its disk, which keeps what is written, and no words.
    pub fn vm(&self, boot: &str) -> Vm {
        self.bare(boot).drive(Drive::new(&self.disk.disk).keep_writes())
    }

    /// Boots with all images of the disk accepted, and with these words.
    ///
    /// # Errors
    /// When QEMU fails.
    pub fn boot(&self, boot: &str, words: &str) -> Result<Outcome> {
        self.vm(boot).append(&self.disk.accept_all()).append(words).run()
    }

    /// A drive with files for the guest: an erofs without a partition table.
    ///
    /// # Errors
    /// When mkfs.erofs fails.
    pub fn medium(files: &Tree) -> Result<Drive> {
        Ok(Drive::of_image(&crate::filesystem::Filesystem::Erofs.image(files)?, 512).read_only())
    }
}

/// The files of an update as `surefoot stage` finds them: `update`, `update.verity` and `update.roothash`.
///
/// # Errors
/// When the image cannot be read.
pub fn update(image: &Image) -> Result<Tree> {
    let read = |path: &Path| std::fs::read(path);
    Ok(Tree::default()
        .file("update", read(&image.data)?, 0o644)
        .file("update.verity", read(&image.tree.image)?, 0o644)
        .file("update.roothash", image.tree.root_hash.as_str(), 0o644))
}
