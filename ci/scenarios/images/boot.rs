//! Every form of image, and what vouches for it.

use anyhow::{Result, ensure};
use surefoot_ci::edit::Edit;
use surefoot_ci::images::Images;
use surefoot_ci::kernel::Package;
use surefoot_ci::slots::machine::tree;
use surefoot_probe::Outcome as Done;

use super::machine::{Machine, came_up};
use crate::Scenario;
use crate::judge::{actions, boot_report, mount, refused, same, text};
use crate::slots::judge::{failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("images::hash_tree_appended", |name| appended(name, Package::Cloud612)),
    ("images::hash_tree_appended_kernel_6_1", |name| appended(name, Package::Cloud61)),
    ("images::hash_tree_beside", hash_tree_beside),
    ("images::partitions_inside", partitions_inside),
    ("images::not_accepted", not_accepted),
    ("images::falls_back_to_what_is_accepted", falls_back_to_what_is_accepted),
    ("images::nothing_verifies_it", nothing_verifies_it),
    ("images::newest_is_corrupted", newest_is_corrupted),
    ("images::pinned", pinned),
    ("images::state_survives_an_update", state_survives_an_update),
];

const WRITES: &str = "probe.write=/etc/kept:e probe.write=/var/kept:v probe.write=/usr/new:u";

/// Two versions: the newer one boots, read-only, with the layers that slots have.
fn appended(name: &str, package: Package) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("images/os.v/os_2.raw", &new);
    let machine = Machine::with_kernel(name, package, &images)?;
    let report = came_up(&machine.boot("1", WRITES)?, "os_2", &machine.files.root_hashes[1])?;
    same("what failed", &failed(&report)?, &vec![])?;
    mount(&report, "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround")?;
    let expected = [
        ("probe.write=/etc/kept:e", Done::Done),
        ("probe.write=/var/kept:v", Done::Done),
        ("probe.write=/usr/new:u", Done::Failed(30)),
    ];
    actions(&report, &expected)?;
    // Nothing is left of what was mounted to look for images.
    let left = report.mounts.iter().any(|mount| mount.target.starts_with("/run/surefoot/sysroot"));
    ensure!(!left, "a filesystem that was looked into is still mounted");
    Ok(())
}

fn hash_tree_beside(name: &str) -> Result<()> {
    let images = Images::new().beside("images/os_1.raw", "os_1", &tree("1", &[])?);
    let machine = Machine::new(name, &images)?;
    came_up(&machine.boot("1", "")?, "os_1", &machine.files.root_hashes[0]).map(drop)
}

fn partitions_inside(name: &str) -> Result<()> {
    let images = Images::new().partitioned("images/os.v/os_1.raw", &tree("1", &[])?);
    let machine = Machine::new(name, &images)?;
    came_up(&machine.boot("1", "")?, "os_1", &machine.files.root_hashes[0]).map(drop)
}

/// An image that no accepted root hash belongs to is no candidate.
fn not_accepted(name: &str) -> Result<()> {
    let images = Images::new().appended("images/os_1.raw", &tree("1", &[])?);
    let other = "0123456789abcdef00112233445566778899aabbccddeefffedcba9876543210";
    let mut machine = Machine::new(name, &images)?;
    machine.files.root_hashes = vec![other.to_owned()];
    for (boot, words) in [("1", ""), ("optional", "surefoot.verity=optional")] {
        let outcome = machine.boot(boot, words)?;
        refused(&outcome, "no deployment was found that may boot; os_1: no accepted root hash vouches for it")?;
    }
    Ok(())
}

/// Neither the newest image, whose root hash is not accepted, nor the one before it, whose hash tree is gone, comes up.
fn falls_back_to_what_is_accepted(name: &str) -> Result<()> {
    let trees = [tree("1", &[])?, tree("2", &[])?, tree("3", &[])?];
    let images = Images::new()
        .appended("images/os_1.raw", &trees[0])
        .beside("images/os_2.raw", "os_2", &trees[1])
        .appended("images/os_3.raw", &trees[2])
        .edit(Edit::remove("images/os_2.verity"));
    let mut machine = Machine::new(name, &images)?;
    machine.files.root_hashes.truncate(2);
    let report = came_up(&machine.boot("1", "")?, "os_1", &machine.files.root_hashes[0])?;
    let no_tree = "its root hash is accepted, but there is no hash tree: neither a .verity file beside it nor one right \
                   behind the filesystem";
    let expected = [("os_3", "no accepted root hash vouches for it"), ("os_2", no_tree)];
    let expected = expected.map(|(name, why)| (name.to_owned(), why.to_owned())).to_vec();
    same("what was passed over", &passed_over(&report)?, &expected)
}

fn nothing_verifies_it(name: &str) -> Result<()> {
    let images = Images::new().plain("images/os_1.raw", &tree("1", &[])?);
    let mut machine = Machine::new(name, &images)?;
    machine.files.root_hashes.clear();
    let report = machine.boot("1", "surefoot.verity=optional")?.probe()?;
    let boot = boot_report(&report)?;
    let trust = boot.pointer("/deployment/trust").and_then(serde_json::Value::as_str);
    same("the trust", &trust, &Some("insecure"))?;
    mount(&report, "/ erofs /dev/loop0 / ro,relatime ro,user_xattr,acl,cache_strategy=readaround")
}

/// The newest image is damaged: its loop devices are given back, and the one before it comes up in the same boot.
fn newest_is_corrupted(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("images/os.v/os_2.raw", &new);
    // In erofs's superblock at 1024, bytes 24 to 35 are the creation time: any value would do.
    let machine = Machine::new(name, &images.edit(Edit::Flip("images/os.v/os_2.raw".to_owned(), 1024 + 24)))?;
    let report = came_up(&machine.boot("1", "")?, "os_1", &machine.files.root_hashes[0])?;
    let failed = failed(&report)?;
    let [(name, reason)] = &failed[..] else { anyhow::bail!("one image should have failed: {failed:?}") };
    ensure!(name == "os_2" && reason.contains("data block 0 is corrupted"), "what failed: {failed:?}");
    same("what was meant", &fallback(&report)?, &Some((name.clone(), reason.clone())))
}

fn pinned(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os.v/os_1.raw", &old).appended("other/os_2.raw", &new);
    let machine = Machine::new(name, &images)?;
    let pin = |boot: &str, path: &str| {
        machine.vm(boot).append("root=LABEL=sysroot").append(&format!("surefoot.deployment=image:{path}")).run()
    };
    came_up(&pin("file", "/other/os_2.raw")?, "os_2", &machine.files.root_hashes[1])?;
    came_up(&pin("folder", "images/os.v")?, "os_1", &machine.files.root_hashes[0])?;
    refused(&pin("gone", "images/gone.raw")?, "cannot boot the image images/gone.raw: there is nothing by that name")
}

fn state_survives_an_update(name: &str) -> Result<()> {
    let (old, new) = (tree("1", &[])?, tree("2", &[])?);
    let images = Images::new().appended("images/os_1.raw", &old).partitioned("images/os_2.raw", &new);
    let machine = Machine::new(name, &images)?;
    let old = machine.vm("old").append(&format!("surefoot.deployment=image:images/os_1.raw {WRITES}")).run()?;
    came_up(&old, "os_1", &machine.files.root_hashes[0])?;
    let report = machine.boot("new", "probe.read=/etc/kept probe.read=/var/kept")?;
    let report = came_up(&report, "os_2", &machine.files.root_hashes[1])?;
    actions(&report, &[("probe.read=/etc/kept", text("e")), ("probe.read=/var/kept", text("v"))])
}
