//! Finding the one device that a text names.

use core::fmt;

use boot_config::DeviceSpec;

use super::Facts;
use super::device::{BlockDevice, Name};

/// Two devices go by the same name, and nothing says which of them is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous<'a> {
    /// What names both.
    pub spec: DeviceSpec<'a>,
    /// The first two of them in order: each one's name and that of its disk.
    pub devices: [(Name, Name); 2],
}

impl fmt::Display for Ambiguous<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(first, first_disk), (second, second_disk)] = &self.devices;
        write!(
            f,
            "{} names both /dev/{first} (on {first_disk}) and /dev/{second} (on {second_disk}); detach one of them, or \
             choose the disk by surefoot.disk=/dev/NAME",
            self.spec
        )
    }
}

impl core::error::Error for Ambiguous<'_> {}

impl Facts {
    /// The device that `spec` names, on the disk `within` if one is given. `None` when there is none (yet).
    ///
    /// When devices of several disks go by that name, the one on the [`boot_disk`](Self::boot_disk) is meant; otherwise
    /// the name is ambiguous.
    pub fn find<'a>(&self, spec: &DeviceSpec<'a>, within: Option<&str>) -> Result<Option<&BlockDevice>, Ambiguous<'a>> {
        let everywhere = self.named(spec, within);
        let Err(ambiguous) = everywhere else { return everywhere };
        let on_boot_disk = match (self.boot_disk(), within) {
            (Some(disk), None) => self.named(spec, Some(disk))?,
            _ => None,
        };
        on_boot_disk.map(Some).ok_or(ambiguous)
    }

    /// The device that `spec` names, on the disk `near` if there is one, otherwise as [`find`](Self::find) does: for what
    /// belongs to something that was found on that disk.
    pub fn find_near<'a>(
        &self,
        spec: &DeviceSpec<'a>,
        near: Option<&str>,
    ) -> Result<Option<&BlockDevice>, Ambiguous<'a>> {
        let on_that_disk = if near.is_some() { self.named(spec, near)? } else { None };
        on_that_disk.map_or_else(|| self.find(spec, None), |device| Ok(Some(device)))
    }

    /// The only device that `spec` names, on the disk `within` if one is given.
    fn named<'a>(&self, spec: &DeviceSpec<'a>, within: Option<&str>) -> Result<Option<&BlockDevice>, Ambiguous<'a>> {
        let mut found = self
            .devices()
            .iter()
            .filter(|device| within.is_none_or(|disk| device.disk_name() == disk))
            .filter(|device| is_named(device, spec))
            .filter_map(|device| self.neighbour(device, offset(spec)));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                let place = |device: &BlockDevice| (device.name.clone(), device.disk_name().clone());
                Err(Ambiguous { spec: *spec, devices: [place(first), place(second)] })
            }
            (found, _) => Ok(found),
        }
    }

    /// The partition of the same disk whose number lies `offset` after that of `device`.
    fn neighbour<'f>(&'f self, device: &'f BlockDevice, offset: i32) -> Option<&'f BlockDevice> {
        let number = |device: &BlockDevice| device.partition.as_ref().map(|partition| partition.number);
        if offset == 0 {
            return Some(device);
        }
        let wanted = number(device)?.checked_add_signed(offset)?;
        self.devices().iter().find(|other| other.disk == device.disk && number(other) == Some(wanted))
    }
}

/// Whether `spec` names this device, `/PARTNROFF=` left aside.
pub(super) fn is_named(device: &BlockDevice, spec: &DeviceSpec<'_>) -> bool {
    let filesystem = device.filesystem.as_ref();
    let partition = device.partition.as_ref();
    match spec {
        DeviceSpec::Path(path) => device.has_path(path),
        DeviceSpec::Uuid(uuid) => filesystem.is_some_and(|filesystem| filesystem.has_uuid(uuid)),
        DeviceSpec::Label(label) => filesystem.is_some_and(|filesystem| filesystem.has_label(label)),
        DeviceSpec::PartUuid { uuid, .. } => partition.is_some_and(|partition| partition.uuid == Some(*uuid)),
        DeviceSpec::PartLabel(label) => {
            partition.is_some_and(|partition| !label.is_empty() && partition.label == **label)
        }
    }
}

fn offset(spec: &DeviceSpec<'_>) -> i32 {
    if let DeviceSpec::PartUuid { offset, .. } = spec { *offset } else { 0 }
}
