//! Error numbers of the kernel, and what they say to a person.

use core::fmt;

pub use rustix::io::Errno;

/// Writes an [`Errno`] as its meaning and its name: `Input/output error (EIO)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained(pub Errno);

/// The error numbers that mounting, reading and loading can end in. Source: errno(3).
const MEANINGS: &[(Errno, &str)] = &[
    (Errno::PERM, "Operation not permitted (EPERM)"),
    (Errno::NOENT, "No such file or directory (ENOENT)"),
    (Errno::INTR, "Interrupted system call (EINTR)"),
    (Errno::IO, "Input/output error (EIO)"),
    (Errno::NXIO, "No such device or address (ENXIO)"),
    (Errno::NOEXEC, "Exec format error (ENOEXEC)"),
    (Errno::BADF, "Bad file descriptor (EBADF)"),
    (Errno::AGAIN, "Resource temporarily unavailable (EAGAIN)"),
    (Errno::NOMEM, "Cannot allocate memory (ENOMEM)"),
    (Errno::ACCESS, "Permission denied (EACCES)"),
    (Errno::NOTBLK, "Block device required (ENOTBLK)"),
    (Errno::BUSY, "Device or resource busy (EBUSY)"),
    (Errno::EXIST, "File exists (EEXIST)"),
    (Errno::NODEV, "No such device (ENODEV)"),
    (Errno::NOTDIR, "Not a directory (ENOTDIR)"),
    (Errno::ISDIR, "Is a directory (EISDIR)"),
    (Errno::INVAL, "Invalid argument (EINVAL)"),
    (Errno::MFILE, "Too many open files (EMFILE)"),
    (Errno::NOTTY, "Inappropriate ioctl for device (ENOTTY)"),
    (Errno::FBIG, "File too large (EFBIG)"),
    (Errno::NOSPC, "No space left on device (ENOSPC)"),
    (Errno::ROFS, "Read-only file system (EROFS)"),
    (Errno::NAMETOOLONG, "File name too long (ENAMETOOLONG)"),
    (Errno::NOSYS, "Function not implemented (ENOSYS)"),
    (Errno::NOTEMPTY, "Directory not empty (ENOTEMPTY)"),
    (Errno::LOOP, "Too many levels of symbolic links (ELOOP)"),
    (Errno::BADMSG, "Bad message (EBADMSG)"),
    (Errno::NODATA, "No data available (ENODATA)"),
    (Errno::OVERFLOW, "Value too large for data type (EOVERFLOW)"),
    (Errno::OPNOTSUPP, "Operation not supported (EOPNOTSUPP)"),
    (Errno::NOBUFS, "No buffer space available (ENOBUFS)"),
    (Errno::STALE, "Stale file handle (ESTALE)"),
    (Errno::UCLEAN, "Structure needs cleaning (EUCLEAN)"),
    (Errno::DQUOT, "Disk quota exceeded (EDQUOT)"),
    (Errno::NOKEY, "Required key not available (ENOKEY)"),
    (Errno::KEYREJECTED, "Key was rejected by service (EKEYREJECTED)"),
    (Errno::XDEV, "Invalid cross-device link (EXDEV)"),
];

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MEANINGS.iter().find(|(errno, _)| *errno == self.0) {
            Some((_, meaning)) => f.write_str(meaning),
            None => write!(f, "error {}", self.0.raw_os_error()),
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
}
