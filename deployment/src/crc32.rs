//! CRC-32 as a GUID partition table uses it.

use crate::read::{ReadAt, ReadError};

/// A CRC-32 (IEEE 802.3, reflected) over bytes that come piece by piece.
///
/// Half a byte at a time: the table costs PID 1 64 bytes, and a disk with the usual 16 KiB of entries a quarter of the
/// instructions of bit by bit.
pub(crate) struct Crc32(u32);

/// What half a byte that is shifted out leaves behind.
const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut half: u32 = 0;
    while half < 16 {
        let mut rest = half;
        let mut bit = 0;
        while bit < 4 {
            rest = (rest >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(rest & 1));
            bit += 1;
        }
        table[half as usize] = rest;
        half += 1;
    }
    table
};

impl Crc32 {
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..2 {
                self.0 = self.0 >> 4 ^ TABLE[self.0 as usize & 15];
            }
        }
    }

    /// Adds the `length` bytes from `offset` of `reader` on.
    pub(crate) fn update_from(&mut self, reader: &dyn ReadAt, mut offset: u64, length: u64) -> Result<(), ReadError> {
        let end = offset.checked_add(length).filter(|end| *end <= reader.size()).ok_or(ReadError::OutOfRange)?;
        let mut buffer = [0; 2048];
        while offset < end {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
            let chunk = buffer.get_mut(..left).unwrap_or_default();
            reader.read_exact_at(offset, chunk)?;
            self.update(chunk);
            offset = offset.saturating_add(chunk.len() as u64);
        }
        Ok(())
    }

    pub(crate) const fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = Crc32::new();
        crc.update(bytes);
        crc.finish()
    }

    #[test]
    fn the_check_value_of_the_algorithm_comes_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn reading_in_chunks_gives_the_same_sum() {
        let mut bytes = vec![0x5a; 5000];
        bytes[4999] = 1;
        let mut crc = Crc32::new();
        crc.update_from(&bytes.as_slice(), 100, 4900).unwrap();
        assert_eq!(crc.finish(), crc32(&bytes[100..]));
        let past_the_end = Crc32::new().update_from(&bytes.as_slice(), 100, 4901);
        assert_eq!(past_the_end, Err(ReadError::OutOfRange));
    }
}
