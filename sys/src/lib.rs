//! The kernel as surefoot uses it: one function for one meaning, each documented with its system call.
//!
//! With it is what the processor does for SHA-256. This crate holds all `unsafe` code of PID 1 and of the tool. It needs
//! neither libc nor an allocator.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod btrfs;
mod call;
pub mod clock;
pub mod copy;
pub mod device_mapper;
mod directory;
pub mod empty;
pub mod errno;
pub mod file;
pub mod file_verity;
pub mod history;
pub mod kernel_log;
pub mod lending;
pub mod loop_device;
pub mod mapping;
pub mod module;
pub mod mount;
pub mod process;
pub mod reserve;
#[cfg(test)]
mod scratch;
pub mod sha256;
pub mod start;
mod text;
pub mod uevent;
pub mod watchdog;

pub use errno::Errno;
