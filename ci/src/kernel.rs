//! Debian's kernel packages: downloaded and unpacked, never installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};

/// The kernels that scenarios run on, by Debian's metapackage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// 6.1 for virtual machines: plain `.ko` modules, no decompression in the kernel, neither USB nor AHCI.
    Cloud61,
    /// 6.12 for virtual machines: `.ko.xz` modules that the kernel decompresses itself, no USB.
    Cloud612,
    /// 6.12 for all machines.
    Full612,
}

impl Package {
    /// The metapackage that depends on the newest kernel of this kind.
    pub fn metapackage(self) -> &'static str {
        match self {
            Self::Cloud61 => "linux-image-cloud-amd64",
            Self::Cloud612 => "linux-image-6.12-cloud-amd64",
            Self::Full612 => "linux-image-6.12-amd64",
        }
    }
}

/// An unpacked kernel package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` prints on it.
    pub release: String,
    /// The image that QEMU starts.
    pub image: PathBuf,
    /// The package's files: `boot`, `lib/modules` or `usr/lib/modules`.
    pub tree: PathBuf,
}

impl Kernel {
    /// The files of its modules, compressed or not.
    ///
    /// # Errors
    /// What find(1) says.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let files = run(command("find").arg(&self.tree).args(["-name", "*.ko", "-o", "-name", "*.ko.xz"]))?;
        Ok(files.lines().map(PathBuf::from).collect())
    }
}

/// Downloads and unpacks the kernel behind a metapackage, unless that was done before.
///
/// # Errors
/// When apt knows no such package or cannot download it.
pub fn fetch(package: Package) -> Result<Kernel> {
    static KERNELS: Mutex<BTreeMap<Package, Kernel>> = Mutex::new(BTreeMap::new());
    let mut kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kernel) = kernels.get(&package) {
        return Ok(kernel.clone());
    }
    let kernel = download(package)?;
    kernels.insert(package, kernel.clone());
    Ok(kernel)
}

fn download(package: Package) -> Result<Kernel> {
    // The package lists of a new machine are empty, and old ones name packages that are no longer offered.
    let (name, tree) = unpacked(package).or_else(|_| {
        eprintln!("kernel: refreshing the package lists");
        refresh_package_lists()?;
        unpacked(package)
    })?;
    let release = name.trim_start_matches("linux-image-").to_owned();
    let image = tree.join("boot").join(format!("vmlinuz-{release}"));
    ensure!(image.is_file(), "{} is missing in {name}", image.display());
    Ok(Kernel { release, image, tree })
}

/// The real package's name, and where it is unpacked.
fn unpacked(package: Package) -> Result<(String, PathBuf)> {
    let name = real_package(package.metapackage())?;
    let version = run(command("apt-cache").args(["show", "--no-all-versions", &name]))?;
    let version = version.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default().to_owned();
    let tree = cache::cached("kernels", &name, Key::default().text(&version), |tree| {
        eprintln!("kernel: downloading {name} {version}");
        let download = tempfile::tempdir()?;
        run(command("apt-get").args(["--quiet", "download", &name]).current_dir(&download))?;
        let package = fs::read_dir(&download)?.next().context("apt-get downloaded nothing")??.path();
        run(command("dpkg-deb").arg("-x").args([package.as_path(), tree]))?;
        Ok(())
    })?;
    Ok((name, tree))
}

fn refresh_package_lists() -> Result<()> {
    // env starts what it is given, as sudo does.
    let mut update = command(if is_root()? { "env" } else { "sudo" });
    run(update.args(["apt-get", "--quiet", "update"])).map(drop)
}

/// The package that the metapackage depends on.
fn real_package(metapackage: &str) -> Result<String> {
    let depends = run(command("apt-cache").args(["depends", "--important", metapackage]))
        .with_context(|| format!("apt knows no package {metapackage}"))?;
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let name = names.into_iter().find(|name| name.starts_with("linux-image-"));
    name.map(str::to_owned).with_context(|| format!("{metapackage} depends on no kernel image"))
}
