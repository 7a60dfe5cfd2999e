//! Signed commits: what vouches for a composefs image where `[composefs] enabled=signed`.
//!
//! A commit object is a GVariant `(a{sv}aya(say)sstayay)` (ostree-core.h), named by its SHA-256 digest. Its metadata names
//! the fs-verity digest of the composefs image; signatures over the object's bytes are in the commit's detached
//! metadata, an `a{sv}` beside it. The rules are those of ostree's src/libotcore/otcore-prepare-root.c; beyond them, the
//! name of the object must be its digest.

use core::fmt;

use ed25519_compact::{PublicKey, Signature};
use verity::{Algorithm, HashType, Salt, digest_block};

use super::gvariant::{Container, Malformed, lookup};
use super::object::Checksum;

const DIGEST_KEY: &str = "ostree.composefs.digest.v0";
const SIGNATURES_KEY: &str = "ostree.sign.ed25519";
/// Tells a commit that bootc made of a container image; its parent is then the commit that the image was made of.
const CONTAINER_KEY: &str = "ostree.container.image-config";

/// How many framing offsets a commit has behind that of its metadata, and behind that of its parent. The timestamp has
/// none, for its size is known, nor has the last member.
const BEHIND_METADATA: usize = 0;
const BEHIND_PARENT: usize = 1;

/// A commit object. Nothing vouches for what it says but [`Commit::signed_digest`].
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    bytes: &'a [u8],
    metadata: &'a [u8],
    parent: &'a [u8],
}

impl<'a> Commit<'a> {
    /// Reads the object that lies under the name `checksum`.
    pub fn parse(checksum: Checksum, bytes: &'a [u8]) -> Result<Self, CommitError> {
        let digest = digest_block(Algorithm::Sha256, HashType::Normal, &Salt::default(), bytes);
        if digest.as_bytes() != checksum.0 {
            return Err(CommitError::OtherName);
        }
        let commit = Container(bytes);
        let end = commit.offset_from_end(BEHIND_METADATA)?;
        let parent_end = commit.offset_from_end(BEHIND_PARENT)?;
        let metadata = bytes.get(..end).ok_or(Malformed)?;
        let parent = bytes.get(end..parent_end).ok_or(Malformed)?;
        Ok(Self { bytes, metadata, parent })
    }

    /// The commit whose signatures count where this one has no detached metadata: the one that bootc has imported it
    /// from. `None` for other commits.
    pub fn base(&self) -> Result<Option<Checksum>, CommitError> {
        let container = lookup(self.metadata, CONTAINER_KEY, "s")?;
        Ok(container.and_then(|_| self.parent.try_into().ok()).map(Checksum))
    }

    /// The fs-verity digest that the composefs image must have, once one of the signatures in the `detached` metadata is
    /// found to be by one of `keys`, the text of the key file: an Ed25519 public key in base64 on each line.
    #[inline(never)]
    pub fn signed_digest(&self, detached: &[u8], keys: &str) -> Result<Checksum, CommitError> {
        let signatures = lookup(detached, SIGNATURES_KEY, "aay")?.ok_or(CommitError::NotSigned)?;
        self.verify(signatures, keys)?;
        let digest = lookup(self.metadata, DIGEST_KEY, "ay")?.and_then(|digest| digest.try_into().ok());
        digest.map(Checksum).ok_or(CommitError::NoDigest)
    }

    /// Looks for a pair of key and signature that fit together. A key or a signature of the wrong size is an error, even
    /// where another pair fits, unless that comes first.
    fn verify(&self, signatures: &[u8], keys: &str) -> Result<(), CommitError> {
        let mut some = false;
        for (line, number) in keys.lines().zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            some = true;
            let key = PublicKey::new(public_key(line).ok_or(CommitError::BadKey { line: number })?);
            for signature in Container(signatures).elements(1)? {
                let signature = Signature::from_slice(signature?).map_err(|_| CommitError::BadSignature)?;
                if key.verify(self.bytes, &signature).is_ok() {
                    return Ok(());
                }
            }
        }
        Err(if some { CommitError::OtherKey } else { CommitError::NoKey })
    }
}

/// Decodes the 32 bytes of a key from base64, with or without the padding.
fn public_key(text: &str) -> Option<[u8; 32]> {
    /// 256 bits by six.
    const CHARACTERS: usize = 43;
    let text = text.strip_suffix('=').unwrap_or(text);
    if text.len() != CHARACTERS {
        return None;
    }
    let mut key = [0; 32];
    let mut out = key.iter_mut();
    // The last bits that were read; `count` of them are not in the key yet.
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in text.bytes() {
        bits = bits << 6 | sextet(character)?;
        count = count.wrapping_add(6);
        if let Some(rest) = count.checked_sub(8) {
            count = rest;
            let [byte, ..] = bits.checked_shr(count)?.to_le_bytes();
            *out.next()? = byte;
        }
    }
    Some(key)
}

/// The six bits of a base64 character.
fn sextet(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character.wrapping_sub(b'A'),
        b'a'..=b'z' => character.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => character.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Why nothing vouches for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The object's digest is not its name.
    OtherName,
    /// The commit, or its detached metadata, is not what it should be.
    Malformed,
    /// The detached metadata holds no Ed25519 signatures.
    NotSigned,
    /// A signature has not 64 bytes.
    BadSignature,
    /// The key file has no key.
    NoKey,
    /// A line of the key file is no key.
    BadKey {
        /// Its number, from 1.
        line: usize,
    },
    /// No signature is by any of the keys.
    OtherKey,
    /// The commit names no composefs image: it was made without one.
    NoDigest,
}

impl From<Malformed> for CommitError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherName => "the commit object's SHA-256 digest is not its name",
            Self::Malformed => "the commit or its detached metadata is damaged",
            Self::NotSigned => "the commit has no Ed25519 signature",
            Self::BadSignature => "a signature of the commit has not 64 bytes",
            Self::NoKey => "the key file holds no key",
            Self::BadKey { line } => {
                return write!(f, "line {line} of the key file is no Ed25519 public key: that is 32 bytes in base64");
            }
            Self::OtherKey => "the commit is not signed by any of the keys",
            Self::NoDigest => "the commit is signed, but names no digest of a composefs image",
        })
    }
}

impl core::error::Error for CommitError {}

#[cfg(test)]
mod tests;
