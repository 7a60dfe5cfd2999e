//! A Debian root file system with systemd, of the release that this machine runs, from the archives that it uses.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Key};
use crate::command::{command, is_root, run};
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
    let (base, keyring) = (base_archive(PACKAGES)?, rauc::signer()?.certificate);
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
    let base = base_archive(packages)?;
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

/// The packages, unpacked and configured, as a tar archive.
fn base_archive(packages: &str) -> Result<PathBuf> {
    let (suite, sources) = sources()?;
    let key = Key::default().text(packages).text(&sources);
    cache::cached("demo", &format!("debian-{suite}.tar"), key, |archive| {
        let list = tempfile::Builder::new().suffix(".list").tempfile()?;
        fs::write(&list, &sources)?;
        let mut mmdebstrap = command("mmdebstrap");
        mmdebstrap.args(["--variant=minbase", "--format=tar", "--skip=output/dev", "--quiet"]);
        mmdebstrap.arg(format!("--include={packages}"));
        for option in transport_options()? {
            mmdebstrap.arg(format!("--aptopt={option}"));
        }
        // Documentation and translations that nobody reads in a demonstration.
        for path in ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"] {
            mmdebstrap.arg(format!("--dpkgopt=path-exclude={path}"));
        }
        run(mmdebstrap.arg(&suite).arg(archive).arg(list.path()))?;
        Ok(())
    })
}

/// The release's code name, and the lines of sources.list that name this machine's Debian archives.
fn sources() -> Result<(String, String)> {
    let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let suite = suite.context("/etc/os-release names no VERSION_CODENAME")?.trim_matches('"').to_owned();
    let format = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
    let targets = run(command("apt-get").args(["indextargets", "--format", format]))?;
    let sources = source_lines(&targets, &suite);
    ensure!(!sources.is_empty(), "apt knows no Debian archive of {suite}: run `apt-get update`");
    Ok((suite, sources))
}

/// One line for each package index of Debian itself and of this release.
fn source_lines(targets: &str, suite: &str) -> String {
    let mut lines = String::new();
    for target in targets.lines() {
        if let ["Packages", "Debian", codename, uri, release, component] = target.split('|').collect::<Vec<_>>()[..]
            && codename.split('-').next() == Some(suite)
        {
            let _ = writeln!(lines, "deb {uri} {release} {component}");
        }
    }
    lines
}

/// apt's settings of this machine that say how archives are reached.
fn transport_options() -> Result<Vec<String>> {
    let wanted = ["Acquire::http", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv"];
    let settings = run(command("apt-config").arg("dump"))?;
    let settings = settings.lines().filter(|line| wanted.iter().any(|start| line.starts_with(start)));
    Ok(settings.filter(|line| !line.ends_with("\"\";")).map(|line| line.trim_end_matches(';').to_owned()).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_debian_of_this_release_only() {
        let targets = "Packages|Debian|bookworm|http://a/debian/|bookworm|main\n\
            DEP-11|Debian|bookworm|http://a/debian/|bookworm|main\n\
            Packages|Other|bookworm|http://b/|bookworm|main\n\
            Packages|Debian|trixie|http://a/debian/|trixie|main\n\
            Packages|Debian|bookworm-security|http://a/security/|bookworm-security|main\n";
        let expected = "deb http://a/debian/ bookworm main\ndeb http://a/security/ bookworm-security main\n";
        assert_eq!(source_lines(targets, "bookworm"), expected);
    }
}
