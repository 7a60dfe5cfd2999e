//! A look inside the root: the images are attached as loop devices and what makes up `/` is mounted, all of it
//! read-only, in a mount namespace of this process alone. Whatever way the process ends, nothing of it stays.

mod loop_device;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use init::new_root;
use init::places;
use init::plan::{Action, Device, Mount, Source, VerityDevice};
use init::reason;
use init::text::Reason;
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use sys_mount::{MountFlags, Unmount as _, UnmountDrop, UnmountFlags};
use tempfile::TempDir;

use crate::disk_image::Disks;
use crate::error::Error;
use loop_device::LoopDevice;

/// Where the mounts that make up `/` go during a boot.
const PARTS_OF_ROOT: [&str; 3] = [places::NEW_ROOT, places::IMAGE, USR];
const USR: &str = "/sysroot/usr";

/// Nothing of what is mounted here is started or trusted.
const CAREFUL: MountFlags =
    MountFlags::RDONLY.union(MountFlags::NOSUID).union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Filesystems that would write to their device before they are mounted read-only, and the option that keeps them from it.
/// A verity device takes no writes, so that on one PID 1 meets the same refusal as we do.
const NO_REPLAY: [(&str, &str); 2] = [("ext4", "noload"), ("xfs", "norecovery")];

/// A folder that stands for the `/` of the initramfs.
pub(crate) struct Inside<'d> {
    disks: &'d Disks,
    /// The latest mount last. They are undone in the reverse order, before the folder is removed.
    mounts: Vec<Attached>,
    folder: TempDir,
    /// The data device of each verity device, by the latter's name.
    verity: Vec<(&'static str, String)>,
    /// What the system refused; it says nothing about the boot.
    pub(crate) refused: Option<Error>,
}

/// A mount, undone before its device is detached.
struct Attached {
    target: String,
    _mount: UnmountDrop<sys_mount::Mount>,
    _device: Option<LoopDevice>,
}

/// Makes this process ready to look inside; refuses where it may not. To be called before anything else is done.
pub(crate) fn enter_namespace() -> Result<(), Error> {
    let advice = "Run it as root; without --look-inside it needs no privilege, and says what it did not look at.";
    if !nix::unistd::geteuid().is_root() {
        return Err(
            Error::system("cannot look inside", "the images", "only root can attach and mount them").advice(advice)
        );
    }
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .map_err(|why| {
            Error::system("cannot make", "a mount namespace to look inside the images", why.desc()).advice(advice)
        })
}

impl<'d> Inside<'d> {
    /// An empty folder. [`enter_namespace`] must have been called.
    pub(crate) fn new(disks: &'d Disks) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("surefoot-").tempdir();
        let folder = folder.map_err(|why| Error::file("cannot make a folder in", &std::env::temp_dir(), &why))?;
        Ok(Self { disks, mounts: Vec::new(), folder, verity: Vec::new(), refused: None })
    }

    /// Takes note that a verity device shows the content of a data device.
    pub(crate) fn verity_is_on(&mut self, device: &VerityDevice) {
        let data = device.data.to_string();
        self.verity.push((device.name, data.trim_start_matches("/dev/").to_owned()));
    }

    /// Mounts what is a part of `/`. Writable layers are no part of it: they begin empty, or as copies of it.
    pub(crate) fn mount(&mut self, mount: &Mount<'_>) -> Result<(), Reason> {
        if !PARTS_OF_ROOT.contains(&mount.target.as_str()) {
            return Ok(());
        }
        let device = match &mount.source {
            Source::Filesystem { device, .. } => Some(self.loop_device(device)),
            Source::Tmpfs { .. } | Source::Overlay { .. } | Source::Bind { .. } | Source::Composefs(_) => None,
        };
        let device = device.transpose().map_err(|why| {
            let reason = reason!("cannot attach {} as a loop device: {}", mount.source, words(&why));
            self.refused = Some(Error::system("cannot look inside", "the images", &reason));
            reason
        })?;
        let attached = self.attach(mount, device).map_err(|why| {
            let words = words(&why);
            let reason = reason!("cannot mount {} {} on {}: {words}", mount.source.kind(), mount.source, mount.target);
            if !says_something_of_the_image(&why) {
                self.refused = Some(Error::system("cannot look inside", "the images", &reason));
            }
            reason
        })?;
        self.mounts.push(attached);
        Ok(())
    }

    /// Undoes a mount.
    pub(crate) fn unmount(&mut self, target: &str) {
        if self.mounts.last().is_some_and(|mount| mount.target == target) {
            self.mounts.pop();
        }
    }

    /// PID 1's check that the root can be started.
    pub(crate) fn check_root(&self, init: Option<&str>) -> Result<init::text::Path, Reason> {
        new_root::check(&self.path(places::NEW_ROOT).to_string_lossy(), init)
    }

    /// Does what a step does to the root itself.
    pub(crate) fn perform(&self, action: &Action<'_>) -> Result<(), Reason> {
        let done = match action {
            Action::CheckDirectory { path } => {
                return new_root::check_directory(&self.path(places::NEW_ROOT).to_string_lossy(), path);
            }
            // Directories and links are made in a root that is in memory, and nowhere else in it.
            Action::MakeDirectory { path, mode } if is_in_root(path) => {
                DirBuilder::new().mode(*mode).recursive(true).create(self.path(path))
            }
            Action::Link { destination, path } if is_in_root(path) => symlink(destination, self.path(path)),
            _ => Ok(()),
        };
        done.map_err(|why| reason!("cannot {action}: {}", words(&why)))
    }

    fn attach(&self, mount: &Mount<'_>, device: Option<LoopDevice>) -> io::Result<Attached> {
        let target = self.path(&mount.target);
        if mount.target != USR {
            fs::create_dir_all(&target)?;
        }
        let options: Vec<_> = match &mount.source {
            Source::Filesystem { options, .. } => options.filesystem.iter().map(ToString::to_string).collect(),
            Source::Tmpfs { .. } | Source::Overlay { .. } | Source::Bind { .. } | Source::Composefs(_) => Vec::new(),
        };
        let (source, flags) = match (&mount.source, &device) {
            // With nothing in its upper layer, an overlay shows its lower one.
            (Source::Overlay { .. }, _) => (self.path(places::IMAGE), CAREFUL | MountFlags::BIND),
            (Source::Bind { directory }, _) => (self.path(directory), CAREFUL | MountFlags::BIND),
            (_, Some(device)) => (device.path()?, CAREFUL),
            (_, None) => (PathBuf::from("tmpfs"), CAREFUL.difference(MountFlags::RDONLY)),
        };
        let replay = NO_REPLAY.iter().find(|(kind, _)| *kind == mount.source.kind()).map(|(_, option)| *option);
        let replay = replay.filter(|_| matches!(&mount.source, Source::Filesystem { device: Device::Block(_), .. }));
        let data = options.iter().map(String::as_str).chain(replay).collect::<Vec<_>>().join(",");
        let builder = sys_mount::Mount::builder().fstype(mount.source.kind()).flags(flags).data(&data);
        let made = builder.mount(source, target)?.into_unmount_drop(UnmountFlags::DETACH);
        Ok(Attached { target: mount.target.to_string(), _mount: made, _device: device })
    }

    /// The part of an image that is this device, as a loop device.
    fn loop_device(&self, device: &Device) -> io::Result<LoopDevice> {
        let name = match device {
            Device::Block(name) => name.as_str(),
            Device::Loop(name) => *name,
            Device::Verity(verity) => {
                let data = self.verity.iter().rev().find(|(name, _)| name == verity);
                data.map(|(_, data)| data.as_str()).unwrap_or_default()
            }
        };
        let found =
            self.disks.facts().device(name).and_then(|found| Some((found, self.disks.image(found.disk_name())?)));
        let (found, image) = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let start = found.partition.as_ref().map_or(0, |partition| partition.start);
        LoopDevice::attach(image.path(), start, found.size)
    }

    /// Where a path of the initramfs is here.
    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        while self.mounts.pop().is_some() {}
    }
}

fn is_in_root(path: &str) -> bool {
    Path::new(path).starts_with(places::NEW_ROOT)
}

/// The system's own words.
fn words(why: &io::Error) -> String {
    why.raw_os_error().map_or_else(|| why.to_string(), |errno| Errno::from_raw(errno).desc().to_owned())
}

/// Whether an error is about the content of the image: not about this machine, its kernel or our rights.
fn says_something_of_the_image(why: &io::Error) -> bool {
    why.raw_os_error().map(Errno::from_raw).is_some_and(|errno| {
        matches!(
            errno,
            Errno::EINVAL | Errno::EUCLEAN | Errno::EIO | Errno::ENOENT | Errno::EBADMSG | Errno::EOPNOTSUPP
        )
    })
}
