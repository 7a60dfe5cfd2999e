//! What ostree keeps on a sysroot, and what its own initramfs program, ostree-prepare-root(1), is told and tells.
//!
//! Texts and bytes come in, values go out: whoever reads the links, files and objects never follows a link on the way,
//! and asks this module what each of them means. A sysroot is not trusted: a text that ostree would not have written
//! is an error, even where ostree would follow it.
//!
//! The names are ostree's: a *stateroot* (`OS`) has one `/var` and several *deployments*, each of a *commit*; a *boot
//! link* is what the command line names, one for each boot entry.

pub mod bls;
pub mod booted;
pub mod commit;
mod gvariant;
mod key_file;
pub mod object;
pub mod prepare_root;
pub mod target;

pub use bls::BootEntry;
pub use booted::{Booted, BootedImage};
pub use commit::{Commit, CommitError};
pub use object::Checksum;
pub use prepare_root::PrepareRoot;
pub use target::{BootLink, Deployment, TargetError};
