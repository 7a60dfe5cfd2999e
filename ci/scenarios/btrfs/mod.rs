//! Snapshots of a btrfs, as openSUSE MicroOS lays them out and snapper makes them.

pub(crate) mod boot;
pub(crate) mod fallback;
mod machine;
pub(crate) mod update;
