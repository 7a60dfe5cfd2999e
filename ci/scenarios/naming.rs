//! Every form of `root=`, devices of a verity root named outright, and names that fit two disks.

use anyhow::Result;
use surefoot_ci::disk::derived_uuids;
use surefoot_ci::drive::Drive;
use surefoot_ci::filesystem::{Filesystem, LABEL};

use crate::Scenario;
use crate::judge::{boot_report, booted, mount, refused, same};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("naming::device", |name| unverified(name, |_| "/dev/vda1".to_owned())),
    ("naming::uuid", |name| unverified(name, |_| format!("UUID={}", Filesystem::uuid()))),
    ("naming::label", |name| unverified(name, |_| format!("LABEL={LABEL}"))),
    ("naming::partuuid", |name| unverified(name, |hash| format!("PARTUUID={}", derived_uuids(hash).0))),
    ("naming::partuuid_upper_case", |name| {
        unverified(name, |hash| format!("PARTUUID={}", derived_uuids(hash).0.to_uppercase()))
    }),
    ("naming::partnroff", |name| unverified(name, |hash| format!("PARTUUID={}/PARTNROFF=-1", derived_uuids(hash).1))),
    ("naming::partlabel", |name| unverified(name, |_| "PARTLABEL=root".to_owned())),
    ("naming::verity_devices", verity_devices),
    ("naming::same_partuuids", same_partuuids),
    ("naming::one_of_two_disks", one_of_two_disks),
];

/// A root without verity has to be asked for; `root=` names it.
fn unverified(name: &str, root: fn(&str) -> String) -> Result<()> {
    let setup = Layout::new().filesystem(Filesystem::Ext4).prepare(name)?;
    let words = format!("surefoot.verity=off root={}", root(&setup.root_hash));
    let report = booted(&setup.bare().append(&words).drive(Drive::new(&setup.disk)).run()?)?;
    mount(&report, "/ ext4 /dev/vda1 / ro,relatime ro")?;
    same("device-mapper devices", &report.device_mapper.len(), &0)?;
    let trust = boot_report(&report)?.pointer("/deployment/trust").and_then(|trust| trust.as_str()).map(str::to_owned);
    same("the trust", &trust.as_deref(), &Some("insecure"))
}

fn verity_devices(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let words =
        "root=/dev/mapper/root systemd.verity_root_data=/dev/vda1 systemd.verity_root_hash=PARTLABEL=root-verity";
    let report = booted(&setup.boot(words)?)?;
    mount(&report, "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround")
}

/// Whose data would be verified, and whose state written to? Both disks are named.
fn same_partuuids(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.vm().drive(Drive::new(&setup.disk)).run()?;
    let (data, _) = derived_uuids(&setup.root_hash);
    let reason = format!(
        "PARTUUID={data} names both /dev/vda1 (on vda) and /dev/vdb1 (on vdb); detach one of them, \
         or choose the disk by surefoot.disk=/dev/NAME"
    );
    refused(&outcome, &reason)
}

fn one_of_two_disks(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.vm().drive(Drive::new(&setup.disk)).append("surefoot.disk=/dev/vdb").run()?)?;
    mount(&report, "/run/surefoot/state ext4 /dev/vdb3 / rw,nosuid,nodev,relatime rw")
}
