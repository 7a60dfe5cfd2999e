//! Where things are mounted and written, before and after the hand-over.

/// The new root, until it becomes `/`.
pub const NEW_ROOT: &str = "/sysroot";
/// What surefoot keeps for the running system. `/run` is carried over, so these paths stay valid.
pub const RUN: &str = "/run/surefoot";
/// The state device, which holds the writable layers.
pub const STATE: &str = "/run/surefoot/state";
/// A tmpfs that holds the writable layers that live in memory.
pub const MEMORY: &str = "/run/surefoot/memory";
/// The filesystems that are looked into for deployments, each by its number. They are gone when the real init starts.
pub const SYSROOTS: &str = "/run/surefoot/sysroot";
/// Where the image of a composefs is mounted while that is put together.
pub const COMPOSEFS: &str = "/run/surefoot/composefs";
/// The root image where `/` is something laid over it.
pub const IMAGE: &str = "/run/surefoot/image";
/// The link that tells systemd the device of `/`, where `/` does not show it (systemd.volatile=, composefs).
pub const VOLATILE_ROOT: &str = "/run/systemd/volatile-root";
/// The report of this boot.
pub const REPORT: &str = "/run/surefoot/boot.json";
/// The name of the deployment that booted, alone.
pub const DEPLOYMENT: &str = "/run/surefoot/deployment";
