//! A filesystem in which deployments lie, mounted where nobody else sees it.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use deployment::candidates::DeviceSource;
use deployment::ledger::file::LedgerFile;
use deployment::tree::{Failure, Tree, Watched};
use deployment::{BlockDevice, FilesystemKind, Name, ReadError};
use init::mounted_tree::MountedTree;
use sys::Errno;
use sys::errno::Explained;
use sys::mount::{Attributes, Message};

use crate::disk_image::{Disks, Reading};
use crate::error::Error;
use crate::mounts::{LoopDevice, MountPoint, Mounted, NO_REPLAY};
use crate::slots::Access;

/// Where the content of a filesystem is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// On this block device.
    Node(PathBuf),
    /// In a part of an image: where it begins, and its size in bytes.
    Part(PathBuf, u64, u64),
}

/// A filesystem that may hold deployments.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    /// The device by its kernel name, and what is on it.
    pub(super) device: DeviceSource,
    pub(super) content: Content,
}

/// One that is mounted.
pub(super) struct Filesystem {
    pub(super) volume: Volume,
    pub(super) tree: MountedTree,
    /// What its boot ledger says; empty where it has none that is sound.
    pub(super) ledger: LedgerFile,
    /// What is wrong with that.
    pub(super) ledger_fault: Option<Error>,
    /// What it failed to tell first.
    untold: OnceCell<Failure>,
    // They go in this order.
    _mounted: Mounted,
    _device: Option<LoopDevice>,
    _folder: MountPoint,
}

impl Volume {
    /// The filesystem on the block device with this kernel name, if it is one that can hold deployments.
    pub(super) fn on_device(name: &str) -> Result<Option<Self>, Error> {
        let path = Path::new("/dev").join(name.replace('!', "/"));
        let disks = Disks::open(&[&path], Reading::default())?;
        let device = disks.facts().devices().first();
        if let Some(why) = device.and_then(unreadable) {
            return Err(Error::system("cannot read", path.display(), why));
        }
        let found = device.and_then(|device| device.filesystem.as_ref());
        let kind = found.map(|filesystem| filesystem.kind).filter(|kind| kind.may_hold_deployments());
        let device = kind.and(Name::try_from(name).ok());
        Ok(device
            .map(|device| Self { device: DeviceSource { device, filesystem: kind }, content: Content::Node(path) }))
    }

    /// The block device or the image that it is on.
    pub(super) fn path(&self) -> &Path {
        match &self.content {
            Content::Node(path) | Content::Part(path, ..) => path,
        }
    }

    /// What people call it.
    pub(super) fn shown(&self) -> String {
        match &self.content {
            Content::Node(path) | Content::Part(path, 0, _) => path.display().to_string(),
            Content::Part(path, ..) => format!("{} of {}", self.device.device, path.display()),
        }
    }
}

impl Filesystem {
    /// Mounts it. [`crate::mounts::enter_namespace`] must have been called.
    pub(super) fn open(volume: &Volume, access: Access) -> Result<Self, Error> {
        let shown = volume.shown();
        let failed = |why: &dyn std::fmt::Display| Error::system("cannot mount", &shown, why);
        let folder = MountPoint::new().map_err(|why| failed(&why))?;
        let place = folder.path().to_owned();
        let writable = access != Access::Read;
        let (device, path, is_read_only) = match &volume.content {
            Content::Node(path) => (None, path.clone(), is_mounted_read_only(path)),
            Content::Part(image, start, size) => {
                let device = LoopDevice::attach(image, *start, *size, writable).map_err(|why| failed(&why))?;
                let path = device.path().map_err(|why| failed(&why))?;
                (Some(device), path, None)
            }
        };
        if writable && is_read_only == Some(true) {
            return Err(failed(&"it is mounted read-only elsewhere, so that it cannot be written")
                .advice("Remount it: mount -o remount,rw WHERE."));
        }
        let mounted = mount(volume, &path, &place, writable, is_read_only).or_else(|why| match why {
            // Somebody uses it whose mount cannot be seen: a loop device has one of its files.
            NotMounted::InAnotherMode(_) if !writable => mount(volume, &path, &place, writable, Some(false)),
            why => Err(why),
        });
        mounted.map_err(|why| failed(&why))?;
        let mounted = Mounted(place.clone());
        let tree = MountedTree::open(&place.to_string_lossy()).map_err(|errno| failed(&Explained(errno)))?;
        let mut ledger = LedgerFile::default();
        let ledger_of = format!("the boot ledger of {shown}");
        let watched = Watched::new(&tree);
        let is_sound = ledger.read_in(&watched).map_err(|why| Error::system("cannot read", &ledger_of, why))?;
        let ledger_fault = match watched.into_failure() {
            None if is_sound => None,
            None => {
                let why = "it is damaged: what it said is lost, and the next change begins a new one";
                Some(Error::bad("cannot read", ledger_of, why))
            }
            Some(failure) => {
                let why = format!("{failure}: its other copy serves, and the next change writes this one anew");
                Some(Error::system("cannot read one copy of", ledger_of, why))
            }
        };
        Ok(Self {
            volume: volume.clone(),
            tree,
            ledger,
            ledger_fault,
            untold: OnceCell::new(),
            _mounted: mounted,
            _device: device,
            _folder: folder,
        })
    }

    /// Looks into it, and keeps in mind what it fails to tell.
    pub(super) fn look<T>(&self, look: impl FnOnce(&dyn Tree) -> T) -> T {
        let watched = Watched::new(&self.tree);
        let seen = look(&watched);
        if let Some(failure) = watched.into_failure() {
            // The first one is enough.
            let _ = self.untold.set(failure);
        }
        seen
    }

    /// Why not all that lies in it has been seen, if that is so.
    pub(super) fn untold(&self) -> Option<String> {
        self.untold.get().map(|failure| format!("not all of it can be looked at: {failure}"))
    }

    /// Whether it is on the device with this kernel name.
    pub(super) fn is_on(&self, device: &str) -> bool {
        *self.volume.device.device == *device
    }
}

/// Why it is not known whether a filesystem is on a device, if that is so.
pub(super) fn unreadable(device: &BlockDevice) -> Option<ReadError> {
    device.read_error.filter(|_| device.filesystem.is_none())
}

/// Why a filesystem is not mounted.
enum NotMounted {
    /// It is in use, and takes writes where this mount would not have it so, or the other way round.
    InAnotherMode(String),
    /// Anything else.
    Failed(String),
}

impl std::fmt::Display for NotMounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::InAnotherMode(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

fn mount(
    volume: &Volume,
    path: &Path,
    place: &Path,
    writable: bool,
    is_read_only: Option<bool>,
) -> Result<(), NotMounted> {
    let kind = volume.device.filesystem.and_then(FilesystemKind::kernel_name).unwrap_or_default();
    let mut options = Vec::new();
    // A filesystem that is mounted already keeps its mode; a mount of it can still be read-only.
    if !writable && is_read_only != Some(false) {
        options.push("ro");
        options.extend(NO_REPLAY.iter().find(|(known, _)| *known == kind).map(|(_, option)| *option));
    }
    if kind == "btrfs" {
        options.push("subvol=/");
    }
    let careful = [Attributes::NO_SUID, Attributes::NO_DEVICES, Attributes::NO_EXECUTION];
    let mode = if writable { Attributes::NONE } else { Attributes::READ_ONLY };
    let attributes = careful.into_iter().fold(mode, Attributes::with);
    let mut message = Message::new();
    let (source, target) = (path.to_string_lossy(), place.to_string_lossy());
    sys::mount::filesystem(kind, &source, &mut options.into_iter(), attributes, &target, &mut message).map_err(
        |error| {
            let words = if message.is_empty() { String::new() } else { format!(" ({message})") };
            let said = format!("{}: {}{words}", error.call, Explained(error.errno));
            if error.errno == Errno::BUSY { NotMounted::InAnotherMode(said) } else { NotMounted::Failed(said) }
        },
    )
}

/// Whether a block device that is mounted somewhere is mounted read-only as such; `None` where it is not mounted.
fn is_mounted_read_only(path: &Path) -> Option<bool> {
    let number = fs::metadata(path).ok()?.rdev();
    let number = format!("{}:{}", nix::sys::stat::major(number), nix::sys::stat::minor(number));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // ID parent MAJOR:MINOR root target options… - type source options of the filesystem (proc_pid_mountinfo(5)). A btrfs
    // has a number of its own there.
    mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ').skip(1);
        let (source, options) = (filesystem.next()?, filesystem.next()?);
        let is_it = mount.split(' ').nth(2) == Some(&number) || Path::new(source) == path;
        is_it.then(|| options.split(',').any(|option| option == "ro"))
    })
}
