//! Files inside a directory that others have written: no symbolic link is followed, and the directory is never left.
//!
//! `directory` is any handle on one; paths are relative to it, without a slash at their beginning or end, and `.` is the
//! directory itself. A link on the way is an error (`ELOOP`), as is a way out (`EXDEV`). What changes something stays
//! on the directory's own mount as well (`EXDEV`).

use rustix::fs::{Mode, OFlags, RenameFlags, ResolveFlags};

use crate::Errno;
use crate::file::{AsFd as _, BorrowedFd, Kind, OwnedFd, Status, read_whole, status, visit_names};
use crate::text::{Room, c};

/// How [`open_beneath`] treats symbolic links (openat2(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Followed, with the directory as the root that no link leads out of (`RESOLVE_IN_ROOT`).
    FollowInside,
    /// Refused, at every component (`RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`).
    Refuse,
}

/// No symbolic link, and no way out of the directory.
const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
/// Nothing on another mount either.
const SAME_MOUNT: ResolveFlags = INSIDE.union(ResolveFlags::NO_XDEV);

/// Finds `path` under `directory` without ever leaving it, as a handle for [`status`] (`O_PATH`).
pub fn open_beneath(directory: BorrowedFd<'_>, path: &str, links: Links) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::FollowInside => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        Links::Refuse => INSIDE,
    };
    open(directory, path, OFlags::PATH, resolve)
}

/// A handle on the directory at `path` (`O_PATH`, openat2(2)).
pub fn open_directory_beneath(directory: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    open(directory, path, OFlags::PATH | OFlags::DIRECTORY, INSIDE)
}

/// Opens the directory at `path` for reading, as ioctls want it (openat2(2)).
pub fn open_readable_directory_beneath(directory: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    open(directory, path, OFlags::RDONLY | OFlags::DIRECTORY, INSIDE)
}

/// Opens the regular file at `path` for reading (openat2(2)).
///
/// # Errors
/// `EISDIR` where it is a directory, `EINVAL` where it is neither that nor a regular file.
pub fn open_file_beneath(directory: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    // Opening is enough to start a watchdog or to wind a tape, so what it is is seen before.
    require_regular(status_beneath(directory, path)?)?;
    open_regular(directory, path, OFlags::RDONLY, INSIDE)
}

/// Opens the regular file at `path` for reading and writing (openat2(2)). Where it is missing and `create` is set, it is
/// made, empty, with mode 0600.
///
/// # Errors
/// As [`open_file_beneath`].
pub fn open_writable_beneath(directory: BorrowedFd<'_>, path: &str, create: bool) -> Result<OwnedFd, Errno> {
    let making = match status_beneath(directory, path) {
        Err(Errno::NOENT) if create => OFlags::CREATE | OFlags::EXCL,
        found => require_regular(found?).map(|()| OFlags::empty())?,
    };
    open_regular(directory, path, OFlags::RDWR | making, SAME_MOUNT)
}

/// Reads the regular file at `path`. One that is longer than `buffer` is an error (`EFBIG`).
///
/// # Errors
/// As [`open_file_beneath`].
pub fn read_beneath<'b>(directory: BorrowedFd<'_>, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    read_whole(open_file_beneath(directory, path)?.as_fd(), buffer)
}

/// Where the symbolic link at `path` leads, as text in `buffer` (readlinkat(2)).
///
/// # Errors
/// `EINVAL` where it is no link, `ENAMETOOLONG` where its text does not fit with a byte to spare, `EBADMSG` where that is
/// not UTF-8.
pub fn read_link_beneath<'b>(directory: BorrowedFd<'_>, path: &str, buffer: &'b mut [u8]) -> Result<&'b str, Errno> {
    let (parent, name) = parent(directory, path, INSIDE)?;
    let length = rustix::fs::readlinkat_raw(parent, c(name, &mut Room::new())?, &mut *buffer)?;
    if length == buffer.len() {
        // The kernel cuts what does not fit without a word.
        return Err(Errno::NAMETOOLONG);
    }
    core::str::from_utf8(buffer.get(..length).unwrap_or_default()).map_err(|_| Errno::BADMSG)
}

/// The status of what is at `path`, a link itself included (openat2(2), fstat(2)).
pub fn status_beneath(directory: BorrowedFd<'_>, path: &str) -> Result<Status, Errno> {
    status(open(directory, path, OFlags::PATH | OFlags::NOFOLLOW, INSIDE)?.as_fd())
}

/// As [`visit_directory`](crate::file::visit_directory), for the directory at `path`.
pub fn visit_directory_beneath(
    directory: BorrowedFd<'_>,
    path: &str,
    visit: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Errno> {
    visit_names(open(directory, path, OFlags::RDONLY | OFlags::DIRECTORY, INSIDE)?.as_fd(), visit)
}

/// Makes a directory with `mode` in one that exists (mkdirat(2)). One that is there already is fine; anything else at
/// `path` is an error (`ENOTDIR`).
pub fn make_directory_beneath(directory: BorrowedFd<'_>, path: &str, mode: u32) -> Result<(), Errno> {
    let (parent, name) = parent(directory, path, SAME_MOUNT)?;
    match rustix::fs::mkdirat(parent, c(name, &mut Room::new())?, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) if status_beneath(directory, path)?.kind == Kind::Directory => Ok(()),
        Err(Errno::EXIST) => Err(Errno::NOTDIR),
        result => result,
    }
}

/// Gives what is at `from` the name `to`, which must be free (renameat2(2), `RENAME_NOREPLACE`). To last, the directory
/// must be [written out](sync_directory_beneath).
///
/// # Errors
/// `EEXIST` where something has that name, `EINVAL` where the filesystem cannot rename without replacing.
pub fn rename_beneath(directory: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
    let (old_parent, old) = parent(directory, from, SAME_MOUNT)?;
    let (new_parent, new) = parent(directory, to, SAME_MOUNT)?;
    let (mut old_room, mut new_room) = (Room::new(), Room::new());
    let (old, new) = (c(old, &mut old_room)?, c(new, &mut new_room)?);
    rustix::fs::renameat_with(old_parent, old, new_parent, new, RenameFlags::NOREPLACE)
}

/// Puts the names in the directory at `path` on the medium (fsync(2)).
pub fn sync_directory_beneath(directory: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    rustix::fs::fsync(open(directory, path, OFlags::RDONLY | OFlags::DIRECTORY, INSIDE)?)
}

fn open(directory: BorrowedFd<'_>, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    // The kernel refuses a mode where nothing can be made.
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    let (mut room, flags) = (Room::new(), flags | OFlags::CLOEXEC);
    let path = c(path, &mut room)?;
    for _ in 0..MAX_TRIES {
        match rustix::fs::openat2(directory, path, flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            found => return found,
        }
    }
    Err(Errno::AGAIN)
}

/// How often a path is looked up where something was renamed or mounted at the same moment: the kernel cannot tell then
/// whether it was left (openat2(2), `EAGAIN`).
const MAX_TRIES: usize = 100;

/// Opens what was a regular file a moment ago. A pipe that has taken its place is not waited for.
fn open_regular(directory: BorrowedFd<'_>, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let file = open(directory, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, resolve)?;
    require_regular(status(file.as_fd())?).map(|()| file)
}

fn require_regular(status: Status) -> Result<(), Errno> {
    match status.kind {
        Kind::File => Ok(()),
        Kind::Directory => Err(Errno::ISDIR),
        Kind::Link => Err(Errno::LOOP),
        Kind::Other => Err(Errno::INVAL),
    }
}

/// A handle on the directory that holds the last component of `path`, and that component, which must be a name.
fn parent<'p>(directory: BorrowedFd<'_>, path: &'p str, resolve: ResolveFlags) -> Result<(OwnedFd, &'p str), Errno> {
    let (parent, name) = match path.rsplit_once('/') {
        None => (".", path),
        // The kernel says what it thinks of that.
        Some(("", name)) => ("/", name),
        Some(both) => both,
    };
    if matches!(name, "" | "." | "..") {
        return Err(Errno::INVAL);
    }
    Ok((open(directory, parent, OFlags::PATH | OFlags::DIRECTORY, resolve)?, name))
}

#[cfg(test)]
mod tests;
