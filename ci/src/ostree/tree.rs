//! What a commit is made from.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache::Key;
use crate::tree::Tree;

/// The kernel that dummies stand in for; a machine here gets its kernel from QEMU.
pub const KERNEL_VERSION: &str = "6.0-surefoot";

/// The content of a commit: an archive, a tree over it, or one of them alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    archive: Option<PathBuf>,
    tree: Tree,
}

impl Source {
    /// A tar archive, with files that replace some of its own. It has to be laid out as a deployment is.
    pub fn archive(archive: &Path, over: &Tree) -> Self {
        Self { archive: Some(archive.to_owned()), tree: over.clone() }
    }

    /// Adds it to a cache key. Archives have a key in their names.
    #[must_use]
    pub(super) fn key(&self, key: Key) -> Key {
        let key = self.archive.iter().fold(key, |key, archive| key.text(&archive.to_string_lossy()));
        self.tree.key(key)
    }

    /// The `--tree=` words of `ostree commit`; a tree is written to the empty folder `scratch`.
    pub(super) fn words(&self, scratch: &Path) -> Result<Vec<String>> {
        self.tree.write(scratch)?;
        let archive = self.archive.iter().map(|archive| format!("--tree=tar={}", archive.display()));
        Ok(archive.chain([format!("--tree=dir={}", scratch.display())]).collect())
    }
}

impl From<&Tree> for Source {
    /// A tree of any layout: what a deployment needs is added.
    fn from(tree: &Tree) -> Self {
        Self { archive: None, tree: deployable(tree) }
    }
}

/// A tree as ostree deploys it: the defaults of `/etc` in `/usr/etc`, `/home` in `/var`, the link `/ostree`, the
/// directories that get mounts, and a kernel where it has none (ostree's manual, "Adapting existing systems").
pub fn deployable(tree: &Tree) -> Tree {
    let mut tree = tree.clone().moved("etc", "usr/etc").without("home").symlink("home", "var/home");
    tree = tree.symlink("ostree", "sysroot/ostree");
    for name in ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "usr", "usr/etc", "usr/lib", "var"] {
        if !tree.contains(name) {
            tree = tree.directory(name);
        }
    }
    if tree.contains("usr/lib/modules") {
        return tree;
    }
    let modules = format!("usr/lib/modules/{KERNEL_VERSION}");
    tree.directory("usr/lib/modules")
        .directory(&modules)
        .file(&format!("{modules}/vmlinuz"), "no kernel\n", 0o644)
        .file(&format!("{modules}/initramfs.img"), "no initramfs\n", 0o644)
}
