//! The demonstration machine: a real Debian with systemd on a verified root.

pub mod btrfs;
mod debian;
pub mod ostree;
pub mod rauc;
pub mod story;

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use self::debian::Version;
use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::disk::{self, Disk, Partition};
use crate::drive::Drive;
use crate::filesystem;
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::machine::{End, Outcome};
use crate::paths;
use crate::slots::Image;
use crate::verity::HashTree;
use crate::vm::Vm;

/// Everything that the demonstration machine boots from.
#[derive(Clone, Debug)]
pub struct Demo {
    kernel: Kernel,
    initramfs: PathBuf,
    disk: PathBuf,
    root_hash: String,
}

/// Bytes of the partition that holds the writable layers.
const STATE_BYTES: u64 = 256 << 20;

/// The kernel, and an initramfs for it. `packing` are more words of `surefoot initramfs`.
fn boot_files(packing: &[&str]) -> Result<(Kernel, PathBuf)> {
    step("Debian's 6.12 cloud kernel");
    let kernel = kernel::fetch(Package::Cloud612)?;
    step("initramfs for it");
    let initramfs = initramfs::build(&kernel, &[&["--module", "virtio_console"], packing].concat())?;
    Ok((kernel, initramfs))
}

/// A machine with one partition, whose system has a unit that reports.
#[derive(Debug)]
struct Guest {
    kernel: Kernel,
    initramfs: PathBuf,
    partition: Partition,
    /// The word for the unit: `surefoot-demo.NAME`.
    unit: &'static str,
}

impl Guest {
    /// Its disk, which is gone with the folder that it lies in.
    fn disk(&self) -> Result<(TempDir, Disk)> {
        let scratch = TempDir::new_in(paths::cache())?;
        let disk = Disk::create(&scratch.path().join("disk"), 512, std::slice::from_ref(&self.partition))?;
        Ok((scratch, disk))
    }

    /// The machine without its disk.
    fn vm(&self, name: &str, words: &str) -> Vm {
        let vm = Vm::new(name, &self.kernel, &self.initramfs).memory_mib(1024).processors(2);
        let vm = vm.append(words).append(&format!("surefoot-demo.{} surefoot-demo.unattended", self.unit));
        vm.timeout(Duration::from_mins(10))
    }
}

/// The root and its hash tree.
fn image(kernel: &Kernel, version: Version) -> Result<Image> {
    step(&format!("Debian root file system, version {} (the first time takes minutes)", version.name()));
    let data = debian::root_image(kernel, version)?;
    let tree = hash_tree(&data, &version.cached_as("hash-tree"))?;
    Ok(Image { data, tree })
}

/// Says on standard error what is being done: some of it takes minutes.
fn step(what: &str) {
    eprintln!("==> {what}");
}

impl Demo {
    /// Downloads and builds what is not there yet.
    pub fn build() -> Result<Self> {
        let (kernel, initramfs) = boot_files(&[])?;
        let Image { data: root, tree } = image(&kernel, Version::One)?;
        step("disk");
        let state = filesystem::empty_ext4(STATE_BYTES)?;
        let mut partitions = disk::verity_pair(&root, &tree);
        partitions.push(Partition::state(&state));
        let path = paths::cache().join("demo").join(format!("disk-{:.16}.img", tree.root_hash));
        if !path.exists() {
            let partial = path.with_extension("partial");
            Disk::create(&partial, 512, &partitions)?;
            fs::rename(partial, &path)?;
        }
        remove_earlier(&[&root, &tree.image, &path])?;
        Ok(Self { kernel, initramfs, disk: path, root_hash: tree.root_hash })
    }

    /// The machine; `roothash=` alone tells it where its root is.
    fn vm(&self, name: &str, drive: Drive) -> Vm {
        let vm = Vm::new(name, &self.kernel, &self.initramfs).append(&format!("roothash={}", self.root_hash));
        vm.memory_mib(1024).processors(2).drive(drive)
    }

    /// Hands the terminal to the machine until that ends. What is written to its disk is there again next time.
    ///
    /// # Errors
    /// When QEMU cannot be started: otherwise this does not return.
    pub fn interact(&self) -> Result<()> {
        step("starting the machine; Ctrl-A X ends it, Ctrl-A C is QEMU's own prompt");
        let own = self.disk.with_file_name(format!("own-{:.16}.img", self.root_hash));
        if !own.exists() {
            disk::copy(&self.disk, &own)?;
        }
        let vm = self.vm("demo", Drive::of_image(&own, 512).keep_writes());
        let mut qemu = vm.qemu();
        // QEMU's -nographic would do the same, but contradicts -nodefaults.
        qemu.args(["-serial", "mon:stdio"]).stdin(std::process::Stdio::inherit());
        Err(qemu.exec()).context("qemu-system-x86_64 cannot be run")
    }

    /// Boots the machine, has it check itself, and fails unless every check passed. Writes are forgotten.
    ///
    /// `console` gets each line that the machine prints.
    pub fn check(&self, name: &str, console: fn(&str)) -> Result<Vec<String>> {
        let vm = self.vm(name, Drive::of_image(&self.disk, 512)).append("surefoot-demo.check").console(console);
        report(&vm.timeout(Duration::from_mins(10)).run()?, End::PoweredOff, "done")
    }
}

/// The lines of a system's report on itself.
///
/// # Errors
/// When one of its checks failed.
fn report_lines(outcome: &Outcome) -> Result<Vec<String>> {
    let lines: Vec<_> = outcome.report.lines().map(str::to_owned).collect();
    let failed: Vec<_> = lines.iter().filter(|line| line.starts_with("failed ")).collect();
    ensure!(failed.is_empty(), "the booted system found: {failed:#?}\n{}", outcome.tail());
    Ok(lines)
}

/// The same of a boot that is to end like this, with this last line.
fn report(outcome: &Outcome, end: End, last: &str) -> Result<Vec<String>> {
    let lines = report_lines(outcome)?;
    if outcome.end != end || lines.last().map(String::as_str) != Some(last) {
        bail!("the boot did not end as it should; its report: {lines:#?}\n{}", outcome.tail());
    }
    Ok(lines)
}

/// Removes the images and disks of earlier builds: each is as large as a Debian.
fn remove_earlier(current: &[&Path]) -> Result<()> {
    let hash = current.iter().find_map(|path| path.file_stem()?.to_str()?.strip_prefix("disk-"));
    for entry in fs::read_dir(paths::cache().join("demo"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let belongs =
            current.iter().any(|current| current.starts_with(&path)) || hash.is_some_and(|hash| name.contains(hash));
        let replaceable = ["root-", "hash-tree-", "disk-", "own-"].iter().any(|start| name.starts_with(start));
        if replaceable && !belongs {
            cache::remove(&path)?;
        }
    }
    Ok(())
}

/// The hash tree, made by the tool itself and cached under this name.
fn hash_tree(root: &Path, name: &str) -> Result<HashTree> {
    let tool = paths::program("surefoot")?;
    let folder = cache::cached("demo", name, Key::default().file(root)?, |folder| {
        fs::create_dir(folder)?;
        let said = run(command(&tool.to_string_lossy())
            .args(["verity", "format"])
            .args([root, &folder.join("image")])
            .arg("--root-hash-file")
            .arg(folder.join("root-hash")))?;
        Ok(std::io::stderr().write_all(said.as_bytes())?)
    })?;
    let root_hash = fs::read_to_string(folder.join("root-hash"))?;
    Ok(HashTree { image: folder.join("image"), root_hash: root_hash.trim().to_owned() })
}
