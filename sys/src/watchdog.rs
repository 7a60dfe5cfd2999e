//! The machine's watchdog (the kernel's watchdog/watchdog-api): hardware that resets the machine when it hears nothing.

use crate::Errno;
use crate::call::ioctl;
use crate::file::{self, Access, AsFd as _, OwnedFd};

const DEVICE: &str = "/dev/watchdog";
/// `WDIOC_SETTIMEOUT`: `_IOWR('W', 6, int)` of linux/watchdog.h.
const SET_TIMEOUT: u32 = 0xc004_5706;

/// A watchdog that is running. Dropped, it goes on running: only [`disarm`](Self::disarm) stops it.
#[derive(Debug)]
pub struct Watchdog(OwnedFd);

impl Watchdog {
    /// Starts the watchdog: without a sign of life it resets the machine after `seconds`, or after what its driver makes
    /// of that, which is given back.
    pub fn arm(seconds: u32) -> Result<(Self, u32), Errno> {
        let file = file::open(DEVICE, Access::Write)?;
        let mut timeout = i32::try_from(seconds).map_err(|_| Errno::INVAL)?;
        // SAFETY: this ioctl reads and writes one int at the address, which is that of one.
        #[allow(unsafe_code)]
        let set = unsafe { ioctl(file.as_fd(), SET_TIMEOUT, &raw mut timeout as usize) };
        let watchdog = Self(file);
        if let Err(errno) = set {
            // Opening it has started it, with a time that was not asked for.
            let _ = watchdog.disarm();
            return Err(errno);
        }
        Ok((watchdog, u32::try_from(timeout).unwrap_or(0)))
    }

    /// Gives a sign of life: the time starts anew.
    pub fn keep_alive(&self) -> Result<(), Errno> {
        file::write_to(self.0.as_fd(), b"\0")
    }

    /// Stops the watchdog, unless its driver was told never to stop (`nowayout`).
    pub fn disarm(self) -> Result<(), Errno> {
        file::write_to(self.0.as_fd(), b"V")
    }
}
