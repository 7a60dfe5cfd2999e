//! Partition tables, superblocks, and the machine that they make up.

use std::cell::RefCell;

use boot_config::{Config, Sources};
use deployment::candidates::{candidates, state_device, sysroots};
use deployment::facts::{DeviceNumber, DiskIdentity, Facts, scan_disk};
use deployment::filesystem;
use deployment::gpt::{EntryMut, Gpt, GptEntry, MAX_LABEL, rewrite};
use deployment::mbr::MAX_NUMBER;
use deployment::recorder::{Event, Recorder};
use deployment::table::{PartitionTable, Table};
use deployment::{Filesystem, FilesystemKind, ReadAt};

use crate::input::{Sparse, take, texts};

/// Sectors of a disk with a GUID partition table.
const SECTORS: usize = 48;
/// The part of a header that means something, and where its checksums stand.
const HEADER: usize = 92;
const HEADER_CHECKSUM: usize = 16;
const ENTRIES_CHECKSUM: usize = 88;

/// A disk with a GUID partition table: a byte of flags, the header, then the entries.
///
/// Bit 0 of the flags makes sectors of 4096 bytes, bit 1 makes the checksums right, bit 2 writes a backup table, bit 3 damages
/// the primary one.
fn disk(input: &[u8]) -> (Vec<u8>, u32) {
    let ([flags], rest) = take::<1>(input);
    let (mut header, entries) = take::<HEADER>(rest);
    let sector_size = if flags & 1 == 0 { 512 } else { 4096 };
    let mut image = vec![0; SECTORS * sector_size];
    let number = |at: usize| usize::try_from(u32::from_le_bytes(header[at..][..4].try_into().unwrap())).unwrap();
    let (entries_lba, length) = (number(72), number(80).saturating_mul(number(84)));
    let last = SECTORS - 1;
    image[446 + 4] = 0xee;
    image[446 + 8] = 1;
    image[446 + 12] = u8::try_from(last).unwrap();
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    put(&mut image, entries_lba.saturating_mul(sector_size), entries);
    let all =
        entries_lba.checked_mul(sector_size).and_then(|start| image.get(start..)?.get(..length)).map(<[u8]>::to_vec);
    let is_sound = flags & 2 != 0;
    if is_sound && let Some(all) = &all {
        header[ENTRIES_CHECKSUM..].copy_from_slice(&sum_of(all));
    }
    if is_sound {
        with_checksum(&mut header);
    }
    put(&mut image, sector_size, &header);
    if flags & 4 != 0 {
        let backup_entries = last.saturating_sub(length.div_ceil(sector_size));
        put(&mut image, backup_entries * sector_size, all.as_deref().unwrap_or(entries));
        header[24..32].copy_from_slice(&(last as u64).to_le_bytes());
        header[32..40].copy_from_slice(&1_u64.to_le_bytes());
        header[72..80].copy_from_slice(&(backup_entries as u64).to_le_bytes());
        if is_sound {
            with_checksum(&mut header);
        }
        put(&mut image, last * sector_size, &header);
    }
    if flags & 8 != 0 {
        image[sector_size + 60] ^= 1;
    }
    (image, u32::try_from(sector_size).unwrap())
}

/// Puts bytes into an image, as far as it reaches.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    let room = image.get_mut(at..).unwrap_or_default();
    let length = room.len().min(bytes.len());
    room[..length].copy_from_slice(&bytes[..length]);
}

fn with_checksum(header: &mut [u8; HEADER]) {
    header[HEADER_CHECKSUM..][..4].fill(0);
    let sum = sum_of(header);
    header[HEADER_CHECKSUM..][..4].copy_from_slice(&sum);
}

fn sum_of(bytes: &[u8]) -> [u8; 4] {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum().to_le_bytes()
}

/// A GUID partition table, read, changed, and read after every power cut between two writes.
pub(crate) fn gpt(input: &[u8]) {
    let (image, sector_size) = disk(input);
    let before = match read(&image, sector_size) {
        Ok(before) => before,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let tries = 5;
    let changed = |attributes: deployment::gpt::Attributes| attributes.with_tries(tries).with_priority(9);
    let edit: &mut dyn FnMut(&mut EntryMut<'_>) = &mut |entry| {
        let attributes = changed(entry.attributes());
        entry.set_attributes(attributes);
        entry.set_label("slot\u{1f600}");
    };
    let disk = Recorder::new(&image);
    // The backup of a disk that has grown stays where it is, and is not found without the header of the primary one.
    let alternate = image[sector_size as usize..][32..40].try_into().map_or(0, u64::from_le_bytes);
    let is_damaged = Gpt::read(&disk, sector_size).unwrap().primary_problem().is_some();
    let has_grown = !is_damaged && alternate != SECTORS as u64 - 1;
    let result = rewrite(&disk, sector_size, edit);
    let after = read(&disk.image.borrow(), sector_size).unwrap();
    match result {
        Ok(_) => {
            assert_eq!((after.len(), after.iter().any(|entry| entry.label != "slot\u{1f600}")), (before.len(), false));
            for (old, new) in before.iter().zip(&after) {
                let expected =
                    GptEntry { attributes: changed(old.attributes), label: new.label.clone(), ..old.clone() };
                assert_eq!(*new, expected);
            }
            let table = Gpt::read(&disk, sector_size).unwrap();
            assert_eq!((table.primary_problem(), rewrite(&disk, sector_size, edit)), (None, Ok(false)));
            let mut damaged = disk.image.borrow().clone();
            damaged[sector_size as usize] ^= 1;
            let backup = read(&damaged, sector_size);
            assert!(has_grown || backup.as_deref() == Ok(after.as_slice()), "the backup table is another one");
        }
        Err(why) => assert!(!why.to_string().is_empty() && after == before),
    }
    let mut cut = image;
    for event in disk.events.borrow().iter() {
        let Event::Write(offset, bytes) = event else { continue };
        put(&mut cut, usize::try_from(*offset).unwrap(), bytes);
        let found = read(&cut, sector_size);
        let is_one = found.is_ok_and(|found| found == before || found == after);
        assert!(is_one, "a power cut leaves neither table");
    }
}

/// The partitions of a table; each lies on the disk.
fn read(image: &[u8], sector_size: u32) -> Result<Vec<GptEntry>, deployment::gpt::GptError> {
    let table = Gpt::read(&image, sector_size)?;
    let numbers = 1..=table.entry_count();
    let entries: Vec<_> = numbers.filter_map(|number| table.entry(&image, number).unwrap()).collect();
    for entry in &entries {
        let (start, size) = table.range(entry);
        assert!(size > 0 && start.checked_add(size).is_some_and(|end| end <= image.len() as u64));
        assert!(entry.label.len() <= MAX_LABEL);
    }
    assert_eq!(table.entry(&image, 0), Ok(None));
    Ok(entries)
}

/// A partition table of the old kind: the first sectors of a disk, the first one with a boot signature.
pub(crate) fn mbr(input: &[u8]) {
    let mut image = input[..input.len().min(16 * 512)].to_vec();
    image.resize(image.len().next_multiple_of(512).max(512), 0);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let reader = image.as_slice();
    for sector_size in [512, 4096] {
        let table = Table::read(&reader, sector_size).unwrap();
        let mut found = Vec::new();
        table.partitions(&reader, &mut |partition, size| found.push((partition, size))).unwrap();
        let mut numbers: Vec<_> = found.iter().map(|(partition, _)| partition.number).collect();
        numbers.sort_unstable();
        assert!(
            numbers.windows(2).all(|pair| pair[0] != pair[1])
                && numbers.iter().all(|number| (1..=MAX_NUMBER).contains(number))
        );
        for (partition, _) in found.iter().take(4).chain(found.last()) {
            let again = table.partition(&reader, partition.number, partition.start);
            assert_eq!(again.unwrap().as_ref(), Some(partition));
        }
        assert!(found.is_empty() || !matches!(table.kind(), PartitionTable::None | PartitionTable::GptDamaged));
    }
}

/// A superblock: a byte that says where it lies, its bytes, on a device that ends with them and on a larger one.
pub(crate) fn filesystem(input: &[u8]) {
    let ([place], bytes) = take::<1>(input);
    let place = [0, 1024, 0x1_0000, 4096 - 10][usize::from(place & 3)];
    let short = Sparse { place, bytes, size: place + bytes.len() as u64 };
    let long = Sparse { size: 1 << 40, ..short };
    let found = Filesystem::probe(&short).unwrap();
    assert_eq!(Filesystem::probe(&long).unwrap(), found, "zeros behind the end are a filesystem's");
    let Some(found) = found else { return };
    assert!(found.uuid.is_empty() || found.has_uuid(&found.uuid.to_ascii_lowercase()));
    assert!(found.label.is_empty() || found.has_label(&found.label));
    assert_eq!(found.kind.kernel_name().unwrap_or(found.kind.name()), found.kind.name());
    for device in [&short as &dyn ReadAt, &long] {
        for kind in [found.kind, FilesystemKind::Ext4, FilesystemKind::Erofs, FilesystemKind::Squashfs] {
            let size = filesystem::size(device, kind).unwrap();
            assert!(size.is_none_or(|size| (1..=device.size()).contains(&size)));
        }
    }
}

thread_local! {
    static FACTS: RefCell<Box<Facts>> = RefCell::new(Box::new(Facts::new()));
}

/// What boots from a disk: a command line, a NUL byte, then a disk as [`disk`] reads it.
pub(crate) fn machine(input: &[u8]) {
    let [cmdline, _] = texts(input);
    let behind = input.iter().position(|byte| *byte == 0).map_or(&[][..], |at| &input[at + 1..]);
    let Ok(config) = Config::parse(Sources { cmdline, ..Sources::default() }) else { return };
    let (image, sector_size) = disk(behind);
    let reader = image.as_slice();
    FACTS.with_borrow_mut(|facts| {
        facts.clear();
        for (name, minor) in [("vda", 0), ("nvme0n1", 64)] {
            let number = DeviceNumber { major: 8, minor };
            let identity = DiskIdentity { name, number, sector_size, read_only: false };
            scan_disk(facts, &reader, &identity, minor == 0).unwrap();
            choose(&config, facts);
        }
    });
}

fn choose(config: &Config<'_>, facts: &Facts) {
    for device in facts.devices() {
        assert_eq!(facts.device(&device.name), Some(device));
        assert!(device.partition.as_ref().is_none_or(|partition| partition.start < 1 << 40));
    }
    match candidates(config, facts) {
        Ok(found) => {
            for candidate in &found {
                assert!(!candidate.name.to_string().is_empty());
                let known = candidate.device().is_none_or(|device| facts.device(device).is_some());
                assert!(known, "{}", candidate.name);
            }
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    let _ = sysroots(config, facts);
    let _ = state_device(config, facts, facts.boot_disk());
    if let Err(why) = init::plan::select(config, facts) {
        assert!(!why.to_string().is_empty());
    }
}
