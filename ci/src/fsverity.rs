//! fs-verity, enabled by the probe inside a guest: the kernel of the machine that runs the scenarios need not have
//! it, Debian's has.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use surefoot_probe::Outcome as Done;

use crate::command::{command, run};
use crate::disk::{self, Disk};
use crate::drive::Drive;
use crate::initramfs;
use crate::kernel::{self, Package};
use crate::machine::End;
use crate::slots::Image;
use crate::tree::Tree;
use crate::vm::Vm;

/// Hash algorithms of fs-verity; blocks have 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// A file's fs-verity digest in hexadecimal, as `fsverity digest` computes it.
///
/// # Errors
/// When the file cannot be read.
pub fn digest(file: &Path, algorithm: Algorithm) -> Result<String> {
    let option = format!("--hash-alg={}", algorithm.name());
    let said = run(command("fsverity").args(["digest", "--compact", &option]).arg(file))?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Where the guest mounts the filesystem.
const MOUNTED: &str = "/mnt";

/// Enables fs-verity on files in the image of an ext4 that was made with the feature `verity`: on all regular files below each
/// of `paths`, which are relative to its top. None may be there twice by a hard link. The image is changed.
///
/// # Errors
/// When the guest does not come up, or a file cannot be given fs-verity.
pub fn enable(image: &Path, algorithm: Algorithm, paths: &[String]) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let kernel = kernel::fetch(Package::Cloud612)?;
    let modules = ["virtio_console", "ext4", "sha256_generic", "sha512_generic"];
    let options: Vec<_> = modules.into_iter().flat_map(|module| ["--module", module]).collect();
    let initramfs = initramfs::build(&kernel, &options)?;

    let each = paths.iter().map(|path| format!("probe.enable-verity={MOUNTED}/{path}:{}", algorithm.name()));
    let mount = [format!("probe.mount=/dev/vdb:{MOUNTED}:ext4:rw")].into_iter();
    // Words in the root: the command line is too short for many paths.
    let words: Vec<_> = mount.chain(each).chain([format!("probe.unmount={MOUNTED}")]).collect();
    let lines: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let root = Image::of(&Tree::probe()?.directory("mnt").file("etc/probe", lines.join("\n"), 0o644))?;
    let disk = Disk::create(&scratch.path().join("disk"), 512, &disk::verity_pair(&root.data, &root.tree))?;

    // The folder has a key in its name, the image is called alike everywhere.
    let folder = image.parent().and_then(Path::file_name).unwrap_or_default();
    let name = format!("fsverity-{}", folder.to_string_lossy().trim_start_matches('.'));
    let vm = Vm::new(&name, &kernel, &initramfs).append(&format!("roothash={}", root.tree.root_hash));
    let vm = vm.append("surefoot.etc=ro surefoot.var=ro surefoot.home=ro").drive(Drive::new(&disk));
    let outcome = vm.drive(Drive::of_image(image, 512).keep_writes()).timeout(Duration::from_mins(10)).run()?;
    ensure!(outcome.end == End::PoweredOff, "the guest that enables fs-verity did not power off\n{}", outcome.tail());
    for (word, done) in outcome.probe()?.actions {
        ensure!(done == Done::Done, "{word} failed in the guest: {done:?}\n{}", outcome.tail());
    }
    Ok(())
}
