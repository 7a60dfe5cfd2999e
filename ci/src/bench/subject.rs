//! The machine that is measured: one kernel, one disk, the marker as real init.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::marker::{self, Marker};
use crate::command::{command, run};
use crate::disk::{self, Disk, Partition};
use crate::drive::Drive;
use crate::filesystem::{Filesystem, empty_ext4};
use crate::initramfs;
use crate::kernel::{self, Kernel, Package};
use crate::size::for_virtio_machine;
use crate::tree::Tree;
use crate::verity::{self, HashTree};
use crate::vm::Vm;

/// Bytes of the state partition.
const STATE_BYTES: u64 = 32 << 20;

/// Names of the disk's partitions in the guest.
pub(super) const ROOT: &str = "/dev/vda1";
pub(super) const HASH: &str = "/dev/vda2";
pub(super) const STATE: &str = "/dev/vda3";

/// How the time of a machine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By instructions, on one processor.
    Instructions,
    /// As everyone's, on two processors.
    Wall,
}

/// What is started.
#[derive(Debug)]
pub struct Subject {
    /// The kernel.
    pub kernel: Kernel,
    /// The root: the marker in the place of the probe.
    pub(super) tree: Tree,
    pub(super) hash_tree: HashTree,
    pub(super) sectors: u64,
    root: PathBuf,
    disk: Disk,
    scratch: tempfile::TempDir,
}

/// An initramfs, and the words that it wants.
#[derive(Clone, Debug)]
pub struct Start {
    /// The initramfs.
    pub initramfs: PathBuf,
    /// Words of the kernel command line.
    pub words: String,
}

impl Subject {
    /// Makes the disk: an erofs with its hash tree, and a state partition that a boot has filled.
    ///
    /// # Errors
    /// What the tools say, or when that boot fails.
    pub fn new(package: Package) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let marker = marker::compile("marker.c", scratch.path().join("marker"), &[])?;
        let tree = Tree::probe()?.file("sbin/init", fs::read(marker)?, 0o755);
        let root = Filesystem::Erofs.image(&tree)?;
        let hash_tree = verity::format(&root, &[])?;
        let disk = lay_out(&scratch.path().join("disk"), &root, &hash_tree, &empty_ext4(STATE_BYTES)?, [])?;
        let sectors = fs::metadata(&root)?.len() / 512;
        let subject = Self { kernel: kernel::fetch(package)?, tree, hash_tree, sectors, root, disk, scratch };
        subject.live_through_first_boot()?;
        Ok(subject)
    }

    /// A state partition is filled once. What is measured is each boot after that.
    fn live_through_first_boot(&self) -> Result<()> {
        let disk = self.drive().keep_writes();
        let vm = self.machine("bench-first-boot", &self.surefoot()?, disk, Clock::Instructions);
        marker::follow(&vm).map(drop)
    }

    /// A file of this subject's own.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The disk.
    pub(super) fn drive(&self) -> Drive {
        Drive::new(&self.disk)
    }

    /// A disk as the usual one, with another state partition, and more partitions behind it.
    pub(super) fn disk_with(
        &self,
        path: &Path,
        state: &Path,
        more: impl IntoIterator<Item = Partition>,
    ) -> Result<Disk> {
        lay_out(path, &self.root, &self.hash_tree, state, more)
    }

    /// The machine, with a disk.
    pub(super) fn machine(&self, name: &str, start: &Start, disk: Drive, clock: Clock) -> Vm {
        // Lines on the console cost more than most of what is measured.
        let vm = Vm::new(name, &self.kernel, &start.initramfs).append("quiet").append(&start.words).drive(disk);
        match clock {
            // A processor that has nothing to do looks for work instead of sleeping: it would wake up at the next tick of its
            // timer, however early the disk answers.
            Clock::Instructions => vm.append("idle=poll").counted(),
            Clock::Wall => vm.processors(2),
        }
    }

    /// The quickest of so many runs with the usual disk.
    pub(super) fn quickest(&self, name: &str, start: &Start, clock: Clock, runs: u64) -> Result<Marker> {
        marker::quickest(&self.machine(name, start, self.drive(), clock), runs)
    }

    /// The real init as the kernel's first program.
    pub(super) fn nothing(&self) -> Result<Start> {
        let copy = |top: &Path| Ok(fs::copy(self.path("marker"), top.join("init")).map(drop)?);
        Ok(Start { initramfs: self.pack("nothing", copy)?, words: String::new() })
    }

    /// What the real init says as the first program of such an initramfs, which is unpacked then and has not been run.
    pub(super) fn before(&self, name: &str, start: &Start) -> Result<Marker> {
        let archive = self.path(&format!("{name}-before.img"));
        let script = "cd \"$1\" && echo marker | cpio --quiet -o -H newc | cat - \"$2\" >\"$3\"";
        run(command("sh").args(["-ec", script, "sh"]).args([self.scratch.path(), &start.initramfs, &archive]))?;
        let start = Start { initramfs: archive, words: "rdinit=/marker".to_owned() };
        self.quickest(&format!("{name}-before"), &start, Clock::Instructions, 1)
    }

    /// The word that the root is accepted by.
    pub(super) fn roothash(&self) -> String {
        format!("roothash={}", self.hash_tree.root_hash)
    }

    /// surefoot, with an initramfs for this machine.
    pub(super) fn surefoot(&self) -> Result<Start> {
        self.surefoot_with(&[])
    }

    /// The same, with more words of `surefoot initramfs`.
    pub(super) fn surefoot_with(&self, words: &[&str]) -> Result<Start> {
        let host_only = for_virtio_machine()?;
        let initramfs = initramfs::build(&self.kernel, &[&host_only.each_ref().map(String::as_str), words].concat())?;
        Ok(Start { initramfs, words: self.roothash() })
    }

    /// The instructions from the first program's start to the real init's, in the quickest of so many boots.
    ///
    /// # Errors
    /// When the real init is not reached.
    pub fn instructions(&self, runs: u64) -> Result<u64> {
        let boot = self.quickest("instructions", &self.surefoot()?, Clock::Instructions, runs)?.nanoseconds;
        let base = self.base(runs)?;
        boot.checked_sub(base).context("a boot takes less than no boot at all")
    }

    /// When the real init is started as the kernel's first program, in instructions.
    pub(super) fn base(&self, runs: u64) -> Result<u64> {
        Ok(self.quickest("nothing", &self.nothing()?, Clock::Instructions, runs)?.nanoseconds)
    }
}

/// Writes a disk: the root, its hash tree, the state partition, and more.
fn lay_out(
    path: &Path,
    root: &Path,
    tree: &HashTree,
    state: &Path,
    more: impl IntoIterator<Item = Partition>,
) -> Result<Disk> {
    let mut partitions = disk::verity_pair(root, tree);
    partitions.push(Partition::state(state));
    partitions.extend(more);
    Disk::create(path, 512, &partitions)
}

/// An empty state partition.
pub(super) fn empty_state() -> Result<PathBuf> {
    empty_ext4(STATE_BYTES)
}
