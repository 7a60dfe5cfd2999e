//! What most scenarios boot: a verity root with the probe in it and a state partition, on one disk.

use std::path::{Path, PathBuf};

use anyhow::Result;
use surefoot_ci::disk::{self, Disk, Partition};
use surefoot_ci::drive::Drive;
use surefoot_ci::filesystem::{self, Filesystem};
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::machine::Outcome;
use surefoot_ci::tree::Tree;
use surefoot_ci::verity;
use surefoot_ci::vm::Vm;
use tempfile::TempDir;

/// Bytes of the state partition.
pub(crate) const STATE_BYTES: u64 = 32 << 20;

/// What is to be set up; everything has a usual value.
pub(crate) struct Layout {
    package: Package,
    tree: Option<Tree>,
    filesystem: Filesystem,
    sector: u64,
    verity_options: Vec<&'static str>,
    state: bool,
    more: Vec<Partition>,
    initramfs_options: Vec<String>,
}

impl Layout {
    /// The 6.12 cloud kernel, the probe's tree as erofs, an empty state partition, sectors of 512 bytes.
    pub(crate) fn new() -> Self {
        Self {
            package: Package::Cloud612,
            tree: None,
            filesystem: Filesystem::Erofs,
            sector: 512,
            verity_options: Vec::new(),
            state: true,
            more: Vec::new(),
            // The cloud kernel 6.1 has the report port's driver as a module.
            initramfs_options: vec!["--module".to_owned(), "virtio_console".to_owned()],
        }
    }

    pub(crate) fn kernel(mut self, package: Package) -> Self {
        self.package = package;
        self
    }

    pub(crate) fn tree(mut self, tree: Tree) -> Self {
        self.tree = Some(tree);
        self
    }

    pub(crate) fn filesystem(mut self, filesystem: Filesystem) -> Self {
        self.filesystem = filesystem;
        self
    }

    pub(crate) fn sector(mut self, sector: u64) -> Self {
        self.sector = sector;
        self
    }

    /// Makes the hash tree with more options of veritysetup.
    pub(crate) fn verity(mut self, options: &[&'static str]) -> Self {
        self.verity_options.extend_from_slice(options);
        self
    }

    pub(crate) fn without_state(mut self) -> Self {
        self.state = false;
        self
    }

    /// Adds a partition behind the usual ones.
    pub(crate) fn partition(mut self, partition: Partition) -> Self {
        self.more.push(partition);
        self
    }

    /// Adds words to `surefoot initramfs`.
    pub(crate) fn initramfs(mut self, options: &[&str]) -> Self {
        self.initramfs_options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// Makes everything, for the scenario `name`.
    pub(crate) fn prepare(self, name: &str) -> Result<Setup> {
        let kernel = kernel::fetch(self.package)?;
        let tree = self.tree.map_or_else(Tree::probe, Ok)?;
        let root = self.filesystem.image(&tree)?;
        let hash_tree = verity::format(&root, &self.verity_options)?;
        let mut partitions = disk::verity_pair(&root, &hash_tree);
        if self.state {
            partitions.push(state_partition()?);
        }
        partitions.extend(self.more);
        let scratch = tempfile::tempdir()?;
        let disk = Disk::create(&scratch.path().join("disk"), self.sector, &partitions)?;
        let options: Vec<_> = self.initramfs_options.iter().map(String::as_str).collect();
        let initramfs = initramfs::build(&kernel, &options)?;
        Ok(Setup { name: name.to_owned(), kernel, initramfs, root_hash: hash_tree.root_hash, disk, scratch })
    }
}

/// The empty state partition.
pub(crate) fn state_partition() -> Result<Partition> {
    Ok(Partition::state(&filesystem::empty_ext4(STATE_BYTES)?))
}

/// A disk, and what boots from it.
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) kernel: Kernel,
    pub(crate) initramfs: PathBuf,
    pub(crate) root_hash: String,
    pub(crate) disk: Disk,
    scratch: TempDir,
}

impl Setup {
    /// A path for a further file of this scenario.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A machine without disks and without words.
    pub(crate) fn bare(&self) -> Vm {
        Vm::new(&self.name, &self.kernel, &self.initramfs)
    }

    /// The machine that most scenarios boot: the disk on virtio-blk, and `roothash=` alone.
    pub(crate) fn vm(&self) -> Vm {
        self.bare().append(&self.roothash()).drive(Drive::new(&self.disk))
    }

    /// `roothash=` with the root hash.
    pub(crate) fn roothash(&self) -> String {
        format!("roothash={}", self.root_hash)
    }

    /// Runs [`Setup::vm`] with these words appended.
    pub(crate) fn boot(&self, words: &str) -> Result<Outcome> {
        self.vm().append(words).run()
    }

    /// Runs it with writes kept, for scenarios of several boots; `boot` names the log.
    pub(crate) fn boot_keeping(&self, boot: &str, words: &str) -> Result<Outcome> {
        let name = format!("{}-{boot}", self.name);
        let vm = Vm::new(&name, &self.kernel, &self.initramfs).append(&self.roothash()).append(words);
        vm.drive(Drive::new(&self.disk).keep_writes()).run()
    }
}

/// A file's length.
pub(crate) fn length(path: &Path) -> Result<u64> {
    Ok(path.metadata()?.len())
}
