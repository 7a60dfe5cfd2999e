//! Deployments that are a composefs.

use anyhow::{Context, Result, ensure};
use deployment::ostree::prepare_root::TransientRoot;
use deployment::ostree::{Booted, BootedImage};
use surefoot_ci::edit::Edit;
use surefoot_ci::kernel::Package;
use surefoot_ci::ostree::{Composefs, Sysroot, other_public_key, public_key};
use surefoot_probe::Outcome as Done;

use super::{CONFIGURATION, Machine, TOLD, directory, hotfixed, is_booted, is_told, told, version};
use crate::Scenario;
use crate::judge::{actions, booted, refusal, same, text};
use crate::slots::judge::failed;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::composefs", composefs),
    ("ostree::composefs_maybe", composefs_maybe),
    ("ostree::composefs_verity", composefs_verity),
    ("ostree::composefs_verity_without", composefs_verity_without),
    ("ostree::composefs_signed", composefs_signed),
    ("ostree::composefs_signed_by_another", composefs_signed_by_another),
    ("ostree::composefs_signed_falls_back", composefs_signed_falls_back),
    ("ostree::composefs_verity_kernel_61", composefs_verity_kernel_61),
    ("ostree::transient_root", transient_root),
];

const INSECURE: &str = "surefoot.verity=optional";
const KEYS: &str = "/etc/ostree/initramfs-root-binding.key";

fn one(composefs: Composefs) -> Result<Sysroot> {
    Ok(Sysroot::new().composefs(composefs).deploy(&version(1)?))
}

fn composefs_is_root(report: &surefoot_probe::Report, mode: &str, verity: bool) -> Result<()> {
    let root = report.mount("/").context("no root")?;
    same("the root", &(root.filesystem.as_str(), root.source.as_str()), &("overlay", "composefs"))?;
    same("its mode", &root.options.first().map(String::as_str), &Some(mode))?;
    let required = root.filesystem_options.iter().any(|option| option == "verity=require");
    ensure!(required == verity, "verity: {:?}", root.filesystem_options);
    Ok(())
}

/// What the booted system is told of a composefs.
const PLAIN: Booted<'static> =
    Booted { composefs: Some(BootedImage { verity: false, signed: None }), sysroot_readonly: true, ..TOLD };

/// With a hotfix: nothing vouches for it, nor for the rest.
fn composefs(name: &str) -> Result<()> {
    let machine =
        Machine::new(name, &hotfixed(one(Composefs::Plain)?), &[(CONFIGURATION, "[composefs]\nenabled=yes\n")])?;
    let words = "probe.write=/new:1 probe.write=/etc/new:1 probe.write=/var/new:1 probe.write=/sysroot/new:1 \
                 probe.write=/usr/new:1 probe.read=/usr/lib/version probe.list=/run/systemd";
    let words = format!("{INSECURE} {} {words} {}", machine.deployment(0)?.word(), told(&machine, 0)?);
    let report = booted(&machine.boot(&words)?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    is_told(&report, &machine, 0, PLAIN)?;
    composefs_is_root(&report, "ro", false)?;
    let device = directory(&report, &machine, 0)?.device;
    let root = report.run.get("/run/systemd/volatile-root").and_then(|link| link.content.as_deref());
    same("where / comes from", &root, &Some(&*format!("/dev/block/{}:{}", device >> 8, device & 0xff)))?;
    actions(
        &report,
        &[
            ("probe.write=/new:1", Done::Failed(30)),
            ("probe.write=/etc/new:1", Done::Done),
            ("probe.write=/var/new:1", Done::Done),
            ("probe.write=/sysroot/new:1", Done::Failed(30)),
            ("probe.write=/usr/new:1", Done::Done),
            ("probe.read=/usr/lib/version", text("1 fixed")),
            ("probe.list=/run/systemd", Done::Names(vec!["volatile-root".to_owned()])),
        ],
    )
}

fn composefs_maybe(name: &str) -> Result<()> {
    for (composefs, filesystem) in [(Composefs::No, "ext4"), (Composefs::Plain, "overlay")] {
        let machine = Machine::new(name, &one(composefs)?, &[(CONFIGURATION, "[composefs]\nenabled=maybe\n")])?;
        let report = booted(&machine.boot(&format!("{INSECURE} {}", machine.deployment(0)?.word()))?)?;
        same("the root", report.mount("/").context("no root")?.filesystem.as_str(), filesystem)?;
    }
    Ok(())
}

const VERITY: &str = "[composefs]\nenabled=verity\n";

fn composefs_verity(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one(Composefs::Verity)?, &[(CONFIGURATION, VERITY)])?;
    let words = "probe.write=/usr/new:1 probe.read=/usr/lib/version";
    let words = format!("{INSECURE} {} {words} {}", machine.deployment(0)?.word(), told(&machine, 0)?);
    let report = booted(&machine.boot(&words)?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    is_told(&report, &machine, 0, Booted { composefs: Some(BootedImage { verity: true, signed: None }), ..PLAIN })?;
    composefs_is_root(&report, "ro", true)?;
    actions(&report, &[("probe.write=/usr/new:1", Done::Failed(30)), ("probe.read=/usr/lib/version", text("1"))])
}

/// Objects without fs-verity are not read.
fn composefs_verity_without(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one(Composefs::Plain)?, &[(CONFIGURATION, VERITY)])?;
    let reason = refusal(&machine.boot(&format!("{INSECURE} {}", machine.deployment(0)?.word()))?)?;
    // The kernel's own words say that it was for the want of fs-verity.
    ensure!(reason.contains("Input/output error (EIO)"), "{reason}");
    Ok(())
}

/// A kernel that cannot hold objects to their digests is not trusted with them.
fn composefs_verity_kernel_61(name: &str) -> Result<()> {
    let sysroot = one(Composefs::Verity)?;
    let machine = Machine::with_kernel(name, Package::Cloud61, &sysroot, &[(CONFIGURATION, VERITY)])?;
    let reason = refusal(&machine.boot(&format!("{INSECURE} {}", machine.deployment(0)?.word()))?)?;
    ensure!(reason.contains("verity=require"), "{reason}");
    Ok(())
}

const SIGNED: &str = "[composefs]\nenabled=signed\n";

/// Without `surefoot.verity=optional`: everything is vouched for. A hotfix is not, and left out.
fn composefs_signed(name: &str) -> Result<()> {
    let sysroot = hotfixed(one(Composefs::Signed)?);
    let machine = Machine::new(name, &sysroot, &[(CONFIGURATION, SIGNED), (KEYS, &public_key()?)])?;
    let words = "probe.write=/etc/new:1 probe.read=/usr/lib/version";
    let words = format!("{} {words} {}", machine.deployment(0)?.word(), told(&machine, 0)?);
    let report = booted(&machine.boot(&words)?)?;
    is_booted(&report, &machine.called(0)?, "verified")?;
    is_told(
        &report,
        &machine,
        0,
        Booted { composefs: Some(BootedImage { verity: true, signed: Some(KEYS) }), ..PLAIN },
    )?;
    composefs_is_root(&report, "ro", true)?;
    actions(&report, &[("probe.write=/etc/new:1", Done::Done), ("probe.read=/usr/lib/version", text("1"))])
}

fn composefs_signed_by_another(name: &str) -> Result<()> {
    let keys = other_public_key()?;
    let machine = Machine::new(name, &one(Composefs::Signed)?, &[(CONFIGURATION, SIGNED), (KEYS, &keys)])?;
    let reason = refusal(&machine.boot(&machine.deployment(0)?.word())?)?;
    let checksum = &machine.deployment(0)?.checksum;
    let why = "the commit is not signed by any of the keys";
    same("the reason", reason.as_str(), &format!("nothing vouches for its image: commit {checksum}: {why}"))
}

/// The image of the newest deployment is not the one that was signed. The key has a place of its own.
fn composefs_signed_falls_back(name: &str) -> Result<()> {
    let sysroot = one(Composefs::Signed)?.deploy(&version(2)?).edit_in(1, Edit::file(".ostree.cfs", "no image"));
    let key = "/etc/keys/commits.pub";
    let files = [(CONFIGURATION, &*format!("{SIGNED}keypath={key}\n")), (key, &public_key()?)];
    let machine = Machine::new(name, &sysroot, &files)?;
    let words = format!("surefoot.deployment=auto probe.read=/usr/lib/version {}", told(&machine, 0)?);
    let report = booted(&machine.boot(&words)?)?;
    is_booted(&report, &machine.called(0)?, "verified")?;
    is_told(
        &report,
        &machine,
        0,
        Booted { composefs: Some(BootedImage { verity: true, signed: Some(key) }), ..PLAIN },
    )?;
    actions(&report, &[("probe.read=/usr/lib/version", text("1"))])?;
    let failed = failed(&report)?;
    let expected = "has another fs-verity digest than it must have";
    ensure!(failed.len() == 1 && failed[0].0 == machine.called(1)? && failed[0].1.contains(expected), "{failed:?}");
    Ok(())
}

fn transient_root(name: &str) -> Result<()> {
    let (writable, read_only) = (TransientRoot::Writable, TransientRoot::ReadOnly);
    let kinds = [("transient", writable, "rw", Done::Done), ("transient-ro", read_only, "ro", Done::Failed(30))];
    for (key, transient_root, mode, write) in kinds {
        let configuration = format!("[composefs]\nenabled=yes\n[root]\n{key}=true\n[etc]\ntransient=true\n");
        let machine = Machine::new(name, &one(Composefs::Plain)?, &[(CONFIGURATION, &configuration)])?;
        let words = format!("{INSECURE} {}", machine.deployment(0)?.word());
        let writes = "probe.write=/new:1 probe.write=/etc/new:1 probe.read=/etc/hostname";
        let write_words = format!("{words} {writes} {}", told(&machine, 0)?);
        let report = booted(&machine.boot_keeping(&format!("{key}-write"), &write_words)?)?;
        composefs_is_root(&report, mode, false)?;
        let transient_etc = Some("/run/ostree/transient-etc");
        is_told(&report, &machine, 0, Booted { transient_root, transient_etc, ..PLAIN })?;
        let etc = ("probe.read=/etc/hostname", text("from-the-image\n"));
        actions(&report, &[("probe.write=/new:1", write), ("probe.write=/etc/new:1", Done::Done), etc])?;
        let read = format!("{words} probe.read=/new probe.read=/etc/new");
        let report = booted(&machine.boot_keeping(&format!("{key}-read"), &read)?)?;
        actions(&report, &[("probe.read=/new", Done::Failed(2)), ("probe.read=/etc/new", Done::Failed(2))])?;
    }
    Ok(())
}
