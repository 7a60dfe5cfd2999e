//! Initramfs images made by hand: they know their modules and devices by heart.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::marker;
use super::peers::Peers;
use super::subject::{HASH, ROOT, STATE, Subject};
use crate::command::{command, run};
use crate::paths;

/// Modules of Debian's kernel 6.1 for virtual machines that the root takes, in an order in which they can be loaded. The digest
/// comes first: the kernel checks the signatures of the others by it. virtio_blk brings the disk before its time is over; ext4
/// is a part of that kernel.
const MODULES: [&str; 14] = [
    "sha256-ssse3",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio",
    "virtio_pci",
    "virtio_blk",
    "reed_solomon",
    "dm-mod",
    "dm-bufio",
    "dm-verity",
    "libcrc32c",
    "erofs",
    "overlay",
];

/// The one of them that the root alone does without.
const LAYERS_ALONE: &str = "overlay";

impl Subject {
    /// An archive of what `fill` puts into an empty folder, compressed as surefoot compresses its own; made once.
    pub(super) fn pack(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let (archive, top) = (self.path(&format!("{name}.img")), self.path(name));
        if archive.exists() {
            return Ok(archive);
        }
        for name in ["", "dev", "proc", "sys", "run", "sysroot"] {
            fs::create_dir(top.join(name))?;
        }
        fill(&top)?;
        let script = "cd \"$1\" && find . | cpio --quiet -o -H newc | zstd -q -9 --long=23 -o \"$2\"";
        run(command("sh").args(["-ec", script, "sh"]).args([&top, &archive]))?;
        Ok(archive)
    }

    /// Copies modules into an initramfs, and gives their places there.
    fn modules(&self, top: &Path, names: &[&str]) -> Result<Vec<String>> {
        let files = self.kernel.modules()?;
        let copied = names.iter().map(|name| {
            let file = format!("{name}.ko");
            let from = files.iter().find(|path| path.ends_with(&file));
            fs::copy(from.with_context(|| format!("the kernel has no {file}"))?, top.join(&file))?;
            Ok(format!("/{file}"))
        });
        copied.collect()
    }

    /// `ci/bench/floor.c`, with the mounts of `/etc`, `/var` and `/home` or without.
    pub(super) fn floor(&self, layers: bool, top: &Path) -> Result<()> {
        let names: Vec<_> = MODULES.into_iter().filter(|name| layers || *name != LAYERS_ALONE).collect();
        let modules = self.modules(top, &names)?;
        let fixed = top.with_extension("fixed");
        fs::create_dir(&fixed)?;
        let mut header = String::new();
        let quoted: Vec<_> = modules.iter().map(|module| format!("\"{module}\"")).collect();
        writeln!(header, "#define MODULES {}", quoted.join(", "))?;
        writeln!(header, "#define SECTORS {}", self.sectors)?;
        writeln!(header, "#define TABLE \"{}\"", self.table()?)?;
        writeln!(header, "#define STATE \"{STATE}\"")?;
        if layers {
            writeln!(header, "#define LAYERS")?;
        }
        fs::write(fixed.join("fixed.h"), header)?;
        marker::compile("floor.c", top.join("init"), &[format!("-I{}", fixed.display())]).map(drop)
    }

    /// The parameters of the verity target: Documentation/admin-guide/device-mapper/verity.rst.
    fn table(&self) -> Result<String> {
        let dump = run(command("veritysetup").arg("dump").arg(&self.hash_tree.image))?;
        let field = |name: &str| {
            let line = dump.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).with_context(|| format!("veritysetup dump tells no {name}"))
        };
        ensure!(field("Hash block size:")? == "4096", "another block size");
        let (blocks, salt) = (field("Data blocks:")?, field("Salt:")?);
        Ok(format!("1 {ROOT} {HASH} 4096 4096 {blocks} 1 sha256 {} {salt}", self.hash_tree.root_hash))
    }

    /// `ci/bench/busybox.sh`.
    pub(super) fn busybox(&self, top: &Path, peers: &Peers) -> Result<()> {
        let modules = self.modules(top, &MODULES)?;
        let words = format!(
            "MODULES='{}' ROOT={ROOT} HASH={HASH} STATE={STATE} ROOT_HASH={}\n",
            modules.join(" "),
            self.hash_tree.root_hash
        );
        fs::write(top.join("fixed.sh"), words)?;
        fs::copy(paths::workspace().join("ci/bench/busybox.sh"), top.join("init"))?;
        peers.busybox(top)
    }
}
