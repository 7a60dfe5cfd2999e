//! Programs of others that do what surefoot does, to be run beside it.

use std::path::PathBuf;

use anyhow::Result;

use crate::cache::{self, Key};
use crate::command::{command, run};
use crate::paths;

/// The version of composefs-setup-root that composefs deployments are held to.
const SETUP_ROOT: &str = "0.9.4";

/// `composefs-setup-root`, from crates.io, linked statically so that it runs in any guest.
///
/// # Errors
/// When it cannot be built.
pub fn composefs_setup_root() -> Result<PathBuf> {
    let folder = cache::cached("peers", "composefs-setup-root", Key::default().text(SETUP_ROOT), |folder| {
        // A target of its own keeps the flags away from what runs while it is built.
        let target = ["--target", "x86_64-unknown-linux-gnu", "--target-dir"];
        let install = ["install", "--quiet", "--locked", "composefs-setup-root", "--version", SETUP_ROOT, "--root"];
        run(command("cargo")
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .args(install)
            .arg(folder)
            .args(target)
            .arg(paths::target().join("peers")))?;
        Ok(())
    })?;
    Ok(folder.join("bin/composefs-setup-root"))
}
