//! A sysroot in a subvolume of a btrfs, as Fedora Silverblue has it: `root` holds the sysroot, `home` lies beside it.

use anyhow::Result;
use surefoot_ci::edit::Edit;
use surefoot_ci::filesystem::Place;
use surefoot_ci::ostree::{Composefs, Sysroot};
use surefoot_ci::slots::machine::tree;
use surefoot_probe::{Outcome as Done, Report};

use super::boot::binds;
use super::{CONFIGURATION, Machine, is_booted, version};
use crate::Scenario;
use crate::judge::{actions, booted, mount, refused, same, text};
use crate::slots::judge::{failed, fallback, passed_over, ran};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::subvolume_named", subvolume_named),
    ("ostree::subvolume_auto", subvolume_auto),
    ("ostree::subvolume_composefs", subvolume_composefs),
    ("ostree::subvolume_by_default", subvolume_by_default),
    ("ostree::subvolume_not_there", subvolume_not_there),
    ("ostree::subvolume_falls_back", subvolume_falls_back),
    ("ostree::subvolume_changes_are_kept", subvolume_changes_are_kept),
    ("ostree::subvolume_rolls_back", subvolume_rolls_back),
];

/// Words of a boot entry of Fedora's.
const FLAGS: &str = "rootflags=subvol=root surefoot.verity=optional";
const AUTO: &str = "surefoot.deployment=auto";
const ROOT: Place = Place::Subvolume("root");
/// Bytes of a sysroot whose trees hold the tool.
const WITH_TOOL: u64 = 400 << 20;

fn two() -> Result<Sysroot> {
    Ok(Sysroot::new().at(ROOT).deploy(&version(1)?).deploy(&version(2)?))
}

/// Fails unless this deployment came up, as what was meant, and nothing else is told.
fn came_up(report: &Report, machine: &Machine, number: usize) -> Result<()> {
    is_booted(report, &machine.called(number)?, "insecure")?;
    same("what failed", &failed(report)?, &Vec::new())?;
    same("what was passed over", &passed_over(report)?, &Vec::new())?;
    same("what was meant", &fallback(report)?, &None)
}

/// Fails unless the mounts are those that a mount of the subvolume would have led to.
fn mounts(report: &Report, machine: &Machine, number: usize) -> Result<()> {
    let expected = [
        "/ rw /rootD",
        "/boot rw /root/boot",
        "/usr ro /rootD/usr",
        "/sysroot rw /root",
        "/var rw /root/ostree/deploy/probe/var",
    ];
    binds(report, machine, number, &expected)
}

fn subvolume_named(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let report = booted(&machine.boot(&format!("{FLAGS} {}", machine.deployment(0)?.word()))?)?;
    came_up(&report, &machine, 0)?;
    mounts(&report, &machine, 0)?;
    mount(
        &report,
        "/sysroot btrfs /dev/vda1 /root rw,relatime rw,discard=async,space_cache=v2,subvolid=256,subvol=/root",
    )
}

fn subvolume_auto(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let report = booted(&machine.boot(&format!("{FLAGS} {AUTO} probe.read=/usr/lib/version"))?)?;
    came_up(&report, &machine, 1)?;
    mounts(&report, &machine, 1)?;
    actions(&report, &[("probe.read=/usr/lib/version", text("2"))])?;
    // What the boot entry names comes first all the same.
    let report = booted(&machine.boot(&format!("{FLAGS} {AUTO} {}", machine.deployment(0)?.word()))?)?;
    came_up(&report, &machine, 0)
}

fn subvolume_composefs(name: &str) -> Result<()> {
    let sysroot = Sysroot::new().at(ROOT).composefs(Composefs::Plain).deploy(&version(1)?);
    let machine = Machine::new(name, &sysroot, &[(CONFIGURATION, "[composefs]\nenabled=yes\n")])?;
    let report = booted(&machine.boot(&format!("{FLAGS} {AUTO} probe.read=/usr/lib/version"))?)?;
    came_up(&report, &machine, 0)?;
    actions(&report, &[("probe.read=/usr/lib/version", text("1"))])
}

/// Without `rootflags=` the sysroot is what a mount shows.
fn subvolume_by_default(name: &str) -> Result<()> {
    let sysroot = two()?.at(Place::DefaultSubvolume("root"));
    let machine = Machine::new(name, &sysroot, &[])?;
    for (words, number) in [(AUTO, 1), (&machine.deployment(0)?.word(), 0)] {
        let report = booted(&machine.boot(&format!("surefoot.verity=optional {words}"))?)?;
        came_up(&report, &machine, number)?;
        mounts(&report, &machine, number)?;
    }
    Ok(())
}

fn subvolume_not_there(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let words = format!("rootflags=subvol=gone surefoot.verity=optional {}", machine.deployment(0)?.word());
    let why = "gone: there is no such subvolume: there is nothing by that name";
    refused(&machine.boot(&words)?, &format!("no deployment was found that may boot; {why}"))
}

fn subvolume_falls_back(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?.edit_in(1, Edit::remove("sbin/init")), &[])?;
    let report = booted(&machine.boot(&format!("{FLAGS} {AUTO} probe.read=/usr/lib/version"))?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    let reason = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
                  /etc/init, /bin/init, /bin/sh";
    let broken = (machine.called(1)?, reason.to_owned());
    same("what failed", &failed(&report)?, &vec![broken.clone()])?;
    same("what was meant", &fallback(&report)?, &Some(broken))?;
    mounts(&report, &machine, 0)?;
    actions(&report, &[("probe.read=/usr/lib/version", text("1"))])
}

/// `/etc` is a deployment's own, `/var` is that of all, however they come to boot.
fn subvolume_changes_are_kept(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?, &[])?;
    let write = format!("{FLAGS} {AUTO} probe.write=/etc/new:e probe.write=/var/new:v");
    came_up(&booted(&machine.boot_keeping("write", &write)?)?, &machine, 1)?;
    let (read, kept) = ("probe.read=/etc/new probe.read=/var/new", ("probe.read=/var/new", text("v")));
    let report = booted(&machine.boot_keeping("again", &format!("{FLAGS} {AUTO} {read}"))?)?;
    actions(&report, &[("probe.read=/etc/new", text("e")), kept.clone()])?;
    let other = format!("{FLAGS} {} {read}", machine.deployment(0)?.word());
    let report = booted(&machine.boot_keeping("other", &other)?)?;
    actions(&report, &[("probe.read=/etc/new", Done::Failed(2)), kept])
}

/// There is one ledger, whether a deployment is named or chosen, and the commands keep the same.
fn subvolume_rolls_back(name: &str) -> Result<()> {
    const MARK_GOOD: &str = "/usr/bin/surefoot mark-good";
    const ROLLBACK: &str = "/usr/bin/surefoot rollback";
    let sysroot = Sysroot::new().at(ROOT).bytes(WITH_TOOL).deploy(&tree("1", &[])?).deploy(&tree("2", &[])?);
    let machine = Machine::new(name, &sysroot, &[])?;
    let words = |words: &str, line: &str| format!("{FLAGS} {words} probe.run=\"{line}\"");
    let named = machine.deployment(0)?.word();
    for (boot, words, number, line) in [
        ("old", words(&named, MARK_GOOD), 0, MARK_GOOD),
        ("new", words(AUTO, MARK_GOOD), 1, MARK_GOOD),
        ("back", words(AUTO, ROLLBACK), 1, ROLLBACK),
        ("rolled-back", words(AUTO, MARK_GOOD), 0, MARK_GOOD),
    ] {
        let report = booted(&machine.boot_keeping(boot, &words)?)?;
        came_up(&report, &machine, number)?;
        ran(&report, line, 0)?;
    }
    Ok(())
}
