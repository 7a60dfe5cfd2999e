//! Read-only views of whole files, without copying them.

use core::ffi::c_void;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::Errno;
use crate::file::{self, Access};

/// A file of the initramfs, mapped into memory for as long as this value lives (mmap(2)).
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    /// Maps the file at `path`. An empty file gives an empty mapping.
    pub fn of_file(path: &str) -> Result<Self, Errno> {
        let file = file::open(path, Access::Read)?;
        let length = usize::try_from(rustix::fs::fstat(&file)?.st_size).map_err(|_| Errno::FBIG)?;
        if length == 0 {
            return Ok(Self { start: NonNull::dangling(), length });
        }
        // SAFETY: the kernel picks the address (null hint, no MAP_FIXED), so no existing memory is touched; the
        // protection is read-only and the mapping private.
        #[allow(unsafe_code)]
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &file, 0)? };
        Ok(Self { start: NonNull::new(start).ok_or(Errno::NOMEM)?, length })
    }

    /// The file as text; empty where it is not UTF-8.
    pub fn text(&self) -> &str {
        core::str::from_utf8(self).unwrap_or_default()
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is the base of a live mapping of `length` readable bytes (or dangling with length 0, which
        // is a valid empty slice). It is unmapped only in `drop`, so the bytes outlive the borrow. The files mapped
        // are those of the initramfs, which no process but PID 1 and its own modprobe runs can reach, and neither
        // writes to a file that it maps.
        #[allow(unsafe_code)]
        unsafe {
            slice::from_raw_parts(self.start.as_ptr().cast(), self.length)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length == 0 {
            return;
        }
        // SAFETY: `start` and `length` are those of the mapping made in `of_file`, and no slice of it can outlive
        // `self` (see `deref`). A failure would leave the mapping in place, which is harmless.
        #[allow(unsafe_code)]
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_the_file() {
        let path = std::format!("{}/surefoot-sys-mapping-{}", std::env::temp_dir().display(), std::process::id());
        std::fs::write(&path, "kernel/fs/erofs/erofs.ko:").unwrap();
        assert_eq!(Mapping::of_file(&path).unwrap().text(), "kernel/fs/erofs/erofs.ko:");
        std::fs::write(&path, "").unwrap();
        assert_eq!(&*Mapping::of_file(&path).unwrap(), b"");
        assert_eq!(Mapping::of_file("/nonexistent/file").unwrap_err(), Errno::NOENT);
    }
}
