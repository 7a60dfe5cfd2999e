//! A Debian with systemd as ostree deploys it. In the guest, ostree's own command says what was booted, and upgrades it; a
//! unit of the system (`surefoot-demo-ostree`) has it do so and reports.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{debian, step};
use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
use crate::disk::Disk;
use crate::drive::Drive;
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::machine::{End, Outcome};
use crate::ostree::{self, Composefs, Deployment, Image, Source, Sysroot};
use crate::paths;
use crate::tree::Tree;
use crate::vm::Vm;

/// What is installed beyond mmdebstrap's variant "minbase".
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,kmod,login,procps,ostree,ostree-boot";
/// Bytes of the sysroot: two versions, which share almost all files.
const BYTES: u64 = 1 << 30;

/// The system as a tar archive that ostree can commit.
fn archive(kernel: &Kernel) -> Result<PathBuf> {
    let base = debian::base_archive(PACKAGES)?;
    let folder = paths::workspace().join("ci/demo");
    let (script, additions) = (folder.join("assemble-ostree"), folder.join("ostree"));
    let (report, tool) = (folder.join("root/usr/lib/surefoot-demo/report"), paths::program("surefoot")?);
    let mut key = Key::default().text(&base.to_string_lossy()).text(&kernel.tree.to_string_lossy());
    for file in debian::files_below(&additions)?.iter().chain([&script, &report, &tool]) {
        key = key.text(&file.to_string_lossy()).file(file)?;
    }
    cache::cached("demo", "ostree.tar", key, |archive| {
        let mut assemble = command(if is_root()? { "sh" } else { "fakeroot" });
        run(assemble.arg(&script).args([&base, &additions, &report, &tool, &kernel.tree]).arg(archive))?;
        Ok(())
    })
}

/// What a version changes. Version 1 is the archive as it is.
fn version(archive: &Path, version: u32) -> Source {
    let over = Tree::default().directory("usr").directory("usr/lib");
    Source::archive(archive, &over.file("usr/lib/demo-version", format!("{version}\n"), 0o644))
}

/// A machine whose sysroot has version 1 deployed and version 2 committed.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    initramfs: PathBuf,
    image: Image,
}

impl Machine {
    /// Downloads and builds what is not there yet. `packing` are more words of `surefoot initramfs`.
    ///
    /// # Errors
    /// Without root, and when a part of it cannot be made.
    pub fn build(composefs: Composefs, packing: &[&str]) -> Result<Self> {
        step("Debian's 6.12 cloud kernel, and an initramfs for it");
        let kernel = kernel::fetch(Package::Cloud612)?;
        let initramfs = initramfs::build(&kernel, &[&["--module", "virtio_console"], packing].concat())?;
        step("Debian for ostree (the first time takes minutes)");
        let archive = archive(&kernel)?;
        step("sysroot");
        let sysroot =
            Sysroot::new().composefs(composefs).bytes(BYTES).deploy(version(&archive, 1)).commit(version(&archive, 2));
        Ok(Self { kernel, initramfs, image: sysroot.build()? })
    }

    /// The deployed version.
    ///
    /// # Errors
    /// When there is none.
    pub fn deployment(&self) -> Result<&Deployment> {
        self.image.deployments.first().context("nothing is deployed")
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
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[self.image.partition()])?;
        let vm = self.vm(name, &format!("{words} surefoot-demo.check"));
        judge(&vm.drive(Drive::new(&disk)).run()?, End::PoweredOff, "done")
    }

    fn vm(&self, name: &str, words: &str) -> Vm {
        let vm = Vm::new(name, &self.kernel, &self.initramfs).memory_mib(1024).processors(2);
        vm.append(words).append("surefoot-demo.ostree surefoot-demo.unattended").timeout(Duration::from_mins(10))
    }

    /// Boots the machine, has it upgrade itself, and boots what is then the default entry. `words` says how the boot finds
    /// its root beside what the entry says. The lines of both reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn upgrade(&self, name: &str, words: &str) -> Result<[Vec<String>; 2]> {
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[self.image.partition()])?;
        let boot = |number: u32, deployment: &Deployment| {
            let vm = self.vm(&format!("{name}-{number}"), &format!("{} {words}", deployment.word()));
            vm.drive(Drive::new(&disk).keep_writes()).run()
        };
        let first = judge(&boot(1, self.deployment()?)?, End::Rebooted, "reboot")?;
        let entries = ostree::entries_on(&disk)?;
        let second = judge(&boot(2, entries.last().context("no boot entry")?)?, End::PoweredOff, "done")?;
        Ok([first, second])
    }

    /// Boots the machine three times, with no word that names a deployment: it upgrades itself, takes that back, and is what
    /// it was. The lines of all reports; "failed" ones are errors.
    ///
    /// # Errors
    /// What did not hold, with the console's last lines.
    pub fn roll_back(&self, name: &str, words: &str) -> Result<[Vec<String>; 3]> {
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, &[self.image.partition()])?;
        let boot = |number: u32, end: End, last: &str| {
            let vm = self.vm(&format!("{name}-{number}"), &format!("{words} surefoot-demo.rollback"));
            judge(&vm.drive(Drive::new(&disk).keep_writes()).run()?, end, last)
        };
        let first = boot(1, End::Rebooted, "reboot")?;
        let second = boot(2, End::Rebooted, "reboot")?;
        Ok([first, second, boot(3, End::PoweredOff, "done")?])
    }
}

fn judge(outcome: &Outcome, end: End, last: &str) -> Result<Vec<String>> {
    let lines: Vec<_> = outcome.report.lines().map(str::to_owned).collect();
    let failed: Vec<_> = lines.iter().filter(|line| line.starts_with("failed ")).collect();
    ensure!(failed.is_empty(), "the booted system found: {failed:#?}\n{}", outcome.tail());
    if outcome.end != end || lines.last().map(String::as_str) != Some(last) {
        bail!("the boot did not end as it should; its report: {lines:#?}\n{}", outcome.tail());
    }
    Ok(lines)
}
