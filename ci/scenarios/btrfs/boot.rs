//! Which subvolume becomes the root, and what is mounted in it.

use anyhow::Result;
use surefoot_ci::btrfs::{Snapshots, subvolume};
use surefoot_ci::kernel::Package;
use surefoot_probe::Outcome as Done;

use super::machine::{AUTO, Machine, came_up, root, two};
use crate::Scenario;
use crate::judge::{actions, mount, refused, same, text};
use crate::slots::judge::failed;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("btrfs::default_subvolume", |name| default_subvolume(name, Package::Cloud612)),
    ("btrfs::default_subvolume_kernel_6_1", |name| default_subvolume(name, Package::Cloud61)),
    ("btrfs::named_by_rootflags", named_by_rootflags),
    ("btrfs::pinned", pinned),
    ("btrfs::writable_root", writable_root),
    ("btrfs::volatile_overlay", volatile_overlay),
    ("btrfs::not_verified", not_verified),
];

/// Reads, writes, and what may not be written.
const PROBE: &str = "probe.read=/etc/hostname probe.write=/etc/new:e probe.write=/var/new:v probe.write=/home/new:h \
    probe.write=/usr/new:u probe.list=/.snapshots probe.write=/.snapshots/new:s";

fn default_subvolume(name: &str, package: Package) -> Result<()> {
    let machine = Machine::with_kernel(name, package, &two()?.build()?, &[])?;
    let report = came_up(&machine.boot("1", &format!("{AUTO} {PROBE}"))?, "snapshot-2")?;
    same("what failed", &failed(&report)?, &vec![])?;
    // What later kernels do of their own accord where a device can discard blocks.
    let discard = if package == Package::Cloud612 { "discard=async," } else { "" };
    let options = |path: &str, id: u32| format!("rw,{discard}space_cache=v2,subvolid={id},subvol={path}");
    for (target, path, flags, id) in [
        ("/", "/@/.snapshots/2/snapshot", "ro,relatime", 263),
        ("/etc", "/@/.snapshots/2/snapshot/etc", "rw,nosuid,nodev,relatime", 264),
        ("/var", "/@/var", "rw,relatime", 260),
        ("/home", "/@/home", "rw,nosuid,nodev,relatime", 258),
        ("/.snapshots", "/@/.snapshots", "rw,relatime", 257),
    ] {
        mount(&report, &format!("{target} btrfs /dev/vda1 {path} {flags} {}", options(path, id)))?;
    }
    actions(
        &report,
        &[
            ("probe.read=/etc/hostname", text("version-2\n")),
            ("probe.write=/etc/new:e", Done::Done),
            ("probe.write=/var/new:v", Done::Done),
            ("probe.write=/home/new:h", Done::Done),
            ("probe.write=/usr/new:u", Done::Failed(30)),
            ("probe.list=/.snapshots", Done::Names(vec!["1".to_owned(), "2".to_owned()])),
            ("probe.write=/.snapshots/new:s", Done::Done),
        ],
    )
}

fn named_by_rootflags(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let words = format!("{AUTO} root=LABEL=sysroot rootflags=noatime,subvol=/{} {PROBE}", subvolume(1));
    let report = came_up(&machine.boot("1", &words)?, "snapshot-1")?;
    actions(&report, &[("probe.read=/etc/hostname", text("version-1\n"))])?;
    let var = "/var btrfs /dev/vda1 /@/var rw,noatime rw,discard=async,space_cache=v2,subvolid=260,subvol=/@/var";
    mount(&report, var)
}

/// What is pinned is the only one, and refused with the reason if it is not there.
fn pinned(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let pin = |path: &str| format!("surefoot.deployment=btrfs:{path} surefoot.verity=optional root=LABEL=sysroot");
    came_up(&machine.boot("there", &pin(&subvolume(1)))?, "snapshot-1")?;
    let outcome = machine.boot("gone", &pin("@/gone"))?;
    refused(&outcome, "cannot boot the subvolume /@/gone: there is no such subvolume: there is nothing by that name")
}

/// A rollback on a system with a writable root: the default is a writable copy, which `rw` lets be written.
fn writable_root(name: &str) -> Result<()> {
    let snapshots = Snapshots::new().snapshot(&root("1", &[])?).snapshot(&root("2", &[])?).rollback_to_copy(1);
    let machine = Machine::new(name, &snapshots, &[])?;
    let report = came_up(&machine.boot("1", &format!("{AUTO} rw {PROBE}"))?, "snapshot-4")?;
    actions(
        &report,
        &[
            ("probe.read=/etc/hostname", text("version-1\n")),
            ("probe.write=/etc/new:e", Done::Done),
            ("probe.write=/usr/new:u", Done::Done),
            ("probe.write=/var/new:v", Done::Done),
        ],
    )
}

fn volatile_overlay(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let words = format!("{AUTO} systemd.volatile=overlay {PROBE}");
    let report = came_up(&machine.boot("1", &words)?, "snapshot-2")?;
    actions(
        &report,
        &[
            // The subvolume in the snapshot is part of what lies below.
            ("probe.read=/etc/hostname", text("version-2\n")),
            ("probe.write=/etc/new:e", Done::Done),
            ("probe.write=/usr/new:u", Done::Done),
            ("probe.write=/var/new:v", Done::Done),
        ],
    )?;
    let after = machine.boot("2", &format!("{AUTO} probe.read=/etc/new probe.read=/var/new"))?;
    let gone = Done::Failed(2);
    actions(&came_up(&after, "snapshot-2")?, &[("probe.read=/etc/new", gone.clone()), ("probe.read=/var/new", gone)])
}

/// Without leave nothing boots that is not verified.
fn not_verified(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let outcome = machine.boot("1", "surefoot.deployment=auto")?;
    refused(
        &outcome,
        "no deployment was found that may boot; snapshot-2: nothing verifies it: surefoot.verity=optional boots it \
         insecurely",
    )
}
