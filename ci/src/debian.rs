//! Debian root file systems of the release that this machine runs, from the archives that it uses.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Key};
use crate::command::{command, run};

/// A root file system with these packages (separated by commas) beyond mmdebstrap's variant "minbase", as a tar archive.
///
/// # Errors
/// When apt knows no Debian archive, and what mmdebstrap says.
pub(crate) fn archive(packages: &str) -> Result<PathBuf> {
    let (suite, sources) = sources()?;
    let key = Key::default().text(packages).text(&sources);
    cache::cached("debian", &format!("debian-{suite}.tar"), key, |archive| {
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
