//! Emptying a directory without an allocator.

use core::ffi::CStr;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::Errno;
use crate::directory::each_entry;
use crate::file::{AsFd, BorrowedFd};
use crate::text::{Room, c};

/// Deletes what is in the directory at `path` and below, but nothing that lies on another filesystem (a mount is
/// neither entered nor removed). Entries that cannot be removed are passed over.
pub fn directory(path: &str) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let directory = rustix::fs::open(c(path, &mut Room::new())?, flags, Mode::empty())?;
    let device = rustix::fs::fstat(&directory)?.st_dev;
    remove_all(directory.as_fd(), device, MAX_DEPTH);
    Ok(())
}

/// Deepest folder that [`directory`] goes down to: the stack is not endless. What a copy has begun is less deep.
const MAX_DEPTH: usize = crate::copy::MAX_DEPTH + 2;

/// Bytes of the buffer of one level of [`remove_all`].
const EMPTY_BUFFER: usize = 2048;

fn remove_all(directory: BorrowedFd<'_>, device: u64, depth: usize) {
    let mut buffer = [0; EMPTY_BUFFER];
    // What cannot be listed or removed costs memory, not correctness.
    let _ = each_entry(directory, &mut buffer, &mut |name| {
        let _ = remove(directory, name, device, depth);
        Ok(true)
    });
}

fn remove(directory: BorrowedFd<'_>, name: &CStr, device: u64, depth: usize) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let status = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if status.st_dev != device {
        return Ok(());
    }
    let mut removal = AtFlags::empty();
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        removal = AtFlags::REMOVEDIR;
        if let (Ok(child), Some(depth)) =
            (rustix::fs::openat(directory, name, flags, Mode::empty()), depth.checked_sub(1))
        {
            remove_all(child.as_fd(), device, depth);
        }
    }
    rustix::fs::unlinkat(directory, name, removal)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn emptying_removes_all_that_is_below() {
        let root = std::format!("{}/surefoot-sys-empty-{}", std::env::temp_dir().display(), std::process::id());
        for n in 0..200 {
            fs::create_dir_all(std::format!("{root}/a/b{n}/c")).unwrap();
            fs::write(std::format!("{root}/a/b{n}/c/file"), "x").unwrap();
        }
        directory(&root).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }
}
