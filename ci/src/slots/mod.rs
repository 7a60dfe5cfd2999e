//! Disks with several root slots, each a root and its hash tree, and one state partition that they share.

pub mod cuts;
pub mod machine;
pub mod sectors;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cgpt::{self, Counters};
use crate::disk::{self, Disk, Partition, types};
use crate::filesystem::{self, Filesystem};
use crate::tree::Tree;
use crate::verity::{self, HashTree};

pub use machine::SlotMachine;

/// Label of a slot that holds nothing.
pub const EMPTY: &str = "_empty";
/// Bytes of every slot's root partition: updates may be larger than what they replace.
const ROOT_BYTES: u64 = 16 << 20;
/// Bytes of every slot's hash partition.
const HASH_BYTES: u64 = 1 << 20;
const STATE_BYTES: u64 = 32 << 20;

/// A root image and its hash tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The root filesystem.
    pub data: PathBuf,
    /// Its hash tree.
    pub tree: HashTree,
}

impl Image {
    /// An erofs of the files, with a hash tree of veritysetup's defaults.
    ///
    /// # Errors
    /// When mkfs.erofs or veritysetup fails.
    pub fn of(tree: &Tree) -> Result<Self> {
        let data = Filesystem::Erofs.image(tree)?;
        let tree = verity::format(&data, &[])?;
        Ok(Self { data, tree })
    }
}

/// A slot that is to be made.
#[derive(Clone, Debug)]
pub struct Slot {
    label: String,
    image: Option<Image>,
    counters: Counters,
    attributes: u64,
}

impl Slot {
    /// A slot that holds an image.
    pub fn new(label: &str, image: &Image, counters: Counters) -> Self {
        Self { label: label.to_owned(), image: Some(image.clone()), counters, attributes: 0 }
    }

    /// A slot that holds zeros.
    pub fn empty() -> Self {
        Self { label: EMPTY.to_owned(), image: None, counters: Counters::default(), attributes: 0 }
    }

    /// Gives the root partition more attribute bits.
    #[must_use]
    pub fn attributes(mut self, bits: u64) -> Self {
        self.attributes = bits;
        self
    }

    /// The root partition and the hash partition. `number` counts slots from 1.
    fn partitions(&self, number: usize) -> Vec<Partition> {
        let hash_label = if self.label == EMPTY { EMPTY.to_owned() } else { format!("{}-verity", self.label) };
        let (data, hash) = if let Some(image) = &self.image {
            let (data, hash) = disk::derived_uuids(&image.tree.root_hash);
            let root = Partition::new(&self.label, types::ROOT, &image.data).uuid(&data);
            (root, Partition::new(&hash_label, types::ROOT_VERITY, &image.tree.image).uuid(&hash))
        } else {
            let uuid = |last| format!("5afe0b07-0000-4000-a000-00000000{number:02x}{last}");
            let root = Partition::zeros(&self.label, types::ROOT, ROOT_BYTES).uuid(&uuid("0a"));
            (root, Partition::zeros(&hash_label, types::ROOT_VERITY, HASH_BYTES).uuid(&uuid("0b")))
        };
        vec![data.at_least(ROOT_BYTES).attributes(self.attributes), hash.at_least(HASH_BYTES)]
    }
}

/// A disk with slots. Partitions 1 and 2 are the first slot's root and hash tree, 3 and 4 the second's, and so on; the
/// state partition comes last.
#[derive(Clone, Debug)]
pub struct SlotDisk {
    /// The disk. It knows partitions by the labels that they were made with.
    pub disk: Disk,
    slots: Vec<Slot>,
}

impl SlotDisk {
    /// Writes a disk to `path`; cgpt sets the slots' counters.
    ///
    /// # Errors
    /// When the disk cannot be written, or cgpt fails.
    pub fn create(path: &Path, slots: &[Slot]) -> Result<Self> {
        let state = filesystem::empty_ext4(STATE_BYTES)?;
        let slot_partitions = (1..).zip(slots).flat_map(|(number, slot)| slot.partitions(number));
        let partitions: Vec<_> = slot_partitions.chain([Partition::state(&state)]).collect();
        let made = Self { disk: Disk::create(path, 512, &partitions)?, slots: slots.to_vec() };
        for (index, slot) in slots.iter().enumerate() {
            cgpt::set(path, index * 2 + 1, slot.counters)?;
        }
        Ok(made)
    }

    /// The number of a slot's root partition, by the label that it was made with.
    ///
    /// # Errors
    /// When there is no such slot.
    pub fn root_number(&self, label: &str) -> Result<usize> {
        let index = self.slots.iter().position(|slot| slot.label == label);
        Ok(index.with_context(|| format!("no slot {label}"))? * 2 + 1)
    }

    /// A slot's counters as they are now.
    ///
    /// # Errors
    /// When there is no such slot, or cgpt fails.
    pub fn counters(&self, label: &str) -> Result<Counters> {
        cgpt::show(&self.disk.path, self.root_number(label)?)
    }

    /// Changes a slot's counters.
    ///
    /// # Errors
    /// When there is no such slot, or cgpt fails.
    pub fn set_counters(&self, label: &str, counters: Counters) -> Result<()> {
        cgpt::set(&self.disk.path, self.root_number(label)?, counters)
    }

    /// The words that let all slots boot: `surefoot.roothash=` with the root hash of each.
    pub fn accept_all(&self) -> String {
        let images = self.slots.iter().filter_map(|slot| slot.image.as_ref());
        accept(images)
    }
}

/// The word that lets these images boot.
pub fn accept<'a>(images: impl IntoIterator<Item = &'a Image>) -> String {
    let hashes: Vec<_> = images.into_iter().map(|image| image.tree.root_hash.as_str()).collect();
    format!("surefoot.roothash={}", hashes.join(","))
}
