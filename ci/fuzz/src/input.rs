//! Inputs taken apart. Whatever an input is, it is taken for something: a search learns nothing from one that is not.

use deployment::read::{ReadAt, ReadError};

/// The text in front of the first byte that is not UTF-8.
pub(crate) fn text(input: &[u8]) -> &str {
    let end = std::str::from_utf8(input).map_or_else(|error| error.valid_up_to(), |_| input.len());
    std::str::from_utf8(&input[..end]).unwrap()
}

/// `N` texts with NUL bytes between them; those that are missing are empty.
pub(crate) fn texts<const N: usize>(input: &[u8]) -> [&str; N] {
    let mut parts = input.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| text(parts.next().unwrap_or_default()))
}

/// The first `N` bytes, zeros where there are none, and the rest.
pub(crate) fn take<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let (front, rest) = input.split_at(N.min(input.len()));
    let mut bytes = [0; N];
    bytes[..front.len()].copy_from_slice(front);
    (bytes, rest)
}

/// A device of zeros with some bytes in it.
#[derive(Clone, Copy)]
pub(crate) struct Sparse<'b> {
    /// Where the bytes lie.
    pub(crate) place: u64,
    /// What lies there.
    pub(crate) bytes: &'b [u8],
    /// The size of the device.
    pub(crate) size: u64,
}

impl ReadAt for Sparse<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let end = offset.checked_add(buffer.len() as u64).ok_or(ReadError::OutOfRange)?;
        if end > self.size {
            return Err(ReadError::OutOfRange);
        }
        for (byte, at) in buffer.iter_mut().zip(offset..) {
            let index = at.checked_sub(self.place).and_then(|index| usize::try_from(index).ok());
            *byte = index.and_then(|index| self.bytes.get(index)).copied().unwrap_or(0);
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }
}
