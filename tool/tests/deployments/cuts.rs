//! The power fails while a command writes: the image as it is after any number of its writes has the old ledger or the new
//! one.

use crate::machine::{Machine, ostree};
use deployment::ledger::file::{FILE_SIZE, LedgerFile};

/// The copies of a ledger's file that lie in an image: it is the only thing in it that begins so.
fn copies(image: &[u8]) -> Vec<usize> {
    (0..image.len() / 1024).map(|block| block * 1024).filter(|at| image[*at..].starts_with(b"SUREFOOT")).collect()
}

#[test]
fn the_old_ledger_stays_beside_the_new_one_until_that_is_whole() {
    let machine = Machine::ext4(|top| ostree(top, &[1, 2]));
    machine.run(&["mark-good", "debian-010101010101.0"]);
    machine.run(&["set-next", "debian-020202020202.0"]);
    let before = machine.image();
    machine.run(&["mark-bad", "debian-020202020202.0"]);
    let after = machine.image();
    let places = copies(&after);
    assert_eq!(places.len(), 2, "{places:?}");
    let changed: Vec<_> = places.iter().filter(|at| before[**at..][..4096] != after[**at..][..4096]).collect();
    assert_eq!(changed.len(), 1, "one copy is written, and the other one is left alone");
    let (first, second) = (places[0].min(places[1]), places[0].max(places[1]));
    let file = |image: &[u8]| [&image[first..first + 4096], &image[second..second + 4096]].concat();
    let content = |bytes: &[u8]| {
        let mut ledger = LedgerFile::default();
        ledger.read(&bytes).unwrap();
        format!("{ledger:?}")
    };
    let (old, new) = (file(&before), file(&after));
    assert_eq!(old.len(), FILE_SIZE);
    assert_ne!(content(&old), content(&new));
    // Any number of the sectors that are written may have reached the medium.
    let sectors: Vec<_> = (0..FILE_SIZE / 512).filter(|at| old[at * 512..][..512] != new[at * 512..][..512]).collect();
    for subset in 0..1_u32 << sectors.len() {
        let mut cut = old.clone();
        for (bit, at) in sectors.iter().enumerate().filter(|(bit, _)| subset & 1 << bit != 0) {
            let _ = bit;
            cut[at * 512..][..512].copy_from_slice(&new[at * 512..][..512]);
        }
        assert!([content(&old), content(&new)].contains(&content(&cut)), "{subset:b}");
    }
}
