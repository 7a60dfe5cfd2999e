//! What dm-verity is for: nothing that differs from what the root hash vouches for is ever used.

use std::fs;

use anyhow::{Result, ensure};
use surefoot_ci::disk::{Disk, Partition, derived_uuids, types};
use surefoot_ci::drive::Drive;
use surefoot_ci::filesystem::Filesystem;
use surefoot_ci::kernel::Package;
use surefoot_ci::machine::{End, Outcome};
use surefoot_ci::tree::Tree;
use surefoot_ci::verity;
use surefoot_probe::Outcome as Done;

use crate::Scenario;
use crate::judge::{actions, booted, mount, refused, refused_with, same};
use crate::setup::{Layout, Setup, length, state_partition};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("verity::data_that_the_mount_reads", data_that_the_mount_reads),
    ("verity::data_of_init", data_of_init),
    ("verity::data_of_init_kernel_6_1", data_of_init_kernel_6_1),
    ("verity::corruption_panic", corruption_panic),
    ("verity::corruption_eio", corruption_eio),
    ("verity::hash_tree_top", hash_tree_top),
    ("verity::hash_tree_leaf", hash_tree_leaf),
    ("verity::superblock_signature", |name| superblock(name, 0, "not one, for it does not start with \"verity\"")),
    ("verity::superblock_version", |name| superblock(name, 8, "version is 0; allowed is 1")),
    ("verity::superblock_salt", superblock_salt),
    ("verity::root_hash", root_hash),
    ("verity::hash_device_too_short", hash_device_too_short),
    ("verity::data_device_too_short", data_device_too_short),
    ("verity::unverified_root_is_refused", unverified_root_is_refused),
    ("verity::sha512", |name| options(name, Package::Cloud612, &["--hash=sha512"])),
    ("verity::sha512_kernel_6_1", |name| options(name, Package::Cloud61, &["--hash=sha512"])),
    ("verity::chrome_os_format", |name| options(name, Package::Cloud612, &["--format=0"])),
    ("verity::small_blocks", |name| {
        options(name, Package::Cloud612, &["--data-block-size=1024", "--hash-block-size=512"])
    }),
];

const EROFS: &str = "/ erofs /dev/mapper/root / ro,relatime ro,user_xattr,acl,cache_strategy=readaround";

/// A tree with a file whose content can be found in the image.
fn marked_tree() -> Result<Tree> {
    Ok(Tree::probe()?.file("etc/marked", MARK.repeat(512), 0o644))
}

const CANNOT_MOUNT: &str = "cannot mount erofs /dev/mapper/root on /sysroot: fsconfig: Input/output error (EIO); ";
const MARK: &[u8] = b"surefoot marks this block; ";

/// The superblock of the root's filesystem: PID 1 reads it unverified to learn the type, the mount reads it verified.
fn data_that_the_mount_reads(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    // In erofs's superblock at 1024, bytes 24 to 35 are the creation time: any value would do.
    setup.disk.flip_bit("root", 1024 + 24)?;
    refused_with(&setup.boot("")?, CANNOT_MOUNT, &["data block 0 is corrupted"])
}

/// Read after the hand-over: the kernel restarts the machine, for nothing else is left that could.
fn data_of_init(name: &str) -> Result<()> {
    restarts(&Layout::new().prepare(name)?)
}

fn data_of_init_kernel_6_1(name: &str) -> Result<()> {
    restarts(&Layout::new().kernel(Package::Cloud61).prepare(name)?)
}

fn restarts(setup: &Setup) -> Result<()> {
    let elf = setup.disk.find("root", b"\x7fELF")?;
    setup.disk.flip_bit("root", elf)?;
    let outcome = setup.boot("")?;
    corrupted(&outcome, elf / 4096)?;
    ensure!(outcome.report.is_empty(), "the damaged init should not have run\n{}", outcome.tail());
    ensure!(!outcome.console.contains("Kernel panic"), "it should not have panicked\n{}", outcome.tail());
    ensure!(outcome.end == End::Rebooted, "it should have rebooted\n{}", outcome.tail());
    Ok(())
}

fn corrupted(outcome: &Outcome, block: u64) -> Result<()> {
    let line = format!("data block {block} is corrupted");
    ensure!(outcome.console.contains(&line), "the kernel should say \"{line}\"\n{}", outcome.tail());
    Ok(())
}

fn corruption_panic(name: &str) -> Result<()> {
    let setup = Layout::new().tree(marked_tree()?).prepare(name)?;
    let mark = setup.disk.find("root", &MARK.repeat(200))?;
    setup.disk.flip_bit("root", mark)?;
    let outcome = setup.boot("surefoot.corruption=panic probe.read=/etc/marked")?;
    corrupted(&outcome, mark / 4096)?;
    ensure!(outcome.console.contains("Kernel panic"), "it should have panicked\n{}", outcome.tail());
    ensure!(outcome.report.is_empty(), "the probe should not have come to report\n{}", outcome.tail());
    Ok(())
}

fn corruption_eio(name: &str) -> Result<()> {
    let setup = Layout::new().tree(marked_tree()?).prepare(name)?;
    let mark = setup.disk.find("root", &MARK.repeat(200))?;
    setup.disk.flip_bit("root", mark)?;
    let outcome = setup.boot("surefoot.corruption=eio probe.read=/etc/marked probe.read=/etc/hostname")?;
    let report = booted(&outcome)?;
    actions(&report, &[("probe.read=/etc/marked", Done::Failed(5))])?;
    actions(&report, &[("probe.read=/etc/hostname", Done::Text("from-the-image\n".to_owned()))])?;
    corrupted(&outcome, mark / 4096)
}

/// Block 0 of the hash device is the superblock, block 1 the top of the tree.
fn hash_tree_top(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    setup.disk.flip_bit("root-verity", 4096)?;
    let fault = "hash tree is corrupt: hash block 1, the topmost, does not have the root hash";
    refused(&setup.boot("")?, &cannot_verify(&setup.root_hash, fault))
}

/// Block 2 is the first leaf, for the first blocks of data.
fn hash_tree_leaf(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    setup.disk.flip_bit("root-verity", 2 * 4096)?;
    refused_with(&setup.boot("")?, CANNOT_MOUNT, &["metadata block 2 is corrupted"])
}

fn cannot_verify(root_hash: &str, fault: &str) -> String {
    format!("cannot verify root: data /dev/vda1, hash /dev/vda2, root hash {root_hash}: {fault}")
}

fn superblock(name: &str, offset: u64, fault: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    setup.disk.flip_bit("root-verity", offset)?;
    refused(&setup.boot("")?, &format!("cannot verify root: hash device /dev/vda2: verity superblock: {fault}"))
}

fn superblock_salt(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    setup.disk.flip_bit("root-verity", 88)?;
    let fault = "superblock is wrong or hash tree overwritten: no digest in the topmost hash block fits, so salt, \
        algorithm, hash type or sizes are not those that the tree was built with";
    refused(&setup.boot("")?, &cannot_verify(&setup.root_hash, fault))
}

/// With the partitions named outright: a wrong root hash names other partitions, which are not there.
fn root_hash(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let last = if setup.root_hash.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &setup.root_hash[..setup.root_hash.len() - 1]);
    let words = format!(
        "roothash={wrong} systemd.verity_root_data=PARTLABEL=root systemd.verity_root_hash=PARTLABEL=root-verity"
    );
    let outcome = setup.bare().append(&words).drive(Drive::new(&setup.disk)).run()?;
    let fault = format!("root hash is wrong: the hash tree is consistent, and its root hash is {}", setup.root_hash);
    refused(&outcome, &cannot_verify(&wrong, &fault))
}

/// A disk whose data or hash partition lacks its last block.
fn shortened(name: &str, shorten: fn(&mut Vec<u8>, &mut Vec<u8>)) -> Result<(Setup, Disk)> {
    let setup = Layout::new().prepare(name)?;
    let root = Filesystem::Erofs.image(&Tree::probe()?)?;
    let tree = verity::format(&root, &[])?;
    let (mut data, mut hash) = (fs::read(&root)?, fs::read(&tree.image)?);
    shorten(&mut data, &mut hash);
    fs::write(setup.path("data"), data)?;
    fs::write(setup.path("hash"), hash)?;
    let (data_uuid, hash_uuid) = derived_uuids(&tree.root_hash);
    let partitions = [
        Partition::new("root", types::ROOT, &setup.path("data")).uuid(&data_uuid),
        Partition::new("root-verity", types::ROOT_VERITY, &setup.path("hash")).uuid(&hash_uuid),
        state_partition()?,
    ];
    let disk = Disk::create(&setup.path("short"), 512, &partitions)?;
    Ok((setup, disk))
}

fn hash_device_too_short(name: &str) -> Result<()> {
    let (setup, disk) = shortened(name, |_, hash| hash.truncate(hash.len() - 4096))?;
    let outcome = setup.bare().append(&setup.roothash()).drive(Drive::new(&disk)).run()?;
    let has = length(&setup.path("hash"))?;
    let needs = has + 4096;
    refused(
        &outcome,
        &format!(
            "cannot verify root: hash device /dev/vda2 is too short: the hash tree's superblock asks for {needs} bytes, it has {has}"
        ),
    )
}

fn data_device_too_short(name: &str) -> Result<()> {
    let (setup, disk) = shortened(name, |data, _| data.truncate(data.len() - 4096))?;
    let outcome = setup.bare().append(&setup.roothash()).drive(Drive::new(&disk)).run()?;
    let has = length(&setup.path("data"))?;
    let needs = has + 4096;
    refused(
        &outcome,
        &format!(
            "cannot verify root: data device /dev/vda1 is too short: the hash tree's superblock asks for {needs} bytes, it has {has}"
        ),
    )
}

/// `root=` alone, without a word that allows it.
fn unverified_root_is_refused(name: &str) -> Result<()> {
    let setup = Layout::new().prepare(name)?;
    let outcome = setup.bare().append("root=PARTLABEL=root").drive(Drive::new(&setup.disk)).run()?;
    let advice = "give roothash=, or surefoot.verity=optional to boot it insecurely";
    refused(&outcome, &format!("root=PARTLABEL=root is not verified: {advice}"))
}

/// Other hashes, formats and block sizes than veritysetup's defaults.
fn options(name: &str, package: Package, options: &[&'static str]) -> Result<()> {
    let setup = Layout::new().kernel(package).verity(options).prepare(name)?;
    let report = booted(&setup.boot("")?)?;
    mount(&report, EROFS)?;
    same("device-mapper devices", &report.device_mapper.len(), &1)
}
