//! Filesystems that are finished in a guest: every object has fs-verity then, and the filesystem is whole.

use anyhow::{Context, Result, ensure};
use surefoot_ci::command::{command, run};
use surefoot_ci::composefs::{Composefs, Version};
use surefoot_ci::fsverity::Algorithm;
use surefoot_ci::ostree::{self, Sysroot};
use surefoot_ci::tree::Tree;

use crate::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("fsverity::composefs_sha256", |_| composefs(Algorithm::Sha256, Version::V1)),
    ("fsverity::composefs_sha512", |_| composefs(Algorithm::Sha512, Version::V2)),
    ("fsverity::ostree", |_| ostree()),
];

/// What debugfs says of a file's flags: `EXT4_VERITY_FL` is 0x100000 (fs/ext4/ext4.h).
fn has_verity(image: &std::path::Path, file: &str) -> Result<bool> {
    let stat = run(command("debugfs").args(["-R", &format!("stat /{file}")]).arg(image))?;
    let flags = stat.split("Flags: 0x").nth(1).and_then(|rest| rest.split_whitespace().next());
    let flags = u64::from_str_radix(flags.with_context(|| format!("{file} has no flags: {stat}"))?, 16)?;
    Ok(flags & 0x10_0000 != 0)
}

fn whole(image: &std::path::Path, files: &[String]) -> Result<()> {
    run(command("e2fsck").args(["-f", "-n"]).arg(image))?;
    for file in files {
        ensure!(has_verity(image, file)?, "{file} has no fs-verity");
    }
    Ok(())
}

fn composefs(algorithm: Algorithm, version: Version) -> Result<()> {
    let image = Composefs::new(algorithm).version(version).image(&Tree::probe()?).build()?;
    whole(&image.path, &[image.object(0)?, "composefs/meta.json".to_owned()])
}

fn ostree() -> Result<()> {
    let image = Sysroot::new().composefs(ostree::Composefs::Signed).deploy(&Tree::probe()?).build()?;
    let deployment = image.deployments.first().context("nothing is deployed")?.directory.clone();
    whole(&image.path, &[format!("{deployment}/.ostree.cfs"), format!("{deployment}/sbin/init")])
}
