//! One machine with deployments of several kinds at once: slots on the first disk, ostree's on the second, composefs images
//! on the third, btrfs snapshots on the fourth, image files on the fifth.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use surefoot_ci::btrfs::{Snapshots, subvolume};
use surefoot_ci::budget::Budget;
use surefoot_ci::cgpt::Counters;
use surefoot_ci::command::command;
use surefoot_ci::composefs::Composefs;
use surefoot_ci::disk::{Disk, Partition, types};
use surefoot_ci::drive::Drive;
use surefoot_ci::edit::Edit;
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::images::Images;
use surefoot_ci::initramfs;
use surefoot_ci::kernel::{self, Kernel, Package};
use surefoot_ci::ostree::{Deployment, Sysroot};
use surefoot_ci::paths;
use surefoot_ci::slots::machine::tree;
use surefoot_ci::slots::{Slot, SlotDisk};
use surefoot_ci::vm::Vm;
use surefoot_probe::{Outcome as Done, Report};
use tempfile::TempDir;

use crate::Scenario;
use crate::judge::{actions, boot_report, booted, same, text as content};
use crate::slots::judge::{failed, fallback, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("mixed::all_kinds_in_one_list", all_kinds_in_one_list),
    ("mixed::each_falls_back_to_the_next_kind", each_falls_back_to_the_next_kind),
    ("mixed::pinned_by_kind_and_name", pinned_by_kind_and_name),
];

/// Bytes of the ostree sysroot: its trees hold the tool.
const SYSROOT_BYTES: u64 = 256 << 20;
const AUTO: &str = "surefoot.deployment=auto";
const VERSION: &str = "probe.read=/etc/version";
/// What is there while a loop device has a file. An image takes two of them: one for its hash tree.
const LOOPS: [&str; 2] = ["probe.stat=/sys/block/loop0/loop", "probe.stat=/sys/block/loop2/loop"];

/// Is there where the kernel of this machine has fs-verity, once an ext4 was mounted.
const FS_VERITY: &str = "/sys/fs/ext4/features/verity";

/// Kind and name of a deployment.
type Called = (String, String);

struct Machine {
    name: String,
    kernel: Kernel,
    initramfs: PathBuf,
    slots: SlotDisk,
    deployments: Vec<Deployment>,
    /// Digests of the composefs images.
    digests: Vec<String>,
    /// Root hash of the image file.
    root_hash: String,
    /// The disks of the other kinds.
    others: Vec<Disk>,
    _scratch: TempDir,
}

impl Machine {
    /// A machine with two of each kind, the newest first in every list, but for one image file. The roots of those of
    /// `broken` lack an init.
    fn new(name: &str, broken: &[&str]) -> Result<Self> {
        let kernel = kernel::fetch(Package::Cloud612)?;
        let initramfs = initramfs::build(&kernel, &["--module", "virtio_console"])?;
        let version = |version: &str| Ok::<_, anyhow::Error>(tree(version, &[])?.file("etc/version", version, 0o644));
        let slots = [("root-a", Counters::good(1)), ("root-b", Counters::untried(2, 2))].map(|(label, counters)| {
            let files = version(label)?;
            let files = if broken.contains(&label) { files.without("sbin/init") } else { files };
            Ok(Slot::new(label, &surefoot_ci::slots::Image::of(&files)?, counters))
        });
        let slots: Vec<_> = slots.into_iter().collect::<Result<_>>()?;
        let mut sysroot =
            Sysroot::new().bytes(SYSROOT_BYTES).deploy(&version("ostree-1")?).deploy(&version("ostree-2")?);
        let mut snapshots = Snapshots::new().snapshot(&version("btrfs-1")?).snapshot(&version("btrfs-2")?);
        let mut repository = Composefs::new(Algorithm::Sha256);
        for number in 1..=2 {
            let called = format!("composefs-{number}");
            let files = version(&called)?;
            let is_broken = broken.contains(&called.as_str());
            repository = repository.image(&if is_broken { files.without("sbin/init") } else { files });
            if broken.contains(&format!("ostree-{number}").as_str()) {
                sysroot = sysroot.edit_in(number - 1, Edit::remove("sbin/init"));
            }
            if broken.contains(&format!("btrfs-{number}").as_str()) {
                snapshots = snapshots.edit_in(number, Edit::remove("sbin/init"));
            }
        }
        let (sysroot, snapshots, repository) = (sysroot.build()?, snapshots.build()?, repository.build()?);
        let files = Images::new().beside("images/probe.raw", "probe", &version("image-1")?).build()?;
        let scratch = tempfile::tempdir()?;
        let disk = |name: &str, path: &Path| {
            Disk::create(&scratch.path().join(name), 512, &[Partition::new(name, types::ROOT, path)])
        };
        let others = vec![
            disk("ostree", &sysroot.path)?,
            disk("composefs", &repository.path)?,
            disk("btrfs", &snapshots.path)?,
            disk("images", &files.path)?,
        ];
        let slots = SlotDisk::create(&scratch.path().join("slots"), &slots)?;
        let root_hash = files.root_hashes.first().context("no root hash")?.clone();
        let (name, deployments, digests) = (name.to_owned(), sysroot.deployments, repository.digests);
        Ok(Self { name, kernel, initramfs, slots, deployments, digests, root_hash, others, _scratch: scratch })
    }

    /// What lets all of them boot, and these words.
    fn words(&self, words: &str) -> String {
        let digests = self.digests.join(",");
        format!("{},{},{digests} surefoot.verity=optional {words}", self.slots.accept_all(), self.root_hash)
    }

    /// Boots once; what is written is forgotten. What was left of the looks and what it cost is judged in any case.
    fn boot(&self, boot: &str, words: &str) -> Result<Report> {
        let vm = Vm::new(&format!("{}-{boot}", self.name), &self.kernel, &self.initramfs);
        let vm =
            vm.append(&self.words(words)).append(VERSION).append(&LOOPS.join(" ")).drive(Drive::new(&self.slots.disk));
        let vm = self.others.iter().fold(vm, |vm, disk| vm.drive(Drive::new(disk)));
        let report = booted(&vm.run()?)?;
        nothing_is_left(&report)?;
        frugal(&report)?;
        Ok(report)
    }

    /// Everything in the order in which it is documented to be tried: the highest priority, what was good, and the others by
    /// their kinds and from the newest to the oldest.
    fn order(&self) -> Vec<Called> {
        let ostree = self.deployments.iter().rev().map(|deployment| ("ostree", deployment.name()));
        let slots = [("slot", "root-b".to_owned()), ("slot", "root-a".to_owned())];
        let images = self.digests.iter().rev().map(|digest| ("composefs", composefs_name(digest)));
        let others = ["snapshot-2", "snapshot-1"].map(|name| ("btrfs", name.to_owned()));
        let image = [("image", "probe".to_owned())];
        let all = slots.into_iter().chain(ostree).chain(images).chain(others).chain(image);
        all.map(|(kind, name)| (kind.to_owned(), name)).collect()
    }

    /// What `surefoot explain` says of the same disks: an explanation, and on another stream why there is none.
    fn explain(&self, words: &str) -> Result<[String; 2]> {
        let tool = paths::program("surefoot")?;
        let mut explain = command(&tool.to_string_lossy());
        explain.args(["explain", "--json", "--look-inside", "--cmdline", &self.words(words)]);
        explain.arg("--initramfs").arg(&self.initramfs).arg("--disk").arg(&self.slots.disk.path);
        let output = explain.args(self.others.iter().map(|disk| &disk.path)).output()?;
        Ok([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()))
    }

    /// Fails unless the rehearsal on the host ranks, tries and boots the same as the guest did. Where the host's kernel has no
    /// fs-verity, it must say that it cannot tell of the first composefs image that is tried.
    fn explained_alike(&self, words: &str, report: &Report) -> Result<()> {
        let [explanation, said] = self.explain(words)?;
        let boot = boot_report(report)?;
        let failed = failed(report)?;
        let booted = text(&boot, "/deployment/name")?;
        let expected: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).chain([booted]).collect();
        let untold = expected.iter().find(|name| name.starts_with("composefs-"));
        if let Some(untold) = untold.filter(|_| !Path::new(FS_VERITY).exists()) {
            let cannot = format!("cannot tell whether the machine would boot {untold}: ");
            ensure!(said.contains(&cannot), "the rehearsal should say: {cannot}\n{said}");
            return Ok(());
        }
        let explanation: Value =
            serde_json::from_str(&explanation).with_context(|| format!("surefoot explain: {said}"))?;
        same("the order", &called(&explanation, "candidates")?, &called(&boot, "deployments")?)?;
        let attempts = explanation.get("attempts").and_then(Value::as_array).context("no attempts")?;
        let tried: Vec<_> = attempts.iter().map(|attempt| text(attempt, "/deployment")).collect::<Result<_>>()?;
        same("what was tried", &tried, &expected)
    }
}

/// What a composefs image is called.
fn composefs_name(digest: &str) -> String {
    format!("composefs-{}", digest.get(..16).unwrap_or_default())
}

/// Kinds and names in a list of a report or an explanation.
fn called(document: &Value, list: &str) -> Result<Vec<Called>> {
    let list = document.get(list).and_then(Value::as_array).with_context(|| format!("no list {list}: {document}"))?;
    list.iter().map(|one| Ok((text(one, "/kind")?.to_owned(), text(one, "/name")?.to_owned()))).collect()
}

/// Fails unless this is what came up.
fn came_up(report: &Report, kind: &str, name: &str, version: &str) -> Result<()> {
    let boot = boot_report(report)?;
    same("what came up", &(text(&boot, "/deployment/kind")?, text(&boot, "/deployment/name")?), &(kind, name))?;
    let trust = if matches!(kind, "slot" | "composefs" | "image") { "verified" } else { "insecure" };
    same("the trust", text(&boot, "/deployment/trust")?, trust)?;
    actions(report, &[(VERSION, content(version))])
}

/// Filesystems that were looked into, and images that were tried, leave nothing in the system that came up.
fn nothing_is_left(report: &Report) -> Result<()> {
    let looks: Vec<_> =
        report.mounts.iter().map(|mount| &mount.target).filter(|target| target.contains("surefoot/sysroot")).collect();
    ensure!(looks.is_empty(), "a look has left its mount: {looks:?}");
    let folders: Vec<_> = report.run.keys().filter(|path| path.contains("surefoot/sysroot")).collect();
    ensure!(folders.is_empty(), "a look has left its folder: {folders:?}");
    let kind = boot_report(report)?;
    let own = text(&kind, "/deployment/kind")? == "image";
    for word in LOOPS.into_iter().skip(usize::from(own)) {
        same(word, report.outcome(word).context("no outcome")?, &Done::Failed(2))?;
    }
    Ok(())
}

/// Fails unless PID 1 has kept to its budget of memory.
fn frugal(report: &Report) -> Result<()> {
    let boot = boot_report(report)?;
    let peak = boot.pointer("/agent/memory_peak_kib").and_then(Value::as_u64).context("no memory_peak_kib")?;
    let budget = Budget::read()?.pid1_memory_kib;
    ensure!(peak > 0 && peak <= budget, "PID 1 has had {peak} KiB of memory, its budget is {budget}");
    Ok(())
}

fn all_kinds_in_one_list(name: &str) -> Result<()> {
    let machine = Machine::new(name, &[])?;
    let report = machine.boot("1", AUTO)?;
    came_up(&report, "slot", "root-b", "root-b")?;
    same("what failed", &failed(&report)?, &Vec::new())?;
    same("the order", &called(&boot_report(&report)?, "deployments")?, &machine.order())?;
    machine.explained_alike(AUTO, &report)
}

/// One after the other breaks, until only the last one in the list is left.
fn each_falls_back_to_the_next_kind(name: &str) -> Result<()> {
    let all =
        ["root-b", "root-a", "ostree-2", "ostree-1", "composefs-2", "composefs-1", "btrfs-2", "btrfs-1", "image-1"];
    // The kinds change behind these many.
    for broken in [1, 2, 4, 6, 8] {
        let machine = Machine::new(name, &all[..broken])?;
        let (report, order) = (machine.boot(&broken.to_string(), AUTO)?, machine.order());
        let (kind, called) = &order[broken];
        came_up(&report, kind, called, all[broken])?;
        let failed = failed(&report)?;
        let names: Vec<_> = failed.iter().map(|(name, _)| name).collect();
        same("what failed", &names, &order.iter().take(broken).map(|(_, name)| name).collect())?;
        for (name, why) in &failed {
            ensure!(why.starts_with("the new root has no init that can be started"), "{name}: {why}");
        }
        same("what was meant", &fallback(&report)?, &failed.first().cloned())?;
        machine.explained_alike(AUTO, &report)?;
    }
    Ok(())
}

fn pinned_by_kind_and_name(name: &str) -> Result<()> {
    let machine = Machine::new(name, &[])?;
    let ostree = machine.deployments.first().context("no deployment")?.name();
    let snapshot = subvolume(1);
    let digest = machine.digests.first().context("no composefs image")?;
    let composefs = composefs_name(digest);
    for (kind, pin, name, version) in [
        ("ostree", ostree.as_str(), ostree.as_str(), "ostree-1"),
        ("composefs", digest, &composefs, "composefs-1"),
        ("btrfs", &snapshot, "snapshot-1", "btrfs-1"),
        ("image", "images/probe.raw", "probe", "image-1"),
        ("slot", "root-a", "root-a", "root-a"),
    ] {
        let words = format!("surefoot.deployment={kind}:{pin}");
        let report = machine.boot(kind, &words)?;
        came_up(&report, kind, name, version)?;
        let one = vec![(kind.to_owned(), name.to_owned())];
        same("the list", &called(&boot_report(&report)?, "deployments")?, &one)?;
        machine.explained_alike(&words, &report)?;
    }
    Ok(())
}
