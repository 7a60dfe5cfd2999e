//! Digests by the crates `sha1` and `sha2` alone, which use what the processor has for them.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Algorithm, MAX_DIGEST_SIZE};

/// An algorithm that has seen the beginning of a message.
#[derive(Clone)]
pub(super) enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl State {
    /// The state after `prefix`.
    pub(super) fn after(algorithm: Algorithm, prefix: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Sha1::new_with_prefix(prefix)),
            Algorithm::Sha256 => Self::Sha256(Sha256::new_with_prefix(prefix)),
            Algorithm::Sha512 => Self::Sha512(Sha512::new_with_prefix(prefix)),
        }
    }

    /// The digest of a message that goes on with `block` and `suffix`, zeros after it.
    pub(super) fn finish(&self, block: &[u8], suffix: &[u8]) -> [u8; MAX_DIGEST_SIZE] {
        match self {
            Self::Sha1(state) => finish(state.clone(), block, suffix),
            Self::Sha256(state) => finish(state.clone(), block, suffix),
            Self::Sha512(state) => finish(state.clone(), block, suffix),
        }
    }
}

fn finish<D: Digest>(mut state: D, block: &[u8], suffix: &[u8]) -> [u8; MAX_DIGEST_SIZE] {
    state.update(block);
    state.update(suffix);
    let mut bytes = [0; MAX_DIGEST_SIZE];
    for (to, from) in bytes.iter_mut().zip(state.finalize()) {
        *to = from;
    }
    bytes
}
