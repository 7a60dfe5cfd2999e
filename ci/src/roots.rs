//! Roots that any kind of deployment can have: versions that differ in what they hold.

use anyhow::Result;

use crate::kernel::{self, Package};
use crate::ostree;
use crate::random::Random;
use crate::tree::Tree;

/// 6.12: it has fs-verity and mounts images in files.
pub const KERNEL: Package = Package::Cloud612;
/// Bytes of incompressible content.
const CONTENT: usize = 768 << 10;
/// Bytes of the files that it is in.
const PART: usize = 96 << 10;

/// The root of a version: the probe, content that is the version's own, and a folder for the modules of [`KERNEL`].
///
/// # Errors
/// When the probe has not been built.
pub fn root(version: u64) -> Result<Tree> {
    let mut random = Random::new(version);
    let content: Vec<_> = (0..CONTENT / 8).flat_map(|_| random.number().to_le_bytes()).collect();
    // Without a kernel ostree deploys nothing.
    let dummy = format!("usr/lib/modules/{}", ostree::KERNEL_VERSION);
    let mut tree = Tree::probe()?.directory("usr/share").directory("usr/lib/modules").directory(&dummy);
    tree = tree.directory(&format!("usr/lib/modules/{}", kernel::fetch(KERNEL)?.release));
    tree = tree.file(&format!("{dummy}/vmlinuz"), "no kernel\n", 0o644);
    tree = tree.file(&format!("{dummy}/initramfs.img"), "no initramfs\n", 0o644);
    let parts = content.chunks(PART).enumerate();
    Ok(parts.fold(tree, |tree, (number, part)| tree.file(&format!("usr/share/part-{number}"), part, 0o644)))
}
