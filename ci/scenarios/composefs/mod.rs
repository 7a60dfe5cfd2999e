//! Deployments in composefs repositories, which the crate `composefs` wrote and a guest has finished.

pub(crate) mod accepted;
pub(crate) mod boots;
pub(crate) mod peer;
pub(crate) mod refusals;
pub(crate) mod state;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use surefoot_ci::command::{command, run};
use surefoot_ci::composefs::{Composefs, Image};
use surefoot_ci::disk::Disk;
use surefoot_ci::drive::Drive;
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::machine::Outcome;
use surefoot_ci::tree::Tree;
use surefoot_ci::vm::Vm;
use surefoot_probe::Report;
use tempfile::TempDir;

use crate::judge::booted;
use crate::setup::state_partition;

/// A machine whose disk has a repository on its first partition, and an empty state partition.
struct Machine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    image: Image,
    disk: Disk,
    scratch: TempDir,
}

impl Machine {
    fn new(name: &str, repository: &Composefs) -> Result<Self> {
        Self::with(name, repository, Package::Cloud612, "")
    }

    /// With these settings (`setup-root-conf.toml`) in the initramfs, unless there are none.
    fn with(name: &str, repository: &Composefs, package: Package, settings: &str) -> Result<Self> {
        let (kernel, image, scratch) = (kernel::fetch(package)?, repository.build()?, tempfile::tempdir()?);
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[image.partition(), state_partition()?])?;
        let mut options = vec!["--module", "virtio_console"];
        let file = scratch.path().join("settings");
        let add = format!("{}:/usr/lib/composefs/setup-root-conf.toml", file.display());
        if !settings.is_empty() {
            std::fs::write(&file, settings)?;
            options.extend(["--add", &add]);
        }
        let initramfs = initramfs::build(&kernel, &options)?;
        Ok(Self { name: name.to_owned(), kernel, initramfs, image, disk, scratch })
    }

    fn boot(&self, words: &str) -> Result<Outcome> {
        Vm::new(&self.name, &self.kernel, &self.initramfs).append(words).drive(Drive::new(&self.disk)).run()
    }

    /// Keeps what is written; `boot` names the log.
    fn boot_keeping(&self, boot: &str, words: &str) -> Result<Outcome> {
        let vm = Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs);
        vm.append(words).drive(Drive::new(&self.disk).keep_writes()).run()
    }

    /// The name of the deployment of this number.
    fn deployment(&self, number: usize) -> String {
        format!("composefs-{}", self.digest(number).get(..16).unwrap_or_default())
    }

    fn digest(&self, number: usize) -> &str {
        self.image.digests.get(number).map_or("", String::as_str)
    }
}

/// The report of a machine that booted. Layers of which the kernel was told by an open file have no other name in the mount
/// table than the file's number, which says nothing: it is shown as `N`.
fn came_up(outcome: &Outcome) -> Result<Report> {
    let mut report = booted(outcome)?;
    for option in report.mounts.iter_mut().flat_map(|mount| &mut mount.filesystem_options) {
        *option = unnumbered(option);
    }
    Ok(report)
}

fn unnumbered(options: &str) -> String {
    let mut parts = options.split("/fd/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "/fd/N" + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// A text that is long enough to become an object of its own.
fn long(text: &str) -> String {
    text.repeat(4096 / text.len() + 1)
}

/// The probe's tree, which says what version it is, and has modules for the usual kernel.
fn tree(version: &str) -> Result<Tree> {
    let modules = format!("usr/lib/modules/{}", kernel::fetch(Package::Cloud612)?.release);
    let tree = Tree::probe()?.directory("usr/lib/modules").directory(&modules);
    Ok(tree.file("usr/lib/version", long(version), 0o644))
}

/// A file of a filesystem. The kernel of this machine may know nothing of fs-verity, and not read it.
fn file_of(image: &Path, file: &str) -> Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    let copy = scratch.path().join("copy");
    run(command("debugfs").args(["-R", &format!("dump /{file} {}", copy.display())]).arg(image))?;
    std::fs::read(&copy).with_context(|| format!("{file} of {}", image.display()))
}
