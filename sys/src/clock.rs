//! Time since the machine started.

use core::time::Duration;

use linux_raw_sys::general::{__NR_clock_gettime, CLOCK_BOOTTIME, timespec};

use crate::call::system_call;

/// Time since boot, suspended time included (`CLOCK_BOOTTIME`, clock_gettime(2)). A plain system call: to find the way
/// around it, through the vDSO, takes more code than all that the time is used for.
pub fn since_boot() -> Duration {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the address, which is that of one. Every kernel that
    // surefoot boots has this clock.
    #[allow(unsafe_code)]
    let _ = unsafe { system_call(__NR_clock_gettime, &[CLOCK_BOOTTIME as usize, &raw mut now as usize]) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_passed_and_passes_on() {
        let earlier = since_boot();
        assert!(earlier > Duration::ZERO);
        assert!(since_boot() >= earlier);
    }
}
