//! SHA-256 of two messages at once (FIPS 180-4), by the processor's instructions for it.
//!
//! Each round needs what the round before gives, and the instruction for two rounds takes longer than the processor needs
//! until it can start another one. The rounds of a second message fill that time: two take hardly longer than one.

use core::arch::x86_64::{
    __cpuid, __cpuid_count, __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

/// Bytes of a message that are taken in at once.
pub const CHUNK: usize = 64;

/// The words of a message of which nothing has been taken in (5.3.3).
pub const FIRST_WORDS: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The constants of the rounds (4.2.2), four rounds a line.
const CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// The compression of two messages. That there is one proves that the processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub struct Pair(());

impl Pair {
    /// `None` where the processor lacks the instructions.
    pub fn detect() -> Option<Self> {
        // Intel's Software Developer's Manual, volume 2, CPUID.
        const SSSE3_AND_SSE4_1: u32 = 1 << 9 | 1 << 19;
        const SHA: u32 = 1 << 29;
        let is_there = __cpuid(0).eax >= 7
            && __cpuid(1).ecx & SSSE3_AND_SSE4_1 == SSSE3_AND_SSE4_1
            && __cpuid_count(7, 0).ebx & SHA != 0;
        is_there.then_some(Self(()))
    }

    /// Takes the chunks of each message into its words (6.2.2): of both as many as the one with fewer has.
    pub fn compress(self, words: &mut [[u32; 8]; 2], chunks: [&[[u8; CHUNK]]; 2]) {
        // SAFETY: `detect` made this value, so the processor has the instructions that the function is compiled for.
        #[allow(unsafe_code)]
        unsafe {
            compress(words, chunks);
        }
    }
}

/// The instructions have words a, b, e and f in one register, and c, d, g and h in another.
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress(words: &mut [[u32; 8]; 2], chunks: [&[[u8; CHUNK]]; 2]) {
    let mut abef = words.map(|[a, b, _, _, e, f, _, _]| register([f, e, b, a]));
    let mut cdgh = words.map(|[_, _, c, d, _, _, g, h]| register([h, g, d, c]));
    for (first, second) in chunks[0].iter().zip(chunks[1]) {
        let (abef_before, cdgh_before) = (abef, cdgh);
        let mut schedules = [schedule(first), schedule(second)];
        for (sixteen, constants) in CONSTANTS.as_chunks::<4>().0.iter().enumerate() {
            for (four, constants) in constants.iter().enumerate() {
                let constants = register(*constants);
                for ((schedule, abef), cdgh) in schedules.iter_mut().zip(&mut abef).zip(&mut cdgh) {
                    if sixteen > 0 {
                        schedule[four] = next(core::array::from_fn(|distance| schedule[(four + distance) % 4]));
                    }
                    let sum = _mm_add_epi32(schedule[four], constants);
                    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
                    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0b1110));
                }
            }
        }
        for (sum, before) in abef.iter_mut().chain(&mut cdgh).zip(abef_before.iter().chain(&cdgh_before)) {
            *sum = _mm_add_epi32(*sum, *before);
        }
    }
    for ((words, abef), cdgh) in words.iter_mut().zip(abef).zip(cdgh) {
        let ([f, e, b, a], [h, g, d, c]) = (lanes(abef), lanes(cdgh));
        *words = [a, b, c, d, e, f, g, h];
    }
}

/// The 16 words of a chunk, which are big-endian.
#[target_feature(enable = "ssse3")]
fn schedule(chunk: &[u8; CHUNK]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut schedule = [_mm_setzero_si128(); 4];
    for (four, bytes) in schedule.iter_mut().zip(chunk.as_chunks().0) {
        let bytes = i128::from_le_bytes(*bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let halves = _mm_set_epi64x((bytes >> 64) as i64, bytes as i64);
        *four = _mm_shuffle_epi8(halves, swap);
    }
    schedule
}

/// The next four words of a message schedule, by the sixteen before them.
#[target_feature(enable = "sha,ssse3")]
fn next([first, second, third, fourth]: [__m128i; 4]) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), _mm_alignr_epi8(fourth, third, 4));
    _mm_sha256msg2_epu32(sum, fourth)
}

/// Four words, the lowest first.
#[target_feature(enable = "sse2")]
fn register(words: [u32; 4]) -> __m128i {
    let [first, second, third, fourth] = words.map(u32::cast_signed);
    _mm_set_epi32(fourth, third, second, first)
}

/// The words of a register, the lowest first.
#[target_feature(enable = "sse4.1")]
fn lanes(register: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32(register, 0),
        _mm_extract_epi32(register, 1),
        _mm_extract_epi32(register, 2),
        _mm_extract_epi32(register, 3),
    ]
    .map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where they are not there, nothing below is tested: then that must be true.
    #[test]
    fn the_instructions_are_found_where_the_kernel_finds_them() {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags: std::vec::Vec<_> = info.lines().find(|line| line.starts_with("flags")).unwrap().split(' ').collect();
        let has_all = ["sha_ni", "ssse3", "sse4_1"].iter().all(|flag| flags.contains(flag));
        assert_eq!(Pair::detect().is_some(), has_all);
    }

    /// The examples of FIPS 180-4 for "abc" and for no message: each is one chunk with its padding.
    #[test]
    fn gives_the_published_digests() {
        let Some(pair) = Pair::detect() else { return };
        let mut chunks = [[0; CHUNK]; 2];
        chunks[0][..4].copy_from_slice(b"abc\x80");
        chunks[0][CHUNK - 1] = 24;
        chunks[1][0] = 0x80;
        let mut words = [FIRST_WORDS; 2];
        pair.compress(&mut words, [&chunks[..1], &chunks[1..]]);
        let abc =
            [0xba78_16bf, 0x8f01_cfea, 0x4141_40de, 0x5dae_2223, 0xb003_61a3, 0x9617_7a9c, 0xb410_ff61, 0xf200_15ad];
        let empty =
            [0xe3b0_c442, 0x98fc_1c14, 0x9afb_f4c8, 0x996f_b924, 0x27ae_41e4, 0x649b_934c, 0xa495_991b, 0x7852_b855];
        assert_eq!(words, [abc, empty]);
    }
}
