//! Devices that come in any order, late, again and again, or that take their time; and one that never answers.

use std::time::Duration;

use anyhow::{Context, Result};
use surefoot_ci::disk::{Disk, Partition, derived_uuids, types};
use surefoot_ci::drive::{Bus, Drive};
use surefoot_ci::kernel::Package;
use surefoot_ci::machine::End;
use surefoot_ci::tree::Tree;

use crate::Scenario;
use crate::judge::{booted, mount, same};
use crate::setup::{Layout, Setup, state_partition};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("time::any_order", any_order),
    ("time::usb_stick_that_comes_and_goes", usb_stick_that_comes_and_goes),
    ("time::slow_disk", slow_disk),
    ("time::disk_that_never_answers", disk_that_never_answers),
    ("time::disk_that_never_answers_from_the_start", disk_that_never_answers_from_the_start),
];

/// What PID 1 says when something is not there yet.
const WAITING: &str = "surefoot: waiting for ";

/// The root, its hash tree and the state, each on a disk of its own.
struct Parts {
    setup: Setup,
    disks: [Disk; 3],
}

impl Parts {
    fn new(name: &str, package: Package) -> Result<Self> {
        let setup = Layout::new().kernel(package).without_state().prepare(name)?;
        let (data, hash) = derived_uuids(&setup.root_hash);
        let part = |label: &str, kind: &str, uuid: &str| -> Result<Disk> {
            let content = setup.path(label);
            std::fs::write(&content, setup.disk.read(label)?)?;
            let partition = Partition::new(label, kind, &content).uuid(uuid);
            Disk::create(&setup.path(&format!("{label}.disk")), 512, &[partition])
        };
        let root = part("root", types::ROOT, &data)?;
        let tree = part("root-verity", types::ROOT_VERITY, &hash)?;
        let state = Disk::create(&setup.path("state.disk"), 512, &[state_partition()?])?;
        Ok(Self { setup, disks: [root, tree, state] })
    }

    fn words(&self) -> String {
        let (data, hash) = derived_uuids(&self.setup.root_hash);
        format!(
            "{} systemd.verity_root_data=PARTUUID={data} systemd.verity_root_hash=PARTUUID={hash} \
             surefoot.state=PARTLABEL=state",
            self.setup.roothash()
        )
    }
}

/// The three disks, one after the other, in each order. What comes next comes when the kernel knows the one before.
fn any_order(name: &str) -> Result<()> {
    let parts = Parts::new(name, Package::Cloud612)?;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut vm = parts.setup.bare().append(&parts.words());
        for (disk, marker) in order.into_iter().zip([WAITING, " vda: vda1", " vdb: vdb1"]) {
            vm = vm.hot_add(marker, Duration::ZERO, Drive::new(&parts.disks[disk]));
        }
        let report = booted(&vm.run()?).with_context(|| format!("{order:?}"))?;
        let state = ["vda1", "vdb1", "vdc1"];
        let state = order.iter().zip(state).find(|(disk, _)| **disk == 2).map(|(_, name)| name).unwrap_or_default();
        mount(&report, &format!("/var ext4 /dev/{state} /var rw,relatime rw"))?;
    }
    Ok(())
}

/// A stick with the root is put in, pulled out, and put in again, before the hash tree is there. Another stick, with other
/// content of the same size, was there in between, under the same name.
fn usb_stick_that_comes_and_goes(name: &str) -> Result<()> {
    let parts = Parts::new(name, Package::Full612)?;
    let [root, tree, state] = &parts.disks;
    let other = Layout::new().tree(Tree::probe()?.file("etc/hostname", "other\n", 0o644)).prepare(name)?;
    let stick = |disk: &Disk| Drive::new(disk).on(Bus::Usb);
    let zero = Duration::ZERO;
    let vm = parts
        .setup
        .bare()
        .append(&parts.words())
        .hot_add(WAITING, zero, stick(root))
        .hot_remove("Attached SCSI", 0)
        .hot_add("USB disconnect, device number 2", zero, stick(&other.disk))
        .hot_remove(" sda1 sda2", 1)
        .hot_add("USB disconnect, device number 3", zero, stick(root))
        .hot_add("USB device number 4 using", zero, Drive::new(tree))
        .hot_add(" vda: vda1", zero, Drive::new(state));
    let outcome = vm.run()?;
    let report = booted(&outcome)?;
    mount(&report, "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround")?;
    same("sticks that were pulled out", &outcome.console.matches("USB disconnect").count(), &2)
}

/// Twenty requests a second: it takes longer, and boots.
fn slow_disk(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).drive(Drive::new(&setup.disk).slow());
    booted(&vm.run()?).map(drop)
}

/// What the kernel says when it starts PID 1. The firmware has read the disks by then.
const STARTED: &str = "Run /init as init process";
const WATCHED: &str = "surefoot.watchdog=10";

/// A disk that nobody needs hangs whoever reads it. It comes when all else is waited for.
fn disk_that_never_answers(name: &str) -> Result<()> {
    let setup = Layout::new().initramfs(&["--module", "i6300esb"]).prepare(name)?;
    let vm = setup.bare().append(&setup.roothash()).append(WATCHED).watchdog();
    let vm = vm.hot_add(WAITING, Duration::ZERO, Drive::new(&setup.disk).starved());
    let outcome = vm.run()?;
    same("the end", &outcome.end, &End::Watchdog)
}

/// The same disk is there from the start, so that its driver does not come back.
fn disk_that_never_answers_from_the_start(name: &str) -> Result<()> {
    let setup = Layout::new().initramfs(&["--module", "i6300esb"]).prepare(name)?;
    let vm = setup.vm().drive(Drive::new(&setup.disk)).starve(STARTED, 1).append(WATCHED).watchdog();
    let outcome = vm.run()?;
    same("the end", &outcome.end, &End::Watchdog)
}
