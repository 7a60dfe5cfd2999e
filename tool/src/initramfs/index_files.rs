//! The index files of the packed modules, as depmod writes them (`modules.dep(5)`), for PID 1 to read.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Module;

/// The three texts about the packed modules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexFiles {
    /// `modules.dep`: each module with all modules that it needs.
    pub(crate) dep: String,
    /// `modules.alias`: what they serve.
    pub(crate) alias: String,
    /// `modules.softdep`: what they would like to have loaded with them.
    pub(crate) softdep: String,
}

impl IndexFiles {
    /// The index of these modules. A dependency that is not among them is in the kernel image and left out.
    pub(crate) fn of<'a>(modules: impl IntoIterator<Item = &'a Module>) -> Self {
        let by_path: BTreeMap<&str, &Module> =
            modules.into_iter().map(|module| (module.path.as_str(), module)).collect();
        let by_name: BTreeMap<&str, &Module> = by_path.values().map(|module| (module.name.as_str(), *module)).collect();
        let (mut dep, mut alias, mut softdep) = (Vec::new(), Vec::new(), Vec::new());
        for module in by_path.values() {
            let Module { name, path, info, .. } = module;
            let mut needed = Vec::new();
            collect(module, &by_name, &mut BTreeSet::new(), &mut needed);
            dep.push(format!("{path}:"));
            dep.extend(needed.iter().rev().skip(1).map(|module| format!(" {}", module.path)));
            dep.push("\n".to_owned());
            alias.extend(info.aliases.iter().map(|pattern| format!("alias {pattern} {name}\n")));
            softdep.extend(info.softdeps.iter().map(|text| format!("softdep {name} {text}\n")));
        }
        Self { dep: dep.concat(), alias: alias.concat(), softdep: softdep.concat() }
    }
}

/// Appends a module after everything that it needs: the order in which to load them.
fn collect<'a>(
    module: &'a Module,
    by_name: &BTreeMap<&str, &'a Module>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a Module>,
) {
    if seen.insert(&module.name) {
        let needed =
            module.info.depends.iter().filter_map(|name| by_name.get(super::catalogue::in_sysfs(name).as_str()));
        needed.for_each(|needed| collect(needed, by_name, seen, order));
        order.push(module);
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::module;
    use super::*;

    #[test]
    fn the_rightmost_dependency_is_loaded_first() {
        let modules = [
            module(
                "kernel/md/dm-verity.ko",
                &[("depends", "dm-mod,dm-bufio,builtin"), ("alias", "c"), ("softdep", "pre: x")],
            ),
            module("kernel/md/dm-bufio.ko", &[("depends", "dm-mod")]),
            module("kernel/md/dm-mod.ko", &[("alias", "devname:mapper/control"), ("alias", "char-major-10-236")]),
        ];
        let files = IndexFiles::of(&modules);
        assert_eq!(
            files.dep,
            "kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko\n\
             kernel/md/dm-mod.ko:\n\
             kernel/md/dm-verity.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko\n"
        );
        assert_eq!(
            files.alias,
            "alias devname:mapper/control dm_mod\nalias char-major-10-236 dm_mod\nalias c dm_verity\n"
        );
        assert_eq!(files.softdep, "softdep dm_verity pre: x\n");
    }

    #[test]
    fn a_circle_of_dependencies_ends() {
        let modules = [module("kernel/a.ko", &[("depends", "b")]), module("kernel/b.ko", &[("depends", "a")])];
        assert_eq!(IndexFiles::of(&modules).dep, "kernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko\n");
    }
}
