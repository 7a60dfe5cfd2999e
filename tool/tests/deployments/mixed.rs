//! One machine with slots and deployments of other kinds: all are in one list.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Command;

use deployment::discoverable::PartitionType;
use deployment::gpt::Attributes;
use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{Machine, ostree};

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// A disk with two slots, and a partition with ostree's deployments.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        Self::with_copies(1)
    }

    /// With so many partitions that hold the same filesystem.
    fn with_copies(copies: u32) -> Self {
        let machine = Machine::ext4(|top| ostree(top, &[1, 2]));
        let filesystem = machine.image();
        let disk = Self { folder: TempDir::new().unwrap() };
        let mut file =
            File::options().read(true).write(true).create_new(true).open(disk.folder.path().join("disk.img")).unwrap();
        let size = filesystem.len() as u64;
        file.set_len(size * u64::from(copies) + 8 * MIB).unwrap();
        let mut table = gptman::GPT::new_from(&mut file, SECTOR, [1; 16]).unwrap();
        let slot =
            |priority, good| Attributes::default().with_priority(priority).with_successful(good).with_once_good(good).0;
        let parts = [
            (PartitionType::Root, "root-a", MIB, MIB, slot(1, true)),
            (PartitionType::Root, "root-b", 2 * MIB, MIB, slot(0, false)),
        ];
        let copies: Vec<_> = (0..copies).map(|copy| 3 * MIB + u64::from(copy) * size).collect();
        let data = copies.iter().map(|start| (PartitionType::Var, "data", *start, size, 0));
        for (number, (kind, label, start, size, attributes)) in (1..).zip(parts.into_iter().chain(data)) {
            table[number] = gptman::GPTPartitionEntry {
                partition_type_guid: kind.uuid().to_mixed_endian(),
                unique_partition_guid: [u8::try_from(number).unwrap(); 16],
                starting_lba: start / SECTOR,
                ending_lba: (start + size) / SECTOR - 1,
                attribute_bits: attributes,
                partition_name: label.into(),
            };
        }
        for start in copies {
            file.seek(SeekFrom::Start(start)).unwrap();
            file.write_all(&filesystem).unwrap();
        }
        table.write_into(&mut file).unwrap();
        gptman::GPT::write_protective_mbr_into(&mut file, SECTOR).unwrap();
        disk
    }

    fn edit(&self, edit: impl FnOnce(&mut gptman::GPT)) {
        let mut file = File::options().read(true).write(true).open(self.folder.path().join("disk.img")).unwrap();
        let mut table = gptman::GPT::read_from(&mut file, SECTOR).unwrap();
        edit(&mut table);
        table.write_into(&mut file).unwrap();
    }

    fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_surefoot"));
        let output = command.current_dir(self.folder.path()).args(words).args(["--disk", "disk.img"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// The partition table as it is on the disk.
    fn table(&self) -> Vec<u8> {
        let mut table = vec![0; usize::try_from(34 * SECTOR).unwrap()];
        File::open(self.folder.path().join("disk.img")).unwrap().read_exact(&mut table).unwrap();
        table
    }
}

#[test]
fn each_change_goes_to_the_ledger_that_it_concerns() {
    let disk = Disk::new();
    let lines = disk.run(&["status", "--deployments", "--running", "root-a"]);
    let expected = "root-a\tslot\tvda1\t1\t0\tgood\trunning\n\
                    root-b\tslot\tvda2\t0\t0\tbad\t-\n\
                    debian-020202020202.0\tostree\tvda3\t1\t3\tuntested\t-\n\
                    debian-010101010101.0\tostree\tvda3\t1\t3\tuntested\t-\n";
    assert_eq!(lines, expected);

    let before = disk.table();
    let next = disk.run(&["set-next", "debian-010101010101.0"]);
    assert_eq!(next, "debian-010101010101.0 is next: priority 2, 3 tries left\n");
    assert_eq!(disk.run(&["mark-good", "debian-010101010101.0"]), "debian-010101010101.0 is good: priority 2, good\n");
    assert!(disk.table() == before, "the slots' ledger was changed");

    // Both ways back lead to another kind.
    assert_eq!(disk.run(&["rollback", "--running", "debian-010101010101.0"]), "root-a is next: priority 3, good\n");
    assert!(disk.table() != before);
    let back = disk.run(&["rollback", "--running", "root-a"]);
    assert_eq!(back, "debian-010101010101.0 is next: priority 4, good\n");
    let json: Value = serde_json::from_str(&disk.run(&["status", "--json", "--running", "root-a"])).unwrap();
    let now = &json["now"];
    assert_eq!((&now["slots"][0]["next"], &now["slots"][0]["running"]), (&false.into(), &true.into()));
    let next: Vec<_> = now["deployments"].as_array().unwrap().iter().filter(|found| found["next"] == true).collect();
    assert_eq!((next.len(), &next[0]["name"]), (1, &"debian-010101010101.0".into()));
}

#[test]
fn a_name_that_two_kinds_have_needs_its_kind() {
    let disk = Disk::new();
    let image = disk.folder.path().join("disk.img");
    disk.edit(|table| table[2].partition_name = "debian-010101010101.0".into());
    let before = fs::read(&image).unwrap();
    let expected = "surefoot: cannot find deployment debian-010101010101.0: that is a deployment of vda2 and one of vda3\n  \
                    Give its kind as well, as in slot:NAME or ostree:NAME.\n";
    assert_eq!(disk.run(&["mark-bad", "debian-010101010101.0"]), expected);
    assert!(fs::read(&image).unwrap() == before);
    let done = disk.run(&["set-next", "slot:debian-010101010101.0"]);
    assert_eq!(done, "debian-010101010101.0 (partition 2) is next: priority 2, 3 tries left\n");
}

#[test]
fn the_partition_with_the_deployments_is_no_slot_and_another_one_of_that_label_is() {
    let disk = Disk::new();
    disk.edit(|table| {
        table[3].partition_type_guid = PartitionType::Root.uuid().to_mixed_endian();
        table[3].partition_name = "root-b".into();
    });
    let lines = disk.run(&["status", "--deployments"]);
    let devices: Vec<_> = lines.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    assert_eq!(devices, ["vda1", "vda2", "vda3", "vda3"], "{lines}");
}

#[test]
fn a_name_that_two_devices_have_needs_its_device() {
    let disk = Disk::with_copies(2);
    let name = "debian-010101010101.0";
    for wanted in [name.to_owned(), format!("ostree:{name}")] {
        let expected = format!(
            "surefoot: cannot find deployment {wanted}: that is a deployment of vda3 and one of vda4\n  \
             Give its device as well, as in NAME@vda3.\n"
        );
        assert_eq!(disk.run(&["mark-good", &wanted]), expected);
    }
    for (wanted, device) in [(format!("{name}@vda4"), "vda4"), (format!("ostree:{name}@vda3"), "vda3")] {
        let said = disk.run(&["mark-good", &wanted]);
        assert!(said.starts_with(&format!("{name} (ostree on {device}) is good: ")), "{said}");
    }
    assert_eq!(disk.run(&["set-next", "slot:root-b@vda2"]), "root-b is next: priority 4, 3 tries left\n");
}
