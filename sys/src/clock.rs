//! Time since the machine started.

use core::time::Duration;

use linux_raw_sys::general::{__NR_clock_gettime, CLOCK_BOOTTIME, CLOCK_REALTIME, timespec};

use crate::call::system_call;

/// Time since boot, suspended time included (`CLOCK_BOOTTIME`, clock_gettime(2)). A plain system call: to find the way
/// around it, through the vDSO, takes more code than all that the time is used for.
pub fn since_boot() -> Duration {
    Duration::from_micros(microseconds())
}

/// The same in microseconds.
pub fn microseconds() -> u64 {
    let (seconds, nanoseconds) = get(CLOCK_BOOTTIME);
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1000)
}

/// Seconds and nanoseconds.
fn get(clock: u32) -> (u64, u64) {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the address, which is that of one. Every kernel that
    // surefoot boots has these clocks.
    #[allow(unsafe_code)]
    let _ = unsafe { system_call(__NR_clock_gettime, &[clock as usize, &raw mut now as usize]) };
    (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned())
}

/// Seconds since 1970 by the machine's clock, which may be wrong until the running system has set it.
pub fn unix_seconds() -> u64 {
    get(CLOCK_REALTIME).0
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
