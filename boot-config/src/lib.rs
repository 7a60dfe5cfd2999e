//! The words of the kernel command line, of bootconfig and of drop-in files, parsed into one typed [`Config`].
//!
//! Words come in, values go out: this crate does no I/O, allocates nothing and cannot panic on any input.
#![forbid(unsafe_code)]
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

/// Whether the words that name a deployment inside a filesystem can be used (the feature `sysroots`).
pub const SYSROOTS: bool = cfg!(feature = "sysroots");

pub mod bootconfig;
mod check;
pub mod cmdline;
pub mod composefs;
pub mod config;
mod draft;
pub mod error;
pub mod keys;
pub mod module;
mod nearest;
pub mod policy;
pub mod spec;
mod values;

pub use config::{Config, Sources};
pub use error::ConfigError;
pub use keys::KEYS;
pub use module::ModuleParameter;
pub use spec::DeviceSpec;
