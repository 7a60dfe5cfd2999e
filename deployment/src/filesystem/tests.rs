use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn probe(image: &[u8]) -> Option<Filesystem> {
    Filesystem::probe(&image).unwrap()
}

/// An image of `size` zeros with these bytes in it.
fn image(size: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; size];
    for (offset, bytes) in fields {
        image[*offset..][..bytes.len()].copy_from_slice(bytes);
    }
    image
}

/// The least that makes each kind known, with the offset of a byte that must not be zero beside the magic number.
fn smallest() -> Vec<(FilesystemKind, usize, Vec<u8>)> {
    use FilesystemKind::{Btrfs, Erofs, Exfat, Ext4, F2fs, Luks, Squashfs, Swap, VerityHash, Vfat, Xfs};
    let text = |text: &'static str| text.as_bytes();
    vec![
        (Ext4, 1064, image(2048, &[(1024, &[1]), (1056, &[1]), (1064, &[1]), (1080, &[0x53, 0xef])])),
        (Xfs, 102, image(512, &[(0, text("XFSB")), (6, &[16]), (102, &[2]), (120, &[12, 9])])),
        (Btrfs, 65685, image(70000, &[(65586, &[1]), (65600, text("_BHRfS_M")), (65681, &[16]), (65685, &[64])])),
        (Erofs, 1036, image(1152, &[(1024, &[0xe2, 0xe1, 0xf5, 0xe0]), (1036, &[12])])),
        (Squashfs, 28, image(96, &[(0, text("hsqs")), (14, &[2]), (22, &[17]), (28, &[4])])),
        (Vfat, 14, vfat(b"ESP        ")),
        (Exfat, 110, exfat()),
        (F2fs, 1028, f2fs()),
        (Swap, 1028, image(4096, &[(1024, &[1]), (1028, &[9]), (4086, text("SWAPSPACE2"))])),
        (Luks, 7, image(512, &[(0, text("LUKS\u{ba}\u{be}")), (0, b"LUKS\xba\xbe"), (6, &[0, 2])])),
        (VerityHash, 8, image(512, &[(0, text("verity\0\0")), (8, &[1])])),
    ]
}

fn vfat(label: &[u8]) -> Vec<u8> {
    let numbers: &[(usize, &[u8])] = &[(11, &[0, 2, 1, 1, 0, 2]), (21, &[0xf8, 9, 0])];
    let texts: &[(usize, &[u8])] =
        &[(38, &[0x29, 0x34, 0x12, 0xcd, 0xab]), (43, label), (54, b"FAT12   "), (510, &[0x55, 0xaa])];
    image(512, &[numbers, texts].concat())
}

fn exfat() -> Vec<u8> {
    image(512, &[(3, b"EXFAT   "), (100, &[0x34, 0x12, 0xcd, 0xab]), (108, &[9, 3]), (110, &[1]), (510, &[0x55, 0xaa])])
}

fn f2fs() -> Vec<u8> {
    image(
        4096,
        &[
            (1024, &[0x10, 0x20, 0xf5, 0xf2, 1]),
            (1040, &[12]),
            (1132, &[0x5a; 16]),
            (1148, &[b's', 0, 0xb2, 3, 0xd8, 0xd8]),
        ],
    )
}

#[test]
fn every_kind_is_known_by_magic_number_and_plausible_fields() {
    for (kind, plausible, image) in smallest() {
        assert_eq!(probe(&image).map(|filesystem| filesystem.kind), Some(kind), "{kind:?}");
        let mut damaged = image;
        assert_ne!(damaged[plausible], 0, "{kind:?}");
        damaged[plausible] = 0;
        assert_eq!(probe(&damaged), None, "{kind:?} with byte {plausible} zero");
    }
}

#[test]
fn each_kind_has_the_name_that_the_kernel_mounts_it_by() {
    let names: Vec<_> = smallest().iter().filter_map(|(kind, ..)| kind.kernel_name()).collect();
    assert_eq!(names, ["ext4", "xfs", "btrfs", "erofs", "squashfs", "vfat", "exfat", "f2fs"]);
    let others = [FilesystemKind::Swap, FilesystemKind::Luks, FilesystemKind::VerityHash];
    assert_eq!(others.map(FilesystemKind::name), ["swap", "LUKS", "verity hash"]);
}

#[test]
fn a_device_that_ends_in_its_superblock_holds_nothing() {
    for (kind, _, image) in smallest() {
        let needed = image.iter().rposition(|byte| *byte != 0).unwrap();
        for size in [0, 1, 3, needed / 2] {
            assert_eq!(probe(&image[..size]), None, "{kind:?} cut to {size}");
        }
        assert!(probe(&image[..=needed]).is_some(), "{kind:?}");
    }
}

#[test]
fn serial_numbers_and_labels_are_read() {
    let known = probe(&f2fs()).unwrap();
    assert_eq!((known.uuid.as_str(), known.label.as_str()), ("5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a", "sβ\u{fffd}"));
    let known = probe(&exfat()).unwrap();
    assert_eq!((known.uuid.as_str(), known.label.as_str()), ("ABCD-1234", ""));
    let known = probe(&vfat(b"MY DISK    ")).unwrap();
    assert_eq!((known.uuid.as_str(), known.label.as_str()), ("ABCD-1234", "MY DISK"));
    assert_eq!(probe(&vfat(b"NO NAME    ")).unwrap().label, "");
}

#[test]
fn names_match_without_regard_to_case_and_empty_ones_never() {
    let known = probe(&exfat()).unwrap();
    assert!(known.has_uuid("abcd-1234") && known.has_uuid("ABCD-1234"));
    assert!(!known.has_uuid("") && !known.has_uuid("abcd-123") && !known.has_label(""));
    let nameless = probe(&smallest()[0].2).unwrap();
    assert!(!nameless.has_uuid("") && !nameless.has_uuid("00000000-0000-0000-0000-000000000000"));
    assert!(probe(&vfat(b"MY DISK    ")).unwrap().has_label("MY DISK"));
    assert!(!probe(&vfat(b"MY DISK    ")).unwrap().has_label("my disk"));
}

#[test]
fn what_begins_the_device_counts_before_what_lies_in_it() {
    let [ext4, _, btrfs, ..] = &smallest()[..] else { unreachable!() };
    let mut both = btrfs.2.clone();
    both[1024..2048].copy_from_slice(&ext4.2[1024..]);
    assert_eq!(probe(&both).unwrap().kind, FilesystemKind::Ext4);
}

#[test]
fn a_superblock_counts_only_in_its_place() {
    let mut early = smallest().swap_remove(2).2;
    early.drain(..0x1_0000);
    early.resize(4096, 0);
    assert_eq!(probe(&early), None);
}

#[test]
fn a_boot_sector_without_the_extended_signature_has_no_serial_number_to_be_known_by() {
    let mut image = vfat(b"ESP        ");
    image[38] = 0x28;
    assert_eq!(probe(&image), None);
}

struct Failing;

impl ReadAt for Failing {
    fn read_exact_at(&self, _: u64, _: &mut [u8]) -> Result<(), ReadError> {
        Err(ReadError::Device(5))
    }

    fn size(&self) -> u64 {
        1 << 30
    }
}

#[test]
fn a_failing_device_is_an_error_not_an_empty_device() {
    let error = Filesystem::probe(&Failing).unwrap_err();
    assert_eq!(error.to_string(), "input/output error (errno 5)");
}

proptest! {
    #[test]
    fn no_content_makes_trouble(bytes in prop::collection::vec(any::<u8>(), 0..5000), which in 0..11_usize, at in 0..4096_usize) {
        probe(&bytes);
        let mut image = smallest().swap_remove(which).2;
        for (to, from) in image.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        probe(&image);
    }
}
