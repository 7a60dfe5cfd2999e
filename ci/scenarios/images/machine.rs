//! A machine that boots from image files.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use surefoot_ci::disk::Disk;
use surefoot_ci::drive::Drive;
use surefoot_ci::images::{Files, Images};
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::vm::Vm;
use surefoot_probe::Report;
use tempfile::TempDir;

use crate::judge::{boot_report, same};
use crate::setup::state_partition;
use crate::slots::judge::text;

/// A disk with image files and a state partition, and what boots from it.
pub(crate) struct Machine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    pub(crate) files: Files,
    disk: Disk,
    _scratch: TempDir,
}

impl Machine {
    /// A machine with the 6.12 cloud kernel.
    pub(crate) fn new(name: &str, images: &Images) -> Result<Self> {
        Self::with_kernel(name, Package::Cloud612, images)
    }

    pub(crate) fn with_kernel(name: &str, package: Package, images: &Images) -> Result<Self> {
        let kernel = kernel::fetch(package)?;
        let initramfs = initramfs::build(&kernel, &["--module", "virtio_console"])?;
        let scratch = tempfile::tempdir()?;
        let files = images.build()?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[files.partition(), state_partition()?])?;
        Ok(Self { name: name.to_owned(), kernel, initramfs, files, disk, _scratch: scratch })
    }

    /// The machine with its disk, which keeps what is written, and with all root hashes accepted.
    pub(crate) fn vm(&self, boot: &str) -> Vm {
        let vm = Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs);
        vm.append(&self.files.accept()).drive(Drive::new(&self.disk).keep_writes())
    }

    /// Boots the best image that there is, with these words.
    pub(crate) fn boot(&self, boot: &str, words: &str) -> Result<Outcome> {
        self.vm(boot).append("surefoot.deployment=auto").append(words).run()
    }
}

/// The report of a machine that came up with this image, verified by this root hash, and powered off.
pub(crate) fn came_up(outcome: &Outcome, name: &str, root_hash: &str) -> Result<Report> {
    let report = outcome.probe()?;
    let boot = boot_report(&report)?;
    let part = |key: &str| text(&boot, &format!("/deployment/{key}")).map(str::to_owned);
    let found = [part("name")?, part("kind")?, part("trust")?, part("root_hash")?];
    same("the deployment", &found.each_ref().map(String::as_str), &[name, "image", "verified", root_hash])?;
    ensure!(outcome.end == End::PoweredOff, "it should have powered off\n{}", outcome.tail());
    Ok(report)
}
