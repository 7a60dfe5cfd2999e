//! The one way in which this crate sees a device: exact reads at an offset.

use core::fmt;

/// A block device, a partition of one, or an image of either.
pub trait ReadAt {
    /// Fills `buffer` with the bytes from `offset` on. A read that would go past the end is
    /// [`ReadError::OutOfRange`] and leaves `buffer` in any state.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError>;

    /// The size in bytes.
    fn size(&self) -> u64;
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// They lie past the end of the device.
    OutOfRange,
    /// The device failed, with this error number (errno(3)).
    Device(i32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => f.write_str("the device ends before that"),
            Self::Device(5) => f.write_str("input/output error (errno 5)"),
            Self::Device(errno) => write!(f, "the device failed with errno {errno}"),
        }
    }
}

impl core::error::Error for ReadError {}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let start = usize::try_from(offset).map_err(|_| ReadError::OutOfRange)?;
        let end = start.checked_add(buffer.len()).ok_or(ReadError::OutOfRange)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(ReadError::OutOfRange)?);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

/// A part of a device, read as a device of its own: the partition seen through its disk.
#[derive(Clone, Copy)]
pub struct Window<'r> {
    reader: &'r dyn ReadAt,
    start: u64,
    size: u64,
}

impl<'r> Window<'r> {
    /// The `size` bytes from byte `start` of `reader` on, as far as `reader` has them.
    pub fn new(reader: &'r dyn ReadAt, start: u64, size: u64) -> Self {
        let size = size.min(reader.size().saturating_sub(start));
        Self { reader, start, size }
    }
}

impl ReadAt for Window<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let end = offset.checked_add(buffer.len() as u64).ok_or(ReadError::OutOfRange)?;
        let start = self.start.checked_add(offset).ok_or(ReadError::OutOfRange)?;
        if end > self.size { Err(ReadError::OutOfRange) } else { self.reader.read_exact_at(start, buffer) }
    }

    fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const BYTES: &[u8] = b"0123456789";

    fn read<const N: usize>(reader: &dyn ReadAt, offset: u64) -> Result<[u8; N], ReadError> {
        let mut buffer = [0; N];
        reader.read_exact_at(offset, &mut buffer).map(|()| buffer)
    }

    #[test]
    fn a_slice_reads_up_to_its_end() {
        assert_eq!(read(&BYTES, 7), Ok(*b"789"));
        assert_eq!(read::<3>(&BYTES, 8), Err(ReadError::OutOfRange));
        assert_eq!(read::<3>(&BYTES, u64::MAX), Err(ReadError::OutOfRange));
    }

    #[test]
    fn a_window_shows_its_part_and_nothing_behind_it() {
        let window = Window::new(&BYTES, 2, 4);
        assert_eq!((window.size(), read(&window, 1)), (4, Ok(*b"345")));
        assert_eq!(read::<2>(&window, 3), Err(ReadError::OutOfRange));
        assert_eq!(read::<2>(&window, u64::MAX), Err(ReadError::OutOfRange));
    }

    #[test]
    fn a_window_ends_where_its_device_ends() {
        assert_eq!(Window::new(&BYTES, 8, 100).size(), 2);
        assert_eq!(Window::new(&BYTES, 11, 100).size(), 0);
        assert_eq!(read(&Window::new(&BYTES, 8, u64::MAX), 1), Ok(*b"9"));
    }

    #[test]
    fn errors_say_what_happened() {
        assert_eq!(ReadError::Device(5).to_string(), "input/output error (errno 5)");
        assert_eq!(ReadError::Device(123).to_string(), "the device failed with errno 123");
        assert_eq!(ReadError::OutOfRange.to_string(), "the device ends before that");
    }
}
