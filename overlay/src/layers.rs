//! The kinds of layers that go over a read-only root.

use boot_config::DeviceSpec;
use boot_config::config::MAX_DIRECTORIES;

use crate::mount_options::MountFlags;
use crate::path::{StatePath, Target};

/// Most layers of one boot: `/etc`, `/var`, `/home` and every `surefoot.mount=`.
pub const MAX_LAYERS: usize = MAX_DIRECTORIES + 3;

/// The name of the upper directory below [`Upper::State`].
pub const UPPER: &str = "upper";
/// The name of the work directory below [`Upper::State`].
pub const WORK: &str = "work";

/// One mount over a directory of the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer<'a> {
    /// The directory.
    pub target: Target,
    /// What goes over it.
    pub kind: LayerKind<'a>,
    /// Its mount flags, exactly these: those that a bind mount inherits from the state device's own mount are to be
    /// taken away unless they are among them.
    pub flags: MountFlags,
}

/// What goes over a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerKind<'a> {
    /// An overlayfs whose lower directory is the root's own directory of that path.
    Overlay(Upper),
    /// A directory of the state device.
    Bind {
        /// What is mounted there; made if missing.
        source: StatePath,
        /// Whether the source, when it is first made, is filled from the root's own directory.
        copy_from_root: bool,
    },
    /// An empty tmpfs.
    Tmpfs {
        /// The value of the option `size=` (tmpfs(5)).
        size: Option<&'a str>,
        /// The permission bits of its top directory.
        mode: u16,
    },
    /// A filesystem on a device of its own.
    Device(DeviceSpec<'a>),
}

/// What takes the changes of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// A directory of the state device, of mode 0700, with the directories [`UPPER`] and [`WORK`] in it.
    State(StatePath),
    /// A tmpfs: changes are lost at power-off.
    Memory,
}

impl Layer<'_> {
    /// Whether the layer keeps something on the state device.
    pub fn needs_state(&self) -> bool {
        matches!(self.kind, LayerKind::Overlay(Upper::State(_)) | LayerKind::Bind { .. })
    }
}

/// Whether any of these layers keeps something on the state device.
pub fn needs_state(layers: &[Layer<'_>]) -> bool {
    layers.iter().any(Layer::needs_state)
}

/// What lies between the root filesystem and `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootLayer {
    /// Nothing: `/` is the root filesystem.
    Plain,
    /// An overlayfs that keeps all changes in memory (`systemd.volatile=overlay`).
    TmpfsOverlay,
    /// `/` is a tmpfs, with the root's own `/usr` mounted read-only in it (`systemd.volatile=yes`).
    TmpfsWithUsr,
}
