//! These tests need root, loop devices, and a kernel with tmpfs and ext4; without root they say that they test nothing.

use std::fs;
use std::string::String as StdString;

use super::*;
use crate::file::{self, Access};
use crate::loop_device::{self, Options};
use crate::scratch::Scratch;

/// The options of the mount at `target` and of its filesystem, from /proc/self/mountinfo (proc_pid_mountinfo(5)).
pub(super) fn options(target: &str) -> (StdString, StdString) {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let line = table.lines().rev().find(|line| line.split(' ').nth(4) == Some(target)).expect(target);
    (line.split(' ').nth(5).unwrap().into(), line.rsplit(' ').next().unwrap().into())
}

fn tmpfs(target: &str, attributes: Attributes) {
    filesystem("tmpfs", "test", &mut core::iter::empty(), attributes, target, &mut Message::new()).unwrap();
}

#[test]
fn attributes_change_and_others_stay() {
    let scratch = Scratch::for_mounts("attributes");
    let target = scratch.folder("target");
    tmpfs(&target, Attributes::NO_SUID.with(Attributes::NO_ACCESS_TIME));
    change_attributes(&target, Attributes::READ_ONLY, Attributes::NO_SUID).unwrap();
    assert_eq!(options(&target).0, "ro,noatime");
    assert!(crate::file::is_read_only(&target));
    assert!(options(&target).1.starts_with("rw"));
    change_attributes(&target, Attributes::STRICT_ACCESS_TIME, Attributes::READ_ONLY).unwrap();
    assert_eq!(options(&target).0, "rw");
    change_attributes(&target, Attributes::NONE, Attributes::STRICT_ACCESS_TIME).unwrap();
    assert_eq!(options(&target).0, "rw,relatime");
    assert_eq!(
        change_attributes(&scratch.folder("target/x"), Attributes::READ_ONLY, Attributes::NONE),
        Err(Errno::INVAL)
    );
}

#[test]
fn a_handle_is_bound_with_and_without_what_is_mounted_in_it() {
    let scratch = Scratch::for_mounts("bind");
    let (source, alone, whole) = (scratch.folder("source"), scratch.folder("alone"), scratch.folder("whole"));
    tmpfs(&source, Attributes::NO_SUID.with(Attributes::READ_ONLY));
    change_attributes(&source, Attributes::NONE, Attributes::READ_ONLY).unwrap();
    scratch.folder("source/deep/inner");
    tmpfs(&scratch.at("source/deep/inner"), Attributes::NO_EXECUTION);
    fs::write(scratch.at("source/deep/inner/file"), "").unwrap();

    let root = file::open_directory(&source).unwrap();
    let handle = file::open_directory_beneath(root.as_fd(), "deep").unwrap();
    let attributes = Attributes::READ_ONLY.with(Attributes::NO_DEVICES);
    bind_handle(handle.as_fd(), &alone, attributes, Submounts::Leave).unwrap();
    bind_handle(handle.as_fd(), &whole, attributes, Submounts::Include).unwrap();
    assert!(!fs::exists(scratch.at("alone/inner/file")).unwrap());
    assert!(fs::exists(scratch.at("whole/inner/file")).unwrap());
    assert_eq!(options(&alone).0, "ro,nodev,relatime");
    assert_eq!(options(&whole).0, "ro,nodev,relatime");
    assert_eq!(options(&scratch.at("whole/inner")).0, "ro,nodev,noexec,relatime");
    assert_eq!(options(&source).0, "rw,nosuid,relatime");

    change_attributes(&source, Attributes::NO_ACCESS_TIME, Attributes::NONE).unwrap();
    let handle = file::open_directory_beneath(root.as_fd(), "deep").unwrap();
    for (attributes, expected) in [(Attributes::NONE, "rw,noatime"), (Attributes::STRICT_ACCESS_TIME, "rw")] {
        let place = scratch.folder("times");
        bind_handle(handle.as_fd(), &place, attributes, Submounts::Leave).unwrap();
        assert_eq!(options(&place).0, expected);
        unmount(&place).unwrap();
    }

    unmount_lazily(&whole).unwrap();
    assert_eq!(fs::read_dir(&whole).unwrap().count(), 0);
    assert_eq!(unmount_lazily(&whole), Err(Errno::INVAL));
}

#[test]
fn an_image_is_mounted_from_a_device_and_only_where_it_is_attached() {
    let scratch = Scratch::for_mounts("image");
    let path = scratch.image("ext4", 4 << 20, "mkfs.ext4", &["-q"]);
    let file = file::open(&path, Access::Read).unwrap();
    let message = &mut Message::new();
    let options_of_ext4 = || ["errors=continue"].into_iter();
    let refused =
        image("ext4", &file::descriptor_path(file.as_fd()), &mut options_of_ext4(), Attributes::NONE, message);
    assert_eq!(refused.unwrap_err(), MountError { call: "fsconfig", errno: Errno::NOTBLK });

    let options_of_loop = Options { read_only: true, auto_clear: true, ..Options::default() };
    let device = loop_device::attach(file.as_fd(), options_of_loop).unwrap();
    let source = loop_device::path(device.number);
    let mounted = image("ext4", &source, &mut options_of_ext4(), Attributes::NO_SUID, message).unwrap();
    drop(device);
    let target = scratch.folder("target");
    attach(mounted.as_fd(), &target).unwrap();
    assert!(fs::exists(scratch.at("target/lost+found")).unwrap());
    let (of_mount, of_filesystem) = options(&target);
    assert_eq!((of_mount.as_str(), &of_filesystem[..2]), ("ro,nosuid,relatime", "ro"));
}
