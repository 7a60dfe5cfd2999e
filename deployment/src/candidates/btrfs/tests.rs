use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::candidates::recipe::recorder::{self, Recorder, looking};
use crate::ledger::file::LedgerFile;
use crate::tree::fixture::Fixture;

const AUTO: &str = "surefoot.deployment=auto surefoot.verity=optional";

fn info(number: u32, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<snapshot>\n  <type>single</type>\n  <num>{number}</num>\n  \
         <date>2026-11-22 10:00:00</date>\n{more}</snapshot>\n"
    )
}

/// With a snapshot of a root as snapper makes it.
fn snapshot(tree: Fixture, folder: &str, number: u32, read_only: bool) -> Fixture {
    let root = format!("{folder}/{number}/snapshot");
    tree.file(&format!("{folder}/{number}/info.xml"), info(number, ""))
        .subvolume(&root, read_only)
        .file(&format!("{root}/usr/lib/os-release"), "")
        .directory(&format!("{root}/etc"))
        .directory(&format!("{root}/var"))
        .directory(&format!("{root}/home"))
        .directory(&format!("{root}/.snapshots"))
}

/// The layout of SUSE: snapshot 1 is writable and the default.
fn suse() -> Fixture {
    let folder = "@/.snapshots";
    let tree = Fixture::default().subvolume("@", false).subvolume(folder, false);
    let tree = tree.subvolume("@/var", false).subvolume("@/home", false).subvolume("@/root", false);
    let tree = snapshot(tree, folder, 1, false);
    snapshot(snapshot(tree, folder, 2, true), folder, 10, true).default_is("@/.snapshots/1/snapshot")
}

fn found(cmdline: &str, tree: &Fixture) -> String {
    looking(cmdline, tree, &Fixture::default(), FilesystemKind::Btrfs, |look| {
        recorder::found(&BTRFS, look, &LedgerFile::default())
    })
}

/// What is found, without what all candidates have in common.
fn names(cmdline: &str, tree: &Fixture) -> String {
    found(cmdline, tree).replace(": Insecure(Root), tries not counted", "").replace(", ledger of filesystem 0", "")
}

fn root(cmdline: &str, place: &str, tree: &Fixture) -> String {
    looking(cmdline, tree, &Fixture::default(), FilesystemKind::Btrfs, |look| Recorder::root(&BTRFS, place, look))
}

#[test]
fn the_default_subvolume_comes_before_the_newest_snapshots() {
    let expected = "snapshot-1 at @/.snapshots/1/snapshot: Insecure(Root), tries not counted, ledger of filesystem 0\n\
                    snapshot-10 at @/.snapshots/10/snapshot: Insecure(Root), tries not counted, ledger of filesystem 0\n\
                    snapshot-2 at @/.snapshots/2/snapshot: Insecure(Root), tries not counted, ledger of filesystem 0";
    assert_eq!(found(AUTO, &suse()), expected);
    let other = FilesystemKind::Ext4;
    let nothing = looking(AUTO, &suse(), &Fixture::default(), other, |look| {
        recorder::found(&BTRFS, look, &LedgerFile::default())
    });
    assert_eq!(nothing, "");
}

#[test]
fn what_rootflags_name_comes_first_and_once() {
    let rest = "snapshot-1 at @/.snapshots/1/snapshot\nsnapshot-10 at @/.snapshots/10/snapshot";
    for flags in [
        "rootflags=subvol=@/.snapshots/2/snapshot",
        "rootflags=noatime,subvol=/@/.snapshots/2/snapshot/",
        "rootflags=subvol=@ rootflags=compress=zstd,subvol=\"@/.snapshots/2/snapshot\"",
    ] {
        let expected = format!("snapshot-2 at @/.snapshots/2/snapshot, named\n{rest}");
        assert_eq!(names(&format!("{AUTO} {flags}"), &suse()), expected, "{flags}");
    }
    let default = format!("{AUTO} rootflags=subvol=@/.snapshots/1/snapshot");
    assert!(names(&default, &suse()).starts_with("snapshot-1 at @/.snapshots/1/snapshot, named\nsnapshot-10 at"));
    // One that is not there fails when it is tried, so that this is reported.
    let gone = format!("{AUTO} rootflags=subvol=gone");
    assert!(names(&format!("{gone} root=/dev/vda2"), &suse()).starts_with("subvolume-gone at gone, named\n"));
    // It may be in another one, though, if nothing says that it is this one.
    let elsewhere = "\ngone: there is no such subvolume: there is nothing by that name";
    assert!(names(&gone, &suse()).ends_with(elsewhere), "{}", names(&gone, &suse()));
    assert!(names(&format!("{AUTO} rootflags=subvolid=5"), &suse()).starts_with("subvolume-top at , named\n"));
    let by_number = names(&format!("{AUTO} rootflags=subvolid=260"), &suse());
    assert!(by_number.starts_with("snapshot-2 at @/.snapshots/2/snapshot, named\n"), "{by_number}");
    for number in ["9999", "x"] {
        let by_number = names(&format!("{AUTO} rootflags=subvolid={number}"), &suse());
        let gone = "\nrootflags=subvolid=: it cannot be told where it lies: there is nothing by that name";
        assert!(by_number.ends_with(gone), "{by_number}");
    }
    // Where both are given it is for the kernel to find that they differ; the path counts.
    let both = format!("{AUTO} rootflags=subvolid=260,subvol=@/.snapshots/10/snapshot,subvolid=260");
    assert!(names(&both, &suse()).starts_with("snapshot-10 at @/.snapshots/10/snapshot, named\n"));
}

#[test]
fn one_can_be_pinned_and_others_are_only_found_where_any_is_wanted() {
    let pinned = "surefoot.deployment=btrfs:/@/.snapshots/2/snapshot surefoot.verity=optional";
    assert_eq!(names(pinned, &suse()), "snapshot-2 at @/.snapshots/2/snapshot, named");
    assert_eq!(names("surefoot.deployment=ostree:x surefoot.verity=optional", &suse()), "");
    assert_eq!(
        names("surefoot.deployment=auto", &suse()),
        "snapshot-1: nothing verifies it: surefoot.verity=optional boots it insecurely"
    );
}

#[test]
fn a_snapshot_that_is_none_is_passed_over_and_told() {
    let folder = "@/.snapshots";
    let tree = suse()
        .directory("@/.snapshots/3")
        .file("@/.snapshots/4/info.xml", info(4, ""))
        .link("@/.snapshots/4/snapshot", "../1/snapshot")
        .file("@/.snapshots/5/info.xml", info(5, ""))
        .directory("@/.snapshots/5/snapshot")
        .file("@/.snapshots/6/info.xml", info(6, ""))
        .subvolume("@/.snapshots/6/snapshot", true)
        .link("@/.snapshots/7", "1")
        .file("@/.snapshots/x", "")
        .file("@/.snapshots/011/info.xml", "");
    let tree = snapshot(tree, folder, 8, true).file("@/.snapshots/8/info.xml", info(9, ""));
    let tree = snapshot(tree, folder, 9, true).file("@/.snapshots/9/info.xml", [b'x'; MAX_INFO + 1]);
    let data = "<userdata><key>transactional-update-in-progress</key><value>yes</value></userdata>";
    let tree = snapshot(tree, folder, 12, false).file("@/.snapshots/12/info.xml", info(12, data));
    let tree = snapshot(tree, folder, 13, true).without("@/.snapshots/13/info.xml");
    let expected = "snapshot-1 at @/.snapshots/1/snapshot\n\
                    snapshot-10 at @/.snapshots/10/snapshot\n\
                    snapshot-2 at @/.snapshots/2/snapshot\n\
                    snapshot-13: cannot read its info.xml: there is nothing by that name\n\
                    snapshot-12: its update was not finished (transactional-update-in-progress=yes)\n\
                    snapshot-9: cannot read its info.xml: it is longer than 4096 bytes\n\
                    snapshot-8: its info.xml has another number than its folder\n\
                    snapshot-7: cannot read its info.xml: a symbolic link is in the way, and none is followed here\n\
                    snapshot-6: it holds no operating system: neither usr, nor etc/os-release, nor sbin/init\n\
                    snapshot-5: it is no subvolume\n\
                    snapshot-4: there is no such subvolume: a symbolic link is in the way, and none is followed here";
    assert_eq!(names(AUTO, &tree), expected);
    // The default one needs no description.
    let tree = tree.default_is("@/.snapshots/13/snapshot");
    assert!(names(AUTO, &tree).starts_with("snapshot-13 at @/.snapshots/13/snapshot\n"));
}

#[test]
fn snapshots_are_found_in_every_layout() {
    let flat = |folder: &str| {
        let tree = Fixture::default().subvolume("@", false).directory("@/usr").subvolume(folder, false);
        snapshot(tree, folder, 3, true).default_is("@")
    };
    for folder in [".snapshots", "@snapshots", "@/.snapshots"] {
        let expected = format!("subvolume-@ at @\nsnapshot-3 at {folder}/3/snapshot");
        assert_eq!(names(AUTO, &flat(folder)), expected, "{folder}");
    }
    let top = snapshot(Fixture::default().directory("usr").subvolume(".snapshots", false), ".snapshots", 3, true);
    assert_eq!(names(AUTO, &top.default_is("")), "subvolume-top at \nsnapshot-3 at .snapshots/3/snapshot");
}

#[test]
fn a_filesystem_without_roots_has_no_candidates() {
    assert_eq!(names(AUTO, &Fixture::default().default_is("")), "");
    let data = Fixture::default().subvolume("data", false).default_is("data");
    let why = "data: it holds no operating system: neither usr, nor etc/os-release, nor sbin/init";
    assert_eq!(names(AUTO, &data), why);
    let why = "default subvolume: it cannot be told where it lies: the filesystem does not have that turned on";
    assert_eq!(names(AUTO, &Fixture::default()), why);
}

#[test]
fn no_more_snapshots_are_looked_at_than_allowed() {
    let tree = (1..=40).fold(suse(), |tree, number| snapshot(tree, "@/.snapshots", number * 100, true));
    let names = names(AUTO, &tree);
    assert!(names.starts_with("snapshot-1 at @/.snapshots/1/snapshot\nsnapshot-4000 at"), "{names}");
    assert_eq!(names.lines().count(), crate::candidates::MAX_CANDIDATES);
}

#[test]
fn names_tell_subvolumes_apart_and_fit_into_the_ledger() {
    let long = "x".repeat(MAX_SHOWN + 1);
    for (path, name) in [
        ("", "subvolume-top"),
        ("@rootfs", "subvolume-@rootfs"),
        ("@/.snapshots/7/snapshot", "snapshot-7"),
        ("@snapshots/7/snapshot", "snapshot-7"),
        ("backups/7/snapshot", "subvolume-backups/7/snapshot"),
        ("@/.snapshots/07/snapshot", "subvolume-@/.snapshots/07/snapshot"),
        ("@/.snapshots/7/other", "subvolume-@/.snapshots/7/other"),
        (&long, "subvolume-31a5feee"),
    ] {
        let shown = format!("{}", Name(path));
        assert_eq!(shown, name);
        assert!(shown.len() <= crate::ledger::file::MAX_RECORDED_NAME);
    }
}

#[test]
fn a_read_only_snapshot_comes_with_the_subvolumes_beside_it() {
    let read_only = "subvolume @/.snapshots/2/snapshot on ROOT (ro)\n\
                     subvolume @/var on ROOT/var (rw)\nprovides /var\n\
                     subvolume @/home on ROOT/home (rw,nosuid,nodev)\nprovides /home\n\
                     subvolume @/.snapshots on ROOT/.snapshots (rw)";
    for words in ["ro", "rw", ""] {
        assert_eq!(root(words, "@/.snapshots/2/snapshot", &suse()), read_only, "{words}");
    }
    assert_eq!(root("", "@/.snapshots/1/snapshot", &suse()), read_only.replace("/2/", "/1/"));
    // One that can be written keeps its /etc.
    let writable = root("rw", "@/.snapshots/1/snapshot", &suse());
    assert!(writable.starts_with("subvolume @/.snapshots/1/snapshot on ROOT (rw)\n"), "{writable}");
    assert!(writable.contains("\nprovides /etc\n"), "{writable}");
}

#[test]
fn a_snapshot_may_have_its_etc_as_a_subvolume() {
    let place = "@/.snapshots/2/snapshot";
    let tree = suse().subvolume("@/.snapshots/2/snapshot/etc", false);
    let etc = "subvolume @/.snapshots/2/snapshot/etc on ROOT/etc (rw,nosuid,nodev)\nprovides /etc";
    assert!(root("", place, &tree).contains(etc));
    assert!(!root("surefoot.etc=overlay", place, &tree).contains("/etc"));
    let marked = suse().subvolume("@/.snapshots/2/snapshot/etc", true);
    assert!(!root("", place, &marked).contains("/etc"));
}

#[test]
fn an_etc_of_layers_is_not_booted_without_them() {
    let tree = suse().directory("@/var/lib/overlay/2/etc");
    let refused = "refused: the changes to its /etc are layers in /var/lib/overlay/2, which are not read; \
                   surefoot.etc=overlay goes without them";
    assert_eq!(root("", "@/.snapshots/2/snapshot", &tree), refused);
    assert!(!root("", "@/.snapshots/10/snapshot", &tree).starts_with("refused"));
    assert!(!root("surefoot.etc=overlay", "@/.snapshots/2/snapshot", &tree).starts_with("refused"));
}

#[test]
fn keys_and_volatile_roots_take_the_place_of_subvolumes() {
    let place = "@/.snapshots/2/snapshot";
    let first = "subvolume @/.snapshots/2/snapshot on ROOT (ro)";
    let last = "subvolume @/.snapshots on ROOT/.snapshots (rw)";
    let home = "subvolume @/home on ROOT/home (rw,nosuid,nodev)\nprovides /home";
    assert_eq!(root("surefoot.var=bind surefoot.home=overlay", place, &suse()), format!("{first}\n{last}"));
    assert_eq!(root("systemd.volatile=state", place, &suse()), format!("{first}\n{home}\n{last}"));
    for volatile in ["overlay", "yes"] {
        assert_eq!(root(&format!("systemd.volatile={volatile}"), place, &suse()), first);
    }
}

#[test]
fn subvolumes_that_belong_to_a_root_are_found_in_flat_layouts() {
    let tree = Fixture::default()
        .subvolume("@", false)
        .directory("@/usr")
        .directory("@/home")
        .link("@/var", "usr")
        .directory("@/.snapshots")
        .subvolume("@var", false)
        .subvolume("home", false)
        .subvolume("@home", true)
        .subvolume("@snapshots", false);
    let expected = "subvolume @ on ROOT (ro)\n\
                    subvolume home on ROOT/home (rw,nosuid,nodev)\nprovides /home\n\
                    subvolume @snapshots on ROOT/.snapshots (rw)";
    assert_eq!(root("", "@", &tree), expected);
    // Nested ones are part of a root that can be written, and mounted by themselves over one that cannot.
    let nested = Fixture::default()
        .subvolume("@", false)
        .directory("@/usr")
        .subvolume("@/var", false)
        .subvolume("@/.snapshots", false);
    let var = "subvolume @/var on ROOT/var (rw)\nprovides /var";
    let snapshots = "subvolume @/.snapshots on ROOT/.snapshots (rw)";
    assert_eq!(root("", "@", &nested), format!("subvolume @ on ROOT (ro)\n{var}\n{snapshots}"));
    let writable = format!("subvolume @ on ROOT (rw)\n{var}\nprovides /home\nprovides /etc");
    assert_eq!(root("rw", "@", &nested), writable);
}

#[test]
fn what_is_no_root_is_refused() {
    let no_root = "it holds no operating system: neither usr, nor etc/os-release, nor sbin/init";
    let tree = suse().link("l", "@/.snapshots/1/snapshot");
    for (place, why) in [
        ("", no_root),
        ("@", no_root),
        ("gone", "there is no such subvolume: there is nothing by that name"),
        ("@/.snapshots/1", "it is no subvolume"),
        ("l", "there is no such subvolume: a symbolic link is in the way, and none is followed here"),
        ("../x", "there is no such subvolume: a symbolic link is in the way, and none is followed here"),
    ] {
        assert_eq!(root("", place, &tree), format!("refused: cannot boot the subvolume /{place}: {why}"));
    }
}

proptest! {
    #[test]
    fn no_names_make_it_panic(names in proptest::collection::vec("[@.a-z0-9/]{1,30}", 0..8), text: Vec<u8>, default in "\\PC{0,30}") {
        let mut tree = Fixture::default().subvolume("@/.snapshots", false);
        for (index, name) in names.iter().enumerate() {
            let name = name.trim_matches('/');
            tree = tree.subvolume(&format!("@/.snapshots/{index}/snapshot/{name}"), index % 2 == 0);
            tree = tree.subvolume(name, true).file(&format!("@/.snapshots/{name}/info.xml"), &text);
        }
        let tree = tree.default_is(&default);
        found(AUTO, &tree);
        for name in &names {
            root("", name, &tree);
        }
    }
}
