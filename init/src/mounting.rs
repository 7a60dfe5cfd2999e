//! One mount of a plan, as the kernel takes it.

use core::fmt::Write as _;

use heapless::String;
use overlay::mount_options::MountFlags;
use overlay::options::Writable;
use sys::Errno;
use sys::errno::Explained;
use sys::file::{self, AsFd, OwnedFd};
use sys::mount::{self, Attributes, Message, MountError, Submounts};

use crate::composefs::composefs;
use crate::plan::{Mount, Source};
use crate::text::{Path, Reason, refused};
use crate::{SYSROOTS, path, places, reason};

/// Longest text of all options of one filesystem: an overlay's, with three paths.
const OPTIONS_CAPACITY: usize = 2048;

/// Longest list of all mounts, while there is nothing but the initramfs and the kernel's own filesystems.
const MOUNTS_CAPACITY: usize = 4096;

/// What separates options in the text that [`options_of`] writes: no option of a command line can hold it.
const SEPARATOR: char = '\n';

/// Flags that each mount has for itself, as attributes of mount_setattr(2).
const ATTRIBUTES: [(MountFlags, Attributes); 8] = [
    (MountFlags::RDONLY, Attributes::READ_ONLY),
    (MountFlags::NOSUID, Attributes::NO_SUID),
    (MountFlags::NODEV, Attributes::NO_DEVICES),
    (MountFlags::NOEXEC, Attributes::NO_EXECUTION),
    (MountFlags::NOSYMFOLLOW, Attributes::NO_LINKS),
    (MountFlags::NOATIME, Attributes::NO_ACCESS_TIME),
    (MountFlags::STRICTATIME, Attributes::STRICT_ACCESS_TIME),
    (MountFlags::NODIRATIME, Attributes::NO_DIRECTORY_ACCESS_TIME),
];

/// Flags that belong to the filesystem, as keys of fsconfig(2).
const KEYS: [(MountFlags, &str); 4] = [
    (MountFlags::RDONLY, "ro"),
    (MountFlags::SYNCHRONOUS, "sync"),
    (MountFlags::DIRSYNC, "dirsync"),
    (MountFlags::LAZYTIME, "lazytime"),
];

/// Makes the mount, or says why not. `source` is the device of a filesystem, where the plan knows it by a name of its own.
pub fn mount(mount: &Mount<'_>, source: Option<&str>) -> Result<(), Reason> {
    mount_once(mount, source)?;
    let Some(writable) = takes_no_changes(mount) else { return Ok(()) };
    // The kernel clears the work directory, but no deep one: that is done here. What was removed is free again when that is
    // written out. If it is of no use, the overlay stays what it is, which is reported in the end.
    if mount::unmount(&mount.target).is_err() {
        return Ok(());
    }
    let _ = sys::empty::directory(&writable.work);
    let _ = file::sync_filesystem(&writable.upper);
    mount_once(mount, source)
}

/// The directories of an overlay that is mounted and takes no changes although it is to: the kernel makes it read-only
/// where it cannot use the work directory, for want of room most of all (`ovl_make_workdir`).
pub fn takes_no_changes<'m>(mount: &'m Mount<'_>) -> Option<&'m Writable> {
    let Source::Overlay { options } = &mount.source else { return None };
    let writable = options.writable.as_ref()?;
    (!mount.flags.contains(MountFlags::RDONLY) && file::is_read_only(&mount.target)).then_some(writable)
}

fn mount_once(mount: &Mount<'_>, source: Option<&str>) -> Result<(), Reason> {
    // The kernel would follow a link on the way to the target, from the initramfs, wherever it leads.
    open_directory(&mount.target)?;
    let attributes = ATTRIBUTES.iter().filter(|(flag, _)| mount.flags.contains(*flag));
    let attributes = attributes.fold(Attributes::NONE, |all, (_, attribute)| all.with(*attribute));
    match &mount.source {
        Source::Bind { directory } => return bind(directory, &mount.target, attributes),
        Source::Composefs(source) if SYSROOTS => {
            return composefs(source, &mount.target, attributes, places::COMPOSEFS);
        }
        Source::Filesystem { .. } | Source::Tmpfs { .. } | Source::Overlay { .. } | Source::Composefs(_) => {}
    }
    let mut options = String::<OPTIONS_CAPACITY>::new();
    options_of(mount, &mut options).map_err(|_| reason!("its options are longer than {OPTIONS_CAPACITY} bytes"))?;
    let mut options = options.split(SEPARATOR).filter(|option| !option.is_empty());
    let source = source.map_or_else(|| path!("{}", mount.source), |device| path!("{device}"));
    let mut message = Message::new();
    mount::filesystem(mount.source.kind(), &source, &mut options, attributes, &mount.target, &mut message)
        .map_err(|error| explain(error, &message))
}

/// Shows a directory elsewhere too. No symbolic link is followed on the way to it: others may have written it.
fn bind(directory: &str, target: &str, attributes: Attributes) -> Result<(), Reason> {
    let handle = open_directory(directory)?;
    mount::bind_handle(handle.as_fd(), target, attributes, Submounts::Leave).map_err(|error| explain(error, ""))
}

/// A handle on a directory that no symbolic link leads to.
pub fn open_directory(directory: &str) -> Result<OwnedFd, Reason> {
    let found = file::open_directory("/")
        .and_then(|root| file::open_directory_beneath(root.as_fd(), directory.trim_start_matches('/')));
    found.map_err(|errno| unopened(directory, errno))
}

/// Why something was not opened to which no symbolic link may lead.
#[inline(never)]
pub fn unopened(path: &str, errno: Errno) -> Reason {
    match errno {
        Errno::LOOP => reason!("{path}: a symbolic link leads to it"),
        errno => reason!("{path}: {}", Explained(errno)),
    }
}

/// Checks that no symbolic link leads to a directory.
pub fn check_source(directory: &str) -> Result<(), Reason> {
    open_directory(directory).map(|_| ())
}

/// Opens a file that no symbolic link leads to.
pub fn open_file(path: &str) -> Result<OwnedFd, Reason> {
    let found =
        file::open_directory("/").and_then(|root| file::open_file_beneath(root.as_fd(), path.trim_start_matches('/')));
    found.map_err(|errno| unopened(path, errno))
}

/// Checks that nothing is mounted any more where plans mount.
pub fn check_unmounted() -> Result<(), Reason> {
    let mut mounts = String::<MOUNTS_CAPACITY>::new();
    file::append_text("/proc/self/mounts", &mut mounts).map_err(|errno| refused("read", "/proc/self/mounts", errno))?;
    let target = |line: &str| -> Option<Path> { line.split(' ').nth(1).map(|target| path!("{target}")) };
    let is_ours = |target: &Path| {
        let in_run = target.starts_with(places::RUN) && !target.starts_with(places::SYSROOTS);
        in_run || target.starts_with(places::NEW_ROOT)
    };
    match mounts.lines().filter_map(target).find(is_ours) {
        Some(target) => Err(reason!("something is still mounted on {target}")),
        None => Ok(()),
    }
}

pub(crate) fn explain(MountError { call, errno }: MountError, message: &str) -> Reason {
    let separator = if message.is_empty() { "" } else { ": " };
    reason!("{call}: {}{separator}{message}", Explained(errno))
}

/// Writes the filesystem's own options, `key` or `key=value`, one a line.
fn options_of(mount: &Mount<'_>, text: &mut String<OPTIONS_CAPACITY>) -> core::fmt::Result {
    for (_, key) in KEYS.iter().filter(|(flag, _)| mount.flags.contains(*flag)) {
        writeln!(text, "{key}")?;
    }
    match &mount.source {
        Source::Filesystem { options, subvolume, .. } => {
            if let Some(subvolume) = subvolume.as_ref().filter(|_| SYSROOTS) {
                writeln!(text, "subvol={subvolume}")?;
            }
            options.filesystem.iter().try_for_each(|option| match option.value {
                Some(value) => writeln!(text, "{}={value}", option.name),
                None => writeln!(text, "{}", option.name),
            })
        }
        Source::Tmpfs { size, mode } => {
            writeln!(text, "mode={mode:o}")?;
            size.map_or(Ok(()), |size| writeln!(text, "size={size}"))
        }
        Source::Overlay { options } => {
            options.parameters().iter().try_for_each(|(key, value)| writeln!(text, "{key}={value}"))
        }
        Source::Bind { .. } | Source::Composefs(_) => Ok(()),
    }
}
