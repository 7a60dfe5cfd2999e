//! A Debian with systemd in snapshots that snapper has made. In the guest, snapper itself says what was booted, and rolls the
//! system back; a unit of the system (`surefoot-demo-btrfs`) has it do so and reports.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{debian, report, step};
use crate::btrfs::{Image, Snapshots};
use crate::disk::Disk;
use crate::drive::Drive;
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::machine::End;
use crate::paths;
use crate::tree::Tree;
use crate::vm::Vm;

/// What is installed beyond mmdebstrap's variant "minbase".
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,kmod,login,procps,btrfs-progs,snapper";
/// Bytes of the filesystem: two versions.
const BYTES: u64 = 2 << 30;

/// Whether the root takes writes, which decides what a rollback is to snapper (snapper(8), `--ambit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// It is read-only, and `/etc` a subvolume in it: a rollback makes an earlier snapshot the default.
    ReadOnly,
    /// It takes writes: a rollback makes a writable copy of an earlier snapshot the default.
    Writable,
}

/// A machine with two versions, snapshots 1 and 2, of which the second one is the default.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    initramfs: PathBuf,
    image: Image,
}

impl Machine {
    /// Downloads and builds what is not there yet.
    ///
    /// # Errors
    /// Without root, and when a part of it cannot be made.
    pub fn build(roots: Roots) -> Result<Self> {
        step("Debian's 6.12 cloud kernel, and an initramfs for it");
        let kernel = kernel::fetch(Package::Cloud612)?;
        let initramfs = initramfs::build(&kernel, &["--module", "virtio_console"])?;
        step("Debian for snapshots (the first time takes minutes)");
        let archive = debian::archive(&kernel, "btrfs", PACKAGES)?;
        step("snapshots");
        let snapshots = match roots {
            Roots::ReadOnly => Snapshots::new().etc_subvolumes(),
            Roots::Writable => Snapshots::new().writable(),
        };
        let snapshots = ["1", "2"].iter().fold(snapshots.bytes(BYTES), |snapshots, version| {
            let over = Tree::default().directory("usr").directory("usr/lib");
            snapshots.snapshot_of(&archive, &over.file("usr/lib/demo-version", format!("{version}\n"), 0o644))
        });
        Ok(Self { kernel, initramfs, image: snapshots.build()? })
    }

    /// Boots the machine `N` times, until it powers itself off. The lines of all reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn play<const N: usize>(&self, name: &str, words: &str) -> Result<[Vec<String>; N]> {
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[self.image.partition()])?;
        let boot = |number| {
            let vm = Vm::new(&format!("{name}-{number}"), &self.kernel, &self.initramfs).memory_mib(1024).processors(2);
            let vm = vm.append(words).append("surefoot-demo.btrfs surefoot-demo.unattended");
            let outcome = vm.drive(Drive::new(&disk).keep_writes()).timeout(Duration::from_mins(10)).run()?;
            let (end, last) = if number == N { (End::PoweredOff, "done") } else { (End::Rebooted, "reboot") };
            report(&outcome, end, last)
        };
        let boots = (1..=N).map(boot).collect::<Result<Vec<_>>>()?;
        boots.try_into().ok().context("as many boots as were asked for")
    }
}
