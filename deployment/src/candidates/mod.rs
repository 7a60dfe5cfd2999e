//! The deployments that may boot.
//!
//! Each kind of deployment has one file here, which finds the candidates of that kind. Those that are told by partitions
//! alone ([`configured`], [`slot`]) are found first; those that lie in a filesystem are found when it is mounted, and are
//! listed in [`SYSROOT_KINDS`]. [`rank`] puts all of them in one order.

mod btrfs;
mod composefs;
mod configured;
mod error;
#[cfg(test)]
mod example;
mod image;
mod name;
mod ostree;
pub mod rank;
pub mod recipe;
mod record;
mod slot;
mod state;
pub mod sysroot;

use boot_config::config::VerityOptions;
use core::fmt;
use heapless::Vec;
use verity::RootHash;

use crate::facts::{BlockDevice, Facts, Name};
use crate::filesystem::FilesystemKind;

pub use error::{CandidateError, MAX_MISSING, Missing, MissingDevice, Refusal, Role, TwoDisks};
pub use name::{CandidateName, MAX_CANDIDATE_NAME};
pub use ostree::linked_deployment;
pub use rank::candidates;
pub use recipe::{Base, Part, Place, Recipe, Refused};
pub use record::{Keeper, NOT_ACCEPTED, Record, SPENT, Standing};
pub use slot::{judge, slot_disk};
pub use state::state_device;
pub use sysroot::{Look, MAX_SYSROOTS, SYSROOT_KINDS, Sysroots, TreeSource, look_into, sysroots};

/// Most candidates of one boot.
pub const MAX_CANDIDATES: usize = 16;
/// The candidates of one boot, best first.
pub type Candidates = Vec<Candidate, MAX_CANDIDATES>;

/// A deployment that may boot: everything that it needs was found. The boot ledger may still keep it from booting
/// ([`Standing::Barred`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is called in messages and reports. It names no file.
    pub name: CandidateName,
    /// How it was found.
    pub kind: Kind,
    /// What becomes the root.
    pub root: RootSource,
    /// What becomes `/usr`, when that is a filesystem of its own.
    pub usr: Option<UsrSource>,
    /// Whether every byte of it is verified.
    pub trust: Trust,
    /// What the boot ledger says, where it keeps one about it.
    pub record: Option<Record>,
    /// Where it comes among those that are otherwise alike.
    pub order: Order,
}

/// Where a candidate comes among those of the same standing and priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// The order of the kinds.
    pub kind: u8,
    /// The filesystem that it lies in, in the order in which they are looked into.
    pub sysroot: u8,
    /// Where its own kind puts it: the first is the best.
    pub index: u32,
}

/// How a candidate was found, as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub &'static str);

impl Kind {
    /// The command line names it outright (`roothash=`, `root=`, `usrhash=`).
    pub const CONFIGURED: Self = Self("configured");
    /// It is a root partition of the boot disk that has an accepted root hash, or needs none.
    pub const SLOT: Self = Self(boot_config::policy::SLOT);
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What becomes the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootSource {
    /// A verity device.
    Verity(VeritySource),
    /// A filesystem that nothing verifies.
    Plain(DeviceSource),
    /// A tmpfs: all that is booted lies in `/usr`.
    Memory,
    /// Something in a filesystem that is mounted; its kind tells what makes up the root.
    Tree(TreeSource),
}

/// What becomes `/usr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsrSource {
    /// A verity device.
    Verity(VeritySource),
    /// A filesystem that nothing verifies.
    Plain(DeviceSource),
}

impl From<UsrSource> for RootSource {
    fn from(source: UsrSource) -> Self {
        match source {
            UsrSource::Verity(source) => Self::Verity(source),
            UsrSource::Plain(source) => Self::Plain(source),
        }
    }
}

/// A verity device that can be activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VeritySource {
    /// The device that holds the filesystem.
    pub data: Name,
    /// The device that holds the hash tree; it may be the same.
    pub hash: Name,
    /// What vouches for both.
    pub root_hash: RootHash,
    /// How it is activated.
    pub options: VerityOptions,
    /// The kind of filesystem that the data device seems to hold. Nothing has verified that yet.
    pub filesystem: Option<FilesystemKind>,
}

/// A device that is mounted as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSource {
    /// The device.
    pub device: Name,
    /// The kind of filesystem that it seems to hold.
    pub filesystem: Option<FilesystemKind>,
}

impl DeviceSource {
    fn new(device: &BlockDevice) -> Self {
        Self { device: device.name.clone(), filesystem: kind_of(device) }
    }
}

/// Whether every byte of a candidate is verified before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// A root hash vouches for all of it.
    Verified,
    /// Something of it is taken as it is.
    Insecure(Insecurity),
}

/// What of a candidate is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Insecurity {
    /// The root filesystem.
    Root,
    /// `/usr`.
    Usr,
}

impl fmt::Display for Insecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the root filesystem is not verified",
            Self::Usr => "/usr is not verified",
        })
    }
}

impl Candidate {
    /// The device that holds its filesystem: the root's, or that of `/usr` when the root is in memory.
    pub fn device(&self) -> Option<&Name> {
        let usr = match &self.usr {
            Some(UsrSource::Verity(VeritySource { data, .. })) => Some(data),
            Some(UsrSource::Plain(DeviceSource { device, .. })) => Some(device),
            None => None,
        };
        match &self.root {
            RootSource::Verity(VeritySource { data, .. }) => Some(data),
            RootSource::Plain(DeviceSource { device, .. }) | RootSource::Tree(TreeSource { device, .. }) => {
                Some(device)
            }
            RootSource::Memory => usr,
        }
    }

    /// One that sets up nothing: what plans that have no candidate begin with.
    pub const fn nothing() -> Self {
        Self {
            name: CandidateName::new(),
            kind: Kind::CONFIGURED,
            root: RootSource::Memory,
            usr: None,
            trust: Trust::Insecure(Insecurity::Root),
            record: None,
            order: Order { kind: 0, sysroot: 0, index: 0 },
        }
    }

    /// Whether it is tried only when nothing else is left.
    pub fn is_last_good(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.standing == Standing::LastGood)
    }

    /// Whether it is listed only, and never tried.
    pub fn is_barred(&self) -> bool {
        self.record.as_ref().is_some_and(|record| matches!(record.standing, Standing::Barred(_)))
    }

    /// Whether the command line has a list of root hashes that it is not on.
    pub fn is_not_accepted(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.standing == Standing::Barred(NOT_ACCEPTED))
    }

    /// Whether it was tried as often as it may be, and would have come before `other` otherwise.
    pub fn was_first_choice_before(&self, other: &Self) -> bool {
        let spent = self.record.as_ref().is_some_and(|record| record.standing == Standing::Barred(SPENT));
        spent && rank::is_preferred(self, other)
    }

    /// The disk that it lies on.
    pub fn disk<'f>(&self, facts: &'f Facts) -> Option<&'f str> {
        Some(facts.device(self.device()?)?.disk_name())
    }
}

fn kind_of(device: &BlockDevice) -> Option<FilesystemKind> {
    device.filesystem.as_ref().map(|filesystem| filesystem.kind)
}

#[cfg(test)]
mod tests;
