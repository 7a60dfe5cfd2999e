//! What the host tool says of an altered disk.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::host_tool;
use crate::random::Random;
use crate::slots::Image;
use crate::tamper::mutation::{self, Altered};
use crate::tamper::{Tally, Victim};

/// What the tool made of an altered disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It would boot in the first choice, and `surefoot verity verify` finds that as it was made.
    Intact,
    /// It would fall back, and `surefoot verity verify` finds what it would boot as it was made.
    FallsBack,
    /// It would boot as far as can be told without the kernel, which verifies every block that is read.
    ForTheKernel,
    /// It would boot, and `surefoot verity verify` refuses the chosen slot: so does the kernel what was altered of it.
    VerifyRefuses,
    /// It would not boot.
    WouldNotBoot,
    /// It cannot be told: this machine's kernel has no fs-verity, or the disk is no disk any more.
    CannotTell,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intact => "would boot the first choice, which is intact",
            Self::FallsBack => "would fall back to what is intact",
            Self::ForTheKernel => "would boot, verified block by block",
            Self::VerifyRefuses => "would boot until the altered block is read; verify refuses it",
            Self::WouldNotBoot => "would not boot",
            Self::CannotTell => "cannot be told here",
        })
    }
}

/// Alters a machine's disk `count` times, one change at a time, and has the tool judge each.
///
/// # Errors
/// When a judgement is wrong, and when the tool crashes, hangs or says nothing.
pub fn run(victim: &Victim, random: &mut Random, count: u64) -> Result<Tally> {
    let unaltered = judge(victim).with_context(|| format!("{} as they were made", victim.kind))?;
    ensure!(unaltered != Ending::WouldNotBoot, "{} would not boot as they were made", victim.kind);
    let mut tally = Tally::default();
    while tally.total() < count {
        let mutation = mutation::draw(random, &victim.regions)?;
        let altered = Altered::new(&victim.disk, mutation.change)?;
        // What is written may have been there before.
        if altered.is_other() {
            let ending = judge(victim);
            let ending = ending.with_context(|| format!("{} mutation {}, {mutation}", victim.kind, tally.total()))?;
            tally.add(victim.kind, &mutation, &ending);
        }
        altered.take_back()?;
    }
    Ok(tally)
}

fn judge(victim: &Victim) -> Result<Ending> {
    let mut words = vec!["explain", "--json", "--cmdline", &victim.words, "--initramfs"].into_iter().map(PathBuf::from);
    let words: Vec<_> =
        words.by_ref().chain([victim.initramfs.clone(), "--disk".into(), victim.disk.clone()]).collect();
    let output = host_tool::output(&words)?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(code @ 1..=2) => {
            ensure!(said.starts_with("surefoot: "), "exit code {code} without a reason: {said}");
            return Ok(if code == 1 { Ending::WouldNotBoot } else { Ending::CannotTell });
        }
        _ => bail!("surefoot explain: {}: {said}", output.status),
    }
    let explanation: Value = serde_json::from_slice(&output.stdout).context("the explanation is no JSON")?;
    let attempt =
        explanation["attempts"].as_array().and_then(|all| all.last()).context("it boots without an attempt")?;
    let candidates = explanation["candidates"].as_array().context("it boots without a candidate")?;
    let chosen = candidates.iter().find(|candidate| candidate["name"] == attempt["deployment"]);
    let chosen = chosen.with_context(|| format!("{} is no candidate", attempt["deployment"]))?;
    ensure!(chosen["trust"] == "verified", "something that is not verified would boot: {chosen}");
    let Some(device) = chosen["device"].as_str().filter(|_| !victim.pairs.is_empty()) else {
        return Ok(Ending::ForTheKernel);
    };
    let pair = victim.pairs.iter().find(|(name, ..)| device == format!("/dev/{name}"));
    let (_, places, image) = pair.with_context(|| format!("{device} is no slot"))?;
    let table = attempt["verity"][0]["parameters"].as_str().context("there is no verity device")?;
    ensure!(table.contains(&image.tree.root_hash), "it has another root hash: {table}");
    match verify(&victim.disk, *places, image)? {
        Ending::Intact if candidates.first().is_none_or(|first| first["device"] != device) => Ok(Ending::FallsBack),
        ending => Ok(ending),
    }
}

/// Has the tool verify a slot, and holds its word against what was written there.
///
/// # Errors
/// When the tool accepts what was altered, crashes, hangs or says nothing.
pub fn verify(disk: &Path, places: [u64; 2], image: &Image) -> Result<Ending> {
    let scratch = tempfile::tempdir()?;
    let (data, tree) = (scratch.path().join("data"), scratch.path().join("tree"));
    extract(disk, places[0], &image.data, &data)?;
    extract(disk, places[1], &image.tree.image, &tree)?;
    let is_as_made = std::fs::read(&data)? == std::fs::read(&image.data)?;
    let root_hash = PathBuf::from(&image.tree.root_hash);
    let output = host_tool::output(["verity".into(), "verify".into(), data, tree, root_hash])?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {
            ensure!(is_as_made, "surefoot verity verify accepts data that was altered");
            Ok(Ending::Intact)
        }
        Some(1..=2) if said.starts_with("surefoot: ") => Ok(Ending::VerifyRefuses),
        _ => bail!("surefoot verity verify: {}: {said}", output.status),
    }
}

/// Copies what is on a disk now in the place of `original`, as far as the disk reaches.
fn extract(disk: &Path, offset: u64, original: &Path, to: &Path) -> Result<()> {
    let mut disk = File::open(disk)?;
    disk.seek(SeekFrom::Start(offset))?;
    std::io::copy(&mut disk.take(original.metadata()?.len()), &mut File::create(to)?)?;
    Ok(())
}
