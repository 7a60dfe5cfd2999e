//! The boot entry of an ostree deployment, whose name may count tries (Boot Loader Specification, "Boot counting"): what
//! the ledger says is said there, too, so that the boot loader chooses alike.

use deployment::candidates::linked_deployment;
use deployment::gpt::Attributes;
use deployment::ostree::BootEntry;
use deployment::tree::{Below, Tree, Watched};
use init::ledger::rename;
use init::mounted_tree::MountedTree;

/// Most bytes of a boot entry, and of the text of a link.
const MAX_ENTRY: usize = 1 << 16;
const MAX_LINK: usize = 255;
/// What the names of boot entries end in.
const SUFFIX: &str = ".conf";

/// Renames the boot entries of the deployment at `place` of the sysroot in `directory` that count tries. Where `/boot` is
/// another filesystem there are none, nor for what no boot link of ostree leads to.
pub(super) fn tell(
    filesystem: &MountedTree,
    directory: &str,
    place: &str,
    attributes: Attributes,
) -> Result<(), String> {
    let watched = Watched::new(filesystem);
    let tree: &dyn Tree = &Below { tree: &watched, directory };
    let from_top = |path: String| if directory.is_empty() { path } else { format!("{directory}/{path}") };
    let Some(folder) = entries(tree) else { return all_was_told(watched) };
    let mut names = Vec::new();
    // A folder that is not there holds nothing for us.
    let _ = tree.list(&folder, &mut |name| {
        names.push(name.to_owned());
        true
    });
    for name in names {
        let path = format!("{folder}/{name}");
        let Some(new) = renamed(&name, attributes).filter(|new| *new != name) else { continue };
        if boots(tree, &path, &name, place) {
            let new = from_top(format!("{folder}/{new}"));
            rename(filesystem, &from_top(path), &new).map_err(|why| why.to_string())?;
        }
    }
    all_was_told(watched)
}

/// What could not be read may have been the entry.
fn all_was_told(watched: Watched<'_>) -> Result<(), String> {
    watched.into_failure().map_or(Ok(()), |failure| Err(format!("cannot read the boot entries: {failure}")))
}

/// The folder of the boot entries that count.
fn entries(tree: &dyn Tree) -> Option<String> {
    let mut buffer = [0; MAX_LINK];
    let version = deployment::ostree::bls::loader_version(tree.read_link("boot/loader", &mut buffer).ok()?)?;
    Some(format!("boot/loader.{version}/entries"))
}

/// Whether the entry is that of the deployment at `place`.
fn boots(tree: &dyn Tree, path: &str, name: &str, place: &str) -> bool {
    let mut buffer = vec![0; MAX_ENTRY];
    let entry = tree.read_text(path, &mut buffer).ok().and_then(|text| BootEntry::parse(name, text));
    entry.and_then(|entry| linked_deployment(tree, entry.ostree()?)).as_deref() == Some(place)
}

/// What an entry is to be called; `None` for one whose name counts nothing.
fn renamed(name: &str, attributes: Attributes) -> Option<String> {
    BootEntry::parse(name, "")?.tries?;
    let (stem, counters) = name.strip_suffix(SUFFIX)?.rsplit_once('+')?;
    let done = counters.find('-').map_or("", |at| &counters[at..]);
    Some(if attributes.successful() {
        format!("{stem}{SUFFIX}")
    } else if attributes.priority() == 0 {
        format!("{stem}+0{done}{SUFFIX}")
    } else {
        format!("{stem}+{}{done}{SUFFIX}", attributes.tries())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_name_says_what_the_ledger_says() {
        let good = Attributes::default().with_priority(1).with_successful(true);
        let untested = Attributes::default().with_priority(1).with_tries(2);
        for (name, expected) in [
            ("ostree-1+3-0.conf", ["ostree-1.conf", "ostree-1+0-0.conf", "ostree-1+2-0.conf"]),
            ("ostree-2-debian+0.conf", ["ostree-2-debian.conf", "ostree-2-debian+0.conf", "ostree-2-debian+2.conf"]),
        ] {
            let new = [good, Attributes::default(), untested].map(|attributes| renamed(name, attributes).unwrap());
            assert_eq!(new, expected, "{name}");
        }
        for name in ["ostree-1.conf", "debian+3.conf", "ostree-1+x.conf"] {
            assert_eq!(renamed(name, good), None, "{name}");
        }
    }

    const DEPLOYMENT: &str = "ostree/deploy/debian/deploy/";

    /// A sysroot with two deployments and their boot entries.
    fn sysroot(root: &Path) -> [String; 2] {
        fs::create_dir_all(root.join("boot/loader.1/entries")).unwrap();
        symlink("loader.1", root.join("boot/loader")).unwrap();
        ["1", "2"].map(|digit| {
            let checksum = digit.repeat(64);
            let link = format!("ostree/boot.1.0/debian/{checksum}");
            fs::create_dir_all(root.join(&link)).unwrap();
            let place = format!("{DEPLOYMENT}{checksum}.0");
            fs::create_dir_all(root.join(&place)).unwrap();
            symlink(format!("../../../deploy/debian/deploy/{checksum}.0"), root.join(link).join("0")).unwrap();
            let text = format!("title x\nversion {digit}\noptions quiet ostree=/ostree/boot.1/debian/{checksum}/0\n");
            fs::write(root.join(format!("boot/loader.1/entries/ostree-{digit}+3-0.conf")), text).unwrap();
            place
        })
    }

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join("boot/loader.1/entries")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_entry_of_the_deployment_is_renamed() {
        for directory in ["", "root"] {
            let folder = tempfile::tempdir().unwrap();
            let top = folder.path().join(directory);
            let [_, second] = sysroot(&top);
            symlink("boot.1.0", top.join("ostree/boot.1")).unwrap();
            let tree = MountedTree::open(folder.path().to_str().unwrap()).unwrap();
            let good = Attributes::default().with_priority(1).with_successful(true);
            tell(&tree, directory, &second, good).unwrap();
            assert_eq!(names(&top), ["ostree-1+3-0.conf", "ostree-2.conf"]);
            tell(&tree, directory, "ostree/deploy/debian/deploy/other", good).unwrap();
            assert_eq!(names(&top).len(), 2);
            assert_eq!(names(&top)[0], "ostree-1+3-0.conf");
        }
    }

    #[test]
    fn a_boot_link_that_ostree_has_not_written_leads_to_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let [first, _] = sysroot(folder.path());
        fs::rename(folder.path().join("ostree/boot.1.0"), folder.path().join("ostree/boot.1.7")).unwrap();
        symlink("boot.1.7", folder.path().join("ostree/boot.1")).unwrap();
        let tree = MountedTree::open(folder.path().to_str().unwrap()).unwrap();
        tell(&tree, "", &first, Attributes::default()).unwrap();
        assert_eq!(names(folder.path()), ["ostree-1+3-0.conf", "ostree-2+3-0.conf"]);
    }

    #[test]
    fn without_boot_links_nothing_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let [first, _] = sysroot(folder.path());
        let tree = MountedTree::open(folder.path().to_str().unwrap()).unwrap();
        tell(&tree, "", &first, Attributes::default()).unwrap();
        assert_eq!(names(folder.path()), ["ostree-1+3-0.conf", "ostree-2+3-0.conf"]);
        let empty = tempfile::tempdir().unwrap();
        tell(&MountedTree::open(empty.path().to_str().unwrap()).unwrap(), "", &first, Attributes::default()).unwrap();
    }
}
