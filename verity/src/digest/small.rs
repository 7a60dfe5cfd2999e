//! Digests by little code, slowly: one loop over the bytes for all algorithms (FIPS 180-4).

use sha2::{compress256, compress512};

use super::{Algorithm, MAX_DIGEST_SIZE};

/// The first words of SHA-512 (5.3.5). Their upper halves are those of SHA-256 (5.3.3).
const FIRST_WORDS: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
/// The first words of SHA-1 (5.3.1).
const FIRST_WORDS_SHA1: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Bytes that SHA-1 and SHA-256 take in at once; SHA-512 takes twice as many.
const BLOCK: usize = 64;
const LARGE_BLOCK: usize = 128;

/// An algorithm that has seen the beginning of a message.
#[derive(Clone)]
pub(super) struct State {
    words: Words,
    /// The bytes that wait until there are as many as the algorithm takes at once.
    waiting: [u8; LARGE_BLOCK],
    /// Bytes of the message so far.
    length: usize,
}

#[derive(Clone)]
enum Words {
    Sha1([u32; 5]),
    Sha256([u32; 8]),
    Sha512([u64; 8]),
}

impl State {
    /// The state after `prefix`.
    pub(super) fn after(algorithm: Algorithm, prefix: &[u8]) -> Self {
        let words = match algorithm {
            Algorithm::Sha1 => Words::Sha1(FIRST_WORDS_SHA1),
            Algorithm::Sha256 => Words::Sha256(FIRST_WORDS.map(|word| (word >> 32) as u32)),
            Algorithm::Sha512 => Words::Sha512(FIRST_WORDS),
        };
        let mut state = Self { words, waiting: [0; LARGE_BLOCK], length: 0 };
        state.take(prefix);
        state
    }

    /// The digest of a message that goes on with `block` and `suffix`, zeros after it.
    pub(super) fn finish(&self, block: &[u8], suffix: &[u8]) -> [u8; MAX_DIGEST_SIZE] {
        let mut state = self.clone();
        state.take(block);
        state.take(suffix);
        state.pad();
        let mut bytes = [0; MAX_DIGEST_SIZE];
        match &state.words {
            Words::Sha1(words) => write(words, &mut bytes),
            Words::Sha256(words) => write(words, &mut bytes),
            Words::Sha512(words) => {
                bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_be_bytes());
            }
        }
        bytes
    }

    /// Bytes that are taken in at once.
    fn block(&self) -> usize {
        if matches!(self.words, Words::Sha512(_)) { LARGE_BLOCK } else { BLOCK }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mask = self.block() - 1;
        for byte in bytes {
            if let Some(place) = self.waiting.get_mut(self.length & mask) {
                *place = *byte;
            }
            self.length += 1;
            if self.length & mask == 0 {
                self.compress();
            }
        }
    }

    fn compress(&mut self) {
        let [waiting, _] = self.waiting.as_chunks::<BLOCK>().0 else { return };
        match &mut self.words {
            Words::Sha1(words) => compress_sha1(words, waiting),
            Words::Sha256(words) => compress256(words, core::slice::from_ref(waiting.into())),
            Words::Sha512(words) => compress512(words, core::slice::from_ref((&self.waiting).into())),
        }
    }

    /// A one bit, zeros, and the number of bits of the message, at the end of a block (5.1). The number has an eighth of
    /// a block.
    fn pad(&mut self) {
        let bits = (self.length as u64).wrapping_mul(8).to_be_bytes();
        let block = self.block();
        self.take(&[0x80]);
        while self.length % block != block / 8 * 7 {
            self.take(&[0]);
        }
        while self.length % block != block - bits.len() {
            self.take(&[0]);
        }
        self.take(&bits);
    }
}

fn write(words: &[u32], out: &mut [u8]) {
    out.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_be_bytes());
}

/// Takes one block in (6.1.2, with the 16 words of the message schedule that are still needed). The crate `sha1` has no
/// small form of this.
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
fn compress_sha1(words: &mut [u32; 5], block: &[u8; BLOCK]) {
    let mut schedule = [0; 16];
    for (word, bytes) in schedule.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *words;
    for round in 0..80 {
        if round >= 16 {
            let earlier = |distance: usize| schedule[(round - distance) % 16];
            schedule[round % 16] = (earlier(3) ^ earlier(8) ^ earlier(14) ^ earlier(16)).rotate_left(1);
        }
        let (mixed, constant) = match round / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let sum = [mixed, e, constant, schedule[round % 16]].into_iter().fold(a.rotate_left(5), u32::wrapping_add);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    for (word, new) in words.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(new);
    }
}
