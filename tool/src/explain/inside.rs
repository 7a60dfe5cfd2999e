//! A look inside the root: the images are attached as loop devices and what makes up `/` is mounted, all of it
//! read-only, in a mount namespace of this process alone. Whatever way the process ends, nothing of it stays.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use init::composefs::composefs;
use init::new_root;
use init::places;
use init::plan::{Action, ComposefsSource, Device, LoopFile, Mount, Source, VerityDevice};
use init::reason;
use init::text::Reason;
use nix::errno::Errno;
use nix::mount::MsFlags;
use sys::mount::Attributes;
use sys_mount::MountFlags;
use tempfile::TempDir;

use super::sysroots::{Sysroots, in_sysroot};
use crate::disk_image::Disks;
use crate::error::Error;
use crate::mounts::{self, LoopDevice, Mounted, NO_REPLAY};

/// Where the mounts that make up `/` go during a boot.
const PARTS_OF_ROOT: [&str; 3] = [places::NEW_ROOT, places::IMAGE, USR];
const USR: &str = "/sysroot/usr";

const NO_COMPOSEFS: &str = "what is in the composefs: this machine's kernel cannot mount one (erofs, overlay)";
const NO_VERITY: &str = "whether the files of the composefs have the digests that vouch for them: this machine's kernel has no \
                         fs-verity";

/// Nothing of what is mounted here is started or trusted.
const CAREFUL: MountFlags =
    MountFlags::RDONLY.union(MountFlags::NOSUID).union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Where each filesystem says that it has fs-verity, once it is loaded.
const FS_VERITY: [&str; 3] =
    ["/sys/fs/ext4/features/verity", "/sys/fs/btrfs/features/verity", "/sys/fs/f2fs/features/verity"];

/// A folder that stands for the `/` of the initramfs.
pub(crate) struct Inside<'d> {
    disks: &'d Disks,
    /// The latest mount last. They are undone in the reverse order, before the folder is removed.
    mounts: Vec<Attached>,
    _folder: TempDir,
    /// The path of that folder, without links.
    top: PathBuf,
    /// The data device of each verity device, by the latter's name.
    verity: Vec<(&'static str, Device)>,
    /// What the system refused; it says nothing about the boot.
    pub(crate) refused: Option<Error>,
    /// What was left out of the look.
    pub(crate) not_checked: Option<&'static str>,
}

/// A mount, undone before its device is detached.
struct Attached {
    target: String,
    _mount: Mounted,
    device: Option<(Device, Rc<LoopDevice>)>,
}

/// Makes this process ready to look inside; refuses where it may not. To be called before anything else is done.
pub(crate) fn enter_namespace() -> Result<(), Error> {
    mounts::enter_namespace("cannot look inside", "the images").map_err(|why| {
        why.advice("Run it as root; without --look-inside it needs no privilege, and says what it did not look at.")
    })
}

impl<'d> Inside<'d> {
    /// An empty folder. [`enter_namespace`] must have been called.
    pub(crate) fn new(disks: &'d Disks) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("surefoot-").tempdir();
        let folder = folder.map_err(|why| Error::file("cannot make a folder in", &std::env::temp_dir(), &why))?;
        let top = folder.path().canonicalize().map_err(|why| Error::file("cannot find", folder.path(), &why))?;
        let (mounts, verity) = (Vec::new(), Vec::new());
        Ok(Self { disks, mounts, _folder: folder, top, verity, refused: None, not_checked: None })
    }

    /// Takes note that a verity device shows the content of a data device.
    pub(crate) fn verity_is_on(&mut self, device: &VerityDevice) {
        self.verity.push((device.name, device.data.clone()));
    }

    /// Mounts what is a part of `/`, and filesystems in which deployments are looked for. Writable layers are no part of it:
    /// they begin empty, or as copies of it.
    pub(crate) fn mount(&mut self, mount: &Mount<'_>, sysroots: &Sysroots) -> Result<(), Reason> {
        let is_look = in_sysroot(&mount.target).is_some_and(|(_, path)| path.is_empty());
        if !is_look && !PARTS_OF_ROOT.contains(&mount.target.as_str()) {
            return Ok(());
        }
        if let Source::Composefs(source) = &mount.source {
            return self.composefs(source, &mount.target);
        }
        let device = match &mount.source {
            Source::Filesystem { device, .. } => Some(self.loop_device(device, sysroots)),
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

    /// A composefs, by PID 1's own code; without its checks where this machine's kernel has no fs-verity.
    fn composefs(&mut self, source: &ComposefsSource, target: &str) -> Result<(), Reason> {
        if !["erofs", "overlay"].into_iter().all(|kind| has_filesystem(kind, &self.top)) {
            self.not_checked = Some(NO_COMPOSEFS);
            return Ok(());
        }
        let here = |path: &str| init::path!("{}", self.path(path).display());
        let (image, objects) = (here(&source.image), here(&source.objects));
        let mut source = ComposefsSource { image, objects, writable: None, ..source.clone() };
        if !has_fs_verity() && (source.verity || !source.digest.is_empty()) {
            self.not_checked = Some(NO_VERITY);
            source.verity = false;
            source.digest.clear();
        }
        let (place, room) = (self.path(target), self.path(places::COMPOSEFS));
        for folder in [&place, &room] {
            fs::create_dir_all(folder).map_err(|why| reason!("cannot make {}: {}", folder.display(), words(&why)))?;
        }
        let attributes = [Attributes::READ_ONLY, Attributes::NO_SUID, Attributes::NO_DEVICES, Attributes::NO_EXECUTION];
        let attributes = attributes.into_iter().fold(Attributes::NONE, Attributes::with);
        composefs(&source, &place.to_string_lossy(), attributes, &room.to_string_lossy())
            .map_err(|why| reason!("cannot mount composefs {} on {target}: {why}", source.name))?;
        self.mounts.push(Attached { target: target.to_owned(), _mount: Mounted(place), device: None });
        Ok(())
    }

    /// Undoes a mount.
    pub(crate) fn unmount(&mut self, target: &str) {
        if self.mounts.last().is_some_and(|mount| mount.target == target) {
            self.mounts.pop();
        }
    }

    /// Whether there is a root to be checked.
    pub(crate) fn has_root(&self) -> bool {
        self.mounts.iter().any(|mount| mount.target == places::NEW_ROOT)
    }

    /// PID 1's check that the root can be started.
    pub(crate) fn check_root(&self, init: Option<&str>) -> Result<init::text::Path, Reason> {
        new_root::check(&self.path(places::NEW_ROOT).to_string_lossy(), init)
    }

    /// Does what a step does to the root itself, if there is one.
    pub(crate) fn perform(&self, action: &Action<'_>) -> Result<(), Reason> {
        if !self.has_root() {
            return Ok(());
        }
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
        match done {
            // It is mounted read-only here, but not in the boot.
            Err(why) if why.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done.map_err(|why| reason!("cannot {action}: {}", words(&why))),
        }
    }

    fn attach(&self, mount: &Mount<'_>, device: Option<(Device, Rc<LoopDevice>)>) -> io::Result<Attached> {
        let target = self.path(&mount.target);
        if mount.target != USR {
            fs::create_dir_all(&target)?;
        }
        let options: Vec<_> = match &mount.source {
            Source::Filesystem { options, subvolume, .. } => {
                let subvolume = subvolume.iter().map(|path| format!("subvol={path}"));
                subvolume.chain(options.filesystem.iter().map(ToString::to_string)).collect()
            }
            Source::Tmpfs { .. } | Source::Overlay { .. } | Source::Bind { .. } | Source::Composefs(_) => Vec::new(),
        };
        let (source, flags) = match (&mount.source, &device) {
            // With nothing in its upper layer, an overlay shows its lower one.
            (Source::Overlay { .. }, _) => (self.path(places::IMAGE), CAREFUL | MountFlags::BIND),
            (Source::Bind { directory }, _) => (self.path(directory), CAREFUL | MountFlags::BIND),
            (_, Some((_, device))) => (device.path()?, CAREFUL),
            (_, None) => (PathBuf::from("tmpfs"), CAREFUL.difference(MountFlags::RDONLY)),
        };
        // A verity device takes no writes, so that on one PID 1 meets the same refusal as we do.
        let replay = NO_REPLAY.iter().find(|(kind, _)| *kind == mount.source.kind()).map(|(_, option)| *option);
        let replay = replay.filter(|_| matches!(&mount.source, Source::Filesystem { device: Device::Block(_), .. }));
        let data = options.iter().map(String::as_str).chain(replay).collect::<Vec<_>>().join(",");
        let builder = sys_mount::Mount::builder().fstype(mount.source.kind()).flags(flags).data(&data);
        builder.mount(source, &target)?;
        Ok(Attached { target: mount.target.to_string(), _mount: Mounted(target), device })
    }

    /// The part of an image that is this device, as a loop device. One that is mounted already is taken again: the kernel
    /// takes a second device with the same btrfs for a mistake.
    fn loop_device(&self, device: &Device, sysroots: &Sysroots) -> io::Result<(Device, Rc<LoopDevice>)> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let device = match device {
            Device::Verity(verity) => {
                let data = self.verity.iter().rev().find(|(name, _)| name == verity);
                data.map(|(_, data)| data.clone()).ok_or_else(missing)?
            }
            device => device.clone(),
        };
        let known = self.mounts.iter().filter_map(|mount| mount.device.as_ref()).find(|(known, _)| *known == device);
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let attached = match &device {
            Device::Loop(name) => {
                let LoopFile { file, offset, size, .. } = sysroots.loop_file(name).ok_or_else(missing)?;
                LoopDevice::attach(&self.path(file), *offset, *size, false)?
            }
            Device::Block(name) => {
                let found = self.disks.facts().device(name).ok_or_else(missing)?;
                let image = self.disks.image(found.disk_name()).ok_or_else(missing)?;
                let start = found.partition.as_ref().map_or(0, |partition| partition.start);
                LoopDevice::attach(image.path(), start, found.size, false)?
            }
            Device::Verity(_) => return Err(missing()),
        };
        Ok((device, Rc::new(attached)))
    }

    /// Where a path of the initramfs is here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.top.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        while self.mounts.pop().is_some() {}
    }
}

/// Whether this machine's kernel can tell fs-verity digests. The filesystem with the files is mounted, so that the kernel has
/// loaded it.
pub(super) fn has_fs_verity() -> bool {
    FS_VERITY.iter().any(|path| Path::new(path).exists())
}

/// Whether this machine's kernel has a type of filesystem. It loads the module when it is to mount one: that is asked for
/// here, with nothing to be mounted.
fn has_filesystem(kind: &str, place: &Path) -> bool {
    let none: Option<&str> = None;
    nix::mount::mount(none, place, Some(kind), MsFlags::MS_RDONLY, none) != Err(Errno::ENODEV)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_image::Reading;

    #[test]
    fn nothing_is_said_of_a_root_that_was_left_out() {
        let disks = Disks::open::<&Path>(&[], Reading::default()).unwrap();
        let inside = Inside::new(&disks).unwrap();
        let home = || init::path!("{}/home", places::NEW_ROOT);
        assert_eq!(inside.perform(&Action::CheckDirectory { path: init::path!("/home") }), Ok(()));
        assert_eq!(inside.perform(&Action::Link { destination: "var/home", path: home() }), Ok(()));
    }
}
