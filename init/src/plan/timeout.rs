//! What is said when the devices of a plan do not appear.

use core::fmt;

use deployment::Facts;
use deployment::table::PartitionTable;

use crate::reason;
use crate::text::Reason;

/// Why a boot ends whose deadline is over: what was waited for, for how long, and what was seen instead; before that,
/// where drivers are lacking because the initramfs was made for another kernel, that.
pub fn out_of_time(missing: &str, seconds: u32, mismatch: Option<Reason>, facts: &Facts) -> Reason {
    let seen = Listing(facts);
    match mismatch {
        Some(mismatch) => reason!("{missing} did not appear within {seconds} seconds: {mismatch}; {seen}"),
        None => reason!("{missing} did not appear within {seconds} seconds; {seen}"),
    }
}

/// The block devices that were seen, for a message.
struct Listing<'f>(&'f Facts);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.devices().is_empty() {
            return f.write_str("no block device was seen");
        }
        f.write_str("block devices seen:")?;
        for device in self.0.devices() {
            write!(f, " {}", device.name)?;
            match device.table {
                PartitionTable::GptFromBackup => {
                    f.write_str(
                        " (its first partition table is damaged; the word gpt makes the kernel use the second)",
                    )?;
                }
                PartitionTable::GptDamaged => f.write_str(" (both its partition tables are damaged)")?,
                PartitionTable::None | PartitionTable::Gpt | PartitionTable::Mbr => {}
            }
            if let Some(why) = device.read_error {
                write!(f, " (it cannot be read: {why})")?;
            }
            let partition = device.partition.as_ref();
            match (partition.map(|partition| partition.label.as_str()), &device.filesystem) {
                (Some(label), _) if !label.is_empty() => write!(f, " ({label})")?,
                (_, Some(filesystem)) => write!(f, " ({})", filesystem.kind.name())?,
                _ => {}
            }
        }
        Ok(())
    }
}
