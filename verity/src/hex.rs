//! Hexadecimal text, as the kernel and veritysetup write hashes and salts.

use core::fmt;

/// Why a text is not hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HexError {
    /// A character that is no hexadecimal digit, and how many characters stand before it.
    Digit { character: char, position: usize },
    /// Half a byte is left over; the number of digits.
    OddLength { digits: usize },
    /// More digits than the value can hold.
    TooLong { digits: usize },
}

/// Decodes `text`, in either case, into the front of `out` and gives the number of bytes.
pub(crate) fn decode(text: &str, out: &mut [u8]) -> Result<usize, HexError> {
    for (position, character) in text.chars().enumerate() {
        if !character.is_ascii_hexdigit() {
            return Err(HexError::Digit { character, position });
        }
    }
    let digits = text.len();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HexError::OddLength { digits });
    }
    let out = out.get_mut(..pairs.len()).ok_or(HexError::TooLong { digits })?;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = nibble(*high) << 4 | nibble(*low);
    }
    Ok(pairs.len())
}

/// The value of an ASCII hexadecimal digit; the caller has checked that it is one.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

/// A character in quotes, escaped where it would not show.
pub(crate) struct Quoted(pub(crate) char);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(character) = *self;
        if character.is_control() { write!(f, "'{}'", character.escape_default()) } else { write!(f, "'{character}'") }
    }
}

/// Writes `bytes` as lower-case hexadecimal.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
