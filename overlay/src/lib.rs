//! What `/etc`, `/var`, `/home` and other directories of a read-only root become, and the text that the kernel wants
//! to read for it.
//!
//! The configuration goes in, a list of layers comes out ([`policy::layers`]); nothing is mounted here.
//!
//! # The layout of the state device
//!
//! | path on the state device | holds | mode |
//! |---|---|---|
//! | `etc/upper`, `etc/work` | the changes to `/etc`, for `surefoot.etc=overlay` | 0700 (`etc`) |
//! | `deployments/NAME/etc/upper`, `…/work` | the same for one deployment, for `surefoot.etc=overlay:per-deployment` | 0700 |
//! | `var` | `/var`, for `surefoot.var=bind` | as in the root |
//! | `home` | `/home`, for `surefoot.home=bind` | 0755 |
//! | `overlays/ESCAPED/upper`, `…/work` | the changes to any other directory that is an overlay | 0700 (`ESCAPED`) |
//! | `binds/ESCAPED` | any other directory that is a bind mount | as in the root |
//!
//! ESCAPED is the directory's path as `systemd-escape --path` writes it, so that `/usr/local` is found at
//! `overlays/usr-local`; NAME is the deployment's name, escaped in the same way. The mode 0700 keeps what an overlay's
//! upper directory holds from being reached beside the overlay, where the overlay's own permissions do not count.
//!
//! # Mount flags
//!
//! `nosuid,nodev` goes where only data lives: `/etc`, `/home`, `/srv`, `/tmp`, `/var/tmp` and what is below them. All
//! other directories have no flags of their own, for programs are installed there (`/opt`, `/usr/local`, `/root`), and
//! container engines keep whole root filesystems under `/var`, whose set-user-ID programs and device nodes must work.
#![forbid(unsafe_code)]
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

pub mod layers;
pub mod mount_options;
pub mod options;
pub mod path;
pub mod policy;

pub use layers::{Layer, RootLayer, Upper, needs_state};
pub use mount_options::{FilesystemOption, MountFlags, MountOptions};
pub use options::OverlayOptions;
pub use path::{PATH_CAPACITY, StatePath, Target};
pub use policy::{LayerError, layers, root_layer};
