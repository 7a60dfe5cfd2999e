//! Judges the reading of partition tables against sgdisk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use deployment::facts::{DiskIdentity, scan_disk};
use deployment::gpt::{Attributes, Gpt, GptError, HeaderProblem};
use deployment::table::PartitionTable;
use deployment::{BlockDevice, DeviceNumber, Facts};

const SIZE: u64 = 16 << 20;
const SECTOR: usize = 512;
const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
const UUID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

/// Runs sgdisk on the image, one option after the other, and gives what it printed.
fn sgdisk(image: &Path, options: &str) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sgdisk");
    command.args(options.split(' ')).arg(image).env("PATH", path).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("cannot run sgdisk (package gdisk): {error}"));
    assert!(output.status.success(), "sgdisk {options}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The bytes of a disk that sgdisk made with these options.
fn disk(options: &str) -> Vec<u8> {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(SIZE).unwrap();
    sgdisk(image.path(), options);
    fs::read(image.path()).unwrap()
}

fn scan(image: &[u8]) -> Vec<BlockDevice> {
    let mut facts = Facts::new();
    let number = DeviceNumber { major: 254, minor: 0 };
    let identity = DiskIdentity { name: "vda", number, sector_size: 512, read_only: false };
    scan_disk(&mut facts, &image, &identity, true).unwrap();
    facts.devices().to_vec()
}

#[test]
fn everything_that_sgdisk_writes_is_read() {
    let image = disk(&format!("-n 1:2048:4095 -c 1:first -n 7:4096:4103 -t 7:{ROOT} -u 7:{UUID} -c 7:größe"));
    let devices = scan(&image);
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["vda", "vda1", "vda7"]);
    assert_eq!(devices[0].table, PartitionTable::Gpt);
    let seventh = devices[2].partition.as_ref().unwrap();
    assert_eq!((seventh.start, devices[2].size, seventh.label.as_str()), (4096 * 512, 8 * 512, "größe"));
    assert_eq!(seventh.type_uuid.unwrap().to_string(), ROOT);
    assert_eq!(seventh.uuid.unwrap().to_string(), UUID);
    assert_eq!(devices[1].partition.as_ref().unwrap().label.as_str(), "first");
}

#[test]
fn attributes_are_the_bits_that_sgdisk_sets() {
    let attributes = |bits: &[u32]| {
        let set: Vec<_> = bits.iter().map(|bit| format!(" -A 1:set:{bit}")).collect();
        let image = disk(&format!("-n 1:2048:4095{}", set.concat()));
        scan(&image)[1].partition.as_ref().unwrap().attributes
    };
    let none = attributes(&[]);
    assert!(!none.no_auto() && !none.read_only() && !none.grow_filesystem() && !none.successful());
    assert!(attributes(&[63]).no_auto());
    assert!(attributes(&[60]).read_only());
    assert!(attributes(&[59]).grow_filesystem());
    let slot = attributes(&[48, 50, 53, 56, 2]);
    assert_eq!((slot.priority(), slot.tries(), slot.successful()), (5, 2, true));
    assert_eq!(slot, Attributes(1 << 2).with_priority(5).with_tries(2).with_successful(true));
}

#[test]
fn sgdisk_reads_back_the_attributes_that_are_made_here() {
    let attributes = Attributes(0).with_priority(9).with_tries(3).with_successful(true);
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(SIZE).unwrap();
    sgdisk(image.path(), &format!("-n 1:2048:4095 -A 1:=:{:x}", attributes.0));
    let shown = sgdisk(image.path(), "-i 1");
    assert!(shown.contains(&format!("Attribute flags: {:016X}", attributes.0)), "{shown}");
}

#[test]
fn a_damaged_primary_is_replaced_by_the_backup() {
    let sound = disk("-n 1:2048:4095 -c 1:root");
    let mut image = sound.clone();
    image[SECTOR..2 * SECTOR].fill(0);
    let devices = scan(&image);
    assert_eq!(devices[0].table, PartitionTable::GptFromBackup);
    assert_eq!(devices[1..], scan(&sound)[1..]);
}

#[test]
fn damage_in_both_places_leaves_no_partition() {
    let mut image = disk("-n 1:2048:4095");
    image[SECTOR + 40] ^= 1;
    let last = image.len() - SECTOR;
    image[last + 40] ^= 1;
    let problem = HeaderProblem::HeaderChecksum;
    assert_eq!(Gpt::read(&image.as_slice(), 512), Err(GptError::Damaged { primary: problem, backup: problem }));
    let devices = scan(&image);
    assert_eq!((devices.len(), devices[0].table), (1, PartitionTable::GptDamaged));
}

#[test]
fn a_disk_that_has_grown_is_read_by_its_primary_table() {
    let mut image = disk("-n 1:2048:4095");
    let small = scan(&image);
    image.resize(image.len() + (1 << 20), 0);
    let devices = scan(&image);
    assert_eq!(devices[0].table, PartitionTable::Gpt);
    assert_eq!(devices[1..], small[1..]);
    image[SECTOR] ^= 1;
    assert_eq!(scan(&image)[0].table, PartitionTable::GptDamaged);
}

#[test]
fn a_hybrid_table_is_read_as_what_it_protects() {
    let image = disk("-n 1:2048:4095 -n 2:4096:4103 -h 2");
    let devices = scan(&image);
    assert_eq!((devices[0].table, devices.len()), (PartitionTable::Gpt, 3));
}

#[test]
fn an_old_table_is_read_with_its_identifiers() {
    let image = disk("-n 1:2048:4095 -n 2:4096:4103 -m 1:2");
    let devices = scan(&image);
    assert_eq!((devices[0].table, devices.len()), (PartitionTable::Mbr, 3));
    let second = devices[2].partition.as_ref().unwrap();
    assert_eq!((second.start, devices[2].size), (4096 * 512, 8 * 512));
    let signature = u32::from_le_bytes(image[440..444].try_into().unwrap());
    assert_eq!(second.uuid.unwrap().to_string(), format!("{signature:08x}-02"));
}
