use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

use deployment::table::PartitionTable;
use deployment::{FilesystemKind, ReadAt};
use tempfile::TempDir;

use super::*;

const LABEL: &str = "root";
const FIRST: u64 = 40;

/// A folder of images.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// A disk of 400 sectors whose partition 2 has the sectors 40 to 59 and begins with `PARTITION`.
fn disk(sector_size: u32) -> Vec<u8> {
    let bytes = u64::from(sector_size);
    let mut image = Cursor::new(vec![0; usize::try_from(400 * bytes).unwrap()]);
    let mut table = gptman::GPT::new_from(&mut image, bytes, [7; 16]).unwrap();
    table[2] = gptman::GPTPartitionEntry {
        partition_type_guid: [1; 16],
        unique_partition_guid: [2; 16],
        starting_lba: FIRST,
        ending_lba: FIRST + 19,
        attribute_bits: 0,
        partition_name: LABEL.into(),
    };
    table.write_into(&mut image).unwrap();
    gptman::GPT::write_protective_mbr_into(&mut image, bytes).unwrap();
    let mut image = image.into_inner();
    image[usize::try_from(FIRST * bytes).unwrap()..][..9].copy_from_slice(b"PARTITION");
    image
}

fn names(disks: &Disks) -> Vec<&str> {
    disks.facts().devices().iter().map(|device| device.name.as_str()).collect()
}

fn open(paths: &[PathBuf]) -> Disks {
    Disks::open(paths, Reading::default()).unwrap()
}

#[test]
fn images_are_the_disks_of_a_machine_in_the_order_given() {
    let folder = Folder::new();
    let paths = [folder.write("b", disk(512)), folder.write("a", disk(512)), folder.write("c", [0; 1000])];
    let disks = open(&paths);
    assert_eq!(names(&disks), ["vda", "vda2", "vdb", "vdb2", "vdc"]);
    assert_eq!(disks.image("vda").unwrap().path(), paths[0]);
    assert_eq!(disks.image("vdb").unwrap().path(), paths[1]);
    assert!(disks.image("vdd").is_none() && disks.image("vda2").is_none());
    let devices = disks.facts().devices();
    assert_eq!((devices[3].number.to_string(), devices[3].disk_name().as_str()), ("254:18".to_string(), "vdb"));
    // 1000 bytes are one sector and a part that no disk can have.
    assert_eq!((devices[4].size, devices[4].table), (512, PartitionTable::None));
}

#[test]
fn the_sector_size_is_found_where_the_table_is() {
    let folder = Folder::new();
    let paths = [folder.write("small", disk(512)), folder.write("large", disk(4096))];
    let disks = open(&paths);
    for (name, sector_size) in [("vda2", 512), ("vdb2", 4096)] {
        let device = disks.facts().device(name).unwrap();
        assert_eq!((device.sector_size, device.size), (sector_size, 20 * u64::from(sector_size)));
        assert_eq!(device.partition.as_ref().unwrap().label, LABEL);
    }
    let wrong = Reading { sector_size: Some(512), ..Reading::default() };
    assert_eq!(names(&Disks::open(&paths[1..], wrong).unwrap()), ["vda"]);
}

#[test]
fn the_content_of_a_partition_is_its_own() {
    let folder = Folder::new();
    let disks = open(&[folder.write("disk", disk(4096))]);
    let content = disks.content("vda2").unwrap();
    let mut start = [0; 9];
    content.read_exact_at(0, &mut start).unwrap();
    assert_eq!((&start, content.size()), (b"PARTITION", 20 * 4096));
    assert!(content.read_exact_at(20 * 4096 - 8, &mut start).is_err());
    assert_eq!(disks.content("vda").unwrap().size(), 400 * 4096);
    assert!(disks.content("vda1").is_none());
}

#[test]
fn a_backup_table_shows_partitions_on_request() {
    let folder = Folder::new();
    let mut damaged = disk(512);
    damaged[512 + 16] ^= 1;
    let paths = [folder.write("damaged", damaged)];
    assert_eq!(names(&open(&paths)), ["vda"]);
    let disks = Disks::open(&paths, Reading { backup_table: true, ..Reading::default() }).unwrap();
    assert_eq!(names(&disks), ["vda", "vda2"]);
    assert_eq!(disks.facts().devices()[0].table, PartitionTable::GptFromBackup);
}

#[test]
fn an_image_of_a_filesystem_is_a_disk_without_a_table() {
    let folder = Folder::new();
    let path = folder.write("image", vec![0; 4 << 20]);
    let made = Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F", "-L", "state"]).arg(&path).status();
    assert!(made.expect("mkfs.ext4 (package e2fsprogs)").success());
    let disks = open(&[path]);
    let filesystem = disks.facts().device("vda").unwrap().filesystem.as_ref().unwrap();
    assert_eq!((filesystem.kind, filesystem.label.as_str()), (FilesystemKind::Ext4, "state"));
}

#[test]
fn what_is_no_raw_image_is_refused_with_the_reason() {
    let folder = Folder::new();
    let refused = |path: PathBuf| Disks::open(&[path], Reading::default()).unwrap_err().to_string();
    let qcow2 = refused(folder.write("qcow2", b"QFI\xfb\0\0\0\x03"));
    assert!(qcow2.contains("it is qcow2, not raw"), "{qcow2}");
    let compressed = refused(folder.write("zst", b"\x28\xb5\x2f\xfd\0\0"));
    assert!(compressed.contains("it is zstd-compressed, not raw"), "{compressed}");
    assert!(refused(folder.0.path().to_owned()).contains("it is a folder"));
    let missing = refused(folder.0.path().join("missing"));
    assert!(missing.contains("cannot read disk image") && missing.contains("No such file"), "{missing}");
}

#[test]
fn disks_are_lettered_as_the_kernel_does() {
    let named = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(disk_name);
    assert_eq!(named, ["vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa"]);
}
