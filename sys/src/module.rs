//! Kernel modules.

use core::ffi::CStr;

use crate::Errno;
use crate::file::BorrowedFd;

/// `MODULE_INIT_COMPRESSED_FILE` of finit_module(2): the kernel decompresses the file itself.
const COMPRESSED_FILE: i32 = 4;

/// Loads the module in `file` with `parameters` (finit_module(2)).
///
/// # Errors
/// `EEXIST` where it is loaded already, `ENOENT` where a symbol of another module is missing, `ENOEXEC` where it is
/// built for another kernel.
pub fn load(file: BorrowedFd<'_>, parameters: &CStr, compressed: bool) -> Result<(), Errno> {
    rustix::system::finit_module(file, parameters, if compressed { COMPRESSED_FILE } else { 0 })
}
