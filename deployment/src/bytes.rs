//! Numbers and texts at fixed places of an on-disk structure.

use heapless::String;
use heapless::string::StringView;

/// The bytes of an on-disk structure. Whatever lies past their end reads as zero, as behind the end of a device.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    /// The `N` bytes at `offset`.
    pub(crate) fn array<const N: usize>(self, offset: usize) -> [u8; N] {
        self.from(offset).0.first_chunk().copied().unwrap_or([0; N])
    }

    pub(crate) fn u8(self, offset: usize) -> u8 {
        let [byte] = self.array(offset);
        byte
    }

    pub(crate) fn le16(self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }

    pub(crate) fn le32(self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    pub(crate) fn le64(self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }

    pub(crate) fn be16(self, offset: usize) -> u16 {
        u16::from_be_bytes(self.array(offset))
    }

    pub(crate) fn be32(self, offset: usize) -> u32 {
        u32::from_be_bytes(self.array(offset))
    }

    /// The structure that begins at `offset`.
    pub(crate) fn from(self, offset: usize) -> Self {
        Self(self.0.get(offset..).unwrap_or_default())
    }

    /// Whether `magic` stands at `offset`.
    pub(crate) fn has(self, offset: usize, magic: &[u8]) -> bool {
        self.from(offset).0.starts_with(magic)
    }

    /// The UTF-8 text in the `length` bytes at `offset`, up to the first NUL. Empty when it is not UTF-8 or longer
    /// than `N`: no command line could name it.
    pub(crate) fn text<const N: usize>(self, offset: usize, length: usize) -> String<N, u8> {
        let field = self.from(offset).0;
        let field = field.get(..length).unwrap_or(field);
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).ok().and_then(|text| String::try_from(text).ok()).unwrap_or_default()
    }

    /// The `units` UTF-16LE code units at `offset`, up to the first NUL; what is no character becomes U+FFFD, and
    /// what does not fit into `N` bytes is left off.
    pub(crate) fn utf16<const N: usize>(self, offset: usize, units: usize) -> String<N, u8> {
        let mut text = String::new();
        self.decode_utf16(offset, units, &mut text);
        text
    }

    fn decode_utf16(self, offset: usize, units: usize, text: &mut StringView<u8>) {
        let units = (0..units).map(|unit| self.le16(offset.saturating_add(unit.saturating_mul(2))));
        for character in char::decode_utf16(units.take_while(|unit| *unit != 0)) {
            if text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER)).is_err() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_either_order_and_zero_past_the_end() {
        let bytes = Bytes(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((bytes.u8(8), bytes.le16(1), bytes.be16(1)), (9, 0x0302, 0x0203));
        assert_eq!((bytes.le32(5), bytes.be32(5), bytes.le64(1)), (0x0908_0706, 0x0607_0809, 0x0908_0706_0504_0302));
        assert_eq!((bytes.le32(6), bytes.u8(9), bytes.u8(usize::MAX)), (0, 0, 0));
        assert!(bytes.has(7, &[8, 9]) && !bytes.has(8, &[9, 0]));
    }

    #[test]
    fn texts_end_at_the_first_nul_and_are_empty_when_unnameable() {
        let text = |bytes: &[u8], length| Bytes(bytes).text::<4>(0, length);
        assert_eq!(text(b"ab\0cd", 5), "ab");
        assert_eq!(text(b"abcd", 3), "abc");
        assert_eq!(text(b"ab", 16), "ab");
        assert_eq!(text(b"abcde", 5), "");
        assert_eq!(text(b"a\xff", 2), "");
    }

    #[test]
    fn utf16_keeps_what_it_can() {
        let bytes = [0xe4, 0, 0x00, 0xd8, b'x', 0, 0, 0, b'y', 0];
        assert_eq!(Bytes(&bytes).utf16::<16>(0, 5), "ä\u{fffd}x");
        assert_eq!(Bytes(&bytes).utf16::<16>(0, 1), "ä");
        assert_eq!(Bytes(&bytes).utf16::<3>(0, 5), "ä");
    }
}
