use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const LINUX: u8 = 0x83;
const EXTENDED: u8 = 0x05;
const SECTORS: usize = 200;

/// A sector with the boot signature and these entries: kind, first sector, number of sectors.
fn sector(entries: &[(u8, u32, u32)]) -> [u8; MBR_SIZE] {
    let mut sector = [0; MBR_SIZE];
    sector[SIGNATURE_OFFSET..][..4].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    for (index, (kind, start, length)) in entries.iter().enumerate() {
        let entry = &mut sector[ENTRIES_OFFSET + index * 16..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&length.to_le_bytes());
    }
    sector[510..].copy_from_slice(&BOOT_SIGNATURE);
    sector
}

/// A disk of [`SECTORS`] sectors with these sectors in it.
fn disk(sector_size: usize, sectors: &[(usize, [u8; MBR_SIZE])]) -> Vec<u8> {
    let mut image = vec![0; SECTORS * sector_size];
    for (number, sector) in sectors {
        image[number * sector_size..][..MBR_SIZE].copy_from_slice(sector);
    }
    image
}

/// Number, start and size of each partition, in sectors.
fn partitions(image: &[u8], sector_size: u32) -> Vec<(u32, u64, u64)> {
    let mbr = Mbr::parse(image.first_chunk().unwrap(), sector_size).unwrap();
    let mut found = Vec::new();
    let bytes = u64::from(sector_size);
    mbr.partitions(&image, &mut |partition| {
        found.push((partition.number, partition.start / bytes, partition.size / bytes));
    })
    .unwrap();
    found
}

#[test]
fn primary_partitions_keep_the_number_of_their_entry() {
    for sector_size in [512, 4096] {
        let first = sector(&[(0, 0, 0), (LINUX, 10, 20), (0, 0, 0), (LINUX, 40, 5)]);
        let image = disk(sector_size, &[(0, first)]);
        assert_eq!(partitions(&image, u32::try_from(sector_size).unwrap()), [(2, 10, 20), (4, 40, 5)]);
    }
}

#[test]
fn logical_partitions_are_followed_from_link_to_link() {
    let image = disk(
        512,
        &[
            (0, sector(&[(LINUX, 1, 9), (EXTENDED, 50, 100)])),
            (50, sector(&[(LINUX, 2, 8), (EXTENDED, 20, 30)])),
            // An empty link, as it is left when its partition is deleted, in the order that DR-DOS writes.
            (70, sector(&[(EXTENDED, 40, 30), (0, 0, 0)])),
            (90, sector(&[(LINUX, 1, 4)])),
        ],
    );
    // The extended partition itself is shown with two sectors only.
    assert_eq!(partitions(&image, 512), [(1, 1, 9), (2, 50, 2), (5, 52, 8), (6, 91, 4)]);
}

#[test]
fn a_chain_that_loops_or_leads_nowhere_ends() {
    let to_itself = disk(512, &[(0, sector(&[(EXTENDED, 50, 100)])), (50, sector(&[(EXTENDED, 0, 10)]))]);
    assert_eq!(partitions(&to_itself, 512), [(1, 50, 2)]);
    let endless = disk(512, &[(0, sector(&[(EXTENDED, 50, 100)])), (50, sector(&[(LINUX, 1, 1), (EXTENDED, 0, 10)]))]);
    let found = partitions(&endless, 512);
    assert_eq!((found.len(), found.last()), (252, Some(&(255, 51, 1))));
    let past_the_end = disk(512, &[(0, sector(&[(EXTENDED, 500, 100)]))]);
    assert_eq!(partitions(&past_the_end, 512), [(1, 500, 2)]);
    let no_link = disk(512, &[(0, sector(&[(EXTENDED, 50, 100)]))]);
    assert_eq!(partitions(&no_link, 512), [(1, 50, 2)]);
}

#[test]
fn garbage_behind_the_two_entries_of_a_link_is_left_out() {
    let link = sector(&[(LINUX, 1, 4), (0, 0, 0), (LINUX, 1, 5), (LINUX, 7, 9)]);
    let image = disk(512, &[(0, sector(&[(EXTENDED, 50, 100)])), (50, link)]);
    assert_eq!(partitions(&image, 512), [(1, 50, 2), (5, 51, 4)]);
}

#[test]
fn a_second_extended_partition_goes_on_with_the_numbers() {
    let image = disk(
        512,
        &[
            (0, sector(&[(EXTENDED, 50, 20), (0x85, 80, 20)])),
            (50, sector(&[(LINUX, 1, 4)])),
            (80, sector(&[(LINUX, 2, 5), (0x0f, 10, 9)])),
            (90, sector(&[(LINUX, 3, 6)])),
        ],
    );
    assert_eq!(partitions(&image, 512), [(1, 50, 2), (2, 80, 2), (5, 51, 4), (6, 82, 5), (7, 93, 6)]);
}

#[test]
fn partitions_are_identified_by_signature_and_number_but_extended_ones_are_not() {
    let first = sector(&[(LINUX, 10, 20), (EXTENDED, 40, 5)]);
    let mbr = Mbr::parse(&first, 512).unwrap();
    let mut uuids = Vec::new();
    let image = disk(512, &[(0, first), (40, sector(&[(LINUX, 1, 1)]))]);
    let mut found = |partition| uuids.push(mbr.part_uuid(&partition).map(|uuid| uuid.to_string()));
    mbr.partitions(&image.as_slice(), &mut found).unwrap();
    assert_eq!(uuids, [Some("deadbeef-01".to_string()), None, Some("deadbeef-05".to_string())]);
}

#[test]
fn sectors_that_hold_no_table_are_told_apart() {
    let good = sector(&[(LINUX, 10, 20)]);
    let changed = |offset: usize, value: u8| {
        let mut sector = good;
        sector[offset] = value;
        Mbr::parse(&sector, 512)
    };
    assert!(Mbr::parse(&good, 512).is_some());
    assert!(changed(ENTRIES_OFFSET, 0x80).is_some());
    assert_eq!(changed(510, 0), None);
    assert_eq!(changed(ENTRIES_OFFSET + 48, 1), None);
    assert_eq!(Mbr::parse(&sector(&[]), 512), None);
    assert_eq!(Mbr::parse(&sector(&[(LINUX, 10, 0)]), 512), None);
}

#[test]
fn a_protective_table_is_one_whose_entry_begins_at_sector_one() {
    let protective = |entries: &[_]| Mbr::parse(&sector(entries), 512).is_some_and(|mbr| mbr.is_protective());
    assert!(protective(&[(0xee, 1, 99)]));
    assert!(protective(&[(LINUX, 40, 1), (0xee, 1, 9)]));
    assert_eq!(Mbr::parse(&sector(&[(LINUX, 40, 1), (0xee, 2, 99)]), 512), None);
    assert!(!protective(&[(LINUX, 1, 99)]));
}

proptest! {
    #[test]
    fn no_table_makes_trouble(
        tables in prop::collection::vec((0..SECTORS, prop::collection::vec((any::<u8>(), 0..300_u32, any::<u32>()), 0..4)), 0..20),
        sector_size: u32,
    ) {
        let sectors: Vec<_> = tables.iter().map(|(at, entries)| (*at, sector(entries))).collect();
        let image = disk(512, &sectors);
        for sector_size in [512, sector_size] {
            if let Some(mbr) = Mbr::parse(image.first_chunk().unwrap(), sector_size) {
                let mut last = 0;
                mbr.partitions(&image.as_slice(), &mut |partition| {
                    assert!(partition.number > last);
                    last = partition.number;
                }).unwrap();
            }
        }
    }
}
