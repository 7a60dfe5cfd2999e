//! The Debian systems of the demonstrations, with systemd.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
use crate::debian;
use crate::demo::rauc;
use crate::kernel::Kernel;
use crate::paths;

/// What is installed beyond mmdebstrap's variant "minbase".
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,kmod,login,procps,less,rauc,rauc-service";

/// What all of the scripts `ci/demo/assemble*` begin with.
const SHARED: &str = "assembling";

/// What the root holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The first one.
    One,
    /// An update of it.
    Two,
    /// An update whose init ends at once.
    Broken,
}

impl Version {
    /// What `/usr/lib/demo-version` says.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
            Self::Broken => "broken",
        }
    }

    /// The name of a cached file: what versions other than the first are made of outlives a rebuild of the first.
    pub(super) fn cached_as(self, what: &str) -> String {
        if self == Self::One { what.to_owned() } else { format!("update-{}-{what}", self.name()) }
    }
}

/// The root as an erofs image, with the modules of a kernel.
pub(super) fn root_image(kernel: &Kernel, version: Version) -> Result<PathBuf> {
    let (base, keyring) = (debian::archive(PACKAGES)?, rauc::signer()?.certificate);
    let (folder, dist) = (paths::workspace().join("ci/demo"), paths::workspace().join("dist"));
    let (script, additions) = (folder.join("assemble"), folder.join("root"));
    let tool = paths::program("surefoot")?;
    let mut key = Key::default().text(&base.to_string_lossy()).text(&kernel.tree.to_string_lossy());
    let files = files_below(&additions)?.into_iter().chain(files_below(&dist)?);
    for file in files.chain([script.clone(), folder.join(SHARED), tool.clone()]) {
        key = key.text(&file.to_string_lossy()).file(&file)?;
    }
    cache::cached("demo", &version.cached_as("root"), key.file(&keyring)?.text(version.name()), |image| {
        // fakeroot remembers owners that an ordinary user may not give to files.
        let mut assemble = command(if is_root()? { "sh" } else { "fakeroot" });
        let sources = [&base, &additions, &dist, &tool, &kernel.tree, &keyring];
        run(assemble.arg(&script).args(sources).arg(version.name()).arg(image))?;
        Ok(())
    })
}

/// A system as a tar archive, with the modules of a kernel and what `ci/demo/SORT` holds, laid out by `ci/demo/assemble-SORT`.
pub(super) fn archive(kernel: &Kernel, sort: &str, packages: &str) -> Result<PathBuf> {
    let base = debian::archive(packages)?;
    let folder = paths::workspace().join("ci/demo");
    let (script, additions) = (folder.join(format!("assemble-{sort}")), folder.join(sort));
    let (checks, tool) = (folder.join("root/usr/lib/surefoot-demo/checks"), paths::program("surefoot")?);
    let mut key = Key::default().text(&base.to_string_lossy()).text(&kernel.tree.to_string_lossy());
    for file in files_below(&additions)?.iter().chain([&script, &folder.join(SHARED), &checks, &tool]) {
        key = key.text(&file.to_string_lossy()).file(file)?;
    }
    cache::cached("demo", &format!("{sort}.tar"), key, |archive| {
        let mut assemble = command(if is_root()? { "sh" } else { "fakeroot" });
        run(assemble.arg(&script).args([&base, &additions, &checks, &tool, &kernel.tree]).arg(archive))?;
        Ok(())
    })
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    files.sort();
    Ok(files)
}
