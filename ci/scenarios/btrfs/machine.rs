//! A machine that boots from snapshots.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use surefoot_ci::btrfs::{Image, Snapshots};
use surefoot_ci::disk::{Disk, Partition};
use surefoot_ci::drive::Drive;
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::slots::machine::tree;
use surefoot_ci::tree::Tree;
use surefoot_ci::vm::Vm;
use surefoot_probe::Report;
use tempfile::TempDir;

use crate::judge::{boot_report, same};
use crate::slots::judge::text;

/// Words that let snapshots boot: nothing verifies them.
pub(crate) const AUTO: &str = "surefoot.deployment=auto surefoot.verity=optional";

/// A root of a snapshot: its hostname says which one.
pub(crate) fn root(version: &str, words: &[&str]) -> Result<Tree> {
    Ok(tree(version, words)?.file("etc/hostname", format!("version-{version}\n"), 0o644))
}

/// Two snapshots, of which the second one is the default, each with an `/etc` of its own.
pub(crate) fn two() -> Result<Snapshots> {
    Ok(Snapshots::new().etc_subvolumes().snapshot(&root("1", &[])?).snapshot(&root("2", &[])?))
}

/// A disk with snapshots, and what boots from it.
pub(crate) struct Machine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    pub(crate) disk: Disk,
    _scratch: TempDir,
}

impl Machine {
    /// A machine with the 6.12 cloud kernel, and with `more` partitions behind that of the snapshots.
    pub(crate) fn new(name: &str, snapshots: &Snapshots, more: &[Partition]) -> Result<Self> {
        Self::with_kernel(name, Package::Cloud612, &snapshots.build()?, more)
    }

    pub(crate) fn with_kernel(name: &str, package: Package, image: &Image, more: &[Partition]) -> Result<Self> {
        let kernel = kernel::fetch(package)?;
        let initramfs = initramfs::build(&kernel, &["--module", "virtio_console"])?;
        let scratch = tempfile::tempdir()?;
        let partitions = [&[image.partition()], more].concat();
        let disk = Disk::create(&scratch.path().join("disk"), 512, &partitions)?;
        Ok(Self { name: name.to_owned(), kernel, initramfs, disk, _scratch: scratch })
    }

    /// The machine with its disk, which keeps what is written.
    pub(crate) fn vm(&self, boot: &str) -> Vm {
        let vm = Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs);
        vm.drive(Drive::new(&self.disk).keep_writes())
    }

    pub(crate) fn boot(&self, boot: &str, words: &str) -> Result<Outcome> {
        self.vm(boot).append(words).run()
    }
}

/// The report of a machine that came up with this deployment, unverified, and powered off.
pub(crate) fn came_up(outcome: &Outcome, name: &str) -> Result<Report> {
    let report = outcome.probe()?;
    let boot = boot_report(&report)?;
    let found = (text(&boot, "/deployment/name")?, text(&boot, "/deployment/kind")?, text(&boot, "/deployment/trust")?);
    same("the deployment", &found, &(name, "btrfs", "insecure"))?;
    ensure!(outcome.end == End::PoweredOff, "it should have powered off\n{}", outcome.tail());
    Ok(report)
}
