//! The roots that are set up: one of each kind.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::btrfs::Snapshots;
use crate::composefs::{self, Composefs, Version};
use crate::filesystem::{Filesystem, empty_ext4};
use crate::fsverity::Algorithm;
use crate::images::Images;
use crate::ostree::{self, Sysroot};
use crate::slots::Image;
use crate::tree::Tree;

/// Bytes of the state device.
const STATE_BYTES: u64 = 8 << 20;

/// A disk of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disk {
    pub(super) image: PathBuf,
    /// Whether each run begins with a new copy, for runs leave their mark on it.
    pub(super) renewed: bool,
}

/// A root that is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    /// The command line; `{0}` and `{1}` stand for the names of the disks.
    pub(super) words: String,
    pub(super) disks: Vec<Disk>,
    /// Files of the initramfs.
    pub(super) files: Vec<(String, String)>,
    /// Names of the files inside of disks that may become loop devices.
    pub(super) inner: Vec<String>,
}

/// A small operating system. Its `/var` has all kinds of files that are copied.
fn tree() -> Tree {
    let mut tree = Tree::default();
    for name in
        ["dev", "etc", "home", "opt", "proc", "run", "srv", "sys", "sysroot", "tmp", "usr", "usr/lib", "usr/sbin"]
    {
        tree = tree.directory(name);
    }
    tree.symlink("sbin", "usr/sbin")
        .file("usr/sbin/init", "#!/bin/false\n", 0o755)
        .file("etc/hostname", "from-the-image\n", 0o644)
        .file("usr/lib/os-release", "ID=surefoot\n", 0o644)
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("usr/lib/large", "larger than an inode\n".repeat(1000), 0o644)
        .directory("var")
        .directory("var/lib")
        .file("var/lib/file", "kept\n", 0o640)
        .symlink("var/link", "lib/file")
}

fn plain(name: &str, filesystem: Filesystem, words: &str) -> Result<Case> {
    inside(name, filesystem.image(&tree())?, words)
}

fn inside(name: &str, image: PathBuf, words: &str) -> Result<Case> {
    let words = format!("root=/dev/{{0}} surefoot.verity=optional surefoot.state=/dev/{{1}} {words}");
    Ok(Case { words, ..on(name, vec![fixed(image), state()?]) })
}

fn on(name: &str, disks: Vec<Disk>) -> Case {
    Case { name: name.to_owned(), words: String::new(), disks, files: Vec::new(), inner: Vec::new() }
}

fn fixed(image: PathBuf) -> Disk {
    Disk { image, renewed: false }
}

fn state() -> Result<Disk> {
    Ok(Disk { image: empty_ext4(STATE_BYTES)?, renewed: true })
}

/// Those that need no device-mapper.
pub(super) fn unverified() -> Result<Vec<Case>> {
    let image = Images::new().plain("images/carried-out.raw", &tree()).build()?.path;
    let native = Composefs::new(Algorithm::Sha256).version(Version::V2).without_verity().image(&tree()).build()?;
    let object = composefs::Image::object(&native, 0)?;
    let object = object.rsplit('/').next().unwrap_or_default().to_owned();
    let auto = "surefoot.deployment=auto";
    let ostree = Sysroot::new().deploy(&tree()).build()?.path;
    let ostree_composefs = Sysroot::new().composefs(ostree::Composefs::Plain).deploy(&tree()).build()?.path;
    Ok(vec![
        plain("erofs", Filesystem::Erofs, "")?,
        plain(
            "squashfs, all in memory",
            Filesystem::Squashfs,
            "surefoot.etc=tmpfs surefoot.var=tmpfs surefoot.home=tmpfs",
        )?,
        plain(
            "ext4, more directories",
            Filesystem::Ext4,
            "surefoot.etc=bind surefoot.home=overlay surefoot.mount=/srv:bind surefoot.mount=/opt:tmpfs:size=10%",
        )?,
        plain("btrfs, read-only", Filesystem::Btrfs, "surefoot.etc=ro surefoot.var=ro surefoot.home=ro")?,
        plain("volatile overlay", Filesystem::Erofs, "systemd.volatile=overlay surefoot.home=bind")?,
        plain("volatile root", Filesystem::Ext4, "systemd.volatile=yes")?,
        plain("state in memory if it fails", Filesystem::Erofs, "surefoot.state.missing=tmpfs")?,
        inside("snapshot", Snapshots::new().etc_subvolumes().snapshot(&tree()).build()?.path, auto)?,
        inside("ostree", ostree, "surefoot.deployment=auto rw")?,
        Case {
            files: vec![(
                "etc/ostree/prepare-root.conf".to_owned(),
                "[composefs]\nenabled=yes\n[etc]\ntransient=true\n".to_owned(),
            )],
            inner: vec![".ostree.cfs".to_owned()],
            ..inside("ostree with composefs", ostree_composefs, auto)?
        },
        Case {
            inner: vec![object],
            disks: vec![Disk { image: native.path.clone(), renewed: true }, state()?],
            ..inside("composefs", native.path.clone(), &native.word(0, true)?)?
        },
        Case { inner: vec!["carried-out.raw".to_owned()], ..inside("image file", image, auto)? },
    ])
}

/// Those with dm-verity. `release` is that of the kernel that runs.
pub(super) fn verified(release: &str) -> Result<Vec<Case>> {
    let image = Image::of(&tree())?;
    let hash = &image.tree.root_hash;
    let disks = vec![fixed(image.data.clone()), fixed(image.tree.image.clone()), state()?];
    let words = format!(
        "roothash={hash} systemd.verity_root_data=/dev/{{0}} systemd.verity_root_hash=/dev/{{1}} surefoot.state=/dev/{{2}}"
    );
    let pair = Case { words, ..on("verity, root and hash tree on disks", disks) };

    // What fails of the newer one must not stand in the way of the older one, which is tried where it has modules.
    let older = tree().directory("usr/lib/modules").directory(&format!("usr/lib/modules/{release}"));
    let newer = older.clone().file("usr/lib/newer", "", 0o644);
    let images = Images::new().appended("images/os_1.raw", &older);
    let images = images.beside("images/os_2.raw", "os_2", &newer).build()?;
    let words = format!("root=/dev/{{0}} {} surefoot.state=/dev/{{1}} surefoot.deployment=auto", images.accept());
    let inner = ["os_1.raw", "os_2.raw", "os_2.verity"].map(str::to_owned).to_vec();
    let disks = vec![fixed(images.path), state()?];
    let files = Case { words, inner, ..on("verity, hash trees beside and behind image files", disks) };
    Ok(vec![pair, files])
}
