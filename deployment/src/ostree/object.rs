//! Checksums, and where the repository keeps the objects that are named by them.

use core::fmt;
use core::str::FromStr;

/// A SHA-256 digest as ostree names commits, objects and kernels by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u8; 32]);

impl FromStr for Checksum {
    type Err = ChecksumError;

    /// Reads 64 hexadecimal digits, in lower case as ostree writes them.
    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(ChecksumError(()));
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

fn digit(character: u8) -> Result<u8, ChecksumError> {
    match character {
        b'0'..=b'9' => Ok(character.wrapping_sub(b'0')),
        b'a'..=b'f' => Ok(character.wrapping_sub(b'a').wrapping_add(10)),
        _ => Err(ChecksumError(())),
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a text is no checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumError(());

impl fmt::Display for ChecksumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a checksum is 64 hexadecimal digits in lower case")
    }
}

impl core::error::Error for ChecksumError {}

/// What kind of file belongs to a commit (ostree-core.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The commit object itself; its SHA-256 digest is its name.
    Commit,
    /// What was added to the commit later, such as signatures. Nothing vouches for it.
    DetachedMetadata,
}

/// A loose object of the repository: its [`Display`](fmt::Display) is the path, from the root of the sysroot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectPath {
    /// The commit.
    pub checksum: Checksum,
    /// Which file of it.
    pub kind: Kind,
}

impl fmt::Display for ObjectPath {
    /// Writes `ostree/repo/objects/XX/REST.commit`, 96 or 100 bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checksum([first, rest @ ..]) = &self.checksum;
        write!(f, "ostree/repo/objects/{first:02x}/")?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(match self.kind {
            Kind::Commit => ".commit",
            Kind::DetachedMetadata => ".commitmeta",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn objects_lie_where_ostree_puts_them() {
        let checksum = TEXT.parse().unwrap();
        let path = |kind| ObjectPath { checksum, kind }.to_string();
        let rest = &TEXT[2..];
        assert_eq!(path(Kind::Commit), std::format!("ostree/repo/objects/01/{rest}.commit"));
        assert_eq!(path(Kind::DetachedMetadata), std::format!("ostree/repo/objects/01/{rest}.commitmeta"));
    }

    #[test]
    fn only_64_lower_case_digits_are_a_checksum() {
        for text in ["", &TEXT[1..], &TEXT[2..], &TEXT.to_uppercase(), &TEXT.replace('f', "g"), &[TEXT, "00"].concat()]
        {
            assert_eq!(text.parse::<Checksum>(), Err(ChecksumError(())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn checksums_are_written_as_they_are_read(bytes: [u8; 32]) {
            prop_assert_eq!(Checksum(bytes).to_string().parse(), Ok(Checksum(bytes)));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<Checksum>();
        }
    }
}
