//! What the running system writes down: which slot is good, and which one comes next.

use super::Entry;
use crate::gpt::{Attributes, MAX_PRIORITY};

/// Notes that the slot has booted well. It comes before all other good ones, so that it is the first to fall back to,
/// and stays behind an update that is still to be tried.
pub fn mark_good(slots: &mut [Entry], number: u32) {
    change(slots, number, |old| old.with_successful(true).with_once_good(true).with_tries(0));
    let is_good = |entry: &Entry| entry.attributes.successful() && entry.attributes.priority() > 0;
    let best = slots.iter().filter(|entry| is_good(entry) && entry.number != number).map(priority).max().unwrap_or(0);
    let own = slots.iter().find(|entry| entry.number == number).map_or(0, priority);
    if own <= best {
        place(slots, number, best.saturating_add(1));
    }
    if own == 0 && best == 0 {
        place(slots, number, 1);
    }
    forget_reboots(slots);
}

/// Notes that the slot is not to be booted. That it was good once is kept: when nothing else is left, it is still there.
pub fn mark_bad(slots: &mut [Entry], number: u32) {
    change(slots, number, |old| {
        old.with_once_good(old.once_good()).with_successful(false).with_priority(0).with_tries(0)
    });
}

/// Makes the slot the next one to be booted. One that has not booted well may be tried `tries` times.
pub fn set_next(slots: &mut [Entry], number: u32, tries: u8) {
    let best = slots.iter().filter(|entry| entry.number != number).map(priority).max().unwrap_or(0);
    place(slots, number, best.saturating_add(1));
    change(slots, number, |old| if old.successful() { old } else { old.with_tries(tries) });
    forget_reboots(slots);
}

/// The slot to go back to from the one that runs: the best one that is good, else one that was good once.
pub fn previous_good(slots: &[Entry], running: Option<u32>) -> Option<u32> {
    let rank = |entry: &&Entry| {
        let attributes = entry.attributes;
        (attributes.successful() && attributes.priority() > 0, attributes.priority(), core::cmp::Reverse(entry.number))
    };
    let others = slots.iter().filter(|entry| Some(entry.number) != running && entry.attributes.once_good());
    others.max_by_key(rank).map(|entry| entry.number)
}

fn priority(entry: &Entry) -> u8 {
    entry.attributes.priority()
}

fn change(slots: &mut [Entry], number: u32, change: impl Fn(Attributes) -> Attributes) {
    for entry in slots.iter_mut().filter(|entry| entry.number == number) {
        entry.attributes = change(entry.attributes);
    }
}

/// Gives the slot a priority right above those below `wanted`. Where others have that priority or a higher one, they move
/// up; where there is no room at the top, those below move down. The order of the others stays as it is, but where they have
/// every priority that there is: then the two lowest become one, or where the slot comes right above these, the two highest.
fn place(slots: &mut [Entry], number: u32, wanted: u8) {
    let at_or_above = |slots: &[Entry]| {
        slots.iter().any(|entry| entry.number != number && priority(entry) >= wanted && priority(entry) > 0)
    };
    if wanted <= MAX_PRIORITY && !at_or_above(slots) {
        return change(slots, number, |old| old.with_priority(wanted));
    }
    // Renumber from 1: each slot's new priority is one more than the number of distinct ones below it.
    let mut taken = [false; MAX_PRIORITY as usize + 1];
    for entry in slots.iter().filter(|entry| entry.number != number) {
        if let Some(taken) = taken.get_mut(usize::from(priority(entry))) {
            *taken = true;
        }
    }
    let distinct_below = |limit: u8| {
        let below = taken.iter().take(usize::from(limit)).skip(1).filter(|taken| **taken).count();
        u8::try_from(below).unwrap_or(MAX_PRIORITY)
    };
    let merged = u8::from(taken.iter().skip(1).all(|taken| *taken) && wanted > 2);
    for entry in slots.iter_mut() {
        let old = priority(entry);
        let new = if entry.number == number {
            distinct_below(wanted).saturating_add(1).saturating_sub(merged)
        } else if old == 0 {
            0
        } else {
            distinct_below(old).saturating_add(1).saturating_add(u8::from(old >= wanted)).saturating_sub(merged).max(1)
        };
        entry.attributes = entry.attributes.with_priority(new);
    }
}

/// A person or a good boot has broken the chain of automatic reboots.
fn forget_reboots(slots: &mut [Entry]) {
    for entry in slots {
        entry.attributes = entry.attributes.with_reboots_digit(0);
    }
}
