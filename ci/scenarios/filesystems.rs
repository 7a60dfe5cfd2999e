//! Every filesystem that a verified root can have, its type probed.

use anyhow::Result;
use surefoot_ci::filesystem::Filesystem;
use surefoot_ci::kernel::Package;

use crate::Scenario;
use crate::judge::{booted, mount};
use crate::setup::Layout;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("filesystems::squashfs", |name| root(name, Package::Cloud612, Filesystem::Squashfs, "ro,errors=continue")),
    ("filesystems::ext4", |name| root(name, Package::Cloud612, Filesystem::Ext4, "ro")),
    ("filesystems::xfs", |name| root(name, Package::Cloud612, Filesystem::Xfs, XFS)),
    ("filesystems::btrfs", |name| root(name, Package::Cloud612, Filesystem::Btrfs, BTRFS)),
    ("filesystems::btrfs_kernel_6_1", |name| root(name, Package::Cloud61, Filesystem::Btrfs, BTRFS)),
    ("filesystems::xfs_kernel_6_1", |name| root(name, Package::Cloud61, Filesystem::Xfs, XFS)),
];

const XFS: &str = "ro,attr2,inode64,logbufs=8,logbsize=32k,noquota";
const BTRFS: &str = "ro,space_cache=v2,subvolid=5,subvol=/";

fn root(name: &str, package: Package, filesystem: Filesystem, options: &str) -> Result<()> {
    let setup = Layout::new().kernel(package).filesystem(filesystem).prepare(name)?;
    let report = booted(&setup.boot("")?)?;
    mount(&report, &format!("/ {} /dev/mapper/root / ro,relatime {options}", filesystem.name()))
}
