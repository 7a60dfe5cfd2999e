//! All modules of a kernel tree, by name and by alias: what depmod would know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use init::modules::{alias, name};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::kernel_tree::KernelTree;
use super::module_file::{self, Modinfo};
use super::progress::Progress;
use crate::error::Error;

/// One module of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    /// Name as the kernel writes it, with underscores.
    pub(crate) name: String,
    /// Where the file lies.
    pub(crate) file: PathBuf,
    /// Where it lies in the folder of modules, without the ending of its compression: `kernel/fs/erofs/erofs.ko`.
    pub(crate) path: String,
    /// What it says about itself.
    pub(crate) info: Modinfo,
}

/// What a name or an alias means to this kernel.
#[derive(Debug)]
pub(crate) enum Meaning<'a> {
    /// These modules, all of them.
    Modules(Vec<&'a Module>),
    /// The kernel image holds it.
    Builtin,
    /// Nothing.
    Unknown,
}

/// All modules of a kernel, and what the kernel image itself holds.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    modules: BTreeMap<String, Module>,
    builtin: BTreeSet<String>,
    builtin_aliases: Vec<String>,
}

impl Catalogue {
    /// Reads every module of the tree, on all processors.
    pub(crate) fn read(tree: &KernelTree) -> Result<Self, Error> {
        let files = module_files(&tree.modules)?;
        let progress = Progress::new("reading modules", files.len());
        let modules: Vec<Module> =
            files.into_par_iter().map(|file| progress.step(read_module(tree, file))).collect::<Result<_, _>>()?;
        let mut catalogue = Self::of(modules);
        catalogue.read_builtin(tree)?;
        Ok(catalogue)
    }

    /// A catalogue of these modules; where two have one name, the one that does not come with the kernel wins, as
    /// `depmod.d(5)` has it (`updates` first).
    pub(crate) fn of(modules: impl IntoIterator<Item = Module>) -> Self {
        let mut by_name = BTreeMap::<String, Module>::new();
        for module in modules {
            match by_name.get(&module.name) {
                Some(known) if precedence(known) <= precedence(&module) => {}
                _ => _ = by_name.insert(module.name.clone(), module),
            }
        }
        Self { modules: by_name, ..Self::default() }
    }

    fn read_builtin(&mut self, tree: &KernelTree) -> Result<(), Error> {
        let names = read_or_empty(&tree.modules.join("modules.builtin"))?;
        self.builtin = names.lines().filter_map(name::of_path).map(in_sysfs).collect();
        let texts = read_or_empty(&tree.modules.join("modules.builtin.modinfo"))?;
        let aliases = texts.split('\0').filter_map(|text| text.split_once(".alias="));
        self.builtin_aliases = aliases.map(|(_, pattern)| pattern.to_owned()).collect();
        Ok(())
    }

    /// All modules, sorted by name.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// The module of this name, with dashes or underscores.
    pub(crate) fn find(&self, wanted: &str) -> Option<&Module> {
        self.modules.get(&in_sysfs(wanted))
    }

    /// Whether the kernel image holds the module of this name.
    pub(crate) fn is_builtin(&self, wanted: &str) -> bool {
        self.builtin.contains(&in_sysfs(wanted))
    }

    /// What a name or an alias means: a module's own name first, then everything that has it as an alias. An alias that
    /// both modules and the kernel image serve means the modules, which are the faster variants of an algorithm.
    pub(crate) fn resolve(&self, wanted: &str) -> Meaning<'_> {
        if let Some(module) = self.find(wanted) {
            return Meaning::Modules(vec![module]);
        }
        if self.is_builtin(wanted) {
            return Meaning::Builtin;
        }
        let serves = |module: &&Module| module.info.aliases.iter().any(|pattern| alias::matches(pattern, wanted));
        let modules: Vec<_> = self.modules().filter(serves).collect();
        if !modules.is_empty() {
            Meaning::Modules(modules)
        } else if self.builtin_aliases.iter().any(|pattern| alias::matches(pattern, wanted)) {
            Meaning::Builtin
        } else {
            Meaning::Unknown
        }
    }

    /// The names most like one that means nothing, the likeliest first, three at the most.
    pub(crate) fn similar(&self, wanted: &str) -> Vec<&str> {
        let wanted = in_sysfs(wanted);
        let names = self.modules.keys().chain(&self.builtin);
        let mut rated: Vec<_> = names.map(|name| (strsim::jaro_winkler(&wanted, name), name.as_str())).collect();
        rated.retain(|&(likeness, _)| likeness > 0.85);
        rated.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        rated.into_iter().take(3).map(|(_, name)| name).collect()
    }
}

/// A module's name as the kernel writes it.
pub(crate) fn in_sysfs(name: &str) -> String {
    name::InSysfs(name).to_string()
}

/// Which of two modules of one name is the one that counts: the lower value.
fn precedence(module: &Module) -> (u8, &str) {
    let folder = match module.path.split('/').next() {
        Some("updates") => 0,
        Some("kernel") => 2,
        _ => 1,
    };
    (folder, &module.path)
}

/// All module files of the tree, sorted. Links (`build`, `source`) are not followed.
fn module_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|why| Error::system("cannot list", folder.display(), why))?;
        if entry.file_type().is_file() && entry.file_name().to_str().is_some_and(|file| name::of_path(file).is_some()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn read_module(tree: &KernelTree, file: PathBuf) -> Result<Module, Error> {
    let info = Modinfo::of_elf(&module_file::read(&file)?)
        .map_err(|why| Error::bad("cannot read kernel module", file.display(), why))?;
    if let Some(kernel) = info.kernel.as_deref().filter(|&kernel| kernel != tree.version) {
        let why = format!("it is for kernel {kernel}, its folder is for {}", tree.version);
        return Err(Error::bad("cannot use kernel module", file.display(), why)
            .advice("Name the folder of modules after the kernel's version."));
    }
    let relative = file.strip_prefix(&tree.modules).unwrap_or(&file).to_string_lossy().into_owned();
    let plain = relative.find(".ko").map_or(relative.len(), |at| at + ".ko".len());
    let name = in_sysfs(name::of_path(&relative).unwrap_or_default());
    Ok(Module { name, path: relative[..plain].to_owned(), file, info })
}

/// The text of a file that the kernel's build leaves beside the modules; none is as good as an empty one.
fn read_or_empty(path: &Path) -> Result<String, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(why) => Err(Error::file("cannot read", path, &why)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A module of this path that says this about itself.
    pub(crate) fn module(path: &str, info: &[(&str, &str)]) -> Module {
        Module {
            name: in_sysfs(name::of_path(path).unwrap()),
            file: PathBuf::from(path),
            path: path.to_owned(),
            info: info.iter().copied().collect(),
        }
    }

    fn names(meaning: Meaning<'_>) -> Vec<&str> {
        match meaning {
            Meaning::Modules(modules) => modules.into_iter().map(|module| module.name.as_str()).collect(),
            Meaning::Builtin => vec!["(builtin)"],
            Meaning::Unknown => vec!["(unknown)"],
        }
    }

    #[test]
    fn a_name_comes_before_an_alias_and_an_alias_names_all() {
        let mut catalogue = Catalogue::of([
            module("kernel/a/sha256.ko", &[]),
            module("kernel/a/sha-fast.ko", &[("alias", "sha256"), ("alias", "crypto-sha256")]),
            module("kernel/a/sha-slow.ko", &[("alias", "crypto-sha*")]),
        ]);
        catalogue.builtin.insert("nvme_core".into());
        catalogue.builtin_aliases.extend(["fs-ext4".into(), "crypto-sha256".into()]);
        assert_eq!(names(catalogue.resolve("sha256")), ["sha256"]);
        assert_eq!(names(catalogue.resolve("crypto_sha256")), ["sha_fast", "sha_slow"]);
        assert_eq!(names(catalogue.resolve("nvme-core")), ["(builtin)"]);
        assert_eq!(names(catalogue.resolve("fs-ext4")), ["(builtin)"]);
        assert_eq!(names(catalogue.resolve("fs-xfs")), ["(unknown)"]);
    }

    #[test]
    fn an_update_replaces_the_kernels_own_module() {
        for paths in [["kernel/a.ko", "updates/a.ko", "extra/a.ko"], ["extra/a.ko", "kernel/a.ko", "updates/a.ko"]] {
            let catalogue = Catalogue::of(paths.map(|path| module(path, &[])));
            assert_eq!(catalogue.find("a").unwrap().path, "updates/a.ko");
        }
    }

    #[test]
    fn a_misspelt_name_has_neighbours() {
        let catalogue =
            Catalogue::of(["dm-verity", "dm-crypt", "ext4"].map(|name| module(&format!("kernel/{name}.ko"), &[])));
        assert_eq!(catalogue.similar("dm-verty"), ["dm_verity"]);
        assert_eq!(catalogue.similar("zzz"), Vec::<&str>::new());
    }
}
