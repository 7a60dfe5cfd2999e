//! Copies of whole directories, with owners, permissions, times and extended attributes.

use core::ffi::CStr;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};

use crate::directory::each_entry;
use crate::file::{AsFd, BorrowedFd, OwnedFd};
use crate::text::{Room, c};
use crate::{Errno, file};

/// Deepest folder that is copied; a deeper tree is an error (`ELOOP`).
pub(crate) const MAX_DEPTH: usize = 32;
/// Bytes of the buffer of one level's listing.
const LISTING_BUFFER: usize = 2048;
/// Most bytes that one sendfile(2) is asked for.
const CHUNK: usize = 1 << 20;
/// Longest list of attribute names, and longest value, that are copied.
const ATTRIBUTE_NAMES: usize = 1024;
const ATTRIBUTE_VALUE: usize = 1024;

/// How much of a directory is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The directory itself: its owner, permissions, times and extended attributes.
    AttributesOnly,
    /// All that is in it as well.
    Contents,
}

/// Copies the directory `source` to `target`, all or nothing: the copy is made at `partial`, written out, and only then
/// renamed (renameat2(2), `RENAME_NOREPLACE`). `partial` must be on `target`'s filesystem; what is there, as a copy that
/// was cut short leaves it, is removed first. Files with several names become several files.
pub fn directory(source: &str, partial: &str, target: &str, depth: Depth) -> Result<(), Errno> {
    if file::is_directory(partial) {
        crate::empty::directory(partial)?;
        file::remove_directory(partial)?;
    } else {
        // Nothing else that has the name is of any use. Where there is nothing, there is nothing to do.
        let _ = file::remove(partial);
    }
    let mut room = Room::new();
    let partial_path = c(partial, &mut room)?;
    let from = open_directory(CWD, c(source, &mut Room::new())?)?;
    let status = rustix::fs::fstat(&from)?;
    rustix::fs::mkdirat(CWD, partial_path, Mode::from_raw_mode(0o700))?;
    let to = open_directory(CWD, partial_path)?;
    if depth == Depth::Contents {
        contents(from.as_fd(), to.as_fd(), MAX_DEPTH)?;
    }
    describe(from.as_fd(), to.as_fd(), &status)?;
    rustix::fs::syncfs(&to)?;
    rustix::fs::renameat_with(CWD, partial_path, CWD, c(target, &mut Room::new())?, RenameFlags::NOREPLACE)?;
    rustix::fs::syncfs(&to)
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn contents(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
    let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
    let mut buffer = [0; LISTING_BUFFER];
    each_entry(from, &mut buffer, &mut |name| {
        let status = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let (from, to) = (open_directory(from, name)?, open_directory(to, name)?);
                contents(from.as_fd(), to.as_fd(), depth)?;
                describe(from.as_fd(), to.as_fd(), &status)?;
            }
            FileType::RegularFile => regular_file(from, to, name, &status)?,
            FileType::Symlink => link(from, to, name, &status)?,
            kind => {
                let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
                rustix::fs::mknodat(to, name, kind, mode, status.st_rdev)?;
                own(to, name, &status)?;
            }
        }
        Ok(true)
    })
}

fn regular_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, status: &Stat) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let from = rustix::fs::openat(from, name, read, Mode::empty())?;
    let to = rustix::fs::openat(to, name, write, Mode::from_raw_mode(0o600))?;
    while rustix::fs::sendfile(&to, &from, None, CHUNK)? > 0 {}
    describe(from.as_fd(), to.as_fd(), status)
}

fn link(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, status: &Stat) -> Result<(), Errno> {
    // PATH_MAX, with room for the closing NUL.
    let mut buffer = [0; 4097];
    let length = rustix::fs::readlinkat_raw(from, name, buffer.get_mut(..4096).unwrap_or_default())?;
    *buffer.get_mut(length).ok_or(Errno::NAMETOOLONG)? = 0;
    let destination = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
    rustix::fs::symlinkat(destination, to, name)?;
    own(to, name, status)
}

fn owner(status: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(status.st_uid)), Some(Gid::from_raw(status.st_gid)))
}

fn own(directory: BorrowedFd<'_>, name: &CStr, status: &Stat) -> Result<(), Errno> {
    let (user, group) = owner(status);
    rustix::fs::chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
}

/// Gives `to` the owner, permissions, attributes and times of `from`. In this order: a change of owner clears set-uid
/// bits and file capabilities.
fn describe(from: BorrowedFd<'_>, to: BorrowedFd<'_>, status: &Stat) -> Result<(), Errno> {
    let (user, group) = owner(status);
    rustix::fs::fchown(to, user, group)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(status.st_mode & 0o7777))?;
    attributes(from, to)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let modified = time(status.st_mtime, i64::try_from(status.st_mtime_nsec).unwrap_or(0));
    rustix::fs::futimens(to, &Timestamps { last_access: modified, last_modification: modified })
}

fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = [0; ATTRIBUTE_NAMES];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut rest = names.get(..length).unwrap_or_default();
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        let mut value = [0; ATTRIBUTE_VALUE];
        let length = rustix::fs::fgetxattr(from, name, &mut value)?;
        match rustix::fs::fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            // A filesystem without a kind of attributes cannot keep them; the files are of use all the same.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
        rest = rest.get(name.to_bytes_with_nul().len()..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(std::format!("surefoot-sys-copy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("source/deep/er")).unwrap();
        path
    }

    fn copy(root: &Path) -> Result<(), Errno> {
        copy_as_deep(root, Depth::Contents)
    }

    fn copy_as_deep(root: &Path, depth: Depth) -> Result<(), Errno> {
        let at = |name: &str| root.join(name).to_str().unwrap().parse::<std::string::String>().unwrap();
        directory(&at("source"), &at("target.partial"), &at("target"), depth)
    }

    #[test]
    fn a_copy_has_the_content_and_the_properties() {
        let root = scratch("whole");
        fs::write(root.join("source/deep/er/file"), std::vec![7; 3 << 20]).unwrap();
        fs::set_permissions(root.join("source/deep/er/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(root.join("source/deep"), fs::Permissions::from_mode(0o1777)).unwrap();
        symlink("../nowhere", root.join("source/link")).unwrap();
        copy(&root).unwrap();
        let copied = fs::metadata(root.join("target/deep/er/file")).unwrap();
        let original = fs::metadata(root.join("source/deep/er/file")).unwrap();
        assert_eq!((copied.mode(), copied.len()), (original.mode(), 3 << 20));
        assert_eq!((copied.mtime(), copied.mtime_nsec()), (original.mtime(), original.mtime_nsec()));
        assert_eq!(fs::metadata(root.join("target/deep")).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(root.join("target/link")).unwrap(), Path::new("../nowhere"));
        assert!(!root.join("target.partial").exists());
    }

    #[test]
    fn a_copy_that_was_cut_short_is_made_anew_and_a_finished_one_is_kept() {
        let root = scratch("again");
        fs::create_dir_all(root.join("target.partial/old")).unwrap();
        fs::write(root.join("target.partial/old/half"), "x").unwrap();
        copy(&root).unwrap();
        assert!(!root.join("target/old").exists());
        symlink("source/deep", root.join("target.partial")).unwrap();
        assert_eq!(copy(&root), Err(Errno::EXIST));
        assert!(root.join("source/deep/er").exists());
    }

    #[test]
    fn a_directory_is_copied_without_its_content() {
        let root = scratch("shallow");
        fs::set_permissions(root.join("source"), fs::Permissions::from_mode(0o700)).unwrap();
        copy_as_deep(&root, Depth::AttributesOnly).unwrap();
        assert_eq!(fs::metadata(root.join("target")).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(root.join("target")).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_without_end_is_refused() {
        let root = scratch("deep");
        let deep = (0..40).fold(root.join("source"), |path, _| path.join("d"));
        fs::create_dir_all(deep).unwrap();
        assert_eq!(copy(&root), Err(Errno::LOOP));
        assert!(!root.join("target").exists());
    }
}
