//! Texts of bounded length. PID 1 has no heap: what does not fit is cut at the end and marked, or refused.

mod reason;

use core::fmt::{self, Write as _};

use heapless::String;
use heapless::string::StringView;

pub use reason::{REASON_CAPACITY, Reason, refused};

/// Longest path that PID 1 composes, in bytes. Longer ones are refused by the kernel interface (`ENAMETOOLONG`).
pub const PATH_CAPACITY: usize = 255;

/// A path.
pub type Path = String<PATH_CAPACITY>;

/// Writes `arguments` into a new text; what does not fit is cut off at a character's border and shown by `…`.
pub fn clipped<const N: usize>(arguments: fmt::Arguments<'_>) -> String<N> {
    let mut text = String::new();
    write_clipped(&mut text, arguments);
    text
}

fn write_clipped(text: &mut StringView, arguments: fmt::Arguments<'_>) {
    struct Clip<'t>(&'t mut StringView, bool);

    impl fmt::Write for Clip<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if self.1 || self.0.len() + character.len_utf8() + '…'.len_utf8() > self.0.capacity() {
                    self.1 = true;
                    return Ok(());
                }
                // The test above leaves room for it.
                let _ = self.0.push(character);
            }
            Ok(())
        }
    }

    let mut clip = Clip(text, false);
    let _ = clip.write_fmt(arguments);
    if clip.1 {
        let _ = clip.0.push('…');
    }
}

/// A [`Path`] of the same text; one that is too long is cut, and then not found.
#[inline(never)]
pub fn path(text: &str) -> Path {
    crate::path!("{text}")
}

/// The [`Path`] of `name` in `directory`; one that is too long is cut, and then not found.
#[inline(never)]
pub fn below(directory: &str, name: &str) -> Path {
    crate::path!("{directory}/{name}")
}

/// A [`Path`] from a format string; one that is too long is cut, and then not found.
#[macro_export]
macro_rules! path {
    ($($part:tt)*) => {
        $crate::text::clipped::<{ $crate::text::PATH_CAPACITY }>(::core::format_args!($($part)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(clipped::<8>(format_args!("{}", "abc")), "abc");
        assert_eq!(clipped::<8>(format_args!("{}{}", "abcd", "efgh")), "abcde…");
        assert_eq!(clipped::<8>(format_args!("abcdäöü")), "abcd…");
    }
}
