//! Every way a disk can be attached.

use std::time::Duration;

use anyhow::{Result, ensure};
use surefoot_ci::drive::{Bus, Drive};
use surefoot_ci::kernel::Package;

use crate::Scenario;
use crate::judge::{boot_report, booted, mount, same};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("buses::virtio_scsi", |name| attached(name, Package::Cloud612, Bus::VirtioScsi, 512, "sda3")),
    ("buses::virtio_scsi_kernel_6_1", |name| attached(name, Package::Cloud61, Bus::VirtioScsi, 512, "sda3")),
    ("buses::nvme", |name| attached(name, Package::Full612, Bus::Nvme, 512, "nvme0n1p3")),
    ("buses::nvme_built_in", |name| attached(name, Package::Cloud61, Bus::Nvme, 512, "nvme0n1p3")),
    ("buses::ahci", |name| attached(name, Package::Full612, Bus::Ahci, 512, "sda3")),
    ("buses::usb", |name| attached(name, Package::Full612, Bus::Usb, 512, "sda3")),
    ("buses::sd_card", |name| attached(name, Package::Full612, Bus::Sd, 512, "mmcblk0p3")),
    ("buses::virtio_blk_4096", |name| attached(name, Package::Cloud612, Bus::VirtioBlk, 4096, "vda3")),
    ("buses::nvme_4096", |name| attached(name, Package::Cloud612, Bus::Nvme, 4096, "nvme0n1p3")),
    ("buses::hot_added", hot_added),
];

fn attached(name: &str, package: Package, bus: Bus, sector: u64, state: &str) -> Result<()> {
    let setup = Layout::new().kernel(package).sector(sector).prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).drive(Drive::new(&setup.disk).on(bus));
    let report = booted(&vm.run()?)?;
    mount(&report, "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround")?;
    mount(&report, &format!("/var ext4 /dev/{state} /var rw,relatime rw"))
}

/// The disk appears three seconds after PID 1 has said what it waits for.
fn hot_added(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let drive = Drive::new(&setup.disk);
    let vm = setup.bare().append(&setup.roothash()).hot_add("surefoot: waiting for ", Duration::from_secs(3), drive);
    let report = booted(&vm.run()?)?;
    mount(&report, "/var ext4 /dev/vda3 /var rw,relatime rw")?;
    let json = boot_report(&report)?;
    let reached = |event: &str| {
        let timeline = json.pointer("/timeline").and_then(|timeline| timeline.as_array()).into_iter().flatten();
        let event = timeline.into_iter().find(|entry| entry.get("event").is_some_and(|name| name == event));
        event.and_then(|entry| entry.get("microseconds")).and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    let waited = reached("devices found").saturating_sub(reached("drivers loaded"));
    ensure!(waited >= 2_900_000, "it should have waited three seconds, not {waited} µs");
    same("block devices", &report.block_devices.contains(&"vda".to_owned()), &true)
}
