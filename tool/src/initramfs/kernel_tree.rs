//! Where a kernel's modules lie: `--kernel` names a tree unpacked from a package, its folder of modules, or a version.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The folders, below a root, that hold one folder of modules for each kernel version.
const MODULES: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// The modules of one kernel version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelTree {
    /// Version as `uname -r` gives it, which is the name of the folder.
    pub(crate) version: String,
    /// The folder: `…/lib/modules/VERSION`.
    pub(crate) modules: PathBuf,
    /// The root that the folder lies under, where `lib/firmware` is looked for.
    pub(crate) root: PathBuf,
}

impl KernelTree {
    /// Finds the modules that `--kernel` means: a folder if there is one of that name, else a version installed here.
    pub(crate) fn find(kernel: &str) -> Result<Self, Error> {
        let path = Path::new(kernel);
        if path.is_dir() { Self::in_folder(path) } else { Self::installed(kernel, Path::new("/")) }
    }

    /// `dir` holds `lib/modules/VERSION` or `usr/lib/modules/VERSION`, or is that last folder itself.
    fn in_folder(dir: &Path) -> Result<Self, Error> {
        let dir = fs::canonicalize(dir).map_err(|why| Error::file("cannot open kernel folder", dir, &why))?;
        if is_modules_folder(&dir) {
            let version = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let root = MODULES.iter().find_map(|modules| dir.parent()?.to_str()?.strip_suffix(modules));
            let root = root.map_or_else(|| dir.clone(), PathBuf::from);
            return Ok(Self { version, modules: dir, root });
        }
        let mut versions = versions_below(&dir);
        match (versions.pop(), versions.len()) {
            (Some(only), 0) => Ok(only),
            (Some(last), _) => {
                versions.push(last);
                let names: Vec<_> = versions.iter().map(|tree| tree.version.as_str()).collect();
                Err(Error::bad("cannot choose a kernel in", dir.display(), format!("it has {}", names.join(", ")))
                    .advice(format!("Name one: --kernel {}", versions[0].modules.display())))
            }
            (None, _) => Err(Error::bad(
                "found no kernel modules in",
                dir.display(),
                "it has neither lib/modules/VERSION nor usr/lib/modules/VERSION, nor is it such a folder",
            )
            .advice("Unpack a kernel package there: dpkg -x linux-image-….deb DIR")),
        }
    }

    /// A version whose modules are installed below `root`.
    fn installed(version: &str, root: &Path) -> Result<Self, Error> {
        let known = versions_below(root);
        if let Some(tree) = known.iter().find(|tree| tree.version == version) {
            return Ok(tree.clone());
        }
        let why = format!(
            "no such folder, and no {0}{1}/{version} or {0}{2}/{version}",
            root.display(),
            MODULES[0],
            MODULES[1]
        );
        let names: Vec<_> = known.iter().map(|tree| tree.version.as_str()).collect();
        let advice = match names.as_slice() {
            [] => "No kernel is installed here; unpack a kernel package and name its folder.".to_owned(),
            names => format!("Installed here: {}", names.join(", ")),
        };
        Err(Error::bad("found no kernel", version, why).advice(advice))
    }
}

/// All versions below a root, sorted; one that both places name (merged `/usr`) counts once.
fn versions_below(root: &Path) -> Vec<KernelTree> {
    let mut found: Vec<KernelTree> = Vec::new();
    for folder in MODULES.iter().filter_map(|modules| fs::read_dir(root.join(modules)).ok()) {
        for entry in folder.flatten().filter(|entry| is_modules_folder(&entry.path())) {
            let version = entry.file_name().to_string_lossy().into_owned();
            if found.iter().all(|tree| tree.version != version) {
                found.push(KernelTree { version, modules: entry.path(), root: root.to_owned() });
            }
        }
    }
    found.sort_by(|a, b| a.version.cmp(&b.version));
    found
}

/// Whether the kernel's build has installed modules here: it leaves `modules.order` even where depmod has not run.
fn is_modules_folder(dir: &Path) -> bool {
    dir.join("modules.order").is_file() || dir.join("kernel").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(versions: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for version in versions {
            fs::create_dir_all(root.path().join(version).join("kernel")).unwrap();
        }
        root
    }

    #[test]
    fn all_three_forms_of_a_folder_are_the_same_tree() {
        for modules in MODULES {
            let root = tree(&[&format!("{modules}/6.1.0-x")]);
            let path = fs::canonicalize(root.path()).unwrap();
            let found = KernelTree::in_folder(root.path()).unwrap();
            assert_eq!(found.version, "6.1.0-x");
            assert_eq!(found.modules, path.join(modules).join("6.1.0-x"));
            assert_eq!(found.root, path);
            let direct = KernelTree::in_folder(&path.join(modules).join("6.1.0-x")).unwrap();
            assert_eq!((direct.version.as_str(), &direct.modules), ("6.1.0-x", &found.modules));
            assert_eq!(
                direct.root.components().collect::<PathBuf>(),
                path.join(modules.strip_suffix("lib/modules").unwrap()).components().collect::<PathBuf>()
            );
        }
    }

    #[test]
    fn two_kernels_are_not_guessed_between() {
        let root = tree(&["lib/modules/6.1", "lib/modules/6.12"]);
        let path = fs::canonicalize(root.path()).unwrap();
        let error = KernelTree::in_folder(root.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot choose a kernel in {0}: it has 6.1, 6.12\n  Name one: --kernel {0}/lib/modules/6.1",
                path.display()
            )
        );
    }

    #[test]
    fn an_unknown_version_names_those_installed() {
        let root = tree(&["usr/lib/modules/6.1"]);
        let error = KernelTree::installed("6.2", root.path()).unwrap_err().to_string();
        assert!(error.starts_with("found no kernel 6.2: no such folder, and no "), "{error}");
        assert!(error.ends_with("Installed here: 6.1"), "{error}");
    }

    #[test]
    fn a_folder_without_modules_is_refused() {
        let root = tree(&["boot"]);
        assert!(KernelTree::in_folder(root.path()).unwrap_err().to_string().starts_with("found no kernel modules in "));
    }
}
