//! Disk images as the machine would see them: `vda`, `vdb` … in the order given.

mod image;

use std::path::Path;
use std::rc::Rc;

use deployment::facts::{DiskIdentity, scan_disk};
use deployment::read::Window;
use deployment::{DeviceNumber, Facts, ReadAt, ReadError};

use crate::error::Error;

pub(crate) use image::DiskImage;

/// Numbers that the kernel sets aside for each virtio disk and its partitions.
const MINORS_PER_DISK: u32 = 16;
/// A number that the kernel gives to drivers without one of their own.
const MAJOR: u32 = 254;

/// How images are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// The size of a logical sector in bytes; found out when `None`.
    pub(crate) sector_size: Option<u32>,
    /// Whether partitions are shown of a table of which only the backup is sound: the kernel does so only with `gpt` on
    /// its command line.
    pub(crate) backup_table: bool,
}

/// The disks of a machine that has these images for disks.
#[derive(Debug)]
pub(crate) struct Disks {
    images: Vec<Rc<DiskImage>>,
    facts: Box<Facts>,
}

impl Disks {
    /// Opens the images and reads their partition tables and superblocks. An image that is not a raw one is a wrong
    /// request; what is wrong inside of one is among the facts.
    pub(crate) fn open<P: AsRef<Path>>(paths: &[P], reading: Reading) -> Result<Self, Error> {
        let mut disks = Self { images: Vec::new(), facts: Box::new(Facts::new()) };
        for path in paths {
            disks.add(path.as_ref(), reading)?;
        }
        Ok(disks)
    }

    fn add(&mut self, path: &Path, reading: Reading) -> Result<(), Error> {
        let image = DiskImage::open(path, reading.sector_size)?;
        let index = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
        let identity = DiskIdentity {
            name: &disk_name(index),
            number: DeviceNumber { major: MAJOR, minor: index.saturating_mul(MINORS_PER_DISK) },
            sector_size: image.sector_size(),
            read_only: false,
        };
        scan_disk(&mut self.facts, &image, &identity, reading.backup_table)
            .map_err(|full| Error::bad("cannot take all partitions of disk image", path.display(), full))?;
        self.images.push(Rc::new(image));
        Ok(())
    }

    /// What is on them.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The image that is the disk with this kernel name.
    pub(crate) fn image(&self, disk: &str) -> Option<&Rc<DiskImage>> {
        let index = (0..).zip(&self.images).find(|(index, _)| disk_name(*index) == disk);
        index.map(|(_, image)| image)
    }

    /// The content of the disk or partition with this kernel name.
    pub(crate) fn content(&self, name: &str) -> Option<Content> {
        let device = self.facts.device(name)?;
        let start = device.partition.as_ref().map_or(0, |partition| partition.start);
        let image = self.image(device.disk_name())?;
        let size = device.size.min(image.size().saturating_sub(start));
        Some(Content { image: Rc::clone(image), start, size })
    }
}

/// The content of a disk or of one of its partitions.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    image: Rc<DiskImage>,
    start: u64,
    size: u64,
}

impl ReadAt for Content {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        Window::new(&*self.image, self.start, self.size).read_exact_at(offset, buffer)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// The kernel's name of the virtio disk with this number, from 0: `vda` … `vdz`, `vdaa` ….
fn disk_name(index: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = Some(index);
    while let Some(number) = rest {
        letters.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or_default()));
        rest = (number / 26).checked_sub(1);
    }
    "vd".chars().chain(letters.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests;
