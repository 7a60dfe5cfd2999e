use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const SECTORS: u64 = 4096;
const LABEL: &str = "größe → π";

/// The bytes of a disk of [`SECTORS`] sectors with a table that gptman wrote: partition 1 of four sectors, and
/// partition 128, the last entry, of one.
fn disk(sector_size: u32) -> Vec<u8> {
    let size = usize::try_from(SECTORS * u64::from(sector_size)).unwrap();
    let mut image = std::io::Cursor::new(vec![0; size]);
    let mut table = gptman::GPT::new_from(&mut image, sector_size.into(), [7; 16]).unwrap();
    table[1] = entry(1, 64, 67, LABEL);
    table[128] = entry(2, 100, 100, "");
    table[1].attribute_bits = 0x9152_0000_0000_0004;
    table.write_into(&mut image).unwrap();
    image.into_inner()
}

fn entry(id: u8, first: u64, last: u64, label: &str) -> gptman::GPTPartitionEntry {
    gptman::GPTPartitionEntry {
        partition_type_guid: [0x10 + id; 16],
        unique_partition_guid: [id, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        starting_lba: first,
        ending_lba: last,
        attribute_bits: 0,
        partition_name: label.into(),
    }
}

fn read(image: &[u8], sector_size: u32) -> Result<Gpt, GptError> {
    Gpt::read(&image, sector_size)
}

/// Writes `bytes` at `offset` of the header at `lba`, and makes the header's checksum right again.
fn patch(image: &mut [u8], sector_size: usize, lba: usize, offset: usize, bytes: &[u8]) {
    let header = &mut image[lba * sector_size..][..sector_size];
    header[offset..][..bytes.len()].copy_from_slice(bytes);
    let size = u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
    header[16..20].fill(0);
    let mut checksum = crate::crc32::Crc32::new();
    checksum.update(&header[..size.min(sector_size)]);
    let checksum = checksum.finish();
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn entries_are_read_from_either_sector_size() {
    for sector_size in [512, 4096] {
        let image = disk(sector_size);
        let table = read(&image, sector_size).unwrap();
        assert_eq!((table.primary_problem(), table.entry_count()), (None, 128));
        let first = table.entry(&&*image, 1).unwrap().unwrap();
        assert_eq!((first.number, first.first_lba, first.last_lba), (1, 64, 67));
        assert_eq!(first.uuid.to_string(), "03020101-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(first.type_uuid, Uuid([0x11; 16]));
        assert_eq!(first.label, LABEL);
        assert_eq!(first.attributes, Attributes(0x9152_0000_0000_0004));
        let bytes = u64::from(sector_size);
        assert_eq!(table.range(&first), (64 * bytes, 4 * bytes));
        let last = table.entry(&&*image, 128).unwrap().unwrap();
        assert_eq!((last.first_lba, last.last_lba, last.label.as_str()), (100, 100, ""));
        assert_eq!(table.range(&last), (100 * bytes, bytes));
        for unused in [0, 2, 127, 129, u32::MAX] {
            assert_eq!(table.entry(&&*image, unused), Ok(None), "{unused}");
        }
    }
}

#[test]
fn the_wrong_sector_size_finds_no_table() {
    assert_eq!(read(&disk(512), 4096), Err(GptError::Absent));
    assert_eq!(read(&disk(4096), 512), Err(GptError::Absent));
    assert_eq!(read(&disk(512), 0), Err(GptError::Absent));
}

#[test]
fn a_disk_without_headers_is_no_damaged_one() {
    for size in [0, 1, 511, 512, 513, 1024, 4096, 65536] {
        assert_eq!(read(&vec![0; size], 512), Err(GptError::Absent), "{size}");
    }
}

#[test]
fn the_backup_serves_when_the_primary_is_damaged() {
    let mut image = disk(512);
    // A bit of an entry of the primary table, which the header's checksum does not cover.
    image[2 * 512 + 200] ^= 1;
    let table = read(&image, 512).unwrap();
    assert_eq!(table.primary_problem(), Some(HeaderProblem::EntriesChecksum));
    assert_eq!(table.entry(&&*image, 1).unwrap().unwrap().label, LABEL);
    image[512..][..8].fill(0);
    assert_eq!(read(&image, 512).unwrap().primary_problem(), Some(HeaderProblem::NoSignature));
}

#[test]
fn damage_in_both_places_says_what_is_wrong_in_each() {
    let mut image = disk(512);
    image[512 + 60] ^= 1;
    let end = image.len();
    image[end - 512..][..8].fill(0);
    let error = read(&image, 512).unwrap_err();
    assert_eq!(error, GptError::Damaged { primary: HeaderProblem::HeaderChecksum, backup: HeaderProblem::NoSignature });
    assert_eq!(
        error.to_string(),
        "the GUID partition table is damaged: the primary header does not match its checksum; the backup header has \
         no \"EFI PART\" signature"
    );
}

#[test]
fn every_field_of_a_header_is_checked() {
    let last = SECTORS - 1;
    let range = |first, last| HeaderProblem::UsableRange { first, last };
    let cases: &[(usize, &[u8], HeaderProblem, &str)] = &[
        (8, &[0, 0, 2, 0], HeaderProblem::Revision(0x2_0000), "has revision 0x20000, allowed is 0x10000"),
        (12, &91_u32.to_le_bytes(), HeaderProblem::HeaderSize(91), "has size 91, allowed is 92 up to the sector size"),
        (
            12,
            &513_u32.to_le_bytes(),
            HeaderProblem::HeaderSize(513),
            "has size 513, allowed is 92 up to the sector size",
        ),
        (24, &2_u64.to_le_bytes(), HeaderProblem::Position(2), "says it is sector 2, which it is not"),
        (
            40,
            &u64::MAX.to_le_bytes(),
            range(u64::MAX, last - 33),
            "has usable sectors 18446744073709551615 to 4062, no range of this disk",
        ),
        (48, &SECTORS.to_le_bytes(), range(34, SECTORS), "has usable sectors 34 to 4096, no range of this disk"),
        (
            72,
            &SECTORS.to_le_bytes(),
            HeaderProblem::EntriesPosition(SECTORS),
            "has its entries at sector 4096, past the end of the disk",
        ),
        (
            72,
            &u64::MAX.to_le_bytes(),
            HeaderProblem::EntriesPosition(u64::MAX),
            "has its entries at sector 18446744073709551615, past the end of the disk",
        ),
        (80, &[0; 4], HeaderProblem::EntryCount(0), "has 0 entries, allowed are 1 to 1024"),
        (80, &1025_u32.to_le_bytes(), HeaderProblem::EntryCount(1025), "has 1025 entries, allowed are 1 to 1024"),
        (
            84,
            &64_u32.to_le_bytes(),
            HeaderProblem::EntrySize(64),
            "has entries of 64 bytes, allowed is 128, 256 … 4096",
        ),
        (
            84,
            &136_u32.to_le_bytes(),
            HeaderProblem::EntrySize(136),
            "has entries of 136 bytes, allowed is 128, 256 … 4096",
        ),
        (
            84,
            &8192_u32.to_le_bytes(),
            HeaderProblem::EntrySize(8192),
            "has entries of 8192 bytes, allowed is 128, 256 … 4096",
        ),
        (88, &[0; 4], HeaderProblem::EntriesChecksum, "has entries that do not match their checksum"),
    ];
    for (offset, bytes, problem, text) in cases {
        let mut image = disk(512);
        patch(&mut image, 512, 1, *offset, bytes);
        assert_eq!(read(&image, 512).unwrap().primary_problem(), Some(*problem), "{offset}");
        assert_eq!(problem.to_string(), *text);
    }
}

#[test]
fn a_header_longer_than_its_fields_is_covered_by_its_checksum() {
    let mut image = disk(512);
    patch(&mut image, 512, 1, 12, &512_u32.to_le_bytes());
    assert_eq!(read(&image, 512).unwrap().primary_problem(), None);
    image[512 + 511] = 1;
    assert_eq!(read(&image, 512).unwrap().primary_problem(), Some(HeaderProblem::HeaderChecksum));
}

#[test]
fn entries_that_are_no_range_of_the_disk_are_left_out() {
    for (first, last) in [(67, 64), (64, SECTORS), (u64::MAX, u64::MAX)] {
        let mut image = std::io::Cursor::new(disk(512));
        let mut table = gptman::GPT::read_from(&mut image, 512).unwrap();
        table[1].starting_lba = first;
        table[1].ending_lba = last;
        table.header.update_partition_entry_array_crc32(&(1..=128).map(|n| table[n].clone()).collect::<Vec<_>>());
        let mut image = image.into_inner();
        image[2 * 512 + 32..][..8].copy_from_slice(&first.to_le_bytes());
        image[2 * 512 + 40..][..8].copy_from_slice(&last.to_le_bytes());
        patch(&mut image, 512, 1, 88, &table.header.partition_entry_array_crc32.to_le_bytes());
        let table = read(&image, 512).unwrap();
        assert_eq!(table.primary_problem(), None);
        assert_eq!(table.entry(&&*image, 1), Ok(None), "{first} to {last}");
        assert!(table.entry(&&*image, 128).unwrap().is_some());
    }
}

/// A disk that fails to read one sector.
struct BadSector {
    image: Vec<u8>,
    sector: u64,
}

impl ReadAt for BadSector {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let touched = offset / 512..(offset + buffer.len() as u64).div_ceil(512);
        if touched.contains(&self.sector) {
            return Err(ReadError::Device(5));
        }
        self.image.as_slice().read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.image.len() as u64
    }
}

#[test]
fn an_unreadable_sector_makes_the_backup_serve() {
    for sector in [1, 2, 33] {
        let table = Gpt::read(&BadSector { image: disk(512), sector }, 512).unwrap();
        let problem = table.primary_problem().unwrap();
        assert_eq!(problem, HeaderProblem::Unreadable(ReadError::Device(5)), "{sector}");
        assert_eq!(problem.to_string(), "cannot be read: input/output error (errno 5)");
    }
}

#[test]
fn on_a_disk_that_has_grown_the_backup_serves_that_the_header_names() {
    let mut image = disk(512);
    image.resize(2 * image.len(), 0);
    for sector in [2, 33] {
        let disk = BadSector { image: image.clone(), sector };
        let table = Gpt::read(&disk, 512).unwrap();
        assert_eq!(table.primary_problem(), Some(HeaderProblem::Unreadable(ReadError::Device(5))), "{sector}");
        assert_eq!(table.entry(&disk, 1).unwrap().unwrap().label, LABEL);
    }
    // The sectors are written anew from it.
    let recorder = crate::recorder::Recorder::new(&image);
    recorder.unreadable.set(Some(2 * 512));
    assert_eq!(rewrite(&recorder, 512, &mut |_| ()), Ok(true));
    assert!(recorder.image.into_inner() == image);
    // Nobody knows where it is then.
    assert_eq!(Gpt::read(&BadSector { image, sector: 1 }, 512), Err(GptError::Absent));
}

/// The bytes of a small disk around its table: the front, and the backup at the end.
fn small_disk() -> Vec<u8> {
    let mut image = std::io::Cursor::new(vec![0; 100 * 512]);
    let mut table = gptman::GPT::new_from(&mut image, 512, [7; 16]).unwrap();
    table[1] = entry(1, 40, 41, "a");
    table.write_into(&mut image).unwrap();
    image.into_inner()
}

fn read_all(image: &[u8], sector_size: u32) -> Vec<GptEntry> {
    let Ok(table) = read(image, sector_size) else { return Vec::new() };
    (0..=table.entry_count()).filter_map(|number| table.entry(&image, number).unwrap()).collect()
}

/// A disk of any size of which only some sectors are not zero.
struct Far<'b> {
    size: u64,
    parts: [(u64, &'b [u8]); 2],
}

impl ReadAt for Far<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size).ok_or(ReadError::OutOfRange)?;
        buffer.fill(0);
        for (start, bytes) in self.parts {
            // Where the part begins in the buffer, and the buffer in the part: one of the two is 0.
            let at = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
            let room = buffer.get_mut(at(offset, start)..).unwrap_or_default();
            let bytes = bytes.get(at(start, offset)..).unwrap_or_default();
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to |= from);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// The header's numbers: where they stand, and how long they are.
const NUMBERS: [(usize, usize); 8] = [(12, 4), (24, 8), (32, 8), (40, 8), (48, 8), (72, 8), (80, 4), (84, 4)];

/// A sector with a header of four entries of 128 bytes, in which these numbers are others.
fn header(
    sector_size: usize,
    lba: u64,
    entries_lba: u64,
    changes: &[((usize, usize), u64)],
    entries: &[u8],
) -> Vec<u8> {
    let mut sector = vec![0; sector_size];
    sector[..8].copy_from_slice(b"EFI PART");
    sector[10] = 1;
    let usual = [92, lba, 1, 10, 20, entries_lba, 4, 128];
    for ((offset, length), value) in NUMBERS.into_iter().zip(usual).chain(changes.iter().copied()) {
        sector[offset..][..length].copy_from_slice(&value.to_le_bytes()[..length]);
    }
    let number = |at: usize| u32::from_le_bytes(sector[at..][..4].try_into().unwrap()) as usize;
    // What is refused before its entries are looked at needs no checksum of them.
    let is_table =
        number(84).is_power_of_two() && number(84) <= MAX_ENTRY_SIZE as usize && number(80) <= MAX_ENTRIES as usize;
    let length = if is_table { number(80) * number(84) } else { 0 };
    let mut checksum = crate::crc32::Crc32::new();
    checksum.update(&entries[..length.min(entries.len())]);
    checksum.update(&vec![0; length.saturating_sub(entries.len())]);
    sector[88..92].copy_from_slice(&checksum.finish().to_le_bytes());
    patch(&mut sector, sector_size, 0, 0, b"EFI PART");
    sector
}

/// Whatever a table says, each of its partitions is a range of the disk.
fn ranges_are_of_the_disk(reader: &dyn ReadAt, sector_size: u32) -> bool {
    let Ok(table) = Gpt::read(reader, sector_size) else { return false };
    for number in (0..=5).chain([table.entry_count(), u32::MAX]) {
        if let Some(entry) = table.entry(reader, number).unwrap() {
            let (start, size) = table.range(&entry);
            let exact = (u128::from(entry.last_lba) - u128::from(entry.first_lba) + 1) * u128::from(sector_size);
            assert_eq!(
                (u128::from(start), u128::from(size)),
                (u128::from(entry.first_lba) * u128::from(sector_size), exact)
            );
            assert!(u128::from(start) + u128::from(size) <= u128::from(reader.size()));
        }
    }
    true
}

const EDGES: [u64; 17] = [
    0,
    1,
    2,
    3,
    91,
    92,
    512,
    0xffff,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 54,
    (1 << 55) - 2,
    (1 << 55) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn no_two_numbers_of_a_header_overflow_on_the_largest_disk() {
    const FEW: [u64; 5] = [0, 1, 1 << 32, (1 << 55) - 1, u64::MAX];
    let entry = |first: u64, last: u64| {
        let mut entry = [0x5a; 128];
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
        entry
    };
    let entries = [entry(10, 20), entry(0, u64::MAX), entry(u64::MAX, 0), entry((1 << 55) - 2, (1 << 55) - 2)].concat();
    let mut read = 0;
    for size in [u64::MAX, 1 << 20] {
        let last = size / 512 - 1;
        for (index, first) in NUMBERS.into_iter().enumerate() {
            for second in NUMBERS.into_iter().skip(index) {
                for (one, other) in EDGES.into_iter().flat_map(|one| FEW.map(|other| (one, other))) {
                    let backup = header(512, last, last - 1, &[(first, one), (second, other)], &entries);
                    let disk = Far { size, parts: [(last * 512, &backup), ((last - 1) * 512, &entries)] };
                    read += usize::from(ranges_are_of_the_disk(&disk, 512));
                }
            }
        }
    }
    assert!(read > 100, "{read} tables are read at all");
}

#[test]
fn no_two_numbers_of_an_entry_overflow() {
    for (sector_size, size) in [512, 4096].into_iter().flat_map(|sector| [u64::MAX, 1 << 20].map(|size| (sector, size)))
    {
        let last = size / u64::from(sector_size) - 1;
        for (first, end) in EDGES.into_iter().flat_map(|one| EDGES.map(|other| (one, other))) {
            for (first, end) in [(first, end), (last.wrapping_sub(first), last.wrapping_sub(end))] {
                let mut entry = vec![1; 512];
                entry[32..40].copy_from_slice(&first.to_le_bytes());
                entry[40..48].copy_from_slice(&end.to_le_bytes());
                let sector = usize::try_from(sector_size).unwrap();
                let backup = header(sector, last, last - 1, &[], &entry);
                let place = u64::from(sector_size);
                let disk = Far { size, parts: [(last * place, &backup), ((last - 1) * place, &entry)] };
                assert!(ranges_are_of_the_disk(&disk, sector_size));
                let found = Gpt::read(&disk, sector_size).unwrap().entry(&disk, 1).unwrap();
                assert_eq!(found.is_some(), first <= end && end <= last, "{first} to {end} of {last}");
            }
        }
    }
}

#[test]
fn no_size_of_a_sector_overflows() {
    for size in EDGES {
        for sector_size in [0, 1, 91, 92, 511, 513, 4096, 1 << 31, u32::MAX] {
            let disk = Far { size, parts: [(0, &[0xff; 600]), (size.saturating_sub(300), &[0xff; 300])] };
            assert!(!ranges_are_of_the_disk(&disk, sector_size), "{size} bytes in sectors of {sector_size}");
        }
    }
}

proptest! {
    #[test]
    fn a_changed_byte_never_changes_what_is_read(offset in 512..34 * 512_usize, byte: u8) {
        let mut image = small_disk();
        let sound = read_all(&image, 512);
        prop_assert_eq!(sound.len(), 1);
        image[offset] = byte;
        prop_assert_eq!(read_all(&image, 512), sound);
    }

    #[test]
    fn hostile_headers_with_good_checksums_do_no_harm(
        offset in 8..92_usize, bytes: [u8; 8], lba in prop::sample::select(vec![1, 99]), sector_size: u32,
    ) {
        let mut image = small_disk();
        let length = bytes.len().min(92 - offset);
        patch(&mut image, 512, lba, offset, &bytes[..length]);
        for entry in read_all(&image, 512) {
            prop_assert!(entry.first_lba <= entry.last_lba && entry.last_lba < 100);
        }
        read_all(&image, sector_size);
    }

    #[test]
    fn any_entry_is_read_as_something(raw: [[u8; 32]; 4]) {
        let raw: Vec<u8> = raw.concat();
        let entry = GptEntry::parse(1, raw.as_slice().try_into().unwrap());
        let units: Vec<u16> = raw[56..].chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let label = String::from_utf16_lossy(units.split(|unit| *unit == 0).next().unwrap());
        prop_assert_eq!(entry.label.as_str(), label);
    }
}

#[test]
fn the_longest_label_fits() {
    let label = "→".repeat(36);
    let mut image = std::io::Cursor::new(vec![0; 512 * 100]);
    let mut table = gptman::GPT::new_from(&mut image, 512, [7; 16]).unwrap();
    table[1] = entry(1, 40, 41, &label);
    table.write_into(&mut image).unwrap();
    let image = image.into_inner();
    assert_eq!(read(&image, 512).unwrap().entry(&&*image, 1).unwrap().unwrap().label, label.as_str());
    assert_eq!(label.len(), MAX_LABEL);
}
