//! Texts as the kernel takes them: with a NUL at their end.

use core::ffi::CStr;

use heapless::Vec;

use crate::Errno;

/// Longest text that is handed to the kernel, with its closing NUL: twice the longest path that PID 1 composes.
const CAPACITY: usize = 512;

/// Room for a text with a NUL at its end.
pub(crate) struct Room(Vec<u8, CAPACITY>);

impl Room {
    /// Empty room.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
}

/// Makes `text` one for the kernel, in `room`. One that is too long is refused (`ENAMETOOLONG`), as is one with a NUL
/// inside (`EINVAL`). All system calls share this function: the general way of handing over a text repeats it in each.
#[inline(never)]
pub(crate) fn c<'r>(text: &str, Room(bytes): &'r mut Room) -> Result<&'r CStr, Errno> {
    bytes.clear();
    bytes.extend_from_slice(text.as_bytes()).map_err(|_| Errno::NAMETOOLONG)?;
    bytes.push(0).map_err(|_| Errno::NAMETOOLONG)?;
    CStr::from_bytes_with_nul(bytes).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_in_its_only_nul() {
        let room = &mut Room::new();
        assert_eq!(c("/dev", room), Ok(c"/dev"));
        assert_eq!(c("", room), Ok(c""));
        assert_eq!(c("a\0b", room), Err(Errno::INVAL));
        let longest = "x".repeat(CAPACITY - 1);
        assert_eq!(c(&longest, room).map(CStr::count_bytes), Ok(CAPACITY - 1));
        assert_eq!(c(&(longest + "x"), room), Err(Errno::NAMETOOLONG));
    }
}
