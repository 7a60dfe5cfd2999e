//! The steps of a plan, and how they are printed.

use core::fmt;

use boot_config::policy::Corruption;
use deployment::candidates::recipe::MAX_FILE;
use deployment::facts::Name;
use heapless::{String, Vec};
use overlay::mount_options::{MountFlags, MountOptions};
use overlay::options::OverlayOptions;
use verity::RootHash;

use crate::text::Path;
use crate::{SYSROOTS, places};

/// Longest name of a module or filesystem type.
pub const TYPE_CAPACITY: usize = 32;

/// The name of a module or of a filesystem type.
pub type TypeName = String<TYPE_CAPACITY>;

/// Whom a failed step speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The deployment that is being set up: another one may boot.
    Candidate,
    /// The state device, which all deployments share.
    State,
    /// The kernel that runs, for which the deployment was not made.
    Kernel,
}

/// One step, with whom its failure is charged to.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// What is done.
    pub action: Action<'a>,
    /// Whom a failure speaks against.
    pub scope: Scope,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'a> {
    /// Makes a kernel module available, by name or alias.
    LoadModule {
        /// The module.
        name: TypeName,
        /// Whether the boot cannot go on without. The kernel asks for others itself where it misses them.
        required: bool,
    },
    /// Makes a part of a file a block device.
    AttachLoop(LoopFile),
    /// Makes a dm-verity device, `/dev/mapper/NAME`.
    ActivateVerity(VerityDevice),
    /// Mounts something.
    Mount(Mount<'a>),
    /// Mounts something, unless there is nothing to mount it on.
    MountIfThere(Mount<'a>),
    /// Makes a directory; one that exists is fine.
    MakeDirectory {
        /// Where.
        path: Path,
        /// Permission bits of a new one.
        mode: u32,
    },
    /// Makes a directory with the owner, permissions and attributes of another one; one that exists is left as it is.
    MakeDirectoryLike {
        /// The other one.
        model: Path,
        /// Where.
        path: Path,
    },
    /// Checks that a directory of the new root is there to be mounted on, and that no symbolic link leads to it.
    CheckDirectory {
        /// Its path in the new root.
        path: Path,
    },
    /// Makes a directory that begins as a copy of another one; one that exists is left as it is.
    FillDirectory {
        /// What is copied.
        source: Path,
        /// Where the copy is.
        target: Path,
    },
    /// Makes a symbolic link.
    Link {
        /// Where it leads.
        destination: &'static str,
        /// Where it is.
        path: Path,
    },
    /// Checks that no symbolic link leads to a directory of a filesystem that was looked into.
    CheckSource {
        /// The directory.
        path: Path,
    },
    /// Makes a small file.
    WriteFile {
        /// Where.
        path: Path,
        /// Permission bits.
        mode: u32,
        /// What is in it.
        content: Vec<u8, MAX_FILE>,
    },
    /// Checks that the new root has modules for the kernel that runs, if that takes modules.
    CheckModules,
    /// Checks that the new root is an operating system that can be started.
    CheckRoot {
        /// `init=`.
        init: Option<&'a str>,
    },
    /// Tells the real init which device `/` comes from, where `/` itself does not show it (`/run/systemd/volatile-root`).
    RecordRootDevice {
        /// The verity device, or the block device, that holds the root image.
        device: Device,
    },
    /// Sets what dm-verity does when it meets a corrupted block after the hand-over. Until then such a block fails the
    /// candidate, so that the next one can be tried.
    SetCorruption {
        /// The verity device.
        name: &'static str,
        /// What it does.
        reaction: Corruption,
    },
}

/// A block device that a mount takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// One that the kernel found, `/dev/NAME`.
    Block(Name),
    /// One that an earlier step made, `/dev/mapper/NAME`.
    Verity(&'static str),
    /// A loop device that an earlier step made, by the name that it has there.
    Loop(&'static str),
}

/// A loop device to be made: read-only, and gone when nothing uses it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopFile {
    /// What later steps call it.
    pub name: &'static str,
    /// The file. No symbolic link is followed on the way to it.
    pub file: Path,
    /// The byte of the file at which it begins.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A dm-verity device to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerityDevice {
    /// `root` or `usr`.
    pub name: &'static str,
    /// The data device.
    pub data: Device,
    /// The hash device.
    pub hash: Device,
    /// Bytes into the hash device at which the superblock lies.
    pub hash_offset: u64,
    /// What the hash tree must end in.
    pub root_hash: RootHash,
    /// `ignore_zero_blocks`.
    pub ignore_zero_blocks: bool,
    /// `check_at_most_once`.
    pub check_at_most_once: bool,
}

/// A mount to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount<'a> {
    /// What is mounted.
    pub source: Source<'a>,
    /// Where.
    pub target: Path,
    /// Flags of the mount, and of a filesystem that is mounted read-only.
    pub flags: MountFlags,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// A filesystem on a block device.
    Filesystem {
        /// Where it is.
        device: Device,
        /// Its type.
        kind: TypeName,
        /// Its own options.
        options: MountOptions<'a>,
        /// The subvolume of a btrfs that is mounted by itself.
        subvolume: Option<Path>,
    },
    /// A new filesystem in memory.
    Tmpfs {
        /// Its `size=`.
        size: Option<&'a str>,
        /// Permission bits of its root.
        mode: u32,
    },
    /// A writable layer over a directory.
    Overlay {
        /// The options, with the layers.
        options: OverlayOptions,
    },
    /// A directory that is elsewhere too. No symbolic link is followed on the way to it.
    Bind {
        /// Where.
        directory: Path,
    },
    /// An EROFS image of names over a folder of objects.
    Composefs(ComposefsSource),
}

/// The longest name that the mount table shows of a composefs, in bytes.
pub const COMPOSEFS_NAME_CAPACITY: usize = 152;
/// The longest fs-verity digest in bytes (SHA-512).
pub const MAX_DIGEST: usize = 64;

/// What makes up a composefs.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposefsSource {
    /// What the mount table shows.
    pub name: String<COMPOSEFS_NAME_CAPACITY>,
    /// The image.
    pub image: Path,
    /// The fs-verity digest that the image must have; empty where it need not have one.
    pub digest: Vec<u8, MAX_DIGEST>,
    /// The folder of objects.
    pub objects: Path,
    /// Whether each object must have the fs-verity digest that the image names.
    pub verity: bool,
    /// `upperdir=` and `workdir=`, if it can be written.
    pub writable: Option<(Path, Path)>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(name) => write!(f, "/dev/{name}"),
            Self::Verity(name) => write!(f, "/dev/mapper/{name}"),
            Self::Loop(name) if SYSROOTS => write!(f, "loop device {name}"),
            Self::Loop(_) => Ok(()),
        }
    }
}

impl Source<'_> {
    /// The type as the mount table shows it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Filesystem { kind, .. } => kind,
            Self::Tmpfs { .. } => "tmpfs",
            Self::Overlay { .. } => "overlay",
            Self::Bind { .. } => "bind",
            Self::Composefs(_) => "composefs",
        }
    }
}

impl fmt::Display for Source<'_> {
    /// Where it comes from, as the mount table shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filesystem { device, .. } => write!(f, "{device}"),
            Self::Tmpfs { .. } => f.write_str("tmpfs"),
            Self::Overlay { .. } => f.write_str("overlay"),
            Self::Bind { directory } => f.write_str(directory),
            Self::Composefs(source) if SYSROOTS => f.write_str(&source.name),
            Self::Composefs(_) => Ok(()),
        }
    }
}

/// The options of a mount, joined by commas: its flags first, then the filesystem's own.
#[derive(Clone, Copy, Debug)]
pub struct Options<'m, 'a>(pub &'m Mount<'a>);

impl fmt::Display for Options<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mount { source, flags, .. } = self.0;
        f.write_str(if flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" })?;
        let rest = flags.without(MountFlags::RDONLY);
        if !rest.is_empty() {
            write!(f, ",{rest}")?;
        }
        match source {
            Source::Filesystem { options, subvolume, .. } => {
                if let Some(subvolume) = subvolume.as_ref().filter(|_| SYSROOTS) {
                    write!(f, ",subvol={subvolume}")?;
                }
                options.filesystem.iter().try_for_each(|option| write!(f, ",{option}"))
            }
            Source::Tmpfs { size, mode } => {
                write!(f, ",mode={mode:04o}")?;
                size.map_or(Ok(()), |size| write!(f, ",size={size}"))
            }
            Source::Overlay { options } => write!(f, ",{options}"),
            Source::Composefs(source) if SYSROOTS => write!(f, ",{source}"),
            Source::Bind { .. } | Source::Composefs(_) => Ok(()),
        }
    }
}

impl fmt::Display for Mount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mount {} {} on {} ({})", self.source.kind(), self.source, self.target, Options(self))
    }
}

impl fmt::Display for ComposefsSource {
    /// Writes what it is made of, as options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image={}", self.image)?;
        if !self.digest.is_empty() {
            f.write_str(",digest=")?;
            self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        write!(f, ",objects={}{}", self.objects, if self.verity { ",verity=require" } else { "" })?;
        match &self.writable {
            Some((upper, work)) => write!(f, ",upperdir={upper},workdir={work}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LoopFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, offset, size } = self;
        write!(f, "attach loop device {name}: {file}, {size} bytes from byte {offset} on")
    }
}

impl fmt::Display for VerityDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, data, hash, hash_offset, root_hash, .. } = self;
        write!(f, "activate /dev/mapper/{name}: verity, data {data}, hash {hash}")?;
        if *hash_offset != 0 {
            write!(f, " from byte {hash_offset} on")?;
        }
        write!(f, ", root hash {root_hash}")?;
        f.write_str(if self.ignore_zero_blocks { ", ignore zero blocks" } else { "" })?;
        f.write_str(if self.check_at_most_once { ", check at most once" } else { "" })
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadModule { name, required: true } => write!(f, "load module {name}"),
            Self::LoadModule { name, required: false } => write!(f, "load module {name}, if it is there"),
            Self::AttachLoop(file) if SYSROOTS => write!(f, "{file}"),
            Self::ActivateVerity(device) => write!(f, "{device}"),
            Self::Mount(mount) => write!(f, "{mount}"),
            Self::MountIfThere(mount) if SYSROOTS => write!(f, "{mount}, if that directory is there"),
            Self::MakeDirectory { path, mode } => write!(f, "make directory {path} ({mode:04o})"),
            Self::MakeDirectoryLike { model, path } => write!(f, "make directory {path}, like {model}"),
            Self::CheckDirectory { path } => write!(f, "check that the root has the directory {path}"),
            Self::FillDirectory { source, target } => write!(f, "make directory {target}, at first a copy of {source}"),
            Self::Link { destination, path } => write!(f, "link {path} to {destination}"),
            Self::CheckSource { path } if SYSROOTS => write!(f, "check that no link leads to the directory {path}"),
            Self::WriteFile { path, mode, content } if SYSROOTS => {
                write!(f, "write {path} ({mode:04o}, {} bytes)", content.len())
            }
            Self::CheckModules => f.write_str("check that the root has modules for the kernel that runs"),
            Self::CheckRoot { init: Some(init) } => {
                write!(f, "check {}: an operating system that starts {init}", places::NEW_ROOT)
            }
            Self::CheckRoot { init: None } => {
                write!(f, "check {}: an operating system that can be started", places::NEW_ROOT)
            }
            Self::RecordRootDevice { device } => write!(f, "record that / comes from {device}"),
            Self::SetCorruption { name, reaction } => {
                let reaction = match reaction {
                    Corruption::Reboot => "reboot",
                    Corruption::Panic => "panic",
                    Corruption::Eio => "fail the read",
                };
                write!(f, "from the hand-over on, a corrupted block of /dev/mapper/{name} means: {reaction}")
            }
            // What serves deployments in filesystems alone, where there are none.
            Self::AttachLoop(_) | Self::MountIfThere(_) | Self::CheckSource { .. } | Self::WriteFile { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)
    }
}
