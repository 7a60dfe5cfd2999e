//! Why there is no candidate.

use core::fmt;

use boot_config::DeviceSpec;
use heapless::Vec;

use crate::facts::{Ambiguous, Name};

/// Most devices that one candidate can miss: data and hash tree of its root and of its `/usr`.
pub const MAX_MISSING: usize = 4;

/// Why there is no candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateError<'a> {
    /// Devices are not there, or not there yet.
    Missing(Missing<'a>),
    /// Two devices go by a name that must name one.
    Ambiguous(Ambiguous<'a>),
    /// Slots are on two disks, and nothing says which of them is the boot disk.
    TwoDisks(TwoDisks),
    /// Two filesystems with deployments have the same UUID, and nothing says which of them is meant: each one's name and
    /// that of its disk.
    Twins([(Name, Name); 2]),
    /// There is no slot that the configuration lets boot, or it is not there yet.
    NoSlot,
    /// The configuration allows none.
    Refused(Refusal<'a>),
}

impl fmt::Display for CandidateError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(missing) => write!(f, "not found: {missing}"),
            Self::Ambiguous(ambiguous) => ambiguous.fmt(f),
            Self::TwoDisks(TwoDisks { slots: [first, second] }) => write!(
                f,
                "both /dev/{first} and /dev/{second} are slots that may boot, and they are on two disks; detach one of \
                 them, or choose the disk by surefoot.disk=/dev/NAME"
            ),
            Self::Twins([(first, first_disk), (second, second_disk)]) => write!(
                f,
                "/dev/{first} (on {first_disk}) and /dev/{second} (on {second_disk}) are the same filesystem; detach one of \
                 them, or choose the disk by surefoot.disk=/dev/NAME"
            ),
            Self::NoSlot => f.write_str("a slot that may boot (a root partition with an accepted root hash)"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for CandidateError<'_> {}

impl<'a> CandidateError<'a> {
    /// One device is missing.
    pub(super) fn missing(device: MissingDevice<'a>) -> Self {
        let mut missing = Missing::default();
        // There is room for one.
        let _ = missing.devices.push(device);
        Self::Missing(missing)
    }
}

/// A slot on each of two disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoDisks {
    /// The partitions.
    pub slots: [Name; 2],
}

impl<'a> From<Ambiguous<'a>> for CandidateError<'a> {
    fn from(ambiguous: Ambiguous<'a>) -> Self {
        Self::Ambiguous(ambiguous)
    }
}

/// The devices that are missing, in the order in which they are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing<'a> {
    /// Each one's name and what it is for.
    pub devices: Vec<MissingDevice<'a>, MAX_MISSING>,
}

/// A device that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingDevice<'a> {
    /// What names it.
    pub spec: DeviceSpec<'a>,
    /// What it is for.
    pub role: Role,
}

impl fmt::Display for Missing<'_> {
    /// Writes `PARTUUID=… (data of the root), PARTUUID=… (hash tree of the root)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, MissingDevice { spec, role }) in self.devices.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{spec} ({role})")?;
        }
        Ok(())
    }
}

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The disk that the search is restricted to (`surefoot.disk=`).
    Disk,
    /// The root filesystem (`root=`).
    Root,
    /// The data device of the verity root.
    RootData,
    /// The hash device of the verity root.
    RootHashTree,
    /// The `/usr` filesystem (`mount.usr=`).
    Usr,
    /// The data device of the verity `/usr`.
    UsrData,
    /// The hash device of the verity `/usr`.
    UsrHashTree,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "the disk to search",
            Self::Root => "the root",
            Self::RootData => "data of the root",
            Self::RootHashTree => "hash tree of the root",
            Self::Usr => "/usr",
            Self::UsrData => "data of /usr",
            Self::UsrHashTree => "hash tree of /usr",
        })
    }
}

/// Why the configuration allows no candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// No key names a root.
    NoRoot,
    /// Only `/usr` is named, and the root is not in memory.
    OnlyUsr,
    /// `root=` names a root that nothing verifies.
    UnverifiedRoot(DeviceSpec<'a>),
    /// `mount.usr=` names a `/usr` that nothing verifies.
    UnverifiedUsr(DeviceSpec<'a>),
    /// `surefoot.deployment=` names a kind that there is not.
    UnknownKind(&'a str),
    /// The root hash is too short to name its partitions, and no key names them.
    NoPartition(Role),
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => f.write_str(
                "nothing names a root: give roothash=, or surefoot.roothash=, or root= with surefoot.verity=optional, or \
                 usrhash= with systemd.volatile=yes",
            ),
            Self::OnlyUsr => f.write_str(
                "only /usr is named: give roothash= for the root as well, or systemd.volatile=yes for a root in memory",
            ),
            Self::UnverifiedRoot(spec) => write!(
                f,
                "root={spec} is not verified: give roothash=, or surefoot.verity=optional to boot it insecurely"
            ),
            Self::UnverifiedUsr(spec) => write!(
                f,
                "mount.usr={spec} is not verified: give usrhash=, or surefoot.verity=optional to boot it insecurely"
            ),
            Self::UnknownKind(kind) => {
                write!(f, "surefoot.deployment={kind}:…: there is no such kind of deployment; there are")?;
                super::sysroot::kinds().try_for_each(|known| write!(f, " {known}"))
            }
            Self::NoPartition(role) => write!(f, "the root hash is too short to name the partition for {role}"),
        }
    }
}
