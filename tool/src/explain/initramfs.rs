//! What PID 1 would find in an initramfs: its words and its modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use boot_config::cmdline::end_of;
use init::modules::{self, ModuleIndex};
use init::text::Reason;

use super::segments::{self, Node, Nodes};
use crate::error::Error;

/// Folders of words and of modules, and the file of lines for modprobe, as PID 1 reads them.
const WORDS: &str = "etc/cmdline.d";
const MODULES: &str = "lib/modules";
const MODPROBE: &str = "etc/modprobe.conf";
/// Most symbolic links on the way to one file, as for the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// An unpacked initramfs.
pub(crate) struct Initramfs {
    nodes: Nodes,
    /// Whether a bootconfig is appended to it.
    pub(crate) has_bootconfig: bool,
}

/// The modules for one kernel.
#[derive(Debug)]
pub(crate) struct KernelModules {
    /// Where they are.
    directory: String,
    dep: String,
    alias: String,
    softdep: String,
    builtin: String,
    modprobe: String,
}

impl Initramfs {
    /// Reads and unpacks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let image = fs::read(path).map_err(|why| Error::file("cannot read initramfs", path, &why))?;
        let (nodes, has_bootconfig) =
            segments::unpack(&image).map_err(|why| Error::bad("cannot read initramfs", path.display(), why))?;
        Ok(Self { nodes, has_bootconfig })
    }

    /// The files in it.
    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Whether the kernel finds a program to start in it.
    pub(crate) fn has_init(&self) -> bool {
        self.file("init").is_some()
    }

    /// Whether a shell is packed, for the failure policy.
    pub(crate) fn has_shell(&self) -> bool {
        self.file("bin/sh").is_some()
    }

    /// The words of `/etc/cmdline.d/*.conf`, the files in the order of their names.
    pub(crate) fn words(&self) -> Result<String, String> {
        let mut words = String::new();
        for name in self.names_in(WORDS).filter(|name| name.strip_suffix(".conf").is_some()) {
            let text = self.file(&format!("{WORDS}/{name}")).unwrap_or_default();
            let text = std::str::from_utf8(text)
                .map_err(|_| format!("cannot read the command line: /{WORDS}/{name} is not UTF-8 text"))?;
            words.push_str(text);
            words.push_str(end_of(text));
        }
        Ok(words)
    }

    /// The modules, for each kernel that there are modules for; for an unknown one where there are none.
    pub(crate) fn modules(&self) -> Vec<KernelModules> {
        let mut folders: BTreeSet<_> = self.names_in(MODULES).map(|version| format!("{MODULES}/{version}")).collect();
        if folders.is_empty() {
            folders.insert(MODULES.to_owned());
        }
        folders.iter().map(|folder| self.modules_in(folder)).collect()
    }

    fn modules_in(&self, folder: &str) -> KernelModules {
        let text = |path: &str| String::from_utf8_lossy(self.file(path).unwrap_or_default()).into_owned();
        KernelModules {
            directory: format!("/{folder}"),
            dep: text(&format!("{folder}/modules.dep")),
            alias: text(&format!("{folder}/modules.alias")),
            softdep: text(&format!("{folder}/modules.softdep")),
            builtin: text(&format!("{folder}/modules.builtin")),
            modprobe: text(MODPROBE),
        }
    }

    fn file(&self, path: &str) -> Option<&[u8]> {
        match self.nodes.get(&self.resolved(path)) {
            Some(Node::File(data)) => Some(data),
            _ => None,
        }
    }

    /// The names of what lies in a folder or below it, sorted; one that holds several things may come more than once.
    fn names_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        let folder = self.resolved(folder) + "/";
        let inside = self.nodes.range(folder.clone()..).map_while(move |(path, _)| path.strip_prefix(&folder));
        inside.filter_map(|path| path.split('/').next())
    }

    /// The path with its symbolic links followed. Too many of them lead nowhere.
    fn resolved(&self, path: &str) -> String {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut resolved: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    resolved.pop();
                    continue;
                }
                _ => resolved.push(part),
            }
            if let Some(Node::Link(target)) = self.nodes.get(&resolved.join("/")) {
                links += 1;
                if links > MAX_LINKS {
                    return String::new();
                }
                resolved.pop();
                if target.starts_with('/') {
                    resolved.clear();
                }
                rest.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        resolved.join("/")
    }
}

impl KernelModules {
    /// Whether PID 1 can load `module`; if not, its own words.
    pub(crate) fn check(&self, module: &str) -> Result<(), Reason> {
        let index = ModuleIndex {
            dep: &self.dep,
            alias: &self.alias,
            softdep: &self.softdep,
            builtin: &self.builtin,
            modprobe: &self.modprobe,
        };
        if index.resolve(module).next().is_some() || index.is_builtin(module) {
            return Ok(());
        }
        Err(modules::missing(module, &self.directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initramfs(nodes: &[(&str, Result<&str, &str>)]) -> Initramfs {
        let node = |content: &Result<&str, &str>| match content {
            Ok(text) => Node::File(text.as_bytes().to_vec()),
            Err(link) => Node::Link((*link).to_owned()),
        };
        let nodes = nodes.iter().map(|(path, content)| ((*path).to_owned(), node(content))).collect();
        Initramfs { nodes, has_bootconfig: false }
    }

    #[test]
    fn words_come_in_the_order_of_the_files_names() {
        let files = [
            ("etc/cmdline.d/20.conf", Ok("b")),
            ("etc/cmdline.d/10.conf", Ok("a")),
            ("etc/cmdline.d/30.txt", Ok("c")),
            ("etc/cmdline.d-other/a.conf", Ok("d")),
        ];
        assert_eq!(initramfs(&files).words().unwrap(), "a\nb\n");
        let open = [("etc/cmdline.d/10.conf", Ok("a=\"b")), ("etc/cmdline.d/20.conf", Ok("surefoot.verity=required"))];
        assert_eq!(initramfs(&open).words().unwrap(), "a=\"b\"\nsurefoot.verity=required\n");
    }

    #[test]
    fn links_lead_inside_the_initramfs() {
        let files = [
            ("lib", Err("usr/lib")),
            ("usr/lib/modules/6.1/modules.dep", Ok("kernel/dm-mod.ko:\n")),
            ("init", Err("/usr/../bin/init")),
            ("bin", Err("./usr/bin")),
            ("usr/bin/init", Ok("")),
            ("loop", Err("loop")),
        ];
        let initramfs = initramfs(&files);
        assert!(initramfs.has_init() && !initramfs.has_shell());
        assert_eq!(initramfs.resolved("loop"), "");
        let modules = initramfs.modules();
        assert_eq!(modules.iter().map(|kernel| kernel.directory.as_str()).collect::<Vec<_>>(), ["/lib/modules/6.1"]);
        assert_eq!(modules[0].check("dm_mod"), Ok(()));
    }

    #[test]
    fn a_module_is_there_as_a_file_or_in_the_kernel() {
        let files = [
            ("lib/modules/6.1/modules.dep", Ok("kernel/a/overlay.ko:\n")),
            ("lib/modules/6.1/modules.builtin", Ok("kernel/fs/ext4/ext4.ko\n")),
        ];
        let modules = initramfs(&files).modules();
        assert_eq!(modules[0].check("overlay"), Ok(()));
        assert_eq!(modules[0].check("ext4"), Ok(()));
        assert_eq!(
            modules[0].check("dm-verity").unwrap_err().to_string(),
            "the kernel module dm-verity is neither in this initramfs (/lib/modules/6.1) nor built into the kernel: pack it \
             with surefoot initramfs --module dm-verity"
        );
        assert!(initramfs(&[]).modules()[0].check("ext4").unwrap_err().contains("(/lib/modules)"));
    }
}
