use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::OSTREE;
use crate::candidates::recipe::recorder::{Recorder, found, looking};
use crate::filesystem::FilesystemKind;
use crate::gpt::Attributes;
use crate::ledger::file::LedgerFile;
use crate::tree::fixture::Fixture;

mod crafted;
mod roots;

/// Commits, and digests of kernels.
const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
const K1: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const K2: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// A sysroot without boot links, where the ones of version 1 count.
fn sysroot() -> Fixture {
    Fixture::default()
        .link("boot/loader", "loader.1")
        .directory("boot/loader.1/entries")
        .file("ostree/repo/config", "[core]\nmode=bare\n")
        .link("ostree/boot.1", "boot.1.0")
        .directory("ostree/deploy/debian/var")
}

/// A deployment, with the boot link of version 1 that has this kernel and serial.
fn deployed(tree: Fixture, commit: &str, kernel: &str, serial: u32) -> Fixture {
    let directory = format!("ostree/deploy/debian/deploy/{commit}.0");
    ["boot", "etc", "sysroot", "usr/etc", "var"]
        .iter()
        .fold(tree, |tree, name| tree.directory(&format!("{directory}/{name}")))
        .link(&format!("{directory}/home"), "var/home")
        .link(
            &format!("ostree/boot.1.0/debian/{kernel}/{serial}"),
            &format!("../../../deploy/debian/deploy/{commit}.0"),
        )
}

fn entry(tree: Fixture, name: &str, version: &str, kernel: &str, serial: u32) -> Fixture {
    let text = format!("title x\n{version}\noptions quiet {}\n", asked(kernel, serial));
    tree.file(&format!("boot/loader.1/entries/{name}"), text)
}

fn asked(kernel: &str, serial: u32) -> String {
    format!("ostree=/ostree/boot.1/debian/{kernel}/{serial}")
}

/// Two deployments with one kernel, and one with an older kernel; the boot entries say nothing.
fn three() -> Fixture {
    let tree = deployed(sysroot(), A, K1, 0);
    deployed(deployed(tree, B, K2, 0), C, K2, 1)
}

/// What is found with this command line, and what is passed over.
fn found_with(cmdline: &str, tree: &Fixture, ledger: &LedgerFile) -> String {
    let initramfs = Fixture::default();
    let cmdline = format!("surefoot.verity=optional {cmdline}");
    looking(&cmdline, tree, &initramfs, FilesystemKind::Ext4, |look| found(&OSTREE, look, ledger))
}

/// The names alone, in the order in which they are tried, and all that is passed over.
fn names(cmdline: &str, tree: &Fixture) -> Vec<String> {
    let found = found_with(cmdline, tree, &LedgerFile::default());
    let name = |line: &str| line.split_once(" at ").map_or(line, |(name, _)| name).to_string();
    found.lines().map(name).collect()
}

const AUTO: &str = "surefoot.deployment=auto";
const NAME_A: &str = "debian-aaaaaaaaaaaa.0";
const NAME_B: &str = "debian-bbbbbbbbbbbb.0";
const NAME_C: &str = "debian-cccccccccccc.0";

#[test]
fn a_boot_link_names_one_deployment() {
    let expected = format!(
        "{NAME_C} at ostree/deploy/debian/deploy/{C}.0: Insecure(Root), tries not counted, ledger of filesystem 0, named"
    );
    let named = asked(K2, 1);
    assert_eq!(found_with(&named, &three(), &LedgerFile::default()), expected);
    // As ostree writes it into the entry of a tree that has no initramfs.
    let init = format!("{named} init=/ostree/boot.1/debian/{K2}/1/usr/lib/ostree/ostree-prepare-root");
    assert_eq!(found_with(&init, &three(), &LedgerFile::default()), expected);
    let named = named.replacen("ostree=", "surefoot.deployment=ostree:", 1);
    assert_eq!(found_with(&named, &three(), &LedgerFile::default()), expected);
    let named = format!("surefoot.deployment=ostree:{NAME_C}");
    assert_eq!(found_with(&named, &three(), &LedgerFile::default()), expected);
    assert_eq!(names(&format!("{} {AUTO}", asked(K2, 1)), &three()), [NAME_C, NAME_A, NAME_B]);
}

#[test]
fn what_names_no_deployment_is_refused_when_it_is_tried() {
    let tree = three();
    let named = format!("surefoot.deployment=ostree:{}", NAME_C.replace('c', "d"));
    let why = format!("refused: no deployment of ostree is called {}", NAME_C.replace('c', "d"));
    for (cmdline, why) in [
        (named, why),
        (
            asked(K1, 7),
            format!(
                "refused: the boot link ostree/boot.1.0/debian/{K1}/7 cannot be read: there is nothing by that name"
            ),
        ),
        (
            format!("ostree=/ostree/boot.0/debian/{K1}/0"),
            format!("refused: ostree=/ostree/boot.0/debian/{K1}/0: the sysroot has no link ostree/boot.0"),
        ),
        (
            "ostree=/etc".to_string(),
            "refused: ostree=/etc: ostree writes /ostree/boot.[01]/OS/CHECKSUM/SERIAL".to_string(),
        ),
    ] {
        let cmdline = format!("surefoot.verity=optional {cmdline}");
        let initramfs = Fixture::default();
        looking(&cmdline, &tree, &initramfs, FilesystemKind::Ext4, |look| {
            let found = found(&OSTREE, look, &LedgerFile::default());
            assert!(found.ends_with(", named") && !found.contains('\n'), "{found}");
            let (_, rest) = found.split_once(" at ").unwrap();
            let (place, _) = rest.split_once(": Insecure").unwrap();
            assert_eq!(Recorder::root(&OSTREE, place, look), why);
        });
    }
}

#[test]
fn a_text_that_is_too_long_to_be_kept_is_refused_all_the_same() {
    let cmdline = format!("surefoot.verity=optional ostree=/ostree/{}ä{}", "x".repeat(191), "y".repeat(400));
    let (tree, initramfs) = (three(), Fixture::default());
    looking(&cmdline, &tree, &initramfs, FilesystemKind::Ext4, |look| {
        let found = found(&OSTREE, look, &LedgerFile::default());
        let place = format!("/ostree/{}", "x".repeat(191));
        assert!(found.contains(&format!(" at {place}: ")), "{found}");
        let why = Recorder::root(&OSTREE, &place, look);
        assert!(why.ends_with(": ostree writes /ostree/boot.[01]/OS/CHECKSUM/SERIAL"), "{why}");
    });
}

#[test]
fn nothing_is_said_where_nothing_is_asked_for() {
    let ledger = LedgerFile::default();
    assert_eq!(found_with(AUTO, &Fixture::default().file("etc/os-release", ""), &ledger), "");
    for cmdline in ["", "surefoot.deployment=btrfs:x", "composefs=aaaa"] {
        let cmdline = cmdline.replace("aaaa", A);
        assert_eq!(found_with(&cmdline, &three(), &ledger), "", "{cmdline}");
    }
    let other = format!("{} surefoot.deployment=btrfs:x", asked(K1, 0));
    assert_eq!(found_with(&other, &three(), &ledger), "");
    let nowhere = format!("/ostree/boot.1/debian/{K1}/0: this filesystem has no directory /ostree");
    assert_eq!(found_with(&asked(K1, 0), &Fixture::default(), &ledger), nowhere);
}

#[test]
fn boot_entries_rank_deployments() {
    let tree = entry(three(), "ostree-1.conf", "version 1", K1, 0);
    let tree = entry(tree, "ostree-2-debian.conf", "version 10", K2, 1);
    let tree = entry(tree, "other.conf", "version 99", K2, 0);
    // B has no entry.
    assert_eq!(names(AUTO, &tree), [NAME_C, NAME_A, NAME_B]);
    let tree = entry(tree, "ostree-3+2-1.conf", "version 9", K2, 0);
    assert_eq!(names(AUTO, &tree), [NAME_C, NAME_B, NAME_A]);
    let tree = tree.without("boot/loader.1/entries/ostree-1.conf");
    let tree = entry(tree, "ostree-1.conf", "version x", K1, 0);
    assert_eq!(names(AUTO, &tree), [NAME_C, NAME_B, NAME_A]);
}

#[test]
fn an_entry_without_tries_is_no_candidate() {
    let tree = entry(three(), "ostree-3+0-3.conf", "version 3", K2, 0);
    let tree = entry(tree, "ostree-2+1-2.conf", "version 2", K2, 1);
    let spent = format!("{NAME_B}: its tries are spent");
    assert_eq!(names(AUTO, &tree), [NAME_C, NAME_A, &*spent]);
    // Unless it was good once, or is insisted on.
    let mut ledger = LedgerFile::default();
    let good = Attributes::default().with_priority(1).with_successful(true).with_once_good(true);
    ledger.set(NAME_B, good, &|_| true).unwrap();
    let found = found_with(AUTO, &tree, &ledger);
    let last = found.lines().last().unwrap();
    assert!(last.starts_with(NAME_B), "{found}");
    assert_eq!(names(&format!("surefoot.deployment=ostree:{NAME_B}"), &tree), [NAME_B]);
}

#[test]
fn the_ledger_comes_before_the_boot_entries() {
    let tree = entry(three(), "ostree-2.conf", "version 2", K2, 0);
    let mut ledger = LedgerFile::default();
    ledger.set(NAME_A, Attributes::default().with_priority(2).with_successful(true), &|_| true).unwrap();
    ledger.set(NAME_B, Attributes::default().with_priority(1), &|_| true).unwrap();
    let found = found_with(AUTO, &tree, &ledger);
    let lines: Vec<_> = found.lines().collect();
    assert!(lines[0].starts_with(NAME_A) && lines[1].starts_with(NAME_C), "{found}");
    assert_eq!(lines[2], format!("{NAME_B}: its tries are spent"));
}

#[test]
fn without_boot_entries_boot_links_rank_deployments() {
    let age = |tree: Fixture, commit: &str, seconds| {
        tree.modified(&format!("ostree/deploy/debian/deploy/{commit}.0"), seconds)
    };
    // Those of /boot are on another filesystem.
    let tree = age(age(age(three().without("boot"), A, 10), B, 20), C, 30);
    assert_eq!(names(AUTO, &tree), [NAME_B, NAME_A, NAME_C]);
    let tree = age(tree, A, 40);
    assert_eq!(names(AUTO, &tree), [NAME_A, NAME_B, NAME_C]);
}

#[test]
fn the_loader_link_says_which_boot_links_count() {
    let other = format!("../../../deploy/debian/deploy/{C}.0");
    let tree = deployed(sysroot(), A, K1, 0)
        .directory(&format!("ostree/deploy/debian/deploy/{C}.0"))
        .link("ostree/boot.0", "boot.0.1")
        .link(&format!("ostree/boot.0.1/debian/{K2}/0"), &other);
    assert_eq!(names(AUTO, &tree), [NAME_A]);
    assert_eq!(names(AUTO, &tree.clone().link("boot/loader", "loader.0")), [NAME_C]);
    // A link that says nothing, or more than there is: all count.
    for tree in [tree.clone().without("boot"), tree.clone().link("boot/loader", "../loader.1")] {
        assert_eq!(names(AUTO, &tree), [NAME_A, NAME_C]);
    }
    assert_eq!(names(AUTO, &tree.clone().without("ostree/boot.1")), [NAME_C]);
    // A deployment that has two links counts once.
    let twice = tree.link(&format!("ostree/boot.1.0/debian/{K1}/1"), &format!("../../../deploy/debian/deploy/{A}.0"));
    assert_eq!(names(AUTO, &twice), [NAME_A]);
}

#[test]
fn names_are_short_enough_to_be_recorded() {
    let os = "o".repeat(64);
    let directory = format!("ostree/deploy/{os}/deploy/{A}.2147483647");
    let tree = Fixture::default()
        .directory(&directory)
        .link("ostree/boot.0", "boot.0.0")
        .link(&format!("ostree/boot.0.0/{os}/{K1}/0"), &format!("../../../deploy/{os}/deploy/{A}.2147483647"));
    let name = format!("{}-aaaaaaaaaaaa.2147483647", "o".repeat(30));
    assert!(name.len() <= crate::ledger::file::MAX_RECORDED_NAME);
    let found = found_with(AUTO, &tree, &LedgerFile::default());
    assert!(found.starts_with(&format!("{name} at {directory}: ")), "{found}");
}

#[test]
fn only_a_signature_makes_a_deployment_verified() {
    let tree = three();
    let find = |cmdline: &str, text: &str| {
        let initramfs = Fixture::default().file("etc/ostree/prepare-root.conf", text);
        looking(cmdline, &tree, &initramfs, FilesystemKind::Ext4, |look| found(&OSTREE, look, &LedgerFile::default()))
    };
    for enabled in ["no", "maybe", "yes", "verity"] {
        let text = format!("[composefs]\nenabled={enabled}\n");
        let found = find(AUTO, &text);
        assert_eq!(found.matches("nothing verifies it").count(), 3, "{found}");
    }
    let signed = "[composefs]\nenabled=signed\n";
    assert_eq!(find(AUTO, signed).matches(": Verified, ").count(), 3);
    for word in ["maybe", "yes", "no", "verity"] {
        let cmdline = format!("{AUTO} ostree.prepare-root.composefs={word}");
        assert_eq!(find(&cmdline, signed).matches(": Verified, ").count(), 0, "{word}");
    }
    assert_eq!(find(&format!("{AUTO} ostree.prepare-root.composefs=signed"), "").matches(": Verified, ").count(), 3);
    // What cannot be read cannot be asked for a signature.
    assert_eq!(
        find(AUTO, "x"),
        "ostree: /etc/ostree/prepare-root.conf, line 1: \"x\" is neither [group] nor key=value in a group"
    );
}
