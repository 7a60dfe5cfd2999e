//! What must be true of the new root before it is handed over.

use sys::Errno;
use sys::errno::Explained;
use sys::file::{self, Access, AsFd, BorrowedFd, Kind, Links, OwnedFd};

use crate::mounting::unopened;
use crate::text::{self, Path, Reason, refused};
use crate::{path, reason};

/// Programs that are tried where no `init=` is given, in the kernel's own order (init/main.c).
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
/// Where os-release(5) may be.
const OS_RELEASES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// Mount points that the hand-over needs. A link there would be followed from the initramfs, not from the new root.
const MOUNT_POINTS: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];
/// Any permission to execute.
const EXECUTABLE: u32 = 0o111;

/// Checks the root that lies at `root`, following links as the running system will, and gives the init to start.
pub fn check(root: &str, init: Option<&str>) -> Result<Path, Reason> {
    for directory in MOUNT_POINTS {
        check_directory(root, directory)?;
    }
    let root = open(root)?;
    let root = root.as_fd();
    if !has_any(root, OS_RELEASES, Kind::File)? {
        let why = "it has neither /etc/os-release nor /usr/lib/os-release (os-release(5))";
        return Err(reason!("the new root is no operating system: {why}"));
    }
    match init {
        Some(init) => executable(root, init)
            .map_err(|Unfit { why, .. }| reason!("cannot start init={init} in the new root: {why}")),
        None => find(root),
    }
}

/// The first of [`INITS`] that can be started. One that may be there and cannot be read ends the search: what comes after it
/// is not what was meant.
fn find(root: BorrowedFd<'_>) -> Result<Path, Reason> {
    let (mut first, mut others) = (Reason::new(), "; nor /etc/init, /bin/init, /bin/sh");
    for init in INITS {
        let Unfit { why, is_certain } = match executable(root, init) {
            Ok(path) => return Ok(path),
            Err(unfit) => unfit,
        };
        if first.is_empty() || !is_certain {
            first = reason!("{init}: {why}");
        }
        if !is_certain {
            others = "";
            break;
        }
    }
    Err(reason!("the new root has no init that can be started: {first}{others}"))
}

/// Checks that the root at `root` has modules for the kernel that runs. A kernel that has loaded none needs none.
pub fn check_modules(root: &str) -> Result<(), Reason> {
    let mut loaded = [0; 64];
    // A list that does not fit is not empty.
    if matches!(file::read("/proc/modules", &mut loaded), Ok(&[]) | Err(Errno::NOENT)) {
        return Ok(());
    }
    has_modules(open(root)?.as_fd(), &sys::process::kernel_release::<64>())
}

fn has_modules(root: BorrowedFd<'_>, release: &str) -> Result<(), Reason> {
    let folders = ["/usr/lib", "/lib"].map(|folder| path!("{folder}/modules/{release}"));
    if has_any(root, folders.each_ref().map(Path::as_str), Kind::Directory)? {
        return Ok(());
    }
    Err(reason!("it has no modules for the kernel that runs ({release})"))
}

fn open(root: &str) -> Result<OwnedFd, Reason> {
    file::open_directory(root).map_err(|errno| refused("open the new root", root, errno))
}

/// Whether something of this kind is at one of these paths. Where it is not, and one of them cannot be read, that is told.
fn has_any(root: BorrowedFd<'_>, paths: [&str; 2], kind: Kind) -> Result<bool, Reason> {
    let mut unreadable = None;
    for path in paths {
        match kind_of(root, path) {
            Ok((found, _)) if found == kind => return Ok(true),
            Err(errno) if !is_missing(errno) => unreadable = Some(refused("read", path, errno)),
            _ => {}
        }
    }
    unreadable.map_or(Ok(false), Err)
}

/// Whether there is nothing that the running system would find.
fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS)
}

/// Checks that `path` of the root at `root` is a directory that no symbolic link leads to: what is mounted there must not
/// end up elsewhere.
pub fn check_directory(root: &str, path: &str) -> Result<(), Reason> {
    let inside = path.trim_start_matches('/');
    let found = file::open_directory(root).and_then(|root| file::open_directory_beneath(root.as_fd(), inside));
    found.map(|_| ()).map_err(|errno| reason!("cannot mount in the new root on {}", unopened(path, errno)))
}

/// Why something is no program that can be started.
struct Unfit {
    why: Reason,
    /// Whether it is known to be none: it may be one that cannot be read.
    is_certain: bool,
}

impl From<Reason> for Unfit {
    fn from(why: Reason) -> Self {
        Self { why, is_certain: true }
    }
}

/// The path, if it is a program that can be started.
fn executable(root: BorrowedFd<'_>, path: &str) -> Result<Path, Unfit> {
    match kind_of(root, path) {
        Ok((Kind::File, mode)) if mode & EXECUTABLE != 0 => can_be_opened(root, path).map(|()| text::path(path)),
        Ok((Kind::File, mode)) => Err(reason!("it is not executable (mode {mode:04o})").into()),
        Ok(_) => Err(reason!("it is not a regular file").into()),
        Err(errno) if is_missing(errno) => Err(match link_of(root, path) {
            Some(link) => {
                reason!("it is a link to {link}, which leads nowhere in the new root: {}", Explained(errno))
            }
            None => reason!("{}", Explained(errno)),
        }
        .into()),
        Err(errno) => Err(Unfit { why: reason!("{}", Explained(errno)), is_certain: false }),
    }
}

/// Opens a file. A composefs verifies that it is the one that the image means when it is opened, and not before.
fn can_be_opened(root: BorrowedFd<'_>, path: &str) -> Result<(), Unfit> {
    let found = file::open_beneath(root, path, Links::FollowInside);
    let opened = found.and_then(|found| file::open(&file::descriptor_path(found.as_fd()), Access::Read));
    let unreadable = |errno| Unfit { why: reason!("it cannot be opened: {}", Explained(errno)), is_certain: false };
    opened.map(drop).map_err(unreadable)
}

/// What is at `path` in the root, links followed but never out of it.
fn kind_of(root: BorrowedFd<'_>, path: &str) -> Result<(Kind, u32), Errno> {
    let found = file::open_beneath(root, path, Links::FollowInside)?;
    file::status(found.as_fd()).map(|status| (status.kind, status.mode))
}

/// Where `path` itself leads, if it is a symbolic link.
fn link_of(root: BorrowedFd<'_>, path: &str) -> Option<Path> {
    let mut buffer = [0; 255];
    let (directory, name) = path.rsplit_once('/')?;
    let directory = if directory.is_empty() { "/" } else { directory };
    let directory = file::open_beneath(root, directory, Links::FollowInside).ok()?;
    file::read_link_at(directory.as_fd(), name, &mut buffer).ok().map(text::path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::string::ToString;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for directory in ["dev", "proc", "sys", "run", "etc", "usr/lib"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        let top = folder.path().to_str().unwrap();
        let root = open(top).unwrap();
        let ends = || {
            let modules = has_modules(root.as_fd(), "6.1").map_err(|why| why.to_string());
            [check(top, None).unwrap_err().to_string(), modules.err().unwrap_or_default()]
        };
        let none = "the new root is no operating system: it has neither /etc/os-release nor /usr/lib/os-release \
                    (os-release(5))";
        assert_eq!(ends(), [none, "it has no modules for the kernel that runs (6.1)"]);
        // The kernel gives an error for this name, whether anything has it or not.
        let name = "x".repeat(256);
        symlink(&name, at("etc/os-release")).unwrap();
        symlink(&name, at("usr/lib/modules")).unwrap();
        let unreadable = ["/etc/os-release", "/usr/lib/modules/6.1"]
            .map(|path| std::format!("cannot read {path}: File name too long (ENAMETOOLONG)"));
        assert_eq!(ends(), unreadable);
        fs::write(at("usr/lib/os-release"), "").unwrap();
        fs::create_dir_all(at("lib/modules/6.1")).unwrap();
        let [root, modules] = ends();
        assert!(root.starts_with("the new root has no init that can be started: "), "{root}");
        assert_eq!(modules, "");
    }
}
