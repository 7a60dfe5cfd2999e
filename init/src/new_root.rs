//! What must be true of the new root before it is handed over.

use sys::Errno;
use sys::errno::Explained;
use sys::file::{self, Access, AsFd, BorrowedFd, Kind, Links};

use crate::mounting::unopened;
use crate::text::{self, Path, Reason};
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
    let root =
        file::open_directory(root).map_err(|errno| reason!("cannot open the new root {root}: {}", Explained(errno)))?;
    let root = root.as_fd();
    if !OS_RELEASES.iter().any(|path| matches!(kind_of(root, path), Ok((Kind::File, _)))) {
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
    let release = sys::process::kernel_release::<64>();
    let open =
        file::open_directory(root).map_err(|errno| reason!("cannot open the new root {root}: {}", Explained(errno)))?;
    let has =
        |folder: &str| matches!(kind_of(open.as_fd(), &path!("{folder}/modules/{release}")), Ok((Kind::Directory, _)));
    if has("/usr/lib") || has("/lib") {
        return Ok(());
    }
    Err(reason!("it has no modules for the kernel that runs ({release})"))
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
        Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS)) => {
            Err(match link_of(root, path) {
                Some(link) => {
                    reason!("it is a link to {link}, which leads nowhere in the new root: {}", Explained(errno))
                }
                None => reason!("{}", Explained(errno)),
            }
            .into())
        }
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
