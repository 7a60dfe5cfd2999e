//! The boot ledger on the disks of this machine.

use boot_config::Config;
use deployment::candidates::{Candidate, Keeper, RootSource};
use deployment::discoverable::PartitionType;
use deployment::gpt::{Gpt, RewriteError, rewrite};
use deployment::ledger::Change;
use deployment::ledger::file::{self as ledger_file, LedgerError, LedgerFile, recorded};
use deployment::read::{ReadAt, ReadError};
use deployment::table::PartitionTable;
use deployment::vpick::path_after_try;
use deployment::write::{WriteAt, WriteError};
use deployment::{BlockDevice, Facts};
use sys::Errno;
use sys::errno::Explained;
use sys::file::{self, AsFd, OwnedFd};

use crate::disk::{Disk, WritableDisk};
use crate::mounted_tree::MountedTree;
use crate::text::{Reason, below, refused};
use crate::{SYSROOTS, log, reason};

/// Makes one change in a ledger, and has it on the medium. It is about `candidate`, if it is about one of `all` candidates.
#[inline(never)]
pub fn write_down(
    keeper: &Keeper,
    candidate: Option<&Candidate>,
    all: &[Candidate],
    change: Change,
    trees: &[Option<MountedTree>],
) -> Result<(), Reason> {
    let tree = |number: &u8| {
        let tree = trees.get(usize::from(*number)).and_then(Option::as_ref);
        tree.ok_or_else(|| reason!("the filesystem with the boot ledger is not mounted"))
    };
    match keeper {
        Keeper::Table(disk) => write_in_table(disk, change),
        Keeper::File(_) | Keeper::FileName(_) if !SYSROOTS => Ok(()),
        Keeper::File(number) => write_in_file(tree(number)?, candidate, all, change),
        Keeper::FileName(number) => write_in_name(tree(number)?, candidate, change),
    }
}

/// Makes one change in the ledger of `disk`.
fn write_in_table(disk: &str, change: Change) -> Result<(), Reason> {
    log::info!("{disk}: {change}");
    let device = WritableDisk::open(&below("/dev", disk))?;
    rewrite(&device, device.disk.sector_size(), &mut change.edit()).map(|_| ()).map_err(|error| explain(disk, &error))
}

/// Makes the first partition table of disks with slots anew from the second one, where a power cut has damaged it: the
/// kernel shows no partitions of such a disk. Gives whether a disk was repaired.
#[inline(never)]
pub fn repair(config: &Config<'_>, facts: &mut Facts) -> bool {
    if !config.wants_slots() {
        return false;
    }
    let (mut repaired, mut failed) = (false, 0_usize);
    let damaged = |facts: &Facts, failed| {
        let only = config.disk.as_ref().and_then(|spec| facts.find(spec, None).ok().flatten());
        let is_meant = |device: &BlockDevice| only.is_none_or(|only| only.name == device.name);
        let is_damaged = |device: &&BlockDevice| {
            device.table == PartitionTable::GptFromBackup && is_meant(device) && has_slots(&device.name)
        };
        facts.devices().iter().filter(is_damaged).nth(failed).map(|device| device.name.clone())
    };
    while let Some(disk) = damaged(facts, failed) {
        log::error!("{disk}: the first partition table is damaged");
        match repair_table(&disk) {
            // It is looked at again.
            Ok(()) => facts.remove(&disk),
            Err(why) => {
                log::error!("{why}");
                failed = failed.saturating_add(1);
                continue;
            }
        }
        repaired = true;
    }
    repaired
}

fn repair_table(disk: &str) -> Result<(), Reason> {
    write_in_table(disk, Change::Repair)?;
    let reader = Disk::open(&below("/dev", disk))?;
    let is_sound = read_table(&reader).is_some_and(|table| table.primary_problem().is_none());
    // There are disks that take writes and forget them.
    let read = if is_sound { reader.reread_partitions() } else { Err(Errno::IO) };
    read.map_err(|errno| reason!("{disk} does not show its partition table again: {}", Explained(errno)))
}

#[inline(never)]
fn read_table(reader: &Disk) -> Option<Gpt> {
    Gpt::read(reader, reader.sector_size()).ok()
}

/// Whether the table has a slot that the ledger says anything of: then it is ours to repair.
fn has_slots(disk: &str) -> bool {
    let Ok(reader) = Disk::open(&below("/dev", disk)) else { return false };
    let Some(table) = read_table(&reader) else { return false };
    (1..=table.entry_count())
        .filter_map(|number| table.entry(&reader, number).ok().flatten())
        .any(|entry| entry.type_uuid == PartitionType::Root.uuid() && entry.attributes.is_in_ledger())
}

fn explain(disk: &str, error: &RewriteError) -> Reason {
    reason!("cannot write the boot ledger of {disk}: {error}")
}

/// The ledger in the file of a filesystem.
struct LedgerMedium {
    file: OwnedFd,
    size: u64,
}

impl ReadAt for LedgerMedium {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset.saturating_add(buffer.len() as u64) > self.size {
            return Err(ReadError::OutOfRange);
        }
        file::read_exact_at(self.file.as_fd(), offset, buffer).map_err(|errno| ReadError::Device(errno.raw_os_error()))
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl WriteAt for LedgerMedium {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        file::write_all_at(self.file.as_fd(), offset, bytes).map_err(|errno| WriteError(errno.raw_os_error()))
    }

    fn flush(&self) -> Result<(), WriteError> {
        sys::block::flush(self.file.as_fd()).map_err(|errno| WriteError(errno.raw_os_error()))
    }
}

/// Makes one change in the ledger of a filesystem.
#[inline(never)]
fn write_in_file(
    tree: &MountedTree,
    candidate: Option<&Candidate>,
    all: &[Candidate],
    change: Change,
) -> Result<(), Reason> {
    let name = candidate.map_or("", |candidate| &candidate.name);
    log::info!("{name}{}{change}", if name.is_empty() { "" } else { ": " });
    change_file(tree, &mut |ledger| match change {
        Change::Reboots(count) => {
            ledger.set_reboots(count);
            Ok(())
        }
        Change::Repair => Ok(()),
        Change::SpendTry(number) | Change::RefundTry(number) => {
            // One that is not recorded yet is written down as it was ranked.
            let ranked = candidate.and_then(|candidate| Some(candidate.record.as_ref()?.entry.attributes));
            let attributes = ledger.find(name).or(ranked).unwrap_or_else(|| ledger.standing(name).0);
            // What is no candidate, for it is gone or worse than all of them, makes way where there is no room.
            let is_candidate = |name: &str| all.iter().any(|candidate| recorded(&candidate.name) == name);
            ledger.set(name, change.apply(number, 0, attributes), &is_candidate)
        }
    })
}

/// Changes the ledger of a filesystem and has it on the medium, with a new file where there is none.
pub fn change_file(
    tree: &MountedTree,
    edit: &mut dyn FnMut(&mut LedgerFile) -> Result<(), LedgerError>,
) -> Result<(), Reason> {
    let failed = |errno| refused("open the boot ledger", ledger_file::PATH, errno);
    let directory = tree.as_fd();
    let is_new = file::status_beneath(directory, ledger_file::PATH).is_err();
    let opened = file::make_directory_beneath(directory, ledger_file::FOLDER, 0o700)
        .and_then(|()| file::open_writable_beneath(directory, ledger_file::PATH, true))
        .map_err(failed)?;
    let size = file::status(opened.as_fd()).map_err(failed)?.size;
    let medium = LedgerMedium { file: opened, size };
    ledger_file::rewrite(&medium, edit)
        .map_err(|error| reason!("cannot change the boot ledger {}: {error}", ledger_file::PATH))?;
    if is_new {
        file::sync_directory_beneath(directory, ledger_file::FOLDER)
            .and_then(|()| file::sync_directory_beneath(directory, "."))
            .map_err(failed)?;
    }
    Ok(())
}

/// Renames a file and has that on the medium.
pub fn rename(tree: &MountedTree, from: &str, to: &str) -> Result<(), Reason> {
    let folder = to.rsplit_once('/').map_or(".", |(folder, _)| folder);
    file::rename_beneath(tree.as_fd(), from, to)
        .map_err(|errno| reason!("cannot rename {from} to {to}: {}", Explained(errno)))?;
    file::sync_directory_beneath(tree.as_fd(), folder)
        .map_err(|errno| reason!("cannot write out that {from} is called {to}: {}", Explained(errno)))
}

/// Writes a try down in the name of the deployment's own file, or takes it back. What has the new name already stays as it
/// is, and the change is not made.
#[inline(never)]
fn write_in_name(tree: &MountedTree, candidate: Option<&Candidate>, change: Change) -> Result<(), Reason> {
    let Some(Candidate { name, root: RootSource::Tree(source), .. }) = candidate else { return Ok(()) };
    let place = source.place.as_str();
    let tried = path_after_try(place);
    let tried =
        tried.ok_or_else(|| reason!("{place} cannot be called otherwise: its name counts no tries, or is too long"))?;
    let (from, to) = match change {
        Change::SpendTry(_) => (place, tried.as_str()),
        Change::RefundTry(_) => (tried.as_str(), place),
        Change::Repair | Change::Reboots(_) => return Ok(()),
    };
    log::info!("{name}: rename {from} to {to}");
    rename(tree, from, to)
}

#[cfg(test)]
mod tests;
