//! The calls of `ostree` that lay out a sysroot, and what it has written there.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::composefs::Cfs;
use super::sign::Signer;
use super::{BRANCH, Composefs, Deployment, SIGNER, Source};
use crate::command::{command, run};

/// The command, about the sysroot at `top`.
pub(super) fn ostree(top: &Path) -> Command {
    let mut ostree = command("ostree");
    // Immutable files could not be changed or removed here; they become so in the image.
    ostree.env("OSTREE_SYSROOT", top).env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
    ostree
}

/// Commits to the branch. With composefs the commit says what its image's digest is, and the image is what comes back.
pub(super) fn commit(
    scratch: &Path,
    top: &Path,
    source: &Source,
    time: u64,
    composefs: Composefs,
) -> Result<Option<Cfs>> {
    let repo = top.join("ostree/repo");
    let commit = |words: &[String]| {
        let mut ostree = ostree(top);
        ostree.arg(format!("--repo={}", repo.display())).args([
            "commit",
            "--owner-uid=0",
            "--owner-gid=0",
            "--no-xattrs",
        ]);
        run(ostree.arg(format!("--timestamp=@{time}")).args(words)).map(|checksum| checksum.trim().to_owned())
    };
    let folder = tempfile::tempdir_in(scratch)?;
    let branch = |name: &str| format!("--branch={name}");
    let words = [vec!["--tar-autocreate-parents".to_owned()], source.words(folder.path())?].concat();
    if composefs == Composefs::No {
        commit(&[words, vec![branch(BRANCH)]].concat())?;
        return Ok(None);
    }
    let content = commit(&[words, vec!["--orphan".to_owned()]].concat())?;
    let checkout = folder.path().join("checkout");
    let mut ostree = ostree(top);
    run(ostree.arg(format!("--repo={}", repo.display())).args(["checkout", "-H", &content]).arg(&checkout))?;
    let image = super::composefs::image(&repo, &checkout)?;
    let digest = format!("--add-metadata=ostree.composefs.digest.v0={}", byte_array(&image.digest));
    let checksum = commit(&[format!("--tree=ref={content}"), digest, branch(BRANCH)])?;
    if composefs == Composefs::Signed {
        Signer::new(SIGNER)?.sign(&repo, &checksum)?;
    }
    Ok(Some(image))
}

/// Hexadecimal digits as GVariant's text format has an array of bytes.
pub(super) fn byte_array(hex: &str) -> String {
    let digits: Vec<_> = hex.chars().collect();
    let bytes: Vec<_> = digits.chunks(2).map(|byte| format!("0x{}", byte.iter().collect::<String>())).collect();
    format!("@ay [{}]", bytes.join(", "))
}

/// The boot entries of the Boot Loader Specification that ostree has written, the one with the highest version last; none
/// where nothing was deployed.
pub(super) fn entries(top: &Path) -> Result<Vec<Deployment>> {
    let (mut entries, folder) = (Vec::new(), top.join("boot/loader/entries"));
    if !folder.exists() {
        return Ok(Vec::new());
    }
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let version: u32 =
            value("version ").and_then(|text| text.parse().ok()).context("a version that is no number")?;
        let options = value("options ").unwrap_or_default().to_owned();
        let link = options.split(' ').find_map(|word| word.strip_prefix("ostree="));
        let link = link.context("a boot entry without ostree=")?.to_owned();
        let target = fs::canonicalize(top.join(link.trim_start_matches('/')))?;
        let directory = target.strip_prefix(top.canonicalize()?)?.to_string_lossy().into_owned();
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let checksum = name.split('.').next().unwrap_or_default().to_owned();
        let entry = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        entries.push((version, Deployment { checksum, directory, link, options, entry, composefs: None }));
    }
    entries.sort_by_key(|(version, _)| *version);
    Ok(entries.into_iter().map(|(_, deployment)| deployment).collect())
}
