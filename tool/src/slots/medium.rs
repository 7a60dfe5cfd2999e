//! A block device or an image of one, read and written past the page cache.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use deployment::{ReadAt, ReadError, WriteAt, WriteError};
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::disk_image::DiskImage;
use crate::error::Error;

/// What the address of a buffer must be a multiple of, and more than any device asks for, in bytes.
const ALIGNMENT: usize = 4096;

/// What a medium is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and writing, and nobody else mounts or maps the block device meanwhile.
    Exclusive,
}

/// A block device or an image file.
///
/// A block device is read and written directly. The page caches of a disk and of its partitions know nothing of each
/// other: a page of the disk's would write old bytes over a neighbouring partition's new ones.
#[derive(Debug)]
pub(crate) struct Medium {
    path: PathBuf,
    file: File,
    size: u64,
    sector_size: u32,
    direct: bool,
}

impl Medium {
    /// Opens it.
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let failed = |why: io::Error| refused(path, access, &why);
        let metadata = std::fs::metadata(path).map_err(failed)?;
        let direct = metadata.file_type().is_block_device();
        let mut flags = OFlag::empty();
        if direct {
            flags |= OFlag::O_DIRECT;
            if access == Access::Exclusive {
                flags |= OFlag::O_EXCL;
            }
        }
        let (image_size, sector_size) = if direct {
            (0, sector_size_of(metadata.rdev()))
        } else {
            let image = DiskImage::open(path, None)?;
            (image.size(), image.sector_size())
        };
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read).custom_flags(flags.bits());
        let mut file = options.open(path).map_err(failed)?;
        let size = if direct { file.seek(SeekFrom::End(0)).map_err(failed)? } else { image_size };
        Ok(Self { path: path.to_owned(), file, size, sector_size, direct })
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of its logical sectors in bytes.
    pub(crate) fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Whether it is a block device.
    pub(crate) fn is_block_device(&self) -> bool {
        self.direct
    }

    /// Waits until no other command works on it, and keeps others waiting until it is closed.
    pub(crate) fn lock(&self) -> Result<(), Error> {
        if self.file.try_lock().is_ok() {
            return Ok(());
        }
        anstream::eprintln!("surefoot: waiting for another program to be done with {}", self.path.display());
        self.file.lock().map_err(|why| Error::file("cannot lock", &self.path, &why))
    }

    /// The covering range of whole sectors: its start, where `offset` is in it, and its length.
    fn covering(&self, offset: u64, length: usize) -> (u64, usize, usize) {
        let sector = u64::from(self.sector_size);
        let start = offset - offset % sector;
        let front = usize::try_from(offset - start).unwrap_or(0);
        (start, front, (front + length).next_multiple_of(self.sector_size as usize))
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (start, front, length) = self.covering(offset, buffer.len());
        let mut aligned = Aligned::new(length);
        self.file.read_exact_at(aligned.bytes(), start)?;
        buffer.copy_from_slice(&aligned.bytes()[front..front + buffer.len()]);
        Ok(())
    }

    fn write_direct(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (start, front, length) = self.covering(offset, bytes.len());
        let mut aligned = Aligned::new(length);
        if length != bytes.len() {
            self.file.read_exact_at(aligned.bytes(), start)?;
        }
        aligned.bytes()[front..front + bytes.len()].copy_from_slice(bytes);
        self.file.write_all_at(aligned.bytes(), start)
    }
}

impl ReadAt for Medium {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(ReadError::OutOfRange);
        }
        let read = if self.direct { self.read_direct(offset, buffer) } else { self.file.read_exact_at(buffer, offset) };
        // Without an error number it is the end of a file that has just been cut.
        read.map_err(|error| error.raw_os_error().map_or(ReadError::OutOfRange, ReadError::Device))
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl WriteAt for Medium {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.size) {
            return Err(WriteError(nix::errno::Errno::ENOSPC as i32));
        }
        let written =
            if self.direct { self.write_direct(offset, bytes) } else { self.file.write_all_at(bytes, offset) };
        written.map_err(|error| write_error(&error))
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.file.sync_data().map_err(|error| write_error(&error))?;
        // What is read next comes from the medium, as far as the system lets it.
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        Ok(())
    }
}

/// Memory that a device can be told to fill.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

fn write_error(error: &io::Error) -> WriteError {
    WriteError(error.raw_os_error().unwrap_or(nix::errno::Errno::EIO as i32))
}

/// The size of the logical sectors of the block device with this number, or of the disk that it is a partition of.
fn sector_size_of(number: u64) -> u32 {
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    let folder = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    let size = ["queue/logical_block_size", "../queue/logical_block_size"].iter().find_map(|file| {
        // `..` is to be that of the link's target.
        let text = std::fs::read_to_string(folder.canonicalize().ok()?.join(file)).ok()?;
        text.trim().parse().ok()
    });
    size.unwrap_or(512)
}

fn refused(path: &Path, access: Access, why: &io::Error) -> Error {
    let error = Error::file(if access == Access::Read { "cannot read" } else { "cannot open" }, path, why);
    match why.kind() {
        io::ErrorKind::PermissionDenied => error.advice("Run it as root."),
        io::ErrorKind::ResourceBusy => error.advice("It is mounted, or in use by a device-mapper device."),
        _ => error,
    }
}
