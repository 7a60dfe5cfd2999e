//! The filesystems in which deployments are to be looked for.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use deployment::candidates::{DeviceSource, MAX_SYSROOTS};
use deployment::facts::partition_name;

use super::filesystem::{Content, Volume, unreadable};
use crate::disk_image::{Disks, Reading};
use crate::error::Error;
use crate::slots::{DiskOptions, kernel_name};
use crate::status::report::BootReport;

/// Those of the disk that was asked for, else those that the report tells of; and why others are none.
pub(super) fn find(options: &DiskOptions, report: Option<&BootReport>) -> (Vec<Volume>, Vec<Error>) {
    match (&options.disk, report) {
        (Some(disk), _) => on_disk(disk),
        (None, Some(report)) => of_report(report),
        (None, None) => Default::default(),
    }
}

/// Every filesystem of a disk that can be written.
fn on_disk(path: &Path) -> (Vec<Volume>, Vec<Error>) {
    let Ok(disks) = Disks::open(&[path], Reading { backup_table: true, ..Reading::default() }) else {
        return Default::default();
    };
    let is_block_device = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device());
    let disk = kernel_name(path);
    let usable = disks.facts().devices().iter().filter_map(|device| {
        if let Some(why) = unreadable(device) {
            return Some(Err(Error::system("cannot read", format!("{} of {}", device.name, path.display()), why)));
        }
        let kind = device.filesystem.as_ref()?.kind;
        if !kind.may_hold_deployments() {
            return None;
        }
        let partition = device.partition.as_ref();
        if is_block_device {
            // The kernel caches a disk and its partitions apart, and knows what is mounted by the partition.
            let name =
                partition.map_or_else(|| disk.clone(), |partition| partition_name(&disk, partition.number).to_string());
            return Volume::on_device(&name).transpose();
        }
        let content = Content::Part(path.to_owned(), partition.map_or(0, |partition| partition.start), device.size);
        Some(Ok(Volume { device: DeviceSource { device: device.name.clone(), filesystem: Some(kind) }, content }))
    });
    apart(usable)
}

/// The filesystems in which the boot has found deployments.
fn of_report(report: &BootReport) -> (Vec<Volume>, Vec<Error>) {
    let booted = report.deployment.place.as_ref().and(report.deployment.device.as_deref());
    let others = report.deployments.iter().filter(|found| found.place.is_some());
    let mut names: Vec<&str> = booted.into_iter().chain(others.filter_map(|found| found.device.as_deref())).collect();
    let mut known = Vec::new();
    names.retain(|name| {
        !known.contains(name) && {
            known.push(name);
            true
        }
    });
    apart(names.into_iter().filter_map(|name| Volume::on_device(name).transpose()))
}

/// Those that can be used, and why the others cannot.
fn apart(all: impl Iterator<Item = Result<Volume, Error>>) -> (Vec<Volume>, Vec<Error>) {
    let (mut volumes, mut refused) = (Vec::new(), Vec::new());
    for volume in all {
        match volume {
            Ok(_) if volumes.len() == MAX_SYSROOTS => break,
            Ok(volume) => volumes.push(volume),
            Err(why) => refused.push(why),
        }
    }
    (volumes, refused)
}
