//! A power cut at any moment: every image that can be left behind is read again.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::ledger::Change;
use crate::recorder::{Event, Recorder, every_cut};

const SECTORS: u64 = 256;
const ROOT: [u8; 16] = [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09];

/// A disk whose slots are far apart in the table, written by gptman.
fn disk(sector_size: u32) -> Vec<u8> {
    let mut image = std::io::Cursor::new(vec![0; usize::try_from(SECTORS * u64::from(sector_size)).unwrap()]);
    let mut table = gptman::GPT::new_from(&mut image, sector_size.into(), [7; 16]).unwrap();
    for (number, id) in [(1, 1_u8), (2, 2), (100, 3)] {
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: ROOT,
            unique_partition_guid: [id; 16],
            starting_lba: 100 + u64::from(id),
            ending_lba: 100 + u64::from(id),
            attribute_bits: 0x0033_0000_0000_0000,
            partition_name: "slot".into(),
        };
    }
    table.write_into(&mut image).unwrap();
    image.into_inner()
}

/// What a disk says about its slots once the boot has repaired it, as PID 1 does before it looks.
fn after_boot(image: &[u8], sector_size: u32) -> Vec<Attributes> {
    let disk = Recorder::new(image);
    rewrite(&disk, sector_size, &mut Change::Repair.edit()).unwrap();
    let table = Gpt::read(&disk, sector_size).unwrap();
    assert_eq!(table.primary_problem(), None);
    [1, 2, 100].map(|number| table.entry(&disk, number).unwrap().unwrap().attributes).to_vec()
}

fn changed(image: &[u8], sector_size: u32, change: Change) -> (Vec<u8>, Vec<Event>) {
    let disk = Recorder::new(image);
    assert!(rewrite(&disk, sector_size, &mut change.edit()).unwrap());
    (disk.image.into_inner(), disk.events.into_inner())
}

#[test]
fn a_cut_at_any_moment_leaves_the_old_table_or_the_new_one() {
    for sector_size in [512, 4096] {
        // The second change touches entries in two different sectors.
        for change in [Change::SpendTry(100), Change::Reboots(9)] {
            let image = disk(sector_size);
            let (new, events) = changed(&image, sector_size, change);
            let allowed = [after_boot(&image, sector_size), after_boot(&new, sector_size)];
            assert_ne!(allowed[0], allowed[1]);
            let mut seen = [0, 0];
            let cuts = every_cut(&image, &events, sector_size, &mut |cut| {
                let state = after_boot(cut, sector_size);
                let which = allowed.iter().position(|allowed| *allowed == state);
                seen[which.expect("neither the old table nor the new one")] += 1;
            });
            assert!(cuts >= 8 && seen[0] > 0 && seen[1] > 0, "{cuts} cuts: {seen:?}");
        }
    }
}

#[test]
fn a_cut_while_a_cut_is_repaired_loses_nothing_either() {
    let image = disk(512);
    let (new, events) = changed(&image, 512, Change::SpendTry(1));
    let allowed = [after_boot(&image, 512), after_boot(&new, 512)];
    every_cut(&image, &events, 512, &mut |first| {
        let disk = Recorder::new(first);
        rewrite(&disk, 512, &mut Change::Repair.edit()).unwrap();
        every_cut(first, &disk.events.into_inner(), 512, &mut |second| {
            assert!(allowed.contains(&after_boot(second, 512)));
        });
    });
}

#[test]
fn backup_flush_primary_flush_is_the_order() {
    let image = disk(512);
    let (_, events) = changed(&image, 512, Change::SpendTry(1));
    let order: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Write(offset, _) => Some(offset / 512),
            Event::Flush => None,
        })
        .collect();
    assert_eq!(order, [Some(223), Some(255), None, Some(2), Some(1), None]);
}

#[test]
fn either_damaged_copy_is_made_again_from_the_other() {
    let image = disk(512);
    let expected = after_boot(&image, 512);
    for damaged in [512 + 60, 2 * 512 + 128, 223 * 512 + 3, 255 * 512 + 70] {
        let mut image = image.clone();
        image[damaged] ^= 1;
        let disk = Recorder::new(&image);
        assert_eq!(rewrite(&disk, 512, &mut Change::Repair.edit()), Ok(true));
        assert_eq!(rewrite(&disk, 512, &mut Change::Repair.edit()), Ok(false));
        let mut image = disk.image.into_inner();
        // Without its primary, the backup alone says the same.
        image[512] = 0;
        assert_eq!(after_boot(&image, 512), expected);
    }
}

#[test]
fn a_table_that_is_damaged_twice_is_left_alone() {
    let mut image = disk(512);
    (image[512 + 60], image[255 * 512 + 70]) = (9, 9);
    let disk = Recorder::new(&image);
    let refused = rewrite(&disk, 512, &mut Change::Repair.edit());
    assert!(matches!(refused, Err(RewriteError::Unusable(GptError::Damaged { .. }))), "{refused:?}");
    assert!(disk.events.borrow().is_empty());
}

#[test]
fn labels_and_identifiers_are_changed_too() {
    let image = disk(512);
    let disk = Recorder::new(&image);
    let long = "ä".repeat(40);
    let mut edit = |entry: &mut EntryMut<'_>| {
        if entry.number == 2 {
            entry.set_label(&long);
            entry.set_uuid(Uuid([0xab; 16]));
        }
    };
    assert_eq!(rewrite(&disk, 512, &mut edit), Ok(true));
    let entry = Gpt::read(&disk, 512).unwrap().entry(&disk, 2).unwrap().unwrap();
    assert_eq!((entry.label.as_str(), entry.uuid), ("ä".repeat(36).as_str(), Uuid([0xab; 16])));
    let mut image = std::io::Cursor::new(disk.image.into_inner());
    let table = gptman::GPT::read_from(&mut image, 512).unwrap();
    assert_eq!((table[2].partition_name.as_str(), table[2].starting_lba), ("ä".repeat(36).as_str(), 102));
}

/// What lies behind the backup may be somebody's, as the records of an array are.
#[test]
fn a_disk_that_grew_keeps_its_backup_where_it_is_and_every_cut_leaves_one_table() {
    let mut image = disk(512);
    image.extend_from_slice(&vec![0; 512 * 64]);
    let (new, events) = changed(&image, 512, Change::SpendTry(1));
    assert!(events.iter().all(|event| !matches!(event, Event::Write(offset, _) if *offset >= SECTORS * 512)));
    assert_eq!(new.len(), image.len());
    let entry = |image: &[u8]| {
        let disk = Recorder::new(image);
        Gpt::read(&disk, 512).unwrap().entry(&disk, 1).unwrap().unwrap()
    };
    let (before, after) = (entry(&image), entry(&new));
    let mut cut = image.clone();
    for event in &events {
        let Event::Write(offset, bytes) = event else { continue };
        cut[usize::try_from(*offset).unwrap()..][..bytes.len()].copy_from_slice(bytes);
        assert!([&before, &after].contains(&&entry(&cut)));
        // The next boot repairs it, where it is.
        assert!([after_boot(&image, 512), after_boot(&new, 512)].contains(&after_boot(&cut, 512)), "another table");
    }
}
