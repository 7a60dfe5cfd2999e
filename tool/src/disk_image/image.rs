//! One raw image of a disk, or a block device.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use deployment::{ReadAt, ReadError};

use crate::error::Error;

/// The sizes of a logical sector, in the order in which they are tried.
const SECTOR_SIZES: [u32; 2] = [512, 4096];
/// What the header of a GUID partition table, at the second sector, begins with.
const GPT_SIGNATURE: &[u8; 8] = b"EFI PART";
/// What images begin with that hold a disk, but not byte for byte.
const OTHER_FORMATS: [(&[u8], &str); 7] = [
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "VMDK"),
    (b"vhdxfile", "VHDX"),
    (b"conectix", "VHD"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"\xfd7zXZ", "xz-compressed"),
    (b"\x1f\x8b", "gzip-compressed"),
];

/// A raw disk image or a block device, open for reading.
#[derive(Debug)]
pub(crate) struct DiskImage {
    path: PathBuf,
    file: File,
    size: u64,
    sector_size: u32,
}

impl DiskImage {
    /// Opens it. Without a `sector_size` that is where the header of a GUID partition table says, else 512.
    pub(crate) fn open(path: &Path, sector_size: Option<u32>) -> Result<Self, Error> {
        let failed = |why| Error::file("cannot read disk image", path, &why);
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(Error::usage("cannot read disk image", path.display(), "it is a folder"));
        }
        // A block device has no length in its metadata, but it has an end.
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut image = Self { path: path.to_owned(), file, size, sector_size: SECTOR_SIZES[0] };
        image.check_format()?;
        image.sector_size = sector_size.unwrap_or_else(|| image.detected_sector_size());
        // The kernel knows whole sectors only.
        image.size -= size % u64::from(image.sector_size);
        Ok(image)
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of its logical sectors in bytes.
    pub(crate) fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn check_format(&self) -> Result<(), Error> {
        let found = OTHER_FORMATS.iter().find(|(magic, _)| self.has(0, magic));
        found.map_or(Ok(()), |(_, format)| {
            Err(Error::usage("cannot read disk image", self.path.display(), format!("it is {format}, not raw"))
                .advice("Convert it first: a raw image holds the disk byte for byte (qemu-img convert -O raw)."))
        })
    }

    fn detected_sector_size(&self) -> u32 {
        let found = SECTOR_SIZES.into_iter().find(|size| self.has(u64::from(*size), GPT_SIGNATURE));
        found.unwrap_or(SECTOR_SIZES[0])
    }

    fn has(&self, offset: u64, magic: &[u8]) -> bool {
        let mut found = vec![0; magic.len()];
        self.read_exact_at(offset, &mut found).is_ok() && found == magic
    }
}

impl ReadAt for DiskImage {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(ReadError::OutOfRange);
        }
        // Without an error number it is the end of a file that has just been cut.
        let device_error =
            |error: std::io::Error| error.raw_os_error().map_or(ReadError::OutOfRange, ReadError::Device);
        self.file.read_exact_at(buffer, offset).map_err(device_error)
    }

    fn size(&self) -> u64 {
        self.size
    }
}
