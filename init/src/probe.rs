//! What the kernel shows of block devices (Documentation/ABI/stable/sysfs-block), and what is on them.

use deployment::facts::{DeviceNumber, Disk, DiskIdentity, Full, PartitionIdentity};
use deployment::{BlockDevice, Facts, Name};
use heapless::{String, Vec};
use sys::file;

use crate::disk::Disk as OpenDisk;
use crate::text::{Path, below};
use crate::{log, path};

/// Most disks that one look finds; the facts themselves are limited further.
const MAX_DISKS: usize = 256;

/// Bytes of what sysfs calls a sector, whatever the device's own sectors are (Documentation/ABI/stable/sysfs-block).
const SYSFS_SECTOR: u64 = 512;

/// Block devices that are no disks: made by the kernel itself, on demand, or out of other ones.
const NOT_DISKS: [&str; 7] = ["loop", "ram", "zram", "dm-", "md", "fd", "nbd"];

/// Makes `facts` tell of the devices that are there now. Disks whose partitions are all known are not read again.
#[inline(never)]
pub fn refresh(facts: &mut Facts) {
    let disks = disks();
    let gone = |facts: &Facts| {
        let is_there = |disk: &str| disks.iter().any(|name| name == disk);
        facts.devices().iter().map(BlockDevice::disk_name).find(|disk| !is_there(disk)).cloned()
    };
    while let Some(disk) = gone(facts) {
        facts.remove(&disk);
    }
    for disk in &disks {
        if is_known(facts, disk) {
            continue;
        }
        facts.remove(disk);
        if let Err(full) = look_at(facts, disk) {
            log::error!("{full}");
            return;
        }
    }
}

/// The names of all disks that have a size: a drive without a medium has none.
fn disks() -> Vec<Name, MAX_DISKS> {
    let mut disks = Vec::new();
    // Without the folder there are no block devices.
    let _ = file::visit_directory("/sys/class/block", &mut |name| {
        let whole = !file::exists(&attribute_path(name, "partition"));
        let is_disk = !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix));
        if whole && is_disk && attribute(name, "size").is_some_and(|size| size > 0) {
            return String::try_from(name).map_or(true, |name| disks.push(name).is_ok());
        }
        true
    });
    disks
}

/// Calls `visit` with the name of each partition that the kernel shows of `disk`.
fn partitions(disk: &str, visit: &mut dyn FnMut(&str)) {
    let _ = file::visit_directory(&below("/sys/class/block", disk), &mut |name| {
        if name.starts_with(disk) && file::exists(&attribute_path(name, "partition")) {
            visit(name);
        }
        true
    });
}

fn is_known(facts: &Facts, disk: &str) -> bool {
    let mut all = facts.device(disk).is_some();
    partitions(disk, &mut |partition| all &= facts.device(partition).is_some());
    all
}

#[inline(never)]
fn look_at(facts: &mut Facts, name: &str) -> Result<(), Full> {
    let Ok(reader) = OpenDisk::open(&below("/dev", name)) else {
        // It went away in between, or cannot be opened: then nothing on it can be used either.
        return Ok(());
    };
    let sector_size = reader.sector_size();
    let identity =
        DiskIdentity { name, number: number(name), sector_size, read_only: attribute(name, "ro") == Some(1) };
    let disk = Disk::probe(&reader, &identity);
    let mut inserted = Ok(());
    partitions(name, &mut |partition| {
        let bytes = |key| attribute(partition, key).unwrap_or(0).saturating_mul(SYSFS_SECTOR);
        let index = attribute(partition, "partition").and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let identity = PartitionIdentity {
            name: partition,
            number: number(partition),
            index,
            start: bytes("start"),
            size: bytes("size"),
            read_only: attribute(partition, "ro") == Some(1),
        };
        inserted = inserted.and(facts.insert(disk.partition(&identity)));
    });
    inserted.and(facts.insert(disk.device().clone()))
}

/// The device number that sysfs shows.
pub fn number(name: &str) -> DeviceNumber {
    let mut buffer = [0; 32];
    let text = file::read_text(&attribute_path(name, "dev"), &mut buffer).unwrap_or_default();
    let (major, minor) = text.split_once(':').unwrap_or_default();
    DeviceNumber { major: major.parse().unwrap_or(0), minor: minor.parse().unwrap_or(0) }
}

/// A number that sysfs tells of a block device.
fn attribute(name: &str, attribute: &str) -> Option<u64> {
    let mut buffer = [0; 32];
    file::read_text(&attribute_path(name, attribute), &mut buffer).ok()?.parse().ok()
}

/// Where sysfs tells an attribute of a block device.
fn attribute_path(name: &str, attribute: &str) -> Path {
    path!("/sys/class/block/{name}/{attribute}")
}
