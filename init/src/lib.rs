//! surefoot's PID 1, as a library: everything but the entry of the program. The host tool uses its pure parts, so that
//! what `surefoot explain` prints is what PID 1 does.
#![forbid(unsafe_code)]
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

/// Whether deployments inside filesystems are looked for (the feature `sysroots`). Code that serves them alone is left out
/// otherwise.
pub const SYSROOTS: bool = !deployment::candidates::SYSROOT_KINDS.is_empty();

pub mod attempt;
pub mod boot;
mod choice;
mod coldplug;
mod command_line;
pub mod composefs;
mod disk;
mod early;
mod efi;
pub mod execute;
mod failure;
mod handoff;
mod history;
pub mod json;
pub mod kernel;
pub mod ledger;
pub mod load;
mod log;
pub mod look;
mod modprobe;
pub mod modules;
pub mod mounted_tree;
mod mounting;
pub mod new_root;
pub mod places;
pub mod plan;
mod probe;
pub mod report;
mod settings;
pub mod text;
pub mod verity_device;
mod watchdog;
