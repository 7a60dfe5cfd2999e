use std::string::ToString;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::gpt::HeaderProblem;

/// A disk of 200 sectors of 512 bytes with two partitions and its protective MBR.
fn guid_disk() -> Vec<u8> {
    let mut image = std::io::Cursor::new(vec![0; 200 * 512]);
    let mut table = gptman::GPT::new_from(&mut image, 512, [7; 16]).unwrap();
    for (number, first, label) in [(1, 40, "boot"), (3, 50, "root")] {
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: [0x11; 16],
            unique_partition_guid: [u8::try_from(number).unwrap(); 16],
            starting_lba: first,
            ending_lba: first + 9,
            attribute_bits: 1 << 60,
            partition_name: label.into(),
        };
    }
    table.write_into(&mut image).unwrap();
    gptman::GPT::write_protective_mbr_into(&mut image, 512).unwrap();
    image.into_inner()
}

fn old_disk() -> Vec<u8> {
    let mut image = vec![0; 200 * 512];
    image[440..444].copy_from_slice(&0x0000_abcd_u32.to_le_bytes());
    image[446 + 16..][..16].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 10, 0, 0, 0, 20, 0, 0, 0]);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

fn listed(image: &[u8]) -> Vec<(Partition, u64)> {
    let mut found = Vec::new();
    let table = Table::read(&image, 512).unwrap();
    table.partitions(&image, &mut |partition, size| found.push((partition, size))).unwrap();
    found
}

#[test]
fn a_guid_table_tells_all_about_its_partitions() {
    let image = guid_disk();
    assert_eq!(Table::read(&&*image, 512).unwrap().kind(), PartitionTable::Gpt);
    let expected = |number, start: u64, label| {
        let uuid = Uuid([u8::try_from(number).unwrap(); 16]);
        let partition = Partition {
            number,
            uuid: Some(PartUuid::Gpt(uuid)),
            type_uuid: Some(Uuid([0x11; 16])),
            label: PartLabel::try_from(label).unwrap(),
            attributes: Attributes(1 << 60),
            start: start * 512,
        };
        (partition, 10 * 512)
    };
    assert_eq!(listed(&image), [expected(1, 40, "boot"), expected(3, 50, "root")]);
}

#[test]
fn an_old_table_tells_uuid_and_place() {
    let image = old_disk();
    assert_eq!(Table::read(&&*image, 512).unwrap().kind(), PartitionTable::Mbr);
    let [(partition, size)] = listed(&image).try_into().unwrap();
    assert_eq!((partition.number, partition.start, size), (2, 10 * 512, 20 * 512));
    assert_eq!(partition.uuid.unwrap().to_string(), "0000abcd-02");
    assert_eq!((partition.type_uuid, partition.label.as_str()), (None, ""));
}

#[test]
fn a_partition_is_described_only_where_it_begins() {
    for (image, number, start) in [(guid_disk(), 3, 50 * 512), (old_disk(), 2, 10 * 512)] {
        let table = Table::read(&&*image, 512).unwrap();
        let described = |number, start| table.partition(&&*image, number, start).unwrap();
        assert_eq!(described(number, start).unwrap().number, number);
        assert_eq!(described(number, start + 512), None);
        assert_eq!(described(number + 1, start), None);
        assert_eq!(described(0, start), None);
    }
}

#[test]
fn only_a_protective_table_makes_a_guid_table() {
    let mut image = guid_disk();
    image[446..512].fill(0);
    assert_eq!(Table::read(&&*image, 512), Ok(Table::None));
    image[446..512].copy_from_slice(&old_disk()[446..512]);
    assert_eq!(Table::read(&&*image, 512).unwrap().kind(), PartitionTable::Mbr);
}

#[test]
fn damage_is_told_from_absence() {
    let mut image = guid_disk();
    image[512] ^= 1;
    assert_eq!(Table::read(&&*image, 512).unwrap().kind(), PartitionTable::GptFromBackup);
    assert_eq!(listed(&image).len(), 2);
    let backup = image.len() - 512;
    image[backup + 50] ^= 1;
    let damaged = Table::read(&&*image, 512).unwrap();
    assert_eq!(damaged.kind(), PartitionTable::GptDamaged);
    let problems = GptError::Damaged { primary: HeaderProblem::NoSignature, backup: HeaderProblem::HeaderChecksum };
    assert_eq!(damaged, Table::DamagedGpt(problems));
    assert_eq!(listed(&image), []);
    for size in [0, 511, 512, 4096] {
        assert_eq!(Table::read(&vec![0; size].as_slice(), 512), Ok(Table::None), "{size}");
    }
}

#[test]
fn partitions_that_the_kernel_has_no_number_for_are_left_out() {
    let mut image = guid_disk();
    // A longer array of entries elsewhere on the disk, with partition 1 again as 255 and 256.
    let first = image[2 * 512..][..128].to_vec();
    let entries = 60 * 512..60 * 512 + 300 * 128;
    for number in [255, 256] {
        image[entries.start + (number - 1) * 128..][..128].copy_from_slice(&first);
    }
    let checksum = crc32(&image[entries]);
    let header = &mut image[512..][..92];
    header[72..80].copy_from_slice(&60_u64.to_le_bytes());
    header[80..84].copy_from_slice(&300_u32.to_le_bytes());
    header[88..92].copy_from_slice(&checksum.to_le_bytes());
    header[16..20].fill(0);
    let checksum = crc32(header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    let numbers: Vec<_> = listed(&image).iter().map(|(partition, _)| partition.number).collect();
    assert_eq!((Table::read(&&*image, 512).unwrap().kind(), numbers), (PartitionTable::Gpt, vec![255]));
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut checksum = crate::crc32::Crc32::new();
    checksum.update(bytes);
    checksum.finish()
}
