//! The kernel's settings that are others while PID 1 sets the root up, and are put back before the hand-over.

use heapless::String;
use sys::file;

use crate::log;
use crate::text::{Reason, refused};

/// Longest value: a path that the kernel keeps (`KMOD_PATH_LEN`).
const CAPACITY: usize = 256;

/// A setting of the kernel's.
struct Setting {
    path: &'static str,
    /// What it is meanwhile.
    meanwhile: &'static str,
    /// Whether the real init would be broken by it: then a boot that cannot put it back fails.
    must_be_restored: bool,
}

const SETTINGS: [Setting; 3] = [
    // Lines that programs may write to the kernel's log: more than ten in five seconds would be dropped.
    Setting { path: "/proc/sys/kernel/printk_devkmsg", meanwhile: "on\n", must_be_restored: false },
    // Waits for all processors to have left what is replaced (RCU): by asking them, which costs some microseconds, instead of
    // until each comes by, which takes some ticks of the timer (`kernel/rcu/update.c`). The kernel itself does so until it
    // starts PID 1. Loading modules, mounting, and changing a device's table wait a dozen times.
    Setting { path: "/sys/kernel/rcu_expedited", meanwhile: "1\n", must_be_restored: false },
    // Whom the kernel asks for modules: this program. No file is there where the kernel has no modules.
    Setting { path: "/proc/sys/kernel/modprobe", meanwhile: "/init\n", must_be_restored: true },
];

/// What the settings were before; empty where one was not changed.
#[derive(Debug, Default)]
pub struct Settings([String<CAPACITY>; SETTINGS.len()]);

impl Settings {
    /// Changes them, as far as they are there.
    #[inline(never)]
    pub fn change() -> Self {
        let mut settings = Self::default();
        for (Setting { path, meanwhile, .. }, before) in SETTINGS.iter().zip(&mut settings.0) {
            let changed = file::append_text(path, before).and_then(|()| file::write(path, meanwhile.as_bytes()));
            if changed.is_err() {
                before.clear();
            }
        }
        settings
    }

    /// Puts back what was changed. What cannot be put back is told, or the error where it must be.
    pub fn restore(&self) -> Result<(), Reason> {
        for (Setting { path, must_be_restored, .. }, before) in SETTINGS.iter().zip(&self.0) {
            if !before.is_empty()
                && let Err(errno) = file::write(path, before.as_bytes())
            {
                let why = refused("restore", path, errno);
                if *must_be_restored {
                    return Err(why);
                }
                log::warn!("{why}");
            }
        }
        Ok(())
    }
}
