//! The index of the modules that the initramfs holds, read by scanning its texts.

use super::alias::{matches, starts_alike};
use super::name;

/// Whether a soft dependency is loaded before the module or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `pre:` — before.
    Before,
    /// `post:` — after.
    After,
}

/// A module that the initramfs holds: one line of `modules.dep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module<'a> {
    /// Path of the file, relative to the folder of `modules.dep`.
    pub path: &'a str,
    /// Name as the file has it, perhaps with dashes; for `/sys/module` see [`name::InSysfs`].
    pub name: &'a str,
    dependencies: &'a str,
}

impl<'a> Module<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (path, dependencies) = line.split_once(':')?;
        Some(Self { path, name: name::of_path(path)?, dependencies })
    }

    /// Paths of all modules that this one needs, theirs included, in the order in which to load them.
    ///
    /// The line names them the other way round: its rightmost path needs nothing that is named left of it.
    pub fn dependencies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.dependencies.split_ascii_whitespace().rev()
    }
}

/// The texts that say which modules there are; a text that is not there is empty. Lines that do not follow their
/// file's grammar are passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModuleIndex<'a> {
    /// `modules.dep`: `PATH: PATH…`, every module with its whole closure.
    pub dep: &'a str,
    /// `modules.alias`: `alias PATTERN MODULE`.
    pub alias: &'a str,
    /// `modules.softdep`: `softdep MODULE pre: NAME… post: NAME…`, often several lines for one module.
    pub softdep: &'a str,
    /// `modules.builtin`: paths of what the kernel image itself holds.
    pub builtin: &'a str,
    /// The administrator's lines (`modprobe.d`, the files one after the other): `options`, `blacklist`, `alias`,
    /// `softdep`. A line does not continue on the next one.
    pub modprobe: &'a str,
}

impl<'a> ModuleIndex<'a> {
    /// The module of this name.
    pub fn find(&self, wanted: &str) -> Option<Module<'a>> {
        self.modules().find(|module| name::same(module.name, wanted))
    }

    /// All modules, in the order of `modules.dep`.
    pub fn modules(&self) -> impl Iterator<Item = Module<'a>> + use<'a> {
        self.dep.lines().filter_map(Module::parse)
    }

    /// Names of the modules whose patterns match `alias`: all of them are to be loaded. A module with several patterns
    /// that match comes more than once.
    pub fn by_alias<'s>(&self, alias: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        self.aliases().filter_map(move |words| {
            let (pattern, module) = starts_alike(words, alias).then(|| words.split_once([' ', '\t']))??;
            matches(pattern, alias).then_some(module.trim_ascii_start())
        })
    }

    /// Whether any pattern begins as aliases with this beginning do.
    pub fn has_alias_like(&self, start: &str) -> bool {
        self.aliases().any(|words| starts_alike(words, start))
    }

    /// Of each line that tells an alias its words: the pattern, and the module.
    fn aliases(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let lines = self.modprobe.lines().chain(self.alias.lines());
        lines.filter_map(|line| Some(line.strip_prefix("alias")?.trim_ascii()))
    }

    /// What a request for `wanted` means: the module of that name, else the modules that have it as an alias
    /// (`fs-overlay`, `crypto-crc32c`). Names without a file come from [`ModuleIndex::by_alias`] as well and are left out.
    pub fn resolve<'s>(&self, wanted: &'s str) -> impl Iterator<Item = Module<'a>> + use<'a, 's> {
        let index = *self;
        let by_name = index.find(wanted);
        let named = by_name.is_some();
        let by_alias = index.by_alias(wanted).filter(move |_| !named).filter_map(move |name| index.find(name));
        by_name.into_iter().chain(by_alias)
    }

    /// Names or aliases of what `module` would like to have loaded before or after it: the union of all its lines. One
    /// that cannot be loaded is no error.
    pub fn softdeps<'s>(&self, module: &'s str, order: Order) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        let lines = self.softdep.lines().chain(self.modprobe.lines());
        lines.filter_map(move |line| arguments(line, "softdep", module)).flat_map(move |text| {
            let mut current = None;
            text.split_ascii_whitespace().filter(move |&word| {
                let heading = match word {
                    "pre:" => Some(Order::Before),
                    "post:" => Some(Order::After),
                    _ => None,
                };
                current = heading.or(current);
                heading.is_none() && current == Some(order)
            })
        })
    }

    /// Whether the kernel image itself holds the module.
    pub fn is_builtin(&self, wanted: &str) -> bool {
        self.builtin.lines().filter_map(name::of_path).any(|builtin| name::same(builtin, wanted))
    }

    /// The module's parameters, one text (`a=1 b=2`) for each `options` line, in their order.
    pub fn options<'s>(&self, module: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        self.modprobe.lines().filter_map(move |line| arguments(line, "options", module)).filter(|text| !text.is_empty())
    }

    /// Whether the module must not be loaded because a device's alias asks for it (asked for by name, it is loaded).
    pub fn is_blacklisted(&self, module: &str) -> bool {
        self.modprobe.lines().any(|line| arguments(line, "blacklist", module).is_some())
    }
}

/// What follows `DIRECTIVE MODULE` in a line that starts with both.
fn arguments<'a>(line: &'a str, directive: &str, module: &str) -> Option<&'a str> {
    let rest = line.trim_ascii().strip_prefix(directive)?;
    let words = rest.strip_prefix([' ', '\t'])?.trim_ascii_start();
    let (named, arguments) = words.split_once([' ', '\t']).unwrap_or((words, ""));
    (!named.is_empty() && name::same(named, module)).then_some(arguments.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const INDEX: ModuleIndex = ModuleIndex {
        dep: "\
kernel/drivers/md/dm-mod.ko:
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
a line without a colon
kernel/README: kernel/drivers/md/dm-mod.ko
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz
kernel/crypto/crc32c_generic.ko:
kernel/arch/x86/crypto/crc32c-intel.ko:
kernel/drivers/scsi/sd_mod.ko:
",
        alias: "\
# Aliases extracted from modules themselves.
alias crypto-crc32c crc32c_intel
alias crypto-crc32c-generic crc32c_generic
alias crypto-crc32c crc32c_generic
alias scsi:t-0x0e* sd_mod
alias scsi:t-0x00* sd_mod
alias half
alias fs-ext4 ext4
alias gone-away gone
",
        softdep: "\
# Soft dependencies extracted from modules themselves.
softdep ext4 pre: crypto-crc32c
softdep ext4 pre: jbd2-extra post: later
softdep ext40 pre: wrong
softdep
softdep ext4 stray
",
        builtin: "kernel/fs/pstore/pstore.ko\nkernel/drivers/nvme/host/nvme-core.ko\n",
        modprobe: "\
# comment
options dm-verity prefetch_cluster=4096
options\tdm_verity   require_signatures=1
options dm_verity
options dm_verityx no=1
blacklist sd-mod
alias my-disk dm_verity
softdep ext4 post: last
",
    };

    fn names<'a>(modules: impl Iterator<Item = Module<'a>>) -> Vec<&'a str> {
        modules.map(|module| module.name).collect()
    }

    #[test]
    fn finds_by_name_with_dashes_or_underscores() {
        let module = INDEX.find("dm_verity").unwrap();
        assert_eq!((module.path, module.name), ("kernel/drivers/md/dm-verity.ko", "dm-verity"));
        assert_eq!(INDEX.find("ext4").unwrap().path, "kernel/fs/ext4/ext4.ko.xz");
        assert_eq!(INDEX.find("crc32c-generic").unwrap().name, "crc32c_generic");
        assert_eq!(INDEX.find("verity"), None);
        assert_eq!(INDEX.find("README"), None);
        assert_eq!(INDEX.find(""), None);
    }

    #[test]
    fn dependencies_come_in_the_order_of_loading() {
        let paths: Vec<_> = INDEX.find("dm-verity").unwrap().dependencies().collect();
        assert_eq!(paths, ["kernel/drivers/md/dm-mod.ko", "kernel/drivers/md/dm-bufio.ko"]);
        assert_eq!(INDEX.find("dm-mod").unwrap().dependencies().count(), 0);
    }

    #[test]
    fn one_alias_can_name_several_modules() {
        let all: Vec<_> = INDEX.by_alias("crypto-crc32c").collect();
        assert_eq!(all, ["crc32c_intel", "crc32c_generic"]);
        let disk: Vec<_> = INDEX.by_alias("scsi:t-0x00").collect();
        assert_eq!(disk, ["sd_mod"]);
        assert_eq!(INDEX.by_alias("my_disk").collect::<Vec<_>>(), ["dm_verity"]);
        assert_eq!(INDEX.by_alias("half").count(), 0);
        assert_eq!(INDEX.by_alias("pci:v00001AF4").count(), 0);
    }

    #[test]
    fn a_beginning_is_that_of_a_pattern_up_to_its_first_wildcard() {
        for start in ["scsi:", "crypto-", "my_", "fs-ext"] {
            assert!(INDEX.has_alias_like(start), "{start}");
        }
        for start in ["acpi:", "of:", "scsi:t-0x1"] {
            assert!(!INDEX.has_alias_like(start), "{start}");
        }
        for modprobe in ["alias\tacpi*:FOO* drv", "alias  acpi:FOO drv"] {
            assert!(ModuleIndex { modprobe, ..ModuleIndex::default() }.has_alias_like("acpi:"), "{modprobe}");
        }
        let wild = ModuleIndex { alias: "alias acpi*:80860F14:* sdhci_acpi\nalias * any\n", ..ModuleIndex::default() };
        assert!(wild.has_alias_like("acpi:") && wild.has_alias_like("of:"));
    }

    #[test]
    fn a_request_is_a_name_first_and_then_an_alias() {
        assert_eq!(names(INDEX.resolve("sd-mod")), ["sd_mod"]);
        assert_eq!(names(INDEX.resolve("crypto_crc32c")), ["crc32c-intel", "crc32c_generic"]);
        assert_eq!(names(INDEX.resolve("fs-ext4")), ["ext4"]);
        assert_eq!(names(INDEX.resolve("gone-away")), Vec::<&str>::new());
    }

    #[test]
    fn softdeps_are_the_union_of_all_lines() {
        let before: Vec<_> = INDEX.softdeps("ext4", Order::Before).collect();
        assert_eq!(before, ["crypto-crc32c", "jbd2-extra"]);
        let after: Vec<_> = INDEX.softdeps("ext4", Order::After).collect();
        assert_eq!(after, ["later", "last"]);
        assert_eq!(INDEX.softdeps("ext", Order::Before).count(), 0);
    }

    #[test]
    fn builtin_blacklist_and_options() {
        assert!(INDEX.is_builtin("nvme_core"));
        assert!(!INDEX.is_builtin("nvme"));
        assert!(INDEX.is_blacklisted("sd_mod"));
        assert!(!INDEX.is_blacklisted("sd"));
        let options: Vec<_> = INDEX.options("dm_verity").collect();
        assert_eq!(options, ["prefetch_cluster=4096", "require_signatures=1"]);
    }

    #[test]
    fn empty_texts_hold_nothing() {
        let none = ModuleIndex::default();
        assert_eq!(none.modules().count(), 0);
        assert_eq!(none.resolve("ext4").count(), 0);
        assert!(!none.is_builtin(""));
        assert!(!none.is_blacklisted(""));
    }

    #[test]
    fn broken_texts_are_passed_over() {
        let bytes = "alias \nalias  \nsoftdep a pre:\noptions a\n: \n:\n.ko:\nblacklist\n\r\n\u{e9}.ko: \u{e9}";
        let texts: Vec<&str> = (0..bytes.len()).filter_map(|end| bytes.get(..end)).collect();
        for text in texts {
            let index = ModuleIndex { dep: text, alias: text, softdep: text, builtin: text, modprobe: text };
            assert_eq!(names(index.resolve("a")), Vec::<&str>::new());
            assert_eq!(index.softdeps("a", Order::Before).count(), 0);
            assert_eq!(index.options("a").count(), 0);
        }
    }
}
