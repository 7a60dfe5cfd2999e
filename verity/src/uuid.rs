//! The UUID of a superblock, of a partition, of a partition type.

use core::fmt;
use core::str::FromStr;

use crate::hex;

/// A UUID, its 16 bytes in the order in which its text shows them (RFC 9562, "network order").
///
/// The dm-verity superblock holds it in this very order; a GUID partition table does not, see
/// [`Uuid::from_mixed_endian`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID whose bytes a GUID partition table holds: there the first three groups are little-endian
    /// (UEFI specification, appendix A).
    pub const fn from_mixed_endian(bytes: [u8; 16]) -> Self {
        let [a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, e0, e1, e2, e3, e4, e5] = bytes;
        Self([a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e0, e1, e2, e3, e4, e5])
    }

    /// The bytes that a GUID partition table holds for this UUID.
    pub const fn to_mixed_endian(self) -> [u8; 16] {
        // Turning the three groups round is its own inverse.
        Self::from_mixed_endian(self.0).0
    }
}

/// Why a text is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UuidError(());

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a UUID is 32 hexadecimal digits in groups of 8-4-4-4-12, such as 4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        )
    }
}

impl core::error::Error for UuidError {}

impl FromStr for Uuid {
    type Err = UuidError;

    /// Reads `8-4-4-4-12` hexadecimal digits in either case.
    fn from_str(text: &str) -> Result<Self, UuidError> {
        let mut bytes = [0; 16];
        let mut rest = bytes.as_mut_slice();
        let mut groups = text.split('-');
        for length in [4, 2, 2, 2, 6] {
            let group = groups.next().ok_or(UuidError(()))?;
            let (out, after) = rest.split_at_mut_checked(length).ok_or(UuidError(()))?;
            if hex::decode(group, out) != Ok(length) {
                return Err(UuidError(()));
            }
            rest = after;
        }
        if groups.next().is_some() {
            return Err(UuidError(()));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    const ROOT_X86_64: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

    #[test]
    fn text_is_read_in_either_case_and_written_in_lower_case() {
        let uuid: Uuid = ROOT_X86_64.to_uppercase().parse().unwrap();
        assert_eq!(uuid.0[..6], [0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd]);
        assert_eq!(uuid.to_string(), ROOT_X86_64);
    }

    #[test]
    fn partition_table_order_turns_the_first_three_groups_round() {
        let on_disk = [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09];
        assert_eq!(Uuid::from_mixed_endian(on_disk).to_string(), ROOT_X86_64);
        assert_eq!(Uuid::from_mixed_endian(on_disk).to_mixed_endian(), on_disk);
    }

    #[test]
    fn anything_but_five_groups_of_digits_is_refused() {
        for text in [
            "",
            "4f68bce3e8cd4db196e7fbcaf984b709",
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b70",
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b7090",
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b709-",
            "4f68bce3-e8cd-4db1-96e7",
            "4f68bce-3e8cd-4db1-96e7-fbcaf984b709",
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b70g",
            "{4f68bce3-e8cd-4db1-96e7-fbcaf984b709}",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError(())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 16]) {
            prop_assert_eq!(Uuid(bytes).to_string().parse(), Ok(Uuid(bytes)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Uuid>();
        }
    }
}
