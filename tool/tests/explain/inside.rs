//! `--look-inside`, which attaches and mounts: these tests need root, and fail without.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::common::wait_until_detached;
use super::machine::{Machine, SUREFOOT, sound_root};

/// What is said at the end of a look inside this root, and that nothing is left of it.
fn look(machine: &Machine, cmdline: &str) -> String {
    assert!(nix::unistd::geteuid().is_root(), "this test attaches loop devices: run it as root");
    let temporary = machine.path("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = machine.command(cmdline, &["--look-inside", "--disk", "disk.img"]);
    command.env("TMPDIR", &temporary);
    let text = machine.outcome(command);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "a folder is left behind");
    wait_until_detached(machine.dir.path());
    let start = text.find("would boot").or_else(|| text.find("--- stderr")).unwrap();
    text[start..].to_owned()
}

/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

const FAILS: &str = "--- stderr, exit code 1\nsurefoot: the machine would not boot: ";

/// What is said of a sound root that `change` is made to.
fn changed(change: impl FnOnce(&Path), cmdline: &str) -> String {
    let machine = Machine::with_root(|root| {
        sound_root(root);
        change(root);
    });
    look(&machine, cmdline)
}

#[test]
fn a_sound_root_and_its_init_are_seen() {
    let machine = Machine::new();
    assert_eq!(look(&machine, "roothash=ROOTHASH"), "would boot root and start /sbin/init\n--- stderr, exit code 0\n");
    let other = look(&machine, "roothash=ROOTHASH init=/usr/bin/init");
    assert_eq!(other, "would boot root and start /usr/bin/init\n--- stderr, exit code 0\n");
}

#[test]
fn an_overlay_over_the_root_and_a_root_without_verity_are_seen() {
    let machine = Machine::new();
    let boots = "would boot root and start /sbin/init\n--- stderr, exit code 0\n";
    assert_eq!(look(&machine, "roothash=ROOTHASH systemd.volatile=overlay"), boots);
    assert_eq!(
        look(&machine, "roothash=ROOTHASH usrhash=USRHASH init=/usr/bin"),
        format!("{FAILS}cannot start init=/usr/bin in the new root: it is not a regular file\n")
    );
    assert_eq!(look(&machine, "root=PARTLABEL=root surefoot.verity=optional"), boots);
}

#[test]
fn a_root_in_memory_is_put_together() {
    let text = look(&Machine::new(), "usrhash=USRHASH systemd.volatile=yes");
    let expected = "the new root has no init that can be started: /sbin/init: No such file or directory (ENOENT); nor \
                    /etc/init, /bin/init, /bin/sh\n";
    assert_eq!(text, format!("{FAILS}{expected}"));
}

#[test]
fn an_init_that_cannot_be_started() {
    let missing = changed(|root| fs::remove_file(root.join("sbin/init")).unwrap(), "roothash=ROOTHASH init=/sbin/init");
    let start = "cannot start init=/sbin/init in the new root: ";
    assert_eq!(missing, format!("{FAILS}{start}No such file or directory (ENOENT)\n"));

    let plain = |root: &Path| {
        fs::set_permissions(root.join("usr/bin/init"), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let plain = changed(plain, "roothash=ROOTHASH init=/sbin/init");
    assert_eq!(plain, format!("{FAILS}{start}it is not executable (mode 0644)\n"));

    let dangling = |root: &Path| {
        fs::remove_file(root.join("sbin/init")).unwrap();
        symlink("/bin/busybox", root.join("sbin/init")).unwrap();
    };
    let dangling = changed(dangling, "roothash=ROOTHASH init=/sbin/init");
    let why = "it is a link to /bin/busybox, which leads nowhere in the new root: No such file or directory (ENOENT)\n";
    assert_eq!(dangling, format!("{FAILS}{start}{why}"));
}

#[test]
fn what_makes_no_operating_system() {
    let unnamed = changed(|root| fs::remove_file(root.join("usr/lib/os-release")).unwrap(), "roothash=ROOTHASH");
    let why =
        "the new root is no operating system: it has neither /etc/os-release nor /usr/lib/os-release (os-release(5))\n";
    assert_eq!(unnamed, format!("{FAILS}{why}"));

    let no_home = changed(|root| fs::remove_dir(root.join("home")).unwrap(), "roothash=ROOTHASH");
    assert_eq!(no_home, format!("{FAILS}cannot mount in the new root on /home: No such file or directory (ENOENT)\n"));
}

#[test]
fn a_filesystem_that_cannot_be_mounted() {
    let machine = Machine::new();
    let text = look(&machine, "root=PARTLABEL=root rootfstype=squashfs surefoot.verity=optional");
    assert!(
        text.starts_with(&format!("{FAILS}cannot mount squashfs /dev/vda1 on /sysroot: Invalid argument")),
        "{text}"
    );
}

#[test]
fn without_root_nothing_is_tried() {
    assert!(nix::unistd::geteuid().is_root(), "this test gives up being root: run it as root");
    let machine = Machine::new();
    // Where a program can be read by everybody: the folder of the build may not be.
    let program = machine.path("surefoot");
    // Another process writes it: a child that a test beside this one starts would keep ours open for writing.
    assert!(std::process::Command::new("cp").arg(SUREFOOT).arg(&program).status().unwrap().success());
    fs::set_permissions(machine.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["explain", "--look-inside", "--disk", "/nonexistent"]).uid(NOBODY).gid(NOBODY);
    let expected = "--- stderr, exit code 3\nsurefoot: cannot look inside the images: only root can attach and mount them\n  \
                    Run it as root; without --look-inside it needs no privilege, and says what it did not look at.\n";
    assert_eq!(machine.outcome(command), expected);
}
