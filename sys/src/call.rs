//! System calls as such, for the few that have no safe wrapper or whose wrapper is larger than all that it is used for.

use core::arch::asm;

use linux_raw_sys::general::__NR_ioctl;
use rustix::fd::AsRawFd as _;

use crate::Errno;
use crate::file::BorrowedFd;

/// Most arguments of a system call.
const MAX_ARGUMENTS: usize = 6;

/// One system call; arguments that are left out are 0.
///
/// # Safety
/// What the call does with its arguments must be sound: pointers must be valid for what the kernel reads or writes.
#[allow(unsafe_code)]
#[inline(never)]
pub(crate) unsafe fn system_call(number: u32, arguments: &[usize]) -> Result<usize, Errno> {
    let [first, second, third, fourth, fifth, sixth]: [usize; MAX_ARGUMENTS] =
        core::array::from_fn(|place| arguments.get(place).copied().unwrap_or(0));
    let result;
    // SAFETY: the x86-64 system call convention: number and result in rax, arguments in rdi, rsi, rdx, r10, r8, r9; the
    // kernel clobbers rcx and r11 and keeps all other registers and the stack. Memory effects are the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as usize => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    outcome(result)
}

/// One request to a device or file (ioctl(2)); gives the kernel's answer.
///
/// # Safety
/// `argument` must be what `request` takes: a number, or an address that is valid for all that the kernel reads or writes
/// there.
#[allow(unsafe_code)]
#[inline(never)]
pub(crate) unsafe fn ioctl(file: BorrowedFd<'_>, request: u32, argument: usize) -> Result<usize, Errno> {
    let descriptor = usize::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?;
    // SAFETY: the descriptor is open while it is borrowed; the argument is the caller's promise.
    unsafe { system_call(__NR_ioctl, &[descriptor, request as usize, argument]) }
}

/// The result of a system call: the kernel gives −4095 to −1 for errors.
fn outcome(result: usize) -> Result<usize, Errno> {
    match result.wrapping_neg() {
        negated @ 1..=4095 => Err(Errno::from_raw_os_error(i32::try_from(negated).unwrap_or(0))),
        _ => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_system_calls_are_told_apart() {
        assert_eq!(outcome(0), Ok(0));
        assert_eq!(outcome(4096), Ok(4096));
        assert_eq!(outcome(2usize.wrapping_neg()), Err(Errno::NOENT));
        assert_eq!(outcome(4096usize.wrapping_neg()), Ok(4096usize.wrapping_neg()));
    }
}
