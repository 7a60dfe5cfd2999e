//! The machines that are altered: two deployments each, both accepted and found good, so that one is left to fall back to.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cgpt::Counters;
use crate::command::{command, run};
use crate::composefs::Composefs;
use crate::disk::{Disk, Partition, SYSROOT, TABLE_SECTORS};
use crate::drive::Drive;
use crate::fsverity::Algorithm;
use crate::images::Images;
use crate::kernel::{self, Kernel};
use crate::mounted::Mounted;
use crate::ostree::{self, Sysroot};
use crate::roots::{KERNEL, root};
use crate::slots::{Image, Slot, SlotDisk, accept};
use crate::tamper::mutation::{BLOCK, Region};
use crate::vm::Vm;
use crate::{filesystem, host_tool, initramfs};

const STATE_BYTES: u64 = 32 << 20;
/// Bytes of a partition table before and behind the partitions: protective MBR, header, entries.
const TABLE: u64 = TABLE_SECTORS * 512;

/// What vouches for the deployments of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A/B slots with dm-verity.
    Slots,
    /// Image files with appended hash trees.
    Images,
    /// A repository of composefs, and a list of digests.
    Composefs,
    /// Deployments of ostree with signed composefs images.
    Ostree,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Slots, Self::Images, Self::Composefs, Self::Ostree];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slots => "slots",
            Self::Images => "images",
            Self::Composefs => "composefs",
            Self::Ostree => "ostree",
        })
    }
}

/// A machine that is altered.
#[derive(Debug)]
pub struct Victim {
    /// What vouches for its deployments.
    pub kind: Kind,
    /// Its disk.
    pub disk: PathBuf,
    /// The parts of its disk that mean something.
    pub regions: Vec<Region>,
    /// Its words, by which either deployment may boot.
    pub words: String,
    /// What each deployment is named by in `surefoot.deployment=`.
    pub names: [String; 2],
    /// The verity pairs of slots: device, offset of the data and of the tree on the disk, and what was written there.
    pub pairs: Vec<(String, [u64; 2], Image)>,
    /// Its initramfs.
    pub initramfs: PathBuf,
    kernel: Kernel,
    name: String,
    _scratch: TempDir,
}

impl Victim {
    /// Makes one; `name` names its logs.
    ///
    /// # Errors
    /// When a part of it cannot be made.
    pub fn new(kind: Kind, name: &str) -> Result<Self> {
        let kernel = kernel::fetch(KERNEL)?;
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("disk");
        let (roots, state) = ([root(1)?, root(2)?], Partition::state(&filesystem::empty_ext4(STATE_BYTES)?));
        let (mut pairs, mut packed) = (Vec::new(), Vec::new());
        let (disk, words, names) = match kind {
            Kind::Slots => {
                let images = [Image::of(&roots[0])?, Image::of(&roots[1])?];
                let labels = ["root-a", "root-b"];
                let slots = [1, 2].map(|number: u8| {
                    Slot::new(labels[usize::from(number) - 1], &images[usize::from(number) - 1], Counters::good(number))
                });
                let disk = SlotDisk::create(&path, &slots)?.disk;
                for (label, (device, image)) in labels.iter().zip([("vda1", &images[0]), ("vda3", &images[1])]) {
                    let places = [disk.extent(label)?.0, disk.extent(&format!("{label}-verity"))?.0];
                    pairs.push((device.to_owned(), places, image.clone()));
                }
                (disk, accept(&images), labels.map(|label| format!("slot:{label}")))
            }
            Kind::Images => {
                let paths = ["images/os_1.raw", "images/os_2.raw"];
                let files = Images::new().appended(paths[0], &roots[0]).appended(paths[1], &roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[files.partition(), state])?;
                let words = format!("{} surefoot.deployment=auto", files.accept());
                (disk, words, paths.map(|path| format!("image:{path}")))
            }
            Kind::Composefs => {
                let repository = Composefs::new(Algorithm::Sha256).image(&roots[0]).image(&roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[repository.partition(), state])?;
                let digests = [0, 1].map(|number| repository.digests.get(number).cloned().unwrap_or_default());
                let words = format!("surefoot.roothash={} surefoot.deployment=auto", digests.join(","));
                (disk, words, digests.map(|digest| format!("composefs:{digest}")))
            }
            Kind::Ostree => {
                packed = initramfs::adding(&[
                    ("/etc/ostree/prepare-root.conf", "[composefs]\nenabled=signed\n"),
                    ("/etc/ostree/initramfs-root-binding.key", &ostree::public_key()?),
                ])?;
                let sysroot = Sysroot::new().composefs(ostree::Composefs::Signed);
                let image = sysroot.deploy(&roots[0]).deploy(&roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[image.partition()])?;
                let name = |number| image.deployments.get(number).map(ostree::Deployment::name).unwrap_or_default();
                let words = format!("root=PARTLABEL={SYSROOT} rw surefoot.deployment=auto");
                (disk, words, [0, 1].map(|number| format!("ostree:{}", name(number))))
            }
        };
        if kind == Kind::Images {
            // It has a ledger from then on, which both are good in.
            for name in ["os_1", "os_2"] {
                host_tool::run(&["mark-good", name], &path)?;
            }
        }
        let options: Vec<_> =
            ["--module", "virtio_console"].into_iter().chain(packed.iter().map(String::as_str)).collect();
        let initramfs = initramfs::build(&kernel, &options)?;
        let mut regions = if kind == Kind::Slots { slot_regions(&disk, &pairs)? } else { file_regions(&disk)? };
        regions.push(table(&path)?);
        let name = name.to_owned();
        Ok(Self { kind, disk: path, regions, words, names, pairs, initramfs, kernel, name, _scratch: scratch })
    }

    /// The machine with its disk as it is now, on which nothing is changed, and with these words.
    pub fn vm(&self, boot: &str, words: &str) -> Vm {
        let vm = Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs);
        vm.append(words).append("probe.digest=/").drive(Drive::of_image(&self.disk, 512))
    }
}

/// Both copies of the partition table.
fn table(disk: &Path) -> Result<Region> {
    let length = File::open(disk)?.metadata()?.len();
    Ok(Region { name: "partition table", extents: vec![(0, TABLE), (length - TABLE, TABLE)], older: None })
}

/// What slots are made of. Older content of a slot is what the other one has at the same place.
fn slot_regions(disk: &Disk, pairs: &[(String, [u64; 2], Image)]) -> Result<Vec<Region>> {
    let mut regions = Vec::new();
    let length = |path: &Path| -> Result<u64> { Ok(path.metadata()?.len()) };
    for (number, (_, [data, tree], image)) in pairs.iter().enumerate() {
        let (_, other, _) = pairs.get(1 - number).context("there are two slots")?;
        let older = |own: u64, other: u64| Some(other.cast_signed() - own.cast_signed());
        let data_region = Region::new("data", *data, length(&image.data)?);
        regions.push(Region { older: older(*data, other[0]), ..data_region });
        let blocks = Region::new("hash tree", tree + BLOCK, length(&image.tree.image)? - BLOCK);
        regions.push(Region { older: older(*tree, other[1]), ..blocks });
        let superblock = Region::new("verity superblock", *tree, 512);
        regions.push(Region { older: older(*tree, other[1]), ..superblock });
    }
    // The attributes are 8 bytes of the entries, which have 128 bytes each.
    let length = File::open(&disk.path)?.metadata()?.len();
    let entries = [1024, length - 33 * 512].into_iter().flat_map(|table| [table + 48, table + 2 * 128 + 48]);
    regions.push(Region { name: "boot ledger", extents: entries.map(|at| (at, 8)).collect(), older: None });
    Ok(regions)
}

/// What a filesystem with deployments is made of: what its files are for, and the rest of what is not zero.
fn file_regions(disk: &Disk) -> Result<Vec<Region>> {
    let (start, length) = disk.extent(SYSROOT)?;
    let files = files(disk)?;
    let script: Vec<_> = files.iter().map(|path| format!("blocks \"/{path}\"")).collect();
    let scratch = tempfile::NamedTempFile::new()?;
    std::fs::write(&scratch, script.join("\n") + "\n")?;
    let image = format!("{}?offset={start}", disk.path.display());
    let listing = run(command("debugfs").arg("-f").arg(scratch.path()).arg(image))?;
    // Each command is repeated before what it prints.
    let lines = listing.lines().filter(|line| !line.starts_with("debugfs"));
    let numbers = |line: &str| line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    let mut regions: Vec<Region> = Vec::new();
    let size = block_size(&disk.path, start)?;
    let mut taken = std::collections::BTreeSet::new();
    for (path, line) in files.iter().zip(lines) {
        let extents: Vec<_> = numbers(line).into_iter().map(|number| (start + number * size, size)).collect();
        taken.extend(extents.iter().map(|(at, _)| *at));
        let name = purpose(path);
        match regions.iter_mut().find(|region| region.name == name) {
            Some(region) => region.extents.extend(extents),
            None => regions.push(Region { name, extents, older: None }),
        }
    }
    regions.retain(|region| !region.extents.is_empty());
    let mut block = vec![0; usize::try_from(size)?];
    let (file, mut others) = (File::open(&disk.path)?, Vec::new());
    for at in (start..start + length).step_by(usize::try_from(size)?).filter(|at| !taken.contains(at)) {
        file.read_exact_at(&mut block, at)?;
        if block.iter().any(|byte| *byte != 0) {
            others.push((at, size));
        }
    }
    regions.push(Region { name: "filesystem", extents: others, older: None });
    Ok(regions)
}

fn block_size(disk: &Path, start: u64) -> Result<u64> {
    let mut exponent = [0; 4];
    // s_log_block_size of the superblock (kernel, filesystems/ext4/super).
    File::open(disk)?.read_exact_at(&mut exponent, start + 1024 + 24)?;
    Ok(1024 << u32::from_le_bytes(exponent))
}

/// The files of the filesystem with deployments, by path.
fn files(disk: &Disk) -> Result<Vec<String>> {
    let (start, length) = disk.extent(SYSROOT)?;
    let mounted = Mounted::new(&disk.path, &format!("ro,noload,offset={start},sizelimit={length}"))?;
    let listing = run(command("find").arg(mounted.path()).args(["-type", "f", "-size", "+0", "-printf", "%P\n"]))?;
    mounted.unmount()?;
    let mut files: Vec<_> = listing.lines().map(str::to_owned).collect();
    files.sort();
    Ok(files)
}

/// What a file is for.
fn purpose(path: &str) -> &'static str {
    const METADATA: [&str; 8] =
        [".cfs", ".commit", ".commitmeta", ".dirtree", ".dirmeta", ".conf", ".origin", "meta.json"];
    match path {
        "surefoot/ledger" => "boot ledger",
        _ if METADATA.iter().any(|end| path.ends_with(end)) => "metadata",
        _ if path.starts_with("ostree/deploy") => "checkout",
        _ => "content",
    }
}
