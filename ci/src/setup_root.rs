//! composefs-setup-root, the program that does in other initramfs images what surefoot does for composefs.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::paths;

/// The version that composefs deployments are held to.
const VERSION: &str = "0.9.4";

/// The program, from crates.io, linked statically so that it runs in any guest.
///
/// # Errors
/// When it cannot be built.
pub fn program() -> Result<PathBuf> {
    let folder =
        cache::cached("peers", "composefs-setup-root", Key::default().text(VERSION).text("stripped"), |folder| {
            // A target of its own keeps the flags away from what runs while it is built.
            let target = ["--target", "x86_64-unknown-linux-gnu", "--target-dir"];
            let install = ["install", "--quiet", "--locked", "composefs-setup-root", "--version", VERSION, "--root"];
            run(command("cargo")
                .env("RUSTFLAGS", "-Ctarget-feature=+crt-static -Cstrip=symbols")
                .args(install)
                .arg(folder)
                .args(target)
                .arg(paths::target().join("peers")))?;
            Ok(())
        })?;
    Ok(folder.join("bin/composefs-setup-root"))
}
