//! A candidate's place in the boot ledger.

use core::fmt;

use super::SYSROOT_KINDS;
use crate::facts::Name;
use crate::gpt::Attributes;
use crate::ledger::Entry;

/// A candidate's place in the boot ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is written down.
    pub keeper: Keeper,
    /// What is written down. The number counts only in a partition table.
    pub entry: Entry,
    /// How it comes to be a candidate.
    pub standing: Standing,
    /// Whether tries are counted.
    pub counted: bool,
}

/// What keeps the boot ledger of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// The partition table of a disk ([`crate::gpt`]).
    Table(Name),
    /// A file in the filesystem that was looked into as the one with this number ([`crate::ledger::file`]).
    File(u8),
    /// The name of the deployment's own file there, which counts its tries ([`crate::vpick`]).
    FileName(u8),
}

/// How a deployment comes to be a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The ledger lets it boot, or the command line insists on it.
    Bootable,
    /// The ledger does not let it boot any more, but it was good once: it is tried when nothing else is left.
    LastGood,
    /// The ledger does not let it boot; why. It is listed so that it is known what there is, and never tried.
    Barred(&'static str),
}

/// Why a deployment is barred that was tried as often as it may be.
pub const SPENT: &str = "its tries are spent";
/// Why a deployment is barred that is not on the list of root hashes (composefs: digests) that the command line gives.
pub const NOT_ACCEPTED: &str = "no accepted root hash vouches for it";

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(disk) => f.write_str(disk),
            Self::File(_) | Self::FileName(_) if SYSROOT_KINDS.is_empty() => Ok(()),
            Self::File(number) => write!(f, "ledger of filesystem {number}"),
            Self::FileName(number) => write!(f, "file name in filesystem {number}"),
        }
    }
}

impl Record {
    /// Whether trying the deployment takes one of its tries.
    pub fn is_charged(&self) -> bool {
        let attributes = self.entry.attributes;
        self.counted && !attributes.successful() && attributes.tries() > 0
    }
}

/// How a deployment with these attributes comes to be a candidate, or why it is none.
pub fn standing(attributes: Attributes, counted: bool) -> Result<Standing, &'static str> {
    if !counted || attributes.may_boot() {
        return Ok(Standing::Bootable);
    }
    if attributes.once_good() {
        return Ok(Standing::LastGood);
    }
    Err(if attributes.priority() == 0 { "its priority is 0" } else { SPENT })
}

impl fmt::Display for Record {
    /// Writes what is written down, as a person reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counted { self.entry.fmt(f) } else { f.write_str("tries not counted") }
    }
}
