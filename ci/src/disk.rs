//! Disk images with a GUID partition table, and surgical damage to them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gptman::{GPT, GPTPartitionEntry};

use crate::cache::Key;
use crate::command::{command, run};
use crate::verity::HashTree;

/// Type GUIDs of the Discoverable Partitions Specification (UAPI group) for x86-64.
pub mod types {
    /// Root filesystem.
    pub const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
    /// Hash tree of the root filesystem.
    pub const ROOT_VERITY: &str = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5";
    /// `/usr` filesystem.
    pub const USR: &str = "8484680c-9521-48c6-9c11-b0720656f69e";
    /// Hash tree of the `/usr` filesystem.
    pub const USR_VERITY: &str = "77ff5f63-e7b6-4633-acf4-1565b864c0e6";
    /// `/var`, which holds the writable layers.
    pub const VAR: &str = "4d21b016-b534-45c2-a9fb-5c16e091fd2d";
    /// Any Linux data.
    pub const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
}

/// Label of the partition that holds deployments inside its filesystem, and of that filesystem.
pub const SYSROOT: &str = "sysroot";

/// Sectors of 512 bytes of the primary partition table, with the protective MBR before it; the backup has one less.
pub const TABLE_SECTORS: u64 = 34;

/// Copies a disk image, its holes included.
///
/// # Errors
/// What cp(1) says.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    run(command("cp").arg("--sparse=always").args([from, to])).map(drop)
}

/// A partition that is to be made.
#[derive(Clone, Debug)]
pub struct Partition {
    label: String,
    kind: String,
    uuid: String,
    content: Option<PathBuf>,
    bytes: u64,
    attributes: u64,
}

impl Partition {
    /// A partition that holds a copy of the file `content`, `kind` being its type GUID.
    pub fn new(label: &str, kind: &str, content: &Path) -> Self {
        // Any UUID will do, as long as it is the same each time and no two partitions of a disk share it.
        let uuid = format!("5afe0b07-0000-4000-9000-0000{:.8}", Key::default().text(label).hex());
        let content = Some(content.to_owned());
        Self { label: label.to_owned(), kind: kind.to_owned(), uuid, content, bytes: 0, attributes: 0 }
    }

    /// A partition that holds a filesystem with deployments, as the Discoverable Partitions Specification has it for roots.
    pub fn sysroot(filesystem: &Path) -> Self {
        Self::new(SYSROOT, types::ROOT, filesystem)
    }

    /// A partition that holds a filesystem for the writable layers.
    pub fn state(filesystem: &Path) -> Self {
        Self::new("state", types::VAR, filesystem)
    }

    /// A partition of `bytes` zeros.
    pub fn zeros(label: &str, kind: &str, bytes: u64) -> Self {
        Self { content: None, bytes, ..Self::new(label, kind, Path::new("")) }
    }

    /// Makes the partition at least this long.
    #[must_use]
    pub fn at_least(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Gives the partition attribute bits (the `u64` of its entry).
    #[must_use]
    pub fn attributes(mut self, bits: u64) -> Self {
        self.attributes = bits;
        self
    }

    fn length(&self) -> Result<u64> {
        let Some(content) = &self.content else { return Ok(self.bytes) };
        let length = content.metadata().with_context(|| content.display().to_string())?.len();
        Ok(length.max(self.bytes))
    }

    /// Gives the partition a PARTUUID.
    #[must_use]
    pub fn uuid(mut self, uuid: &str) -> Self {
        uuid.clone_into(&mut self.uuid);
        self
    }
}

/// The PARTUUIDs of a verity pair: the first and the last 128 bits of the root hash.
pub fn derived_uuids(root_hash: &str) -> (String, String) {
    let dashed = |hex: &str| {
        let parts = [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..32)];
        parts.map(Option::unwrap_or_default).join("-")
    };
    let last = root_hash.len().saturating_sub(32);
    (dashed(root_hash), dashed(root_hash.get(last..).unwrap_or_default()))
}

/// A verity pair with the PARTUUIDs that its root hash gives it.
pub fn verity_pair(data: &Path, tree: &HashTree) -> Vec<Partition> {
    let (data_uuid, hash_uuid) = derived_uuids(&tree.root_hash);
    vec![
        Partition::new("root", types::ROOT, data).uuid(&data_uuid),
        Partition::new("root-verity", types::ROOT_VERITY, &tree.image).uuid(&hash_uuid),
    ]
}

/// A disk image.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The image.
    pub path: PathBuf,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector: u64,
    extents: Vec<(String, u64, u64)>,
}

/// The alignment of partitions, in bytes.
const ALIGNMENT: u64 = 1 << 20;

impl Disk {
    /// Writes a disk with these partitions, in their order, to `path`.
    pub fn create(path: &Path, sector: u64, partitions: &[Partition]) -> Result<Self> {
        let mut extents = Vec::new();
        let mut end = ALIGNMENT;
        for partition in partitions {
            let bytes = partition.length()?;
            extents.push((partition.label.clone(), end, bytes));
            end = (end + bytes).next_multiple_of(ALIGNMENT);
        }
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        // The backup table follows the partitions; SD cards are powers of two.
        file.set_len((end + ALIGNMENT).next_power_of_two())?;

        let mut table = GPT::new_from(&mut file, sector, guid("5afe0b07-0000-4000-8000-0000000000d1")?)?;
        for (number, (partition, (_, start, bytes))) in (1..).zip(partitions.iter().zip(&extents)) {
            table[number] = GPTPartitionEntry {
                partition_type_guid: guid(&partition.kind)?,
                unique_partition_guid: guid(&partition.uuid)?,
                starting_lba: start / sector,
                ending_lba: (start + bytes.next_multiple_of(sector)) / sector - 1,
                attribute_bits: partition.attributes,
                partition_name: partition.label.as_str().into(),
            };
            if let Some(content) = &partition.content {
                copy_sparse(content, &file, *start)?;
            }
        }
        GPT::write_protective_mbr_into(&mut file, sector)?;
        table.write_into(&mut file)?;
        Ok(Self { path: path.to_owned(), sector, extents })
    }

    /// Where a partition's content starts, in bytes, and how long it is.
    ///
    /// # Errors
    /// When the disk has no partition of this label.
    pub fn extent(&self, label: &str) -> Result<(u64, u64)> {
        let found = self.extents.iter().find(|(name, ..)| name == label);
        found.map(|(_, start, bytes)| (*start, *bytes)).with_context(|| format!("no partition {label}"))
    }

    /// Whether the byte at `offset` of the disk is in a partition.
    pub fn is_in_partition(&self, offset: u64) -> bool {
        self.extents.iter().any(|(_, start, bytes)| (*start..start + bytes).contains(&offset))
    }

    /// Flips the lowest bit of the byte at `offset` of a partition.
    pub fn flip_bit(&self, label: &str, offset: u64) -> Result<()> {
        let mut byte = [0];
        let (start, bytes) = self.extent(label)?;
        ensure!(offset < bytes, "{label} has only {bytes} bytes");
        let file = File::options().read(true).write(true).open(&self.path)?;
        file.read_exact_at(&mut byte, start + offset)?;
        byte[0] ^= 1;
        Ok(file.write_all_at(&byte, start + offset)?)
    }

    /// Overwrites part of a partition.
    pub fn overwrite(&self, label: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let (start, length) = self.extent(label)?;
        ensure!(offset + bytes.len() as u64 <= length, "{label} has only {length} bytes");
        Ok(File::options().write(true).open(&self.path)?.write_all_at(bytes, start + offset)?)
    }

    /// Overwrites any part of the disk.
    pub fn overwrite_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        Ok(File::options().write(true).open(&self.path)?.write_all_at(bytes, offset)?)
    }

    /// A partition's whole content.
    pub fn read(&self, label: &str) -> Result<Vec<u8>> {
        let (start, length) = self.extent(label)?;
        let mut content = vec![0; usize::try_from(length)?];
        File::open(&self.path)?.read_exact_at(&mut content, start)?;
        Ok(content)
    }

    /// The first place in a partition where `needle` stands.
    pub fn find(&self, label: &str, needle: &[u8]) -> Result<u64> {
        let content = self.read(label)?;
        let place = content.windows(needle.len()).position(|window| window == needle);
        Ok(place.with_context(|| format!("{label} does not hold what was looked for"))? as u64)
    }
}

/// Bytes of a GUID's text as they stand in a GPT (UEFI specification, appendix A: the first three fields are
/// little-endian).
fn guid(text: &str) -> Result<[u8; 16]> {
    let number = u128::from_str_radix(&text.replace('-', ""), 16).with_context(|| format!("{text} is no GUID"))?;
    let mut bytes = number.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Ok(bytes)
}

/// Copies a file, leaving out blocks of zeros.
fn copy_sparse(from: &Path, to: &File, start: u64) -> Result<()> {
    let (mut from, mut to) = (File::open(from)?, to);
    let mut block = vec![0; 1 << 16];
    let mut offset = start;
    loop {
        let count = from.read(&mut block)?;
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        if bytes.iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(offset))?;
            to.write_all(bytes)?;
        }
        offset += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_mixed_endian() {
        let bytes = guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").unwrap();
        let expected = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn uuids_are_both_ends_of_the_root_hash() {
        let hash = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
        let expected = ("00112233-4455-6677-8899-aabbccddeeff", "01234567-89ab-cdef-0123-456789abcdef");
        let (data, tree) = derived_uuids(hash);
        assert_eq!((data.as_str(), tree.as_str()), expected);
    }

    #[test]
    fn partitions_hold_their_content() {
        let scratch = tempfile::tempdir().unwrap();
        let content = scratch.path().join("content");
        std::fs::write(&content, [vec![0; 70_000], b"needle".to_vec()].concat()).unwrap();
        for sector in [512, 4096] {
            let b = Partition::new("b", types::VAR, &content).attributes(1 << 63);
            let c = Partition::zeros("c", types::LINUX, 4096).at_least(8192);
            let partitions = [Partition::new("a", types::LINUX, &content), b, c];
            let disk = Disk::create(&scratch.path().join("disk"), sector, &partitions).unwrap();
            assert_eq!(disk.extent("b").unwrap(), (2 << 20, 70_006));
            assert_eq!(disk.find("b", b"needle").unwrap(), 70_000);
            disk.flip_bit("b", 70_000).unwrap();
            assert_eq!(disk.find("b", b"oeedle").unwrap(), 70_000);
            assert_eq!(disk.find("a", b"needle").unwrap(), 70_000);

            let table = GPT::read_from(&mut File::open(&disk.path).unwrap(), sector).unwrap();
            let b = table.iter().find(|(_, entry)| entry.partition_name.as_str() == "b").unwrap().1;
            assert_eq!(b.starting_lba * sector, 2 << 20);
            assert_eq!(b.partition_type_guid, guid(types::VAR).unwrap());
            assert_eq!(b.attribute_bits, 1 << 63);
            assert_eq!(disk.extent("c").unwrap(), (3 << 20, 8192));
        }
    }
}
