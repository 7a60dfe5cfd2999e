//! The one way in which this crate changes a device: exact writes at an offset, and a barrier between them.

use crate::read::ReadAt;

/// A block device, or an image of one, that can be written.
pub trait WriteAt: ReadAt {
    /// Writes all of `bytes`, whole sectors at an address that 4096 divides, from `offset` on. They need not be on the medium before [`flush`](Self::flush).
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError>;

    /// Puts everything that was written on the medium; what is written afterwards reaches it later.
    fn flush(&self) -> Result<(), WriteError>;
}

/// The device refused a write, with this error number (errno(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteError(pub i32);
