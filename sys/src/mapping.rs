//! Read-only views of whole files, without copying them.

use core::ptr;
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::Errno;
use crate::file::{self, Access};

/// The text of a file of the initramfs, mapped into memory for as long as the program runs (mmap(2)). Empty where it is
/// not UTF-8.
pub fn text_of_file(path: &str) -> Result<&'static str, Errno> {
    let file = file::open(path, Access::Read)?;
    let length = usize::try_from(rustix::fs::fstat(&file)?.st_size).map_err(|_| Errno::FBIG)?;
    if length == 0 {
        return Ok("");
    }
    // SAFETY: the kernel picks the address (null hint, no MAP_FIXED), so no existing memory is touched; the
    // protection is read-only and the mapping private.
    #[allow(unsafe_code)]
    let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, &file, 0)? };
    // SAFETY: `start` is the base of a mapping of `length` readable bytes that is never unmapped. The files mapped are
    // those of the initramfs, which no process but PID 1 and its own modprobe runs can reach, and neither writes to a
    // file that it maps.
    #[allow(unsafe_code)]
    let bytes = unsafe { slice::from_raw_parts(start.cast_const().cast(), length) };
    Ok(core::str::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_the_file() {
        let path = std::format!("{}/surefoot-sys-mapping-{}", std::env::temp_dir().display(), std::process::id());
        std::fs::write(&path, "kernel/fs/erofs/erofs.ko:").unwrap();
        assert_eq!(text_of_file(&path), Ok("kernel/fs/erofs/erofs.ko:"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(text_of_file(&path), Ok(""));
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(text_of_file(&path), Ok(""));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text_of_file(&path), Err(Errno::NOENT));
    }
}
