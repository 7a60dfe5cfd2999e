//! Identifiers of devices and partitions as they stand on a command line.

use core::fmt;
use core::str::FromStr;

use verity::{RootHash, RootHashError, Uuid};

/// The forms in which a device can be named, for messages and documentation. [`DeviceSpec::parse`] also reads udev's
/// links for them.
pub const DEVICE_FORMS: &str = "/dev/NAME, UUID=, LABEL=, PARTLABEL=, PARTUUID= (also with /PARTNROFF=N)";

/// What tells one partition from all others: the unique GUID of a GPT entry, or the disk signature of an MBR with the
/// partition's number (the kernel's `PARTUUID=` in block/early-lookup.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartUuid {
    /// `3f2504e0-4f89-41d3-9a0c-0305e82c3301`.
    Gpt(Uuid),
    /// `SSSSSSSS-PP`, both in hexadecimal.
    Mbr {
        /// The 32-bit disk signature (byte 440 of the MBR).
        signature: u32,
        /// The partition's number, from 1.
        number: u8,
    },
}

impl FromStr for PartUuid {
    type Err = SpecError;

    /// Reads either form in any case.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        if let Ok(uuid) = text.parse() {
            return Ok(Self::Gpt(uuid));
        }
        let (signature, number) = text.split_once('-').ok_or(SpecError::BadPartUuid)?;
        match (hexadecimal(signature, 8), hexadecimal(number, 2).map(u8::try_from)) {
            (Some(signature), Some(Ok(number))) if number > 0 => Ok(Self::Mbr { signature, number }),
            _ => Err(SpecError::BadPartUuid),
        }
    }
}

impl fmt::Display for PartUuid {
    /// Writes the lower-case form, as the kernel and udev show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpt(uuid) => write!(f, "{uuid}"),
            Self::Mbr { signature, number } => write!(f, "{signature:08x}-{number:02x}"),
        }
    }
}

/// A device, named in one of the [`DEVICE_FORMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceSpec<'a> {
    /// `/dev/…`: the kernel's own name of the device, as devtmpfs shows it.
    Path(&'a str),
    /// `UUID=`: the filesystem's UUID or serial number. Compare without regard to case.
    Uuid(&'a str),
    /// `LABEL=`: the filesystem's label.
    Label(&'a str),
    /// `PARTUUID=`.
    PartUuid {
        /// The partition that is named.
        uuid: PartUuid,
        /// `/PARTNROFF=n`: how many partition numbers after it the one meant lies (before it where negative);
        /// 0 where not given.
        offset: i32,
    },
    /// `PARTLABEL=`: the partition's name in the GPT.
    PartLabel(&'a str),
}

impl<'a> DeviceSpec<'a> {
    /// Reads one of the [`DEVICE_FORMS`].
    ///
    /// A tag's value may stand in double quotes, as in fstab(5): `LABEL="my disk"`. The links that udev would make
    /// under `/dev/disk` mean the tag of the same name, since no udev runs in the initramfs.
    pub fn parse(text: &'a str) -> Result<Self, SpecError> {
        if text.starts_with('/') {
            return Self::parse_path(text);
        }
        let (tag, value) = text.split_once('=').ok_or(SpecError::UnknownForm)?;
        let value = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
        match tag {
            "UUID" => Self::parse_uuid(value),
            "LABEL" => Ok(Self::Label(label(value)?)),
            "PARTUUID" => Self::parse_part_uuid(value),
            "PARTLABEL" => Ok(Self::PartLabel(label(value)?)),
            _ => Err(SpecError::UnknownForm),
        }
    }

    fn parse_path(text: &'a str) -> Result<Self, SpecError> {
        let name = text.strip_prefix("/dev/").ok_or(SpecError::UnknownForm)?;
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(SpecError::BadPath);
        }
        match name.split_once('/') {
            Some(("disk", link)) => Self::parse_disk_link(link),
            Some(("mapper" | "block", _)) => Err(SpecError::NeedsUdev),
            _ => Ok(Self::Path(text)),
        }
    }

    /// Reads what follows `/dev/disk/`.
    fn parse_disk_link(link: &'a str) -> Result<Self, SpecError> {
        let (directory, value) = link.split_once('/').ok_or(SpecError::NeedsUdev)?;
        if value.contains('\\') {
            return Err(SpecError::UdevEscape);
        }
        match directory {
            "by-uuid" => Self::parse_uuid(value),
            "by-label" => Ok(Self::Label(label(value)?)),
            "by-partuuid" => Ok(Self::PartUuid { uuid: value.parse()?, offset: 0 }),
            "by-partlabel" => Ok(Self::PartLabel(label(value)?)),
            _ => Err(SpecError::NeedsUdev),
        }
    }

    /// Reads the UUIDs of ext4, xfs, btrfs and their like, and the serial numbers of FAT, NTFS and ISO 9660.
    fn parse_uuid(value: &'a str) -> Result<Self, SpecError> {
        let valid = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if valid { Ok(Self::Uuid(value)) } else { Err(SpecError::BadUuid) }
    }

    fn parse_part_uuid(value: &'a str) -> Result<Self, SpecError> {
        let (uuid, offset) = match value.split_once('/') {
            None => (value, 0),
            Some((uuid, attribute)) => {
                let offset = attribute.strip_prefix("PARTNROFF=").and_then(|number| number.parse().ok());
                (uuid, offset.ok_or(SpecError::BadOffset)?)
            }
        };
        Ok(Self::PartUuid { uuid: uuid.parse()?, offset })
    }
}

impl fmt::Display for DeviceSpec<'_> {
    /// Writes the form that [`DeviceSpec::parse`] reads back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Uuid(uuid) => write!(f, "UUID={uuid}"),
            Self::Label(label) => write!(f, "LABEL={label}"),
            Self::PartUuid { uuid, offset: 0 } => write!(f, "PARTUUID={uuid}"),
            Self::PartUuid { uuid, offset } => write!(f, "PARTUUID={uuid}/PARTNROFF={offset}"),
            Self::PartLabel(label) => write!(f, "PARTLABEL={label}"),
        }
    }
}

/// A list of root hashes, separated by commas. Empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootHashes<'a>(&'a str);

impl<'a> RootHashes<'a> {
    /// Reads a list, each part of which must be a root hash.
    pub fn parse(text: &'a str) -> Result<Self, RootHashError> {
        text.split(',').try_for_each(|part| part.parse::<RootHash>().map(|_| ()))?;
        Ok(Self(text))
    }

    /// The root hashes, in order.
    pub fn iter(self) -> impl Iterator<Item = RootHash> + use<'a> {
        self.0.split(',').filter_map(|part| part.parse().ok())
    }
}

/// Why a text names no device. What is allowed instead is [`DEVICE_FORMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// Neither a path below `/dev` nor a known tag.
    UnknownForm,
    /// A `/dev` path with an empty part, `.` or `..` in it.
    BadPath,
    /// A link that udev makes from knowledge that only udev has.
    NeedsUdev,
    /// A link whose name udev wrote with `\x..` escapes.
    UdevEscape,
    /// No filesystem UUID.
    BadUuid,
    /// No partition UUID.
    BadPartUuid,
    /// Something other than `/PARTNROFF=N` after a partition UUID.
    BadOffset,
    /// An empty label, or one with a double quote in it, which a command line cannot carry.
    BadLabel,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownForm => "it names no device",
            Self::BadPath => "the path has an empty part, `.` or `..` in it",
            Self::NeedsUdev => "only udev makes this link, and no udev runs in the initramfs",
            Self::UdevEscape => "udev's escapes are not read here; write the label itself, as LABEL=\"…\"",
            Self::BadUuid => "a filesystem UUID has hexadecimal digits and dashes only",
            Self::BadPartUuid => {
                "a partition UUID is 8-4-4-4-12 hexadecimal digits (GPT) or 8-2 with the number from 01 (MBR)"
            }
            Self::BadOffset => "only /PARTNROFF=N with a whole number may follow a partition UUID",
            Self::BadLabel => "a label is not empty and has no double quote in it",
        })
    }
}

impl core::error::Error for SpecError {}

/// Reads exactly `digits` hexadecimal digits, at most eight.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if valid { u32::from_str_radix(text, 16).ok() } else { None }
}

fn label(text: &str) -> Result<&str, SpecError> {
    if text.is_empty() || text.contains('"') { Err(SpecError::BadLabel) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
