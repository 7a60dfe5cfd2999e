use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::filesystem::{Filesystem, FilesystemKind, FilesystemLabel, FilesystemUuid};
use crate::gpt::PartLabel;
use crate::table::{Partition, PartitionTable};

/// The UUID whose bytes are all `byte`.
fn uuid(byte: u8) -> Uuid {
    Uuid([byte; 16])
}

fn part_uuid(byte: u8) -> PartUuid {
    PartUuid::Gpt(uuid(byte))
}

/// A whole disk, or with a number its partition.
fn device(disk: &str, number: Option<u32>) -> BlockDevice {
    let partition = number.map(|number| Partition::unknown(number, u64::from(number) * 1000));
    BlockDevice {
        name: number.map_or_else(|| Name::try_from(disk).unwrap(), |number| partition_name(disk, number)),
        number: DeviceNumber { major: 254, minor: number.unwrap_or(0) },
        size: 1000,
        sector_size: 512,
        read_only: false,
        disk: number.map(|_| Name::try_from(disk).unwrap()),
        partition,
        table: PartitionTable::None,
        filesystem: None,
        read_error: None,
    }
}

/// The same with this PARTUUID and this label.
fn partition(disk: &str, number: u32, byte: u8, label: &str) -> BlockDevice {
    let mut device = device(disk, Some(number));
    let partition = device.partition.as_mut().unwrap();
    partition.uuid = Some(part_uuid(byte));
    partition.type_uuid = Some(uuid(0xaa));
    partition.label = PartLabel::try_from(label).unwrap();
    device
}

fn with_filesystem(mut device: BlockDevice, uuid: &str, label: &str) -> BlockDevice {
    device.filesystem = Some(Filesystem {
        kind: FilesystemKind::Ext4,
        uuid: FilesystemUuid::try_from(uuid).unwrap(),
        label: FilesystemLabel::try_from(label).unwrap(),
    });
    device
}

fn facts(devices: Vec<BlockDevice>) -> Facts {
    let mut facts = Facts::new();
    for device in devices {
        facts.insert(device).unwrap();
    }
    facts
}

fn names<'f>(devices: impl IntoIterator<Item = &'f BlockDevice>) -> Vec<&'f str> {
    devices.into_iter().map(|device| device.name.as_str()).collect()
}

/// The name of the device found, or the message.
fn find(facts: &Facts, spec: &str, within: Option<&str>) -> Result<Option<String>, String> {
    let spec = DeviceSpec::parse(spec).unwrap();
    let found = facts.find(&spec, within).map_err(|ambiguous| ambiguous.to_string())?;
    Ok(found.map(|device| device.name.to_string()))
}

#[test]
fn devices_stand_in_the_order_of_their_names_each_once() {
    let mut facts = facts(vec![device("vda", Some(10)), device("vda", Some(2)), device("vda", None)]);
    let mut again = device("vda", Some(2));
    again.size = 7;
    facts.insert(again).unwrap();
    assert_eq!(names(facts.devices()), ["vda", "vda2", "vda10"]);
    assert_eq!(facts.device("vda2").unwrap().size, 7);
    assert_eq!(facts.device("vda3"), None);
}

#[test]
fn a_disk_is_removed_with_its_partitions() {
    let mut facts =
        facts(vec![device("vda", None), device("vda", Some(1)), device("vda", Some(2)), device("vdab", None)]);
    facts.remove("vda2");
    assert_eq!(names(facts.devices()), ["vda", "vda1", "vdab"]);
    facts.remove("vda");
    assert_eq!(names(facts.devices()), ["vdab"]);
    facts.clear();
    assert!(facts.devices().is_empty());
}

#[test]
fn too_many_devices_are_refused() {
    let mut facts = Facts::new();
    for number in 0..u32::try_from(MAX_DEVICES).unwrap() {
        facts.insert(device("sd", Some(number))).unwrap();
    }
    let full = facts.insert(device("sd", Some(9999))).unwrap_err();
    assert_eq!(full.to_string(), "there are more than 512 block devices; the others are not looked at");
    facts.insert(device("sd", Some(0))).unwrap();
}

#[test]
fn each_form_finds_its_device() {
    let mut old = device("sda", Some(5));
    old.partition.as_mut().unwrap().uuid = Some(PartUuid::Mbr { signature: 0xdead_beef, number: 5 });
    let facts = facts(vec![
        partition("vda", 1, 0x11, "esp"),
        with_filesystem(partition("vda", 2, 0x12, "root a"), "ABCD-1234", "system"),
        with_filesystem(device("vdb", None), "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "whole"),
        device("cciss!c0d0", Some(1)),
        old,
    ]);
    for (spec, name) in [
        ("/dev/vda1", "vda1"),
        ("/dev/cciss/c0d0p1", "cciss!c0d0p1"),
        ("UUID=abcd-1234", "vda2"),
        ("LABEL=system", "vda2"),
        ("PARTLABEL=root a", "vda2"),
        ("PARTUUID=12121212-1212-1212-1212-121212121212", "vda2"),
        ("PARTUUID=DEADBEEF-05", "sda5"),
        ("UUID=3F2504E0-4F89-41D3-9A0C-0305E82C3301", "vdb"),
        ("LABEL=whole", "vdb"),
    ] {
        assert_eq!(find(&facts, spec, None), Ok(Some(name.to_string())), "{spec}");
    }
    for spec in [
        "/dev/vda",
        "/dev/vda10",
        "UUID=abcd",
        "LABEL=SYSTEM",
        "PARTLABEL=root",
        "PARTUUID=13131313-1313-1313-1313-131313131313",
        "PARTUUID=deadbeef-06",
    ] {
        assert_eq!(find(&facts, spec, None), Ok(None), "{spec}");
    }
}

#[test]
fn nothing_goes_by_the_empty_name() {
    let facts = facts(vec![with_filesystem(partition("vda", 1, 0x11, ""), "", "")]);
    for spec in [DeviceSpec::PartLabel(""), DeviceSpec::Label(""), DeviceSpec::Uuid(""), DeviceSpec::Path("/dev/")] {
        assert_eq!(facts.find(&spec, None), Ok(None), "{spec}");
    }
}

#[test]
fn an_offset_leads_to_a_neighbour_on_the_same_disk() {
    let facts = facts(vec![
        partition("vda", 1, 0x11, "esp"),
        partition("vda", 3, 0x13, "root"),
        partition("vdb", 2, 0x22, "other"),
    ]);
    let at =
        |offset| find(&facts, &std::format!("PARTUUID=11111111-1111-1111-1111-111111111111/PARTNROFF={offset}"), None);
    assert_eq!(at("0"), Ok(Some("vda1".to_string())));
    assert_eq!(at("2"), Ok(Some("vda3".to_string())));
    for nothing in ["1", "-1", "-2", "2147483647"] {
        assert_eq!(at(nothing), Ok(None), "{nothing}");
    }
    assert_eq!(
        find(&facts, "PARTUUID=13131313-1313-1313-1313-131313131313/PARTNROFF=-2", None),
        Ok(Some("vda1".to_string()))
    );
}

#[test]
fn a_name_that_two_disks_have_is_ambiguous_unless_a_disk_is_given() {
    let facts = facts(vec![partition("vdb", 2, 0x12, "root"), partition("vda", 2, 0x12, "root")]);
    let spec = "PARTUUID=12121212-1212-1212-1212-121212121212";
    assert_eq!(
        find(&facts, spec, None),
        Err("PARTUUID=12121212-1212-1212-1212-121212121212 names both /dev/vda2 (on vda) and /dev/vdb2 (on vdb); \
             detach one of them, or choose the disk by surefoot.disk=/dev/NAME"
            .to_string())
    );
    assert!(find(&facts, "PARTLABEL=root", None).is_err());
    assert_eq!(find(&facts, spec, Some("vdb")), Ok(Some("vdb2".to_string())));
    assert_eq!(find(&facts, spec, Some("vdc")), Ok(None));
    assert_eq!(find(&facts, "/dev/vdb2", Some("vda")), Ok(None));
    assert_eq!(find(&facts, "/dev/vdb2", Some("vdb")), Ok(Some("vdb2".to_string())));
}

#[test]
fn the_boot_disk_comes_before_others_but_must_itself_be_certain() {
    let roots = vec![partition("vda", 2, 0x12, "root"), partition("vdb", 2, 0x12, "root")];
    let mut facts = facts(roots);
    facts.loader_partition = Some(uuid(0x77));
    assert_eq!(facts.boot_disk(), None);
    assert!(find(&facts, "PARTLABEL=root", None).is_err());
    facts.insert(partition("vdb", 1, 0x77, "esp")).unwrap();
    assert_eq!(facts.boot_disk(), Some("vdb"));
    assert_eq!(find(&facts, "PARTLABEL=root", None), Ok(Some("vdb2".to_string())));
    assert_eq!(find(&facts, "PARTLABEL=root", Some("vda")), Ok(Some("vda2".to_string())));
    facts.insert(partition("vda", 3, 0x13, "root")).unwrap();
    assert!(
        find(&facts, "PARTLABEL=root", Some("vda")).unwrap_err().contains("/dev/vda2 (on vda) and /dev/vda3 (on vda)")
    );
    facts.insert(partition("vdb", 3, 0x13, "root")).unwrap();
    assert!(find(&facts, "PARTLABEL=root", None).unwrap_err().contains("/dev/vdb2 (on vdb) and /dev/vdb3 (on vdb)"));
    facts.insert(partition("vda", 1, 0x77, "esp")).unwrap();
    assert_eq!(facts.boot_disk(), None);
    assert!(find(&facts, "PARTUUID=12121212-1212-1212-1212-121212121212", None).is_err());
}

#[test]
fn what_is_near_comes_first_and_anything_else_after() {
    let facts = facts(vec![
        partition("vda", 3, 0x13, "state"),
        partition("vdb", 3, 0x23, "state"),
        partition("vdb", 4, 0x24, "home"),
    ]);
    let near = |label, disk| {
        let found = facts.find_near(&DeviceSpec::PartLabel(label), disk);
        found.map(|device| device.map(|device| device.name.to_string())).map_err(|ambiguous| ambiguous.to_string())
    };
    assert_eq!(near("state", Some("vdb")), Ok(Some("vdb3".to_string())));
    assert_eq!(near("home", Some("vda")), Ok(Some("vdb4".to_string())));
    assert!(near("state", None).is_err());
    assert!(near("state", Some("vdc")).is_err());
}

#[test]
fn partitions_are_found_by_type() {
    let mut other = partition("vda", 4, 0x14, "other");
    other.partition.as_mut().unwrap().type_uuid = Some(uuid(0xbb));
    let roots = vec![partition("vda", 10, 0x1a, "b"), partition("vda", 2, 0x12, "a"), partition("vdb", 1, 0x21, "c")];
    let mut facts = facts(roots);
    facts.insert(other).unwrap();
    facts.insert(device("vda", None)).unwrap();
    assert_eq!(names(facts.by_partition_type(None, uuid(0xaa))), ["vda2", "vda10", "vdb1"]);
    assert_eq!(names(facts.by_partition_type(Some("vda"), uuid(0xaa))), ["vda2", "vda10"]);
    assert_eq!(names(facts.by_partition_type(Some("vdc"), uuid(0xaa))), [""; 0]);
}
