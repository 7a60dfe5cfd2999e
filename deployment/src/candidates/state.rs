//! The device that holds the writable layers.

use boot_config::{Config, DeviceSpec};

use super::DeviceSource;
use crate::discoverable::{PartitionType, is_unfinished};
use crate::facts::{Ambiguous, BlockDevice, Facts};

const DEFAULT_LABEL: DeviceSpec<'_> = DeviceSpec::PartLabel("state");

/// The device that holds the writable layers of a candidate on `root_disk`: the one that `surefoot.state=` names, else
/// the `/var` partition of the boot disk (Discoverable Partitions Specification; the first of several, and none that is
/// marked `no-auto`), else the partition labelled `state`. `None` while it is not there.
///
/// The boot disk is the one of `surefoot.disk=`, else the firmware's, else `root_disk`; a device there comes before
/// others of the same name. With `surefoot.disk=` the search that no name guides stays on that disk.
pub fn state_device<'a>(
    config: &Config<'a>,
    facts: &Facts,
    root_disk: Option<&str>,
) -> Result<Option<DeviceSource>, Ambiguous<'a>> {
    let only_disk = match &config.disk {
        Some(spec) => facts.find(spec, None)?.map(|device| device.disk_name().as_str()),
        None => None,
    };
    let boot_disk = only_disk.or_else(|| facts.boot_disk()).or(root_disk);
    let device = if let Some(state) = &config.state {
        facts.find_near(&state.device, boot_disk)?
    } else if let Some(device) = boot_disk.and_then(|disk| var_partition(facts, disk)) {
        Some(device)
    } else if config.disk.is_some() {
        only_disk.map_or(Ok(None), |disk| facts.find(&DEFAULT_LABEL, Some(disk)))?
    } else {
        facts.find_near(&DEFAULT_LABEL, boot_disk)?
    };
    Ok(device.map(DeviceSource::new))
}

fn var_partition<'f>(facts: &'f Facts, disk: &str) -> Option<&'f BlockDevice> {
    facts.by_partition_type(Some(disk), PartitionType::Var.uuid()).find(|device| {
        let partition = device.partition.as_ref();
        partition.is_some_and(|partition| !partition.attributes.no_auto() && !is_unfinished(&partition.label))
    })
}
