//! Digests of many blocks, two at a time where the processor gains by it.

use core::array;

use sys::sha256::{CHUNK, FIRST_WORDS, Pair};

use super::{Algorithm, BlockHasher, Digest, HashType, MAX_DIGEST_SIZE};
use crate::parameters::Parameters;
use crate::salt::MAX_SALT_SIZE;

/// Digests the blocks of one tree, many in a row.
#[derive(Clone)]
pub struct BlocksHasher<'a> {
    single: BlockHasher<'a>,
    pairs: Option<PairHasher<'a>>,
}

impl<'a> BlocksHasher<'a> {
    /// The hasher of a tree's blocks.
    pub fn new(parameters: &'a Parameters) -> Self {
        Self { single: parameters.hasher(), pairs: PairHasher::new(parameters) }
    }

    /// The digest of one block.
    pub fn digest(&self, block: &[u8]) -> Digest {
        self.single.digest(block)
    }

    /// The digests of consecutive blocks of `block_size` bytes each, in order.
    pub fn digests(&self, blocks: &[u8], block_size: usize) -> impl Iterator<Item = Digest> {
        blocks.chunks(2 * block_size).flat_map(move |two| {
            let (first, second) = two.split_at_checked(block_size).unwrap_or((two, &[]));
            let digests = match &self.pairs {
                Some(pairs) if first.len() >= CHUNK && first.len() == second.len() => {
                    pairs.digest([first, second]).map(Some)
                }
                _ => [Some(self.digest(first)), (!second.is_empty()).then(|| self.digest(second))],
            };
            digests.into_iter().flatten()
        })
    }
}

/// The most bytes that come after the last whole chunk of a message: what is left of the block, the salt that follows it,
/// and the padding of SHA-256, which ends with the length of the message.
const MAX_TAIL: usize = CHUNK - 1 + MAX_SALT_SIZE + 1 + size_of::<u64>();

/// Digests two blocks at once by SHA-256.
#[derive(Clone)]
struct PairHasher<'a> {
    pair: Pair,
    /// The words after the whole chunks of the salt that precedes each block.
    salted: [u32; 8],
    /// The rest of that salt.
    prefix: &'a [u8],
    /// The salt that follows each block.
    suffix: &'a [u8],
    salt_size: usize,
}

impl<'a> PairHasher<'a> {
    /// `None` for other algorithms, and where the processor has no instructions for this one.
    fn new(parameters: &'a Parameters) -> Option<Self> {
        let pair = (parameters.algorithm == Algorithm::Sha256).then(Pair::detect)??;
        let salt = parameters.salt.as_bytes();
        let (preceding, suffix): (&[u8], &[u8]) = match parameters.hash_type {
            HashType::Normal => (salt, &[]),
            HashType::ChromeOs => (&[], salt),
        };
        let (chunks, prefix) = preceding.as_chunks();
        let mut words = [FIRST_WORDS; 2];
        pair.compress(&mut words, [chunks; 2]);
        Some(Self { pair, salted: words[0], prefix, suffix, salt_size: salt.len() })
    }

    /// The digests of two blocks of the same size, which is at least [`CHUNK`].
    fn digest(&self, blocks: [&[u8]; 2]) -> [Digest; 2] {
        let mut words = [self.salted; 2];
        // The front of the block fills the chunk in which the salt ends.
        let front = self.prefix.len().next_multiple_of(CHUNK) - self.prefix.len();
        if front > 0 {
            let shared = blocks.map(|block| {
                let mut bytes = self.prefix.iter().chain(block);
                [array::from_fn(|_| bytes.next().copied().unwrap_or_default())]
            });
            self.pair.compress(&mut words, shared.each_ref().map(<[_; 1]>::as_slice));
        }
        let rests = blocks.map(|block| block[front..].as_chunks());
        self.pair.compress(&mut words, rests.map(|(chunks, _)| chunks));

        let bits = 8 * (self.salt_size as u64 + blocks[0].len() as u64);
        let tails = rests.map(|(_, rest)| self.tail(rest, bits));
        self.pair.compress(&mut words, tails.each_ref().map(|(tail, chunks)| &tail.as_chunks().0[..*chunks]));
        words.map(digest)
    }

    /// What is left of a block, and the end of its message of so many bits; and how many chunks that is.
    fn tail(&self, rest: &[u8], bits: u64) -> ([u8; MAX_TAIL.next_multiple_of(CHUNK)], usize) {
        let mut tail = [0; _];
        let salted = rest.len() + self.suffix.len();
        let end = (salted + 1 + size_of_val(&bits)).next_multiple_of(CHUNK);
        tail[..rest.len()].copy_from_slice(rest);
        tail[rest.len()..salted].copy_from_slice(self.suffix);
        tail[salted] = 0x80;
        tail[end - size_of_val(&bits)..end].copy_from_slice(&bits.to_be_bytes());
        (tail, end / CHUNK)
    }
}

fn digest(words: [u32; 8]) -> Digest {
    let mut bytes = [0; MAX_DIGEST_SIZE];
    bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_be_bytes());
    Digest { bytes, algorithm: Algorithm::Sha256 }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::Salt;

    /// Blocks one by one and all at once.
    fn check(algorithm: Algorithm, hash_type: HashType, salt: &[u8], block_size: usize) {
        let bytes: Vec<u8> = (0..3 * 512_u32).map(|byte| (byte * 7 % 251) as u8).collect();
        let (data_block_size, hash_block_size, data_blocks) = (512, 512, 3);
        let salt = Salt::from_bytes(salt).unwrap();
        let parameters = Parameters { hash_type, algorithm, data_block_size, hash_block_size, data_blocks, salt };
        let found: Vec<_> = BlocksHasher::new(&parameters).digests(&bytes, block_size).collect();
        let alone: Vec<_> = bytes.chunks(block_size).map(|block| parameters.hasher().digest(block)).collect();
        assert_eq!(found, alone, "{algorithm} {hash_type}, salt {}, blocks of {block_size}", parameters.salt);
    }

    #[test]
    fn many_blocks_have_the_digests_that_each_has_alone() {
        let salt: Vec<u8> = (0..=255).collect();
        for hash_type in [HashType::ChromeOs, HashType::Normal] {
            // Salts that end in every place of a chunk.
            for size in (0..=2 * CHUNK).chain([MAX_SALT_SIZE]) {
                check(Algorithm::Sha256, hash_type, &salt[..size], 512);
            }
            // No tree has such blocks: they leave a part of a chunk, or are shorter than one.
            for block_size in [500, 65, 64, 63] {
                check(Algorithm::Sha256, hash_type, &salt[..32], block_size);
            }
            for algorithm in Algorithm::ALL {
                check(algorithm, hash_type, &salt[..32], 512);
            }
        }
    }
}
