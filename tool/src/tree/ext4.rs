//! An ext2, ext3 or ext4 filesystem, read without mounting it.

use std::error::Error as StdError;

use deployment::tree::{FileKind, Status, Tree, TreeError};
use deployment::{ReadAt, ReadError};
use ext4_view::{Ext4, Ext4Error, Ext4Read, File, Metadata, PathBuf};

use super::parts;
use crate::disk_image::Content;

/// An error number that stands for what is damaged (`EUCLEAN`), and one for what this program cannot read (`EOPNOTSUPP`).
const DAMAGED: i32 = nix::errno::Errno::EUCLEAN as i32;
const CANNOT_READ: i32 = nix::errno::Errno::EOPNOTSUPP as i32;

/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;

/// A filesystem of the ext family. A journal that was not written back is taken into account, as a mount would.
pub(crate) struct Ext4Tree(Ext4);

/// A device, as the reader of the filesystem wants it.
struct Device(Content);

impl Ext4Read for Device {
    fn read(&mut self, start: u64, buffer: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.read_exact_at(start, buffer).map_err(|why| Box::new(why).into())
    }
}

impl Ext4Tree {
    /// Reads what is on a device, or says why it cannot be read.
    pub(crate) fn open(device: Content) -> Result<Self, String> {
        Ext4::load(Box::new(Device(device))).map(Self).map_err(|why| why.to_string())
    }

    /// The path of what is at `path` and what it is, if no link leads there.
    fn find(&self, path: &str) -> Result<(PathBuf, Metadata), TreeError> {
        let mut found = PathBuf::new("/");
        let mut metadata = self.0.symlink_metadata(&found).map_err(|why| explain(&why))?;
        for part in parts(path)? {
            match kind_of(&metadata) {
                FileKind::Directory => {}
                FileKind::Link => return Err(TreeError::Link),
                FileKind::File | FileKind::Other => return Err(TreeError::WrongKind),
            }
            if part.len() > LONGEST_NAME || part.contains('\0') {
                return Err(TreeError::Missing);
            }
            found = found.join(part);
            metadata = self.0.symlink_metadata(&found).map_err(|why| explain(&why))?;
        }
        Ok((found, metadata))
    }

    fn open_file(&self, path: &str) -> Result<(File, u64), TreeError> {
        let (found, metadata) = self.find(path)?;
        match kind_of(&metadata) {
            FileKind::File => Ok((self.0.open(&found).map_err(|why| explain(&why))?, metadata.len())),
            FileKind::Link => Err(TreeError::Link),
            FileKind::Directory | FileKind::Other => Err(TreeError::WrongKind),
        }
    }
}

impl Tree for Ext4Tree {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        let (file, size) = self.open_file(path)?;
        let too_long = TreeError::TooLong(buffer.len());
        let room = usize::try_from(size).ok().and_then(|size| buffer.get_mut(..size)).ok_or(too_long)?;
        fill(file, 0, room)?;
        Ok(room)
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        let (file, size) = self.open_file(path)?;
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= size => fill(file, offset, buffer),
            _ => Err(TreeError::Failed(nix::errno::Errno::EIO as i32)),
        }
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let (found, metadata) = self.find(path)?;
        if kind_of(&metadata) != FileKind::Link {
            return Err(TreeError::WrongKind);
        }
        let target = self.0.read_link(&found).map_err(|why| explain(&why))?;
        let target: &[u8] = target.as_ref();
        let too_long = TreeError::TooLong(buffer.len());
        let room = buffer.get_mut(..target.len()).ok_or(too_long)?;
        room.copy_from_slice(target);
        std::str::from_utf8(room).map_err(|_| TreeError::NoText)
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        let (found, metadata) = self.find(path)?;
        match kind_of(&metadata) {
            FileKind::Directory => {}
            FileKind::Link => return Err(TreeError::Link),
            FileKind::File | FileKind::Other => return Err(TreeError::WrongKind),
        }
        for entry in self.0.read_dir(&found).map_err(|why| explain(&why))? {
            let entry = entry.map_err(|why| explain(&why))?;
            match entry.file_name().as_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) if !visit(name) => break,
                Ok(_) => {}
            }
        }
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let (_, metadata) = self.find(path)?;
        let modified = u64::try_from(metadata.modified().seconds()).unwrap_or(0);
        // Numbers that only a mount gives out; they tell nothing apart here.
        Ok(Status { kind: kind_of(&metadata), size: metadata.len(), device: 0, inode: 0, modified })
    }

    fn verity_digest(&self, path: &str, _: &mut [u8; 64]) -> Result<usize, TreeError> {
        self.open_file(path)?;
        Err(TreeError::Unknown)
    }

    fn subvolume<'b>(&self, _: Option<u64>, _: &'b mut [u8]) -> Result<&'b str, TreeError> {
        Err(TreeError::Unsupported)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        self.find(path)?;
        Err(TreeError::Unsupported)
    }
}

fn fill(mut file: File, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
    file.seek_to(offset).map_err(|why| explain(&why))?;
    let mut rest = buffer;
    while !rest.is_empty() {
        match file.read_bytes(rest).map_err(|why| explain(&why))? {
            // It is shorter than its inode says.
            0 => return Err(TreeError::Failed(DAMAGED)),
            read => rest = &mut rest[read..],
        }
    }
    Ok(())
}

fn kind_of(metadata: &Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_regular_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Link
    } else {
        FileKind::Other
    }
}

fn explain(why: &Ext4Error) -> TreeError {
    match why {
        Ext4Error::NotFound => TreeError::Missing,
        Ext4Error::IsADirectory | Ext4Error::NotADirectory | Ext4Error::IsASpecialFile | Ext4Error::NotASymlink => {
            TreeError::WrongKind
        }
        Ext4Error::Encrypted | Ext4Error::Incompatible(_) => TreeError::Failed(CANNOT_READ),
        _ => match why.as_io().and_then(|why| why.downcast_ref::<ReadError>()) {
            Some(ReadError::Device(errno)) => TreeError::Failed(*errno),
            _ => TreeError::Failed(DAMAGED),
        },
    }
}
