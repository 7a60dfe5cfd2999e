//! Plain roots, without composefs: what the kernel shows of them.

use anyhow::{Context, Result, ensure};
use surefoot_ci::edit::Edit;
use surefoot_ci::filesystem::Filesystem;
use surefoot_ci::kernel::Package;
use surefoot_ci::ostree::{Deployment, KERNEL_VERSION, Sysroot};
use surefoot_probe::{Outcome as Done, Report};

use deployment::ostree::Booted;

use super::{CONFIGURATION, Machine, TOLD, VENDOR_CONFIGURATION, hotfixed, is_booted, is_told, told, version};
use crate::Scenario;
use crate::judge::{actions, booted, mount, same, text};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ostree::plain", |name| plain(name, Package::Cloud612, Filesystem::Ext4)),
    ("ostree::plain_kernel_61", |name| plain(name, Package::Cloud61, Filesystem::Ext4)),
    ("ostree::plain_xfs", |name| plain(name, Package::Cloud612, Filesystem::Xfs)),
    ("ostree::plain_btrfs", |name| plain(name, Package::Cloud612, Filesystem::Btrfs)),
    ("ostree::boot_entry_without_initramfs", boot_entry_without_initramfs),
    ("ostree::read_only_sysroot", read_only_sysroot),
    ("ostree::read_only_command_line", read_only_command_line),
    ("ostree::transient_etc", transient_etc),
    ("ostree::changes_are_kept", changes_are_kept),
    ("ostree::hotfix", hotfix),
    ("ostree::layers_of_ones_own", layers_of_ones_own),
];

const INSECURE: &str = "surefoot.verity=optional";
const READ_ONLY: &str = "[sysroot]\nreadonly=true\n";

fn one() -> Result<Sysroot> {
    Ok(Sysroot::new().deploy(&version(1)?))
}

/// `TARGET: mode, and the directory of the filesystem that is mounted there`.
pub(super) fn binds(report: &Report, machine: &Machine, number: usize, expected: &[&str]) -> Result<()> {
    let directory = &machine.deployment(number)?.directory;
    for line in expected {
        let mut words = line.split(' ');
        let (target, mode, root) = (words.next(), words.next(), words.next());
        let target = target.context("no target")?;
        let found = report.mount(target).with_context(|| format!("nothing is mounted at {target}"))?;
        let shown = found.root.replace(&format!("/{directory}"), "D");
        let found_mode = found.options.first().map(String::as_str);
        same(&format!("the mount at {target}"), &(found_mode, Some(shown.as_str())), &(mode, root))?;
        ensure!(!found.options.iter().any(|option| option.starts_with("no")), "{target}: {:?}", found.options);
    }
    let targets: Vec<_> = expected.iter().filter_map(|line| line.split(' ').next()).collect();
    let others = |target: &&str| ["dev", "proc", "sys", "run"].contains(&target.split('/').nth(1).unwrap_or_default());
    let found: Vec<_> =
        report.mounts.iter().map(|mount| mount.target.as_str()).filter(|target| !others(target)).collect();
    same("the mount points", &found, &targets)
}

fn plain(name: &str, package: Package, filesystem: Filesystem) -> Result<()> {
    let machine = Machine::with_kernel(name, package, &one()?.on(filesystem).bytes(400 << 20), &[])?;
    let words = "probe.write=/etc/new:1 probe.write=/var/new:1 probe.write=/usr/new:1 probe.write=/sysroot/new:1 \
                 probe.read=/usr/lib/version probe.stat=/run/ostree probe.stat=/run/ostree/.private";
    let link = machine.deployment(0)?.word();
    let report = booted(&machine.boot(&format!("{INSECURE} {link} {words} {}", told(&machine, 0)?))?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    is_told(&report, &machine, 0, TOLD)?;
    let expected = ["/ rw D", "/boot rw /boot", "/usr ro D/usr", "/sysroot rw /", "/var rw /ostree/deploy/probe/var"];
    binds(&report, &machine, 0, &expected)?;
    actions(
        &report,
        &[
            ("probe.write=/etc/new:1", Done::Done),
            ("probe.write=/var/new:1", Done::Done),
            ("probe.write=/usr/new:1", Done::Failed(30)),
            ("probe.write=/sysroot/new:1", Done::Done),
            ("probe.read=/usr/lib/version", text("1")),
        ],
    )?;
    let mode = |path: &str| match report.outcome(&format!("probe.stat={path}")) {
        Some(Done::Entry(entry)) => Ok(entry.mode & 0o7777),
        other => anyhow::bail!("{path}: {other:?}"),
    };
    same("the modes", &(mode("/run/ostree")?, mode("/run/ostree/.private")?), &(0o755, 0))?;
    let booted = report.run.get("/run/ostree-booted").or_else(|| report.run.get("ostree-booted"));
    let booted = booted.with_context(|| format!("no /run/ostree-booted: {:?}", report.run.keys()))?;
    same("the mode of /run/ostree-booted", &(booted.mode & 0o7777), &0o644)
}

/// For a tree without an initramfs ostree names its own program as the init. The deployment's is started all the same.
fn boot_entry_without_initramfs(name: &str) -> Result<()> {
    let tree = version(1)?.without(&format!("usr/lib/modules/{KERNEL_VERSION}/initramfs.img"));
    let machine = Machine::new(name, &Sysroot::new().deploy(&tree), &[])?;
    let Deployment { link, options, .. } = machine.deployment(0)?;
    let words = format!("init={link}/usr/lib/ostree/ostree-prepare-root ostree={link}");
    same("what ostree has written", options.as_str(), &words)?;
    let report = booted(&machine.boot(&format!("{INSECURE} {options} probe.read=/usr/lib/version"))?)?;
    is_booted(&report, &machine.called(0)?, "insecure")?;
    same("what was started", &report.argv, &vec!["/sbin/init".to_owned()])?;
    actions(&report, &[("probe.read=/usr/lib/version", text("1"))])
}

/// The file in `/etc` stands in the place of the other one, all of it: composefs is not asked for.
fn read_only_sysroot(name: &str) -> Result<()> {
    let files = [(VENDOR_CONFIGURATION, "[composefs]\nenabled=yes\n"), (CONFIGURATION, READ_ONLY)];
    let machine = Machine::new(name, &one()?, &files)?;
    let words = "probe.write=/etc/new:1 probe.write=/var/new:1 probe.write=/sysroot/new:1";
    let link = machine.deployment(0)?.word();
    let report = booted(&machine.boot(&format!("{INSECURE} {link} {words} {}", told(&machine, 0)?))?)?;
    is_told(&report, &machine, 0, Booted { sysroot_readonly: true, ..TOLD })?;
    let expected = [
        "/ rw D",
        "/boot rw /boot",
        "/etc rw D/etc",
        "/usr ro D/usr",
        "/sysroot ro /",
        "/var rw /ostree/deploy/probe/var",
    ];
    binds(&report, &machine, 0, &expected)?;
    actions(
        &report,
        &[
            ("probe.write=/etc/new:1", Done::Done),
            ("probe.write=/var/new:1", Done::Done),
            ("probe.write=/sysroot/new:1", Done::Failed(30)),
        ],
    )
}

/// `ro` comes after the `rw` that all machines here are told, and counts.
fn read_only_command_line(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?, &[])?;
    let link = machine.deployment(0)?.word();
    let report = booted(&machine.boot(&format!("{INSECURE} {link} ro"))?)?;
    let expected = ["/ ro D", "/boot ro /boot", "/usr ro D/usr", "/sysroot ro /", "/var rw /ostree/deploy/probe/var"];
    binds(&report, &machine, 0, &expected)
}

fn transient_etc(name: &str) -> Result<()> {
    let configuration = "[sysroot]\nreadonly=true\n[etc]\ntransient=true\n";
    let machine = Machine::new(name, &one()?, &[(VENDOR_CONFIGURATION, configuration)])?;
    let words = format!("{INSECURE} {} probe.read=/etc/hostname", machine.deployment(0)?.word());
    let write = "probe.write=/etc/new:1";
    let report = booted(&machine.boot_keeping("write", &format!("{words} {write} {}", told(&machine, 0)?))?)?;
    actions(&report, &[("probe.read=/etc/hostname", text("from-the-image\n")), (write, Done::Done)])?;
    let upper = "/run/ostree/transient-etc";
    is_told(&report, &machine, 0, Booted { sysroot_readonly: true, transient_etc: Some(upper), ..TOLD })?;
    let lower = "lowerdir=/sysroot/usr/etc";
    mount(
        &report,
        &format!("/etc overlay overlay / rw,relatime rw,{lower},upperdir={upper}/upper,workdir={upper}/work"),
    )?;
    let report = booted(&machine.boot_keeping("read", &format!("{words} probe.read=/etc/new"))?)?;
    actions(&report, &[("probe.read=/etc/new", Done::Failed(2))])
}

/// What is written to `/etc` and `/var` is there with the next boot; another deployment has the same `/var`. That the
/// sysroot is read-only is said by its repository.
fn changes_are_kept(name: &str) -> Result<()> {
    let repository = Edit::file("ostree/repo/config", format!("[core]\nrepo_version=1\nmode=bare\n{READ_ONLY}"));
    let machine = Machine::new(name, &one()?.deploy(&version(2)?).edit(repository), &[])?;
    let (first, second) = (machine.deployment(0)?.word(), machine.deployment(1)?.word());
    let write = format!("{INSECURE} {first} probe.write=/etc/new:e probe.write=/var/new:v");
    let report = booted(&machine.boot_keeping("write", &format!("{write} probe.write=/sysroot/new:1"))?)?;
    actions(&report, &[("probe.write=/sysroot/new:1", Done::Failed(30))])?;
    let read = "probe.read=/etc/new probe.read=/var/new probe.read=/usr/lib/version";
    let report = booted(&machine.boot_keeping("again", &format!("{INSECURE} {first} {read}"))?)?;
    let kept = [("probe.read=/etc/new", text("e")), ("probe.read=/var/new", text("v"))];
    actions(&report, &kept)?;
    let report = booted(&machine.boot_keeping("other", &format!("{INSECURE} {second} {read}"))?)?;
    let other = [
        ("probe.read=/etc/new", Done::Failed(2)),
        ("probe.read=/var/new", text("v")),
        ("probe.read=/usr/lib/version", text("2")),
    ];
    actions(&report, &other)
}

fn hotfix(name: &str) -> Result<()> {
    let machine = Machine::new(name, &hotfixed(one()?), &[])?;
    let words = format!("{INSECURE} {} probe.read=/usr/lib/version", machine.deployment(0)?.word());
    let write = "probe.write=/usr/lib/new:1";
    let report = booted(&machine.boot_keeping("write", &format!("{words} {write}"))?)?;
    actions(&report, &[("probe.read=/usr/lib/version", text("1 fixed")), (write, Done::Done)])?;
    let report = booted(&machine.boot_keeping("read", &format!("{words} probe.read=/usr/lib/new"))?)?;
    actions(&report, &[("probe.read=/usr/lib/new", text("1"))])
}

fn layers_of_ones_own(name: &str) -> Result<()> {
    let machine = Machine::new(name, &one()?, &[])?;
    let link = machine.deployment(0)?.word();
    let words = format!("{INSECURE} {link} surefoot.etc=tmpfs surefoot.var=tmpfs probe.write=/etc/new:1");
    let report = booted(&machine.boot(&words)?)?;
    mount(&report, "/var tmpfs tmpfs / rw,relatime rw,mode=755")?;
    let etc = report.mount("/etc").context("nothing is mounted at /etc")?;
    same("/etc", etc.filesystem.as_str(), "overlay")
}
