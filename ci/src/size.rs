//! Sizes of what is shipped, beside their budget.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::budget::Budget;
use crate::cache::{self, Key};
use crate::initramfs;
use crate::kernel::{self, Package};
use crate::paths;

/// One size and its upper limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// What was measured.
    pub what: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it may be.
    pub budget: u64,
}

/// virtio's PCI devices and the virtio devices on them: a disk and a network card.
const VIRTIO: [&str; 4] = [
    "pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00",
    "virtio:d00000002v00001AF4",
    "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00",
    "virtio:d00000001v00001AF4",
];

/// Measures PID 1 and the initramfs images.
pub fn measure() -> Result<Vec<Size>> {
    let budget = Budget::read()?;
    let kernel = kernel::fetch(Package::Cloud612)?;
    let length = |path: &Path| path.metadata().map(|metadata| metadata.len());
    let default = initramfs::build(&kernel, &[])?;
    let host_only = initramfs::build(&kernel, &for_virtio_machine()?.each_ref().map(String::as_str))?;
    Ok(vec![
        Size { what: "PID 1", bytes: length(&paths::program("surefoot-init")?)?, budget: budget.pid1_bytes },
        Size { what: "PID 1, slots alone", bytes: length(&paths::slots_alone()?)?, budget: budget.pid1_slots_bytes },
        Size {
            what: "initramfs, 6.12 cloud kernel",
            bytes: length(&default)?,
            budget: budget.initramfs_612_cloud_bytes,
        },
        Size {
            what: "initramfs, --host-only, virtio",
            bytes: length(&host_only)?,
            budget: budget.initramfs_host_only_virtio_bytes,
        },
    ])
}

/// The words of `surefoot initramfs` for a virtual machine with a disk and a network card on virtio, and erofs and ext4 on
/// that disk.
///
/// # Errors
/// When the description of the machine cannot be written.
pub fn for_virtio_machine() -> Result<[String; 3]> {
    let filesystems = ["erofs", "ext4"];
    let key = Key::default().text(&VIRTIO.join("\0")).text(&filesystems.join("\0"));
    let folder = cache::cached("machines", "virtio", key, |folder| describe_machine(folder, &VIRTIO, &filesystems))?;
    Ok(["--host-only", "--machine", &folder.to_string_lossy()].map(str::to_owned))
}

/// Makes a folder that `surefoot initramfs --host-only --machine` takes for a machine with devices of these aliases and
/// these filesystems mounted.
pub fn describe_machine(folder: &Path, aliases: &[&str], filesystems: &[&str]) -> Result<()> {
    for (number, alias) in aliases.iter().enumerate() {
        let device = folder.join(format!("sys/devices/device{number}"));
        fs::create_dir_all(&device)?;
        fs::write(device.join("modalias"), format!("{alias}\n"))?;
    }
    fs::create_dir_all(folder.join("proc/self"))?;
    let line = |kind: &&str| format!("20 1 254:0 / /{kind} rw,relatime - {kind} /dev/{kind} rw\n");
    Ok(fs::write(folder.join("proc/self/mountinfo"), filesystems.iter().map(line).collect::<Vec<_>>().concat())?)
}
