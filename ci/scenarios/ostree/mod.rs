//! Deployments of ostree: laid out by Debian's `ostree`, booted by surefoot.

pub(crate) mod boot;
pub(crate) mod composefs;
pub(crate) mod fallback;
pub(crate) mod ledger;
pub(crate) mod subvolume;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use deployment::ostree::Booted;
use deployment::ostree::booted::BOOTED_PATH;
use deployment::ostree::prepare_root::TransientRoot;
use surefoot_ci::disk::Disk;
use surefoot_ci::drive::Drive;
use surefoot_ci::edit::Edit;
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::machine::Outcome;
use surefoot_ci::ostree::{Deployment, Image, KERNEL_VERSION, STATEROOT, Sysroot};
use surefoot_ci::tree::Tree;
use surefoot_ci::vm::Vm;
use surefoot_probe::report::Entry;
use surefoot_probe::{Outcome as Done, Report};
use tempfile::TempDir;

use crate::judge::{boot_report, same};
use crate::slots::judge::text;

/// What every machine here is told, besides which deployment it shall boot.
const WORDS: &str = "root=PARTLABEL=sysroot rw";

/// A machine with a sysroot.
pub(crate) struct Machine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    image: Image,
    disk: Disk,
    _scratch: TempDir,
}

impl Machine {
    /// One whose initramfs holds these files: path, and content.
    pub(crate) fn new(name: &str, sysroot: &Sysroot, files: &[(&str, &str)]) -> Result<Self> {
        Self::with_kernel(name, Package::Cloud612, sysroot, files)
    }

    pub(crate) fn with_kernel(name: &str, package: Package, sysroot: &Sysroot, files: &[(&str, &str)]) -> Result<Self> {
        let kernel = kernel::fetch(package)?;
        let packed = initramfs::adding(files)?;
        let mut options = vec!["--module", "virtio_console"];
        options.extend(packed.iter().map(String::as_str));
        let initramfs = initramfs::build(&kernel, &options)?;
        let image = sysroot.build()?;
        let scratch = tempfile::tempdir()?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[image.partition()])?;
        Ok(Self { name: name.to_owned(), kernel, initramfs, image, disk, _scratch: scratch })
    }

    /// A deployment, counted from 0 in the order in which they were made.
    pub(crate) fn deployment(&self, number: usize) -> Result<&Deployment> {
        self.image.deployments.get(number).context("no such deployment")
    }

    /// What surefoot calls a deployment.
    pub(crate) fn called(&self, number: usize) -> Result<String> {
        let Deployment { checksum, directory, .. } = self.deployment(number)?;
        let serial = directory.rsplit('.').next().unwrap_or_default();
        Ok(format!("{STATEROOT}-{}.{serial}", &checksum[..12]))
    }

    /// Boots once; what is written is forgotten.
    pub(crate) fn boot(&self, words: &str) -> Result<Outcome> {
        self.vm(&self.name, words).drive(Drive::new(&self.disk)).run()
    }

    /// Boots once, and keeps what is written; `boot` names the log.
    pub(crate) fn boot_keeping(&self, boot: &str, words: &str) -> Result<Outcome> {
        self.vm(&format!("{}-{boot}", self.name), words).drive(Drive::new(&self.disk).keep_writes()).run()
    }

    fn vm(&self, name: &str, words: &str) -> Vm {
        Vm::new(name, &self.kernel, &self.initramfs).append(WORDS).append(words)
    }
}

/// The configuration of ostree's initramfs program.
pub(crate) const CONFIGURATION: &str = "/etc/ostree/prepare-root.conf";
/// The other place of it.
pub(crate) const VENDOR_CONFIGURATION: &str = "/usr/lib/ostree/prepare-root.conf";

/// The probe's tree in a version that can be told by `/usr/lib/version`, with modules for the kernel that most machines
/// run: without them it would not be fallen back to.
pub(crate) fn version(version: u32) -> Result<Tree> {
    let release = kernel::fetch(Package::Cloud612)?.release;
    let tree = Tree::probe()?.file("usr/lib/version", version.to_string(), 0o644).directory("usr/lib/modules");
    let dummy = format!("usr/lib/modules/{KERNEL_VERSION}");
    Ok(tree
        .directory(&format!("usr/lib/modules/{release}"))
        .directory(&dummy)
        .file(&format!("{dummy}/vmlinuz"), "no kernel\n", 0o644)
        .file(&format!("{dummy}/initramfs.img"), "no initramfs\n", 0o644))
}

/// What `ostree admin unlock --hotfix` leaves in the first deployment, with another `/usr/lib/version` in it.
pub(crate) fn hotfixed(sysroot: Sysroot) -> Sysroot {
    sysroot
        .edit_in(0, Edit::directory(".usr-ovl-work"))
        .edit_in(0, Edit::directory(".usr-ovl-upper"))
        .edit_in(0, Edit::directory(".usr-ovl-upper/lib"))
        .edit_in(0, Edit::file(".usr-ovl-upper/lib/version", "1 fixed"))
}

/// What a plain root that can be written to is told, besides where it lies.
pub(crate) const TOLD: Booted<'static> = Booted {
    device: 0,
    inode: 0,
    transient_root: TransientRoot::No,
    composefs: None,
    sysroot_readonly: false,
    transient_etc: None,
};

/// Words that have the probe look at what [`is_told`] judges.
pub(crate) fn told(machine: &Machine, number: usize) -> Result<String> {
    Ok(format!("probe.hex={BOOTED_PATH} probe.stat=/sysroot/{}", machine.deployment(number)?.directory))
}

/// Fails unless the running system is told this, byte for byte, and where the directory of its deployment lies.
pub(crate) fn is_told(report: &Report, machine: &Machine, number: usize, booted: Booted<'_>) -> Result<()> {
    let entry = directory(report, machine, number)?;
    let mut bytes = heapless::Vec::new();
    Booted { device: entry.device, inode: entry.inode, ..booted }.write(&mut bytes)?;
    let expected = format!("{:02x?}", bytes.as_slice());
    let found = report.outcome(&format!("probe.hex={BOOTED_PATH}"));
    same(BOOTED_PATH, &found, &Some(&Done::Text(expected)))
}

/// What [`told`] has found out of the directory of a deployment.
pub(crate) fn directory<'a>(report: &'a Report, machine: &Machine, number: usize) -> Result<&'a Entry> {
    let word = format!("probe.stat=/sysroot/{}", machine.deployment(number)?.directory);
    match report.outcome(&word) {
        Some(Done::Entry(entry)) => Ok(entry),
        other => bail!("{word}: {other:?}"),
    }
}

/// Fails unless this deployment was booted, as what it is called, with this trust.
pub(crate) fn is_booted(report: &Report, name: &str, trust: &str) -> Result<()> {
    let boot = boot_report(report)?;
    same("the kind", text(&boot, "/deployment/kind")?, "ostree")?;
    same("the deployment", text(&boot, "/deployment/name")?, name)?;
    same("the trust", text(&boot, "/deployment/trust")?, trust)
}
