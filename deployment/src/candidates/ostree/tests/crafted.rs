//! Sysroots that somebody has made to lead elsewhere.

use proptest::prelude::*;

use super::*;

/// What a sysroot with this boot link to a deployment says.
fn linked(path: &str, destination: &str) -> Vec<String> {
    names(AUTO, &deployed(sysroot(), A, K1, 0).link(path, destination))
}

#[test]
fn links_that_lead_elsewhere_are_passed_over() {
    let boot_link = format!("ostree/boot.1.0/debian/{K2}/0");
    for (destination, why) in [
        ("/etc", "ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
        ("../../../../etc", "ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
        ("0", "ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
        ("/ostree/deploy/debian/deploy/CSUM.0", "ostree writes ../../../deploy/OS/deploy/CHECKSUM.SERIAL"),
        ("../../../deploy/../deploy/CSUM.0", "the stateroot cannot be a directory itself"),
        ("../../../deploy/other/deploy/CSUM.0", "that is a deployment of another stateroot"),
        ("../../../deploy/debian/deploy/../../../etc.0", "a checksum is 64 hexadecimal digits in lower case"),
        ("../../../deploy/debian/deploy/CSUM.0/../../x", "the serial number is no plain decimal number"),
        ("../../../deploy/debian/deploy/CSUM.-1", "the serial number is no plain decimal number"),
    ] {
        let destination = destination.replace("CSUM", A);
        let expected = format!("{boot_link}: {boot_link}: the boot link leads to {destination}: {why}");
        assert_eq!(linked(&boot_link, &destination), [NAME_A, &*expected]);
    }
    let long = "x".repeat(300);
    let expected = format!("{boot_link}: the boot link {boot_link} cannot be read: it is longer than 256 bytes");
    assert_eq!(linked(&boot_link, &long), [NAME_A, &*expected]);
}

#[test]
fn names_that_ostree_does_not_give_are_passed_over() {
    for (name, why) in [
        (format!("debian/{K2}/00"), "the serial number is no plain decimal number"),
        (format!("debian/{}/0", &K2[1..]), "a checksum is 64 hexadecimal digits in lower case"),
        (format!("de bian/{K2}/0"), "the name of a stateroot is made of letters, digits and -_.+~@"),
        (format!("{}/{K2}/0", "o".repeat(65)), "the name of the stateroot has more than 64 bytes"),
    ] {
        let path = format!("ostree/boot.1.0/{name}");
        let found = linked(&path, &format!("../../../deploy/debian/deploy/{A}.0"));
        assert_eq!(found[0], NAME_A);
        assert!(found[1].starts_with(&format!("{path}: ")) && found[1].ends_with(why), "{found:?}");
    }
    let found = linked(&format!("ostree/boot.1.0/{}/{K2}/0", "o".repeat(255)), "x");
    assert_eq!(found, [NAME_A, "ostree/boot.1.0: a name in it is longer than any that ostree writes"]);
}

#[test]
fn links_in_the_place_of_directories_are_not_followed() {
    let link = "a symbolic link is in the way, and none is followed here";
    let wrong = "it is not the kind of file that is wanted";
    let is_passed_over = |tree: Fixture, what: &str, why: &str| {
        let found = names(AUTO, &tree);
        let said = found.iter().any(|line| line.starts_with(what) && line.ends_with(why));
        assert!(said && !found.iter().any(|name| name == NAME_B), "{found:?}");
    };
    let tree = || deployed(sysroot(), A, K1, 0);
    let directory = format!("ostree/deploy/debian/deploy/{B}.0");
    let boot_link = format!("ostree/boot.1.0/debian/{K2}/0");
    let with = |tree: Fixture| tree.link(&boot_link, &format!("../../../deploy/debian/deploy/{B}.0"));
    is_passed_over(with(tree()), &boot_link, "there is nothing by that name");
    is_passed_over(with(tree().link(&directory, "/")), &boot_link, wrong);
    is_passed_over(with(tree().file(&directory, "")), &boot_link, wrong);
    is_passed_over(with(tree().without("ostree/deploy").link("ostree/deploy", "/x")), &boot_link, link);
    is_passed_over(tree().file(&boot_link, ""), &boot_link, wrong);
    is_passed_over(tree().directory(&boot_link), &boot_link, wrong);
    is_passed_over(tree().link("ostree/boot.1.0/debian/loop", "loop"), "ostree/boot.1.0/debian/loop", wrong);
    is_passed_over(tree().link("ostree/boot.1.0/out", "/"), "ostree/boot.1.0/out", wrong);
    is_passed_over(tree().without("ostree/boot.1.0").link("ostree/boot.1.0", "/etc"), "ostree/boot.1.0", wrong);
    let only = tree().link("ostree/boot.1", "boot.1");
    is_passed_over(
        only,
        "ostree/boot.1",
        "the link of the boot version leads to boot.1: ostree writes boot.[01].[01] of \
                                           the same version",
    );
    is_passed_over(tree().link("ostree/boot.1", "../../boot.1.0"), "ostree/boot.1", "of the same version");
    is_passed_over(tree().without("ostree/boot.1").directory("ostree/boot.1"), "ostree/boot.1", wrong);
}

#[test]
fn boot_entries_that_lead_elsewhere_are_passed_over() {
    let at = |name: &str| format!("boot/loader.1/entries/{name}");
    let tree = deployed(sysroot(), A, K1, 0)
        .link(&at("ostree-1.conf"), "/etc/passwd")
        .file(&at("ostree-2.conf"), "options ostree=/etc\n")
        .file(&at("ostree-3.conf"), "x".repeat(5000))
        .file(&at("ostree-4.conf"), b"\xff")
        .file(&at("ostree-5.conf"), "options root=/dev/sda\n");
    let expected = [
        NAME_A,
        "boot/loader.1/entries/ostree-4.conf: the boot entry cannot be read: it is no UTF-8 text",
        "boot/loader.1/entries/ostree-3.conf: the boot entry cannot be read: it is longer than 4096 bytes",
        "boot/loader.1/entries/ostree-2.conf: ostree=/etc: ostree writes /ostree/boot.[01]/OS/CHECKSUM/SERIAL",
        "boot/loader.1/entries/ostree-1.conf: the boot entry cannot be read: a symbolic link is in the way, and none is \
         followed here",
    ];
    assert_eq!(names(AUTO, &tree), expected);
    let tree = deployed(sysroot(), A, K1, 0).without("boot/loader.1").link("boot/loader.1", "/etc");
    assert_eq!(names(AUTO, &tree).len(), 2);
}

#[test]
fn no_number_of_names_keeps_a_boot_from_ending() {
    let tree =
        (0..300).fold(sysroot(), |tree, serial| tree.link(&format!("ostree/boot.1.0/debian/{K1}/{serial}"), "/"));
    let found = names(AUTO, &tree);
    let said = format!("ostree/boot.1.0/debian/{K1}: MAX_NAMES allows 256 names of boot links and boot entries");
    assert!(found.len() < 260 && found.contains(&said), "{found:?}");
    let tree = (0..20).fold(sysroot(), |tree, number| deployed(tree, &format!("{number:064}"), K1, number));
    let found = names(AUTO, &tree);
    assert_eq!(found.len(), 20, "{found:?}");
    assert!(found[16].ends_with("MAX_DEPLOYMENTS allows 16 deployments of one sysroot"), "{found:?}");
}

/// Names as they come up in a sysroot, sound or not.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(std::vec![
            "ostree",
            "boot.0",
            "boot.1",
            "boot.0.0",
            "boot.1.0",
            "boot",
            "loader",
            "loader.1",
            "entries",
            "deploy",
            "debian",
            "etc",
            "var",
            "usr",
            "0",
            "..",
            ".",
            "repo",
            "config",
            ".ostree.cfs",
            ".usr-ovl-work",
        ])
        .prop_map(ToString::to_string),
        Just(K1.to_string()),
        Just(format!("{A}.0")),
        "[a-z./]{1,5}",
    ]
}

fn any_path() -> impl Strategy<Value = String> {
    let sound = prop::sample::select(std::vec![
        "ostree/boot.1".to_string(),
        "boot/loader".to_string(),
        format!("ostree/boot.1.0/debian/{K1}/0"),
        format!("ostree/deploy/debian/deploy/{A}.0"),
        format!("ostree/deploy/debian/deploy/{A}.0/usr"),
        "ostree/deploy/debian/var".to_string(),
    ]);
    prop_oneof![sound, prop::collection::vec(part(), 1..6).prop_map(|parts| parts.join("/"))]
}

proptest! {
    #[test]
    fn no_sysroot_makes_it_panic_or_leave(
        nodes in prop::collection::vec((any_path(), any_path(), 0..4_u8), 0..24),
        up in 0..5_usize,
        enabled in prop::sample::select(std::vec!["no", "maybe", "yes", "signed"]),
    ) {
        let tree = nodes.iter().fold(three(), |tree, (path, to, kind)| match kind {
            0 => tree.directory(path),
            1 => tree.file(path, to),
            _ => tree.link(path, &format!("{}{to}", "../".repeat(up))),
        });
        let initramfs = Fixture::default();
        let cmdline = format!("surefoot.verity=optional {} {AUTO} ostree.prepare-root.composefs={enabled}", asked(K1, 0));
        looking(&cmdline, &tree, &initramfs, FilesystemKind::Ext4, |look| {
            let found = found(&OSTREE, look, &LedgerFile::default());
            for line in found.lines().filter(|line| line.contains(": Insecure") || line.contains(": Verified")) {
                let (_, rest) = line.split_once(" at ").unwrap();
                let (place, _) = rest.split_once(": ").unwrap();
                let root = Recorder::root(&OSTREE, place, look);
                if root.starts_with("refused: ") {
                    continue;
                }
                for word in root.split([' ', ',']).filter(|word| word.starts_with("SYSROOT/")) {
                    let below = word.trim_start_matches("SYSROOT/");
                    let inside = below == "boot"
                        || ["ostree/deploy/", "ostree/repo/objects"].iter().any(|top| below.starts_with(top));
                    assert!(inside && !word.split('/').any(|part| part == ".."), "{root}");
                }
            }
        });
    }
}
