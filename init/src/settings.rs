//! The kernel's settings that are others while PID 1 sets the root up, and are put back before the hand-over.

use heapless::String;
use sys::file;

use crate::text::{Reason, refused};

/// Longest value: a path that the kernel keeps (`KMOD_PATH_LEN`).
const CAPACITY: usize = 256;

/// A setting, what it is meanwhile, and whether it matters to the real init that it is put back.
type Setting = (&'static str, &'static str, bool);

/// - Lines that programs may write to the kernel's log: more than ten in five seconds would be dropped.
/// - Waits for all processors to have left what is replaced (RCU): by asking them, which costs some microseconds, instead
///   of until each comes by, which takes some ticks of the timer (`kernel/rcu/update.c`). The kernel itself does so until
///   it starts PID 1. Loading modules, mounting, and changing a device's table wait a dozen times.
/// - Whom the kernel asks for modules: this program. No file is there where the kernel has no modules.
const SETTINGS: [Setting; 3] = [
    ("/proc/sys/kernel/printk_devkmsg", "on\n", false),
    ("/sys/kernel/rcu_expedited", "1\n", false),
    ("/proc/sys/kernel/modprobe", "/init\n", true),
];

/// What the settings were before; empty where one was not changed.
#[derive(Debug, Default)]
pub struct Settings([String<CAPACITY>; SETTINGS.len()]);

impl Settings {
    /// Changes them, as far as they are there.
    #[inline(never)]
    pub fn change() -> Self {
        let mut settings = Self::default();
        for ((path, meanwhile, _), before) in SETTINGS.iter().zip(&mut settings.0) {
            let changed = file::append_text(path, before).and_then(|()| file::write(path, meanwhile.as_bytes()));
            if changed.is_err() {
                before.clear();
            }
        }
        settings
    }

    /// Puts back what was changed.
    pub fn restore(&self) -> Result<(), Reason> {
        for ((path, _, matters), before) in SETTINGS.iter().zip(&self.0) {
            if !before.is_empty()
                && let Err(errno) = file::write(path, before.as_bytes())
                && *matters
            {
                return Err(refused("restore", path, errno));
            }
        }
        Ok(())
    }
}
