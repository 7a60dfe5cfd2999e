//! Texts as the kernel takes them: with a NUL at their end.

use core::ffi::CStr;
use core::ops::Deref;

use heapless::Vec;

use crate::Errno;

/// Longest text that is handed to the kernel, with its closing NUL: twice the longest path that PID 1 composes.
const CAPACITY: usize = 512;

/// A text with a NUL at its end.
pub(crate) struct CText(Vec<u8, CAPACITY>);

/// Makes `text` one for the kernel. One that is too long is refused (`ENAMETOOLONG`), as is one with a NUL inside
/// (`EINVAL`). All system calls share this function: the general way of handing over a text repeats it in each.
#[inline(never)]
pub(crate) fn c(text: &str) -> Result<CText, Errno> {
    let mut bytes = Vec::from_slice(text.as_bytes()).map_err(|_| Errno::NAMETOOLONG)?;
    if text.as_bytes().contains(&0) {
        return Err(Errno::INVAL);
    }
    bytes.push(0).map_err(|_| Errno::NAMETOOLONG)?;
    Ok(CText(bytes))
}

impl Deref for CText {
    type Target = CStr;

    #[inline(never)]
    fn deref(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_in_its_only_nul() {
        assert_eq!(c("/dev").as_deref(), Ok(c"/dev"));
        assert_eq!(c("").as_deref(), Ok(c""));
        assert_eq!(c("a\0b").as_deref(), Err(&Errno::INVAL));
        let longest = "x".repeat(CAPACITY - 1);
        assert_eq!(c(&longest).map(|text| text.count_bytes()), Ok(CAPACITY - 1));
        assert_eq!(c(&(longest + "x")).as_deref(), Err(&Errno::NAMETOOLONG));
    }
}
