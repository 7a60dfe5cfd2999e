//! What is on the machine's block devices, and which deployments on them can boot.
//!
//! [`facts`] holds what partition tables ([`table`], [`gpt`], [`mbr`]) and superblocks ([`filesystem`]) say;
//! [`candidates`] turns a configuration and those facts into the deployments that may boot, best first; [`ledger`] is what
//! is written down about them. Bytes come in through [`ReadAt`] and leave through [`WriteAt`]: this crate does no I/O of
//! its own, allocates nothing and cannot panic on any input.
#![forbid(unsafe_code)]
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(any(test, feature = "recorder"))]
extern crate std;

mod bytes;
mod crc32;

pub mod candidates;
pub mod composefs;
pub mod discoverable;
pub mod facts;
pub mod filesystem;
pub mod gpt;
pub mod ledger;
pub mod mbr;
pub mod ostree;
pub mod read;
#[cfg(any(test, feature = "recorder"))]
#[doc(hidden)]
pub mod recorder;
pub mod snapper;
pub mod table;
pub mod tree;
pub mod vpick;
pub mod write;

pub use candidates::{Candidate, CandidateError, candidates};
pub use facts::{BlockDevice, DeviceNumber, Facts, Name};
pub use filesystem::{Filesystem, FilesystemKind};
pub use read::{ReadAt, ReadError};
pub use write::{WriteAt, WriteError};
