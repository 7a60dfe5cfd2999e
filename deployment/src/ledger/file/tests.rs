use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::recorder::{Event, Recorder, every_cut};

const GOOD: Attributes = Attributes(0).with_priority(2).with_successful(true).with_once_good(true);
const UNTRIED: Attributes = Attributes(0).with_priority(3).with_tries(2);

/// What a ledger says.
type Content = (Vec<(String, Attributes)>, u8);

fn content(image: &[u8]) -> Content {
    let mut ledger = LedgerFile::default();
    ledger.read(&image).unwrap();
    (ledger.records().map(|(name, attributes)| (name.to_string(), attributes)).collect(), ledger.reboots())
}

fn keep_all(_: &str) -> bool {
    true
}

fn changed(image: &[u8], edit: &mut dyn FnMut(&mut LedgerFile) -> Result<(), LedgerError>) -> (Vec<u8>, Vec<Event>) {
    let file = Recorder::new(image);
    rewrite(&file, edit).unwrap();
    (file.image.into_inner(), file.events.into_inner())
}

fn set(image: &[u8], name: &str, attributes: Attributes) -> (Vec<u8>, Vec<Event>) {
    changed(image, &mut |ledger| ledger.set(name, attributes, &keep_all))
}

#[test]
fn what_is_written_is_read_and_the_rest_stays() {
    let (image, _) = set(&vec![0; FILE_SIZE], "debian-1.0", GOOD);
    let (image, _) = set(&image, "debian-2.0", UNTRIED);
    let (image, _) = changed(&image, &mut |ledger| {
        ledger.set_reboots(3);
        Ok(())
    });
    let (image, _) = set(&image, "debian-1.0", GOOD.with_priority(9));
    let expected = vec![("debian-1.0".to_string(), GOOD.with_priority(9)), ("debian-2.0".to_string(), UNTRIED)];
    assert_eq!(content(&image), (expected, 3));
}

#[test]
fn nothing_is_counted_before_anything_was_good() {
    let mut ledger = LedgerFile::default();
    let (new, counted) = ledger.standing("a");
    assert!(!counted && new.may_boot());
    ledger.set("b", GOOD, &keep_all).unwrap();
    assert_eq!(ledger.standing("a"), (Attributes(0).with_priority(1).with_tries(TRIES), true));
    assert_eq!(ledger.standing("b"), (GOOD, true));
    assert_eq!(ledger.highest_priority(), GOOD.priority());
}

#[test]
fn a_cut_at_any_moment_leaves_the_old_ledger_or_the_new_one() {
    let mut image = vec![0; FILE_SIZE];
    for round in 0..4_u8 {
        let (new, events) = set(&image, &format!("deployment-{round}"), UNTRIED.with_tries(round));
        let allowed = [content(&image), content(&new)];
        assert_ne!(allowed[0], allowed[1]);
        let mut seen = [0, 0];
        let cuts = every_cut(&image, &events, 512, &mut |cut| {
            let which = allowed.iter().position(|allowed| *allowed == content(cut));
            seen[which.expect("neither the old ledger nor the new one")] += 1;
            // The next change works on what the cut has left, and a cut of it again.
            let (_, events) = set(cut, "next", GOOD);
            every_cut(cut, &events, 4096, &mut |again| {
                let mut before = content(again);
                before.0.retain(|(name, _)| name != "next");
                assert!(allowed.contains(&before));
            });
        });
        assert!(cuts >= 256 && seen[0] > 0 && seen[1] > 0, "{cuts} cuts: {seen:?}");
        image = new;
    }
}

#[test]
fn a_change_heals_the_copy_that_cannot_be_read() {
    let (mut image, _) = set(&vec![0; FILE_SIZE], "a", GOOD);
    for change in 1..5_u8 {
        let (newer, _) = set(&image, "a", GOOD.with_priority(change));
        for byte in [0, COPY_SIZE - 1, COPY_SIZE, FILE_SIZE - 1] {
            let file = Recorder::new(&newer);
            file.unreadable.set(Some(byte as u64));
            // What is left is the newer ledger, or the one before it.
            let in_force = if usize::from(change % 2 == 1) == byte / COPY_SIZE { &image } else { &newer };
            let mut ledger = LedgerFile::default();
            ledger.read(&file).unwrap();
            assert_eq!(ledger.find("a"), content(in_force).0.first().map(|(_, attributes)| *attributes));
            rewrite(&file, &mut |ledger| ledger.set("b", UNTRIED, &keep_all)).unwrap();
            let place = (byte / COPY_SIZE * COPY_SIZE) as u64;
            assert!(matches!(file.events.borrow()[..], [Event::Write(at, _), Event::Flush] if at == place));
            let mut expected = content(in_force);
            expected.0.push(("b".to_string(), UNTRIED));
            assert_eq!(content(&file.image.into_inner()), expected, "change {change}, byte {byte}");
        }
        image = newer;
    }
}

#[test]
fn a_file_of_which_no_copy_is_left_is_not_begun_anew_where_one_cannot_be_read() {
    let (image, _) = set(&vec![0; FILE_SIZE], "a", GOOD);
    let file = Recorder::new(&image);
    file.unreadable.set(Some(0));
    let why = rewrite(&file, &mut |_| Ok(())).unwrap_err();
    assert_eq!(why.to_string(), "cannot read it: input/output error (errno 5)");
    assert!(file.events.borrow().is_empty());
}

/// A file of two sound copies that have these generations and counts of reboots.
fn generations(copies: [(u64, u8); 2]) -> Vec<u8> {
    let copy = |(generation, reboots): (u64, u8)| {
        let mut ledger = LedgerFile::default();
        ledger.put(0, MAGIC);
        ledger.put(VERSION_AT, &VERSION.to_le_bytes());
        ledger.put(GENERATION_AT, &generation.to_le_bytes());
        ledger.set_reboots(reboots);
        ledger.put(CHECKSUM_AT, &ledger.checksum().to_le_bytes());
        ledger.0
    };
    copies.map(copy).concat()
}

#[test]
fn no_generation_is_the_last_one() {
    const MIDDLE: u64 = 1 << 63;
    for newest in [0, 1, 2, MIDDLE - 1, MIDDLE, MIDDLE + 1, u64::MAX - 1, u64::MAX] {
        for places in [[0, 1], [1, 0]] {
            let both = [(newest, 1), (newest.wrapping_sub(1), 2)];
            let mut image = generations(places.map(|place| both[place]));
            assert_eq!(content(&image).1, 1, "{newest}");
            for count in 2..6 {
                let (new, events) = changed(&image, &mut |ledger| {
                    ledger.set_reboots(count);
                    Ok(())
                });
                assert_eq!(content(&new).1, count, "{newest}");
                every_cut(&image, &events, 4096, &mut |cut| {
                    assert!([count - 1, count].contains(&content(cut).1), "{newest}");
                });
                image = new;
            }
        }
    }
}

#[test]
fn a_damaged_copy_is_never_believed() {
    let (old, _) = set(&vec![0; FILE_SIZE], "a", GOOD);
    let (new, _) = set(&old, "b", UNTRIED);
    for byte in 0..FILE_SIZE {
        let mut damaged = new.clone();
        damaged[byte] ^= 0x10;
        let read = content(&damaged);
        assert!(read == content(&old) || read == content(&new), "byte {byte}");
    }
}

#[test]
fn where_there_is_no_room_what_is_gone_makes_way() {
    let mut ledger = LedgerFile::default();
    for index in 0..MAX_RECORDS {
        ledger.set(&format!("d{index}"), UNTRIED, &keep_all).unwrap();
    }
    assert_eq!(ledger.set("one more", GOOD, &keep_all), Err(LedgerError::Full));
    ledger.set("one more", GOOD, &|name| name != "d7").unwrap();
    assert_eq!((ledger.find("d7"), ledger.find("one more")), (None, Some(GOOD)));
}

#[test]
fn what_was_once_good_makes_way_last() {
    let fallen = Attributes(0).with_once_good(true);
    let mut ledger = LedgerFile::default();
    for index in 0..MAX_RECORDS {
        let attributes = match index {
            0 => fallen,
            20 => UNTRIED,
            40 => UNTRIED.with_priority(0),
            _ => GOOD,
        };
        ledger.set(&format!("d{index}"), attributes, &keep_all).unwrap();
    }
    // Each new one is good as well, and stays.
    let is_kept = |name: &str| name.starts_with("new") || name == "d0";
    for (new, gone) in [("new-1", "d40"), ("new-2", "d20"), ("new-3", "d1"), ("new-4", "d2")] {
        ledger.set(new, GOOD, &is_kept).unwrap();
        assert_eq!((ledger.find(gone), ledger.find(new)), (None, Some(GOOD)), "{new}");
        assert_eq!(ledger.records().count(), MAX_RECORDS);
    }
    // What was marked bad has the lowest priority of those that were good.
    ledger.set("another", UNTRIED, &|name| name.starts_with("new")).unwrap();
    assert_eq!((ledger.find("d0"), ledger.find("another")), (None, Some(UNTRIED)));
}

#[test]
fn a_long_name_is_cut_at_a_character_and_told_apart() {
    let long = "ä".repeat(40);
    let [one, other] = [recorded(&long), recorded(&format!("{long}2"))];
    assert_eq!((one.len(), one.split_once('~').unwrap().0), (55, &*"ä".repeat(23)));
    assert_ne!(one, other);
    let whole = "x".repeat(MAX_RECORDED_NAME);
    assert_eq!(recorded(&whole), *whole);
    let mut ledger = LedgerFile::default();
    ledger.set(&long, GOOD, &keep_all).unwrap();
    assert_eq!((ledger.find(&long), ledger.find(&format!("{long}2"))), (Some(GOOD), None));
}

#[test]
fn no_file_or_a_short_one_is_an_empty_ledger() {
    for size in [0, 1, COPY_SIZE - 1, COPY_SIZE, FILE_SIZE - 1] {
        assert_eq!(content(&vec![0xff; size]), (vec![], 0), "{size} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever two generations a file has, what is written next is in force.
    #[test]
    fn what_is_written_is_in_force_after_any_generations(one: u64, other: u64, near in -2_i64..=2) {
        for second in [other, one.wrapping_add_signed(near), one ^ 1 << 63] {
            prop_assert!(!(is_after(one, second) && is_after(second, one)));
            let (new, _) = changed(&generations([(one, 1), (second, 2)]), &mut |ledger| {
                ledger.set_reboots(9);
                Ok(())
            });
            prop_assert_eq!(content(&new).1, 9);
        }
    }

    #[test]
    fn names_and_reboots_of_any_kind_are_written_as_they_are(
        name in "\\PC{1,80}", bits: u64, count: u8, others in prop::collection::vec(("[a-z]{1,60}", any::<u64>()), 0..70),
    ) {
        let mut ledger = LedgerFile::default();
        for (other, bits) in &others {
            let _ = ledger.set(other, Attributes(*bits), &keep_all);
        }
        ledger.set_reboots(count);
        ledger.set(&name, Attributes(bits), &|_| false).unwrap();
        prop_assert_eq!((ledger.find(&name), ledger.reboots()), (Some(Attributes(bits)), count.min(MAX_REBOOTS)));
        prop_assert!(recorded(&name).len() <= MAX_RECORDED_NAME && ledger.records().count() <= MAX_RECORDS);
    }

    #[test]
    fn no_bytes_make_trouble(bytes in prop::collection::vec(any::<u8>(), 0..FILE_SIZE), at in 0..FILE_SIZE) {
        content(&bytes);
        let (mut image, _) = set(&vec![0; FILE_SIZE], "a", GOOD);
        for (to, from) in image.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        content(&image);
    }
}

#[test]
fn a_name_that_is_longer_than_its_record_is_found_again() {
    let mut ledger = LedgerFile::default();
    let long = "x".repeat(MAX_RECORDED_NAME + 8);
    ledger.set(&long, GOOD, &keep_all).unwrap();
    assert_eq!((ledger.find(&long), ledger.standing(&long)), (Some(GOOD), (GOOD, true)));
}

#[test]
fn what_each_kind_puts_first_is_known_again() {
    let mut ledger = LedgerFile::default();
    assert!(!ledger.is_newly_first("ostree", "a"), "nothing is known yet");
    ledger.set_firsts([("ostree", "a"), ("image", "b")].into_iter());
    let firsts = [("ostree", "a", false), ("ostree", "b", true), ("image", "b", false), ("btrfs", "a", true)];
    for (kind, name, newly) in firsts {
        assert_eq!(ledger.is_newly_first(kind, name), newly, "{kind} {name}");
    }
    let names: Vec<_> = (0..2 * MAX_FIRSTS).map(|number| number.to_string()).collect();
    ledger.set_firsts(names.iter().map(|name| ("ostree", name.as_str())));
    assert_eq!(names.iter().filter(|name| !ledger.is_newly_first("ostree", name)).count(), MAX_FIRSTS);
    assert_eq!(ledger.records().count(), 0);
    ledger.set_firsts(core::iter::empty());
    assert!(!ledger.is_newly_first("ostree", "a"));
}

/// Commands write down all that there is; that alone binds nobody, or a machine on which nothing is marked good would run out
/// of tries.
#[test]
fn nothing_binds_before_one_was_good_but_that_one_is_bad() {
    let mut ledger = LedgerFile::default();
    ledger.set("a", UNTRIED, &keep_all).unwrap();
    ledger.set("b", UNTRIED.with_priority(0), &keep_all).unwrap();
    let binds = |ledger: &LedgerFile| ["a", "b", "c"].map(|name| ledger.standing(name).1);
    assert_eq!(binds(&ledger), [false, true, false]);
    ledger.set("d", GOOD, &keep_all).unwrap();
    assert_eq!(binds(&ledger), [true, true, true]);
}
