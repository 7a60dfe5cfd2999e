//! What is in a directory (getdents64(2)).

use core::ffi::CStr;

use linux_raw_sys::general::__NR_getdents64;
use rustix::fd::AsRawFd as _;

use crate::Errno;
use crate::call::system_call;
use crate::file::BorrowedFd;

/// Where `struct linux_dirent64` tells its own length, in two bytes, and where its name begins.
const LENGTH_AT: usize = 16;
const NAME_AT: usize = 19;

/// Calls `visit` with the name of every entry of `directory`, in the kernel's order and without `.` and `..`; stops
/// where it gives `false` or an error. As many entries are read at once as `buffer` holds; the longest takes 280 bytes.
pub(crate) fn each_entry(
    directory: BorrowedFd<'_>,
    buffer: &mut [u8],
    visit: &mut dyn FnMut(&CStr) -> Result<bool, Errno>,
) -> Result<(), Errno> {
    let descriptor = usize::try_from(directory.as_raw_fd()).map_err(|_| Errno::BADF)?;
    loop {
        // SAFETY: the kernel writes at most as many bytes as the buffer is said to have, which is how many it has.
        #[allow(unsafe_code)]
        let length =
            unsafe { system_call(__NR_getdents64, &[descriptor, buffer.as_mut_ptr() as usize, buffer.len()])? };
        if length == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((name, after)) = first_entry(rest) {
            if name != c"." && name != c".." && !visit(name)? {
                return Ok(());
            }
            rest = after;
        }
    }
}

/// The name of the first entry, and the entries after it.
fn first_entry(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = u16::from_ne_bytes(*entries.get(LENGTH_AT..)?.first_chunk()?);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    Some((CStr::from_bytes_until_nul(entry.get(NAME_AT..)?).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_one_another_by_their_lengths() {
        let entries = *b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x18\0\x04ab\0\0\0\x03";
        assert_eq!(first_entry(&entries), Some((c"ab", &b"\x03"[..])));
        assert_eq!(first_entry(&entries[..23]), None);
        assert_eq!(first_entry(&[0; 24]), None);
        assert_eq!(first_entry(b""), None);
    }
}
