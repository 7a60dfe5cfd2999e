//! Why something failed.

use core::fmt;
use core::ops::Deref;

use heapless::String;
use sys::Errno;
use sys::errno::Explained;
use sys::lending::{Lent, Place, lend};

use super::write_clipped;
use crate::reason;

/// Longest reason that is kept of a failure, in bytes.
pub const REASON_CAPACITY: usize = 512;

/// Most reasons at a time: those that the report keeps, and some that are on their way there.
const MAX_REASONS: usize = 64;

static TEXTS: [Place<String<REASON_CAPACITY>>; MAX_REASONS] = [const { Place::new(String::new()) }; MAX_REASONS];

/// Why something failed, as one line for a person: the address of a text that nobody else has. It is made by
/// [`reason!`](crate::reason).
#[derive(Debug)]
pub struct Reason(Option<Lent<String<REASON_CAPACITY>>>);

impl Reason {
    /// An empty text.
    pub fn new() -> Self {
        let mut text = lend(&TEXTS);
        if let Some(text) = &mut text {
            text.clear();
        }
        Self(text)
    }

    /// The text that a format string and its arguments make; what does not fit is cut off and shown by `…`.
    #[cold]
    #[inline(never)]
    pub fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut reason = Self::new();
        if let Some(text) = reason.0.as_deref_mut() {
            write_clipped(text, arguments);
        }
        reason
    }
}

impl Default for Reason {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_ref().map_or("more went wrong at once than there is room for (MAX_REASONS)", |text| text)
    }
}

impl Clone for Reason {
    fn clone(&self) -> Self {
        Self::of(format_args!("{self}"))
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Write for Reason {
    /// Appends to the text. What does not fit whole is left out, which is an error.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.as_mut().map_or(Err(fmt::Error), |whole| whole.write_str(text))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Why the kernel refused something: `cannot DOING OBJECT: WHY`.
#[cold]
#[inline(never)]
pub fn refused(doing: &str, object: &str, errno: Errno) -> Reason {
    reason!("cannot {doing} {object}: {}", Explained(errno))
}

/// A [`Reason`] from a format string.
#[macro_export]
macro_rules! reason {
    ($($part:tt)*) => {
        $crate::text::Reason::of(::core::format_args!($($part)*))
    };
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    #[test]
    fn a_reason_is_a_text_of_its_own() {
        let reason = reason!("{} of {}", 1, 2);
        let copy = reason.clone();
        assert_eq!((reason.to_string(), &reason), ("1 of 2".to_string(), &copy));
        drop(reason);
        assert_eq!(reason!("another").len(), 7);
        assert_eq!(&*copy, "1 of 2");
    }
}
