//! The commands that work on slots, as programs, on disk images.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod image;
mod ledger;
mod notice;
mod rauc;
mod run;
mod stage;
mod status;
