//! The state partition: what is kept over boots, and what happens when it is not as it should be.

use std::fs;

use anyhow::{Result, ensure};
use surefoot_ci::command::{command, run};
use surefoot_ci::disk::{Disk, Partition, verity_pair};
use surefoot_ci::drive::Drive;
use surefoot_ci::filesystem::Filesystem;
use surefoot_ci::machine::Outcome;
use surefoot_ci::mounted::Mounted;
use surefoot_ci::tree::Tree;
use surefoot_ci::verity;
use surefoot_ci::vm::Vm;
use surefoot_probe::Outcome as Done;

use crate::Scenario;
use crate::judge::{actions, boot_report, booted, mount, refused, refused_with, text};
use crate::setup::{Layout, Setup};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("state::kept_over_a_reboot", kept_over_a_reboot),
    ("state::kept_while_the_image_changes", kept_while_the_image_changes),
    ("state::missing", missing),
    ("state::missing_tmpfs", missing_tmpfs),
    ("state::not_a_filesystem", not_a_filesystem),
    ("state::corrupt", corrupt),
    ("state::corrupt_tmpfs", corrupt_tmpfs),
    ("state::full", full),
    ("state::work_directory_of_no_use", work_directory_of_no_use),
    ("state::read_only", read_only),
    ("state::read_only_tmpfs", read_only_tmpfs),
];

/// A change to /etc is there after a reboot, and the root image is as it was.
fn kept_over_a_reboot(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let before = setup.disk.read("root")?;
    let words = "probe.write=/etc/new:n probe.write=/etc/hostname:changed probe.remove=/etc/shadow probe.write=/var/v:v \
        probe.write=/home/h:h";
    let report = booted(&setup.boot_keeping("first", words)?)?;
    let done = words.split_whitespace().map(|word| (word, Done::Done)).collect::<Vec<_>>();
    actions(&report, &done)?;

    let words =
        "probe.read=/etc/new probe.read=/etc/hostname probe.stat=/etc/shadow probe.read=/var/v probe.read=/home/h";
    let report = booted(&setup.boot_keeping("second", words)?)?;
    actions(
        &report,
        &[
            ("probe.read=/etc/new", text("n")),
            ("probe.read=/etc/hostname", text("changed")),
            ("probe.stat=/etc/shadow", Done::Failed(2)),
            ("probe.read=/var/v", text("v")),
            ("probe.read=/home/h", text("h")),
        ],
    )?;

    let words = "surefoot.etc=ro probe.stat=/etc/new probe.read=/etc/hostname";
    let report = booted(&setup.boot_keeping("image", words)?)?;
    actions(
        &report,
        &[("probe.stat=/etc/new", Done::Failed(2)), ("probe.read=/etc/hostname", text("from-the-image\n"))],
    )?;
    ensure!(setup.disk.read("root")? == before, "the root image on the disk has changed");
    Ok(())
}

/// A new image under the same state: what the user changed stays, all else is the new image's.
fn kept_while_the_image_changes(name: &str) -> Result<()> {
    let old = Tree::probe()?.file("etc/untouched", "old", 0o644).file("etc/gone", "old", 0o644);
    let setup = Layout::new().tree(old).prepare(name)?;
    let words = "probe.write=/etc/hostname:mine probe.write=/etc/new:mine";
    booted(&setup.boot_keeping("old", words)?)?;

    let new = Tree::probe()?.file("etc/untouched", "new", 0o644).file("etc/hostname", "new", 0o644).file(
        "etc/added",
        "new",
        0o644,
    );
    let root = Filesystem::Erofs.image(&new)?;
    let tree = verity::format(&root, &[])?;
    fs::write(setup.path("state"), setup.disk.read("state")?)?;
    let mut partitions = verity_pair(&root, &tree);
    partitions.push(Partition::state(&setup.path("state")));
    let disk = Disk::create(&setup.path("new"), 512, &partitions)?;
    let words = "probe.read=/etc/hostname probe.read=/etc/new probe.read=/etc/untouched probe.read=/etc/added probe.stat=/etc/gone";
    let vm = Vm::new(&format!("{name}-new"), &setup.kernel, &setup.initramfs).append(words);
    let report = booted(&vm.append(&format!("roothash={}", tree.root_hash)).drive(Drive::new(&disk)).run()?)?;
    actions(
        &report,
        &[
            ("probe.read=/etc/hostname", text("mine")),
            ("probe.read=/etc/new", text("mine")),
            ("probe.read=/etc/untouched", text("new")),
            ("probe.read=/etc/added", text("new")),
            ("probe.stat=/etc/gone", Done::Failed(2)),
        ],
    )
}

const WANTED: &str = "a state device (the /var partition of the boot disk, or PARTLABEL=state)";
const SEEN: &str = "block devices seen: vda vda1 (root) vda2 (root-verity)";

fn missing(name: &str) -> Result<()> {
    let setup = Layout::new().without_state().prepare(name)?;
    refused(&setup.boot("rd.timeout=2")?, &format!("{WANTED} did not appear within 2 seconds; {SEEN}"))
}

fn missing_tmpfs(name: &str) -> Result<()> {
    let setup = Layout::new().without_state().prepare(name)?;
    let outcome = setup.boot("rd.timeout=2 surefoot.state.missing=tmpfs probe.write=/etc/new:n probe.read=/etc/new")?;
    degraded(&outcome, WANTED)?;
    actions(&booted(&outcome)?, &[("probe.read=/etc/new", text("n"))])
}

/// Booted with the layers in memory, and says so on the console and in the report.
fn degraded(outcome: &Outcome, why: &str) -> Result<()> {
    let report = booted(outcome)?;
    let notes = boot_report(&report)?.get("degraded").cloned();
    let note = notes.as_ref().and_then(|notes| notes.get(0)).and_then(|note| note.as_str()).unwrap_or_default();
    let start = format!("changes are kept in memory and lost at power-off: {why}");
    ensure!(note.starts_with(&start), "the report's note:\n  found    {note:?}\n  expected {start:?}");
    let line = format!("surefoot: DEGRADED: {start}");
    ensure!(outcome.console.contains(&line), "the console should say \"{line}\"\n{}", outcome.tail());
    mount(&report, "/run/surefoot/state tmpfs tmpfs / rw,nosuid,nodev,relatime rw,mode=755")?;
    mount(&report, "/var tmpfs tmpfs /var rw,relatime rw,mode=755")
}

fn not_a_filesystem(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    setup.disk.overwrite("state", 1024, &[0; 1024])?;
    let reason = "the state device is at fault: cannot mount /dev/vda3: no filesystem that surefoot knows is on it, and \
        none is named (rootfstype=, mount.usrfstype=, or the second part of surefoot.state=)";
    refused(&setup.boot("")?, reason)
}

/// The group descriptors, without which ext4 does not mount.
fn damage(setup: &Setup) -> Result<()> {
    setup.disk.overwrite("state", 4096, &[0xff; 4096])
}

fn corrupt(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    damage(&setup)?;
    let start = "the state device is at fault: cannot mount ext4 /dev/vda3 on /run/surefoot/state: ";
    refused_with(&setup.boot("")?, start, &["EXT4-fs (vda3): "])
}

fn corrupt_tmpfs(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    damage(&setup)?;
    let outcome = setup.boot("surefoot.state.missing=tmpfs")?;
    degraded(&outcome, "cannot mount ext4 /dev/vda3 on /run/surefoot/state: ")
}

/// A full state partition has to boot: how else is it to be cleared?
fn full(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let report = booted(&setup.boot_keeping("fill", "probe.fill=/var/full")?)?;
    let filled = matches!(report.outcome("probe.fill=/var/full"), Some(Done::Filled(bytes, 28)) if *bytes > 1 << 20);
    ensure!(filled, "{:?}", report.outcome("probe.fill=/var/full"));
    let words = "probe.write=/etc/new:n probe.remove=/var/full probe.write=/var/new:v";
    let report = booted(&setup.boot_keeping("full", words)?)?;
    let expected = [
        ("probe.write=/etc/new:n", Done::Failed(28)),
        ("probe.remove=/var/full", Done::Done),
        ("probe.write=/var/new:v", Done::Done),
    ];
    actions(&report, &expected)
}

/// The kernel makes an overlay read-only then. The boot goes on, and says so.
fn work_directory_of_no_use(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    booted(&setup.boot_keeping("first", "")?)?;
    let (start, length) = setup.disk.extent("state")?;
    let mounted = Mounted::new(&setup.disk.path, &format!("offset={start},sizelimit={length}"))?;
    run(command("chattr").arg("+i").arg(mounted.path().join("etc/work/work")))?;
    mounted.unmount()?;
    let report = booted(&setup.boot_keeping("second", "probe.write=/etc/new:n probe.write=/var/new:v")?)?;
    actions(&report, &[("probe.write=/etc/new:n", Done::Failed(30)), ("probe.write=/var/new:v", Done::Done)])?;
    let degraded = boot_report(&report)?["degraded"].to_string();
    let expected = "/etc takes no changes: the kernel cannot use the work directory of its overlay";
    ensure!(degraded.contains(expected), "{degraded}");
    Ok(())
}

fn read_only(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).drive(Drive::new(&setup.disk).read_only());
    let start = "the state device is at fault: cannot mount ext4 /dev/vda3 on /run/surefoot/state: ";
    refused_with(&vm.run()?, start, &["Permission denied (EACCES)"])
}

fn read_only_tmpfs(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).drive(Drive::new(&setup.disk).read_only());
    let outcome = vm.append("surefoot.state.missing=tmpfs").run()?;
    degraded(&outcome, "cannot mount ext4 /dev/vda3 on /run/surefoot/state: ")
}
