//! The boot ledger: what is written down about the slots of a disk, in the attribute bits of their partitions.
//!
//! A slot is a partition of the type [`PartitionType::Root`]. The rules are those of ChromeOS (see
//! [`Attributes::may_boot`]): a priority, the tries that an unproven deployment has left, and whether it has booted well.
//! Everything here changes values; [`crate::gpt::rewrite`] puts them on the disk, and [`Change`] is what it is told.

mod change;
pub mod file;
mod in_tree;
mod order;

use core::fmt;

use verity::Uuid;

use crate::discoverable::PartitionType;
use crate::facts::{BlockDevice, Facts};
use crate::gpt::Attributes;

pub use change::Change;
pub use order::{mark_bad, mark_good, previous_good, set_next};

/// Most slots of one disk that the running system's commands look at.
pub const MAX_SLOTS: usize = 16;
/// The largest number of automatic reboots that is counted: two digits of base four.
pub const MAX_REBOOTS: u8 = 15;
/// How many slots of a disk hold a digit of that number.
const DIGITS: usize = 2;

/// What the ledger says about one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of its partition.
    pub number: u32,
    /// What is written down.
    pub attributes: Attributes,
}

impl Entry {
    /// The entry of a partition of a GPT disk.
    pub fn of(device: &BlockDevice) -> Option<Self> {
        let partition = device.partition.as_ref()?;
        partition.type_uuid?;
        Some(Self { number: partition.number, attributes: partition.attributes })
    }
}

/// The slots of a disk, by number: all partitions of their type, whatever they hold.
pub fn slots<'f>(facts: &'f Facts, disk: &str) -> impl Iterator<Item = &'f BlockDevice> {
    facts.by_partition_type(Some(disk), slot_type())
}

/// How often in a row the machine has rebooted by itself because nothing on `disk` could be booted.
pub fn reboots(facts: &Facts, disk: &str) -> u8 {
    let digits = slots(facts, disk).take(DIGITS).filter_map(Entry::of).map(|entry| entry.attributes.reboots_digit());
    digits.zip([1, 4]).fold(0, |sum, (digit, weight)| digit.saturating_mul(weight).saturating_add(sum))
}

/// The largest number of automatic reboots that `disk` can count: three for each of its first two slots.
pub fn most_reboots(facts: &Facts, disk: &str) -> u8 {
    if slots(facts, disk).nth(1).is_some() { MAX_REBOOTS } else { 3 }
}

fn slot_type() -> Uuid {
    PartitionType::Root.uuid()
}

/// An entry as a person reads it: `priority 2, good`, `priority 3, 2 tries left`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.attributes;
        write!(f, "priority {}, ", attributes.priority())?;
        match (attributes.successful(), attributes.tries()) {
            (true, _) => f.write_str("good"),
            (false, 1) => f.write_str("1 try left"),
            (false, tries) => write!(f, "{tries} tries left"),
        }
    }
}

#[cfg(test)]
mod tests;
