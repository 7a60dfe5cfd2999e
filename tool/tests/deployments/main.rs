//! Deployments inside filesystems: what `surefoot explain` tells of them, and the commands that change their ledgers. These
//! tests attach and mount images: they need root, and fail without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod explain;
mod ledger;
mod machine;
mod mixed;
mod running;
