//! What must not boot, or must not be read, and what is said then.

use anyhow::{Result, ensure};
use surefoot_ci::command::{command, run};
use surefoot_ci::composefs::Composefs;
use surefoot_ci::edit::Edit;
use surefoot_ci::fsverity::{self, Algorithm};
use surefoot_ci::kernel::Package;
use surefoot_ci::paths;
use surefoot_probe::Outcome as Done;

use super::accepted::accept;
use super::boots::{VERSION, runs};
use super::{Machine, came_up, file_of, long, tree};
use crate::Scenario;
use crate::judge::{actions, refused, refused_with, said, same};
use crate::slots::judge::{failed, fallback};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::without_verity", without_verity),
    ("composefs::unmarked_repository", unmarked_repository),
    ("composefs::tampered_object", tampered_object),
    ("composefs::replaced_object", replaced_object),
    ("composefs::tampered_image", tampered_image),
    ("composefs::replaced_image", replaced_image),
    ("composefs::crafted_links", crafted_links),
    ("composefs::kernel_6_1", kernel_6_1),
];

fn one() -> Result<Composefs> {
    Ok(Composefs::new(Algorithm::Sha256).image(&tree("one")?))
}

const UNVERIFIED: &str = "nothing verifies the repository: it was made without fs-verity (/composefs/meta.json has none); a ? \
                          before the digest would allow that";

/// Never mounted as if it were verified, and with the mark only where unverified roots may boot.
fn without_verity(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?.without_verity())?;
    for policy in ["", "surefoot.verity=optional", "surefoot.verity=off"] {
        refused(&machine.boot(&format!("{} {policy}", machine.image.word(0, false)?))?, UNVERIFIED)?;
    }
    let why = "nothing verifies it: surefoot.verity=optional boots it insecurely";
    let why = format!("no deployment was found that may boot; {}: {why}", machine.deployment(0));
    refused(&machine.boot(&machine.image.word(0, true)?)?, &why)
}

/// Objects with fs-verity do not make a repository one that has it.
fn unmarked_repository(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?)?;
    let image = machine.scratch.path().join("unmarked");
    std::fs::copy(&machine.image.path, &image)?;
    // Extents alone, as a file without fs-verity has it.
    let request = "set_inode_field /composefs/meta.json flags 0x80000";
    run(command("debugfs").args(["-w", "-R", request]).arg(&image))?;
    machine.disk.overwrite("sysroot", 0, &std::fs::read(&image)?)?;
    refused(&machine.boot(&machine.image.word(0, false)?)?, UNVERIFIED)?;
    // The mark leaves the objects verified, but nothing says that all of them are.
    let words = format!("{} surefoot.verity=optional", machine.image.word(0, true)?);
    let report = came_up(&machine.boot(&words)?)?;
    let options = report.mount("/").map(|mount| mount.filesystem_options.join(",")).unwrap_or_default();
    ensure!(options.ends_with(",verity=require"), "{options}");
    Ok(())
}

fn tampered_object(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?)?;
    machine.disk.flip_bit("sysroot", machine.disk.find("sysroot", long("one").as_bytes())?)?;
    let outcome = machine.boot(&format!("{} probe.read=/usr/lib/version", machine.image.word(0, false)?))?;
    actions(&came_up(&outcome)?, &[("probe.read=/usr/lib/version", Done::Failed(5))])
}

/// The init is another program, and has fs-verity.
fn replaced_object(name: &str) -> Result<()> {
    let init = fsverity::digest(&paths::program("surefoot-probe")?, Algorithm::Sha256)?;
    let object = format!("composefs/objects/{}/{}", &init[..2], &init[2..]);
    let machine = Machine::new(name, &one()?.edit(Edit::file(&object, long("#!/bin/evil\n"))))?;
    let start =
        "the new root has no init that can be started: /sbin/init: it cannot be opened: Input/output error (EIO)";
    refused_with(&machine.boot(&machine.image.word(0, false)?)?, start, &["fs-verity digest"])
}

/// In erofs's superblock at 1024, bytes 24 to 35 are the creation time: any value would do.
fn tampered_image(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?)?;
    let content = file_of(&machine.image.path, &machine.image.object(0)?)?;
    let place = machine.disk.find("sysroot", &content[..4096])?;
    machine.disk.flip_bit("sysroot", place + 1024 + 24)?;
    let start = format!("cannot mount composefs composefs:{} on /sysroot: ", machine.digest(0));
    refused_with(&machine.boot(&machine.image.word(0, false)?)?, &start, &["Input/output error"])
}

/// A whole other image, with the fs-verity of its own, under the name of the one that is wanted, which is the newest.
fn replaced_image(name: &str) -> Result<()> {
    let two = one()?.image(&tree("two")?);
    let plain = Machine::new(&format!("{name}-plain"), &two)?;
    let other = file_of(&plain.image.path, &plain.image.object(0)?)?;
    let object = plain.image.object(1)?;
    let machine = Machine::new(name, &two.edit(Edit::file(&object, other)))?;
    let why = format!("the image /run/surefoot/sysroot/0/{object} has another fs-verity digest than it must have");
    let why = format!("cannot mount composefs composefs:{} on /sysroot: {why}", machine.digest(1));
    refused(&machine.boot(&machine.image.word(1, false)?)?, &why)?;
    // Such a failure is told, and the next one boots: of those that are named, and of those that are accepted.
    let named = format!("{} {} {VERSION}", machine.image.word(1, false)?, machine.image.word(0, false)?);
    for words in [named, accept(&machine, &[0, 1])] {
        let outcome = machine.boot(&words)?;
        let report = came_up(&outcome)?;
        runs(&report, &machine, 0, "one", "verified")?;
        let replaced = (machine.deployment(1), why.clone());
        same("what failed", &failed(&report)?, &vec![replaced.clone()])?;
        same("what was meant", &fallback(&report)?, &Some(replaced))?;
        said(&outcome, &format!("{} does not boot: {why}", machine.deployment(1)))?;
    }
    Ok(())
}

/// Links of the repository and of the state that lead elsewhere.
fn crafted_links(name: &str) -> Result<()> {
    let plain = Machine::new(&format!("{name}-plain"), &one()?)?;
    let digest = plain.digest(0);
    let var = format!("state/deploy/{digest}/var");
    for (edit, why) in [
        (
            Edit::symlink(&format!("composefs/images/{digest}"), "../../../../init"),
            format!("/composefs/images/{digest} is a link to ../../../../init, not to the object of its own name"),
        ),
        (
            Edit::symlink(&var, "../../../../../run"),
            format!(
                "a symbolic link on the way to /{var} is absolute or leads out of the filesystem, or there are more than 8"
            ),
        ),
        (
            Edit::symlink(&format!("state/deploy/{digest}/etc"), "/run"),
            format!(
                "a symbolic link on the way to /state/deploy/{digest}/etc is absolute or leads out of the filesystem, or \
                 there are more than 8"
            ),
        ),
        (
            Edit::remove(&format!("state/deploy/{digest}")),
            format!("/state/deploy/{digest} is no directory: nothing was deployed with this image"),
        ),
    ] {
        let machine = Machine::new(name, &one()?.without_verity().edit(edit))?;
        let words = format!("{} surefoot.verity=optional", machine.image.word(0, true)?);
        refused(&machine.boot(&words)?, &why)?;
    }
    Ok(())
}

/// Its overlays cannot verify anything.
fn kernel_6_1(name: &str) -> Result<()> {
    let machine = Machine::with(name, &one()?, Package::Cloud61, "")?;
    let start = format!("cannot mount composefs composefs:{} on /sysroot: ", machine.digest(0));
    let why = "this kernel cannot verify the files of a composefs: its overlayfs has no verity=require (Linux 6.6 has)";
    refused(&machine.boot(&machine.image.word(0, false)?)?, &format!("{start}{why}"))
}
