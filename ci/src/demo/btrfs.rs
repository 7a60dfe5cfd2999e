//! A Debian with systemd in snapshots that snapper has made. In the guest, snapper itself says what was booted, and rolls the
//! system back; a unit of the system (`surefoot-demo-btrfs`) has it do so and reports.

use anyhow::{Context, Result};

use super::{Guest, boot_files, debian, report, step};
use crate::btrfs::Snapshots;
use crate::drive::Drive;
use crate::machine::End;
use crate::tree::Tree;

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
pub struct Machine(Guest);

impl Machine {
    /// Downloads and builds what is not there yet.
    ///
    /// # Errors
    /// Without root, and when a part of it cannot be made.
    pub fn build(roots: Roots) -> Result<Self> {
        let (kernel, initramfs) = boot_files(&[])?;
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
        Ok(Self(Guest { kernel, initramfs, partition: snapshots.build()?.partition(), unit: "btrfs" }))
    }

    /// Boots the machine `N` times, until it powers itself off. The lines of all reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn play<const N: usize>(&self, name: &str, words: &str) -> Result<[Vec<String>; N]> {
        let (_scratch, disk) = self.0.disk()?;
        let boot = |number| {
            let vm = self.0.vm(&format!("{name}-{number}"), words);
            let outcome = vm.drive(Drive::new(&disk).keep_writes()).run()?;
            let (end, last) = if number == N { (End::PoweredOff, "done") } else { (End::Rebooted, "reboot") };
            report(&outcome, end, last)
        };
        let boots = (1..=N).map(boot).collect::<Result<Vec<_>>>()?;
        boots.try_into().ok().context("as many boots as were asked for")
    }
}
