//! Which modules are packed and why: what is asked for, closed over all that it needs.

use std::collections::BTreeMap;

use init::modules::{ModuleIndex, Order};

use super::catalogue::{Catalogue, Meaning, Module};
use super::machine::Machine;
use super::rules;
use crate::error::Error;

/// The modules to pack, by name, each with the reason.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    catalogue: &'a Catalogue,
    chosen: BTreeMap<&'a str, Chosen<'a>>,
    /// What the user should know although nothing failed.
    pub(crate) notes: Vec<String>,
}

/// A module to pack.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    /// The module.
    pub(crate) module: &'a Module,
    /// Why it is packed: `storage driver`, `needed by dm_verity`, …
    pub(crate) why: String,
}

impl<'a> Selection<'a> {
    /// Nothing so far.
    pub(crate) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, chosen: BTreeMap::new(), notes: Vec::new() }
    }

    /// The modules, sorted by name.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &Chosen<'a>> {
        self.chosen.values()
    }

    /// Everything that unknown hardware may need to boot.
    pub(crate) fn add_default(&mut self) -> Result<(), Error> {
        self.add_always()?;
        for alias in rules::FILE_SYSTEMS {
            self.add_if_there(alias, "file system")?;
        }
        let catalogue = self.catalogue;
        for module in catalogue.modules().filter(|module| !rules::is_storage_network(module, catalogue)) {
            if let Some(kind) = rules::boot_driver(module) {
                self.add(module, kind)?;
            }
        }
        Ok(())
    }

    /// What this machine needs to boot.
    pub(crate) fn add_for_machine(&mut self, machine: &Machine) -> Result<(), Error> {
        self.add_always()?;
        for alias in rules::FILE_SYSTEMS.into_iter().filter(|alias| machine.mounts(alias.trim_start_matches("fs-"))) {
            self.add_if_there(alias, "file system mounted on this machine")?;
        }
        for module in self.catalogue.modules().filter(|module| machine.has_device_for(&module.info.aliases)) {
            if let Some(kind) = rules::boot_driver(module) {
                self.add(module, &format!("{kind} for a device of this machine"))?;
            }
        }
        Ok(())
    }

    /// The modules that the user names; all names that mean nothing are reported together.
    pub(crate) fn add_named(&mut self, names: &[String], version: &str) -> Result<(), Error> {
        let mut unknown = Vec::new();
        for name in names {
            match self.catalogue.resolve(name) {
                Meaning::Modules(modules) => self.add_all(modules, "asked for")?,
                Meaning::Builtin => self.notes.push(format!("{name} is built into the kernel and needs no module")),
                Meaning::Unknown => unknown.push(name.as_str()),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let error = Error::bad("cannot pack", unknown.join(", "), format!("kernel {version} has no such module"));
        let mut similar: Vec<_> = unknown.iter().flat_map(|name| self.catalogue.similar(name)).collect();
        similar.dedup();
        Err(if similar.is_empty() { error } else { error.advice(format!("Most like it: {}", similar.join(", "))) })
    }

    fn add_always(&mut self) -> Result<(), Error> {
        for name in rules::ALWAYS {
            let found = self.add_if_there(name, "used by surefoot")?;
            if !found && rules::ESSENTIAL.contains(&name) {
                self.notes.push(format!("this kernel has no {name}: surefoot cannot boot a verified root with it"));
            }
        }
        Ok(())
    }

    /// Adds what a name or alias means; whether it means anything.
    fn add_if_there(&mut self, name: &str, why: &str) -> Result<bool, Error> {
        match self.catalogue.resolve(name) {
            Meaning::Modules(modules) => self.add_all(modules, why).map(|()| true),
            Meaning::Builtin => Ok(true),
            Meaning::Unknown => Ok(false),
        }
    }

    fn add_all(&mut self, modules: Vec<&'a Module>, why: &str) -> Result<(), Error> {
        modules.into_iter().try_for_each(|module| self.add(module, why))
    }

    /// Adds a module, what it needs, what it would like to have, and what is needed to make use of it.
    fn add(&mut self, module: &'a Module, why: &str) -> Result<(), Error> {
        let mut open = vec![(module, why.to_owned())];
        while let Some((module, why)) = open.pop() {
            if self.chosen.contains_key(module.name.as_str()) {
                continue;
            }
            self.chosen.insert(&module.name, Chosen { module, why });
            for name in &module.info.depends {
                open.extend(
                    self.dependency(module, name)?.map(|needed| (needed, format!("needed by {}", module.name))),
                );
            }
            for wish in wishes(module) {
                if let Meaning::Modules(modules) = self.catalogue.resolve(&wish) {
                    open.extend(
                        modules.into_iter().map(|wanted| (wanted, format!("soft dependency of {}", module.name))),
                    );
                }
            }
            let companions = rules::COMPANIONS.iter().filter(|(of, _)| *of == module.name);
            let companions = companions.filter_map(|(_, name)| self.catalogue.find(name));
            open.extend(companions.map(|companion| (companion, format!("goes with {}", module.name))));
        }
        Ok(())
    }

    /// The module that another one cannot be loaded without; none if the kernel image holds it.
    fn dependency(&self, module: &Module, name: &str) -> Result<Option<&'a Module>, Error> {
        match self.catalogue.find(name) {
            Some(needed) => Ok(Some(needed)),
            None if self.catalogue.is_builtin(name) => Ok(None),
            None => Err(Error::bad("cannot pack module", &module.name, format!("it needs {name}, which is not there"))
                .advice("The kernel's modules are incomplete: unpack its package anew.")),
        }
    }
}

/// Names and aliases of what a module would like to have loaded with it, or may ask for once it runs.
fn wishes(module: &Module) -> Vec<String> {
    let lines: Vec<_> = module.info.softdeps.iter().map(|text| format!("softdep {} {text}\n", module.name)).collect();
    let lines = lines.concat();
    let index = ModuleIndex { softdep: &lines, ..ModuleIndex::default() };
    let soft = [Order::Before, Order::After].into_iter().flat_map(|order| index.softdeps(&module.name, order));
    soft.map(str::to_owned).chain(module.info.weakdeps.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::module;
    use super::*;

    fn chosen<'s>(selection: &'s Selection<'_>) -> Vec<(&'s str, &'s str)> {
        selection.modules().map(|chosen| (chosen.module.name.as_str(), chosen.why.as_str())).collect()
    }

    #[test]
    fn a_module_brings_what_it_needs_and_wishes_for() {
        let catalogue = Catalogue::of([
            module("kernel/a.ko", &[("depends", "b"), ("softdep", "pre: crypto-c post: gone"), ("weakdep", "e")]),
            module("kernel/b.ko", &[("depends", "d")]),
            module("kernel/c1.ko", &[("alias", "crypto-c")]),
            module("kernel/c2.ko", &[("alias", "crypto-c")]),
            module("kernel/d.ko", &[("softdep", "pre: a")]),
            module("kernel/e.ko", &[]),
            module("kernel/f.ko", &[]),
        ]);
        let mut selection = Selection::new(&catalogue);
        selection.add_named(&["a".into()], "6.1").unwrap();
        let expected = [
            ("a", "asked for"),
            ("b", "needed by a"),
            ("c1", "soft dependency of a"),
            ("c2", "soft dependency of a"),
            ("d", "needed by b"),
            ("e", "soft dependency of a"),
        ];
        assert_eq!(chosen(&selection), expected);
    }

    #[test]
    fn unknown_names_are_all_reported_with_their_neighbours() {
        let catalogue = Catalogue::of([module("kernel/dm-verity.ko", &[])]);
        let names = ["dm-verty".to_owned(), "qqq".to_owned(), "dm_verity".to_owned()];
        let error = Selection::new(&catalogue).add_named(&names, "6.1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot pack dm-verty, qqq: kernel 6.1 has no such module\n  Most like it: dm_verity"
        );
    }

    #[test]
    fn a_missing_dependency_is_an_error() {
        let catalogue = Catalogue::of([module("kernel/a.ko", &[("depends", "b")])]);
        let error = Selection::new(&catalogue).add_named(&["a".into()], "6.1").unwrap_err();
        assert!(error.to_string().starts_with("cannot pack module a: it needs b, which is not there"), "{error}");
    }

    #[test]
    fn a_kernel_without_verity_is_noted() {
        let catalogue = Catalogue::of([module("kernel/fs/overlay.ko", &[("alias", "fs-overlay")])]);
        let mut selection = Selection::new(&catalogue);
        selection.add_default().unwrap();
        assert_eq!(chosen(&selection), [("overlay", "used by surefoot")]);
        assert_eq!(selection.notes, ["this kernel has no dm_verity: surefoot cannot boot a verified root with it"]);
    }

    #[test]
    fn host_only_packs_drivers_of_devices_that_are_there() {
        let catalogue = Catalogue::of([
            module("kernel/drivers/block/virtio_blk.ko", &[("alias", "virtio:d00000002v*")]),
            module("kernel/drivers/scsi/virtio_scsi.ko", &[("alias", "virtio:d00000008v*"), ("depends", "scsi_mod")]),
            module("kernel/drivers/scsi/scsi_mod.ko", &[]),
            module("kernel/drivers/scsi/sd_mod.ko", &[("alias", "scsi:t-0x00*"), ("depends", "scsi_mod")]),
            module("kernel/drivers/scsi/lpfc.ko", &[("alias", "pci:v0000*")]),
            module("kernel/drivers/net/virtio_net.ko", &[("alias", "virtio:d00000001v*")]),
            module("kernel/fs/xfs/xfs.ko", &[("alias", "fs-xfs")]),
            module("kernel/fs/btrfs/btrfs.ko", &[("alias", "fs-btrfs")]),
        ]);
        let machine = Machine::of(["virtio:d00000008v00001AF4", "virtio:d00000001v00001AF4"], ["btrfs", "proc"]);
        let mut selection = Selection::new(&catalogue);
        selection.add_for_machine(&machine).unwrap();
        let names: Vec<_> = chosen(&selection).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["btrfs", "scsi_mod", "sd_mod", "virtio_scsi"]);
    }
}
