//! What would boot, and how.

use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::machine::{ANY, Machine, images, ostree, root, run, write};

#[test]
fn an_ext4_is_looked_into_without_being_mounted() {
    let machine = Machine::ext4(|top| ostree(top, &[1, 2]));
    let before = machine.image();
    assert_snapshot!(machine.explain(&[]));
    assert!(machine.image() == before, "the image was changed");
}

#[test]
fn a_btrfs_cannot_be_read_without_being_mounted() {
    let machine = Machine::btrfs(|top| ostree(top, &[1]));
    let expected = "--- stderr, exit code 2\nsurefoot: cannot tell what would boot from /dev/vda: deployments are looked for \
                    in its btrfs, which can be read only when it is mounted\n  Run it as root with --look-inside: it is \
                    mounted read-only, where nothing else sees it.\n";
    assert_eq!(machine.explain(&[]), expected);
}

/// The last lines: what would happen.
fn verdict(text: &str) -> &str {
    text.find("would boot").or_else(|| text.find("--- stderr")).map_or(text, |start| &text[start..])
}

#[test]
fn the_root_of_a_deployment_is_put_together_and_checked() {
    for machine in [Machine::ext4(|top| ostree(top, &[1, 2])), Machine::btrfs(|top| ostree(top, &[1, 2]))] {
        let before = machine.image();
        let text = machine.explain(&["--look-inside"]);
        assert_eq!(verdict(&text), "would boot debian-020202020202.0 and start /sbin/init\n");
        assert!(machine.image() == before, "the image was changed");
    }
    let machine = Machine::ext4(|top| {
        ostree(top, &[1, 2]);
        let broken = format!("ostree/deploy/debian/deploy/{}.0/sbin/init", "02".repeat(32));
        std::fs::remove_file(top.join(broken)).unwrap();
    });
    let text = machine.explain(&["--look-inside"]);
    assert!(text.contains("  fails: the new root has no init that can be started: "), "{text}");
    assert_eq!(verdict(&text), "would boot debian-010101010101.0 and start /sbin/init\n");
}

#[test]
fn an_image_file_is_attached_and_checked() {
    let machine = Machine::ext4(|top| images(top, &["1", "2+3-0", "3+0-3"]));
    assert_snapshot!(machine.explain(&["--look-inside"]));
}

#[test]
fn an_image_file_with_a_hash_tree_behind_it_is_verified() {
    let hash = tempfile::NamedTempFile::new().unwrap();
    let machine = Machine::ext4(|top| {
        images(top, &["1"]);
        let image = top.join("images/app.raw.v/app_1.raw");
        let offset = std::fs::metadata(&image).unwrap().len().to_string();
        let mut format = std::process::Command::new(env!("CARGO_BIN_EXE_surefoot"));
        format.args(["verity", "format", "--hash-offset", &offset, "--root-hash-file"]).arg(hash.path());
        run(format.args([&image, &image]));
    });
    let accepted = format!("surefoot.roothash={}", std::fs::read_to_string(hash.path()).unwrap().trim());
    let explain = |words: &[&str], accept: &str| {
        let cmdline =
            format!("root=/dev/vda surefoot.deployment=auto {accept} surefoot.etc=ro surefoot.var=ro surefoot.home=ro");
        machine.run(&[&["explain", "--cmdline", &cmdline], words].concat())
    };
    let inside = explain(&["--look-inside"], &accepted);
    assert_eq!(verdict(&inside), "would boot app_1 and start /sbin/init\n", "{inside}");
    assert!(inside.contains(" verity 1 /dev/loop0 /dev/loop1 4096 4096 1 "), "{inside}");
    let outside = explain(&[], &accepted);
    assert!(verdict(&outside).starts_with("would boot app_1"), "{outside}");
    let other = explain(&[], &format!("surefoot.roothash={}", "01".repeat(32)));
    assert!(verdict(&other).contains("the machine would not boot"), "{other}");
}

#[test]
fn subvolumes_are_mounted_from_one_device() {
    let machine = Machine::btrfs(root);
    let text = machine.explain(&["--look-inside"]);
    assert_eq!(verdict(&text), "would boot subvolume-top and start /sbin/init\n", "{text}");
}

/// As of a mount: what `rootflags=` names, else the default.
#[test]
fn a_sysroot_may_lie_in_a_subvolume() {
    let machine = Machine::subvolume(|top| ostree(top, &[1, 2]));
    for words in ["", "rootflags=subvol=root", "rootflags=subvolid=256"] {
        let cmdline = format!("{ANY} {words}");
        let text = machine.run(&["explain", "--look-inside", "--cmdline", &cmdline]);
        assert_eq!(verdict(&text), "would boot debian-020202020202.0 and start /sbin/init\n", "{text}");
        assert!(text.contains("/run/surefoot/sysroot/0/root/ostree/deploy/debian/var"), "{text}");
    }
    let text = machine.run(&["explain", "--look-inside", "--cmdline", &format!("{ANY} rootflags=subvol=/")]);
    let why =
        "cannot boot the subvolume /: it holds no operating system: neither usr, nor etc/os-release, nor sbin/init";
    assert!(verdict(&text).contains(why), "{text}");
}

#[test]
fn a_crafted_link_is_not_followed() {
    let machine = Machine::ext4(|top| {
        ostree(top, &[1]);
        let place = top.join(format!("ostree/deploy/debian/deploy/{}.0", "01".repeat(32)));
        std::fs::remove_dir_all(&place).unwrap();
        std::os::unix::fs::symlink("/etc", place).unwrap();
    });
    for words in [&[][..], &["--look-inside"]] {
        let text = machine.explain(words);
        let why =
            "--- stderr, exit code 1\nsurefoot: the machine would not boot: no deployment was found that may boot; ";
        assert!(verdict(&text).starts_with(why), "{text}");
    }
}

#[test]
fn what_is_packed_into_the_initramfs_counts() {
    let machine = Machine::ext4(|top| ostree(top, &[1]));
    let initramfs = machine.path("initramfs.img");
    let files = [
        ("init", ""),
        ("lib/modules/6.1/modules.dep", ""),
        ("lib/modules/6.1/modules.builtin", "kernel/fs/ext4/ext4.ko\n"),
        ("usr/lib/ostree/prepare-root.conf", "[sysroot]\nreadonly=perhaps\n"),
    ];
    let mut archive = Vec::new();
    for (path, text) in files {
        let mut writer =
            cpio::newc::Builder::new(path).mode(0o100_755).write(&mut archive, u32::try_from(text.len()).unwrap());
        std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
        writer.finish().unwrap();
    }
    cpio::newc::trailer(&mut archive).unwrap();
    std::fs::write(&initramfs, archive).unwrap();
    let text = machine.explain(&["--initramfs", initramfs.to_str().unwrap()]);
    assert!(verdict(&text).contains("prepare-root.conf"), "{text}");
}

#[test]
fn the_ledger_is_shown_and_json_has_all_of_it() {
    let machine = Machine::ext4(|top| ostree(top, &[1, 2]));
    machine.run(&["mark-good", "debian-010101010101.0"]);
    machine.run(&["mark-bad", "debian-020202020202.0"]);
    let text = machine.run(&["explain", "--json", "--cmdline", ANY]);
    let value: Value = serde_json::from_str(&text).unwrap();
    let candidates = value["candidates"].as_array().unwrap();
    assert_eq!((candidates.len(), &candidates[0]["ledger"]), (1, &"priority 1, good".into()));
    assert_eq!((&candidates[0]["kind"], &candidates[0]["device"]), (&"ostree".into(), &"/dev/vda".into()));
    assert_eq!(value["passed_over"][0]["why"], "its priority is 0");
    assert_eq!((&value["looks"][0]["seen"], &value["looks"][0]["filesystem"]), (&true.into(), &"ext4".into()));
}

#[test]
fn a_filesystem_without_deployments_says_so() {
    let machine = Machine::ext4(|top| write(&top.join("file"), ""));
    let text = machine.explain(&[]);
    assert!(text.ends_with("surefoot: the machine would not boot: no deployment was found that may boot\n"), "{text}");
}

#[test]
fn fs_verity_digests_are_told_where_the_kernel_can() {
    let digest = "ab".repeat(32);
    let machine = Machine::ext4(|top| {
        let meta = r#"{"version":1,"algorithm":"fsverity-sha256-12","features":{"compatible":[],
                       "read-only-compatible":["v1_erofs"],"incompatible":[]},"erofs_formats":{"default":1}}"#;
        write(&top.join("composefs/meta.json"), meta);
        let object = format!("objects/ab/{}", "ab".repeat(31));
        write(&top.join("composefs").join(&object), "");
        std::fs::create_dir(top.join("composefs/images")).unwrap();
        std::os::unix::fs::symlink(format!("../{object}"), top.join("composefs/images").join(&digest)).unwrap();
        std::fs::create_dir_all(top.join("state/deploy").join(&digest)).unwrap();
    });
    let explain = |words: &[&str]| {
        let cmdline = format!("root=/dev/vda composefs={digest} surefoot.etc=ro surefoot.var=ro surefoot.home=ro");
        machine.run(&[&["explain", "--cmdline", &cmdline], words].concat())
    };
    let cannot =
        "--- stderr, exit code 2\nsurefoot: cannot tell whether the machine would boot composefs-abababababababab: ";
    let outside = explain(&[]);
    assert!(outside.contains(cannot), "{outside}");
    let inside = explain(&["--look-inside"]);
    if Path::new("/sys/fs/ext4/features/verity").exists() {
        assert!(inside.contains("surefoot: the machine would not boot: "), "{inside}");
    } else {
        assert!(inside.contains(cannot), "{inside}");
        assert!(inside.ends_with("\n  Run it on a machine whose kernel has fs-verity.\n"), "{inside}");
    }
}
