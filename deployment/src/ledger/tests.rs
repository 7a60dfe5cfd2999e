use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::gpt::MAX_PRIORITY;

const TRIES: u8 = 3;

/// A slot by its number, priority, tries, and whether it is good.
fn entry((number, priority, tries, good): (u32, u8, u8, bool)) -> Entry {
    let attributes = Attributes::default().with_priority(priority).with_tries(tries).with_successful(good);
    Entry { number, attributes: attributes.with_once_good(good) }
}

fn entries<const N: usize>(slots: [(u32, u8, u8, bool); N]) -> Vec<Entry> {
    slots.into_iter().map(entry).collect()
}

/// The slots that may boot, in the order in which PID 1 tries them.
fn order(slots: &[Entry]) -> Vec<u32> {
    let mut bootable: Vec<_> = slots.iter().filter(|entry| entry.attributes.may_boot()).collect();
    bootable.sort_by_key(|entry| (core::cmp::Reverse(entry.attributes.priority()), entry.number));
    bootable.into_iter().map(|entry| entry.number).collect()
}

#[test]
fn an_update_comes_first_and_the_good_slot_second() {
    let mut slots = entries([(1, 1, 0, true), (2, 0, 0, false)]);
    set_next(&mut slots, 2, TRIES);
    assert_eq!(order(&slots), [2, 1]);
    assert_eq!(slots[1].to_string(), "priority 2, 3 tries left");
    slots[1].attributes = Change::SpendTry(2).apply(2, 1, slots[1].attributes);
    mark_good(&mut slots, 2);
    assert_eq!((order(&slots), slots[1].to_string().as_str()), ([2, 1].to_vec(), "priority 2, good"));
}

#[test]
fn a_good_slot_does_not_overtake_an_update_but_all_other_good_ones() {
    let mut slots = entries([(1, 1, 0, true), (2, 5, 3, false), (3, 4, 0, true)]);
    mark_good(&mut slots, 1);
    assert_eq!(order(&slots), [2, 1, 3]);
    assert_eq!(previous_good(&slots, Some(1)), Some(3));
    assert_eq!(previous_good(&slots, Some(3)), Some(1));
}

#[test]
fn a_bad_slot_never_boots_and_is_not_forgotten() {
    let mut slots = entries([(1, 2, 0, true), (2, 1, 0, false)]);
    mark_bad(&mut slots, 1);
    assert_eq!(order(&slots), []);
    assert!(slots[0].attributes.once_good());
    assert_eq!(previous_good(&slots, Some(2)), Some(1));
    assert_eq!(previous_good(&slots, Some(1)), None);
}

#[test]
fn going_back_takes_the_best_good_slot() {
    let slots = entries([(1, 1, 0, true), (2, 3, 0, true), (3, 2, 0, true), (4, 9, 2, false)]);
    assert_eq!(previous_good(&slots, Some(2)), Some(3));
    assert_eq!(previous_good(&slots, None), Some(2));
}

#[test]
fn where_the_highest_priority_is_taken_the_others_move_down() {
    let mut slots = entries([(1, 15, 0, true), (2, 14, 0, true), (3, 0, 0, false)]);
    set_next(&mut slots, 3, TRIES);
    assert_eq!(order(&slots), [3, 1, 2]);
}

#[test]
fn the_order_of_any_number_is_kept() {
    let alike = (1..=40).map(|number| entry((number, 1, 0, true)));
    let mut slots: Vec<_> = alike.chain([(41, 14, 0, true), (42, 15, 0, true), (43, 0, 0, false)].map(entry)).collect();
    set_next(&mut slots, 43, TRIES);
    assert_eq!(order(&slots)[..3], [43, 42, 41]);
}

#[test]
fn where_every_priority_is_taken_the_slot_shares_none() {
    let all = || (1..=15).map(|number| entry((number, u8::try_from(number).unwrap(), 1, number <= 4)));
    let priority_of =
        |slots: &[Entry], number: u32| slots.iter().find(|entry| entry.number == number).unwrap().attributes.priority();
    for next in [true, false] {
        let mut slots: Vec<_> = all().chain([entry((16, 0, 0, false))]).collect();
        if next {
            set_next(&mut slots, 16, TRIES);
        } else {
            mark_good(&mut slots, 16);
        }
        let own = priority_of(&slots, 16);
        assert_eq!(slots.iter().filter(|entry| entry.attributes.priority() == own).count(), 1, "{slots:?}");
        assert_eq!(own, if next { 15 } else { 4 });
        assert!(slots.iter().all(|entry| entry.attributes.priority() > 0));
        assert_eq!(order(&slots).iter().filter(|other| **other != 16).nth(2), Some(&13));
    }
    let mut lowest: Vec<_> =
        all().map(|entry| Entry { attributes: entry.attributes.with_successful(entry.number == 1), ..entry }).collect();
    lowest.push(entry((16, 0, 0, false)));
    mark_good(&mut lowest, 16);
    assert_eq!((priority_of(&lowest, 1), priority_of(&lowest, 16), priority_of(&lowest, 2)), (1, 2, 3));
}

#[test]
fn a_try_is_spent_and_given_back_only_where_it_counts() {
    let untested = entry((2, 1, 1, false)).attributes;
    let spent = Change::SpendTry(2).apply(2, 0, untested);
    assert_eq!((spent.tries(), spent.may_boot()), (0, false));
    assert_eq!(Change::SpendTry(2).apply(2, 0, spent), spent);
    assert_eq!(Change::RefundTry(2).apply(2, 0, spent), untested);
    assert_eq!(Change::SpendTry(1).apply(2, 0, untested), untested);
    let good = entry((2, 1, 7, true)).attributes;
    assert_eq!(Change::SpendTry(2).apply(2, 0, good), good);
    assert_eq!(Change::RefundTry(2).apply(2, 0, good), good);
}

/// Moves one of fewer slots than there are priorities: the others stay in their order, and keep all but their priority.
fn moving_keeps_the_others(before: &[Entry], number: u32, next: bool) {
    let mut after = before.to_vec();
    if next {
        set_next(&mut after, number, TRIES);
    } else {
        mark_good(&mut after, number);
    }
    let others = |slots: &[Entry]| -> Vec<u32> { order(slots).into_iter().filter(|other| *other != number).collect() };
    assert_eq!(others(before), others(&after), "{before:?}");
    for (old, new) in before.iter().zip(&after).filter(|(old, _)| old.number != number) {
        assert_eq!(old.attributes.with_priority(0).with_reboots_digit(0), new.attributes.with_priority(0));
        assert_eq!(old.attributes.priority() == 0, new.attributes.priority() == 0, "{before:?}");
    }
    if next {
        assert_eq!(order(&after).first().copied(), Some(number), "{before:?}");
        let own = after.iter().find(|entry| entry.number == number).unwrap().attributes.priority();
        assert_eq!(after.iter().filter(|entry| entry.attributes.priority() == own).count(), 1, "{before:?}");
    } else {
        let good: Vec<_> = after.iter().filter(|entry| entry.attributes.successful()).copied().collect();
        assert_eq!(order(&good).first().copied(), Some(number), "{before:?}");
    }
}

/// Slots that have these priorities, and are good where a bit is set.
fn slots_of(priorities: &[u8], good: usize) -> Vec<Entry> {
    let slot = |(index, priority): (usize, &u8)| {
        entry((u32::try_from(index).unwrap() + 1, *priority, 1, good & 1 << index != 0))
    };
    priorities.iter().enumerate().map(slot).collect()
}

/// Every priority that each of up to three slots can have, and those at the edges of four.
#[test]
fn moving_a_slot_keeps_the_others_whatever_priorities_they_have() {
    let mut count = 0_u32;
    let mut judge = |priorities: &[u8]| {
        for good in 0..1 << priorities.len() {
            for (number, next) in (1..=u32::try_from(priorities.len()).unwrap()).flat_map(|n| [(n, true), (n, false)]) {
                moving_keeps_the_others(&slots_of(priorities, good), number, next);
                count += 1;
            }
        }
    };
    for one in 0..=MAX_PRIORITY {
        judge(&[one]);
        for other in 0..=MAX_PRIORITY {
            judge(&[one, other]);
            (0..=MAX_PRIORITY).for_each(|third| judge(&[one, other, third]));
        }
    }
    let edges = [0, 1, 2, 14, 15];
    for (one, other) in edges.into_iter().flat_map(|one| edges.map(|other| (one, other))) {
        for (third, fourth) in edges.into_iter().flat_map(|one| edges.map(|other| (one, other))) {
            judge(&[one, other, third, fourth]);
        }
    }
    assert!(count > 250_000, "{count} cases");
}

/// As many slots as there are priorities, and more: the one that is moved shares its priority with none, and what comes
/// before another one never comes behind it.
#[test]
fn where_priorities_run_out_the_order_is_kept_all_the_same() {
    for count in [14_u8, 15, 16, 17, 30] {
        for first in 0..=MAX_PRIORITY {
            let priorities: Vec<_> = (0..count).map(|index| (first + index) % (MAX_PRIORITY + 1)).collect();
            for (number, good) in
                (1..=u32::from(count)).flat_map(|number| [(number, 0), (number, 0x2aaa_aaaa), (number, !0)])
            {
                for next in [true, false] {
                    let before = slots_of(&priorities, good);
                    let mut after = before.clone();
                    if next {
                        set_next(&mut after, number, TRIES);
                    } else {
                        mark_good(&mut after, number);
                    }
                    let of = |slots: &[Entry], number: u32| slots[number as usize - 1].attributes.priority();
                    let own = of(&after, number);
                    let alone = after.iter().filter(|entry| entry.attributes.priority() == own).count() == 1;
                    assert!(own > 0 && (alone || !next), "{before:?}");
                    let others = || (1..=u32::from(count)).filter(|other| *other != number);
                    for (one, other) in others().flat_map(|one| others().map(move |other| (one, other))) {
                        assert!(
                            of(&before, one) < of(&before, other) || of(&after, one) >= of(&after, other),
                            "{before:?}"
                        );
                        assert_eq!(of(&before, one) == 0, of(&after, one) == 0);
                    }
                }
            }
        }
    }
}

/// Every count of tries and of reboots, those that nobody writes among them.
#[test]
fn no_change_of_a_number_overflows() {
    for (priority, tries) in (0..16).flat_map(|priority| (0..16).map(move |tries| (priority, tries))) {
        for good in [false, true] {
            let old = entry((7, priority, tries, good)).attributes;
            let [spent, refunded] = [Change::SpendTry(7), Change::RefundTry(7)].map(|change| change.apply(7, 0, old));
            let expected = if good { (tries, tries) } else { (tries.saturating_sub(1), (tries + 1).min(15)) };
            assert_eq!((spent.tries(), refunded.tries()), expected);
            assert!([spent, refunded].iter().all(|new| new.with_tries(0) == old.with_tries(0)));
        }
    }
    for count in 0..=u8::MAX {
        let [low, high, none] = [0, 1, 2].map(|index| Change::Reboots(count).apply(1, index, Attributes(0)));
        assert_eq!((low.reboots_digit(), high.reboots_digit(), none), (count & 3, count >> 2 & 3, Attributes(0)));
    }
    let mut none = [];
    for number in [0, 1, u32::MAX] {
        mark_good(&mut none, number);
        mark_bad(&mut none, number);
        set_next(&mut none, number, u8::MAX);
        assert_eq!(previous_good(&none, Some(number)), None);
        let mut one = entries([(number, 15, 15, true)]);
        set_next(&mut one, number, u8::MAX);
        mark_good(&mut one, number);
        assert_eq!(order(&one), [number]);
    }
}

proptest! {
    #[test]
    fn moving_one_slot_keeps_the_order_of_all_others(
        slots in prop::collection::vec((0_u8..=15, 0_u8..=15, any::<bool>()), 1..=14),
        which in 0_usize..14,
        next: bool,
    ) {
        let before: Vec<_> = (1..).zip(slots).map(|(number, (priority, tries, good))| entry((number, priority, tries, good))).collect();
        let number = u32::try_from(which % before.len()).unwrap() + 1;
        moving_keeps_the_others(&before, number, next);
    }

    #[test]
    fn the_count_of_reboots_is_spread_over_two_slots(count in 0..=MAX_REBOOTS, bits: [u64; 3]) {
        let written = bits.map(Attributes).into_iter().enumerate().map(|(index, old)| Change::Reboots(count).apply(9, index, old));
        let written: Vec<_> = written.collect();
        prop_assert_eq!(written[0].reboots_digit() + 4 * written[1].reboots_digit(), count);
        prop_assert_eq!(written[2], Attributes(bits[2]));
        prop_assert!((0..2).all(|at| written[at].with_reboots_digit(0) == Attributes(bits[at]).with_reboots_digit(0)));
    }
}
