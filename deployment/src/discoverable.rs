//! What a partition is for: the type UUIDs of the Discoverable Partitions Specification (UAPI group).

use verity::Uuid;

/// The purpose of a partition, for this machine's architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionType {
    /// A root filesystem.
    Root,
    /// The hash tree of a root filesystem.
    RootVerity,
    /// The signature of a root hash.
    RootVeritySignature,
    /// A `/usr` filesystem.
    Usr,
    /// The hash tree of a `/usr` filesystem.
    UsrVerity,
    /// The signature of the root hash of a `/usr` filesystem.
    UsrVeritySignature,
    /// `/var`.
    Var,
    /// `/home`.
    Home,
    /// `/srv`.
    Srv,
    /// The EFI system partition.
    EfiSystem,
    /// The extended boot loader partition.
    ExtendedBoot,
}

/// The types that depend on the architecture, in the order of [`PartitionType`].
type Family = [Uuid; 6];

/// The types of x86-64.
pub const X86_64: Family = [
    uuid(0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709),
    uuid(0x2c73_57ed_ebd2_46d9_aec1_23d4_37ec_2bf5),
    uuid(0x4109_2b05_9fc8_4523_994f_2def_0408_b176),
    uuid(0x8484_680c_9521_48c6_9c11_b072_0656_f69e),
    uuid(0x77ff_5f63_e7b6_4633_acf4_1565_b864_c0e6),
    uuid(0xe7bb_33fb_06cf_4e81_8273_e543_b413_e2e2),
];

/// The types of 64-bit ARM.
pub const AARCH64: Family = [
    uuid(0xb921_b045_1df0_41c3_af44_4c6f_280d_3fae),
    uuid(0xdf33_00ce_d69f_4c92_978c_9bfb_0f38_d820),
    uuid(0x6db6_9de6_29f4_4758_a7a5_9621_90f0_0ce3),
    uuid(0xb0e0_1050_ee5f_4390_949a_9101_b171_04e9),
    uuid(0x6e11_a4e7_fbca_4ded_b9e9_e1a5_12bb_664e),
    uuid(0xc23c_e4ff_44bd_4b00_b2d4_b41b_3419_e02a),
];

#[cfg(not(target_arch = "aarch64"))]
const NATIVE: Family = X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Family = AARCH64;

const TYPES: [(PartitionType, Uuid); 11] = {
    let [root, root_verity, root_signature, usr, usr_verity, usr_signature] = NATIVE;
    [
        (PartitionType::Root, root),
        (PartitionType::RootVerity, root_verity),
        (PartitionType::RootVeritySignature, root_signature),
        (PartitionType::Usr, usr),
        (PartitionType::UsrVerity, usr_verity),
        (PartitionType::UsrVeritySignature, usr_signature),
        (PartitionType::Var, uuid(0x4d21_b016_b534_45c2_a9fb_5c16_e091_fd2d)),
        (PartitionType::Home, uuid(0x933a_c7e1_2eb4_4f13_b844_0e14_e2ae_f915)),
        (PartitionType::Srv, uuid(0x3b8f_8425_20e0_4f3b_907f_1a25_a76f_98e8)),
        (PartitionType::EfiSystem, uuid(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b)),
        (PartitionType::ExtendedBoot, uuid(0xbc13_c2ff_59e6_4262_a352_b275_fd6f_7172)),
    ]
};

impl PartitionType {
    /// What partitions of this type are for; `None` for a type that means nothing on this architecture.
    pub fn from_uuid(type_uuid: Uuid) -> Option<Self> {
        TYPES.iter().find(|(_, uuid)| *uuid == type_uuid).map(|(meaning, _)| *meaning)
    }

    /// The type UUID of such partitions.
    pub fn uuid(self) -> Uuid {
        TYPES.iter().find(|(meaning, _)| *meaning == self).map_or(Uuid([0; 16]), |(_, uuid)| *uuid)
    }
}

/// Whether a partition with this label holds nothing that may be used: an empty slot (`_empty`), or a download that is
/// partial (`PRT#…`) or pending (`PND#…`), as systemd-sysupdate names them.
pub fn is_unfinished(label: &str) -> bool {
    label == "_empty" || label.starts_with("PRT#") || label.starts_with("PND#")
}

const fn uuid(number: u128) -> Uuid {
    Uuid(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn types_are_those_of_the_specification() {
        let text = |family: Family| family.map(|uuid| uuid.to_string());
        assert_eq!(
            text(X86_64),
            [
                "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
                "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
                "41092b05-9fc8-4523-994f-2def0408b176",
                "8484680c-9521-48c6-9c11-b0720656f69e",
                "77ff5f63-e7b6-4633-acf4-1565b864c0e6",
                "e7bb33fb-06cf-4e81-8273-e543b413e2e2",
            ]
        );
        assert_eq!(
            text(AARCH64),
            [
                "b921b045-1df0-41c3-af44-4c6f280d3fae",
                "df3300ce-d69f-4c92-978c-9bfb0f38d820",
                "6db69de6-29f4-4758-a7a5-962190f00ce3",
                "b0e01050-ee5f-4390-949a-9101b17104e9",
                "6e11a4e7-fbca-4ded-b9e9-e1a512bb664e",
                "c23ce4ff-44bd-4b00-b2d4-b41b3419e02a",
            ]
        );
        assert_eq!(PartitionType::Var.uuid().to_string(), "4d21b016-b534-45c2-a9fb-5c16e091fd2d");
        assert_eq!(PartitionType::Home.uuid().to_string(), "933ac7e1-2eb4-4f13-b844-0e14e2aef915");
        assert_eq!(PartitionType::Srv.uuid().to_string(), "3b8f8425-20e0-4f3b-907f-1a25a76f98e8");
        assert_eq!(PartitionType::EfiSystem.uuid().to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(PartitionType::ExtendedBoot.uuid().to_string(), "bc13c2ff-59e6-4262-a352-b275fd6f7172");
    }

    #[test]
    fn every_type_is_found_by_its_uuid_and_others_mean_nothing() {
        for (meaning, uuid) in TYPES {
            assert_eq!((PartitionType::from_uuid(uuid), meaning.uuid()), (Some(meaning), uuid));
        }
        let foreign = if NATIVE == X86_64 { AARCH64 } else { X86_64 };
        assert!(foreign.into_iter().all(|uuid| PartitionType::from_uuid(uuid).is_none()));
        assert_eq!(PartitionType::from_uuid(Uuid([0; 16])), None);
    }

    #[test]
    fn labels_of_unfinished_partitions_are_known() {
        for label in ["_empty", "PRT#root_2", "PND#root_2"] {
            assert!(is_unfinished(label), "{label}");
        }
        for label in ["", "root", "_emptyish", "xPRT#", "prt#root"] {
            assert!(!is_unfinished(label), "{label}");
        }
    }
}
