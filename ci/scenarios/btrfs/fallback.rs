//! A snapshot that cannot be booted: an older one comes up in the same boot, and the reason is told.

use anyhow::{Context, Result, ensure};
use surefoot_ci::btrfs::Snapshots;
use surefoot_ci::cgpt::{self, Counters};
use surefoot_ci::disk::verity_pair;
use surefoot_ci::edit::Edit;
use surefoot_ci::filesystem::Filesystem;
use surefoot_ci::verity;
use surefoot_probe::Outcome as Done;

use super::machine::{AUTO, Machine, came_up, root, two};
use crate::Scenario;
use crate::judge::{actions, same, text};
use crate::setup::state_partition;
use crate::slots::judge::{failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("btrfs::missing_subvolume", missing_subvolume),
    ("btrfs::no_init_in_the_newest", no_init_in_the_newest),
    ("btrfs::needs_no_state_device", needs_no_state_device),
    ("btrfs::unfinished_and_crafted_snapshots", unfinished_and_crafted_snapshots),
];

fn missing_subvolume(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let words = format!("{AUTO} root=LABEL=sysroot rootflags=subvol=@/gone probe.read=/etc/hostname");
    let report = came_up(&machine.boot("1", &words)?, "snapshot-2")?;
    let why = "cannot boot the subvolume /@/gone: there is no such subvolume: there is nothing by that name";
    let meant = ("subvolume-@-gone".to_owned(), why.to_owned());
    same("what failed", &failed(&report)?, &vec![meant.clone()])?;
    same("what was meant", &fallback(&report)?, &Some(meant))?;
    actions(&report, &[("probe.read=/etc/hostname", text("version-2\n"))])
}

/// The newest snapshot is the default. All of it is undone before the one before it comes up.
fn no_init_in_the_newest(name: &str) -> Result<()> {
    let snapshots = two()?.edit_in(2, Edit::remove("sbin/init"));
    let machine = Machine::new(name, &snapshots, &[])?;
    let report = came_up(&machine.boot("1", &format!("{AUTO} probe.read=/etc/hostname"))?, "snapshot-1")?;
    actions(&report, &[("probe.read=/etc/hostname", text("version-1\n"))])?;
    let mut targets: Vec<_> = report.mounts.iter().map(|mount| mount.target.as_str()).collect();
    targets.sort_unstable();
    let twice: Vec<_> = targets.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    same("what is mounted twice", &twice, &vec![])?;
    let why = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
               /etc/init, /bin/init, /bin/sh";
    same("what failed", &failed(&report)?, &vec![("snapshot-2".to_owned(), why.to_owned())])
}

/// The slot is the best one and needs the state device, which is at fault. A snapshot brings all that is written to.
fn needs_no_state_device(name: &str) -> Result<()> {
    let root = Filesystem::Erofs.image(&root("slot", &[])?)?;
    let tree = verity::format(&root, &[])?;
    let partitions = [verity_pair(&root, &tree), vec![state_partition()?]].concat();
    let machine = Machine::new(name, &two()?, &partitions)?;
    let words = format!("{AUTO} surefoot.roothash={} probe.write=/etc/new:e probe.write=/var/new:v", tree.root_hash);
    cgpt::set(&machine.disk.path, 2, Counters::untried(1, 3))?;
    machine.disk.overwrite("state", 1024, &[0; 1024])?;
    let report = came_up(&machine.boot("1", &words)?, "snapshot-2")?;
    actions(&report, &[("probe.write=/etc/new:e", Done::Done), ("probe.write=/var/new:v", Done::Done)])?;
    let (slot, why) = fallback(&report)?.context("no fallback is reported")?;
    same("what was meant", &slot.as_str(), &"root")?;
    same("what failed", &failed(&report)?, &vec![(slot, why.clone())])?;
    ensure!(why.starts_with("the state device is at fault: cannot mount /dev/vda4: "), "{why}");
    same("the slot's counters", &cgpt::show(&machine.disk.path, 2)?, &Counters::untried(1, 3))
}

/// What an update left half done, and what somebody has tampered with, is no candidate.
fn unfinished_and_crafted_snapshots(name: &str) -> Result<()> {
    let info = |number: u32, userdata: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<snapshot>\n  <type>single</type>\n  <num>{number}</num>\n  \
             <date>2026-11-22 10:00:00</date>\n{userdata}</snapshot>\n"
        )
    };
    let unfinished = "<userdata><key>transactional-update-in-progress</key><value>yes</value></userdata>\n";
    let three = Snapshots::new().etc_subvolumes().snapshot(&root("1", &[])?).snapshot(&root("2", &[])?);
    let snapshots = three
        .snapshot(&root("3", &[])?)
        .rollback(1)
        .edit(Edit::file(".snapshots/3/info.xml", info(3, unfinished)))
        .edit(Edit::file(".snapshots/2/info.xml", info(4, "")))
        .edit(Edit::directory(".snapshots/9"))
        .edit(Edit::file(".snapshots/9/info.xml", info(9, "")))
        .edit(Edit::symlink(".snapshots/9/snapshot", "../1/snapshot"));
    let machine = Machine::new(name, &snapshots, &[])?;
    let report = came_up(&machine.boot("1", AUTO)?, "snapshot-1")?;
    let expected = [
        ("snapshot-9", "there is no such subvolume: a symbolic link is in the way, and none is followed here"),
        ("snapshot-3", "its update was not finished (transactional-update-in-progress=yes)"),
        ("snapshot-2", "its info.xml has another number than its folder"),
    ];
    let expected = expected.map(|(name, why)| (name.to_owned(), why.to_owned()));
    same("what was passed over", &passed_over(&report)?, &expected.to_vec())?;
    same("what was meant", &fallback(&report)?, &None)
}
