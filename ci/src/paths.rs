//! Where things lie in the work tree.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The top of the work tree.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    // A relative CARGO_TARGET_DIR is meant from the top of the work tree, where make and cargo run; tests run elsewhere.
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// What scenarios download and build once.
pub fn cache() -> PathBuf {
    target().join("ci")
}

/// Console logs of the scenarios' machines.
pub fn logs() -> PathBuf {
    cache().join("logs")
}

/// A program that `make build probe` leaves behind.
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    built(target().join("release").join(name))
}

/// PID 1 as it is built without deployments in filesystems.
///
/// # Errors
/// When it has not been built.
pub fn slots_alone() -> Result<PathBuf> {
    built(target().join("slots/release/surefoot-init"))
}

fn built(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} is missing: run `make build probe`", path.display());
    Ok(path)
}
