//! The words `composefs=` and `composefs.digest=`, which name the image of a composefs deployment by its fs-verity digest
//! (composefs-boot 0.9, `src/cmdline.rs`).

use core::fmt;
use core::str::FromStr;

use verity::{Algorithm, Digest, RootHash};

/// The key whose value is `[?]DIGEST`.
pub const COMPOSEFS: &str = "composefs";
/// The key whose value is `[?]vVERSION-ALGORITHM-12:DIGEST`.
pub const COMPOSEFS_DIGEST: &str = "composefs.digest";
/// The binary logarithm of the block size in bytes, the only one that composefs knows.
const BLOCK_SIZE: &str = "12";

/// How the image was written. It decides which key names the image, not how it is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatVersion {
    /// `v1`: as mkcomposefs writes it.
    V1,
    /// `v2`: as composefs-rs wrote it at first. `composefs=` means this one.
    V2,
}

/// The image of a composefs deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComposefsDigest {
    digest: Digest,
    version: FormatVersion,
    verity_optional: bool,
}

impl ComposefsDigest {
    /// Reads the value of the key [`COMPOSEFS`].
    pub fn from_composefs(value: &str) -> Result<Self, ComposefsError> {
        let (digest, verity_optional) = strip_mark(value);
        Ok(Self { digest: parse_digest(digest)?, version: FormatVersion::V2, verity_optional })
    }

    /// Reads the value of the key [`COMPOSEFS_DIGEST`].
    pub fn from_composefs_digest(value: &str) -> Result<Self, ComposefsError> {
        let (value, verity_optional) = strip_mark(value);
        let (format, digest) = value.split_once(':').ok_or(ComposefsError::Form)?;
        let (version, format) = format.split_once('-').ok_or(ComposefsError::Form)?;
        let (algorithm, block_size) = format.split_once('-').ok_or(ComposefsError::Form)?;
        let version = match version {
            "v1" => FormatVersion::V1,
            "v2" => FormatVersion::V2,
            _ => return Err(ComposefsError::Version),
        };
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(ComposefsError::Algorithm),
        };
        if block_size != BLOCK_SIZE {
            return Err(ComposefsError::BlockSize);
        }
        let digest = parse_digest(digest)?;
        if digest.algorithm() != algorithm {
            return Err(ComposefsError::OtherAlgorithm(algorithm));
        }
        Ok(Self { digest, version, verity_optional })
    }

    /// The fs-verity digest of the image. Its text, lower-case hexadecimal, is the image's name in the repository.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How the image was written.
    pub const fn version(&self) -> FormatVersion {
        self.version
    }

    /// Whether the word has the mark `?`: an image on which fs-verity is not enabled may be mounted. One on which it is
    /// enabled must have this digest all the same.
    pub const fn verity_optional(&self) -> bool {
        self.verity_optional
    }
}

/// Takes the mark `?` off.
fn strip_mark(value: &str) -> (&str, bool) {
    value.strip_prefix('?').map_or((value, false), |rest| (rest, true))
}

/// Reads hexadecimal digits in either case.
fn parse_digest(text: &str) -> Result<Digest, ComposefsError> {
    let root_hash: Option<RootHash> = text.parse().ok();
    let digest = root_hash.and_then(|hash| Digest::from_bytes(hash.as_bytes()));
    digest.filter(|digest| digest.algorithm() != Algorithm::Sha1).ok_or(ComposefsError::Digest)
}

impl FromStr for ComposefsDigest {
    type Err = ComposefsError;

    /// Reads a whole word: `composefs=…` or `composefs.digest=…`.
    fn from_str(word: &str) -> Result<Self, ComposefsError> {
        match word.split_once('=') {
            Some((COMPOSEFS, value)) => Self::from_composefs(value),
            Some((COMPOSEFS_DIGEST, value)) => Self::from_composefs_digest(value),
            _ => Err(ComposefsError::Key),
        }
    }
}

impl fmt::Display for ComposefsDigest {
    /// Writes the whole word with the key that belongs to the version, as composefs-boot writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.verity_optional { "?" } else { "" };
        match self.version {
            FormatVersion::V1 => {
                let algorithm = self.digest.algorithm().name();
                write!(f, "{COMPOSEFS_DIGEST}={mark}v1-{algorithm}-{BLOCK_SIZE}:{}", self.digest)
            }
            FormatVersion::V2 => write!(f, "{COMPOSEFS}={mark}{}", self.digest),
        }
    }
}

/// Why a word names no composefs image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComposefsError {
    /// Neither key.
    Key,
    /// A value of `composefs.digest=` that lacks a part.
    Form,
    /// Neither version.
    Version,
    /// Neither algorithm.
    Algorithm,
    /// Another block size.
    BlockSize,
    /// What should be a digest has other characters or another length.
    Digest,
    /// A digest which is not of this algorithm, which the word names.
    OtherAlgorithm(Algorithm),
}

impl fmt::Display for ComposefsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the words for a composefs image are composefs= and composefs.digest=",
            Self::Form => {
                "a composefs image is described as vVERSION-ALGORITHM-12:DIGEST, for example v1-sha512-12: and 128 \
                 hexadecimal digits"
            }
            Self::Version => "the version of a composefs image is v1 or v2",
            Self::Algorithm => "the fs-verity algorithm of a composefs image is sha256 or sha512",
            Self::BlockSize => "the block size of a composefs image is 12 (4096 bytes)",
            Self::Digest => "a composefs digest is 64 (sha256) or 128 (sha512) hexadecimal digits",
            Self::OtherAlgorithm(Algorithm::Sha256) => "a sha256 digest is 64 hexadecimal digits",
            Self::OtherAlgorithm(_) => "a sha512 digest is 128 hexadecimal digits",
        })
    }
}

impl core::error::Error for ComposefsError {}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    const SHA256: &str = "8b7df143d91c716ecfa5fc1730022f6b421b05cedee8fd52b1fc65a96030ad52";

    fn parse(word: &str) -> Result<ComposefsDigest, ComposefsError> {
        word.parse()
    }

    #[test]
    fn both_words_are_read_and_written_as_composefs_boot_writes_them() {
        let sha512 = SHA256.repeat(2);
        for (word, algorithm, version, optional) in [
            (format!("composefs={SHA256}"), Algorithm::Sha256, FormatVersion::V2, false),
            (format!("composefs=?{sha512}"), Algorithm::Sha512, FormatVersion::V2, true),
            (format!("composefs.digest=v1-sha256-12:{SHA256}"), Algorithm::Sha256, FormatVersion::V1, false),
            (format!("composefs.digest=?v1-sha512-12:{sha512}"), Algorithm::Sha512, FormatVersion::V1, true),
        ] {
            let image = parse(&word).unwrap();
            assert_eq!(
                (image.digest().algorithm(), image.version(), image.verity_optional()),
                (algorithm, version, optional)
            );
            assert_eq!(image.to_string(), word);
        }
        assert!(size_of::<ComposefsDigest>() <= 80);
    }

    #[test]
    fn v2_has_two_words_and_digits_either_case() {
        let long = format!("composefs.digest=?v2-sha256-12:{SHA256}");
        assert_eq!(parse(&long), parse(&format!("composefs=?{}", SHA256.to_uppercase())));
        assert_eq!(parse(&long).unwrap().to_string(), format!("composefs=?{SHA256}"));
    }

    #[test]
    fn what_names_no_image_is_refused() {
        use ComposefsError::{BlockSize, Digest, Form, Key, OtherAlgorithm, Version};
        for (word, why) in [
            ("composefs", Key),
            ("ostree=x", Key),
            ("composefs=", Digest),
            ("composefs=??x", Digest),
            (&format!("composefs={}", &SHA256[1..]), Digest),
            (&format!("composefs={}", &SHA256[..40]), Digest),
            (&format!("composefs=v2-sha256-12:{SHA256}"), Digest),
            (&format!("composefs.digest={SHA256}"), Form),
            (&format!("composefs.digest=v1-sha256:{SHA256}"), Form),
            (&format!("composefs.digest=v3-sha256-12:{SHA256}"), Version),
            (&format!("composefs.digest=v1-sha1-12:{SHA256}"), ComposefsError::Algorithm),
            (&format!("composefs.digest=v1-sha256-16:{SHA256}"), BlockSize),
            (&format!("composefs.digest=v1-sha512-12:{SHA256}"), OtherAlgorithm(Algorithm::Sha512)),
            (&format!("composefs.digest=v1-sha256-12:?{SHA256}"), Digest),
        ] {
            assert_eq!(parse(word), Err(why), "{word}");
            assert!(!why.to_string().contains("  "));
        }
    }

    proptest! {
        #[test]
        fn words_round_trip(long: bool, v1: bool, mark: bool, digit in "[0-9a-f]") {
            let digest = digit.repeat(if long { 128 } else { 64 });
            let (mark, algorithm) = (if mark { "?" } else { "" }, if long { "sha512" } else { "sha256" });
            let word = if v1 {
                format!("composefs.digest={mark}v1-{algorithm}-12:{digest}")
            } else {
                format!("composefs={mark}{digest}")
            };
            let image = parse(&word).unwrap();
            prop_assert_eq!(image.digest().to_string(), digest);
            prop_assert_eq!(image.to_string(), word);
        }

        #[test]
        fn no_text_panics(text: String, near in "(composefs(\\.digest)?=)?\\??(v[0-3]-?)?(sha(256|512)-?)?(12)?:?[0-9a-f]{0,130}") {
            for text in [text, near] {
                if let Ok(image) = parse(&text) {
                    prop_assert_eq!(parse(&image.to_string()), Ok(image));
                }
            }
        }
    }
}
