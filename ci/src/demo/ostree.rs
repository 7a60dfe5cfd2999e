//! A Debian with systemd as ostree deploys it. In the guest, ostree's own command says what was booted, and upgrades it; a
//! unit of the system (`surefoot-demo-ostree`) has it do so and reports.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Guest, boot_files, debian, report, step};
use crate::drive::Drive;
use crate::machine::End;
use crate::ostree::{self, Composefs, Deployment, Source, Sysroot};
use crate::tree::Tree;

/// What is installed beyond mmdebstrap's variant "minbase".
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,kmod,login,procps,ostree,ostree-boot";
/// Bytes of the sysroot: two versions, which share almost all files.
const BYTES: u64 = 1 << 30;

/// What a version changes. Version 1 is the archive as it is.
fn version(archive: &Path, version: u32) -> Source {
    let over = Tree::default().directory("usr").directory("usr/lib");
    Source::archive(archive, &over.file("usr/lib/demo-version", format!("{version}\n"), 0o644))
}

/// A machine whose sysroot has version 1 deployed and version 2 committed.
#[derive(Debug)]
pub struct Machine {
    guest: Guest,
    deployments: Vec<Deployment>,
}

impl Machine {
    /// Downloads and builds what is not there yet. `packing` are more words of `surefoot initramfs`.
    ///
    /// # Errors
    /// Without root, and when a part of it cannot be made.
    pub fn build(composefs: Composefs, packing: &[&str]) -> Result<Self> {
        let (kernel, initramfs) = boot_files(packing)?;
        step("Debian for ostree (the first time takes minutes)");
        let archive = debian::archive(&kernel, "ostree", PACKAGES)?;
        step("sysroot");
        let sysroot =
            Sysroot::new().composefs(composefs).bytes(BYTES).deploy(version(&archive, 1)).commit(version(&archive, 2));
        let image = sysroot.build()?;
        let guest = Guest { kernel, initramfs, partition: image.partition(), unit: "ostree" };
        Ok(Self { guest, deployments: image.deployments })
    }

    /// The deployed version.
    ///
    /// # Errors
    /// When there is none.
    pub fn deployment(&self) -> Result<&Deployment> {
        self.deployments.first().context("nothing is deployed")
    }

    /// Boots the deployed version once and has it check itself; writes are forgotten. The lines of its report, of which
    /// "failed" ones are errors. Debian's ostree does not know its deployment under composefs: then "status" is not asked.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn check(&self, name: &str, words: &str) -> Result<Vec<String>> {
        self.check_without_word(name, &format!("{} {words}", self.deployment()?.word()))
    }

    /// The same where no word of ostree's names the deployment.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn check_without_word(&self, name: &str, words: &str) -> Result<Vec<String>> {
        let (_scratch, disk) = self.guest.disk()?;
        let vm = self.guest.vm(name, &format!("{words} surefoot-demo.check"));
        report(&vm.drive(Drive::new(&disk)).run()?, End::PoweredOff, "done")
    }

    /// Boots the machine, has it upgrade itself, and boots what is then the default entry. `words` says how the boot finds
    /// its root beside what the entry says. The lines of both reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn upgrade(&self, name: &str, words: &str) -> Result<[Vec<String>; 2]> {
        let (_scratch, disk) = self.guest.disk()?;
        let boot = |number: u32, deployment: &Deployment| {
            let vm = self.guest.vm(&format!("{name}-{number}"), &format!("{} {words}", deployment.word()));
            vm.drive(Drive::new(&disk).keep_writes()).run()
        };
        let first = report(&boot(1, self.deployment()?)?, End::Rebooted, "reboot")?;
        let entries = ostree::entries_on(&disk)?;
        let second = report(&boot(2, entries.last().context("no boot entry")?)?, End::PoweredOff, "done")?;
        Ok([first, second])
    }

    /// Boots the machine three times, with no word that names a deployment: it upgrades itself, takes that back, and is what
    /// it was. The lines of all reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn roll_back(&self, name: &str, words: &str) -> Result<[Vec<String>; 3]> {
        let (_scratch, disk) = self.guest.disk()?;
        let boot = |number: u32, end: End, last: &str| {
            let vm = self.guest.vm(&format!("{name}-{number}"), &format!("{words} surefoot-demo.rollback"));
            report(&vm.drive(Drive::new(&disk).keep_writes()).run()?, end, last)
        };
        let first = boot(1, End::Rebooted, "reboot")?;
        let second = boot(2, End::Rebooted, "reboot")?;
        Ok([first, second, boot(3, End::PoweredOff, "done")?])
    }
}
