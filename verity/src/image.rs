//! Whole images: making, checking and reading hash trees in files and on block devices.
//!
//! The data is read once, in order, by all threads of the current rayon pool; each keeps one run of blocks
//! ([`runs::RUN_BYTES`]) in memory, whatever the size of the image.

mod device;
mod error;
mod format;
mod progress;
mod runs;
#[cfg(test)]
mod tests;
mod verify;

pub use device::Device;
pub use error::ImageError;
pub use format::{format, read_superblock};
pub use progress::{Progress, bytes_read};
pub use verify::{BadBlock, Fault, MAX_REPORTED, Place, Report, verify};
