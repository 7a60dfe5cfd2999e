//! The harness of the QEMU scenarios: Debian kernels, disk images made by Debian's own tools, virtual machines, and the
//! budget that sizes are held to.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod accelerator;
pub mod batch;
pub mod bench;
pub mod btrfs;
pub mod budget;
pub mod cache;
pub mod calls;
pub mod cgpt;
pub mod command;
pub mod composefs;
mod cue;
mod debian;
pub mod demo;
pub mod disk;
pub mod drive;
pub mod edit;
pub mod filesystem;
pub mod fsverity;
pub mod guest_tool;
pub mod host_tool;
pub mod images;
pub mod initramfs;
pub mod kernel;
pub mod machine;
pub mod mounted;
pub mod ostree;
pub mod paths;
pub mod power;
pub mod qmp;
pub mod random;
pub mod roots;
pub mod setup_root;
pub mod size;
pub mod slots;
pub mod tamper;
pub mod tree;
pub mod verity;
pub mod vm;
