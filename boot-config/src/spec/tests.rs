use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

const GUID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

fn guid() -> PartUuid {
    PartUuid::Gpt(GUID.parse().unwrap())
}

#[test]
fn every_form_names_what_it_says() {
    let table = [
        ("/dev/sda1", DeviceSpec::Path("/dev/sda1")),
        ("/dev/vg/root", DeviceSpec::Path("/dev/vg/root")),
        ("UUID=ABCD-1234", DeviceSpec::Uuid("ABCD-1234")),
        ("LABEL=my disk=1", DeviceSpec::Label("my disk=1")),
        ("LABEL=\"my disk\"", DeviceSpec::Label("my disk")),
        ("PARTLABEL=root_a", DeviceSpec::PartLabel("root_a")),
        ("PARTUUID=3F2504E0-4F89-41D3-9A0C-0305E82C3301", DeviceSpec::PartUuid { uuid: guid(), offset: 0 }),
        (
            "PARTUUID=3f2504e0-4f89-41d3-9a0c-0305e82c3301/PARTNROFF=-2",
            DeviceSpec::PartUuid { uuid: guid(), offset: -2 },
        ),
        (
            "PARTUUID=DEADBEEF-0a",
            DeviceSpec::PartUuid { uuid: PartUuid::Mbr { signature: 0xdead_beef, number: 10 }, offset: 0 },
        ),
        ("/dev/disk/by-uuid/abcd-1234", DeviceSpec::Uuid("abcd-1234")),
        ("/dev/disk/by-label/root", DeviceSpec::Label("root")),
        (
            "/dev/disk/by-partuuid/3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            DeviceSpec::PartUuid { uuid: guid(), offset: 0 },
        ),
        ("/dev/disk/by-partlabel/state", DeviceSpec::PartLabel("state")),
    ];
    for (text, spec) in table {
        assert_eq!(DeviceSpec::parse(text), Ok(spec), "{text}");
    }
}

#[test]
fn every_refusal_says_why() {
    let table = [
        ("", SpecError::UnknownForm),
        ("sda1", SpecError::UnknownForm),
        ("8:1", SpecError::UnknownForm),
        ("/etc/passwd", SpecError::UnknownForm),
        ("uuid=abcd", SpecError::UnknownForm),
        ("ID=wwn-0x1", SpecError::UnknownForm),
        ("/dev/", SpecError::BadPath),
        ("/dev/sda/", SpecError::BadPath),
        ("/dev//sda", SpecError::BadPath),
        ("/dev/../etc/passwd", SpecError::BadPath),
        ("/dev/mapper/root", SpecError::NeedsUdev),
        ("/dev/block/8:1", SpecError::NeedsUdev),
        ("/dev/disk/by-id/wwn-0x1", SpecError::NeedsUdev),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", SpecError::NeedsUdev),
        ("/dev/disk/by-label", SpecError::NeedsUdev),
        ("/dev/disk/by-label/my\\x20disk", SpecError::UdevEscape),
        ("UUID=", SpecError::BadUuid),
        ("UUID=not hex", SpecError::BadUuid),
        ("PARTUUID=", SpecError::BadPartUuid),
        ("PARTUUID=deadbeef-00", SpecError::BadPartUuid),
        ("PARTUUID=deadbeef-1", SpecError::BadPartUuid),
        ("PARTUUID=+eadbeef-01", SpecError::BadPartUuid),
        ("PARTUUID=3f2504e0-4f89-41d3-9a0c-0305e82c330", SpecError::BadPartUuid),
        ("PARTUUID=deadbeef-01/PARTNROFF=", SpecError::BadOffset),
        ("PARTUUID=deadbeef-01/PARTNROFF=1x", SpecError::BadOffset),
        ("PARTUUID=deadbeef-01/partnroff=1", SpecError::BadOffset),
        ("LABEL=", SpecError::BadLabel),
        ("LABEL=\"\"", SpecError::BadLabel),
        ("LABEL=a\"b", SpecError::BadLabel),
    ];
    for (text, error) in table {
        assert_eq!(DeviceSpec::parse(text), Err(error), "{text}");
    }
}

#[test]
fn partition_uuids_are_shown_as_the_kernel_shows_them() {
    assert_eq!(GUID.to_uppercase().parse::<PartUuid>().unwrap().to_string(), GUID);
    assert_eq!("0000ABCD-1F".parse::<PartUuid>().unwrap().to_string(), "0000abcd-1f");
}

fn part_uuid() -> impl Strategy<Value = PartUuid> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|bytes| PartUuid::Gpt(Uuid(bytes))),
        (any::<u32>(), 1..=u8::MAX).prop_map(|(signature, number)| PartUuid::Mbr { signature, number }),
    ]
}

proptest! {
    #[test]
    fn partition_uuids_come_back(uuid in part_uuid(), offset: i32) {
        prop_assert_eq!(uuid.to_string().parse::<PartUuid>(), Ok(uuid));
        let spec = DeviceSpec::PartUuid { uuid, offset };
        let text = spec.to_string();
        prop_assert_eq!(DeviceSpec::parse(&text), Ok(spec));
    }

    #[test]
    fn whatever_parses_comes_back(text in "(/dev/(disk/by-(uuid|label|partuuid|partlabel|id)/)?|(UUID|LABEL|PARTLABEL|PARTUUID)=)?\\PC{0,40}") {
        if let Ok(spec) = DeviceSpec::parse(&text) {
            let shown: String = spec.to_string();
            prop_assert_eq!(DeviceSpec::parse(&shown), Ok(spec));
        }
    }
}
