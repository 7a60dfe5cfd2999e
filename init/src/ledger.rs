//! The boot ledger on the disks of this machine.

use boot_config::Config;
use deployment::Facts;
use deployment::discoverable::PartitionType;
use deployment::gpt::{Gpt, RewriteError, rewrite};
use deployment::ledger::Change;
use deployment::read::ReadAt;
use deployment::table::PartitionTable;
use sys::errno::Explained;

use crate::disk::{Disk, WritableDisk};
use crate::text::Reason;
use crate::{log, reason};

/// Makes one change in the ledger of `disk`, and has it on the medium.
#[inline(never)]
pub fn write_down(disk: &str, change: Change) -> Result<(), Reason> {
    log::info!("{disk}: {change}");
    let device = WritableDisk::open(disk)?;
    rewrite(&device, device.disk.sector_size(), &mut change.edit()).map(|_| ()).map_err(|error| explain(disk, &error))
}

/// Makes the first partition table of a disk with slots anew from the second one, where a power cut has damaged it: the
/// kernel shows no partitions of such a disk. Gives whether a disk was repaired.
#[inline(never)]
pub fn repair(config: &Config<'_>, facts: &mut Facts) -> bool {
    if !config.wants_slots() {
        return false;
    }
    let only = config.disk.as_ref().and_then(|spec| facts.find(spec, None).ok().flatten());
    let is_damaged = |table| table == PartitionTable::GptFromBackup;
    let found = facts.devices().iter().find(|device| {
        is_damaged(device.table) && only.is_none_or(|only| only.name == device.name) && has_slots(&device.name)
    });
    let Some(disk) = found.map(|device| device.name.clone()) else { return false };
    facts.remove(&disk);
    log::error!("{disk}: the first partition table is damaged; it is made anew from the second one");
    let repaired = write_down(&disk, Change::Repair).and_then(|()| {
        let failed =
            |errno| reason!("the kernel does not read the partition table of {disk} again: {}", Explained(errno));
        Disk::open(&disk)?.reread_partitions().map_err(failed)
    });
    repaired.map_err(|why| log::error!("{why}")).is_ok()
}

/// Whether the table has a slot that the ledger says anything of: then it is ours to repair.
fn has_slots(disk: &str) -> bool {
    let Ok(reader) = Disk::open(disk) else { return false };
    let Ok(table) = Gpt::read(&reader as &dyn ReadAt, reader.sector_size()) else { return false };
    (1..=table.entry_count())
        .filter_map(|number| table.entry(&reader, number).ok().flatten())
        .any(|entry| entry.type_uuid == PartitionType::Root.uuid() && entry.attributes.is_in_ledger())
}

fn explain(disk: &str, error: &RewriteError) -> Reason {
    reason!("cannot write the boot ledger of {disk}: {error}")
}
