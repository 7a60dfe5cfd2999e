//! Boots that go well, and those that go on to another image.

use anyhow::{Context, Result, ensure};
use surefoot_ci::composefs::{Composefs, Version};
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::kernel::Package;
use surefoot_probe::{Outcome as Done, Report};

use super::{Machine, came_up, long, tree};
use crate::Scenario;
use crate::boot::MOUNTS;
use crate::judge::{actions, boot_report, mount, mounts, refused, same, text};
use crate::slots::judge::{failed, fallback, passed_over};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("composefs::sha256", |name| usual(name, Algorithm::Sha256, Version::V1)),
    ("composefs::sha256_v2", |name| usual(name, Algorithm::Sha256, Version::V2)),
    ("composefs::sha512", |name| usual(name, Algorithm::Sha512, Version::V1)),
    ("composefs::sha512_v2", |name| usual(name, Algorithm::Sha512, Version::V2)),
    ("composefs::second_digest", second_digest),
    ("composefs::auto", auto),
    ("composefs::pinned", pinned),
    ("composefs::question_mark", question_mark),
    ("composefs::question_mark_without_verity", |name| insecure(name, Package::Cloud612)),
    ("composefs::question_mark_without_verity_kernel_6_1", |name| insecure(name, Package::Cloud61)),
    ("composefs::no_sysroot_directory", no_sysroot_directory),
];

/// What the top of the root is mounted from.
pub(super) fn top(digest: &str) -> String {
    format!(
        "/ overlay composefs:{digest} / ro,relatime ro,lowerdir+=/proc/self/fd/N,datadir+=/proc/self/fd/N,\
         redirect_dir=on,metacopy=on,verity=require"
    )
}

/// That the deployment of this number runs, which has this text as its version, and whether it is trusted.
pub(super) fn runs(report: &Report, machine: &Machine, number: usize, version: &str, trust: &str) -> Result<()> {
    actions(report, &[("probe.read=/usr/lib/version", text(&long(version)))])?;
    let json = boot_report(report)?;
    let shown = ["name", "kind", "trust"].map(|key| json["deployment"][key].as_str().unwrap_or_default());
    same("the deployment", &shown, &[&machine.deployment(number), "composefs", trust])
}

pub(super) const VERSION: &str = "probe.read=/usr/lib/version";

fn usual(name: &str, algorithm: Algorithm, version: Version) -> Result<()> {
    let machine = Machine::new(name, &Composefs::new(algorithm).version(version).image(&tree("one")?))?;
    let words = format!("{} {VERSION} probe.write=/usr/x:x", machine.image.word(0, false)?);
    let report = came_up(&machine.boot(&words)?)?;
    runs(&report, &machine, 0, "one", "verified")?;
    let digest = machine.digest(0);
    let state = format!("/state/deploy/{digest}");
    let [_, dev, proc, run, sys, ..] = MOUNTS;
    let etc = format!(
        "/etc overlay overlay / rw,relatime rw,lowerdir=/sysroot/etc,upperdir=/run/surefoot/sysroot/0{state}/etc/upper,\
         workdir=/run/surefoot/sysroot/0{state}/etc/work"
    );
    let var = format!("/var ext4 /dev/vda1 {state}/var rw,relatime rw");
    mounts(&report, &[&top(digest), dev, proc, run, sys, "/sysroot ext4 /dev/vda1 / ro,relatime rw", &etc, &var])?;
    let link = report.run.get("/run/systemd/volatile-root").and_then(|entry| entry.content.as_deref());
    same("the device of /", &link, &Some("/dev/block/254:1"))?;
    actions(&report, &[("probe.write=/usr/x:x", Done::Failed(30))])
}

fn two() -> Result<Composefs> {
    Ok(Composefs::new(Algorithm::Sha256).image(&tree("one")?).image(&tree("two")?))
}

/// A digest without an image.
fn missing(machine: &Machine) -> String {
    machine.digest(0).chars().rev().collect()
}

/// The list of the command line: the first that is there.
fn second_digest(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?)?;
    let missing = missing(&machine);
    let words = format!("composefs={missing} {} {VERSION}", machine.image.word(1, false)?);
    let report = came_up(&machine.boot(&words)?)?;
    runs(&report, &machine, 1, "two", "verified")?;
    let expected = [
        (
            format!("composefs-{}", &missing[..16]),
            format!("there is no composefs/images/{missing}, but another one that is named"),
        ),
        ("vda2".to_owned(), "it has no composefs repository (/composefs)".to_owned()),
    ];
    same("what was passed over", &passed_over(&report)?, &expected.to_vec())?;
    // Nothing else was meant: the first of the list that is there.
    same("what was meant", &fallback(&report)?, &None)
}

/// Without trust in anything, an image that nobody named is good enough to fall back on.
fn auto(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?)?;
    let missing = missing(&machine);
    let words = format!("composefs={missing} surefoot.deployment=auto {VERSION}");
    let outcome = machine.boot(&format!("{words} surefoot.verity=optional"))?;
    let report = came_up(&outcome)?;
    let why = format!("cannot find the image /composefs/images/{missing}: there is nothing by that name");
    let meant = (format!("composefs-{}", &missing[..16]), why.clone());
    same("what failed", &failed(&report)?, &vec![meant.clone()])?;
    same("what was meant", &fallback(&report)?, &Some(meant))?;
    let boot = boot_report(&report)?;
    same("the trust", &boot["deployment"]["trust"].as_str(), &Some("insecure"))?;
    let name = boot["deployment"]["name"].as_str().unwrap_or_default();
    ensure!([0, 1].iter().any(|number| machine.deployment(*number) == name), "{name} booted");
    refused(&machine.boot(&words)?, &why)
}

fn pinned(name: &str) -> Result<()> {
    let machine = Machine::new(name, &two()?)?;
    let words = format!("{} surefoot.deployment=composefs:{}", machine.image.word(0, false)?, machine.digest(1));
    runs(&came_up(&machine.boot(&format!("{words} {VERSION}"))?)?, &machine, 1, "two", "verified")
}

/// Where there is fs-verity, the mark changes nothing.
fn question_mark(name: &str) -> Result<()> {
    let machine = Machine::new(name, &Composefs::new(Algorithm::Sha256).image(&tree("one")?))?;
    let report = came_up(&machine.boot(&format!("{} {VERSION}", machine.image.word(0, true)?))?)?;
    runs(&report, &machine, 0, "one", "verified")?;
    mount(&report, &top(machine.digest(0)))
}

/// The file of the first loop device, and what the kernel tells of an erofs that is mounted from that device.
const LOOP_FILE: &str = "probe.read=/sys/block/loop0/loop/backing_file";
const LOOP_EROFS: &str = "probe.stat=/sys/fs/erofs/loop0";

/// Kernel 6.1 mounts the image from a loop device.
fn insecure(name: &str, package: Package) -> Result<()> {
    let repository = Composefs::new(Algorithm::Sha256).without_verity().image(&tree("one")?);
    let machine = Machine::with(name, &repository, package, "")?;
    let words = format!("{} surefoot.verity=optional {VERSION} {LOOP_FILE} {LOOP_EROFS}", machine.image.word(0, true)?);
    let report = came_up(&machine.boot(&words)?)?;
    runs(&report, &machine, 0, "one", "insecure")?;
    let by_loop = package == Package::Cloud61;
    let object = format!("/{}\n", machine.image.object(0)?);
    actions(&report, &[(LOOP_FILE, if by_loop { text(&object) } else { Done::Failed(2) })])?;
    let erofs = report.outcome(LOOP_EROFS).context("no outcome")?;
    same("an erofs on a loop device", &matches!(erofs, Done::Entry(_)), &by_loop)?;
    let layers = if by_loop {
        "lowerdir=/proc/self/fd/N:/proc/self/fd/N"
    } else {
        "lowerdir+=/proc/self/fd/N,datadir+=/proc/self/fd/N"
    };
    let digest = machine.digest(0);
    mount(&report, &format!("/ overlay composefs:{digest} / ro,relatime ro,{layers},redirect_dir=on,metacopy=on"))
}

fn no_sysroot_directory(name: &str) -> Result<()> {
    let machine = Machine::new(name, &Composefs::new(Algorithm::Sha256).image(&tree("one")?.without("sysroot")))?;
    let report = came_up(&machine.boot(&format!("{} {VERSION}", machine.image.word(0, false)?))?)?;
    runs(&report, &machine, 0, "one", "verified")?;
    let json = boot_report(&report)?;
    let told: Vec<_> =
        json["mounts"].as_array().into_iter().flatten().filter_map(|mount| mount["target"].as_str()).collect();
    same("the mounts that are reported", &told[..], &["/", "/etc", "/var"])
}
