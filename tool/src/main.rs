//! The `surefoot` command: builds initramfs images, formats and checks verity images, explains and reports boots.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cli;
mod deployments;
mod disk_image;
mod error;
mod explain;
mod initramfs;
mod ledger;
mod manual;
mod mounts;
mod notice;
mod output;
mod slots;
mod stage;
mod status;
mod timeline;
mod tree;
mod utc;
mod verity;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
