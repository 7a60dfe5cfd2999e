//! A mounted filesystem as something to look into.

use deployment::tree::{FileKind, Status, Tree, TreeError};
use sys::Errno;
use sys::file::{self, AsFd, BorrowedFd, Kind, OwnedFd};

/// The longest name that Linux's filesystems take, in bytes.
const MAX_NAME: usize = 255;

/// A directory of the running kernel, with all that is below it.
#[derive(Debug)]
pub struct MountedTree(OwnedFd);

impl MountedTree {
    /// The directory at `path`.
    pub fn open(path: &str) -> Result<Self, Errno> {
        file::open_directory(path).map(Self)
    }

    /// A handle on it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn open_file(&self, path: &str) -> Result<OwnedFd, TreeError> {
        file::open_file_beneath(self.as_fd(), here(path)).map_err(explain)
    }
}

/// The path as the kernel takes it, for which an empty one is nothing at all.
fn here(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn explain(errno: Errno) -> TreeError {
    match errno {
        Errno::NOENT => TreeError::Missing,
        Errno::LOOP | Errno::XDEV => TreeError::Link,
        Errno::NOTDIR | Errno::ISDIR | Errno::INVAL => TreeError::WrongKind,
        // Nobody will find a name that is longer than the kernel takes.
        Errno::NAMETOOLONG => TreeError::TooLong(MAX_NAME),
        Errno::NODATA | Errno::OPNOTSUPP | Errno::NOTTY => TreeError::Unsupported,
        errno => TreeError::Failed(errno.raw_os_error()),
    }
}

/// As [`explain`], where something is read that is to be text. Filesystems give the same error for damaged metadata.
fn explain_text(errno: Errno) -> TreeError {
    if errno == Errno::BADMSG { TreeError::NoText } else { explain(errno) }
}

/// As `explain` does, where what is read has to fit into this many bytes.
fn within(room: usize, explain: fn(Errno) -> TreeError) -> impl Fn(Errno) -> TreeError {
    move |errno| match errno {
        Errno::FBIG | Errno::NAMETOOLONG => TreeError::TooLong(room),
        errno => explain(errno),
    }
}

impl Tree for MountedTree {
    fn read<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        let room = buffer.len();
        file::read_beneath(self.as_fd(), here(path), buffer).map_err(within(room, explain))
    }

    fn read_exact_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<(), TreeError> {
        file::read_exact_at(self.open_file(path)?.as_fd(), offset, buffer).map_err(explain)
    }

    fn read_link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let room = buffer.len();
        file::read_link_beneath(self.as_fd(), here(path), buffer).map_err(within(room, explain_text))
    }

    fn list(&self, path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), TreeError> {
        file::visit_directory_beneath(self.as_fd(), here(path), visit).map_err(explain)
    }

    fn status(&self, path: &str) -> Result<Status, TreeError> {
        let status = file::status_beneath(self.as_fd(), here(path)).map_err(explain)?;
        let kind = match status.kind {
            Kind::File => FileKind::File,
            Kind::Directory => FileKind::Directory,
            Kind::Link => FileKind::Link,
            Kind::Other => FileKind::Other,
        };
        let sys::file::Status { size, device, inode, modified, .. } = status;
        Ok(Status { kind, size, device, inode, modified })
    }

    fn verity_digest(&self, path: &str, digest: &mut [u8; 64]) -> Result<usize, TreeError> {
        let found = sys::file_verity::measure(self.open_file(path)?.as_fd()).map_err(explain)?;
        let room = digest.get_mut(..found.bytes.len()).ok_or(TreeError::TooLong(64))?;
        room.copy_from_slice(&found.bytes);
        Ok(found.bytes.len())
    }

    fn subvolume<'b>(&self, number: Option<u64>, buffer: &'b mut [u8]) -> Result<&'b str, TreeError> {
        let room = buffer.len();
        let top = file::open_readable_directory_beneath(self.as_fd(), ".").map_err(explain)?;
        let number = number.map_or_else(|| sys::btrfs::default_subvolume(top.as_fd()), Ok);
        let path = number.and_then(|number| sys::btrfs::subvolume_path(top.as_fd(), number)).map_err(explain_text)?;
        let place = buffer.get_mut(..path.len()).ok_or(TreeError::TooLong(room))?;
        place.copy_from_slice(path.as_bytes());
        core::str::from_utf8(place).map_err(|_| TreeError::NoText)
    }

    fn is_read_only_subvolume(&self, path: &str) -> Result<bool, TreeError> {
        let directory = file::open_readable_directory_beneath(self.as_fd(), here(path)).map_err(explain)?;
        sys::btrfs::is_read_only(directory.as_fd()).map_err(explain)
    }
}
