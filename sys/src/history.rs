//! The file in which boots are written down one after the other.

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::Errno;
use crate::file::{self, OwnedFd};

/// The folder and the file on the state device.
const FOLDER: &str = "surefoot";
const FILE: &str = "surefoot/boots";
/// Where the file goes when it has become too long; what was there is lost.
const OLD: &str = "surefoot/boots.old";
/// Bytes after which a new file is begun.
const MAX_SIZE: i64 = 128 << 10;

/// Opens the history on the state device that is mounted at `state`, to append to it. No link is followed, nothing but a
/// regular file is opened, and nothing outside of the device is reached, whatever lies on it.
pub fn open(state: &str) -> Result<OwnedFd, Errno> {
    let state = file::open_directory(state)?;
    match rustix::fs::mkdirat(&state, FOLDER, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let history = open_inside(&state)?;
    if rustix::fs::fstat(&history)?.st_size < MAX_SIZE {
        return Ok(history);
    }
    rustix::fs::renameat(&state, FILE, &state, OLD)?;
    open_inside(&state)
}

fn open_inside(state: &OwnedFd) -> Result<OwnedFd, Errno> {
    // A pipe that nobody reads is refused by O_NONBLOCK, not waited for.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let opened = rustix::fs::openat2(state, FILE, flags, Mode::from_raw_mode(0o600), resolve)?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if kind.is_file() { Ok(opened) } else { Err(Errno::INVAL) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::file::AsFd;

    #[test]
    fn it_grows_and_begins_anew_and_follows_no_link() {
        let place = std::env::temp_dir().join(std::format!("surefoot-history-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let state = place.to_str().unwrap();
        for line in [b"1\n", b"2\n"] {
            file::write_to(open(state).unwrap().as_fd(), line).unwrap();
        }
        let boots = place.join(FILE);
        assert_eq!(fs::read(&boots).unwrap(), b"1\n2\n");
        fs::write(&boots, std::vec![b'x'; 128 << 10]).unwrap();
        drop(open(state).unwrap());
        assert_eq!((fs::read(&boots).unwrap().len(), fs::metadata(place.join(OLD)).unwrap().len()), (0, 128 << 10));
        fs::remove_file(&boots).unwrap();
        symlink("/dev/null", &boots).unwrap();
        assert_eq!(open(state).unwrap_err(), Errno::LOOP);
        fs::remove_dir_all(&place).unwrap();
    }
}
