//! What a key may ask for: one type for each key that chooses among several ways.

use core::fmt;

use crate::spec::DeviceSpec;

/// `surefoot.verity=`: whether a root (or `/usr`) without dm-verity may boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerityPolicy {
    /// Only a verified root boots.
    #[default]
    Required,
    /// Verified where a root hash is given, otherwise mounted as it is and reported as insecure.
    Optional,
    /// Never verified, reported as insecure on every boot. Contradicts a root hash on the command line.
    Off,
}

/// `surefoot.corruption=`: dm-verity's reaction to a corrupted block after the hand-over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corruption {
    /// Restart the machine.
    #[default]
    Reboot,
    /// Panic the kernel.
    Panic,
    /// Fail the read with EIO.
    Eio,
}

/// `systemd.volatile=`: how much of the system lives in memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volatile {
    /// Nothing.
    #[default]
    No,
    /// `/var` is a tmpfs.
    State,
    /// A tmpfs overlay covers the whole root.
    Overlay,
    /// The root is a tmpfs, with the image's `/usr` mounted read-only in it.
    Yes,
}

/// `surefoot.etc=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtcPolicy {
    /// One writable layer on the state device, over the root's `/etc`.
    #[default]
    Overlay,
    /// As [`EtcPolicy::Overlay`], with a layer of its own for each deployment.
    OverlayPerDeployment,
    /// A directory of the state device, filled from the root's `/etc` when it is first made.
    Bind,
    /// A writable layer in memory, over the root's `/etc`: changes are lost at power-off.
    Tmpfs,
    /// The root's own `/etc`, read-only.
    ReadOnly,
}

/// `surefoot.var=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VarPolicy<'a> {
    /// A directory of the state device, filled from the root's `/var` when it is first made.
    #[default]
    Bind,
    /// A device of its own.
    Mount(DeviceSpec<'a>),
    /// An empty tmpfs, with the text of its `size=` option if one is given.
    Tmpfs(Option<&'a str>),
    /// The root's own `/var`, read-only.
    ReadOnly,
}

/// `surefoot.home=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HomePolicy<'a> {
    /// A directory of the state device.
    #[default]
    Bind,
    /// A device of its own.
    Mount(DeviceSpec<'a>),
    /// A writable layer on the state device, over the root's `/home`.
    Overlay,
    /// An empty tmpfs, with the text of its `size=` option if one is given.
    Tmpfs(Option<&'a str>),
    /// The root's own `/home`, read-only.
    ReadOnly,
}

/// How one `surefoot.mount=` directory is made writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryPolicy<'a> {
    /// A writable layer on the state device, over the root's own directory.
    Overlay,
    /// A directory of the state device, filled from the root's own when it is first made.
    Bind,
    /// An empty tmpfs, with the text of its `size=` option if one is given.
    Tmpfs(Option<&'a str>),
}

/// `surefoot.mount=WHERE:…`: one more directory that becomes writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryMount<'a> {
    /// Absolute path in the new root, normalised (no `.`, `..`, doubled or trailing slash), never `/` itself nor
    /// one of the directories that have a key or a meaning of their own (`/etc`, `/var`, `/home`, `/usr`, `/dev`,
    /// `/proc`, `/sys`, `/run`).
    pub path: &'a str,
    /// What becomes of it.
    pub policy: DirectoryPolicy<'a>,
}

/// `surefoot.state=DEVICE[:FSTYPE[:OPTIONS]]`: what holds the writable layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDevice<'a> {
    /// Where it is.
    pub device: DeviceSpec<'a>,
    /// Filesystem type; probed when `None`.
    pub filesystem: Option<&'a str>,
    /// Mount options, comma-separated.
    pub options: Option<&'a str>,
}

/// `surefoot.state.missing=`: what happens without a usable state device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateMissing {
    /// The boot fails.
    #[default]
    Fail,
    /// A tmpfs takes its place: the machine runs degraded, and says so.
    Tmpfs,
}

/// `surefoot.on-failure=`: what follows when a candidate fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The next candidate is tried in this same boot; with none left the machine's [`Emergency`] action follows.
    #[default]
    Next,
    /// No further candidate is tried; this action follows at once.
    Stop(Emergency),
}

/// `surefoot.deployment=`: which deployments are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeploymentChoice<'a> {
    /// All that are found, by their rank.
    #[default]
    Auto,
    /// One deployment alone, whatever the boot ledger says of it.
    Named {
        /// The word for its kind.
        kind: &'a str,
        /// What it is called: a slot's label, the path of an image, whatever the kind says.
        name: &'a str,
    },
}

/// The word for slots in `surefoot.deployment=`.
pub const SLOT: &str = "slot";

/// `surefoot.on-exhausted=`: what follows when no deployment is left that the boot ledger lets boot, or each one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// Restart, at most so often in a row; then what was good once is tried, and then the machine halts.
    Reboot(u8),
    /// Try what was good once at once; then restart, at most so often in a row, and halt.
    LastGood(u8),
    /// This action, at once.
    Stop(Emergency),
}

/// Automatic restarts in a row where `surefoot.on-exhausted=` gives no number.
pub const DEFAULT_REBOOTS: u8 = 3;
/// Most automatic restarts in a row that can be asked for: the boot ledger counts no further.
pub const MAX_REBOOTS: u8 = 15;

impl From<Emergency> for OnExhausted {
    /// The action of `rd.emergency=`, which counts where `surefoot.on-exhausted=` is not given.
    fn from(emergency: Emergency) -> Self {
        if emergency == Emergency::Reboot { Self::Reboot(DEFAULT_REBOOTS) } else { Self::Stop(emergency) }
    }
}

/// The last action of a boot that failed: `rd.emergency=`, `rd.shell` and the words of `surefoot.on-failure=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emergency {
    /// Restart, after the message has been visible.
    #[default]
    Reboot,
    /// Power off.
    Poweroff,
    /// Halt.
    Halt,
    /// Start the shell that was packed into the initramfs; a machine without one reboots.
    Shell,
}

/// `rd.break[=stage]`: where a shell interrupts the boot on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakStage {
    /// After the command line is parsed, before any module is loaded or device looked for.
    Cmdline,
    /// Before the first mount of the plan.
    PreMount,
    /// Before the hand-over, with everything mounted under `/sysroot`. The default of a bare `rd.break`.
    PrePivot,
}

/// Whether a filesystem is mounted read-only or writable (`ro`, `rw`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessMode {
    /// `ro`.
    #[default]
    ReadOnly,
    /// `rw`.
    ReadWrite,
}

/// How long devices are waited for (`rd.timeout=`, `rootwait[=]`, `rootdelay=`; the last one wins).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Seconds, counted from the start of PID 1.
    Seconds(u32),
    /// For ever (0, or a bare `rootwait`).
    Never,
}

impl Default for Deadline {
    fn default() -> Self {
        Self::Seconds(30)
    }
}

/// What reaches the console (`quiet`, `debug`, `loglevel=`). Everything goes to the kernel log in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// The milestones of the boot as well.
    #[default]
    Normal,
    /// Every step.
    Debug,
}

impl fmt::Display for Volatile {
    /// Writes the value of `systemd.volatile=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::State => "state",
            Self::Overlay => "overlay",
            Self::Yes => "yes",
        })
    }
}

impl fmt::Display for Emergency {
    /// Writes the value of `rd.emergency=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reboot => "reboot",
            Self::Poweroff => "poweroff",
            Self::Halt => "halt",
            Self::Shell => "shell",
        })
    }
}

impl fmt::Display for DeploymentChoice<'_> {
    /// Writes the value of `surefoot.deployment=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named { kind, name } => write!(f, "{kind}:{name}"),
        }
    }
}

impl fmt::Display for OnExhausted {
    /// Writes the value of `surefoot.on-exhausted=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reboot(most) => write!(f, "reboot:{most}"),
            Self::LastGood(most) => write!(f, "last-good:{most}"),
            Self::Stop(emergency) => emergency.fmt(f),
        }
    }
}

impl fmt::Display for EtcPolicy {
    /// Writes the value of `surefoot.etc=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlay => "overlay",
            Self::OverlayPerDeployment => "overlay:per-deployment",
            Self::Bind => "bind",
            Self::Tmpfs => "tmpfs",
            Self::ReadOnly => "ro",
        })
    }
}

impl fmt::Display for VarPolicy<'_> {
    /// Writes the value of `surefoot.var=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind => f.write_str("bind"),
            Self::Mount(device) => write!(f, "mount:{device}"),
            Self::Tmpfs(size) => write_tmpfs(f, *size),
            Self::ReadOnly => f.write_str("ro"),
        }
    }
}

impl fmt::Display for HomePolicy<'_> {
    /// Writes the value of `surefoot.home=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind => f.write_str("bind"),
            Self::Mount(device) => write!(f, "mount:{device}"),
            Self::Overlay => f.write_str("overlay"),
            Self::Tmpfs(size) => write_tmpfs(f, *size),
            Self::ReadOnly => f.write_str("ro"),
        }
    }
}

impl fmt::Display for DirectoryMount<'_> {
    /// Writes the value of `surefoot.mount=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        match self.policy {
            DirectoryPolicy::Overlay => f.write_str("overlay"),
            DirectoryPolicy::Bind => f.write_str("bind"),
            DirectoryPolicy::Tmpfs(size) => write_tmpfs(f, size),
        }
    }
}

fn write_tmpfs(f: &mut fmt::Formatter<'_>, size: Option<&str>) -> fmt::Result {
    f.write_str("tmpfs")?;
    size.map_or(Ok(()), |size| write!(f, ":size={size}"))
}
