//! What PID 1 writes down.

use core::fmt;

use super::{DIGITS, slot_type};
use crate::gpt::{Attributes, EntryMut};

/// One change of the ledger, as PID 1 makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: a damaged copy of the table is made again from the sound one.
    Repair,
    /// The slot with this number, or the deployment without one (0), is about to be tried. One that has booted well keeps
    /// its tries.
    SpendTry(u32),
    /// The try that the slot with this number was charged is given back: it was not at fault.
    RefundTry(u32),
    /// The machine has rebooted by itself this often in a row, 0 to [`super::MAX_REBOOTS`].
    Reboots(u8),
}

impl Change {
    /// An edit for [`crate::gpt::rewrite`].
    pub fn edit(self) -> impl FnMut(&mut EntryMut<'_>) {
        let mut slots = 0;
        move |entry| {
            if entry.number == 1 {
                slots = 0;
            }
            if entry.type_uuid() != slot_type() {
                return;
            }
            let attributes = entry.attributes();
            let new = self.apply(entry.number, slots, attributes);
            slots = slots.saturating_add(1);
            if new != attributes {
                entry.set_attributes(new);
            }
        }
    }

    /// What becomes of the attributes of the slot that has this partition number and is the `index`th one of its disk.
    pub fn apply(self, number: u32, index: usize, attributes: Attributes) -> Attributes {
        let tries = attributes.tries();
        match self {
            Self::SpendTry(slot) if slot == number && !attributes.successful() => {
                attributes.with_tries(tries.saturating_sub(1))
            }
            Self::RefundTry(slot) if slot == number && !attributes.successful() => {
                attributes.with_tries(tries.saturating_add(1))
            }
            Self::Reboots(count) if index < DIGITS => {
                attributes.with_reboots_digit(if index == 0 { count } else { count >> 2 })
            }
            _ => attributes,
        }
    }
}

impl fmt::Display for Change {
    /// Writes what is done, as a step of a plan does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repair => f.write_str("repair the damaged copy of the partition table"),
            Self::SpendTry(0) => f.write_str("write down a try"),
            Self::RefundTry(0) => f.write_str("give back the try"),
            Self::SpendTry(number) => write!(f, "write down a try of partition {number}"),
            Self::RefundTry(number) => write!(f, "give back the try of partition {number}"),
            Self::Reboots(0) => f.write_str("forget the automatic reboots"),
            Self::Reboots(count) => write!(f, "write down automatic reboot {count}"),
        }
    }
}
