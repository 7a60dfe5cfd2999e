//! Files and directories, without an allocator: callers bring the buffers.

mod beneath;
mod status;

use core::fmt::Write as _;

use heapless::String;
use heapless::string::StringView;
use rustix::fd::AsRawFd as _;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatVfsMountFlags};

pub use beneath::{
    Links, make_directory_beneath, open_beneath, open_directory_beneath, open_file_beneath,
    open_readable_directory_beneath, open_writable_beneath, read_beneath, read_link_beneath, rename_beneath,
    status_beneath, sync_directory_beneath, visit_directory_beneath,
};
pub use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
pub use status::{Kind, Status, status, status_of};

use crate::Errno;
use crate::directory::each_entry;
use crate::text::{Room, c};

/// Bytes of the buffer that one directory listing reads into (getdents64(2)).
const DIRECTORY_BUFFER: usize = 4096;

/// What an open file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Writing at the end only.
    Append,
    /// Writing only; the file is made, or emptied if it exists.
    Create,
}

/// Opens `path` (open(2), always close-on-exec). A new file gets mode 0644.
pub fn open(path: &str, access: Access) -> Result<OwnedFd, Errno> {
    let flags = match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::WRONLY,
        Access::Append => OFlags::WRONLY | OFlags::APPEND,
        Access::Create => OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
    };
    rustix::fs::open(c(path, &mut Room::new())?, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::from_raw_mode(0o644))
}

/// The path under which the kernel finds an open file or handle, for calls that take no descriptor. It holds as long as
/// that is open, and needs /proc (proc_pid_fd(5)).
pub fn descriptor_path(file: BorrowedFd<'_>) -> String<25> {
    let mut path = String::new();
    // The longest number has ten digits.
    let _ = write!(path, "/proc/self/fd/{}", file.as_raw_fd());
    path
}

/// Fills `buffer` from `file` until the end of either; gives the part that was filled.
pub fn read_from(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(file, rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(length)
}

/// Reads the file at `path`. One that is longer than `buffer` is an error (`EFBIG`), for half a text is none.
pub fn read<'b>(path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    read_whole(open(path, Access::Read)?.as_fd(), buffer)
}

/// As [`read`], for an open file that nothing was read of.
pub fn read_whole<'b>(file: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let length = read_from(file, buffer)?;
    if length == buffer.len() && read_from(file, &mut [0])? != 0 {
        return Err(Errno::FBIG);
    }
    buffer.get(..length).ok_or(Errno::FBIG)
}

/// Reads the text file at `path`, without the newline at its end. Text that is not UTF-8 is an error (`EBADMSG`).
pub fn read_text<'b>(path: &str, buffer: &'b mut [u8]) -> Result<&'b str, Errno> {
    let text = core::str::from_utf8(read(path, buffer)?).map_err(|_| Errno::BADMSG)?;
    Ok(text.strip_suffix('\n').unwrap_or(text))
}

/// Adds the text file at `path` to `text`. One that does not fit (`EFBIG`) or is not UTF-8 (`EBADMSG`) is an error, and
/// `text` may then hold a part of it.
pub fn append_text(path: &str, text: &mut StringView) -> Result<(), Errno> {
    let file = open(path, Access::Read)?;
    let mut chunk = [0; 512];
    let mut kept = 0;
    loop {
        let read = read_from(file.as_fd(), chunk.get_mut(kept..).unwrap_or_default())?;
        let bytes = chunk.get(..kept + read).unwrap_or_default();
        let whole = match core::str::from_utf8(bytes) {
            Ok(part) => part.len(),
            // A character that the end of the chunk cuts is completed by the next read.
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(_) => return Err(Errno::BADMSG),
        };
        let part = bytes.get(..whole).and_then(|part| core::str::from_utf8(part).ok()).unwrap_or_default();
        text.push_str(part).map_err(|_| Errno::FBIG)?;
        if read == 0 {
            return Ok(());
        }
        kept = bytes.len() - whole;
        chunk.copy_within(whole..whole + kept, 0);
    }
}

/// Reads exactly `buffer.len()` bytes from `offset` on (pread(2)); fewer are an error (`EIO`).
pub fn read_exact_at(file: BorrowedFd<'_>, mut offset: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut rest = buffer;
    while !rest.is_empty() {
        match rustix::io::pread(file, &mut *rest, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                offset += count as u64;
                rest = rest.get_mut(count..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes all of `bytes` from `offset` on (pwrite(2)).
pub fn write_all_at(file: BorrowedFd<'_>, mut offset: u64, bytes: &[u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::pwrite(file, rest, offset) {
            Ok(count) => {
                offset += count as u64;
                rest = rest.get(count..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes all of `bytes`.
pub fn write_to(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(file, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes `bytes` into the existing file at `path`, in one write(2) where the kernel takes them at once.
pub fn write(path: &str, bytes: &[u8]) -> Result<(), Errno> {
    write_to(open(path, Access::Write)?.as_fd(), bytes)
}

/// Makes the file at `path`, or replaces what it held, with `bytes`.
pub fn create(path: &str, bytes: &[u8]) -> Result<(), Errno> {
    write_to(open(path, Access::Create)?.as_fd(), bytes)
}

/// Gives the file at `path` these permission bits, whatever the umask (fchmodat(2)).
pub fn set_mode(path: &str, mode: u32) -> Result<(), Errno> {
    rustix::fs::chmodat(CWD, c(path, &mut Room::new())?, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// Whether something is at `path` (symbolic links followed). `false` where that is not known.
pub fn exists(path: &str) -> bool {
    is_there(path) == Ok(true)
}

/// Whether something is at `path` (symbolic links followed), where that can be told.
pub fn is_there(path: &str) -> Result<bool, Errno> {
    let access = |path| rustix::fs::accessat(CWD, path, rustix::fs::Access::EXISTS, AtFlags::empty());
    match c(path, &mut Room::new()).and_then(access) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Makes a directory with `mode`. One that exists is fine; anything else at `path` is an error (`ENOTDIR`).
pub fn make_directory(path: &str, mode: u32) -> Result<(), Errno> {
    match rustix::fs::mkdirat(CWD, c(path, &mut Room::new())?, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) if is_directory(path) => Ok(()),
        Err(Errno::EXIST) => Err(Errno::NOTDIR),
        other => other,
    }
}

/// Whether `path` itself, no link followed, is a directory.
pub fn is_directory(path: &str) -> bool {
    c(path, &mut Room::new())
        .and_then(|path| rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW))
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Directory)
}

/// Makes the symbolic link `path` that leads to `destination`; an existing link is replaced.
pub fn link(destination: &str, path: &str) -> Result<(), Errno> {
    let (mut room, mut path_room) = (Room::new(), Room::new());
    let (destination, path) = (c(destination, &mut room)?, c(path, &mut path_room)?);
    match rustix::fs::symlinkat(destination, CWD, path) {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(CWD, path, AtFlags::empty())?;
            rustix::fs::symlinkat(destination, CWD, path)
        }
        other => other,
    }
}

/// Where the symbolic link at `path` leads, as text in `buffer`.
pub fn read_link<'b>(path: &str, buffer: &'b mut [u8]) -> Result<&'b str, Errno> {
    read_link_at(CWD, path, buffer)
}

/// As [`read_link`], for `name` in `directory`.
pub fn read_link_at<'b>(directory: BorrowedFd<'_>, name: &str, buffer: &'b mut [u8]) -> Result<&'b str, Errno> {
    let length = rustix::fs::readlinkat_raw(directory, c(name, &mut Room::new())?, &mut *buffer)?;
    core::str::from_utf8(buffer.get(..length).unwrap_or_default()).map_err(|_| Errno::BADMSG)
}

/// Removes the file or link at `path` (unlink(2)).
pub fn remove(path: &str) -> Result<(), Errno> {
    rustix::fs::unlinkat(CWD, c(path, &mut Room::new())?, AtFlags::empty())
}

/// Removes the empty directory at `path` (rmdir(2)).
pub fn remove_directory(path: &str) -> Result<(), Errno> {
    rustix::fs::unlinkat(CWD, c(path, &mut Room::new())?, AtFlags::REMOVEDIR)
}

/// A handle on the directory at `path` (`O_PATH`).
pub fn open_directory(path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::open(c(path, &mut Room::new())?, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Calls `visit` with the name of every entry of the directory at `path`, in the kernel's order; stops where it gives
/// `false`. Names that are not UTF-8 are passed over, for no name that surefoot looks for is.
pub fn visit_directory(path: &str, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(c(path, &mut Room::new())?, flags, Mode::empty())?;
    visit_names(directory.as_fd(), visit)
}

fn visit_names(directory: BorrowedFd<'_>, visit: &mut dyn FnMut(&str) -> bool) -> Result<(), Errno> {
    let mut buffer = [0; DIRECTORY_BUFFER];
    each_entry(directory, &mut buffer, &mut |name| Ok(name.to_str().map_or(true, &mut *visit)))
}

/// Whether what is at `path` lies in memory only: a ramfs or a tmpfs, which is what an initramfs is (statfs(2)).
pub fn is_in_memory(path: &str) -> bool {
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    c(path, &mut Room::new())
        .and_then(rustix::fs::statfs)
        .is_ok_and(|status| [RAMFS_MAGIC, TMPFS_MAGIC].map(Ok).contains(&u64::try_from(status.f_type)))
}

/// Whether the filesystem at `path` takes no changes, or this mount of it does not (statvfs(2)). `false` where that is not
/// known.
pub fn is_read_only(path: &str) -> bool {
    c(path, &mut Room::new())
        .and_then(rustix::fs::statvfs)
        .is_ok_and(|status| status.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Writes out all that is in memory for the filesystem that a directory is on (syncfs(2)).
pub fn sync_filesystem(directory: &str) -> Result<(), Errno> {
    // A handle by O_PATH would not do.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::syncfs(rustix::fs::open(c(directory, &mut Room::new())?, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_filesystem_is_written_out_and_takes_changes() {
        let scratch = Scratch::new("sync");
        assert_eq!(sync_filesystem(&scratch.at("")), Ok(()));
        assert_eq!(sync_filesystem(&scratch.at("none")), Err(Errno::NOENT));
        assert!(!is_read_only(&scratch.at("")) && !is_read_only(&scratch.at("none")));
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused_whole() {
        let scratch = Scratch::new("read");
        let path = scratch.at("text");
        create(&path, b"12345\n").unwrap();
        assert_eq!(read_text(&path, &mut [0; 6]), Ok("12345"));
        assert_eq!(read_text(&path, &mut [0; 5]), Err(Errno::FBIG));
    }

    #[test]
    fn a_text_longer_than_a_chunk_is_appended_whole() {
        let scratch = Scratch::new("append");
        let path = scratch.at("text");
        let long = "é".repeat(700);
        create(&path, std::format!("x{long}").as_bytes()).unwrap();
        let mut text = heapless::String::<1500>::try_from("before ").unwrap();
        append_text(&path, &mut text).unwrap();
        assert_eq!(text, std::format!("before x{long}").as_str());
        assert_eq!(append_text(&path, &mut heapless::String::<1400>::new()), Err(Errno::FBIG));
        create(&path, b"\xff").unwrap();
        assert_eq!(append_text(&path, &mut text), Err(Errno::BADMSG));
    }

    #[test]
    fn a_directory_is_made_once_and_a_file_in_its_place_is_an_error() {
        let scratch = Scratch::new("mkdir");
        let path = scratch.at("d");
        assert_eq!(make_directory(&path, 0o755), Ok(()));
        assert_eq!(make_directory(&path, 0o755), Ok(()));
        fs::write(scratch.at("f"), "").unwrap();
        assert_eq!(make_directory(&scratch.at("f"), 0o755), Err(Errno::NOTDIR));
        assert_eq!([is_there(&path), is_there(&scratch.at("f/x"))], [Ok(true), Ok(false)]);
        std::os::unix::fs::symlink("loop", scratch.at("loop")).unwrap();
        assert_eq!(is_there(&scratch.at("loop")), Err(Errno::LOOP));
    }
}
