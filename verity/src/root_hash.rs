//! The root hash: the one value that a whole image is trusted by.

use core::fmt;
use core::str::FromStr;

use crate::digest::{Algorithm, Digest, MAX_DIGEST_SIZE};
use crate::hex::{self, HexError, Quoted};
use crate::uuid::Uuid;

/// The digest of the topmost block of a hash tree: 20, 32 or 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RootHash(Digest);

impl RootHash {
    /// The root hash with these bytes; an error unless they are 20, 32 or 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RootHashError> {
        Digest::from_bytes(bytes)
            .map(Self)
            .ok_or(RootHashError(Cause::Length { digits: bytes.len().saturating_mul(2) }))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The one algorithm whose digests are that long.
    pub const fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// The PARTUUID of the data partition that belongs to this root hash: its first 128 bits. `None` for a root hash
    /// shorter than 256 bits (Discoverable Partitions Specification).
    pub fn data_partition(&self) -> Option<Uuid> {
        self.long_enough()?.first_chunk().copied().map(Uuid)
    }

    /// The PARTUUID of the hash partition that belongs to this root hash: its last 128 bits. `None` for a root hash
    /// shorter than 256 bits (Discoverable Partitions Specification).
    pub fn hash_partition(&self) -> Option<Uuid> {
        self.long_enough()?.last_chunk().copied().map(Uuid)
    }

    fn long_enough(&self) -> Option<&[u8]> {
        Some(self.as_bytes()).filter(|bytes| bytes.len() >= 32)
    }
}

impl From<Digest> for RootHash {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

/// Why a text or a slice is no root hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootHashError(Cause);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Digit { character: char, position: usize },
    Length { digits: usize },
}

impl fmt::Display for RootHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cause::Digit { character, position } => write!(
                f,
                "root hash has {} after {position} digits; allowed are hexadecimal digits (0-9, a-f)",
                Quoted(character)
            ),
            Cause::Length { digits } => write!(
                f,
                "root hash has {digits} hexadecimal digits; allowed are 40 (sha1), 64 (sha256) or 128 (sha512)"
            ),
        }
    }
}

impl core::error::Error for RootHashError {}

impl FromStr for RootHash {
    type Err = RootHashError;

    /// Reads hexadecimal digits in either case.
    fn from_str(text: &str) -> Result<Self, RootHashError> {
        let mut bytes = [0; MAX_DIGEST_SIZE];
        let length = hex::decode(text, &mut bytes).map_err(|error| {
            RootHashError(match error {
                HexError::Digit { character, position } => Cause::Digit { character, position },
                HexError::OddLength { digits } | HexError::TooLong { digits } => Cause::Length { digits },
            })
        })?;
        Self::from_bytes(bytes.get(..length).unwrap_or_default())
    }
}

impl fmt::Display for RootHash {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "0123456789abcdef0011223344556677fedcba98765432108899aabbccddeeff";

    #[test]
    fn partitions_are_the_first_and_last_128_bits() {
        let hash: RootHash = TEXT.to_uppercase().parse().unwrap();
        assert_eq!(hash.to_string(), TEXT);
        assert_eq!(hash.data_partition().unwrap().to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(hash.hash_partition().unwrap().to_string(), "fedcba98-7654-3210-8899-aabbccddeeff");
        let long: RootHash = (TEXT.to_string() + &"5a".repeat(32)).parse().unwrap();
        assert_eq!(long.data_partition().unwrap().to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(long.hash_partition().unwrap().to_string(), "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
    }

    #[test]
    fn a_sha1_root_hash_names_no_partitions() {
        let hash: RootHash = TEXT[..40].parse().unwrap();
        assert_eq!((hash.data_partition(), hash.hash_partition()), (None, None));
        assert_eq!(hash.algorithm(), Algorithm::Sha1);
    }

    #[test]
    fn what_is_no_root_hash_is_refused_with_what_is_allowed() {
        let why = |text: &str| text.parse::<RootHash>().unwrap_err().to_string();
        let lengths = "allowed are 40 (sha1), 64 (sha256) or 128 (sha512)";
        assert_eq!(why(""), std::format!("root hash has 0 hexadecimal digits; {lengths}"));
        assert_eq!(why(&TEXT[1..]), std::format!("root hash has 63 hexadecimal digits; {lengths}"));
        assert_eq!(why(&TEXT.repeat(3)), std::format!("root hash has 192 hexadecimal digits; {lengths}"));
        assert_eq!(
            why(&TEXT.replace('3', "x")),
            "root hash has 'x' after 3 digits; allowed are hexadecimal digits (0-9, a-f)"
        );
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes in prop::sample::select(Algorithm::ALL.to_vec())
            .prop_flat_map(|algorithm| prop::collection::vec(any::<u8>(), algorithm.digest_size())))
        {
            let hash = RootHash::from_bytes(&bytes).unwrap();
            prop_assert_eq!(hash.as_bytes(), &bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }

        #[test]
        fn no_text_panics(text: String, digits in "[0-9a-fA-F]{0,140}") {
            let _ = text.parse::<RootHash>();
            prop_assert_eq!(digits.parse::<RootHash>().is_ok(), [40, 64, 128].contains(&digits.len()));
        }

        #[test]
        fn only_three_lengths_are_root_hashes(bytes in prop::collection::vec(any::<u8>(), 0..100usize)) {
            let kept: Option<Vec<u8>> = RootHash::from_bytes(&bytes).ok().map(|hash| hash.as_bytes().to_vec());
            prop_assert_eq!(kept, [20, 32, 64].contains(&bytes.len()).then_some(bytes));
        }
    }
}
