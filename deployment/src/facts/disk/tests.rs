use std::string::ToString;
use std::vec;
use std::vec::Vec;

use boot_config::spec::PartUuid;
use verity::Uuid;

use super::*;
use crate::filesystem::FilesystemKind;
use crate::gpt::Attributes;

const SECTOR: u64 = 512;
const DISK_SECTORS: u64 = 4096;

fn names(facts: &Facts) -> Vec<&str> {
    facts.devices().iter().map(|device| device.name.as_str()).collect()
}

#[test]
fn partitions_of_disks_whose_name_ends_in_a_digit_have_a_separator() {
    assert_eq!(partition_name("vda", 12), "vda12");
    assert_eq!(partition_name("nvme0n1", 12), "nvme0n1p12");
    assert_eq!(partition_name("mmcblk0", 1), "mmcblk0p1");
}

/// A disk with a swap partition 1 and partition 4, which is empty and read-only.
fn guid_disk() -> Vec<u8> {
    let mut image = std::io::Cursor::new(vec![0; usize::try_from(DISK_SECTORS * SECTOR).unwrap()]);
    let mut table = gptman::GPT::new_from(&mut image, SECTOR, [7; 16]).unwrap();
    for (number, first, last) in [(1, 64, 127), (4, 128, 255)] {
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: [0xaa; 16],
            unique_partition_guid: [u8::try_from(number).unwrap(); 16],
            starting_lba: first,
            ending_lba: last,
            attribute_bits: 1 << 60,
            partition_name: "label".into(),
        };
    }
    table.write_into(&mut image).unwrap();
    gptman::GPT::write_protective_mbr_into(&mut image, SECTOR).unwrap();
    let mut image = image.into_inner();
    let swap = &mut image[64 * 512..];
    swap[1024..1032].copy_from_slice(&[1, 0, 0, 0, 7, 0, 0, 0]);
    swap[1052..1056].copy_from_slice(b"swap");
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    image
}

fn identity(name: &str) -> DiskIdentity<'_> {
    DiskIdentity { name, number: DeviceNumber { major: 254, minor: 16 }, sector_size: 512, read_only: true }
}

fn scanned(image: &[u8], name: &str, backup_table: bool) -> Facts {
    let mut facts = Facts::new();
    scan_disk(&mut facts, &image, &identity(name), backup_table).unwrap();
    facts
}

#[test]
fn a_disk_is_scanned_with_all_its_partitions() {
    let facts = scanned(&guid_disk(), "nvme0n1", false);
    assert_eq!(names(&facts), ["nvme0n1", "nvme0n1p1", "nvme0n1p4"]);
    let [disk, swap, empty] = facts.devices() else { unreachable!() };
    assert_eq!((disk.table, disk.size, disk.number.to_string().as_str()), (PartitionTable::Gpt, 1 << 21, "254:16"));
    assert_eq!((&disk.filesystem, &disk.partition, &disk.disk), (&None, &None, &None));
    assert_eq!((swap.size, swap.number.minor, swap.read_only, swap.sector_size), (64 * 512, 17, true, 512));
    assert_eq!((swap.disk.as_deref(), swap.table), (Some("nvme0n1"), PartitionTable::None));
    let filesystem = swap.filesystem.as_ref().unwrap();
    assert_eq!((filesystem.kind, filesystem.label.as_str()), (FilesystemKind::Swap, "swap"));
    assert_eq!((&empty.filesystem, empty.read_error), (&None, None));
    let partition = empty.partition.as_ref().unwrap();
    assert_eq!((partition.number, partition.start, partition.uuid), (4, 128 * 512, Some(PartUuid::Gpt(Uuid([4; 16])))));
    assert_eq!((partition.type_uuid, partition.label.as_str()), (Some(Uuid([0xaa; 16])), "label"));
    assert_eq!(partition.attributes, Attributes(1 << 60));
}

#[test]
fn what_the_kernel_shows_is_described_like_what_a_scan_finds() {
    let image = guid_disk();
    let reader = image.as_slice();
    let disk = Disk::probe(&reader, &identity("vdb"));
    let scanned = scanned(&image, "vdb", false);
    assert_eq!(scanned.device("vdb"), Some(disk.device()));
    for device in scanned.devices().iter().filter(|device| device.partition.is_some()) {
        let partition = device.partition.as_ref().unwrap();
        let shown = PartitionIdentity {
            name: &device.name,
            number: device.number,
            index: partition.number,
            start: partition.start,
            size: device.size,
            read_only: true,
        };
        assert_eq!(&disk.partition(&shown), device);
        // One that has moved since the table was read is known by its place alone.
        let moved = disk.partition(&PartitionIdentity { start: partition.start + 512, ..shown });
        assert_eq!(moved.partition, Some(Partition::unknown(partition.number, partition.start + 512)));
    }
}

#[test]
fn a_table_of_which_the_backup_is_left_shows_its_partitions_on_request() {
    let mut image = guid_disk();
    image[512] ^= 1;
    for (backup_table, count) in [(false, 1), (true, 3)] {
        let facts = scanned(&image, "vda", backup_table);
        assert_eq!(facts.devices().len(), count);
        assert_eq!(facts.devices()[0].table, PartitionTable::GptFromBackup);
    }
}

#[test]
fn a_disk_without_a_table_is_probed_itself() {
    let image = &guid_disk()[64 * 512..][..64 * 512];
    let facts = scanned(image, "vda", false);
    assert_eq!(names(&facts), ["vda"]);
    assert_eq!(facts.devices()[0].filesystem.as_ref().unwrap().kind, FilesystemKind::Swap);
}

#[test]
fn old_partitions_are_cut_at_the_end_of_their_disk() {
    let mut image = vec![0; 100 * 512];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (index, start, length) in [(0, 90_u8, 20), (1, 100, 1), (2, 10, 5)] {
        image[446 + index * 16..][..16].copy_from_slice(&[0, 0, 0, 0, 0x83, 0, 0, 0, start, 0, 0, 0, length, 0, 0, 0]);
    }
    let facts = scanned(&image, "sda", false);
    let sizes: Vec<_> = facts.devices().iter().map(|device| (device.name.as_str(), device.size / 512)).collect();
    assert_eq!(sizes, [("sda", 100), ("sda1", 10), ("sda3", 5)]);
}

/// A disk that fails from this byte on.
struct Failing(Vec<u8>, u64);

impl ReadAt for Failing {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset + buffer.len() as u64 > self.1 {
            Err(ReadError::Device(5))
        } else {
            self.0.as_slice().read_exact_at(offset, buffer)
        }
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

#[test]
fn a_device_that_cannot_be_read_is_there_all_the_same() {
    let mut facts = Facts::new();
    scan_disk(&mut facts, &Failing(guid_disk(), 128 * 512), &identity("vda"), false).unwrap();
    let errors: Vec<_> = facts.devices().iter().map(|device| (device.name.as_str(), device.read_error)).collect();
    assert_eq!(errors, [("vda", None), ("vda1", None), ("vda4", Some(ReadError::Device(5)))]);
    let mut facts = Facts::new();
    scan_disk(&mut facts, &Failing(guid_disk(), 0), &identity("vda"), false).unwrap();
    assert_eq!(facts.devices()[0].read_error, Some(ReadError::Device(5)));
}

#[test]
fn a_chain_of_partitions_that_cannot_be_read_is_told_of_its_disk() {
    let mut image = vec![0; 100 * 512];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image[446..462].copy_from_slice(&[0, 0, 0, 0, 0x05, 0, 0, 0, 50, 0, 0, 0, 40, 0, 0, 0]);
    let mut facts = Facts::new();
    scan_disk(&mut facts, &Failing(image, 50 * 512), &identity("sda"), false).unwrap();
    assert_eq!(names(&facts), ["sda", "sda1"]);
    assert_eq!(facts.devices()[0].read_error, Some(ReadError::Device(5)));
}
