//! Machines with an update that is yet to be proven, one for each keeper of a boot ledger.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::btrfs::Snapshots;
use crate::cgpt::Counters;
use crate::disk::{Disk, Partition, SYSROOT};
use crate::drive::Drive;
use crate::images::Images;
use crate::kernel::{self, Kernel};
use crate::mounted::Mounted;
use crate::ostree::{self, Sysroot};
use crate::roots::{KERNEL, root};
use crate::slots::{Image, Slot, SlotDisk, accept};
use crate::vm::Vm;
use crate::{filesystem, guest_tool, host_tool, initramfs};

const STATE_BYTES: u64 = 32 << 20;
/// What keeps a boot ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// The partition table: slots.
    Table,
    /// A file on ext4: deployments of ostree.
    Ext4,
    /// A file on btrfs: snapshots.
    Btrfs,
    /// The names of image files, and a file beside them.
    Names,
}

impl Keeper {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Table, Self::Ext4, Self::Btrfs, Self::Names];
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "partition table",
            Self::Ext4 => "file on ext4",
            Self::Btrfs => "file on btrfs",
            Self::Names => "names of images",
        })
    }
}

/// A machine whose power is cut.
#[derive(Debug)]
pub struct Subject {
    /// What keeps its ledger.
    pub keeper: Keeper,
    /// Its disk.
    pub disk: Disk,
    /// Its words.
    pub words: String,
    /// What surefoot calls the deployment that is good, and the update.
    pub names: [String; 2],
    /// The images of slots, by their labels, with the device that each is on.
    pub slots: Vec<(String, String, Image)>,
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    _scratch: TempDir,
}

impl Subject {
    /// Makes one; `name` names its logs.
    ///
    /// # Errors
    /// When a part of it cannot be made.
    pub fn new(keeper: Keeper, name: &str) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("disk");
        let roots = [guest_tool::add(root(1)?)?, guest_tool::add(root(2)?)?];
        let state = Partition::state(&filesystem::empty_ext4(STATE_BYTES)?);
        let any = "surefoot.verity=optional surefoot.deployment=auto";
        let mut slots = Vec::new();
        let (disk, words, names) = match keeper {
            Keeper::Table => {
                let images = [Image::of(&roots[0])?, Image::of(&roots[1])?];
                let labels = ["root-a", "root-b"];
                for (label, (device, image)) in labels.iter().zip(["vda1", "vda3"].iter().zip(&images)) {
                    slots.push(((*label).to_owned(), (*device).to_owned(), image.clone()));
                }
                let [old, new] = [Counters::good(1), Counters::untried(2, 15)];
                let disk = [Slot::new(labels[0], &images[0], old), Slot::new(labels[1], &images[1], new)];
                (SlotDisk::create(&path, &disk)?.disk, accept(&images), labels.map(str::to_owned))
            }
            Keeper::Ext4 => {
                let image = Sysroot::new().deploy(&roots[0]).deploy(&roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[image.partition()])?;
                let name = |number| image.deployments.get(number).map(ostree::Deployment::name).unwrap_or_default();
                (disk, format!("root=PARTLABEL={SYSROOT} rw {any}"), [name(0), name(1)])
            }
            Keeper::Btrfs => {
                let snapshots = Snapshots::new().snapshot(&roots[0]).snapshot(&roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[snapshots.partition(), state])?;
                (disk, format!("root=PARTLABEL={SYSROOT} {any}"), ["snapshot-1", "snapshot-2"].map(str::to_owned))
            }
            Keeper::Names => {
                let paths = ["images/os.raw.v/os_1.raw", "images/os.raw.v/os_2+15-0.raw"];
                let files = Images::new().appended(paths[0], &roots[0]).appended(paths[1], &roots[1]).build()?;
                let disk = Disk::create(&path, 512, &[files.partition(), state])?;
                let words = format!("{} surefoot.deployment=auto", files.accept());
                (disk, words, ["os_1", "os_2"].map(str::to_owned))
            }
        };
        let kernel = kernel::fetch(KERNEL)?;
        let initramfs = initramfs::build(&kernel, &["--module", "virtio_console"])?;
        let name = name.to_owned();
        let subject = Self { keeper, disk, words, names, slots, name, kernel, initramfs, _scratch: scratch };
        if keeper != Keeper::Table {
            subject.tell(&["mark-good", &subject.names[0]])?;
            subject.tell(&["set-next", &subject.names[1], "--tries", "15"])?;
        }
        Ok(subject)
    }

    /// Runs a command of the tool about the machine's disk.
    ///
    /// # Errors
    /// What the tool says.
    pub fn tell(&self, words: &[&str]) -> Result<String> {
        host_tool::run(words, &self.disk.path)
    }

    /// The machine, to which `drive` is attached, with its words.
    pub fn vm(&self, boot: &str, drive: Drive) -> Vm {
        Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs).append(&self.words).drive(drive)
    }

    /// What the tool says of the ledger on a disk: a line for each deployment. It has nothing to complain of. Filesystems are
    /// mounted first, as a machine would do it, so that their journals are replayed.
    ///
    /// # Errors
    /// When the kernel cannot mount the filesystem, or the tool complains.
    pub fn ledger(&self, disk: &Path) -> Result<Vec<String>> {
        for label in [SYSROOT, "state"] {
            if let Ok((start, length)) = self.disk.extent(label) {
                Mounted::new(disk, &format!("offset={start},sizelimit={length}"))?.unmount()?;
            }
        }
        host_tool::status(if self.keeper == Keeper::Table { "--slots" } else { "--deployments" }, disk)
    }

    /// Which deployment would boot from a disk: its name and device. There must be one.
    ///
    /// # Errors
    /// What the tool says where nothing would boot.
    pub fn next(&self, disk: &Path) -> Result<(String, String)> {
        let words = ["explain", "--json", "--look-inside", "--cmdline", &self.words, "--disk"].map(OsStr::new);
        let output = host_tool::output(words.into_iter().chain([disk.as_os_str()]))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "surefoot explain: {}: {complaint}", output.status);
        let explanation: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let attempts = explanation["attempts"].as_array().context("there is no attempt")?;
        ensure!(attempts.len() == 1, "a deployment would fail: {attempts:?}");
        let first = &explanation["candidates"][0];
        let part = |key: &str| first[key].as_str().map(str::to_owned).with_context(|| format!("no {key}: {first}"));
        Ok((part("name")?, part("device")?))
    }
}
