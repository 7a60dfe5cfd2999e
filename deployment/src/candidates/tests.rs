use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use boot_config::spec::PartUuid;
use boot_config::{Config, Sources};
use verity::Uuid;

use super::*;
use crate::discoverable::PartitionType;
use crate::facts::{BlockDevice, DeviceNumber, Facts, partition_name};
use crate::filesystem::{Filesystem, FilesystemKind, FilesystemLabel, FilesystemUuid};
use crate::gpt::{Attributes, PartLabel};
use crate::table::{Partition, PartitionTable};

mod folders;
mod slots;
mod views;

const ROOT_HASH: &str = "0123456789abcdef0011223344556677fedcba98765432108899aabbccddeeff";
const ROOT_DATA: &str = "01234567-89ab-cdef-0011-223344556677";
const ROOT_TREE: &str = "fedcba98-7654-3210-8899-aabbccddeeff";
const USR_HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const USR_DATA: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const USR_TREE: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";

/// A partition of a disk: number, PARTUUID, label.
fn partition(disk: &str, number: u32, uuid: &str, label: &str) -> BlockDevice {
    let partition = Partition {
        number,
        uuid: Some(PartUuid::Gpt(uuid.parse().unwrap())),
        type_uuid: Some(PartitionType::Root.uuid()),
        label: PartLabel::try_from(label).unwrap(),
        attributes: Attributes(0),
        start: 0,
    };
    BlockDevice {
        name: partition_name(disk, number),
        number: DeviceNumber::default(),
        size: 4096,
        sector_size: 512,
        read_only: false,
        disk: Some(Name::try_from(disk).unwrap()),
        partition: Some(partition),
        table: PartitionTable::None,
        filesystem: Some(Filesystem {
            kind: FilesystemKind::Erofs,
            uuid: FilesystemUuid::new(),
            label: FilesystemLabel::try_from(label).unwrap(),
        }),
        read_error: None,
    }
}

/// One more of another type, with a PARTUUID of its own.
fn other(disk: &str, number: u32, meaning: PartitionType, label: &str) -> BlockDevice {
    let byte = disk.bytes().last().unwrap();
    let uuid = Uuid([byte, u8::try_from(number).unwrap(), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    let mut device = partition(disk, number, &uuid.to_string(), label);
    device.partition.as_mut().unwrap().type_uuid = Some(meaning.uuid());
    device
}

/// The value is too large for the stack of a test that makes several.
fn facts(devices: Vec<BlockDevice>) -> Box<Facts> {
    let mut facts = Box::new(Facts::new());
    for device in devices {
        facts.insert(device).unwrap();
    }
    facts
}

/// A disk with a verity root and a verity `/usr`.
fn disk(name: &str) -> Vec<BlockDevice> {
    vec![
        partition(name, 2, ROOT_DATA, "system_1"),
        partition(name, 3, ROOT_TREE, "system_1_verity"),
        partition(name, 4, USR_DATA, ""),
        partition(name, 5, USR_TREE, ""),
    ]
}

fn config(cmdline: &str) -> Config<'_> {
    Config::parse(Sources { cmdline, ..Sources::default() }).unwrap_or_else(|error| panic!("{cmdline}: {error}"))
}

/// The one candidate, in words.
fn only(cmdline: &str, facts: &Facts) -> String {
    let found = candidates(&config(cmdline), facts).unwrap_or_else(|error| panic!("{cmdline}: {error}"));
    let [candidate] = &found[..] else { panic!("{} candidates", found.len()) };
    let verity = |source: &VeritySource| format!("verity {} {} {:?}", source.data, source.hash, source.filesystem);
    let plain = |source: &DeviceSource| format!("plain {} {:?}", source.device, source.filesystem);
    let root = match &candidate.root {
        RootSource::Verity(source) => verity(source),
        RootSource::Plain(source) => plain(source),
        RootSource::Memory => "memory".to_string(),
        RootSource::Tree(source) => source.place.to_string(),
    };
    let usr = match &candidate.usr {
        Some(UsrSource::Verity(source)) => verity(source),
        Some(UsrSource::Plain(source)) => plain(source),
        None => "-".to_string(),
    };
    let trust = match candidate.trust {
        Trust::Verified => "verified".to_string(),
        Trust::Insecure(reason) => reason.to_string(),
    };
    format!("{} | {root} | {usr} | {trust}", candidate.name)
}

fn refusal(cmdline: &str, facts: &Facts) -> String {
    candidates(&config(cmdline), facts).unwrap_err().to_string()
}

#[test]
fn a_root_hash_alone_names_a_verified_root() {
    let facts = facts(disk("vda"));
    let cmdline = format!("roothash={ROOT_HASH}");
    assert_eq!(only(&cmdline, &facts), "system_1 | verity vda2 vda3 Some(Erofs) | - | verified");
    let [candidate] = &candidates(&config(&cmdline), &facts).unwrap()[..] else { unreachable!() };
    let RootSource::Verity(source) = &candidate.root else { unreachable!() };
    assert_eq!(source.root_hash.to_string(), ROOT_HASH);
    assert_eq!((candidate.kind, candidate.kind.to_string().as_str()), (Kind::CONFIGURED, "configured"));
    assert_eq!((candidate.device().unwrap().as_str(), candidate.disk(&facts)), ("vda2", Some("vda")));
}

#[test]
fn named_devices_come_before_derived_ones() {
    let mut devices = disk("vda");
    devices.push(other("vdb", 1, PartitionType::Root, "data"));
    let facts = facts(devices);
    let cmdline = format!(
        "roothash={ROOT_HASH} systemd.verity_root_data=PARTLABEL=data systemd.verity_root_hash=/dev/vda5 \
         systemd.verity_root_options=hash-offset=4096"
    );
    assert_eq!(only(&cmdline, &facts), "data | verity vdb1 vda5 Some(Erofs) | - | verified");
    let found = candidates(&config(&cmdline), &facts).unwrap();
    let RootSource::Verity(source) = &found[0].root else { unreachable!() };
    assert_eq!(source.options.hash_offset, 4096);
}

#[test]
fn a_usr_of_its_own_is_found_beside_the_root() {
    let facts = facts(disk("vda"));
    assert_eq!(
        only(&format!("roothash={ROOT_HASH} usrhash={USR_HASH}"), &facts),
        "system_1 | verity vda2 vda3 Some(Erofs) | verity vda4 vda5 Some(Erofs) | verified"
    );
    let memory = format!("usrhash={USR_HASH} systemd.volatile=yes");
    assert_eq!(only(&memory, &facts), "aaaaaaaaaaaaaaaa | memory | verity vda4 vda5 Some(Erofs) | verified");
    let found = candidates(&config(&memory), &facts).unwrap();
    assert_eq!((found[0].device().unwrap().as_str(), found[0].disk(&facts)), ("vda4", Some("vda")));
}

#[test]
fn what_nothing_verifies_boots_only_when_that_is_allowed() {
    let facts = facts(disk("vda"));
    let insecure = "| plain vda2 Some(Erofs) | - | the root filesystem is not verified";
    for policy in ["optional", "off"] {
        assert_eq!(only(&format!("root=/dev/vda2 surefoot.verity={policy}"), &facts), format!("system_1 {insecure}"));
    }
    assert_eq!(
        only(&format!("root=/dev/vda2 usrhash={USR_HASH} surefoot.verity=optional"), &facts),
        "system_1 | plain vda2 Some(Erofs) | verity vda4 vda5 Some(Erofs) | the root filesystem is not verified"
    );
    assert_eq!(
        only(&format!("roothash={ROOT_HASH} mount.usr=/dev/vda4 surefoot.verity=optional"), &facts),
        "system_1 | verity vda2 vda3 Some(Erofs) | plain vda4 Some(Erofs) | /usr is not verified"
    );
    assert_eq!(
        only("mount.usr=/dev/vda4 systemd.volatile=yes surefoot.verity=off", &facts),
        "-dev-vda4 | memory | plain vda4 Some(Erofs) | /usr is not verified"
    );
    let why = "is not verified: give roothash=, or surefoot.verity=optional to boot it insecurely";
    assert_eq!(refusal("root=/dev/vda2", &facts), format!("root=/dev/vda2 {why}"));
    let with_usr = format!("root=LABEL=x usrhash={USR_HASH}");
    assert_eq!(refusal(&with_usr, &facts), format!("root=LABEL=x {why}"));
    assert_eq!(
        refusal(&format!("roothash={ROOT_HASH} mount.usr=/dev/vda4"), &facts),
        "mount.usr=/dev/vda4 is not verified: give usrhash=, or surefoot.verity=optional to boot it insecurely"
    );
    assert_eq!(
        refusal("mount.usr=/dev/vda4 systemd.volatile=yes", &facts),
        "mount.usr=/dev/vda4 is not verified: give usrhash=, or surefoot.verity=optional to boot it insecurely"
    );
}

#[test]
fn a_root_hash_makes_a_verified_root_whatever_is_allowed() {
    let cmdline = format!("roothash={ROOT_HASH} root=/dev/mapper/root surefoot.verity=optional");
    assert!(only(&cmdline, &facts(disk("vda"))).ends_with("| - | verified"));
}

#[test]
fn a_command_line_without_a_root_is_refused() {
    let facts = facts(disk("vda"));
    assert_eq!(
        refusal("quiet", &facts),
        "nothing names a root: give roothash=, or surefoot.roothash=, or root= with surefoot.verity=optional, or \
         usrhash= with systemd.volatile=yes"
    );
    let only_usr =
        "only /usr is named: give roothash= for the root as well, or systemd.volatile=yes for a root in memory";
    assert_eq!(refusal(&format!("usrhash={USR_HASH}"), &facts), only_usr);
    assert_eq!(refusal(&format!("usrhash={USR_HASH} systemd.volatile=overlay"), &facts), only_usr);
    assert_eq!(refusal("mount.usr=/dev/vda4 surefoot.verity=off", &facts), only_usr);
}

#[test]
fn every_missing_device_is_named_with_what_it_is_for() {
    let mut devices = disk("vda");
    devices.remove(1);
    let cmdline = format!("roothash={ROOT_HASH} usrhash={USR_HASH}");
    assert_eq!(refusal(&cmdline, &facts(devices)), format!("not found: PARTUUID={ROOT_TREE} (hash tree of the root)"));
    assert_eq!(
        refusal(&cmdline, &Facts::new()),
        format!(
            "not found: PARTUUID={ROOT_DATA} (data of the root), PARTUUID={ROOT_TREE} (hash tree of the root), \
             PARTUUID={USR_DATA} (data of /usr), PARTUUID={USR_TREE} (hash tree of /usr)"
        )
    );
    assert_eq!(
        refusal("root=LABEL=a mount.usr=LABEL=b surefoot.verity=off", &Facts::new()),
        "not found: LABEL=a (the root), LABEL=b (/usr)"
    );
    assert_eq!(
        refusal(&format!("{cmdline} surefoot.disk=/dev/vdb"), &facts(disk("vda"))),
        "not found: /dev/vdb (the disk to search)"
    );
}

#[test]
fn two_disks_with_the_same_partitions_are_refused_unless_one_is_chosen() {
    let mut facts = facts([disk("vda"), disk("vdb")].concat());
    let cmdline = format!("roothash={ROOT_HASH}");
    assert_eq!(
        refusal(&cmdline, &facts),
        format!(
            "PARTUUID={ROOT_DATA} names both /dev/vda2 (on vda) and /dev/vdb2 (on vdb); detach one of them, or choose \
             the disk by surefoot.disk=/dev/NAME"
        )
    );
    let on_vdb = "system_1 | verity vdb2 vdb3 Some(Erofs) | - | verified";
    facts.insert(other("vdb", 1, PartitionType::EfiSystem, "esp")).unwrap();
    assert_eq!(only(&format!("{cmdline} surefoot.disk=/dev/vdb1"), &facts), on_vdb);
    assert_eq!(only(&format!("{cmdline} surefoot.disk=PARTLABEL=esp"), &facts), on_vdb);
    facts.loader_partition = Some(Uuid([b'b', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]));
    assert_eq!(facts.boot_disk(), Some("vdb"));
    assert_eq!(only(&cmdline, &facts), on_vdb);
    facts
        .insert(BlockDevice {
            disk: None,
            partition: None,
            name: Name::try_from("vda").unwrap(),
            ..disk("vda").remove(0)
        })
        .unwrap();
    assert!(only(&format!("{cmdline} surefoot.disk=/dev/vda"), &facts).contains("verity vda2 vda3"));
}

#[test]
fn a_name_is_never_empty_and_breaks_no_line() {
    let named = |label: &str| {
        let mut devices = disk("vda");
        devices[0].partition.as_mut().unwrap().label = PartLabel::try_from(label).unwrap();
        let found = candidates(&config(&format!("roothash={ROOT_HASH}")), &facts(devices)).unwrap();
        found[0].name.to_string()
    };
    assert_eq!(named(""), "0123456789abcdef");
    assert_eq!(named("a/b\nc d"), "a-b-c-d");
    let long = "ß".repeat(36);
    assert_eq!(named(&long), "ß".repeat(32));
}

/// The state device that is found, or the message.
fn state(cmdline: &str, facts: &Facts, root_disk: Option<&str>) -> Result<Option<String>, String> {
    let found = state_device(&config(cmdline), facts, root_disk).map_err(|ambiguous| ambiguous.to_string())?;
    Ok(found.map(|source| source.device.to_string()))
}

#[test]
fn the_state_device_is_the_first_var_partition_of_the_boot_disk() {
    let mut facts = facts(vec![
        other("vda", 6, PartitionType::Var, "var"),
        other("vda", 10, PartitionType::Var, "var_2"),
        other("vda", 7, PartitionType::Home, "state"),
        other("vdb", 1, PartitionType::Var, "var"),
        other("vdb", 2, PartitionType::EfiSystem, "esp"),
    ]);
    assert_eq!(state("", &facts, Some("vda")), Ok(Some("vda6".to_string())));
    assert_eq!(state("", &facts, Some("vdb")), Ok(Some("vdb1".to_string())));
    assert_eq!(state("surefoot.disk=/dev/vda7", &facts, Some("vdb")), Ok(Some("vda6".to_string())));
    // Without a boot disk no type is looked for.
    assert_eq!(state("", &facts, None), Ok(Some("vda7".to_string())));
    facts.loader_partition = Some(Uuid([b'b', 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]));
    assert_eq!(state("", &facts, Some("vda")), Ok(Some("vdb1".to_string())));
}

#[test]
fn partitions_that_are_not_to_be_used_hold_no_state() {
    let mut hidden = other("vda", 6, PartitionType::Var, "var");
    hidden.partition.as_mut().unwrap().attributes = Attributes(1 << 63);
    let facts = facts(vec![hidden, other("vda", 7, PartitionType::Var, "_empty")]);
    assert_eq!(state("", &facts, Some("vda")), Ok(None));
}

#[test]
fn the_label_serves_where_no_type_does() {
    let facts =
        facts(vec![other("vda", 6, PartitionType::Home, "state"), other("vdb", 1, PartitionType::Home, "state")]);
    assert_eq!(state("", &facts, Some("vda")), Ok(Some("vda6".to_string())));
    assert_eq!(state("", &facts, Some("vdb")), Ok(Some("vdb1".to_string())));
    assert!(state("", &facts, Some("vdc")).unwrap_err().starts_with("PARTLABEL=state names both /dev/vda6 (on vda)"));
    assert_eq!(state("surefoot.disk=/dev/vdb1", &facts, None), Ok(Some("vdb1".to_string())));
    assert_eq!(state("surefoot.disk=/dev/vdc", &facts, None), Ok(None));
}

#[test]
fn a_named_state_device_is_looked_for_everywhere_its_own_disk_first() {
    let facts = facts(vec![
        other("vda", 6, PartitionType::Var, "mine"),
        other("vdb", 1, PartitionType::Home, "mine"),
        other("vdb", 2, PartitionType::Home, "elsewhere"),
    ]);
    assert_eq!(state("surefoot.state=PARTLABEL=elsewhere", &facts, Some("vda")), Ok(Some("vdb2".to_string())));
    assert_eq!(state("surefoot.state=PARTLABEL=mine", &facts, Some("vdb")), Ok(Some("vdb1".to_string())));
    assert!(state("surefoot.state=PARTLABEL=mine", &facts, None).is_err());
    // The one that is named is waited for: no other takes its place.
    assert_eq!(state("surefoot.state=PARTLABEL=missing", &facts, Some("vda")), Ok(None));
}

#[test]
fn a_kind_that_there_is_not_is_refused_with_those_that_there_are() {
    let error = sysroots(&config("surefoot.deployment=snap:a"), &Facts::new()).unwrap_err().to_string();
    assert!(
        error.starts_with("surefoot.deployment=snap:…: there is no such kind of deployment; there are slot"),
        "{error}"
    );
}

#[test]
fn the_root_that_is_named_is_the_only_filesystem_that_is_looked_into() {
    let found = |cmdline: &str, devices: Vec<BlockDevice>| -> Vec<String> {
        let found = sysroots(&config(cmdline), &facts(devices)).unwrap_or_else(|error| panic!("{cmdline}: {error}"));
        found.iter().map(|source| source.device.to_string()).collect()
    };
    let kind = |mut device: BlockDevice, kind, uuid: &str| {
        let filesystem = device.filesystem.as_mut().unwrap();
        filesystem.kind = kind;
        filesystem.uuid = FilesystemUuid::try_from(uuid).unwrap();
        device
    };
    let all = || {
        vec![
            kind(other("vda", 1, PartitionType::EfiSystem, "esp"), FilesystemKind::Vfat, "AB-CD"),
            kind(other("vda", 2, PartitionType::Root, "slot"), FilesystemKind::Erofs, "2"),
            kind(other("vda", 3, PartitionType::Root, "sysroot"), FilesystemKind::Ext4, "3"),
            kind(other("vda", 4, PartitionType::Var, "state"), FilesystemKind::Ext4, "4"),
            kind(other("vdb", 1, PartitionType::Root, "snapshots"), FilesystemKind::Btrfs, "5"),
            kind(other("vdb", 2, PartitionType::Root, "PRT#x"), FilesystemKind::Ext4, "6"),
        ]
    };
    assert_eq!(found("surefoot.deployment=auto surefoot.verity=off", all()), ["vda3", "vdb1", "vda4"]);
    assert_eq!(found("surefoot.deployment=auto surefoot.verity=off surefoot.disk=/dev/vda1", all()), ["vda3", "vda4"]);
    assert_eq!(found("surefoot.deployment=auto root=PARTLABEL=snapshots", all()), ["vdb1"]);
    assert_eq!(found("ostree=/ostree/boot.1/a/b/0 root=/dev/vda3", all()), ["vda3"]);
    assert_eq!(found("surefoot.deployment=slot:a", all()), [""; 0]);
    let missing = sysroots(&config("ostree=/ostree/boot.1/a/b/0 root=/dev/vdz1"), &facts(all())).unwrap_err();
    assert_eq!(missing.to_string(), "not found: /dev/vdz1 (the root)");

    let twins =
        || [all(), vec![kind(other("vdc", 1, PartitionType::Root, "copy"), FilesystemKind::Ext4, "3")]].concat();
    let refused = sysroots(&config("surefoot.deployment=auto"), &facts(twins())).unwrap_err().to_string();
    assert!(refused.starts_with("/dev/vda3 (on vda) and /dev/vdc1 (on vdc) are the same filesystem"), "{refused}");
}
