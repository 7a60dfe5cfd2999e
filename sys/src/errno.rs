//! Error numbers of the kernel, and what they say to a person.

use core::fmt;

pub use rustix::io::Errno;

/// Writes an [`Errno`] as its meaning and its name: `Input/output error (EIO)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained(pub Errno);

/// The error numbers that mounting, reading and loading can end in, a line each. Source: errno(3). A table of texts would
/// take half as much again for its pointers.
const MEANINGS: &str = "\
1 Operation not permitted (EPERM)
2 No such file or directory (ENOENT)
4 Interrupted system call (EINTR)
5 Input/output error (EIO)
6 No such device or address (ENXIO)
8 Exec format error (ENOEXEC)
9 Bad file descriptor (EBADF)
11 Resource temporarily unavailable (EAGAIN)
12 Cannot allocate memory (ENOMEM)
13 Permission denied (EACCES)
15 Block device required (ENOTBLK)
16 Device or resource busy (EBUSY)
17 File exists (EEXIST)
18 Invalid cross-device link (EXDEV)
19 No such device (ENODEV)
20 Not a directory (ENOTDIR)
21 Is a directory (EISDIR)
22 Invalid argument (EINVAL)
24 Too many open files (EMFILE)
25 Inappropriate ioctl for device (ENOTTY)
27 File too large (EFBIG)
28 No space left on device (ENOSPC)
30 Read-only file system (EROFS)
36 File name too long (ENAMETOOLONG)
38 Function not implemented (ENOSYS)
39 Directory not empty (ENOTEMPTY)
40 Too many levels of symbolic links (ELOOP)
61 No data available (ENODATA)
74 Bad message (EBADMSG)
75 Value too large for data type (EOVERFLOW)
95 Operation not supported (EOPNOTSUPP)
105 No buffer space available (ENOBUFS)
116 Stale file handle (ESTALE)
117 Structure needs cleaning (EUCLEAN)
122 Disk quota exceeded (EDQUOT)
126 Required key not available (ENOKEY)
129 Key was rejected by service (EKEYREJECTED)";

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.raw_os_error().unsigned_abs();
        let mut lines = MEANINGS.lines().filter_map(|line| line.split_once(' '));
        match lines.find(|(known, _)| known.parse() == Ok(number)) {
            Some((_, meaning)) => f.write_str(meaning),
            None => write!(f, "error {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn known_numbers_have_words_and_others_their_number() {
        assert_eq!(Explained(Errno::IO).to_string(), "Input/output error (EIO)");
        assert_eq!(Explained(Errno::from_raw_os_error(130)).to_string(), "error 130");
    }

    #[test]
    fn the_numbers_are_those_of_the_words() {
        for (number, meaning) in MEANINGS.lines().filter_map(|line| line.split_once(' ')) {
            let (words, _name) = meaning.rsplit_once(" (").unwrap();
            // "defined" tells nobody anything.
            let theirs = std::io::Error::from_raw_os_error(number.parse().unwrap()).to_string().replace("defined ", "");
            assert_eq!(theirs, std::format!("{words} (os error {number})"));
        }
    }
}
