//! What is known of the machine's block devices.

mod device;
mod disk;
mod find;
mod order;

use core::fmt;

use boot_config::DeviceSpec;
use boot_config::spec::PartUuid;
use heapless::Vec;
use verity::Uuid;

pub use device::{BlockDevice, DeviceNumber, MAX_NAME, Name};
pub use disk::{Disk, DiskIdentity, PartitionIdentity, partition_name, scan_disk};
pub use find::Ambiguous;

/// Most block devices that are kept in mind.
pub const MAX_DEVICES: usize = 512;

/// The machine's block devices, in the natural order of their names (`vda2` before `vda10`).
///
/// The value is large, but only as much of it is touched as there are devices: make it where it is to stay, and pass
/// it by reference.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The PARTUUID of the partition that the boot loader was started from, when the firmware tells it (the EFI
    /// variable `LoaderDevicePartUUID`).
    pub loader_partition: Option<Uuid>,
    devices: Vec<BlockDevice, MAX_DEVICES>,
}

/// There are more than [`MAX_DEVICES`] block devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are more than {MAX_DEVICES} block devices; the others are not looked at")
    }
}

impl core::error::Error for Full {}

impl Facts {
    /// No device, and no boot disk.
    pub const fn new() -> Self {
        Self { loader_partition: None, devices: Vec::new() }
    }

    /// All devices, in the natural order of their names.
    pub fn devices(&self) -> &[BlockDevice] {
        &self.devices
    }

    /// Adds a device, in place of one that had the same name.
    pub fn insert(&mut self, device: BlockDevice) -> Result<(), Full> {
        match self.devices.binary_search_by(|other| order::natural(&other.name, &device.name)) {
            Ok(index) => {
                if let Some(slot) = self.devices.get_mut(index) {
                    *slot = device;
                }
                Ok(())
            }
            Err(index) => self.devices.insert(index, device).map_err(|_| Full),
        }
    }

    /// Forgets the device with this name, and the partitions of the disk with this name.
    pub fn remove(&mut self, name: &str) {
        self.devices.retain(|device| device.name != name && device.disk_name() != name);
    }

    /// Forgets all devices.
    pub fn clear(&mut self) {
        self.devices.clear();
    }

    /// The device with this kernel name.
    pub fn device(&self, name: &str) -> Option<&BlockDevice> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// The disk that the firmware started the boot loader from. `None` when the firmware does not tell, when that disk
    /// is not there (yet), and when two disks have that partition: then nothing tells them apart.
    pub fn boot_disk(&self) -> Option<&str> {
        let spec = DeviceSpec::PartUuid { uuid: PartUuid::Gpt(self.loader_partition?), offset: 0 };
        let mut disks = self.devices.iter().filter(|device| find::is_named(device, &spec)).map(BlockDevice::disk_name);
        match (disks.next(), disks.next()) {
            (Some(disk), None) => Some(disk),
            _ => None,
        }
    }

    /// The partitions of this type, of the disk with this name if one is given, in order.
    pub fn by_partition_type(&self, disk: Option<&str>, type_uuid: Uuid) -> impl Iterator<Item = &BlockDevice> {
        self.devices.iter().filter(move |device| {
            let is_of_type = device.partition.as_ref().is_some_and(|partition| partition.type_uuid == Some(type_uuid));
            is_of_type && disk.is_none_or(|disk| device.disk_name() == disk)
        })
    }
}

#[cfg(test)]
mod tests;
