//! fs-verity: the digest that the kernel holds a file's content to (linux/fsverity.h).

use heapless::Vec;

use crate::Errno;
use crate::call::ioctl;
use crate::file::BorrowedFd;

/// `FS_IOC_MEASURE_VERITY`: `_IOWR('f', 134, struct fsverity_digest)`, whose size is that of its first two fields.
const MEASURE: u32 = 0xc004_6686;

/// Longest digest, that of SHA-512, in bytes.
pub const MAX_DIGEST: usize = 64;

/// `struct fsverity_digest` with room for the longest digest.
#[repr(C)]
struct Answer {
    algorithm: u16,
    size: u16,
    digest: [u8; MAX_DIGEST],
}

/// Digest of the fs-verity descriptor of a file, which vouches for its whole content and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Number of the hash algorithm: 1 is SHA-256 (`FS_VERITY_HASH_ALG_SHA256`), 2 is SHA-512.
    pub algorithm: u16,
    /// The digest.
    pub bytes: Vec<u8, MAX_DIGEST>,
}

/// Asks for the fs-verity digest of an open file (`FS_IOC_MEASURE_VERITY`, ioctl(2)). The kernel checks every later read
/// of the file against it.
///
/// # Errors
/// `ENODATA` where the file has no fs-verity; `EOPNOTSUPP` where the kernel has none, or the filesystem was made without;
/// `ENOTTY` where the kind of filesystem knows nothing of it.
pub fn measure(file: BorrowedFd<'_>) -> Result<Digest, Errno> {
    // MAX_DIGEST fits: it is a small constant.
    #[allow(clippy::cast_possible_truncation)]
    let mut answer = Answer { algorithm: 0, size: MAX_DIGEST as u16, digest: [0; MAX_DIGEST] };
    // SAFETY: the kernel reads `size`, which is the length of `digest`, and writes at most the two fields and that many
    // bytes of the digest; all are borrowed for the call alone, and any bytes in them are valid.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(file, MEASURE, &raw mut answer as usize)?;
    }
    let digest = answer.digest.get(..answer.size.into()).ok_or(Errno::OVERFLOW)?;
    let bytes = Vec::from_slice(digest).map_err(|_| Errno::OVERFLOW)?;
    Ok(Digest { algorithm: answer.algorithm, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{self, Access, AsFd as _};

    #[test]
    fn a_file_without_a_digest_is_told_from_one_that_cannot_be_opened() {
        let program = file::open("/proc/self/exe", Access::Read).unwrap();
        let refused = measure(program.as_fd()).unwrap_err();
        assert!(matches!(refused, Errno::NODATA | Errno::OPNOTSUPP | Errno::NOTTY), "{refused}");
        let proc_file = file::open("/proc/self/stat", Access::Read).unwrap();
        assert_eq!(measure(proc_file.as_fd()), Err(Errno::NOTTY));
    }
}
