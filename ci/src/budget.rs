//! What surefoot may cost: `ci/budget.toml`.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::paths;

/// Upper limits; but a boot is to take neither many more nor many fewer instructions than are written down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The PID 1 binary with every kind of deployment, in bytes.
    pub pid1_bytes: u64,
    /// The same without those that lie in filesystems (the feature `sysroots`), in bytes.
    pub pid1_slots_bytes: u64,
    /// Peak resident memory of PID 1, in KiB.
    pub pid1_memory_kib: u64,
    /// The default initramfs for Debian's 6.12 cloud kernel, in bytes.
    pub initramfs_612_cloud_bytes: u64,
    /// The same with `--host-only` on a virtio machine, in bytes.
    pub initramfs_host_only_virtio_bytes: u64,
    /// Instructions from the start of PID 1 to that of the real init, as [`crate::bench::subject::Subject`] counts them.
    pub boot_instructions: u64,
}

impl Budget {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or names something unknown.
    pub fn read() -> Result<Self> {
        let path = paths::workspace().join("ci/budget.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_can_be_read() {
        let expected = Budget {
            pid1_bytes: 344 << 10,
            pid1_slots_bytes: 200 << 10,
            pid1_memory_kib: 1 << 10,
            initramfs_612_cloud_bytes: 4 << 20,
            initramfs_host_only_virtio_bytes: 1 << 20,
            boot_instructions: 285_000_000,
        };
        assert_eq!(Budget::read().unwrap(), expected);
    }
}
