//! The salt of a tree.

use core::fmt;
use core::str::FromStr;

use heapless::Vec;

use crate::hex::{self, HexError, Quoted};

/// The longest salt that the superblock has room for, in bytes.
pub const MAX_SALT_SIZE: usize = 256;

/// Bytes that are digested with each block, at most [`MAX_SALT_SIZE`]; possibly none.
///
/// Its text is that of the device-mapper table: lower-case hexadecimal, or `-` for no salt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salt(Vec<u8, MAX_SALT_SIZE>);

impl Salt {
    /// The salt with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SaltError> {
        Vec::from_slice(bytes).map(Self).map_err(|_| SaltError(Cause::TooLong { bytes: bytes.len() }))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a text or a slice is no salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaltError(Cause);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Empty,
    Digit { character: char, position: usize },
    OddLength { digits: usize },
    TooLong { bytes: usize },
}

impl fmt::Display for SaltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cause::Empty => f.write_str("salt is empty; write - for no salt"),
            Cause::Digit { character, position } => {
                write!(
                    f,
                    "salt has {} after {position} digits; allowed are hexadecimal digits, or - for none",
                    Quoted(character)
                )
            }
            Cause::OddLength { digits } => {
                write!(f, "salt has {digits} hexadecimal digits; allowed is an even number, two for each byte")
            }
            Cause::TooLong { bytes } => write!(f, "salt has {bytes} bytes; allowed are up to {MAX_SALT_SIZE}"),
        }
    }
}

impl core::error::Error for SaltError {}

impl FromStr for Salt {
    type Err = SaltError;

    /// Reads hexadecimal digits in either case, or `-` for no salt.
    fn from_str(text: &str) -> Result<Self, SaltError> {
        let mut bytes = [0; MAX_SALT_SIZE];
        let length = match text {
            "-" => 0,
            "" => return Err(SaltError(Cause::Empty)),
            _ => hex::decode(text, &mut bytes).map_err(|error| {
                SaltError(match error {
                    HexError::Digit { character, position } => Cause::Digit { character, position },
                    HexError::OddLength { digits } => Cause::OddLength { digits },
                    HexError::TooLong { digits } => Cause::TooLong { bytes: digits / 2 },
                })
            })?,
        };
        Self::from_bytes(bytes.get(..length).unwrap_or_default())
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("-") } else { hex::write(f, &self.0) }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dash_is_no_salt() {
        assert_eq!("-".parse(), Ok(Salt::default()));
        assert_eq!(Salt::default().to_string(), "-");
    }

    #[test]
    fn what_is_no_salt_is_refused_with_what_is_allowed() {
        let why = |text: &str| text.parse::<Salt>().unwrap_err().to_string();
        assert_eq!(why(""), "salt is empty; write - for no salt");
        assert_eq!(why("ab0"), "salt has 3 hexadecimal digits; allowed is an even number, two for each byte");
        assert_eq!(why("00zz"), "salt has 'z' after 2 digits; allowed are hexadecimal digits, or - for none");
        assert_eq!(why("ä"), "salt has 'ä' after 0 digits; allowed are hexadecimal digits, or - for none");
        assert_eq!(why("00\n"), "salt has '\\n' after 2 digits; allowed are hexadecimal digits, or - for none");
        assert_eq!(why(&"00".repeat(257)), "salt has 257 bytes; allowed are up to 256");
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..=MAX_SALT_SIZE)) {
            let salt = Salt::from_bytes(&bytes).unwrap();
            prop_assert_eq!(salt.to_string().parse(), Ok(salt.clone()));
            if !bytes.is_empty() {
                prop_assert_eq!(salt.to_string().to_uppercase().parse(), Ok(salt));
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Salt>();
        }

        #[test]
        fn length_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..600usize)) {
            let kept: Option<Vec<u8>> = Salt::from_bytes(&bytes).ok().map(|salt| salt.as_bytes().to_vec());
            prop_assert_eq!(kept, (bytes.len() <= MAX_SALT_SIZE).then_some(bytes));
        }
    }
}
