//! The boot ledger of a filesystem, and what the running system's commands do to the slots.

use std::collections::BTreeMap;

use deployment::gpt::{Attributes, MAX_PRIORITY};
use deployment::ledger::file::{FILE_SIZE, LedgerError, LedgerFile, MAX_RECORDS, recorded, rewrite};
use deployment::ledger::{Entry, MAX_REBOOTS, mark_bad, mark_good, previous_good, set_next};
use deployment::recorder::{Event, Recorder};

use crate::input::take;

const COPY_SIZE: usize = FILE_SIZE / 2;
const CHECKSUM: std::ops::Range<usize> = 12..16;
const GOOD: Attributes = Attributes(0).with_priority(3).with_successful(true).with_once_good(true);

/// The file: a byte that says which checksums are made right and where a power cut comes, then as much of the beginning of either copy.
pub(crate) fn file(input: &[u8]) {
    let ([sound], rest) = take::<1>(input);
    let mut image = vec![0; FILE_SIZE];
    let (first, second) = rest.split_at(rest.len().div_ceil(2));
    for (copy, bytes, bit) in [(0, first, 1), (COPY_SIZE, second, 2)] {
        let bytes = &bytes[..bytes.len().min(COPY_SIZE)];
        image[copy..][..bytes.len()].copy_from_slice(bytes);
        if sound & bit != 0 {
            with_checksum(&mut image[copy..][..COPY_SIZE]);
        }
    }
    let before = content(&image);
    let name = "deployment-that-was-not-there-before-and-has-a-longer-name-than-a-record-1";
    let edit: &mut dyn FnMut(&mut LedgerFile) -> Result<(), LedgerError> = &mut |ledger| {
        ledger.set_reboots(7);
        ledger.set(name, GOOD, &|_| false)
    };
    let disk = Recorder::new(&image);
    rewrite(&disk, edit).unwrap();
    let after = content(&disk.image.borrow());
    assert_eq!((after.reboots, after.records.get(recorded(name).as_str())), (7, Some(&GOOD)));
    assert!(after.count >= before.count.min(MAX_RECORDS));
    // All that was there is there, but perhaps for one that had to make way.
    let kept = |(name, attributes): &(&String, &Attributes)| after.records.get(*name) == Some(*attributes);
    let others = before.records.iter().filter(|(known, _)| known.as_str() != recorded(name).as_str());
    let lost = others.filter(|record| !kept(record)).count();
    assert!(lost == 0 || lost == 1 && before.count == MAX_RECORDS, "{lost} records are lost");
    // The beginning of the change alone is no change.
    for event in disk.events.borrow().iter() {
        let Event::Write(offset, bytes) = event else { continue };
        // Two bits of the input say where it ends, for checksums are slow.
        let length = [512, bytes.len() / 2, bytes.len() - 512, 64][usize::from(sound >> 2 & 3)];
        let mut cut = image.clone();
        cut[usize::try_from(*offset).unwrap()..][..length].copy_from_slice(&bytes[..length]);
        let content = content(&cut);
        assert!(content == before || content == after, "cut after {length} bytes");
    }
    // What is changed again is changed again.
    let reboots: &mut dyn FnMut(&mut LedgerFile) -> Result<(), LedgerError> = &mut |ledger| {
        ledger.set_reboots(ledger.reboots() + 1);
        Ok(())
    };
    for count in 8..=8 + u8::from(sound & 16 != 0) {
        rewrite(&disk, reboots).unwrap();
        assert_eq!(content(&disk.image.borrow()), Content { reboots: count, ..after.clone() });
    }
}

/// What a ledger says.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    /// The first record of each name, the one that counts.
    records: BTreeMap<String, Attributes>,
    /// How many records there are.
    count: usize,
    reboots: u8,
}

fn content(image: &[u8]) -> Content {
    let mut ledger = LedgerFile::default();
    ledger.read(&image).unwrap();
    let mut records = BTreeMap::new();
    for (name, attributes) in ledger.records() {
        assert!(!name.is_empty());
        records.entry(name.to_owned()).or_insert(attributes);
    }
    for (name, attributes) in records.iter().take(3) {
        assert_eq!((ledger.find(name), ledger.standing(name).0), (Some(*attributes), *attributes));
    }
    assert!(ledger.reboots() <= MAX_REBOOTS && ledger.highest_priority() <= MAX_PRIORITY);
    Content { count: ledger.records().count(), records, reboots: ledger.reboots() }
}

fn with_checksum(copy: &mut [u8]) {
    copy[CHECKSUM].fill(0);
    let mut sum = flate2::Crc::new();
    sum.update(copy);
    copy[CHECKSUM].copy_from_slice(&sum.sum().to_le_bytes());
}

/// A byte for what is done and to which slot, then two bytes a slot: priority, tries, and whether it is or was good.
pub(crate) fn order(input: &[u8]) {
    let ([what], rest) = take::<1>(input);
    let slot = |(pair, number): (&[u8; 2], u32)| {
        let attributes = Attributes(0).with_priority(pair[0] & 15).with_tries(pair[0] >> 4);
        let attributes = attributes.with_successful(pair[1] & 1 != 0).with_once_good(pair[1] & 2 != 0);
        Entry { number, attributes: attributes.with_reboots_digit(pair[1] >> 2) }
    };
    let before: Vec<_> = rest.as_chunks().0.iter().zip(1..=40).map(slot).collect();
    if before.is_empty() {
        return;
    }
    let number = u32::from(what >> 2) % u32::try_from(before.len()).unwrap() + 1;
    let mut after = before.clone();
    match what & 3 {
        0 => mark_good(&mut after, number),
        1 => mark_bad(&mut after, number),
        _ => set_next(&mut after, number, what >> 4),
    }
    let others = |slots: &[Entry]| bootable(slots).into_iter().filter(|other| *other != number).collect::<Vec<_>>();
    // With more slots than priorities some must come to share one, in the order of their numbers.
    if before.len() < usize::from(MAX_PRIORITY) {
        assert_eq!(others(&before), others(&after));
    }
    for (old, new) in before.iter().zip(&after).filter(|(old, _)| old.number != number) {
        let rest = |entry: &Entry| entry.attributes.with_priority(0).with_reboots_digit(0);
        assert_eq!(rest(old), rest(new));
        assert_eq!(old.attributes.priority() == 0, new.attributes.priority() == 0);
    }
    let own = after.iter().find(|entry| entry.number == number).unwrap().attributes;
    match what & 3 {
        0 => assert!(own.may_boot() && own.successful() && own.once_good() && own.tries() == 0),
        1 => assert!(!own.may_boot() && !own.successful()),
        _ => {
            assert!(after.iter().all(|entry| entry.attributes.priority() <= own.priority()));
            let alone = after.iter().filter(|entry| entry.attributes.priority() == own.priority()).count();
            assert_eq!(alone, 1, "it shares its priority");
        }
    }
    if let Some(previous) = previous_good(&after, Some(number)) {
        assert!(
            previous != number && after.iter().any(|entry| entry.number == previous && entry.attributes.once_good())
        );
    }
}

/// The slots that may boot, in the order in which PID 1 tries them.
fn bootable(slots: &[Entry]) -> Vec<u32> {
    let mut bootable: Vec<_> = slots.iter().filter(|entry| entry.attributes.may_boot()).collect();
    bootable.sort_by_key(|entry| (std::cmp::Reverse(entry.attributes.priority()), entry.number));
    bootable.into_iter().map(|entry| entry.number).collect()
}
