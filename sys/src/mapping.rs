//! Read-only views of whole files, without copying them.

use core::ptr;
use core::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::Errno;
use crate::file::{self, Access};

/// The text of a file, mapped into memory for as long as the program runs (mmap(2)). Empty where it is not UTF-8.
///
/// Only for files that nobody changes in place meanwhile, as those of the initramfs and of the kernel's module folder: they are
/// replaced.
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
    // SAFETY: `start` is the base of a mapping of `length` readable bytes that is never unmapped. The callers map files of
    // the initramfs, which no process but PID 1 and its own modprobe runs can reach, and neither writes to a file that it
    // maps; in tests those that depmod(8) replaces by renaming.
    #[allow(unsafe_code)]
    let bytes = unsafe { slice::from_raw_parts(start.cast_const().cast(), length) };
    Ok(core::str::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_the_file() {
        let folder = std::format!("{}/surefoot-sys-mapping-{}", std::env::temp_dir().display(), std::process::id());
        std::fs::create_dir(&folder).unwrap();
        let mapped = |name: &str, content: &[u8]| {
            let path = std::format!("{folder}/{name}");
            std::fs::write(&path, content).unwrap();
            text_of_file(&path)
        };
        assert_eq!(mapped("text", b"kernel/fs/erofs/erofs.ko:"), Ok("kernel/fs/erofs/erofs.ko:"));
        assert_eq!(mapped("empty", b""), Ok(""));
        assert_eq!(mapped("bytes", b"\xff"), Ok(""));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text_of_file(&folder), Err(Errno::NOENT));
    }
}
