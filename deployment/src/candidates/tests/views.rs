//! What of a btrfs each kind of deployment looks at: its top, or what a mount of it shows.

use super::*;
use crate::ledger::file::LedgerFile;
use crate::tree::fixture::Fixture;

const AUTO: &str = "root=/dev/vda2 surefoot.deployment=auto surefoot.verity=optional";
const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KERNEL: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const INFO: &str = "<snapshot><type>single</type><num>7</num><date>2026-11-22 10:00:00</date></snapshot>";
const OSTREE: &str = "debian-aaaaaaaaaaaa.0 in root";

/// With a deployment of ostree's below a directory, which ends in a slash.
fn ostree(tree: Fixture, top: &str) -> Fixture {
    let deployment = format!("debian/deploy/{COMMIT}.0");
    tree.directory(&format!("{top}ostree/deploy/{deployment}"))
        .link(&format!("{top}ostree/boot.1"), "boot.1.0")
        .link(&format!("{top}ostree/boot.1.0/debian/{KERNEL}/0"), &format!("../../../deploy/{deployment}"))
}

/// With a deployment of composefs's.
fn composefs(tree: Fixture, top: &str) -> Fixture {
    tree.file(&format!("{top}composefs/meta.json"), r#"{"version":1,"algorithm":"fsverity-sha256-12"}"#)
        .link(&format!("{top}composefs/images/{COMMIT}"), "../objects/aa/a")
        .directory(&format!("{top}state/deploy/{COMMIT}"))
}

/// The layout of Fedora: no root but those in the sysroot `root`.
fn fedora() -> Fixture {
    ostree(Fixture::default().subvolume("home", false).subvolume("root", false), "root/").default_is("")
}

/// What is found, each with the directory that its kind looks at; then what is passed over.
fn look(cmdline: &str, filesystem: FilesystemKind, tree: &Fixture) -> Vec<String> {
    let config = config(cmdline);
    let device = DeviceSource { device: Name::try_from("vda2").unwrap(), filesystem: Some(filesystem) };
    let look = Look { config: &config, tree, initramfs: &Fixture::default(), device: &device };
    let (mut found, mut notes) = (Candidates::new(), Vec::new());
    look_into(&look, 0, &LedgerFile::default(), &mut found, &mut |what, why| notes.push(format!("{what}: {why}")));
    let shown = found.iter().map(|candidate| match &candidate.root {
        RootSource::Tree(source) => format!("{} in {}", candidate.name, source.directory),
        other => format!("{other:?}"),
    });
    shown.chain(notes).collect()
}

fn btrfs(words: &str, tree: &Fixture) -> Vec<String> {
    look(&format!("{AUTO} {words}"), FilesystemKind::Btrfs, tree)
}

#[test]
fn ostree_has_what_a_mount_shows_for_its_sysroot() {
    // The subvolume that is the sysroot is no root itself, and nobody is told that it is none.
    for option in ["subvol=root", "noatime,subvol=/root/", "subvolid=257"] {
        assert_eq!(btrfs(&format!("rootflags={option}"), &fedora()), [OSTREE], "{option}");
        let named = format!("rootflags={option} ostree=/ostree/boot.1/debian/{KERNEL}/0");
        assert_eq!(btrfs(&named, &fedora()), [OSTREE], "{named}");
    }
    assert_eq!(btrfs("", &fedora().default_is("root")), [OSTREE]);
    assert_eq!(btrfs("", &fedora()), [""; 0]);
    assert_eq!(btrfs("rootflags=subvol=/", &fedora().default_is("root")), ["subvolume-top in "]);
    assert_eq!(btrfs("", &ostree(Fixture::default(), "").default_is("")), ["debian-aaaaaaaaaaaa.0 in "]);
}

#[test]
fn composefs_has_the_same() {
    let tree = composefs(Fixture::default().subvolume("root", false), "root/").default_is("");
    let found = [format!("composefs-{} in root", &COMMIT[..16])];
    assert_eq!(btrfs("rootflags=subvol=root", &tree), found);
    assert_eq!(btrfs("", &tree.default_is("root")), found);
}

#[test]
fn the_kinds_of_all_views_are_in_one_list() {
    let tree = fedora().subvolume("@", false).directory("@/usr").subvolume(".snapshots", false);
    let tree = tree.file(".snapshots/7/info.xml", INFO);
    let tree = tree.subvolume(".snapshots/7/snapshot", true).directory(".snapshots/7/snapshot/usr").default_is("@");
    let all = btrfs("rootflags=subvol=root", &tree);
    assert_eq!(all, [OSTREE, "subvolume-@ in ", "snapshot-7 in "]);
    // A sysroot with an operating system of its own is what the command line names.
    let both = btrfs("rootflags=subvol=root", &tree.directory("root/usr"));
    assert_eq!(both, ["subvolume-root in ", OSTREE, "subvolume-@ in ", "snapshot-7 in "]);
}

#[test]
fn a_subvolume_that_is_not_there_is_told_once() {
    let missing = "there is no such subvolume: there is nothing by that name";
    let named = format!("root=/dev/vda2 surefoot.verity=optional ostree=/ostree/boot.1/debian/{KERNEL}/0");
    let look = |words: &str, tree: &Fixture| look(&format!("{named} {words}"), FilesystemKind::Btrfs, tree);
    assert_eq!(look("rootflags=subvol=gone", &fedora()), [format!("gone: {missing}")]);
    let directory = fedora().directory("plain");
    assert_eq!(look("rootflags=subvol=plain", &directory), ["plain: it is no subvolume"]);
    let link = fedora().link("link", "root");
    assert_eq!(
        look("rootflags=subvol=link", &link),
        ["link: there is no such subvolume: a symbolic link is in the way, and none is followed here"]
    );
    // It is the first choice where any may boot, and told when it fails.
    assert_eq!(btrfs("rootflags=subvol=gone", &fedora()), ["subvolume-gone in "]);
}

#[test]
fn other_filesystems_are_looked_into_from_their_top() {
    let tree = ostree(Fixture::default(), "");
    let cmdline = format!("{AUTO} rootflags=subvol=root");
    assert_eq!(look(&cmdline, FilesystemKind::Ext4, &tree), ["debian-aaaaaaaaaaaa.0 in "]);
}
