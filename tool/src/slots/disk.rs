//! A disk that has slots.

use std::path::{Path, PathBuf};

use deployment::discoverable::PartitionType;
use deployment::facts::{DiskIdentity, scan_disk};
use deployment::gpt;
use deployment::ledger::{self, Entry, MAX_SLOTS};
use deployment::table::PartitionTable;
use deployment::{BlockDevice, DeviceNumber, Facts};

use super::{Access, Medium, name, number};
use crate::error::Error;

/// What images of disks are called.
const IMAGE_NAME: &str = "vda";

/// A disk with slots, and what its partition table says.
#[derive(Debug)]
pub(crate) struct SlotDisk {
    medium: Medium,
    /// The kernel's name of it; for an image, one that the kernel could give.
    name: String,
    facts: Box<Facts>,
}

impl SlotDisk {
    /// Opens it and reads its partition table. If it is opened for writing nobody else changes it until it is closed.
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let disk = Self::load(path, access)?;
        disk.check()?;
        Ok(disk)
    }

    /// Whether it has no slots, as far as that is known: what cannot be read or is damaged may have had some.
    pub(crate) fn has_none(path: &Path) -> bool {
        Self::load(path, Access::Read).is_ok_and(|disk| disk.why_none().is_some())
    }

    fn load(path: &Path, access: Access) -> Result<Self, Error> {
        let medium = Medium::open(path, access)?;
        if access != Access::Read {
            medium.lock()?;
        }
        let name = if medium.is_block_device() { kernel_name(path) } else { IMAGE_NAME.to_owned() };
        let mut disk = Self { medium, name, facts: Box::new(Facts::new()) };
        disk.read()?;
        Ok(disk)
    }

    /// Reads the partition table anew.
    pub(crate) fn read(&mut self) -> Result<(), Error> {
        self.facts.clear();
        let identity = DiskIdentity {
            name: &self.name,
            number: DeviceNumber::default(),
            sector_size: self.medium.sector_size(),
            read_only: false,
        };
        scan_disk(&mut self.facts, &self.medium, &identity, true)
            .map_err(|full| Error::bad("cannot take all partitions of", self.medium.path().display(), full))
    }

    fn check(&self) -> Result<(), Error> {
        let unusable = |why: &dyn std::fmt::Display| Error::bad("cannot use", self.path().display(), why);
        let device = self.facts.device(&self.name);
        if let Some(why) = device.and_then(|device| device.read_error) {
            return Err(Error::system("cannot read", self.path().display(), why));
        }
        if device.is_some_and(|device| device.table == PartitionTable::GptDamaged) {
            return Err(unusable(&"both copies of its partition table are damaged"));
        }
        if self.slots().count() > MAX_SLOTS {
            return Err(unusable(&format_args!("it has more than {MAX_SLOTS} root partitions")));
        }
        self.why_none().map_or(Ok(()), |why| Err(unusable(&why)))
    }

    /// Why it has no slots, where it can be read and has none.
    fn why_none(&self) -> Option<&'static str> {
        let device = self.facts.device(&self.name).filter(|device| device.read_error.is_none())?;
        match device.table {
            PartitionTable::GptDamaged => None,
            PartitionTable::Gpt | PartitionTable::GptFromBackup => {
                self.slots().next().is_none().then_some("it has no root partition, and so no slot")
            }
            PartitionTable::None | PartitionTable::Mbr => Some("it has no GUID partition table"),
        }
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        self.medium.path()
    }

    /// The disk itself.
    pub(crate) fn medium(&self) -> &Medium {
        &self.medium
    }

    /// The kernel's name of it; for an image, one that the kernel could give.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is on it.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its slots, by number.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &BlockDevice> {
        ledger::slots(&self.facts, &self.name)
    }

    /// Its hash partitions, by number.
    pub(crate) fn hash_partitions(&self) -> impl Iterator<Item = &BlockDevice> {
        self.facts.by_partition_type(Some(&self.name), PartitionType::RootVerity.uuid())
    }

    /// The slot with this partition number.
    pub(crate) fn slot(&self, wanted: u32) -> Option<&BlockDevice> {
        self.slots().find(|slot| number(slot) == wanted)
    }

    /// The slot that is called `wanted`: a label or, where there is none like it, a partition number, or what an unfinished
    /// slot is to be called.
    pub(crate) fn find(&self, wanted: &str) -> Result<&BlockDevice, Error> {
        let unknown = |why: String| Error::usage("cannot find slot", wanted, why);
        let mut labelled = self.slots().filter(|slot| super::label(slot) == wanted && !wanted.is_empty());
        if let Some(first) = labelled.next() {
            let others: Vec<_> = labelled.map(|slot| number(slot).to_string()).collect();
            if others.is_empty() {
                return Ok(first);
            }
            let why = format!("partitions {} and {} both have that label", number(first), others.join(" and "));
            return Err(unknown(why).advice("Give the partition's number instead."));
        }
        let numbered = wanted.parse().ok().and_then(|number| self.slot(number));
        numbered.or_else(|| self.find_unfinished(wanted)).ok_or_else(|| {
            let names: Vec<_> = self.slots().map(name).collect();
            unknown(format!("{} has no such slot", self.path().display()))
                .advice(format!("There are: {}.", names.join(", ")))
        })
    }

    /// The only slot that is to be called `wanted` once it is complete.
    fn find_unfinished(&self, wanted: &str) -> Option<&BlockDevice> {
        let becomes = |slot: &&BlockDevice| {
            let label = super::label(slot);
            label.strip_prefix("PRT#").or(label.strip_prefix("PND#")) == Some(wanted)
        };
        let mut found = self.slots().filter(becomes);
        found.next().filter(|_| found.next().is_none())
    }

    /// Writes the ledger down.
    pub(crate) fn write_entries(&mut self, entries: &[Entry]) -> Result<(), Error> {
        self.rewrite(&mut |partition| {
            if let Some(entry) = entries.iter().find(|entry| entry.number == partition.number) {
                partition.set_attributes(entry.attributes);
            }
        })
    }

    /// Changes the partition table as [`gpt::rewrite`] does, and reads it anew.
    pub(crate) fn rewrite(&mut self, edit: gpt::Edit<'_>) -> Result<(), Error> {
        gpt::rewrite(&self.medium, self.medium.sector_size(), edit)
            .map_err(|why| Error::system("cannot change", self.path().display(), why))?;
        self.read()
    }
}

/// `vda` of `/dev/vda`, wherever the path leads.
pub(crate) fn kernel_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
    path.strip_prefix("/dev").unwrap_or(&path).to_string_lossy().replace('/', "!")
}
