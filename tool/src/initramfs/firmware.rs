//! The firmware that packed modules may ask for.

use std::path::{Path, PathBuf};

use super::catalogue::Module;
use super::kernel_tree::KernelTree;
use super::module_file;
use crate::error::Error;

/// Folders with firmware below a root, in the kernel's order (its `firmware_class` documentation); `{}` is its version.
const FOLDERS: [&str; 6] = [
    "lib/firmware/updates/{}",
    "lib/firmware/updates",
    "lib/firmware/{}",
    "lib/firmware",
    "usr/lib/firmware/{}",
    "usr/lib/firmware",
];

/// How firmware may be compressed; it is packed as it is without.
const ENDINGS: [&str; 3] = ["", ".xz", ".zst"];

/// A firmware file to pack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Firmware {
    /// Name below `/lib/firmware`.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) data: Vec<u8>,
}

/// Finds what a module names, in the kernel's tree first and on this machine then; names that are nowhere are returned
/// as missing, which is common: a driver names the firmware of every device it knows.
pub(crate) fn collect(tree: &KernelTree, module: &Module) -> Result<(Vec<Firmware>, Vec<String>), Error> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &module.info.firmware {
        match find(name, &tree.version, &[&tree.root, Path::new("/")]) {
            Some(file) => found.push(Firmware { name: name.clone(), data: module_file::read(&file)? }),
            None => missing.push(name.clone()),
        }
    }
    Ok((found, missing))
}

fn find(name: &str, version: &str, roots: &[&Path]) -> Option<PathBuf> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let folders =
        roots.iter().flat_map(|root| FOLDERS.iter().map(move |folder| root.join(folder.replace("{}", version))));
    folders
        .flat_map(|folder| ENDINGS.iter().map(move |ending| folder.join(format!("{name}{ending}"))))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_kernels_own_folder_comes_first_and_compressed_files_count() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            path
        };
        let (both, own) = (put("lib/firmware/a/b.bin"), put("lib/firmware/6.1/a/b.bin"));
        let packed = put("usr/lib/firmware/c.bin.xz");
        let roots = [Path::new("/nowhere"), root.path()];
        assert_eq!(find("a/b.bin", "6.1", &roots), Some(own));
        assert_eq!(find("a/b.bin", "6.2", &roots), Some(both));
        assert_eq!(find("c.bin", "6.1", &roots), Some(packed));
        assert_eq!(find("d.bin", "6.1", &roots), None);
        assert_eq!(find("../firmware/a/b.bin", "6.1", &roots), None);
    }
}
