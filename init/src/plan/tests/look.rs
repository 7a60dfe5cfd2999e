//! How filesystems are mounted to be looked into.

use deployment::candidates::DeviceSource;

use super::*;

fn look(cmdline: &str, kind: FilesystemKind) -> String {
    let config = Config::parse(Sources { cmdline, ..Sources::default() }).unwrap();
    let device = DeviceSource { device: Name::try_from("vda2").unwrap(), filesystem: Some(kind) };
    let state = StateChoice::Device {
        name: device.device.clone(),
        kind: super::super::TypeName::try_from("ext4").unwrap(),
        options: Some("data=journal"),
    };
    let state = if cmdline.contains("surefoot.state") { state } else { StateChoice::None };
    let mut plan = Plan::new();
    plan.make_look(&config, &device, &state, 1).unwrap();
    plan.steps.last().unwrap().to_string()
}

#[test]
fn the_filesystem_of_the_root_has_its_options_and_the_state_device_its_own() {
    let root = "root=/dev/vda2 rootflags=noatime,commit=9 surefoot.deployment=auto";
    assert_eq!(
        look(root, FilesystemKind::Ext4),
        "mount ext4 /dev/vda2 on /run/surefoot/sysroot/1 (rw,nosuid,nodev,noatime,commit=9)"
    );
    assert_eq!(
        look("surefoot.deployment=auto rootflags=noatime", FilesystemKind::Ext4),
        "mount ext4 /dev/vda2 on /run/surefoot/sysroot/1 (rw,nosuid,nodev)"
    );
    assert_eq!(
        look("surefoot.deployment=auto surefoot.state=/dev/vda2", FilesystemKind::Ext4),
        "mount ext4 /dev/vda2 on /run/surefoot/sysroot/1 (rw,nosuid,nodev,data=journal)"
    );
}

#[test]
fn a_btrfs_is_looked_into_from_its_top() {
    let root = "root=/dev/vda2 rootflags=subvol=root,compress=zstd";
    for words in ["surefoot.deployment=auto", "ostree=/ostree/boot.1/fedora/a/0"] {
        assert_eq!(
            look(&format!("{root} {words}"), FilesystemKind::Btrfs),
            "mount btrfs /dev/vda2 on /run/surefoot/sysroot/1 (rw,nosuid,nodev,subvol=/,compress=zstd)"
        );
    }
}
