//! The watchdog of the boot: a hang before the hand-over resets the machine, and the try that was written down stands.

use core::time::Duration;

use sys::errno::Explained;

use crate::log;

/// The machine's watchdog while PID 1 boots, if it is asked for and there is one.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// The time that is asked for; 0 where what there is cannot be armed.
    wanted: Option<u32>,
    armed: Option<(sys::watchdog::Watchdog, u32)>,
}

impl Watchdog {
    /// One with this time in seconds, or none. It is not armed yet: its driver may still be loaded.
    pub fn new(wanted: Option<u32>) -> Self {
        Self { wanted, armed: None }
    }

    /// Gives a sign of life, or arms the watchdog where it is not armed and its device has appeared.
    #[inline(never)]
    pub fn keep_alive(&mut self) {
        let Some(seconds) = self.wanted.filter(|seconds| *seconds > 0) else { return };
        if let Some((watchdog, _)) = &self.armed {
            // A watchdog that takes no sign of life resets the machine, which is what it is for.
            let _ = watchdog.keep_alive();
            return;
        }
        match sys::watchdog::Watchdog::arm(seconds) {
            Ok((watchdog, seconds)) => {
                log::info!("the watchdog resets the machine after {seconds} seconds without a sign of life");
                self.armed = Some((watchdog, seconds));
            }
            Err(sys::Errno::NOENT) => {}
            Err(errno) => {
                log::error!("cannot arm the watchdog: {}; a hang will not be noticed", Explained(errno));
                self.wanted = Some(0);
            }
        }
    }

    /// Longest time to sleep between two signs of life; `None` where there is no limit.
    pub fn longest_sleep(&self) -> Option<Duration> {
        self.armed.as_ref().map(|(_, seconds)| Duration::from_millis(u64::from(*seconds).saturating_mul(500)))
    }

    /// Whether it was asked for and is not there.
    pub fn is_lacking(&self) -> bool {
        self.wanted.is_some() && self.armed.is_none()
    }
}

impl Drop for Watchdog {
    /// Ends its watch: the system that is started now, or the shell, or a person before a machine that halts, has other
    /// ways.
    fn drop(&mut self) {
        if let Some((watchdog, _)) = self.armed.take()
            && let Err(errno) = watchdog.disarm()
        {
            log::error!("cannot stop the watchdog: {}", Explained(errno));
        }
    }
}
